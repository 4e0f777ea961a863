//! The NAR of a path on disk.

use std::{
    fs::{self, File, Metadata},
    io::{self, Write},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use sha2::Sha256;

use super::{BUFFER, Counted, NarDigest, NarError};

/// Deeper trees are refused before they exhaust the stack.
const MAX_DEPTH: usize = 256;

/// Why a path on disk has no NAR.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The path could not be read.
    #[error("{path} could not be read")]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is not a directory, where one is needed.
    #[error("expected a directory, found {path} which is none")]
    NotDirectory {
        /// What was met.
        path: PathBuf,
    },
    /// A socket, pipe or device: a NAR has no such thing.
    #[error("expected a regular file, a directory or a symlink, found {path} which is none of them")]
    FileType {
        /// What was met.
        path: PathBuf,
    },
    /// Directories within directories beyond any sane tree.
    #[error("expected at most {expected} directory levels, found more at {path}")]
    Depth {
        /// The limit.
        expected: usize,
        /// Where it was exceeded.
        path: PathBuf,
    },
    /// The archive could not be written, or the path changed while it was read.
    #[error("{path} could not be archived")]
    Archive {
        /// What was archived.
        path: PathBuf,
        /// What went wrong.
        source: NarError,
    },
}

/// The digest of the NAR of a directory, as `nix hash path` computes it. Symlinks are not followed, below `path`
/// or at it; a file is executable when its owner may execute it.
pub fn hash_directory(path: &Path) -> Result<NarDigest, DiskError> {
    if !metadata(path)?.is_dir() {
        return Err(DiskError::NotDirectory { path: path.to_owned() });
    }
    hash_path(path)
}

/// The digest of the NAR of a directory, a regular file or a symlink. See [`hash_directory`].
pub fn hash_path(path: &Path) -> Result<NarDigest, DiskError> {
    let (hasher, size) = write_path(path, Sha256::default())?;
    Ok(NarDigest {
        sha256: hasher.into(),
        size,
    })
}

/// Writes the NAR of a directory, a regular file or a symlink; gives back `out`, flushed, and the archive's length
/// in bytes. See [`hash_directory`].
pub fn write_path<W: Write>(path: &Path, out: W) -> Result<(W, u64), DiskError> {
    let mut out = Counted::new(out, BUFFER);
    let archive = |source| DiskError::Archive {
        path: path.to_owned(),
        source,
    };
    out.string(b"nix-archive-1").map_err(archive)?;
    write_node(&mut out, &mut path.to_owned(), 0)?;
    out.finish().map_err(archive)
}

/// Writes the node at `path`, which is given back unchanged: one buffer serves the whole walk.
fn write_node<W: Write>(out: &mut Counted<W>, path: &mut PathBuf, depth: usize) -> Result<(), DiskError> {
    let metadata = metadata(path)?;
    let file_type = metadata.file_type();
    if file_type.is_dir() {
        write_directory(out, path, depth)
    } else if file_type.is_file() {
        write_file(out, path, &metadata)
    } else if file_type.is_symlink() {
        let target = fs::read_link(&path).map_err(|source| DiskError::Read {
            path: path.clone(),
            source,
        })?;
        out.symlink(path.as_os_str().as_bytes(), target.as_os_str().as_bytes())
            .map_err(|source| DiskError::Archive {
                path: path.clone(),
                source,
            })
    } else {
        Err(DiskError::FileType { path: path.clone() })
    }
}

fn write_directory<W: Write>(out: &mut Counted<W>, path: &mut PathBuf, depth: usize) -> Result<(), DiskError> {
    if depth == MAX_DEPTH {
        return Err(DiskError::Depth {
            expected: MAX_DEPTH,
            path: path.clone(),
        });
    }
    let mut names = fs::read_dir(&path)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(|source| DiskError::Read {
            path: path.clone(),
            source,
        })?;
    names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));

    let wrap = |path: &Path, result: Result<(), NarError>| {
        result.map_err(|source| DiskError::Archive {
            path: path.to_owned(),
            source,
        })
    };
    wrap(path, out.strings(&[b"(", b"type", b"directory"]))?;
    for name in names {
        wrap(path, out.strings(&[b"entry", b"(", b"name", name.as_bytes(), b"node"]))?;
        path.push(&name);
        write_node(out, path, depth + 1)?;
        path.pop();
        wrap(path, out.string(b")"))?;
    }
    wrap(path, out.string(b")"))
}

fn write_file<W: Write>(out: &mut Counted<W>, path: &Path, metadata: &Metadata) -> Result<(), DiskError> {
    let executable = metadata.permissions().mode() & 0o100 != 0;
    let file = File::open(path).map_err(|source| DiskError::Read {
        path: path.to_owned(),
        source,
    })?;
    out.regular_header(executable)
        .and_then(|()| out.contents_from(path.as_os_str().as_bytes(), metadata.len(), file))
        .and_then(|()| out.string(b")"))
        .map_err(|source| DiskError::Archive {
            path: path.to_owned(),
            source,
        })
}

fn metadata(path: &Path) -> Result<Metadata, DiskError> {
    fs::symlink_metadata(path).map_err(|source| DiskError::Read {
        path: path.to_owned(),
        source,
    })
}
