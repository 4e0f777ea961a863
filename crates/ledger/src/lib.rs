//! The ledger: the branch `touchstone` of the fork's repository, where people exchange what they say and sign.
//!
//! It has no common history with the packages. Files are only ever added, under names that do not collide, so
//! the branches of several people merge without a conflict; what would break that (a second `2.root.json`, a
//! file that vanished) is refused or reported, and never followed. Objects and refs are read and written with
//! gix; whatever talks to a remote is the user's own git as a process ([`git`]).
//!
//! Nothing here is verified: the ledger hands out data marked [`attestation::Unverified`]. Who may push to a
//! shared repository decides nothing.
//!
//! * [`LedgerPath`], [`NewFile`]: the layout, and files that are what their names say.
//! * [`Ledger`]: opening, making, adding; [`Ledger::merge`] and [`Ledger::sync`].
//! * [`Snapshot`]: one commit of the ledger, read lazily.
//! * [`sequence`]: whether somebody's statements are all there.
//! * [`history`]: a repository's own commits and tags; [`notes`]: what is signed beside them; [`authenticate`]: whether
//!   those who may made them.

mod ancestry;
pub mod authenticate;
mod author;
mod branch;
mod courts;
mod durable;
mod file;
pub mod git;
pub mod history;
mod merge;
pub mod notes;
mod pack_order;
mod path;
mod remote;
pub mod sequence;
mod snapshot;
mod store;
mod sync;
mod union;

pub use author::{Author, AuthorError};
pub use courts::Courts;
pub use file::{
    ContentError, EvidenceFile, KeyringFile, MetadataFile, NewFile, PatchFile, ProposalFile, RootFile, SignatureFile,
    StatementFile,
};
pub use history::{History, HistoryError};
pub use merge::{MergeError, Merged, Way};
pub use path::{LedgerPath, LedgerPathError};
pub use remote::{Remote, RemoteError};
pub use snapshot::{Listing, Problem, Snapshot};
pub use store::{AddError, BRANCH, CreateError, Ledger, OpenError, ReadError, WriteError};
pub use sync::{JoinError, SyncError, Synced};
pub use union::{Conflict, Resolutions, Side};
