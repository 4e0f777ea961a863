//! Unpacks a channel's `tar.xz`, believing nothing in it.
//!
//! Default deny: plain files, directories and symbolic links that stay inside, under one top directory, each path
//! once, within the bounds; whatever else a tar file can hold is refused by name. Whether the result is the signed
//! tree is decided afterwards, by its NAR hash.

use std::{
    borrow::Cow,
    cell::Cell,
    collections::HashMap,
    ffi::OsStr,
    fs::{self, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{OpenOptionsExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use liblzma::{read::XzDecoder, stream::Stream};
use tar::{Archive, Entry, EntryType};

use crate::file::FileError;

/// What the decoder may use: xz -9 takes 65 MB.
const DECODER_MEMORY: u64 = 128 << 20;

/// Linux's `PATH_MAX`.
const LONGEST_PATH: u64 = 4096;

/// Linux's `NAME_MAX`.
const LONGEST_NAME: usize = 255;

/// Nobody writes into an installed file by accident: it may be one of several generations' (see [`crate::patch`]).
pub(crate) const MODE_REGULAR: u32 = 0o444;
/// See [`MODE_REGULAR`].
pub(crate) const MODE_EXECUTABLE: u32 = 0o555;

/// How much an archive may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the uncompressed tar file.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

impl Default for Limits {
    /// Ten times today's nixpkgs.
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            entries: 1_000_000,
        }
    }
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Not a whole `tar.xz`.
    #[error("not a complete tar.xz")]
    Archive(#[source] io::Error),
    /// Grows beyond the bound.
    #[error("unpacks to more than {limit} bytes")]
    TooManyBytes {
        /// The bound.
        limit: u64,
    },
    /// More entries than the bound.
    #[error("has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: u64,
    },
    /// A path that is absolute, leaves the tree, or has two spellings.
    #[error("expected a relative path without empty, . or .. components, found {found:?}")]
    Path {
        /// The path that was read.
        found: PathBuf,
    },
    /// A name longer than the file system takes.
    #[error("expected a path of at most {limit} bytes, found {found}")]
    PathLength {
        /// The bound.
        limit: u64,
        /// How long it is.
        found: u64,
    },
    /// Neither a plain file, nor a directory, nor a symbolic link.
    #[error("{path:?} is a {found}")]
    Kind {
        /// Where.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A symbolic link that could lead out of the tree.
    #[error("{path:?} links to {target:?}, out of the tree")]
    LinkOut {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Something beside the one top directory.
    #[error("expected everything in the directory {expected:?}, found {found:?}")]
    OutsideTop {
        /// The top directory.
        expected: PathBuf,
        /// The path beside it.
        found: PathBuf,
    },
    /// Not even a top directory.
    #[error("holds no directory")]
    Empty,
    /// One path twice: two readers could see two trees.
    #[error("{path:?} stands twice")]
    Duplicate {
        /// The path.
        path: PathBuf,
    },
    /// A path through something that is not a directory, such as a link that was unpacked before.
    #[error("{path:?} leads through {through:?}, which is not a directory")]
    ThroughFile {
        /// The path.
        path: PathBuf,
        /// The part of it that is no directory.
        through: PathBuf,
    },
    /// The disk, not the archive.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Unpacks `archive` into the new directory `into`: the archive's top directory is stripped.
///
/// What was written when it fails is left to the caller, who gave a place that is thrown away.
pub fn unpack(archive: impl Read, into: &Path, limits: Limits) -> Result<(), UnpackError> {
    let decoder = Stream::new_stream_decoder(DECODER_MEMORY, 0).map_err(|error| UnpackError::Archive(error.into()))?;
    let exceeded = Cell::new(false);
    let plain = Bounded {
        inner: XzDecoder::new_stream(archive, decoder),
        left: limits.bytes,
        exceeded: &exceeded,
    };
    let mut tree = Tree {
        into,
        top: None,
        found: HashMap::new(),
    };
    let unpacked = tree.unpack(&mut Archive::new(plain), limits.entries);
    match unpacked {
        Err(UnpackError::Archive(_)) if exceeded.get() => Err(UnpackError::TooManyBytes { limit: limits.bytes }),
        Ok(()) if tree.top.is_none() => Err(UnpackError::Empty),
        other => other,
    }
}

/// A reader that fails beyond its bound, instead of feigning an end.
struct Bounded<'a, R> {
    inner: R,
    left: u64,
    exceeded: &'a Cell<bool>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                self.exceeded.set(true);
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(count)
    }
}

/// What has been unpacked at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A directory that had an entry of its own.
    Directory,
    /// A directory that only stood in the path of something else, so far.
    ImpliedDirectory,
    /// A file or a link.
    Leaf,
}

/// The tree as it grows.
struct Tree<'a> {
    into: &'a Path,
    top: Option<Vec<u8>>,
    found: HashMap<PathBuf, Found>,
}

