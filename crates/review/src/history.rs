//! A whole history, classified: every commit against its first parent.
//!
//! For calibration and for looking back, not for signing: what is judged here is what [`crate::changes`] judges, from
//! what differs alone. Contents are not computed, and no other unit is asked whether it has a source's hash or reads a
//! version. Of a merge only the files count that none of its parents has so: the others were judged on their branches.
//!
//! First the changes of all commits are found. Then they are judged unit by unit, each from its newest change back: so a
//! file is read once, as the new one of a change and the old one of the next. Of a collection file only the bindings
//! around the difference are read.

mod collections;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use attestation::{Class, UnitPath};
use importer::{Change, Commit, FileMode, Forest, ObjectError, ObjectId, Repository, TreePath};
use nixexpr::{Finding, Read};

use crate::{
    ChangesError, Partition,
    change::{Verdict, unit_file, verdict},
    class::Existence,
    collection,
    engine::{self, Context},
};

/// So many commits in a row are the work of one thread while their changes are looked for.
const RUN: usize = 128;

/// About so many bytes of files are held at once by each thread, with their trees.
const HELD: usize = 1 << 20;

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

impl JudgedUnit {
    fn new(unit: UnitPath, verdict: Verdict) -> Self {
        Self {
            unit,
            class: verdict.class,
            summary: verdict.summary,
            findings: verdict.findings,
        }
    }
}

/// Judges every commit of `commits` against its first parent (of the first commit of all, everything is new), on all
/// cores. `take` gets each unit that a commit changed; it is called from several threads, in no promised order.
pub fn history(
    repository: &Repository,
    forest: &Forest,
    commits: &[Commit],
    take: impl Fn(&Commit, JudgedUnit) + Sync,
) -> Result<(), ChangesError> {
    let found = in_parallel(repository, commits.chunks(RUN).zip(0..), |repository, (run, at)| {
        let finder = Finder { repository, forest };
        let tasks = run.iter().zip(at * RUN..).map(|(commit, at)| finder.commit(commit, at));
        tasks.collect::<Result<Vec<_>, _>>()
    })?;
    let mut by_unit: HashMap<UnitPath, Vec<Task>> = HashMap::new();
    for (unit, task) in found.into_iter().flatten().flatten() {
        by_unit.entry(unit).or_default().push(task);
    }
    let mut units: Vec<(UnitPath, Vec<Task>)> = by_unit.into_iter().collect();
    for (_, tasks) in &mut units {
        tasks.sort_by_key(|task| task.commit);
    }
    // The longest first, so that no thread has it alone in the end.
    units.sort_by(|a, b| (b.1.len(), &b.0).cmp(&(a.1.len(), &a.0)));
    let context = Context::nothing();
    in_parallel(repository, units.into_iter(), |repository, (unit, tasks)| {
        let judge = Judge {
            repository,
            context: &context,
        };
        judge.unit(&unit, &tasks, |task, judged| take(&commits[task.commit], judged))
    })?;
    Ok(())
}

