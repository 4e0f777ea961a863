//! All of a tree, in NAR's order, its directories read on all cores.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use gix::ObjectId;

use crate::{
    Repository, TreeError, TreeFile, TreePath,
    blobs::MAX_READERS,
    pack::Location,
    tree::{Entry, EntryKind, MAX_ENTRIES},
};

/// With so many directories left, others are asked to help.
const MANY: usize = 256;

/// Levels that one thread reads alone, to find that many.
const LEVELS: usize = 8;

/// What is met on the way through a tree: parents before what is in them, siblings sorted by the bytes of their names.
#[derive(Debug)]
pub(crate) enum Met {
    Enter(TreePath),
    Leave,
    File(TreeFile),
}

impl Met {
    /// The path of what begins here.
    pub(crate) const fn path(&self) -> Option<&TreePath> {
        match self {
            Self::Enter(path) | Self::File(TreeFile { path, .. }) => Some(path),
            Self::Leave => None,
        }
    }

    pub(crate) const fn file(&self) -> Option<&TreeFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Enter(_) | Self::Leave => None,
        }
    }
}

/// A directory that was not looked into yet.
struct Directory {
    path: TreePath,
    tree: ObjectId,
    location: Option<Location>,
    depth: usize,
}

enum Step {
    Met(Met),
    Into(Directory),
}

impl Repository {
    /// Goes through the whole tree of `directory` (empty for the root), which lies `depth` levels down.
    pub(crate) fn walk(&self, tree: ObjectId, directory: &str, depth: usize) -> Result<Vec<Met>, TreeError> {
        let met = AtomicUsize::new(0);
        let mut steps = Vec::new();
        let location = self.packs().locate(tree);
        self.look_into((tree, location), directory, depth, &met, &mut steps)?;
        for _ in 0..LEVELS {
            let left = steps.iter().filter(|step| matches!(step, Step::Into(_))).count();
            if left == 0 || left >= MANY {
                break;
            }
            let level = std::mem::take(&mut steps);
            for step in level {
                match step {
                    Step::Met(_) => steps.push(step),
                    Step::Into(Directory {
                        path,
                        tree,
                        location,
                        depth,
                    }) => self.look_into((tree, location), path.as_str(), depth, &met, &mut steps)?,
                }
            }
        }
        self.walk_rest(steps, &met)
    }

    /// What is in the directories that were not looked into, in their places.
    fn walk_rest(&self, steps: Vec<Step>, met: &AtomicUsize) -> Result<Vec<Met>, TreeError> {
        let directories: Vec<&Directory> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Into(directory) => Some(directory),
                Step::Met(_) => None,
            })
            .collect();
        let mut found: Vec<_> = directories.iter().map(|_| Ok(Vec::new())).collect();
        let failed = AtomicBool::new(false);
        let left = Mutex::new(directories.iter().zip(&mut found));
        let work = |repository: &Self| {
            while !failed.load(Ordering::Relaxed) {
                let Some((directory, found)) = left.lock().unwrap_or_else(PoisonError::into_inner).next() else {
                    return;
                };
                let mut inside = Vec::new();
                let Directory {
                    tree,
                    location,
                    depth,
                    path,
                } = *directory;
                let mut path = path.as_str().to_owned();
                let walked = repository.walk_into((*tree, *location), &mut path, *depth, met, &mut inside);
                *found = walked.map(|()| inside);
                failed.fetch_or(found.is_err(), Ordering::Relaxed);
            }
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let helpers = if directories.len() < MANY {
            0
        } else {
            cores.min(MAX_READERS) - 1
        };
        thread::scope(|scope| {
            for _ in 0..helpers {
                let repository = self.uncached();
                scope.spawn(move || work(&repository));
            }
            work(self);
        });
        // They are begun in order: what is missing comes after the first that failed, which is the error of the whole.
        let mut found = found.into_iter();
        let mut all = Vec::with_capacity(steps.len() + met.load(Ordering::Relaxed));
        for step in steps {
            match step {
                Step::Met(met) => all.push(met),
                Step::Into(_) => all.extend(found.next().transpose()?.into_iter().flatten()),
            }
        }
        Ok(all)
    }

    /// All of one directory; its path is given back unchanged: one serves all that are in it.
    fn walk_into(
        &self,
        (tree, location): (ObjectId, Option<Location>),
        directory: &mut String,
        depth: usize,
        met: &AtomicUsize,
        all: &mut Vec<Met>,
    ) -> Result<(), TreeError> {
        let mut buffer = Vec::new();
        let entries = self.entries_at(tree, location, directory, depth, &mut buffer)?;
        let mut locations = self.counted_and_located(&entries, met)?;
        for entry in entries {
            let path = TreePath::join(directory, entry.name);
            match entry.kind {
                EntryKind::Directory => {
                    let length = directory.len();
                    directory.push_str(&path.as_str()[length..]);
                    all.push(Met::Enter(path));
                    let located = (entry.id, locations.next().flatten());
                    self.walk_into(located, directory, depth + 1, met, all)?;
                    directory.truncate(length);
                    all.push(Met::Leave);
                }
                EntryKind::File(mode) => all.push(Met::File(TreeFile {
                    path,
                    mode,
                    id: entry.id,
                })),
            }
        }
        Ok(())
    }

    /// Counts what was met, and finds where the directories in a directory lie: all of them at once.
    fn counted_and_located(
        &self,
        entries: &[Entry<'_>],
        met: &AtomicUsize,
    ) -> Result<impl Iterator<Item = Option<Location>> + use<>, TreeError> {
        if met.fetch_add(entries.len(), Ordering::Relaxed) + entries.len() > MAX_ENTRIES {
            return Err(TreeError::Entries { expected: MAX_ENTRIES });
        }
        let is_directory = |entry: &&Entry<'_>| entry.kind == EntryKind::Directory;
        let directories: Vec<ObjectId> = entries.iter().filter(is_directory).map(|entry| entry.id).collect();
        Ok(self.packs().locate_all(&directories).into_iter())
    }

    /// What is in one directory; those in it are for somebody else.
    fn look_into(
        &self,
        (tree, location): (ObjectId, Option<Location>),
        directory: &str,
        depth: usize,
        met: &AtomicUsize,
        steps: &mut Vec<Step>,
    ) -> Result<(), TreeError> {
        let mut buffer = Vec::new();
        let entries = self.entries_at(tree, location, directory, depth, &mut buffer)?;
        let mut locations = self.counted_and_located(&entries, met)?;
        for entry in entries {
            let path = TreePath::join(directory, entry.name);
            match entry.kind {
                EntryKind::Directory => {
                    steps.push(Step::Met(Met::Enter(path.clone())));
                    steps.push(Step::Into(Directory {
                        path,
                        tree: entry.id,
                        location: locations.next().flatten(),
                        depth: depth + 1,
                    }));
                    steps.push(Step::Met(Met::Leave));
                }
                EntryKind::File(mode) => steps.push(Step::Met(Met::File(TreeFile {
                    path,
                    mode,
                    id: entry.id,
                }))),
            }
        }
        Ok(())
    }
}
