//! The signed files that were accepted, kept as the bytes that were signed.
//!
//! They are floors (nothing older is accepted after them) and evidence (a generation carries those that it was
//! installed by). They are data like any other: whoever reads them back verifies them again from the pinned root on.

use std::path::{Path, PathBuf};

use attestation::ChannelName;

use crate::file::{self, FileError};

/// No kept file is larger: the bound of a keyring and of targets.
const LIMIT: u64 = 5 << 20;

/// One of the signed files, by what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataFile {
    /// The root of that version.
    Root(u64),
    /// Everybody's OpenPGP certificates, merged.
    Keyring,
    /// TUF's timestamp.
    Timestamp,
    /// TUF's snapshot.
    Snapshot,
    /// TUF's top-level targets.
    Targets,
    /// The targets of the channel.
    Channel,
    /// The list of violations.
    Violations,
}

/// A directory of signed files of one chain, seen by a subscriber of one of its channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataDir {
    path: PathBuf,
    channel: ChannelName,
}

/// Everything in such a directory. Nobody has verified it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataFiles {
    /// The roots from version 1 on, without a gap. Empty before the first update.
    pub roots: Vec<Vec<u8>>,
    /// The certificates.
    pub keyring: Vec<u8>,
    /// The others, as far as an update came.
    pub timestamp: Option<Vec<u8>>,
    /// See `timestamp`.
    pub snapshot: Option<Vec<u8>>,
    /// See `timestamp`.
    pub targets: Option<Vec<u8>>,
    /// See `timestamp`.
    pub channel: Option<Vec<u8>>,
    /// What people found to be bad, if anybody ever did.
    pub violations: Option<Vec<u8>>,
}

impl MetadataDir {
    pub(crate) const fn at(path: PathBuf, channel: ChannelName) -> Self {
        Self { path, channel }
    }

    /// Where one of them is, or would be.
    pub fn file(&self, part: MetadataFile) -> PathBuf {
        self.path.join(match part {
            MetadataFile::Root(version) => format!("roots/{version}.root.json"),
            MetadataFile::Keyring => "keyring.pgp".to_owned(),
            MetadataFile::Timestamp => "timestamp.json".to_owned(),
            MetadataFile::Snapshot => "snapshot.json".to_owned(),
            MetadataFile::Targets => "targets.json".to_owned(),
            MetadataFile::Violations => "violations.json".to_owned(),
            MetadataFile::Channel => format!("channels/{}.json", self.channel),
        })
    }

    /// Reads what is there.
    pub fn load(&self) -> Result<MetadataFiles, FileError> {
        let read = |part: MetadataFile| file::read_if_there(&self.file(part), LIMIT);
        let mut roots = Vec::new();
        while let Some(root) = read(MetadataFile::Root(roots.len() as u64 + 1))? {
            roots.push(root);
        }
        Ok(MetadataFiles {
            roots,
            keyring: read(MetadataFile::Keyring)?.unwrap_or_default(),
            timestamp: read(MetadataFile::Timestamp)?,
            snapshot: read(MetadataFile::Snapshot)?,
            targets: read(MetadataFile::Targets)?,
            channel: read(MetadataFile::Channel)?,
            violations: read(MetadataFile::Violations)?,
        })
    }

    pub(crate) fn store(&self, scratch: &Path, part: MetadataFile, bytes: &[u8]) -> Result<(), FileError> {
        file::make_directory(&self.path.join("roots"))?;
        file::make_directory(&self.path.join("channels"))?;
        file::write(scratch, &self.file(part), bytes)
    }

    pub(crate) fn store_all(&self, scratch: &Path, files: &MetadataFiles) -> Result<(), FileError> {
        for (version, root) in (1_u64..).zip(&files.roots) {
            self.store(scratch, MetadataFile::Root(version), root)?;
        }
        self.store(scratch, MetadataFile::Keyring, &files.keyring)?;
        for (part, bytes) in [
            (MetadataFile::Timestamp, &files.timestamp),
            (MetadataFile::Snapshot, &files.snapshot),
            (MetadataFile::Targets, &files.targets),
            (MetadataFile::Channel, &files.channel),
            (MetadataFile::Violations, &files.violations),
        ] {
            if let Some(bytes) = bytes {
                self.store(scratch, part, bytes)?;
            }
        }
        Ok(())
    }
}