impl Tree<'_> {
    fn unpack<R: Read>(&mut self, archive: &mut Archive<R>, most: u64) -> Result<(), UnpackError> {
        let (mut long_path, mut long_target) = (None, None);
        // Raw: extensions that change the meaning of a header are read here or not at all.
        for (count, entry) in (1_u64..).zip(archive.entries().map_err(UnpackError::Archive)?.raw(true)) {
            let mut entry = entry.map_err(UnpackError::Archive)?;
            if count > most {
                return Err(UnpackError::TooManyEntries { limit: most });
            }
            match entry.header().entry_type() {
                EntryType::GNULongName => long_path = Some(read_name(&mut entry)?),
                EntryType::GNULongLink => long_target = Some(read_name(&mut entry)?),
                kind => {
                    let path = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                    let target = long_target.take();
                    self.add(kind, &path, target, &mut entry)?;
                }
            }
        }
        Ok(())
    }

    fn add<R: Read>(
        &mut self,
        kind: EntryType,
        path: &[u8],
        long_target: Option<Vec<u8>>,
        entry: &mut Entry<'_, R>,
    ) -> Result<(), UnpackError> {
        if kind != EntryType::Directory && path.ends_with(b"/") {
            return Err(UnpackError::Path {
                found: OsStr::from_bytes(path).into(),
            });
        }
        let relative = self.below_top(path)?;
        let on_disk = self.into.join(&relative);
        match kind {
            EntryType::Directory => self.add_directory(&relative, Found::Directory),
            EntryType::Regular => {
                self.add_leaf(&relative)?;
                write_file(entry, &on_disk)
            }
            EntryType::Symlink => {
                let target = long_target.or_else(|| entry.link_name_bytes().map(Cow::into_owned));
                let target = PathBuf::from(OsStr::from_bytes(&target.unwrap_or_default()));
                self.add_leaf(&relative)?;
                if !stays_inside(&relative, &target) {
                    return Err(UnpackError::LinkOut { path: relative, target });
                }
                symlink(target, &on_disk).map_err(FileError::at("make the link", on_disk))?;
                Ok(())
            }
            other => Err(UnpackError::Kind {
                path: relative,
                found: kind_name(other),
            }),
        }
    }

    /// The path below the top directory, which the first entry decides.
    fn below_top(&mut self, path: &[u8]) -> Result<PathBuf, UnpackError> {
        let display = || PathBuf::from(OsStr::from_bytes(path));
        let mut parts = path.strip_suffix(b"/").unwrap_or(path).split(|byte| *byte == b'/');
        if parts
            .clone()
            .any(|part| matches!(part, b"" | b"." | b"..") || part.contains(&0))
        {
            return Err(UnpackError::Path { found: display() });
        }
        if let Some(long) = parts.clone().find(|part| part.len() > LONGEST_NAME) {
            return Err(UnpackError::PathLength {
                limit: LONGEST_NAME as u64,
                found: long.len() as u64,
            });
        }
        let top = parts.next().unwrap_or_default();
        match &self.top {
            None => {
                self.top = Some(top.to_owned());
                make_directory(self.into)?;
            }
            Some(expected) if expected == top => {}
            Some(expected) => {
                return Err(UnpackError::OutsideTop {
                    expected: OsStr::from_bytes(expected).into(),
                    found: display(),
                });
            }
        }
        Ok(parts.map(OsStr::from_bytes).collect())
    }

    fn add_directory(&mut self, relative: &Path, how: Found) -> Result<(), UnpackError> {
        match self.found.get(relative) {
            None => {
                if relative != Path::new("") {
                    self.add_parents(relative)?;
                    make_directory(&self.into.join(relative))?;
                }
            }
            Some(Found::ImpliedDirectory) => {}
            Some(Found::Directory | Found::Leaf) => {
                return Err(UnpackError::Duplicate {
                    path: relative.to_owned(),
                });
            }
        }
        self.found.insert(relative.to_owned(), how);
        Ok(())
    }

    fn add_leaf(&mut self, relative: &Path) -> Result<(), UnpackError> {
        if relative == Path::new("") || self.found.contains_key(relative) {
            return Err(UnpackError::Duplicate {
                path: relative.to_owned(),
            });
        }
        self.add_parents(relative)?;
        self.found.insert(relative.to_owned(), Found::Leaf);
        Ok(())
    }

    /// Everything above `relative` is, or becomes, a real directory: nothing is ever written through a link.
    fn add_parents(&mut self, relative: &Path) -> Result<(), UnpackError> {
        let Some(parent) = relative.parent().filter(|parent| *parent != Path::new("")) else {
            return Ok(());
        };
        match self.found.get(parent) {
            Some(Found::Directory | Found::ImpliedDirectory) => Ok(()),
            Some(Found::Leaf) => Err(UnpackError::ThroughFile {
                path: relative.to_owned(),
                through: parent.to_owned(),
            }),
            None => self.add_directory(parent, Found::ImpliedDirectory),
        }
    }
}

