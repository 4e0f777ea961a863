//! What the rules find in a whole tree: everything that is there counts, not what changed.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use importer::{FileMode, ObjectError, ObjectId, Repository, TreeFile};
use nixexpr::{Finding, Rule, UnitFile, Unparsed};

use crate::ChangesError;

/// So many files in a row are the work of one thread.
const RUN: usize = 32;

/// What was found in a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many files were looked at.
    pub files: usize,
    /// What the rules found, sorted.
    pub findings: Vec<Finding>,
    /// Expressions that could not be read, sorted: no rule saw them.
    pub unparsed: Vec<(String, Unparsed)>,
}

/// Looks at every file of a tree below `directory` (the whole tree for `""`), on all cores.
pub fn audit(repository: &Repository, tree: ObjectId, directory: &str) -> Result<Audit, ChangesError> {
    let listing = repository.listing(tree)?;
    let files: Vec<&TreeFile> = listing
        .files()
        .iter()
        .filter(|file| {
            let path = file.path.as_str();
            directory.is_empty() || path == directory || crate::partition::is_below(path, directory)
        })
        .collect();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = |repository: Repository| -> Result<(), ObjectError> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // The last ones first: collections, which take longest, are in `pkgs/top-level`, and nobody shall wait for one.
            let Some(run) = files.chunks(RUN).nth_back(number) else {
                return Ok(());
            };
            let looked = look_at(&repository, run)?;
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.push((number, looked));
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let repository = repository.uncached();
                scope.spawn(|| work(repository))
            })
            .collect();
        let mut joined = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.try_for_each(|outcome| outcome)
    })?;
    let mut runs = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|(number, _)| Reverse(*number));
    let (findings, unparsed): (Vec<_>, Vec<_>) = runs.into_iter().map(|(_, looked)| looked).unzip();
    Ok(Audit {
        files: files.len(),
        findings: sorted(findings.into_iter().flatten()),
        // One at most of each file.
        unparsed: unparsed.into_iter().flatten().collect(),
    })
}

type Looked = (Vec<Finding>, Vec<(String, Unparsed)>);

/// Looks at each of some files, in their order.
fn look_at(repository: &Repository, files: &[&TreeFile]) -> Result<Looked, ObjectError> {
    let (mut findings, mut unparsed) = Looked::default();
    let mut look = |file: &TreeFile, bytes: &[u8]| {
        let file = UnitFile {
            path: file.path.as_str(),
            mode: file.mode,
            bytes,
        };
        let (found, unread) = nixexpr::audit(&[file], &nixexpr::Context::default());
        findings.extend(found);
        unparsed.extend(unread);
    };
    let is_submodule = |file: &&&TreeFile| file.mode == FileMode::Submodule;
    let blobs = files.iter().filter(|file| !is_submodule(file));
    let ids: Vec<ObjectId> = blobs.map(|file| file.id).collect();
    let mut left = files.iter();
    repository.each_blob(&ids, |_, bytes| {
        for file in left.by_ref() {
            if !is_submodule(&file) {
                look(file, bytes);
                break;
            }
            look(file, &[]);
        }
        Ok::<(), ObjectError>(())
    })?;
    left.for_each(|file| look(file, &[]));
    Ok((findings, unparsed))
}

/// Findings of one file after the other, each file's sorted, all sorted: they only have to be put beside those of their rule.
fn sorted(findings: impl Iterator<Item = Finding>) -> Vec<Finding> {
    let mut by_rule: BTreeMap<&Rule, Vec<Finding>> = BTreeMap::new();
    let mut findings = findings.peekable();
    while let Some(first) = findings.next() {
        let rule = first.rule;
        let of_rule = by_rule.entry(rule).or_default();
        of_rule.push(first);
        while let Some(another) = findings.next_if(|another| std::ptr::eq(another.rule, rule)) {
            of_rule.push(another);
        }
    }
    let sorted: Vec<Finding> = by_rule.into_values().flatten().collect();
    debug_assert!(sorted.is_sorted(), "each file's findings are sorted");
    sorted
}
