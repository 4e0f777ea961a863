//! What the rules find in a whole tree: everything that is there counts, not what changed.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use importer::{FileMode, ObjectError, ObjectId, Repository, TreeFile};
use nixexpr::{Finding, UnitFile, Unparsed};

use crate::ChangesError;

/// So many files in a row are the work of one thread.
const RUN: usize = 64;

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
    let found = Mutex::new(Audit {
        files: files.len(),
        ..Audit::default()
    });
    let work = |repository: Repository| -> Result<(), ObjectError> {
        let mut ours = Audit::default();
        while let Some(run) = files.chunks(RUN).nth(next.fetch_add(1, Ordering::Relaxed)) {
            for file in run {
                let bytes = match file.mode {
                    FileMode::Submodule => Vec::new(),
                    _ => repository.blob(file.id)?,
                };
                let file = UnitFile {
                    path: file.path.as_str(),
                    mode: file.mode,
                    bytes: &bytes,
                };
                let (findings, unparsed) = nixexpr::audit(&[file], &nixexpr::Context::default());
                ours.findings.extend(findings);
                ours.unparsed.extend(unparsed);
            }
        }
        // Two that are sorted are sorted together in no time.
        ours.findings.sort();
        let mut all = found.lock().unwrap_or_else(PoisonError::into_inner);
        all.findings.append(&mut ours.findings);
        all.unparsed.append(&mut ours.unparsed);
        Ok(())
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let repository = repository.clone();
                scope.spawn(|| work(repository))
            })
            .collect();
        let mut joined = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.try_for_each(|outcome| outcome)
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.findings.sort();
    found.unparsed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}