/// A long name as GNU tar stores it: the data of an entry before the one it belongs to.
fn read_name<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, UnpackError> {
    let found = entry.size();
    if found > LONGEST_PATH {
        return Err(UnpackError::PathLength {
            limit: LONGEST_PATH,
            found,
        });
    }
    let mut name = Vec::new();
    entry.read_to_end(&mut name).map_err(UnpackError::Archive)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn write_file<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> Result<(), UnpackError> {
    let executable = entry.header().mode().map_err(UnpackError::Archive)? & 0o100 != 0;
    let mode = if executable { MODE_EXECUTABLE } else { MODE_REGULAR };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(FileError::at("create", path))?;
    let mut buffer = [0; 64 << 10];
    loop {
        let count = entry.read(&mut buffer).map_err(UnpackError::Archive)?;
        if count == 0 {
            break;
        }
        io::Write::write_all(&mut file, &buffer[..count]).map_err(FileError::at("write", path))?;
    }
    // Readers of the channel are other users, whatever the umask of this one.
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(FileError::at("set the mode of", path))?;
    Ok(())
}

pub(crate) fn make_directory(path: &Path) -> Result<(), FileError> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .map_err(FileError::at("make the directory", path))
}

/// Whether a link at `link` to `target` stays in the tree whatever other links are in it.
///
/// `..` is allowed at the start only, and no further up than the top: from there names lead down, perhaps through
/// other links of which the same holds. `a/..` is refused, since with `a` a link its lexical reading is wrong.
pub(crate) fn stays_inside(link: &Path, target: &Path) -> bool {
    let bytes = target.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.starts_with(b"/") || bytes.contains(&0) {
        return false;
    }
    let depth = link.components().count() - 1;
    let parts = bytes.split(|byte| *byte == b'/');
    let ups = parts
        .clone()
        .take_while(|part| matches!(*part, b".." | b"."))
        .filter(|part| *part == b"..")
        .count();
    let all_ups = parts.filter(|part| *part == b"..").count();
    ups == all_ups && ups <= depth
}

const fn kind_name(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "hard link",
        EntryType::Char => "character device",
        EntryType::Block => "block device",
        EntryType::Fifo => "named pipe",
        EntryType::GNUSparse => "sparse file",
        EntryType::XHeader | EntryType::XGlobalHeader => "pax header",
        EntryType::Continuous => "contiguous file",
        _ => "entry of an unknown kind",
    }
}
