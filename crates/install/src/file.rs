//! Files that survive a power cut: every write goes to a temporary file, is flushed, and is renamed over the old one.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

/// Something that could not be done to a file. The environment's fault, never a verdict on what was downloaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileError {
    /// What was tried, as `write`.
    pub action: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`: `action` failed on `path`.
    pub fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { action, path, source }
    }
}

/// Writes `bytes` so that `path` holds either what it held before or all of them, by way of a temporary file in
/// `scratch`, which is on the same file system.
pub(crate) fn write(scratch: &Path, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let error = |source| FileError {
        action: "write",
        path: path.to_owned(),
        source,
    };
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(scratch)
        .map_err(error)?;
    file.write_all(bytes).map_err(error)?;
    file.as_file().sync_all().map_err(error)?;
    file.persist(path).map_err(|failed| error(failed.error))?;
    sync_parent(path)
}

/// Makes `path` a symbolic link to `target`, replacing the link that was there in one step.
pub(crate) fn replace_link(scratch: &Path, path: &Path, target: &Path) -> Result<(), FileError> {
    let fresh = scratch.join("link");
    symlink(target, &fresh).map_err(FileError::at("make the link", &fresh))?;
    fs::rename(&fresh, path).map_err(FileError::at("replace the link", path))?;
    sync_parent(path)
}

/// Moves a finished directory to its place; both are on one file system.
pub(crate) fn move_into_place(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::at("move into place", to))?;
    sync_parent(to)
}

/// The bytes of `path`, at most `limit` of them.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let error = |source| FileError {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(error)?;
    if bytes.len() as u64 > limit {
        return Err(error(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {limit} bytes"),
        )));
    }
    Ok(bytes)
}

/// As [`read`]; `None` when there is no such file.
pub(crate) fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    match read(path, limit) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a directory that may be there already.
pub(crate) fn make_directory(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(FileError::at("make the directory", path))
}

/// Makes durable that `path` is there, or is gone.
pub(crate) fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(FileError::at("flush the directory", parent))
}

/// Makes durable all that was written on the file system of `path`: one call for the thousands of files of a channel.
pub(crate) fn sync_file_system(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|directory| Ok(rustix::fs::syncfs(&directory)?))
        .map_err(FileError::at("flush", path))
}
