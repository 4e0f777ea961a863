//! All trees of a repository at once, small enough to be held: how the difference of tens of thousands of trees is
//! found in about the time that decoding them takes.
//!
//! Each entry of a tree is one number, of its name, mode and object, so that what is the same in two trees is skipped
//! without being looked at. A tree that git stored as a difference shares the entries of the one it is made from.
//!
//! It is a way to the same answer: what [`Repository::change_set`] refuses is not in the forest, and whoever asks the
//! forest asks there when it has no answer.

mod plant;

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError},
};

use gix::ObjectId;

use self::plant::{Numbered, read_commits, read_trees};
use crate::{
    Change, ChangeSet, Commit, FileMode, TreeFile, TreePath,
    pack::{Families, Packs, STRANGERS},
    tree::{EntryKind, MAX_DEPTH, MAX_ENTRIES},
};

/// The trees and commits of every pack of a repository, as they were when it was read.
pub struct Forest {
    packs: Arc<Packs>,
    names: Numbered<Box<str>>,
    strangers: Vec<ObjectId>,
    trees: Vec<Option<Tree>>,
    commits: HashMap<ObjectId, Commit>,
}

/// A tree: its entries in git's order.
type Tree = Arc<[Entry]>;

/// Mode, name and object of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

const NAME_BITS: u32 = 29;

impl Entry {
    fn new(kind: EntryKind, name: u32, object: u32) -> Self {
        let kind: u64 = match kind {
            EntryKind::Directory => 0,
            EntryKind::File(FileMode::Regular) => 1,
            EntryKind::File(FileMode::Executable) => 2,
            EntryKind::File(FileMode::Symlink) => 3,
            EntryKind::File(FileMode::Submodule) => 4,
        };
        Self(kind << 61 | u64::from(name) << 32 | u64::from(object))
    }

    const fn kind(self) -> EntryKind {
        match self.0 >> 61 {
            0 => EntryKind::Directory,
            1 => EntryKind::File(FileMode::Regular),
            2 => EntryKind::File(FileMode::Executable),
            3 => EntryKind::File(FileMode::Symlink),
            _ => EntryKind::File(FileMode::Submodule),
        }
    }

    fn is_directory(self) -> bool {
        self.kind() == EntryKind::Directory
    }

    const fn name(self) -> usize {
        (self.0 >> 32 & ((1 << NAME_BITS) - 1)) as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    const fn object(self) -> u32 {
        self.0 as u32
    }
}

impl Forest {
    /// Reads every tree and commit on so many threads.
    pub(crate) fn read(packs: &Arc<Packs>, threads: usize) -> Self {
        let families = Families::of(packs);
        let (commits, (trees, shared)) = (
            read_commits(&families, packs, threads),
            read_trees(&families, packs, threads),
        );
        Self {
            packs: Arc::clone(packs),
            names: shared.names.into_inner().unwrap_or_else(PoisonError::into_inner),
            strangers: shared
                .strangers
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .list,
            trees,
            commits,
        }
    }

    /// A commit, if a pack has it.
    pub fn commit(&self, id: ObjectId) -> Option<&Commit> {
        self.commits.get(&id)
    }

    /// What differs between two trees, as [`Repository::change_set`](crate::Repository::change_set) says it; `None` if
    /// that must be asked, because an object is in no pack, or is one that would be refused.
    pub fn change_set(&self, old_tree: ObjectId, new_tree: ObjectId) -> Option<ChangeSet> {
        let mut changes = Vec::new();
        if old_tree != new_tree {
            let (old, new) = (self.tree_of(old_tree)?, self.tree_of(new_tree)?);
            self.compare(old, new, "", 0, &mut changes)?;
        }
        changes.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Some(ChangeSet { changes })
    }

    /// Every commit that `tip` reaches, the newest first as their committers dated them: near ones have most in common.
    /// `None` if one is in no pack.
    pub fn reached(&self, tip: ObjectId) -> Option<Vec<Commit>> {
        let mut seen = HashSet::from([tip]);
        let mut waiting = vec![tip];
        let mut found = Vec::new();
        while let Some(id) = waiting.pop() {
            let commit = self.commit(id)?;
            waiting.extend(commit.parents.iter().copied().filter(|parent| seen.insert(*parent)));
            found.push(commit.clone());
        }
        found.sort_by_key(|commit| std::cmp::Reverse((commit.committed, commit.id)));
        Some(found)
    }

    /// Whether the tree has a file at this path; `None` if [`Repository`](crate::Repository) must be asked.
    pub fn has_file(&self, tree: ObjectId, path: &TreePath) -> Option<bool> {
        let mut entries = self.tree_of(tree)?;
        if let Some(directory) = path.parent() {
            match self.directory(entries, directory)? {
                Some(found) => entries = found,
                None => return Some(false),
            }
        }
        Some(
            self.entry(entries, path.name())
                .is_some_and(|entry| !entry.is_directory()),
        )
    }

