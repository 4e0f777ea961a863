//! Derivations: the `.drv` files in which Nix writes down what is built from what, and the paths that follow from them.
//!
//! A derivation is read only from its one spelling: what [`Derivation::parse`] accepts, [`Derivation::to_aterm`] writes
//! again byte for byte. Whatever Nix spells otherwise (dynamic, impure and floating content-addressed derivations) is
//! refused: a gate that does not know what an output will be cannot judge it. Source: the Nix manual, "Derivation
//! file format" and "Store path specification"; `libstore/derivations.cc`.

mod aterm;
mod develop;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use crate::{StorePath, StorePathError};

pub use paths::{DerivationHash, PathError, derivation_name, fixed_store_path};

/// A text of a derivation: Nix asks for no encoding.
pub type Bytes = Vec<u8>;

/// What is built: by which program, from what, into which paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// Where it puts its results, by name (`out`, `dev`, …). Never empty.
    pub outputs: BTreeMap<String, Output>,
    /// The derivations whose outputs it needs, and which of them.
    pub input_derivations: BTreeMap<StorePath, BTreeSet<String>>,
    /// The other store objects that it needs.
    pub input_sources: BTreeSet<StorePath>,
    /// The kind of machine, as `x86_64-linux`, or `builtin`.
    pub system: Bytes,
    /// The program, or `builtin:…`.
    pub builder: Bytes,
    /// Its arguments.
    pub arguments: Vec<Bytes>,
    /// Its environment.
    pub environment: BTreeMap<Bytes, Bytes>,
}

/// Where an output will be, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The path follows from the derivation.
    InputAddressed(StorePath),
    /// The path follows from what the output will hold, which is promised.
    Fixed {
        /// Where it will be.
        path: StorePath,
        /// What is hashed.
        method: Method,
        /// By which algorithm.
        algorithm: Algorithm,
        /// The hash, as bytes.
        hash: Vec<u8>,
    },
}

/// What the hash of a fixed output is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The contents of a file.
    Flat,
    /// The NAR of a tree.
    Recursive,
}

/// The hash algorithms of fixed outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Broken.
    Md5,
    /// Broken.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

/// Why bytes are not a derivation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DerivationError {
    /// Something else stands where the format has one thing.
    #[error("expected {expected} at byte {at} of the derivation")]
    Syntax {
        /// What the format has there.
        expected: &'static str,
        /// Where.
        at: usize,
    },
    /// A sorted list of different things is not.
    #[error("expected the {list} to be sorted and different, found {found:?} out of order")]
    Order {
        /// Which list.
        list: &'static str,
        /// The one that should have come earlier, or only once.
        found: String,
    },
    /// A store path that is none.
    #[error("a path of the derivation is no store path")]
    Path(#[from] StorePathError),
    /// An output that is neither input-addressed nor fixed.
    #[error("expected output {name:?} to have a path, found one whose path is only known after the build ({kind})")]
    Floating {
        /// The output.
        name: String,
        /// How Nix calls it.
        kind: String,
    },
    /// A hash algorithm, or the length of a hash.
    #[error("expected md5, sha1, sha256 or sha512 and a hash of its length, found {algorithm:?} and {hash:?}")]
    Hash {
        /// The algorithm that was read.
        algorithm: String,
        /// The hash that was read.
        hash: String,
    },
    /// No output, or a fixed output beside others, or under another name than `out`.
    #[error("expected one fixed output named out, or input-addressed outputs only, found {found}")]
    Outputs {
        /// What there is.
        found: String,
    },
}

impl Derivation {
    /// Reads the contents of a `.drv` file of the store `/nix/store`.
    pub fn parse(bytes: &[u8]) -> Result<Self, DerivationError> {
        aterm::parse(bytes)
    }

    /// The contents of the `.drv` file.
    pub fn to_aterm(&self) -> Bytes {
        aterm::write(self, aterm::Inputs::Paths, aterm::Outputs::Shown)
    }

    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.environment.get(name.as_bytes()).map(Vec::as_slice)
    }

    /// The paths of its outputs.
    pub fn output_paths(&self) -> impl Iterator<Item = &StorePath> {
        self.outputs.values().map(Output::path)
    }

    /// Its fixed output, if it has one.
    pub fn fixed(&self) -> Option<&Output> {
        let output = self.outputs.get("out")?;
        matches!(output, Output::Fixed { .. }).then_some(output)
    }
}

impl Output {
    /// Where it will be.
    pub const fn path(&self) -> &StorePath {
        match self {
            Self::InputAddressed(path) | Self::Fixed { path, .. } => path,
        }
    }
}

impl Algorithm {
    /// Whether two things of one hash can be made.
    pub const fn is_broken(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1)
    }

    /// As Nix writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many bytes its hashes have.
    const fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }
}

impl Method {
    /// What Nix writes before the algorithm.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Flat => "",
            Self::Recursive => "r:",
        }
    }
}
