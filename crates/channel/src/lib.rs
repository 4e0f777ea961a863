//! Assembles a release: the same bytes from the same commit on every machine, and the static files around them.
//!
//! * [`release`]: from upstream commit, policy and the releases before to the targets that people sign.
//! * [`tarball`]: the tarball that stock `nix-channel` unpacks.
//! * [`patch`]: what leads from an earlier release to this one.
//! * [`publish`]: the site with its metadata, verified with the client's own code before it is announced.
//! * [`site`]: static files, written whole or not at all.
//! * [`online`]: the key that signs snapshots and timestamps.

pub mod index;
pub mod online;
pub mod patch;
pub mod publish;
pub mod release;
pub mod site;
pub mod tarball;
