//! The union of two trees of the ledger.

use std::collections::BTreeMap;

use gix::{
    ObjectId,
    bstr::{BString, ByteSlice},
    objs::tree::Entry,
};

use crate::{
    path::LedgerPath,
    snapshot::{Kind, is_directory, joined, kind},
    store::{ReadError, WriteError, reading, writing},
};

/// How deep foreign directories are united; a deeper one is taken from one side whole.
const DEEPEST: usize = 32;

/// One path with two contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} is blob {ours} here and blob {theirs} there{}", if .path.is_written_once() { ": two files claim one version" } else { "" })]
pub struct Conflict {
    /// The path.
    pub path: LedgerPath,
    /// The blob that this ledger has.
    pub ours: ObjectId,
    /// The blob that the other ledger has.
    pub theirs: ObjectId,
}

impl Conflict {
    /// Whether the chain has forked, or somebody published two things under one version.
    pub const fn is_alarm(&self) -> bool {
        self.path.is_written_once()
    }
}

/// One side of a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What this ledger has.
    Ours,
    /// What the other ledger has.
    Theirs,
}

/// What somebody who can verify both sides has decided about conflicts. Root 1 is the chain itself: whatever
/// is said here, it never gives way.
pub type Resolutions = BTreeMap<LedgerPath, Side>;

/// What the union is, and what it took.
pub(crate) struct Union {
    pub(crate) tree: ObjectId,
    /// The files that came from their side.
    pub(crate) gained: Vec<LedgerPath>,
    pub(crate) conflicts: Vec<Conflict>,
    /// Trees that were written.
    pub(crate) written: Vec<ObjectId>,
}

/// Writes the union of two trees.
pub(crate) fn unite(
    repo: &gix::Repository,
    ours: ObjectId,
    theirs: ObjectId,
    resolutions: &Resolutions,
) -> Result<Union, UnionError> {
    let mut uniter = Uniter {
        repo,
        resolutions,
        gained: Vec::new(),
        conflicts: Vec::new(),
        written: Vec::new(),
    };
    let tree = uniter.trees("", 0, ours, theirs)?;
    let Uniter {
        mut gained,
        conflicts,
        written,
        ..
    } = uniter;
    gained.sort();
    Ok(Union {
        tree,
        gained,
        conflicts,
        written,
    })
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum UnionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

struct Uniter<'a> {
    repo: &'a gix::Repository,
    resolutions: &'a Resolutions,
    gained: Vec<LedgerPath>,
    conflicts: Vec<Conflict>,
    written: Vec<ObjectId>,
}

impl Uniter<'_> {
    fn trees(&mut self, prefix: &str, depth: usize, ours: ObjectId, theirs: ObjectId) -> Result<ObjectId, UnionError> {
        if ours == theirs {
            return Ok(ours);
        }
        let mut names: BTreeMap<BString, (Option<Entry>, Option<Entry>)> = BTreeMap::new();
        for entry in self.read(prefix, ours)? {
            let name = entry.filename.clone();
            names.entry(name).or_default().0 = Some(entry);
        }
        for entry in self.read(prefix, theirs)? {
            let name = entry.filename.clone();
            names.entry(name).or_default().1 = Some(entry);
        }
        let mut entries = Vec::with_capacity(names.len());
        for (name, sides) in names {
            let path = joined(prefix, &name.to_str_lossy());
            entries.push(match sides {
                (Some(ours), Some(theirs)) => self.entry(&path, depth, ours, theirs)?,
                (None, Some(theirs)) => {
                    self.take(&path, &theirs)?;
                    theirs
                }
                (Some(ours), None) => ours,
                (None, None) => continue,
            });
        }
        entries.sort();
        let tree = self
            .repo
            .write_object(&gix::objs::Tree { entries })
            .map_err(writing("a tree"))?
            .detach();
        self.written.push(tree);
        Ok(tree)
    }

    /// The entry at `path`, which both sides have.
    fn entry(&mut self, path: &str, depth: usize, ours: Entry, theirs: Entry) -> Result<Entry, UnionError> {
        if ours.oid == theirs.oid {
            return Ok(ours);
        }
        if ours.mode.is_tree() && theirs.mode.is_tree() && depth < DEEPEST {
            let oid = self.trees(path, depth + 1, ours.oid, theirs.oid)?;
            return Ok(Entry { oid, ..ours });
        }
        if is_directory(path) && (ours.mode.is_tree() || theirs.mode.is_tree()) {
            if ours.mode.is_tree() {
                return Ok(ours);
            }
            self.take(path, &theirs)?;
            return Ok(theirs);
        }
        match (kind(path, ours.mode), kind(path, theirs.mode)) {
            (Kind::File(known), Kind::File(_)) => Ok(self.files(known, ours, theirs)),
            (Kind::File(_), _) => Ok(ours),
            (_, Kind::File(known)) => {
                self.gained.push(known);
                Ok(theirs)
            }
            // Without meaning, so any choice will do that is the same in every clone.
            _ => Ok(std::cmp::max_by_key(ours, theirs, |entry| {
                (entry.mode.is_tree(), entry.oid)
            })),
        }
    }

    fn files(&mut self, path: LedgerPath, ours: Entry, theirs: Entry) -> Entry {
        let is_chain = matches!(&path, LedgerPath::Root { version } if version.get() == 1);
        match self.resolutions.get(&path).filter(|_| !is_chain) {
            Some(Side::Ours) => ours,
            Some(Side::Theirs) => {
                self.gained.push(path);
                theirs
            }
            None => {
                self.conflicts.push(Conflict {
                    path,
                    ours: ours.oid,
                    theirs: theirs.oid,
                });
                ours
            }
        }
    }

    /// Notes the files that come with an entry which only their side has.
    fn take(&mut self, path: &str, entry: &Entry) -> Result<(), UnionError> {
        match kind(path, entry.mode) {
            Kind::File(known) => self.gained.push(known),
            Kind::Directory => {
                for inner in self.read(path, entry.oid)? {
                    self.take(&joined(path, &inner.filename.to_str_lossy()), &inner)?;
                }
            }
            Kind::Foreign => {}
        }
        Ok(())
    }

    fn read(&self, path: &str, tree: ObjectId) -> Result<Vec<Entry>, UnionError> {
        let tree = self.repo.find_tree(tree).map_err(reading(path.to_owned()))?;
        let decoded = tree.decode().map_err(reading(path.to_owned()))?;
        Ok(decoded.entries.iter().map(|entry| (*entry).into()).collect())
    }
}
