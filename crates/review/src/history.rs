//! A whole history, classified: every commit against its first parent.
//!
//! For calibration and for looking back, not for signing: what is judged here is what [`crate::changes`] judges, from
//! what differs alone. Contents are not computed, merges are not made again, and no other unit is asked whether it has a
//! source's hash. Of a collection file only the bindings around the difference are read.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use attestation::{Class, UnitPath};
use importer::{Change, Commit, FileMode, Forest, ObjectError, ObjectId, Repository, TreePath};
use nixexpr::{Binding, Finding};

use crate::{
    ChangesError, Partition,
    change::{bytes, judge, judge_piece},
    class::Existence,
    collection::{self, Cut},
    engine::{Context, Sides},
};

/// So many commits in a row are the work of one thread: they share most of their files.
const RUN: usize = 128;

/// A unit that a commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedUnit {
    /// The unit.
    pub unit: UnitPath,
    /// What kind of change it is.
    pub class: Class,
    /// What changed, in one line.
    pub summary: String,
    /// What somebody must look at, sorted.
    pub findings: Vec<Finding>,
}

/// Judges every commit of `commits` against its first parent (of the first commit of all, everything is new), on all
/// cores. `take` is called from several threads, in no promised order.
pub fn history(
    repository: &Repository,
    forest: &Forest,
    commits: &[Commit],
    take: impl Fn(&Commit, Vec<JudgedUnit>) + Sync,
) -> Result<(), ChangesError> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = |repository: Repository| {
        let mut worker = Worker {
            repository,
            forest,
            context: Context::nothing(),
            files: VecDeque::new(),
        };
        while let Some(run) = commits.chunks(RUN).nth(next.fetch_add(1, Ordering::Relaxed)) {
            for commit in run {
                match worker.commit(commit) {
                    Ok(units) => take(commit, units),
                    Err(error) => {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert(error);
                        next.store(commits.len(), Ordering::Relaxed);
                        return;
                    }
                }
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            let repository = repository.clone();
            scope.spawn(|| work(repository));
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Worker<'r> {
    repository: Repository,
    forest: &'r Forest,
    context: Context<'r>,
    /// Collection files read lately, and their bindings.
    files: VecDeque<(ObjectId, Bound)>,
}

type Bound = std::sync::Arc<(Vec<u8>, Vec<Binding>)>;

/// So many collection files are remembered.
const REMEMBERED: usize = 24;

impl Worker<'_> {
    fn commit(&mut self, commit: &Commit) -> Result<Vec<JudgedUnit>, ChangesError> {
        let old = match commit.parents.first() {
            Some(parent) => match self.forest.commit(*parent) {
                Some(parent) => parent.tree,
                None => self.repository.commit(*parent)?.tree,
            },
            None => ObjectId::empty_tree(commit.tree.kind()),
        };
        let (old, new) = (old, commit.tree);
        let changes = match self.forest.change_set(old, new) {
            Some(changes) => changes,
            None => self.repository.change_set(old, new)?,
        };
        let mut units: BTreeMap<UnitPath, Vec<Change>> = BTreeMap::new();
        let mut found = Vec::new();
        let partition = self.partition(changes.changes().iter().map(|change| &change.path), &[old, new])?;
        for change in changes.changes() {
            match self.pieces(change)? {
                Some(pieces) => found.extend(pieces),
                None => units
                    .entry(partition.unit(&change.path))
                    .or_default()
                    .push(change.clone()),
            }
        }
        let mut existence = BTreeMap::new();
        for (unit, files) in &units {
            existence.insert(unit.clone(), self.existence(unit, files, old, new)?);
        }
        mark_moves(&units, &mut existence);
        for (unit, files) in units {
            let verdict = judge(&self.repository, &self.context, &unit, &files, existence[&unit])?;
            found.push(JudgedUnit {
                class: verdict.class,
                summary: verdict.summary,
                findings: verdict.findings,
                unit,
            });
        }
        found.sort_by(|a, b| a.unit.cmp(&b.unit));
        Ok(found)
    }

    /// The partition of two trees, as far as it matters to these paths.
    fn partition<'a>(
        &self,
        paths: impl Iterator<Item = &'a TreePath>,
        trees: &[ObjectId; 2],
    ) -> Result<Partition, ChangesError> {
        let mut directories: BTreeSet<&str> = BTreeSet::new();
        for path in paths {
            let mut directory = path.parent();
            while let Some(name) = directory.filter(|name| directories.insert(name)) {
                directory = name.rsplit_once('/').map(|(parent, _)| parent);
            }
        }
        let mut packages = Vec::new();
        for directory in directories {
            for name in ["default.nix", "package.nix"] {
                let Ok(path) = TreePath::parse(&format!("{directory}/{name}")) else {
                    continue;
                };
                if self.has_file(trees[0], &path)? || self.has_file(trees[1], &path)? {
                    packages.push(path);
                }
            }
        }
        Ok(Partition::of(&packages))
    }

    fn has_file(&self, tree: ObjectId, path: &TreePath) -> Result<bool, ChangesError> {
        match self.forest.has_file(tree, path) {
            Some(has) => Ok(has),
            None => Ok(self.repository.listing(tree)?.get(path.as_str()).is_some()),
        }
    }

    /// Whether a unit was and is there: whatever did not change counts too.
    fn existence(
        &self,
        unit: &UnitPath,
        files: &[Change],
        old: ObjectId,
        new: ObjectId,
    ) -> Result<Existence, ChangesError> {
        let mut existence = Existence {
            was: files.iter().any(|change| change.old.is_some()),
            is: files.iter().any(|change| change.new.is_some()),
            moved: false,
        };
        for (there, tree) in [(&mut existence.was, old), (&mut existence.is, new)] {
            if !*there {
                *there = self.has_others(unit, tree, &[old, new])?;
            }
        }
        Ok(existence)
    }

    fn has_others(&self, unit: &UnitPath, tree: ObjectId, trees: &[ObjectId; 2]) -> Result<bool, ChangesError> {
        let directory = if *unit == UnitPath::root() { "" } else { unit.as_str() };
        let paths: Vec<TreePath> = match self.forest.files_under(tree, directory) {
            Some(files) => files.into_iter().map(|file| file.path).collect(),
            None => {
                let listing = self.repository.listing(tree)?;
                listing.under(directory).map(|file| file.path.clone()).collect()
            }
        };
        let partition = self.partition(paths.iter(), trees)?;
        Ok(paths.iter().any(|path| partition.unit(path) == *unit))
    }

    /// The units of a collection file that differ; `None` if it is one unit.
    fn pieces(&mut self, change: &Change) -> Result<Option<Vec<JudgedUnit>>, ChangesError> {
        let plain =
            |side: Option<(FileMode, ObjectId)>| side.filter(|(mode, _)| *mode == FileMode::Regular).map(|(_, id)| id);
        let (Some(old), Some(new)) = (plain(change.old), plain(change.new)) else {
            return Ok(None);
        };
        if !collection::is_cut(&change.path) {
            return Ok(None);
        }
        let path = change.path.as_str();
        let Some(is) = self.bound(path, new, None)? else {
            return Ok(None);
        };
        let Some(was) = self.bound(path, old, Some(&is))? else {
            return Ok(None);
        };
        let window = Window::of(&was, &is).and_then(|window| {
            let part = |bound: &Bound, range| framed(path, bound.0.get::<std::ops::Range<usize>>(range)?);
            Some((part(&was, window.old)?, part(&is, window.new)?))
        });
        if let Some((old, new)) = window
            && let Some(found) = self.cut(&change.path, (&old.0, &old.1), (&new.0, &new.1))
        {
            return Ok(Some(found));
        }
        Ok(self.cut(&change.path, (&was.0, &was.1), (&is.0, &is.1)))
    }

    fn cut(&self, path: &TreePath, old: (&[u8], &[Binding]), new: (&[u8], &[Binding])) -> Option<Vec<JudgedUnit>> {
        let cut = Cut::of(old, new)?;
        let name = path.as_str();
        let (old_file, new_file) = (nixexpr::parse(name, old.0).ok()?, nixexpr::parse(name, new.0).ok()?);
        let (old_read, new_read) = (nixexpr::analyse(&old_file), nixexpr::analyse(&new_file));
        let sides = Sides {
            old: (&old_read, old.1),
            new: (&new_read, new.1),
        };
        let judged = cut.pieces(path).into_iter().map(|piece| {
            let unit = match piece.name {
                Some(name) => collection::unit(path, name)?,
                None => name.parse().ok()?,
            };
            let verdict = judge_piece(&self.context, &unit, path, &piece, &sides);
            Some(JudgedUnit {
                unit,
                class: verdict.class,
                summary: verdict.summary,
                findings: verdict.findings,
            })
        });
        judged.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())
    }

    /// A collection file's text and bindings, read, or made from those of a file that differs little.
    fn bound(&mut self, path: &str, id: ObjectId, like: Option<&Bound>) -> Result<Option<Bound>, ObjectError> {
        if let Some((_, bound)) = self.files.iter().find(|(known, _)| *known == id) {
            return Ok(Some(bound.clone()));
        }
        let Some(text) = bytes(&self.repository, Some((FileMode::Regular, id)))? else {
            return Ok(None);
        };
        let near = like.or_else(|| self.files.back().map(|(_, bound)| bound));
        let bound = near.and_then(|near| spliced(path, near, &text)).or_else(|| {
            let file = nixexpr::parse(path, &text).ok()?;
            Some(nixexpr::bindings(&file))
        });
        let Some(bindings) = bound else { return Ok(None) };
        let bound = Bound::new((text, bindings));
        self.files.push_back((id, bound.clone()));
        if self.files.len() > REMEMBERED {
            self.files.pop_front();
        }
        Ok(Some(bound))
    }
}

