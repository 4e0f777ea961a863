//! Nix's formats: hashes and their encodings, NAR archives, store paths.
//!
//! Nothing here decides trust. What is here is exact: a value that does not have the one spelling
//! Nix gives it is an error, so that two programs never read two things out of one string.

pub mod hash;
pub mod nar;
pub mod nix32;
pub mod store_path;

pub use hash::Sha256Digest;
pub use nar::NarDigest;
pub use store_path::{StoreDir, StorePath, source_store_path};
