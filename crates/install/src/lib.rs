//! What a subscriber's machine keeps: the subscription, floors, and generations. No network, no clock.
//!
//! * [`State`] reads the state directory, [`LockedState`] writes it: one run at a time, every write atomic.
//! * [`Subscription`], [`Floors`], [`MetadataDir`]: what is wanted, what was seen, the signed files.
//! * [`Generation`]: a release on this machine.
//! * [`unpack`]: a channel's tarball becomes a directory and nothing else. [`patch`]: a directory becomes the next one.
//! * [`Unpacked`], [`Checked`]: the way from there to a generation, which only what crate `policy` has sealed can go.
//! * [`archive`]: an installed tree as a tarball again, for stock Nix.
//! * [`verify`]: earns again, from the disk, that a generation is what people signed.

pub mod archive;
mod attempt;
mod file;
mod floors;
mod generation;
mod history;
mod lock;
mod locked;
mod metadata;
mod migrate;
mod partial;
pub mod patch;
mod site;
mod stage;
mod state;
mod subscription;
pub mod unpack;
pub mod verify;

pub use attempt::{Attempt, MirrorNote, Trouble};
pub use file::FileError;
pub use floors::Floors;
pub use generation::{Generation, GenerationNumber, GenerationNumberError, Record};
pub use history::{Action, Event};
pub use lock::LockError;
pub use locked::{LockedState, SubscribeError};
pub use metadata::{MetadataDir, MetadataFile, MetadataFiles};
pub use partial::PartialFile;
pub use site::{Site, SiteFile};
pub use stage::{Checked, InstallError, Unpacked};
pub use state::{FORMAT, State, StateError};
pub use subscription::{BaseUrl, BaseUrlError, Floor, HostName, HostNameError, Subscription};
pub use unpack::Limits;
