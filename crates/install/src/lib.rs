//! What a subscriber's machine keeps: the subscription, floors, and generations. No network, no clock.
//!
//! * [`State`] reads the state directory, [`LockedState`] writes it: one run at a time, every write atomic.
//! * [`Subscription`], [`Floors`], [`MetadataDir`]: what is wanted, what was seen, the signed files.
//! * [`Generation`]: a release on this machine.
//! * [`unpack`]: a channel's tarball becomes a directory and nothing else.
//! * [`Unpacked`], [`Checked`]: the way from there to a generation, which only what crate `policy` has sealed can go.
//! * [`verify`]: earns again, from the disk, that a generation is what people signed.

mod file;
mod floors;
mod generation;
mod history;
mod lock;
mod locked;
mod metadata;
mod stage;
mod state;
mod subscription;
pub mod unpack;
pub mod verify;

pub use file::FileError;
pub use floors::Floors;
pub use generation::{Generation, GenerationNumber, GenerationNumberError, Record};
pub use history::{Action, Event};
pub use lock::LockError;
pub use locked::{LockedState, Scratch, SubscribeError};
pub use metadata::{MetadataDir, MetadataFile, MetadataFiles};
pub use stage::{Checked, InstallError, Unpacked};
pub use state::{FORMAT, State, StateError};
pub use subscription::{BaseUrl, BaseUrlError, Floor, Subscription};
pub use unpack::Limits;
