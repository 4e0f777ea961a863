//! All trees of a repository at once, small enough to be held: how the difference of tens of thousands of trees is
//! found in about the time that decoding them takes.
//!
//! Each entry of a tree is one number, of its name, mode and object, so that what is the same in two trees is skipped
//! without being looked at. A tree that git stored as a difference shares the entries of the one it is made from.
//!
//! It is a way to the same answer: what [`Repository::change_set`] refuses is not in the forest, and whoever asks the
//! forest asks there when it has no answer.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use gix::ObjectId;

use crate::{
    Change, ChangeSet, Commit, FileMode, TreeFile, TreePath,
    pack::{Families, Member, Packs, STRANGERS, Visit},
    path::check_name,
    repository::ObjectKind,
    tree::{EntryKind, MAX_DEPTH, MAX_ENTRIES, read_mode},
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

/// Texts or ids and their numbers.
struct Numbered<T> {
    list: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            numbers: HashMap::new(),
        }
    }
}

/// What all threads number together.
#[derive(Default)]
struct Shared {
    names: Mutex<Numbered<Box<str>>>,
    strangers: Mutex<Numbered<ObjectId>>,
}

fn read_trees(families: &Families<'_>, packs: &Packs, threads: usize) -> (Vec<Option<Tree>>, Shared) {
    let shared = Shared::default();
    let planters = families.visit(ObjectKind::Tree, threads, || Planter {
        packs,
        shared: &shared,
        names: HashMap::new(),
        trees: Vec::new(),
    });
    let mut trees = vec![None; packs.len()];
    for (number, tree) in planters.into_iter().flat_map(|planter| planter.trees) {
        trees[number as usize] = Some(tree);
    }
    (trees, shared)
}

/// Makes trees of bytes, in one thread.
struct Planter<'a> {
    packs: &'a Packs,
    shared: &'a Shared,
    /// Names met so far, as they are written and as they are numbered.
    names: HashMap<Box<[u8]>, u32>,
    trees: Vec<(u32, Tree)>,
}

/// A tree whose descendants are to be made: its entries, and where in its bytes each begins.
struct Planted {
    entries: Tree,
    starts: Vec<u32>,
    length: u32,
    /// Whether a file's name begins the name after it. Only then can a directory of that name come later.
    prefixed: bool,
}

impl Visit for Planter<'_> {
    type State = Option<Planted>;

    fn visit(&mut self, member: &Member<'_>, base: Option<&Self::State>) -> Self::State {
        let planted = self.plant(member, base.and_then(Option::as_ref))?;
        self.trees.push((member.number, Arc::clone(&planted.entries)));
        Some(planted)
    }
}

impl Planter<'_> {
    fn plant(&mut self, member: &Member<'_>, base: Option<&Planted>) -> Option<Planted> {
        let length = u32::try_from(member.bytes.len()).ok()?;
        let mut entries: Vec<Entry> =
            Vec::with_capacity(base.map_or(member.bytes.len() / 36, |base| base.entries.len() + 2));
        let mut starts: Vec<u32> = Vec::with_capacity(entries.capacity());
        let mut copied = member.copied.iter().peekable();
        let mut prefixed = base.is_some_and(|base| base.prefixed);
        let mut at = 0_usize;
        while at < member.bytes.len() {
            while copied.next_if(|part| part.start + part.length <= at).is_some() {}
            let run = copied
                .peek()
                .filter(|part| part.start <= at)
                .and_then(|part| whole_entries(base?, part.base + (at - part.start), part.base + part.length));
            if let Some((base, run, bytes)) = run {
                let first = starts.len();
                entries.extend_from_slice(&base.entries[run.clone()]);
                starts.extend(&base.starts[run.clone()]);
                let from = base.starts[run.start];
                for start in &mut starts[first..] {
                    *start = *start - from + u32::try_from(at).ok()?;
                }
                if first > 0 {
                    prefixed |= in_order(member.bytes, &starts[first - 1..=first])?;
                }
                at += bytes;
                continue;
            }
            let (entry, end) = self.parse(member.bytes, at)?;
            starts.push(u32::try_from(at).ok()?);
            entries.push(entry);
            if let [.., before, this] = starts[..] {
                prefixed |= in_order(member.bytes, &[before, this])?;
            }
            at = end;
        }
        if prefixed {
            let names: HashSet<usize> = entries.iter().map(|entry| entry.name()).collect();
            (names.len() == entries.len()).then_some(())?;
        }
        Some(Planted {
            entries: entries.into(),
            starts,
            length,
            prefixed,
        })
    }

    /// The entry that begins at `at`, and where it ends.
    fn parse(&mut self, bytes: &[u8], at: usize) -> Option<(Entry, usize)> {
        let (mode, name, id) = split(bytes, at)?;
        let kind = read_mode(mode)?;
        let name_number = self.name(name)?;
        let object = match self.packs.number(id) {
            Some(number) => number,
            None => number(&self.shared.strangers, &id)?.checked_add(STRANGERS)?,
        };
        let end = at + mode.len() + 1 + name.len() + 1 + 20;
        Some((Entry::new(kind, name_number, object), end))
    }

    fn name(&mut self, name: &[u8]) -> Option<u32> {
        if let Some(&number) = self.names.get(name) {
            return Some(number);
        }
        let text: Box<str> = check_name(name).ok()?.into();
        let number = number(&self.shared.names, &text).filter(|number| *number < 1 << NAME_BITS)?;
        self.names.insert(name.into(), number);
        Some(number)
    }
}

