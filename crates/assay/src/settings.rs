//! What this clone knows of its user: `touchstone/settings.toml` in its git directory.
//!
//! Nothing secret is in it, and nothing in it is proof. The pins in it are what the user gave explicitly.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use attestation::{ChainId, PersonName, Sha256Digest};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure, OrExit as _, Outcome};

/// The settings of a clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// Who the user is in the policy.
    pub person: Option<PersonName>,
    /// The user's key, as `--key` takes it.
    pub key: Option<String>,
    /// The git remote with which the ledger is exchanged.
    pub remote: Option<String>,
    /// The chain.
    pub chain: Option<ChainId>,
    /// As long as the chain has no complete first root: the payload of the one that the user accepts.
    #[serde(default, with = "optional_digest", skip_serializing_if = "Option::is_none")]
    pub first_root: Option<Sha256Digest>,
}

mod optional_digest {
    use attestation::Sha256Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "the shape serde asks of a serializer")]
    pub(super) fn serialize<S: Serializer>(digest: &Option<Sha256Digest>, serializer: S) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => serializer.collect_str(digest),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Sha256Digest>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

fn path(git_dir: &Path) -> PathBuf {
    git_dir.join("touchstone/settings.toml")
}

impl Settings {
    /// The settings of the clone whose git directory this is; empty where there are none.
    pub(crate) fn read(git_dir: &Path) -> Outcome<Self> {
        let path = path(git_dir);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).or_exit_with(Exit::Environment, || {
                format!("mend or delete {}, then run assay init", path.display())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::new(
                Exit::Environment,
                format!("{} cannot be read: {error}", path.display()),
            )),
        }
    }

    /// Takes the chain that the user names; another one than was pinned is refused.
    pub(crate) fn pin(&mut self, chain: ChainId) -> Outcome {
        match self.chain {
            Some(pinned) if pinned != chain => Err(Failure::new(
                Exit::Refused,
                format!("this clone pins chain {pinned}, not {chain}"),
            )
            .next("use another clone for another chain")),
            _ => {
                self.chain = Some(chain);
                Ok(())
            }
        }
    }

    /// Replaces the settings, whole or not at all.
    pub(crate) fn write(&self, git_dir: &Path) -> Outcome {
        let text = toml::to_string(self).or_exit(Exit::Environment)?;
        write_atomically(&path(git_dir), text.as_bytes()).or_exit(Exit::Environment)
    }
}

/// Why a file was not written. What was there before is there still.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be written", .path.display())]
pub(crate) struct WriteError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes a file whole or not at all: temporary file, fsync, rename, fsync of the directory.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let write = || -> io::Result<()> {
        // Of a bare name it is the empty path, which is no directory.
        let directory = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Err(io::ErrorKind::InvalidInput.into()),
        };
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        fs::File::open(directory)?.sync_all()
    };
    write().map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}