/// Some bindings as a file of its own; `None` unless they are all that is in it.
fn framed(path: &str, bindings: &[u8]) -> Option<(Vec<u8>, Vec<Binding>)> {
    let text = [OPEN, bindings, b"}"].concat();
    let found = nixexpr::bindings(&nixexpr::parse(path, &text).ok()?);
    let (first, last) = (found.first()?, found.last()?);
    let whole = first.span.start == OPEN.len() && last.span.end == text.len() - 1;
    let chained = found.windows(2).all(|pair| pair[0].span.end == pair[1].span.start);
    (whole && chained).then_some((text, found))
}

/// Begins such a file.
const OPEN: &[u8] = b"{\n";

/// The part of two files outside which both have the same bindings.
struct Window {
    old: std::ops::Range<usize>,
    new: std::ops::Range<usize>,
    /// How many bindings stand before it, and how many of the old file after it.
    before: usize,
    after: usize,
}

impl Window {
    fn of(old: &Bound, new: &Bound) -> Option<Self> {
        let window = Self::between(&old.0, &old.1, &new.0)?;
        // What the new file's own reading says must agree.
        let begins = new.1.get(window.before).map(|binding| binding.span.start);
        let first_after = new.1.len().checked_sub(window.after).and_then(|at| new.1.get(at));
        let agrees = (begins.is_none() || begins >= Some(window.new.start))
            && first_after.is_none_or(|binding| binding.span.start == window.new.end);
        agrees.then_some(window)
    }