fn number<T: Clone + Eq + std::hash::Hash>(numbered: &Mutex<Numbered<T>>, value: &T) -> Option<u32> {
    let mut numbered = numbered.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&number) = numbered.numbers.get(value) {
        return Some(number);
    }
    let number = u32::try_from(numbered.list.len()).ok()?;
    numbered.list.push(value.clone());
    numbered.numbers.insert(value.clone(), number);
    Some(number)
}

/// Refuses entries, which begin at these two places, that are not in git's order or have one name. Says whether the
/// first is a file whose name begins the other's.
fn in_order(bytes: &[u8], pair: &[u32]) -> Option<bool> {
    let key = |at: u32| {
        let (mode, name, _) = split(bytes, at as usize)?;
        Some((
            std::str::from_utf8(name).ok()?,
            read_mode(mode)? == EntryKind::Directory,
        ))
    };
    let [before, this] = pair else { return None };
    let (before, this) = (key(*before)?, key(*this)?);
    (before.0 != this.0 && git_order(before, this).is_lt()).then_some(!before.1 && this.0.starts_with(before.0))
}

/// Mode, name and id of the entry at `at`.
fn split(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8], ObjectId)> {
    let rest = bytes.get(at..)?;
    let space = rest.iter().position(|&byte| byte == b' ')?;
    let (mode, rest) = (&rest[..space], &rest[space + 1..]);
    let end = rest.iter().position(|&byte| byte == 0)?;
    let id = rest.get(end + 1..end + 21)?;
    Some((mode, &rest[..end], ObjectId::from_bytes_or_panic(id)))
}

/// The entries of `base` that begin at `from` and end before or at `to`: which, and how many bytes they are. `None` if
/// no entry does.
fn whole_entries(base: &Planted, from: usize, to: usize) -> Option<(&Planted, std::ops::Range<usize>, usize)> {
    let (from, to) = (u32::try_from(from).ok()?, u32::try_from(to).ok()?);
    let first = base.starts.binary_search(&from).ok()?;
    // The start of the entry after the last one is where that one ends.
    let end = if base.length <= to {
        base.starts.len()
    } else {
        base.starts.partition_point(|start| *start <= to).checked_sub(1)?
    };
    let ends_at = base.starts.get(end).copied().unwrap_or(base.length);
    (end > first).then(|| (base, first..end, (ends_at - from) as usize))
}

fn read_commits(families: &Families<'_>, packs: &Packs, threads: usize) -> HashMap<ObjectId, Commit> {
    struct Commits<'a> {
        packs: &'a Packs,
        found: Vec<Commit>,
    }
    impl Visit for Commits<'_> {
        type State = ();

        fn visit(&mut self, member: &Member<'_>, _base: Option<&()>) {
            if let Some(commit) = self
                .packs
                .id(member.number)
                .and_then(|id| Commit::decode(id, member.bytes).ok())
            {
                self.found.push(commit);
            }
        }
    }
    let all = families.visit(ObjectKind::Commit, threads, || Commits {
        packs,
        found: Vec::new(),
    });
    all.into_iter()
        .flat_map(|commits| commits.found)
        .map(|commit| (commit.id, commit))
        .collect()
}
