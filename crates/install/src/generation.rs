//! Generations: the releases that are on this machine, each complete and on its own.

use std::{
    fmt, fs, io,
    num::NonZeroU64,
    path::{Path, PathBuf},
    str::FromStr,
};

use attestation::{ChainId, ChannelName, PersonName, Time, chain::Release};
use serde::{Deserialize, Serialize};

use crate::{
    file::{self, FileError},
    metadata::MetadataDir,
    state::StateError,
    unpack::make_directory,
};

const RECORD_LIMIT: u64 = 1 << 20;

/// The number of a generation: counts up from 1, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GenerationNumber(NonZeroU64);

/// Why a text is not the number of a generation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a generation's number (1, 2, …), found {found:?}")]
pub struct GenerationNumberError {
    /// The text that was read.
    pub found: String,
}

impl GenerationNumber {
    pub(crate) const FIRST: Self = Self(NonZeroU64::MIN);

    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for GenerationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for GenerationNumber {
    type Err = GenerationNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text
            .parse()
            .ok()
            .filter(|number: &NonZeroU64| number.to_string() == text);
        number
            .map(Self)
            .ok_or_else(|| GenerationNumberError { found: text.to_owned() })
    }
}

/// A generation on disk: `generations/<number>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    number: GenerationNumber,
    path: PathBuf,
}

/// What a generation says of itself in `release.json`, for people and for finding it again. It is not signed and
/// proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The chain.
    pub chain: Option<ChainId>,
    /// The release as it was signed.
    pub release: Release,
    /// The people who vouched for it.
    #[serde(rename = "signed-by")]
    pub signed_by: Vec<PersonName>,
    /// The root under which that was judged.
    #[serde(rename = "root-version")]
    pub root_version: u64,
    /// When it was installed.
    pub installed: Time,
}

impl Generation {
    /// Its number.
    pub const fn number(&self) -> GenerationNumber {
        self.number
    }

    /// The unpacked channel.
    pub fn nixexprs(&self) -> PathBuf {
        self.path.join("nixexprs")
    }

    /// Where a link to its tree in the Nix store is, once it was pinned there: a root for Nix's garbage collector, as
    /// long as the generation is there.
    pub fn store_link(&self) -> PathBuf {
        self.path.join("source")
    }

    /// The signed files that it was installed by, from `channel`.
    pub fn metadata(&self, channel: &ChannelName) -> MetadataDir {
        MetadataDir::at(self.path.join("metadata"), channel.clone())
    }

    /// What it says of itself.
    pub fn record(&self) -> Result<Record, StateError> {
        let path = self.path.join("release.json");
        let bytes = file::read(&path, RECORD_LIMIT)?;
        serde_json::from_slice(&bytes).map_err(|source| StateError::Malformed { path, source })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn at(directory: &Path, number: GenerationNumber) -> Self {
        Self {
            number,
            path: directory.join(number.to_string()),
        }
    }
}

pub(crate) fn write_record(scratch: &Path, directory: &Path, record: &Record) -> Result<(), FileError> {
    let mut text = serde_json::to_vec_pretty(record).expect("a record is JSON");
    text.push(b'\n');
    file::write(scratch, &directory.join("release.json"), &text)
}

/// The names under which Nix looks for a channel: `-I DIR/channels`, and a link to it in `~/.nix-defexpr`.
pub(crate) fn write_channels(directory: &Path) -> Result<(), FileError> {
    let channels = directory.join("channels");
    make_directory(&channels)?;
    for name in ["nixpkgs", "nixos"] {
        let link = channels.join(name);
        std::os::unix::fs::symlink("../nixexprs", &link).map_err(FileError::at("make the link", link))?;
    }
    Ok(())
}

/// The generations in `directory`, oldest first.
pub(crate) fn list(directory: &Path) -> Result<Vec<Generation>, FileError> {
    let names = match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let names = names.map_err(FileError::at("list", directory))?;
    let mut numbers: Vec<GenerationNumber> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers
        .into_iter()
        .map(|number| Generation::at(directory, number))
        .collect())
}
