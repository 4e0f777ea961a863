//! A directory that a web server serves: a copy of a channel. Every file is there whole or not at all, and readable by all.
//!
//! It is written in the order that lets clients come at any moment: what is named before what names it.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use attestation::Sha256Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::file::{self, FileError};

/// A directory that is, or becomes, a copy of a channel.
#[derive(Debug)]
pub struct Site {
    root: PathBuf,
}

/// A file of a site that is being written: hashed as it comes. Dropped, it is gone.
#[derive(Debug)]
pub struct SiteFile {
    file: NamedTempFile,
    path: PathBuf,
    hasher: Sha256,
    length: u64,
}

impl Site {
    /// The copy in `root`, which is made if it is not there.
    pub fn create(root: &Path) -> Result<Self, FileError> {
        file::make_directory(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Where a file of it is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Whether it has that file already, by what is in it and not by its name.
    pub fn has(&self, name: &str, length: u64, sha256: Sha256Digest) -> Result<bool, FileError> {
        let path = self.path(name);
        let mut source = match File::open(&path) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(FileError::at("read", path)(error)),
        };
        let mut hasher = Sha256::new();
        let found = io::copy(&mut source, &mut hasher).map_err(FileError::at("read", path))?;
        Ok(found == length && Sha256Digest::from(hasher) == sha256)
    }

    /// Begins a file.
    pub fn begin(&self, name: &str) -> Result<SiteFile, FileError> {
        let path = self.path(name);
        let directory = path.parent().unwrap_or(&self.root);
        file::make_directory(directory)?;
        let file = tempfile::Builder::new()
            .prefix(".incoming-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(directory)
            .map_err(FileError::at("make a file in", directory))?;
        Ok(SiteFile {
            file,
            path,
            hasher: Sha256::new(),
            length: 0,
        })
    }

    /// Writes a whole file. One that has these bytes already is left alone; says whether it was written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<bool, FileError> {
        if self.has(name, bytes.len() as u64, Sha256Digest::of(bytes))? {
            return Ok(false);
        }
        let mut file = self.begin(name)?;
        let path = file.path.clone();
        file.write_all(bytes).map_err(FileError::at("write", path))?;
        file.finish()?;
        Ok(true)
    }

    /// Has the file `from` also under the name `to`.
    pub fn link(&self, from: &str, to: &str) -> Result<(), FileError> {
        let (from, to) = (self.path(from), self.path(to));
        let directory = to.parent().unwrap_or(&self.root);
        file::make_directory(directory)?;
        let fresh = directory.join(".incoming-link");
        let _ = fs::remove_file(&fresh);
        fs::hard_link(&from, &fresh)
            .or_else(|_| fs::copy(&from, &fresh).map(|_| ()))
            .and_then(|()| fs::rename(&fresh, &to))
            // Two names of one file: the rename did nothing.
            .and_then(|()| match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            })
            .map_err(FileError::at("make the link", to))
    }
}

impl SiteFile {
    /// How many bytes came, and what they hash to.
    pub fn digest(&self) -> (u64, Sha256Digest) {
        (self.length, Sha256Digest::from(self.hasher.clone()))
    }

    /// Puts it in its place.
    pub fn finish(self) -> Result<(), FileError> {
        let Self { file, path, .. } = self;
        let error = |source| FileError {
            action: "write",
            path: path.clone(),
            source,
        };
        file.as_file().sync_all().map_err(error)?;
        file.persist(&path).map_err(|failed| error(failed.error))?;
        file::sync_parent(&path)
    }
}

impl io::Write for SiteFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
