//! Store paths: their syntax, and the path that Nix gives to a source tree.
//!
//! Source: the Nix manual, "Store path specification".

use std::{fmt, path::PathBuf, str::FromStr};

use crate::{Sha256Digest, nix32};

/// Nix's limit on the length of a name, in bytes.
const MAX_NAME: usize = 211;

/// Bytes of the compressed digest in a store path.
const HASH_LEN: usize = 20;

/// The directory that holds store objects, `/nix/store` nearly everywhere. It is part of what a store path hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreDir(String);

/// The base name of a store object: 32 nix32 digits, a dash, a name. It does not say which [`StoreDir`] it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath {
    base_name: String,
}

/// Why a string is not a store path, a store directory, or a name of a store object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    /// Not an absolute path in its shortest spelling.
    #[error("expected an absolute store directory without empty, . or .. components, found {found:?}")]
    StoreDir {
        /// The string that was read.
        found: String,
    },
    /// Not directly inside the store directory.
    #[error("expected a path directly inside {expected}, found {found:?}")]
    Outside {
        /// The store directory.
        expected: String,
        /// The string that was read.
        found: String,
    },
    /// Not `<32 digits>-<name>`.
    #[error("expected <32 nix32 digits>-<name>, found {found:?}")]
    Shape {
        /// The string that was read.
        found: String,
    },
    /// The part before the dash is not nix32.
    #[error("store path {found:?} has no valid digest")]
    Digest {
        /// The string that was read.
        found: String,
        /// What is wrong with the digits.
        source: nix32::Nix32Error,
    },
    /// A name that Nix does not accept.
    #[error("expected a name of 1 to 211 letters, digits and +-._?= that does not begin with a dot, found {found:?}")]
    Name {
        /// The name that was read.
        found: String,
    },
}

impl StoreDir {
    /// The store directory of that absolute path.
    pub fn new(path: impl Into<String>) -> Result<Self, StorePathError> {
        let path = path.into();
        let well_formed = path.strip_prefix('/').is_some_and(|rest| {
            rest.split('/')
                .all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
        });
        if well_formed {
            Ok(Self(path))
        } else {
            Err(StorePathError::StoreDir { found: path })
        }
    }

    /// The directory as a string without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for StoreDir {
    /// `/nix/store`.
    fn default() -> Self {
        Self("/nix/store".to_owned())
    }
}

impl fmt::Display for StoreDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StorePath {
    /// Reads an absolute path directly inside `store_dir`.
    pub fn parse_in(store_dir: &StoreDir, path: &str) -> Result<Self, StorePathError> {
        path.strip_prefix(store_dir.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| StorePathError::Outside {
                expected: store_dir.to_string(),
                found: path.to_owned(),
            })?
            .parse()
    }

    /// `<digest>-<name>`.
    pub fn base_name(&self) -> &str {
        &self.base_name
    }

    /// What follows the digest and its dash.
    pub fn name(&self) -> &str {
        &self.base_name[33..]
    }

    /// The absolute path in `store_dir`.
    pub fn in_dir(&self, store_dir: &StoreDir) -> PathBuf {
        PathBuf::from(format!("{store_dir}/{}", self.base_name))
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    /// Reads a base name.
    fn from_str(base_name: &str) -> Result<Self, Self::Err> {
        let (digits, name) = base_name
            .split_once('-')
            .filter(|(digits, _)| digits.len() == 32)
            .ok_or_else(|| StorePathError::Shape {
                found: base_name.to_owned(),
            })?;
        nix32::decode::<HASH_LEN>(digits).map_err(|source| StorePathError::Digest {
            found: base_name.to_owned(),
            source,
        })?;
        check_name(name)?;
        Ok(Self {
            base_name: base_name.to_owned(),
        })
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base_name)
    }
}

/// The path that Nix gives to a file tree without references whose NAR has that digest: what `nix-store --add`,
/// a flake input (name `source`) and `fetchTarball` (name `source`) make.
pub fn source_store_path(
    store_dir: &StoreDir,
    name: &str,
    nar_sha256: &Sha256Digest,
) -> Result<StorePath, StorePathError> {
    make(store_dir, "source", nar_sha256, name)
}

/// The path of a text with that SHA-256 which names these store objects, as `builtins.toFile` makes it and every
/// derivation has it.
pub fn text_store_path<'a>(
    store_dir: &StoreDir,
    name: &str,
    sha256: &Sha256Digest,
    references: impl IntoIterator<Item = &'a StorePath>,
) -> Result<StorePath, StorePathError> {
    let mut kind = "text".to_owned();
    for reference in references {
        kind.push_str(&format!(":{store_dir}/{reference}"));
    }
    make(store_dir, &kind, sha256, name)
}

/// The path of an object of that kind: its digest is that of kind, digest, store directory and name together.
pub(crate) fn make(
    store_dir: &StoreDir,
    kind: &str,
    sha256: &Sha256Digest,
    name: &str,
) -> Result<StorePath, StorePathError> {
    check_name(name)?;
    let fingerprint = Sha256Digest::of(format!("{kind}:sha256:{sha256}:{store_dir}:{name}"));
    let mut hash = [0_u8; HASH_LEN];
    for (position, byte) in fingerprint.as_bytes().iter().enumerate() {
        hash[position % HASH_LEN] ^= byte;
    }
    Ok(StorePath {
        base_name: format!("{}-{name}", nix32::encode(&hash)),
    })
}

/// Stricter than Nix of today, which lets a name begin with a dot: nothing here has such a name.
fn check_name(name: &str) -> Result<(), StorePathError> {
    let well_formed = (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte));
    if well_formed {
        Ok(())
    } else {
        Err(StorePathError::Name { found: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "/nix/store/0c0bk4rd5rcqxyk9pnb05ddcqy7mcj1s-hello-2.10";

    #[test]
    fn reads_and_prints_a_store_path() {
        let path = StorePath::parse_in(&StoreDir::default(), HELLO).unwrap();
        assert_eq!(path.name(), "hello-2.10");
        assert_eq!(path.in_dir(&StoreDir::default()), PathBuf::from(HELLO));
    }

    #[test]
    fn refuses_paths_that_only_look_like_store_paths() {
        let refuse = |path: &str| StorePath::parse_in(&StoreDir::default(), path).unwrap_err();
        assert!(matches!(
            refuse(&format!("{HELLO}/bin/hello")),
            StorePathError::Name { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("/store/", "/store/../store/")),
            StorePathError::Shape { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("/nix/", "/nyx/")),
            StorePathError::Outside { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("/store/", "/storefront/")),
            StorePathError::Outside { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("0c0b", "0e0b")),
            StorePathError::Digest { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("-hello-2.10", "")),
            StorePathError::Shape { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("hello-2.10", "")),
            StorePathError::Name { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("hello", ".hello")),
            StorePathError::Name { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("hello", "hel lo")),
            StorePathError::Name { .. }
        ));
        assert!(matches!(
            refuse(&HELLO.replace("hello", &"x".repeat(212))),
            StorePathError::Name { .. }
        ));
    }

    #[test]
    fn refuses_store_directories_with_two_spellings() {
        for path in [
            "",
            "/",
            "nix/store",
            "/nix/store/",
            "/nix//store",
            "/nix/./store",
            "/nix/../nix/store",
        ] {
            assert!(
                matches!(StoreDir::new(path), Err(StorePathError::StoreDir { .. })),
                "{path}"
            );
        }
        assert_eq!(StoreDir::new("/nix/store"), Ok(StoreDir::default()));
    }
}