/// Does each job on one of as many threads as there are cores, each with a handle of its own.
fn in_parallel<J: Send, T: Send>(
    repository: &Repository,
    jobs: impl Iterator<Item = J> + Send,
    work: impl Fn(&Repository, J) -> Result<T, ChangesError> + Sync,
) -> Result<Vec<T>, ChangesError> {
    let jobs = Mutex::new(jobs.fuse());
    let one = |repository: Repository| -> Result<Vec<T>, ChangesError> {
        let mut done = Vec::new();
        loop {
            let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(job) = job else { return Ok(done) };
            done.push(work(&repository, job)?);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let repository = repository.clone();
                scope.spawn(|| one(repository))
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

/// A unit that a commit changed, to be judged.
struct Task {
    /// Which commit of all.
    commit: usize,
    files: Vec<Change>,
    existence: Existence,
}

/// Finds what commits changed.
struct Finder<'r> {
    repository: &'r Repository,
    forest: &'r Forest,
}

impl Finder<'_> {
    fn commit(&self, commit: &Commit, at: usize) -> Result<Vec<(UnitPath, Task)>, ChangesError> {
        let old = match commit.parents.first() {
            Some(parent) => self.tree_of(*parent)?,
            None => ObjectId::empty_tree(commit.tree.kind()),
        };
        let (old, new) = (old, commit.tree);
        let mut changes = self.change_set(old, new)?;
        for parent in commit.parents.iter().skip(1) {
            let others = self.change_set(self.tree_of(*parent)?, new)?;
            let brought: BTreeSet<&TreePath> = others.iter().map(|change| &change.path).collect();
            changes.retain(|change| brought.contains(&change.path));
        }
        let partition = self.partition(changes.iter().map(|change| &change.path), &[old, new])?;
        let mut units: BTreeMap<UnitPath, Vec<Change>> = BTreeMap::new();
        for change in changes {
            units.entry(partition.unit(&change.path)).or_default().push(change);
        }
        let mut existence = BTreeMap::new();
        for (unit, files) in &units {
            existence.insert(unit.clone(), self.existence(unit, files, old, new)?);
        }
        mark_moves(&units, &mut existence);
        let tasks = units.into_iter().map(|(unit, files)| {
            let existence = existence[&unit];
            let task = Task {
                commit: at,
                files,
                existence,
            };
            (unit, task)
        });
        Ok(tasks.collect())
    }

    fn tree_of(&self, commit: ObjectId) -> Result<ObjectId, ChangesError> {
        match self.forest.commit(commit) {
            Some(commit) => Ok(commit.tree),
            None => Ok(self.repository.commit(commit)?.tree),
        }
    }

    fn change_set(&self, old: ObjectId, new: ObjectId) -> Result<Vec<Change>, ChangesError> {
        let changes = match self.forest.change_set(old, new) {
            Some(changes) => changes,
            None => self.repository.change_set(old, new)?,
        };
        Ok(changes.changes().to_vec())
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
}

/// Judges what was found.
struct Judge<'r> {
    repository: &'r Repository,
    context: &'r Context<'r>,
}

impl Judge<'_> {
    /// Judges the changes of one unit, the newest first.
    fn unit(
        &self,
        unit: &UnitPath,
        tasks: &[Task],
        mut take: impl FnMut(&Task, JudgedUnit),
    ) -> Result<(), ChangesError> {
        let mut whole: Vec<&Task> = Vec::new();
        let mut bound = collections::Bound::new(self.repository, self.context);
        for task in tasks {
            let pieces = match &task.files[..] {
                [change] if collection::is_cut(&change.path) => bound.pieces(change)?,
                _ => None,
            };
            match pieces {
                Some(pieces) => pieces.into_iter().for_each(|judged| take(task, judged)),
                None => whole.push(task),
            }
        }
        let mut rest = &whole[..];
        while !rest.is_empty() {
            let judged = self.some(unit, rest, &mut take)?;
            rest = &rest[judged..];
        }
        Ok(())
    }

    /// Judges as many tasks as may be held at once; says how many.
    fn some(
        &self,
        unit: &UnitPath,
        tasks: &[&Task],
        take: &mut impl FnMut(&Task, JudgedUnit),
    ) -> Result<usize, ChangesError> {
        let mut blobs = Blobs::default();
        let mut count = 0;
        for task in tasks {
            if count > 0 && blobs.held > HELD {
                break;
            }
            for change in &task.files {
                blobs.read(self.repository, change.old)?;
                blobs.read(self.repository, change.new)?;
            }
            count += 1;
        }
        let tasks = &tasks[..count];
        let mut numbers: HashMap<Named<'_>, usize> = HashMap::new();
        let mut files = Vec::new();
        for change in tasks.iter().flat_map(|task| &task.files) {
            for side in [change.old, change.new] {
                if let Some(file) = unit_file(change, side, blobs.get(side))
                    && let Some(named) = named(change, side)
                {
                    numbers.entry(named).or_insert_with(|| {
                        files.push(file);
                        files.len() - 1
                    });
                }
            }
        }
        let parsed: Vec<_> = files.iter().map(nixexpr::parse_file).collect();
        let read: Vec<Read<'_, '_>> = parsed.iter().map(nixexpr::read).collect();
        for task in tasks {
            let side = |of: fn(&Change) -> Option<(FileMode, ObjectId)>| -> Vec<_> {
                let files = task.files.iter().filter_map(|change| {
                    let number = *numbers.get(&named(change, of(change))?)?;
                    Some((files[number], &read[number]))
                });
                files.collect()
            };
            let (old, new) = (side(|change| change.old), side(|change| change.new));
            let judged = engine::judge_read(self.context, unit, &old, &new);
            let bytes: Vec<_> = task
                .files
                .iter()
                .map(|change| (blobs.get(change.old), blobs.get(change.new)))
                .collect();
            let verdict = verdict(judged, &task.files, &bytes, task.existence);
            take(task, JudgedUnit::new(unit.clone(), verdict));
        }
        Ok(count)
    }
}

/// What tells the files of one unit at several times apart.
type Named<'a> = (&'a str, FileMode, ObjectId);

fn named(change: &Change, side: Option<(FileMode, ObjectId)>) -> Option<Named<'_>> {
    side.map(|(mode, id)| (change.path.as_str(), mode, id))
}

/// Files that are held at once.
#[derive(Default)]
struct Blobs {
    known: HashMap<ObjectId, Arc<[u8]>>,
    held: usize,
}

impl Blobs {
    /// A submodule has no bytes here.
    fn read(&mut self, repository: &Repository, side: Option<(FileMode, ObjectId)>) -> Result<(), ObjectError> {
        if let Some((mode, id)) = side
            && mode != FileMode::Submodule
            && !self.known.contains_key(&id)
        {
            let bytes = repository.shared_blob(id)?;
            self.held += bytes.len();
            self.known.insert(id, bytes);
        }
        Ok(())
    }

    fn get(&self, side: Option<(FileMode, ObjectId)>) -> Option<&[u8]> {
        side.filter(|(mode, _)| *mode != FileMode::Submodule)
            .and_then(|(_, id)| self.known.get(&id))
            .map(|bytes| &**bytes)
    }
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
