//! A channel as static files: what any web server, object store or USB stick can carry.
//!
//! Every file is written under a temporary name and renamed, targets before the metadata that names them, the
//! timestamp last: a client that comes in between finds the old channel whole.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use attestation::{ChannelName, Sha256Digest};
use sha2::{Digest as _, Sha256};

/// A directory that is, or becomes, a channel's site.
pub struct Site {
    root: PathBuf,
}

/// Why a site could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be {action}", .path.display())]
pub struct SiteError {
    /// The file.
    pub path: PathBuf,
    /// `written` or `read`.
    pub action: &'static str,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Site {
    /// The site below `root`, which need not exist yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where a file of the site is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The path of a target in a repository with consistent snapshots: the digest before the name.
    pub fn target_name(target: &str, sha256: Sha256Digest) -> String {
        match target.rsplit_once('/') {
            Some((directory, file)) => format!("targets/{directory}/{sha256}.{file}"),
            None => format!("targets/{sha256}.{target}"),
        }
    }

    /// The path of the statements that a release was the first to list. No metadata names it: each statement has its
    /// author's signature, and its id stands in the list that the release signs.
    pub fn statements_name(channel: &ChannelName, sequence: u64) -> String {
        format!("statements/{channel}/{sequence}.dsse.json")
    }

    /// A file of the site; `None` where there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SiteError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SiteError {
                path,
                action: "read",
                source,
            }),
        }
    }

    /// Writes a file whole or not at all. One that has these bytes already is left alone.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SiteError> {
        if self.read(name)?.as_deref() == Some(bytes) {
            return Ok(());
        }
        self.place(name, |file| file.write_all(bytes))
    }

    /// Puts a copy of `source` there, whole or not at all.
    pub fn copy(&self, source: &Path, name: &str) -> Result<(), SiteError> {
        self.place(name, |file| io::copy(&mut File::open(source)?, file).map(|_| ()))
    }

    /// Length and SHA-256 of a file of the site.
    pub fn digest(&self, name: &str) -> Result<(u64, Sha256Digest), SiteError> {
        let path = self.path(name);
        let read = || -> io::Result<(u64, Sha256Digest)> {
            let mut file = File::open(&path)?;
            let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
            loop {
                let count = file.read(&mut buffer)?;
                if count == 0 {
                    return Ok((length, hasher.into()));
                }
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
        };
        read().map_err(|source| SiteError {
            path: path.clone(),
            action: "read",
            source,
        })
    }

    fn place(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), SiteError> {
        let path = self.path(name);
        let place = || -> io::Result<()> {
            let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
            fs::create_dir_all(directory)?;
            let mut file = tempfile::Builder::new()
                .prefix(".incoming-")
                .permissions(readable_by_all())
                .tempfile_in(directory)?;
            fill(file.as_file_mut())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(directory)?.sync_all()
        };
        place().map_err(|source| SiteError {
            path: path.clone(),
            action: "written",
            source,
        })
    }
}

/// A web server is another user.
fn readable_by_all() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o644)
}