    /// The window between a file with these bindings and another text.
    fn between(old: &[u8], bindings: &[Binding], new: &[u8]) -> Option<Self> {
        let prefix = common(old.iter().zip(new));
        let most = old.len().min(new.len()) - prefix;
        let suffix = common(old.iter().rev().zip(new.iter().rev())).min(most);
        // One binding more on each side: where a binding ends depends on the line after it.
        let before = bindings
            .partition_point(|binding| binding.span.end < prefix)
            .checked_sub(1)?;
        let kept = old.len() - suffix;
        let first_after = bindings.partition_point(|binding| binding.span.start <= kept) + 1;
        let (begin, end) = (bindings.get(before)?.span.start, bindings.get(first_after)?.span.start);
        let new_end = (new.len() + end).checked_sub(old.len())?;
        (begin <= new_end).then(|| Self {
            old: begin..end,
            new: begin..new_end,
            before,
            after: bindings.len() - first_after,
        })
    }
}

fn common<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    pairs.take_while(|(a, b)| a == b).count()
}

/// The bindings of `new`, of which all but a few stand in `near` too. `None` if that is not certain.
fn spliced(path: &str, near: &Bound, new: &[u8]) -> Option<Vec<Binding>> {
    let window = Window::between(&near.0, &near.1, new)?;
    // They are all that the frame holds: what follows begins where a binding begins, as it did.
    let (_, found) = framed(path, new.get(window.new.clone())?)?;
    let moved = |binding: &Binding, from: usize, to: usize| Binding {
        span: binding.span.start + to - from..binding.span.end + to - from,
        core: binding.core.start + to - from..binding.core.end + to - from,
        ..binding.clone()
    };
    let mut bindings = near.1[..window.before].to_vec();
    bindings.extend(found.iter().map(|binding| moved(binding, OPEN.len(), window.new.start)));
    let after = near.1.get(near.1.len() - window.after..)?;
    bindings.extend(
        after
            .iter()
            .map(|binding| moved(binding, window.old.end, window.new.end)),
    );
    Some(bindings)
}

