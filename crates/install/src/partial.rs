//! A download that may go on where an earlier one broke off: `partial/<sha256>`.
//!
//! What is kept is the beginning of *something*, from whatever mirror. It is never trusted: the file is used when the
//! digest of the whole is the signed one, and thrown away otherwise.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use attestation::Sha256Digest;
use rustix::fs::OFlags;

use crate::{
    file::{self, FileError},
    locked::LockedState,
};

/// The beginning of a download, perhaps all of it.
#[derive(Debug)]
pub struct PartialFile {
    file: File,
    path: PathBuf,
    length: u64,
}

impl LockedState {
    /// What there is of the file with that SHA-256.
    pub fn partial(&self, sha256: Sha256Digest) -> Result<PartialFile, FileError> {
        let directory = self.partial_dir();
        file::make_directory(&directory)?;
        let path = directory.join(sha256.to_string());
        let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(no_link)
            .open(&path)
            .map_err(FileError::at("open", &path))?;
        let length = file.metadata().map_err(FileError::at("read", &path))?.len();
        Ok(PartialFile { file, path, length })
    }

    /// Forgets unfinished downloads.
    pub fn forget_partials(&self) -> Result<(), FileError> {
        self.keep_partials(&[])
    }

    /// Forgets unfinished downloads but those of these files.
    pub fn keep_partials(&self, wanted: &[Sha256Digest]) -> Result<(), FileError> {
        let directory = self.partial_dir();
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(FileError::at("list", directory)(error)),
        };
        for entry in entries {
            let path = entry.map_err(FileError::at("list", &directory))?.path();
            let is_wanted = |sha256: &Sha256Digest| path == directory.join(sha256.to_string());
            if !wanted.iter().any(is_wanted) {
                fs::remove_file(&path).map_err(FileError::at("remove", path))?;
            }
        }
        Ok(())
    }
}

impl PartialFile {
    /// How many bytes there are.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The file, at its beginning.
    pub fn read(&mut self) -> io::Result<&mut File> {
        self.file.rewind()?;
        Ok(&mut self.file)
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets what there is.
    pub fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }

    /// Removes the file: it has served, or it is not what it should be.
    pub fn discard(self) -> Result<(), FileError> {
        fs::remove_file(&self.path).map_err(FileError::at("remove", self.path))
    }
}
