//! Nix's formats: hashes and their encodings, NAR archives, store paths, derivations, and what caches say of paths.
//!
//! Nothing here decides trust. What is here is exact: a value that does not have the one spelling
//! Nix gives it is an error, so that two programs never read two things out of one string.

pub mod derivation;
pub mod hash;
pub mod key;
pub mod manifest;
pub mod nar;
pub mod narinfo;
pub mod nix32;
pub mod store_path;
pub mod tar;

pub use derivation::Derivation;
pub use hash::Sha256Digest;
pub use manifest::Manifest;
pub use nar::NarDigest;
pub use narinfo::NarInfo;
pub use store_path::{StoreDir, StorePath, StorePathError, source_store_path, text_store_path};