/// Marks pairs of a unit that went and one that came with the same files, where no third has them.
fn mark_moves(units: &BTreeMap<UnitPath, Vec<Change>>, existence: &mut BTreeMap<UnitPath, Existence>) {
    type Listing = Vec<(String, FileMode, ObjectId)>;
    let mut by_listing: BTreeMap<Listing, (Vec<&UnitPath>, Vec<&UnitPath>)> = BTreeMap::new();
    for (unit, files) in units {
        let side: fn(&Change) -> Option<(FileMode, ObjectId)> = match existence[unit] {
            Existence {
                was: true, is: false, ..
            } => |change| change.old,
            Existence {
                was: false, is: true, ..
            } => |change| change.new,
            _ => continue,
        };
        let listing: Listing = files
            .iter()
            .filter_map(|change| {
                let (mode, id) = side(change)?;
                let path = change.path.as_str();
                Some((path.strip_prefix(unit.as_str()).unwrap_or(path).to_owned(), mode, id))
            })
            .collect();
        let (went, came) = by_listing.entry(listing).or_default();
        if existence[unit].was {
            went.push(unit);
        } else {
            came.push(unit);
        }
    }
    for (went, came) in by_listing.values() {
        if let ([from], [to]) = (&went[..], &came[..]) {
            for unit in [*from, *to] {
                if let Some(existence) = existence.get_mut(unit) {
                    existence.moved = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "pkgs/top-level/all-packages.nix";

    fn file(values: &[u8]) -> String {
        let bindings: String = values
            .iter()
            .enumerate()
            .map(|(at, value)| match value % 5 {
                0 => format!("  # about {at}\n  a{at} = callPackage ../a{value} {{ }};\n"),
                1 => format!("  a{at} = {value}; # {value}\n\n"),
                2 => format!("  a{at} = ''\n    b = {value};\n  '';\n"),
                3 => format!("  a{at} = {{ x = {value}; }};  b{at} = 2;\n"),
                _ => format!("  inherit (x{value}) c{at};\n"),
            })
            .collect();
        format!("{{ pkgs }}:\n\nwith pkgs;\n\n{{\n{bindings}}}\n")
    }

    fn read(text: &str) -> Vec<Binding> {
        nixexpr::bindings(&nixexpr::parse(PATH, text.as_bytes()).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_spliced_is_what_is_read(
            values in prop::collection::vec(any::<u8>(), 12..30),
            at in 0_usize..30,
            value: u8,
            kind in 0..3,
        ) {
            let mut changed = values.clone();
            let at = at % values.len();
            match kind {
                0 => changed[at] = value,
                1 => drop(changed.remove(at)),
                _ => changed.insert(at, value),
            }
            let (old, new) = (file(&values), file(&changed));
            let near = Bound::new((old.clone().into_bytes(), read(&old)));
            if let Some(bindings) = spliced(PATH, &near, new.as_bytes()) {
                prop_assert_eq!(bindings, read(&new));
            }
        }
    }

    #[test]
    fn a_splice_is_made_where_a_binding_changed() {
        let values = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3];
        let old = file(&values);
        let near = Bound::new((old.clone().into_bytes(), read(&old)));
        let new = old
            .replace("../a0 { };\n  a9", "../changed { };\n  a9")
            .replace("  a5 = 1;", "  a5 = 7;");
        assert_ne!(old, new);
        assert_eq!(spliced(PATH, &near, new.as_bytes()).unwrap(), read(&new));
    }
}
