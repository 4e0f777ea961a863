//! Reading from the store what a build is about: never through a link, never without bound.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use nixstore::{
    Derivation, Sha256Digest, StoreDir, StorePath,
    derivation::{DerivationError, PathError, derivation_name},
};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::place;

/// The longest derivation: environments of whole systems are a few megabytes.
const DERIVATION: u64 = 64 << 20;

/// Where the store's objects are: `/nix/store`, or below a folder in tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    directory: PathBuf,
}

/// A derivation that is what its path says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Its path.
    pub path: StorePath,
    /// SHA-256 of its file.
    pub digest: Sha256Digest,
    /// What it says.
    pub derivation: Derivation,
}

/// Why something in the store is not believed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: StorePath,
        /// What the system said.
        source: io::Error,
    },
    /// A link, a directory or worse, where a file must be.
    #[error("expected {path} to be a regular file of at most {limit} bytes")]
    NoFile {
        /// Which.
        path: StorePath,
        /// How long it may be.
        limit: u64,
    },
    /// A derivation that is none, or of a kind whose outputs nobody knows before.
    #[error("{path} is not a derivation that can be judged")]
    Derivation {
        /// Which.
        path: StorePath,
        /// What is wrong.
        source: DerivationError,
    },
    /// The file has another content than its path says.
    #[error("expected {path} to hold what its path says, found the derivation whose path is {found}")]
    Swapped {
        /// Which.
        path: StorePath,
        /// The path of what it holds.
        found: StorePath,
    },
    /// Not the path of a derivation.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Default for Store {
    fn default() -> Self {
        Self {
            directory: PathBuf::from(StoreDir::default().as_str()),
        }
    }
}

impl Store {
    /// A store whose objects lie in that directory. Their paths are those of `/nix/store` all the same.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Reads a derivation, and holds it against its path.
    pub fn recipe(&self, path: &StorePath) -> Result<Recipe, StoreError> {
        let name = derivation_name(path)?;
        let mut bytes = Vec::new();
        self.open(path, DERIVATION)?
            .take(DERIVATION + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| StoreError::Read {
                path: path.clone(),
                source,
            })?;
        let derivation = Derivation::parse(&bytes).map_err(|source| StoreError::Derivation {
            path: path.clone(),
            source,
        })?;
        let found = derivation.path(name).map_err(PathError::from)?;
        if found != *path {
            return Err(StoreError::Swapped {
                path: path.clone(),
                found,
            });
        }
        Ok(Recipe {
            path: path.clone(),
            digest: Sha256Digest::of(&bytes),
            derivation,
        })
    }

    /// SHA-256 of the contents of a file.
    pub fn hash_file(&self, path: &StorePath, limit: u64) -> Result<Sha256Digest, StoreError> {
        let mut file = self.open(path, limit)?.take(limit);
        let mut hasher = Sha256::new();
        io::copy(&mut file, &mut hasher).map_err(|source| StoreError::Read {
            path: path.clone(),
            source,
        })?;
        Ok(hasher.into())
    }

    fn open(&self, path: &StorePath, limit: u64) -> Result<File, StoreError> {
        let read = |source| StoreError::Read {
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(place::flags(OFlags::NOFOLLOW | OFlags::NONBLOCK))
            .open(self.directory.join(path.base_name()))
            .map_err(|source| match source.raw_os_error() {
                Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => StoreError::NoFile {
                    path: path.clone(),
                    limit,
                },
                _ => read(source),
            })?;
        let metadata = file.metadata().map_err(read)?;
        if metadata.is_file() && metadata.len() <= limit {
            return Ok(file);
        }
        let path = path.clone();
        Err(StoreError::NoFile { path, limit })
    }
}

impl Recipe {
    /// The name of the derivation.
    pub fn name(&self) -> &str {
        derivation_name(&self.path).unwrap_or_else(|_| self.path.name())
    }
}
