//! Patches: what a subscriber of an earlier release needs to have this one. docs/formats.md, "Patches".
//!
//! They are targets of the release, so people sign them, and whoever signs derives them again: the same two trees
//! give the same bytes on every machine. That is why they follow from git objects alone, and not from tarballs that
//! somebody may have.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use attestation::patch::{Entry, MAGIC, MAX_CONTENTS, MAX_LIST, Node, PatchList, PatchPath};
use importer::{Extra, FileMode, ObjectError, ObjectId, Repository, TreeError};
use zstd::stream::write::Encoder;

/// How hard zstd tries: a patch is made once and fetched by everybody. Other levels were not measured.
const LEVEL: i32 = 19;

/// One side: a tree and what the channel adds at its top.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The git tree.
    pub tree: ObjectId,
    /// What is added at its top.
    pub extras: &'a [Extra],
}

/// Why no patch was made.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// A tree is refused.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The objects cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A path that patches have no way to say.
    #[error("expected a path as in patches, found {found:?}")]
    Path {
        /// The path.
        found: String,
    },
    /// The compressor failed.
    #[error("the patch could not be compressed")]
    Compress(#[from] io::Error),
}

/// What is at a path, before anything was read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leaf {
    Directory,
    File { executable: bool, bytes: Bytes },
    Symlink { bytes: Bytes },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bytes {
    Blob(ObjectId),
    Here(Vec<u8>),
}

type Leaves = BTreeMap<PatchPath, Leaf>;

/// A tree with its extras, read once for the patches from several older ones.
#[derive(Debug)]
pub struct Tree(Leaves);

impl Tree {
    /// Lists what is in it; reads no contents.
    pub fn read(repository: &Repository, side: Side<'_>) -> Result<Self, PatchError> {
        let mut leaves = Leaves::new();
        for file in repository.listing(side.tree)?.files() {
            let path = path(file.path.as_str())?;
            add_parents(&mut leaves, &path);
            let bytes = Bytes::Blob(file.id);
            let leaf = match file.mode {
                FileMode::Regular | FileMode::Executable => Leaf::File {
                    executable: file.mode == FileMode::Executable,
                    bytes,
                },
                FileMode::Symlink => Leaf::Symlink { bytes },
                // As `git archive` and Nix have it.
                FileMode::Submodule => Leaf::Directory,
            };
            leaves.insert(path, leaf);
        }
        for extra in side.extras {
            let bytes = Bytes::Here(extra.contents().to_owned());
            let leaf = if extra.is_symlink() {
                Leaf::Symlink { bytes }
            } else {
                Leaf::File {
                    executable: false,
                    bytes,
                }
            };
            leaves.insert(path(extra.name())?, leaf);
        }
        Ok(Self(leaves))
    }
}

/// The patch from one tree to another; `None` if it would be larger than patches may be.
pub fn make(repository: &Repository, old: &Tree, new: &Tree) -> Result<Option<Vec<u8>>, PatchError> {
    let Changes { entries, gone, fresh } = compare(&old.0, &new.0);
    let (Some(gone), Some(fresh)) = (concatenate(repository, &gone)?, concatenate(repository, &fresh)?) else {
        return Ok(None);
    };
    let mut lengths = fresh.lengths.iter();
    let mut listed = Vec::new();
    for (path, leaf) in entries {
        let node = match leaf {
            None => Node::Absent,
            Some(Leaf::Directory) => Node::Directory,
            Some(Leaf::File { executable, .. }) => Node::File {
                executable: *executable,
                length: lengths.next().copied().unwrap_or(0),
            },
            Some(Leaf::Symlink { bytes }) => Node::Symlink {
                target: bytes.read(repository)?,
            },
        };
        let path = path.clone();
        listed.push(Entry { path, node });
    }
    let list = PatchList::new(listed)
        .expect("both trees are walked in order, and nothing is listed below what is gone")
        .to_bytes();
    if list.len() as u64 > MAX_LIST {
        return Ok(None);
    }
    let packed = compress(&list, &[])?;
    let mut out = MAGIC.to_vec();
    out.extend((packed.len() as u64).to_le_bytes());
    out.extend((list.len() as u64).to_le_bytes());
    out.extend(packed);
    out.extend(compress(&fresh.bytes, &gone.bytes)?);
    Ok(Some(out))
}

