//! A new tree from an installed one and a patch: what did not change is linked, what did is written.
//!
//! Nothing is believed here: not the old tree (its owner may have touched it), not the patch. Whether the result is the
//! signed tree is decided afterwards by the NAR hash of all of it ([`crate::Unpacked::check`]), linked files included.
//!
//! A file that is linked is shared by generations: whoever writes into it in place damages all of them. That is
//! why only files are linked that nobody but root or the owner can write, why files are installed without any write
//! bit, and why [`Share::Nothing`] exists. `touchstone verify` sees the damage in each generation, and `touchstone update
//! --repair` downloads the whole. A copy would cost what unpacking costs: most of an update's time.

use std::{
    collections::HashSet,
    fs::{self, File, Metadata, OpenOptions, Permissions},
    io::{self, Read, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use attestation::patch::{Entry, MAGIC, MAX_CONTENTS, MAX_LIST, Node, PatchList, PatchListError, PatchPath};
use tempfile::TempDir;
use zstd::stream::read::Decoder;

use crate::{
    file::FileError,
    generation::Generation,
    locked::LockedState,
    stage::{InstallError, Unpacked, nixexprs},
    state::StateError,
    unpack::{Limits, MODE_EXECUTABLE, MODE_REGULAR, make_directory, stays_inside},
};

/// Bytes before the list: the magic, its packed and its plain length.
pub const HEAD: usize = MAGIC.len() + 16;

/// zstd's window: as much as contents may be, and what they are compressed against.
const WINDOW_LOG: u32 = 29;

/// Whether a new generation shares its unchanged files with an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Share {
    /// By hard links, where only root or the owner can write to a file.
    #[default]
    Links,
    /// Never: every file is written.
    Nothing,
}

/// Why a patch does not lead anywhere.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// It does not begin as patches do.
    #[error("not a patch of this format")]
    Magic,
    /// It breaks off, or is not zstd.
    #[error("not a complete patch")]
    Damaged(#[source] io::Error),
    /// Its list is refused.
    #[error("the list of the patch is refused")]
    List(#[from] PatchListError),
    /// It says that it is larger than anybody's.
    #[error("the patch has {found} bytes of {what}, at most {limit} are taken")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// What it says.
        found: u64,
    },
    /// Its lengths contradict each other.
    #[error("the patch holds {found} bytes of {what}, its list says {expected}")]
    Length {
        /// Of what.
        what: &'static str,
        /// What the list says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The old tree is not one that the patch could be from.
    #[error("{path:?} of the installed generation is not what a channel has")]
    Base {
        /// Where.
        path: PathBuf,
    },
    /// A link that could lead out of the tree.
    #[error("{path:?} links to {target:?}, out of the tree")]
    LinkOut {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The patch puts something where there is no directory, or where something else is.
    #[error("{path:?} cannot be put there: it is from another tree")]
    Place {
        /// Where.
        path: String,
    },
    /// More entries than the bound.
    #[error("has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: u64,
    },
    /// The disk, not the patch.
    #[error(transparent)]
    File(#[from] FileError),
}

impl LockedState {
    /// What the tree of `base` becomes by `patch`, where nobody looks.
    pub fn patched(
        &self,
        base: &Generation,
        patch: impl Read,
        share: Share,
        limits: Limits,
    ) -> Result<Unpacked, InstallError> {
        let scratch = self.scratch();
        let directory = TempDir::new_in(&scratch).map_err(FileError::at("make a directory in", scratch));
        let directory = directory.map_err(StateError::from)?;
        apply(&base.nixexprs(), patch, &nixexprs(directory.path()), share, limits).map_err(|error| match error {
            PatchError::File(error) => InstallError::State(error.into()),
            error => InstallError::Patch(error),
        })?;
        Ok(Unpacked::new(directory))
    }
}

/// Makes the new directory `into` from the directory `old` and a patch.
pub fn apply(old: &Path, patch: impl Read, into: &Path, share: Share, limits: Limits) -> Result<(), PatchError> {
    let mut patch = patch;
    let list = read_list(&mut patch)?;
    let contents_length = list.contents_length().unwrap_or(u64::MAX);
    at_most("new files", contents_length, MAX_CONTENTS.min(limits.bytes))?;
    let mut tree = Tree {
        old,
        into,
        share,
        limits,
        owner: rustix::process::geteuid().as_raw(),
        entries: list.entries(),
        directories: HashSet::new(),
        count: 0,
        gone: Vec::new(),
    };
    make_directory(into)?;
    tree.keep("")?;
    let gone = std::mem::take(&mut tree.gone);
    let mut contents = Decoder::with_ref_prefix(io::BufReader::new(patch), gone.as_slice())
        .and_then(|mut decoder| decoder.window_log_max(WINDOW_LOG).map(|()| decoder))
        .map_err(PatchError::Damaged)?
        .take(contents_length + 1);
    for entry in list.entries() {
        tree.add(entry, &mut contents)?;
    }
    // What is left over was not listed.
    match io::copy(&mut contents, &mut io::sink()).map_err(PatchError::Damaged)? {
        0 => Ok(()),
        more => Err(PatchError::Length {
            what: "new files",
            expected: contents_length,
            found: contents_length + more,
        }),
    }
}

/// Reads up to where the contents begin: the magic, the packed and the plain length of the list, the list.
fn read_list(patch: &mut impl Read) -> Result<PatchList, PatchError> {
    let mut magic = [0; MAGIC.len()];
    patch.read_exact(&mut magic).map_err(PatchError::Damaged)?;
    if magic != MAGIC {
        return Err(PatchError::Magic);
    }
    let mut number = || -> Result<u64, PatchError> {
        let mut bytes = [0; 8];
        patch.read_exact(&mut bytes).map_err(PatchError::Damaged)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let (packed, plain) = (number()?, number()?);
    at_most("list", packed, MAX_LIST)?;
    at_most("list", plain, MAX_LIST)?;
    let mut list = Vec::new();
    Decoder::new(patch.take(packed))
        .and_then(|decoder| decoder.take(plain + 1).read_to_end(&mut list))
        .map_err(PatchError::Damaged)?;
    if list.len() as u64 != plain {
        return Err(PatchError::Length {
            what: "list",
            expected: plain,
            found: list.len() as u64,
        });
    }
    Ok(PatchList::from_bytes(&list)?)
}

const fn at_most(what: &'static str, found: u64, limit: u64) -> Result<(), PatchError> {
    if found > limit {
        Err(PatchError::TooLarge { what, limit, found })
    } else {
        Ok(())
    }
}

/// The new tree as it grows.
struct Tree<'a> {
    old: &'a Path,
    into: &'a Path,
    share: Share,
    limits: Limits,
    owner: u32,
    entries: &'a [Entry],
    /// The directories that were made, the top (`""`) among them: nothing is put anywhere else.
    directories: HashSet<String>,
    count: u64,
    /// The contents of the old files that are gone, in the order of their paths: what the new ones are compressed
    /// against.
    gone: Vec<u8>,
}

impl Tree<'_> {
    /// Takes over what did not change below a directory of the old tree, whose directory in the new one was made.
    fn keep(&mut self, directory: &str) -> Result<(), PatchError> {
        self.directories.insert(directory.to_owned());
        for (path, metadata) in self.siblings(directory)? {
            match self.node(&path) {
                Some(node) if node.replaces() => self.forget(path.as_str(), &metadata)?,
                Some(_) if metadata.is_dir() => return Err(base(path.as_str())),
                // A directory in place of a file.
                Some(_) => self.forget(path.as_str(), &metadata)?,
                None => self.keep_one(path.as_str(), &metadata)?,
            }
        }
        Ok(())
    }

    fn keep_one(&mut self, path: &str, metadata: &Metadata) -> Result<(), PatchError> {
        self.count_one()?;
        let (from, to) = (self.old.join(path), self.into.join(path));
        if metadata.is_dir() {
            make_directory(&to)?;
            return self.keep(path);
        }
        if metadata.is_symlink() {
            let target = fs::read_link(&from).map_err(FileError::at("read the link", &from))?;
            return link(path, &target, &to);
        }
        if !metadata.is_file() {
            return Err(base(path));
        }
        let shareable =
            matches!(metadata.mode() & 0o7777, 0o444 | 0o555 | 0o644 | 0o755) && metadata.uid() == self.owner;
        // Where a file has as many names as it can have, it is written anew.
        if self.share == Share::Links && shareable && fs::hard_link(&from, &to).is_ok() {
            return Ok(());
        }
        let source = File::open(&from).map_err(FileError::at("read", &from))?;
        write_file(source.take(metadata.len()), metadata.mode() & 0o100 != 0, &to).map(|_| ())
    }

    /// Collects the contents of what is gone.
    fn forget(&mut self, path: &str, metadata: &Metadata) -> Result<(), PatchError> {
        if metadata.is_dir() {
            for (path, metadata) in self.siblings(path)? {
                self.forget(path.as_str(), &metadata)?;
            }
        } else if metadata.is_file() {
            at_most("old files", self.gone.len() as u64 + metadata.len(), MAX_CONTENTS)?;
            let from = self.old.join(path);
            File::open(&from)
                .and_then(|file| file.take(metadata.len()).read_to_end(&mut self.gone))
                .map_err(FileError::at("read", from))?;
        }
        Ok(())
    }

    /// What is in a directory of the old tree, in order.
    fn siblings(&self, directory: &str) -> Result<Vec<(PatchPath, Metadata)>, PatchError> {
        let on_disk = self.old.join(directory);
        let error = |source| FileError {
            action: "list",
            path: on_disk.clone(),
            source,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&on_disk).map_err(error)? {
            let entry = entry.map_err(error)?;
            let name = entry.file_name();
            let path = name.to_str().and_then(|name| match directory {
                "" => PatchPath::new(name),
                _ => PatchPath::new(&format!("{directory}/{name}")),
            });
            let path = path.ok_or_else(|| base(on_disk.join(&name)))?;
            // Of the entry itself: no link is followed.
            found.push((path, entry.metadata().map_err(error)?));
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn node(&self, path: &PatchPath) -> Option<&Node> {
        let position = self.entries.binary_search_by(|entry| entry.path.cmp(path)).ok()?;
        self.entries.get(position).map(|entry| &entry.node)
    }

    /// Puts a new node in its place.
    fn add(&mut self, entry: &Entry, contents: &mut impl Read) -> Result<(), PatchError> {
        let path = entry.path.as_str();
        let place = || PatchError::Place { path: path.to_owned() };
        if !self.directories.contains(entry.path.parent().unwrap_or("")) {
            return Err(place());
        }
        let to = self.into.join(path);
        if entry.node != Node::Absent {
            self.count_one()?;
            if to.symlink_metadata().is_ok() {
                return Err(place());
            }
        }
        match &entry.node {
            Node::Absent => Ok(()),
            Node::Directory => {
                make_directory(&to)?;
                self.directories.insert(path.to_owned());
                Ok(())
            }
            Node::Symlink { target } => link(path, Path::new(std::ffi::OsStr::from_bytes(target)), &to),
            Node::File { executable, length } => {
                let found = write_file(contents.take(*length), *executable, &to)?;
                if found == *length {
                    Ok(())
                } else {
                    let what = "new files";
                    let expected = *length;
                    Err(PatchError::Length { what, expected, found })
                }
            }
        }
    }

    const fn count_one(&mut self) -> Result<(), PatchError> {
        self.count += 1;
        if self.count > self.limits.entries {
            let limit = self.limits.entries;
            return Err(PatchError::TooManyEntries { limit });
        }
        Ok(())
    }
}

fn base(path: impl Into<PathBuf>) -> PatchError {
    PatchError::Base { path: path.into() }
}

fn link(path: &str, target: &Path, to: &Path) -> Result<(), PatchError> {
    if !stays_inside(Path::new(path), target) {
        return Err(PatchError::LinkOut {
            path: path.into(),
            target: target.to_owned(),
        });
    }
    Ok(symlink(target, to).map_err(FileError::at("make the link", to))?)
}

/// Writes a file; gives its length. What cannot be read is the patch's fault.
fn write_file(mut from: impl Read, executable: bool, to: &Path) -> Result<u64, PatchError> {
    let mode = if executable { MODE_EXECUTABLE } else { MODE_REGULAR };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(to)
        .map_err(FileError::at("create", to))?;
    let (mut length, mut buffer) = (0, [0; 64 << 10]);
    loop {
        let count = from.read(&mut buffer).map_err(PatchError::Damaged)?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).map_err(FileError::at("write", to))?;
        length += count as u64;
    }
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(FileError::at("set the mode of", to))?;
    Ok(length)
}
