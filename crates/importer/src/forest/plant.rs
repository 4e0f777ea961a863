//! Trees of bytes, made into numbers.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use gix::ObjectId;

use super::{Entry, NAME_BITS, Tree, git_order};
use crate::{
    Commit,
    pack::{Families, Member, Packs, STRANGERS, Visit},
    path::check_name,
    repository::ObjectKind,
    tree::{EntryKind, read_mode},
};

/// Texts or ids and their numbers.
pub(super) struct Numbered<T> {
    pub(super) list: Vec<T>,
    pub(super) numbers: HashMap<T, u32>,
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
pub(super) struct Shared {
    pub(super) names: Mutex<Numbered<Box<str>>>,
    pub(super) strangers: Mutex<Numbered<ObjectId>>,
}

pub(super) fn read_trees(families: &Families<'_>, packs: &Packs, threads: usize) -> (Vec<Option<Tree>>, Shared) {
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

pub(super) fn read_commits(families: &Families<'_>, packs: &Packs, threads: usize) -> HashMap<ObjectId, Commit> {
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