    /// The files below a directory of the tree, at any depth, in no promised order; `None` if
    /// [`Repository`](crate::Repository) must be asked.
    pub fn files_under(&self, tree: ObjectId, directory: &str) -> Option<Vec<TreeFile>> {
        let mut changes = Vec::new();
        if let Some(found) = self.directory(self.tree_of(tree)?, directory)? {
            self.compare(&[], found, directory, 0, &mut changes)?;
        }
        let files = changes.into_iter().filter_map(|change| {
            let (mode, id) = change.new?;
            Some(TreeFile {
                path: change.path,
                mode,
                id,
            })
        });
        Some(files.collect())
    }

    /// The entries of a directory; the inner `None` where it is not.
    fn directory<'a>(&'a self, mut entries: &'a [Entry], path: &str) -> Option<Option<&'a [Entry]>> {
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.entry(entries, name).filter(|entry| entry.is_directory()) {
                Some(entry) => entries = self.tree(entry.object())?,
                None => return Some(None),
            }
        }
        Some(Some(entries))
    }

    fn entry(&self, entries: &[Entry], name: &str) -> Option<Entry> {
        let name = *self.names.numbers.get(name)? as usize;
        entries.iter().copied().find(|entry| entry.name() == name)
    }

    fn tree_of(&self, id: ObjectId) -> Option<&[Entry]> {
        if id.is_empty_tree() {
            return Some(&[]);
        }
        self.tree(self.packs.number(id)?)
    }

    fn tree(&self, number: u32) -> Option<&[Entry]> {
        self.trees.get(number as usize)?.as_deref()
    }

    fn compare(
        &self,
        old: &[Entry],
        new: &[Entry],
        directory: &str,
        depth: usize,
        out: &mut Vec<Change>,
    ) -> Option<()> {
        (depth <= MAX_DEPTH).then_some(())?;
        let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        let (mut old, mut new) = (&old[same..], &new[same..]);
        let ends = old.iter().rev().zip(new.iter().rev());
        let same = ends.take_while(|(old, new)| old == new).count();
        (old, new) = (&old[..old.len() - same], &new[..new.len() - same]);
        loop {
            let order = match (old.first(), new.first()) {
                (None, None) => return Some(()),
                (Some(a), Some(b)) if a == b => {
                    (old, new) = (&old[1..], &new[1..]);
                    continue;
                }
                (Some(a), Some(b)) => self.order(*a, *b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            let take = |side: &mut &[Entry], wanted: bool| {
                let (first, rest) = side.split_first().filter(|_| wanted)?;
                *side = rest;
                Some(*first)
            };
            let pair = (take(&mut old, order.is_le()), take(&mut new, order.is_ge()));
            self.compare_entries(pair, directory, depth, out)?;
        }
    }

    /// Compares two entries of one name, both of them directories or both files, or one without a counterpart.
    fn compare_entries(
        &self,
        pair: (Option<Entry>, Option<Entry>),
        directory: &str,
        depth: usize,
        out: &mut Vec<Change>,
    ) -> Option<()> {
        let path = TreePath::join(directory, &self.names.list[pair.0.or(pair.1)?.name()]);
        let subtree = |entry: Option<Entry>| match entry {
            Some(entry) if entry.is_directory() => {
                let tree = self.tree(entry.object())?;
                // Git cannot check out an empty directory.
                (!tree.is_empty()).then_some(tree)
            }
            _ => Some(&[][..]),
        };
        if pair.0.or(pair.1)?.is_directory() {
            return self.compare(subtree(pair.0)?, subtree(pair.1)?, path.as_str(), depth + 1, out);
        }
        (out.len() < MAX_ENTRIES).then_some(())?;
        let side = |entry: Option<Entry>| match entry {
            None => Some(None),
            Some(entry) => match entry.kind() {
                EntryKind::Directory => None,
                EntryKind::File(mode) => Some(Some((mode, self.id(entry.object())?))),
            },
        };
        out.push(Change {
            path,
            old: side(pair.0)?,
            new: side(pair.1)?,
        });
        Some(())
    }

    fn id(&self, object: u32) -> Option<ObjectId> {
        match object.checked_sub(STRANGERS) {
            Some(stranger) => self.strangers.get(stranger as usize).copied(),
            None => self.packs.id(object),
        }
    }

    fn order(&self, a: Entry, b: Entry) -> Ordering {
        git_order(
            (&self.names.list[a.name()], a.is_directory()),
            (&self.names.list[b.name()], b.is_directory()),
        )
    }
}

/// Git's order: a directory as if its name ended in `/`.
fn git_order(a: (&str, bool), b: (&str, bool)) -> Ordering {
    let key = |(name, directory): (&str, bool), at: usize| match name.as_bytes().get(at) {
        Some(byte) => *byte,
        None if directory => b'/',
        None => 0,
    };
    let common = a.0.len().min(b.0.len());
    a.0.as_bytes()[..common]
        .cmp(&b.0.as_bytes()[..common])
        .then_with(|| key(a, common).cmp(&key(b, common)))
        .then_with(|| a.0.len().cmp(&b.0.len()))
}
