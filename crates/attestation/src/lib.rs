//! What people sign, and its exact bytes.
//!
//! This crate knows formats and nothing else: no file, no network, no clock, no trust. Whatever it
//! reads from outside is strict (one spelling, no duplicate members, no unknown member in a format of
//! ours) and comes back as data that nobody has vouched for. Only crate `policy` turns data into proof.
//!
//! * [`canonical`]: strict JSON in, canonical JSON out.
//! * [`names`], [`time`], [`unit`]: the vocabulary; a value that exists is valid.
//! * [`tuf`]: TUF 1.0 metadata with OpenPGP keys.
//! * [`chain`]: the policy that a root carries, and what a release says of itself.
//! * [`dsse`], [`statement`]: in-toto statements of people.
//! * [`openpgp`], [`git`]: their signatures, also those in git.
//! * [`note`]: signatures over commits in git notes.
//! * [`releases`]: the list of all releases of a channel.
//! * [`patch`]: how one release's tree becomes the next one's.
//! * [`series`]: the patches that a channel carries on top of upstream.

mod base64;
pub mod canonical;
pub mod chain;
pub mod dsse;
pub mod git;
pub mod names;
pub mod openpgp;
pub mod patch;
pub mod pending;
pub mod releases;
pub mod series;
pub mod statement;
pub mod time;
pub mod tuf;
pub mod unit;
mod unverified;

pub use names::{
    AttestationRoot, ChainId, ChannelName, Fingerprint, GitOid, KeyId, PatchName, PersonName, RoleName, StatementId,
};
pub use nixstore::Sha256Digest;
pub use time::{Seconds, Time};
pub use unit::{Class, Content, Delta, FindingCode, UnitPath};
pub use unverified::Unverified;
