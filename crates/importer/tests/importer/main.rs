//! The importer, held against the real git and the real Nix.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod fetch;
mod history;
mod nar;
mod trees;
