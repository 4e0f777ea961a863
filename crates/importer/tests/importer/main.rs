//! The importer, held against the real git and the real Nix.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod fetch;
mod forest;
mod history;
mod merge;
mod nar;
mod patch;
mod trees;
