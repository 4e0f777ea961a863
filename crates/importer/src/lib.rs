//! Upstream range to change set; digests straight from git objects.
//!
//! Local objects are read with gix, and only as they are: no replacement refs, no commit-graph, no configuration
//! but the repository's own, no cache that outlives the process. Nothing is checked out. Everything that talks to a
//! remote is the user's own git as a process, with arguments that leave it nothing to run ([`Repository::fetch_upstream`]).
//!
//! Git object ids are SHA-1: they name things. What people sign are the SHA-256 digests computed here from the
//! objects' bytes. A tree that different tools could read differently (a name twice, a name that is not UTF-8,
//! entries out of order) is refused wherever it is met.

mod blobs;
mod changes;
mod fetch;
mod forest;
mod gzip;
mod listing;
mod merge;
mod nar;
mod pack;
mod patch;
mod path;
mod repository;
mod revision;
mod tree;
mod visit;
mod walk;

pub use attestation::unit::FileMode;
pub use blobs::BlobDigest;
pub use changes::{Change, ChangeSet};
pub use fetch::{FetchError, Fetched, UpstreamUrl, UpstreamUrlError};
pub use forest::Forest;
pub use gix::ObjectId;
pub use gzip::gunzip;
pub use listing::{Listing, TreeFile};
pub use merge::MergeError;
pub use nar::NarError;
pub use patch::{Patch, PatchError, PatchPlace, PatchStep, PatchedCommit};
pub use path::{PathError, TreePath};
pub use repository::{ObjectError, ObjectKind, OpenError, Repository};
pub use revision::{Commit, CommitRange, ResolveError};
pub use tree::TreeError;
pub use visit::{Extra, Node, VisitError};