/// What differs between two trees.
struct Changes<'a> {
    /// Every path that differs, with what the new tree has there.
    entries: Vec<(&'a PatchPath, Option<&'a Leaf>)>,
    /// The old files that are there no more, or not like that.
    gone: Vec<&'a Bytes>,
    /// The new files.
    fresh: Vec<&'a Bytes>,
}

fn compare<'a>(old: &'a Leaves, new: &'a Leaves) -> Changes<'a> {
    let mut changes = Changes {
        entries: Vec::new(),
        gone: Vec::new(),
        fresh: Vec::new(),
    };
    // A directory that is none any more: what was in it goes with it.
    let mut gone_with: Option<&PatchPath> = None;
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let path = match (old.peek(), new.peek()) {
            (Some((old, _)), Some((new, _))) => (*old).min(*new),
            (Some((path, _)), None) | (None, Some((path, _))) => *path,
            (None, None) => return changes,
        };
        let before = old.next_if(|(there, _)| *there == path).map(|(_, leaf)| leaf);
        let after = new.next_if(|(there, _)| *there == path).map(|(_, leaf)| leaf);
        if before == after {
            continue;
        }
        if let Some(Leaf::File { bytes, .. }) = before {
            changes.gone.push(bytes);
        }
        if after.is_none() && gone_with.is_some_and(|directory| path.is_below(directory)) {
            continue;
        }
        changes.entries.push((path, after));
        if let Some(Leaf::File { bytes, .. }) = after {
            changes.fresh.push(bytes);
        }
        if before == Some(&Leaf::Directory) {
            gone_with = Some(path);
        }
    }
}

struct Contents {
    bytes: Vec<u8>,
    lengths: Vec<u64>,
}

/// The contents one after the other; `None` if they are more than patches hold.
fn concatenate(repository: &Repository, files: &[&Bytes]) -> Result<Option<Contents>, PatchError> {
    let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
    for file in files {
        let content = file.read(repository)?;
        lengths.push(content.len() as u64);
        bytes.extend(content);
        if bytes.len() as u64 > MAX_CONTENTS {
            return Ok(None);
        }
    }
    Ok(Some(Contents { bytes, lengths }))
}

impl Bytes {
    fn read(&self, repository: &Repository) -> Result<Vec<u8>, ObjectError> {
        match self {
            Self::Blob(id) => repository.blob(*id),
            Self::Here(bytes) => Ok(bytes.clone()),
        }
    }
}

/// One zstd frame, of a single thread: the same bytes everywhere. `base` is what it may refer to.
fn compress(bytes: &[u8], base: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = Encoder::with_ref_prefix(Vec::new(), LEVEL, base)?;
    // The window covers both, so that nothing of the base is out of reach.
    let window = (bytes.len().max(base.len()) as u64 + 1).next_power_of_two().ilog2();
    encoder.window_log(window.clamp(18, 29))?;
    encoder.long_distance_matching(true)?;
    encoder.include_contentsize(true)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn path(text: &str) -> Result<PatchPath, PatchError> {
    PatchPath::new(text).ok_or_else(|| PatchError::Path { found: text.to_owned() })
}

fn add_parents(leaves: &mut Leaves, path: &PatchPath) {
    let mut parent = path.parent().and_then(PatchPath::new);
    while let Some(directory) = parent {
        parent = directory.parent().and_then(PatchPath::new);
        if leaves.insert(directory, Leaf::Directory).is_some() {
            return;
        }
    }
}
