//! Whether a merge holds what merging its parents gives.
//!
//! A diff against the first parent shows what the branch brought, a diff against the second what the trunk had. What
//! somebody put into the merge itself is in neither: it has to be looked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use gix::ObjectId;

use crate::{ChangeSet, Commit, FileMode, Repository, TreeError, TreePath, repository::ObjectError};

/// Why a merge could not be made again.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A tree of it is refused, or cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Git's merge failed.
    #[error("merging the parents of {merge} again failed")]
    Merge {
        /// The merge commit.
        merge: ObjectId,
        /// What gix said.
        source: Box<gix::Error>,
    },
}

impl From<ObjectError> for MergeError {
    fn from(error: ObjectError) -> Self {
        Self::Tree(error.into())
    }
}

/// Mode and object of a file, or that there is none.
type State = Option<(FileMode, ObjectId)>;

impl Repository {
    /// Every merge that `to` reaches and `from` does not, made again on all cores: the paths at which some of them are
    /// not what merging their parents gives, and which.
    pub fn unmerged_paths_between(
        &self,
        from: ObjectId,
        to: ObjectId,
    ) -> Result<BTreeMap<TreePath, BTreeSet<ObjectId>>, MergeError> {
        let mut merges = Vec::new();
        for id in self.reached_only_by(to, from)? {
            let commit = self.commit(id)?;
            if commit.parents.len() > 1 {
                merges.push(commit);
            }
        }
        merges.sort_by_key(|merge| (merge.committed, merge.id));
        let next = AtomicUsize::new(0);
        let work = |repository: Self| {
            let mut found = Vec::new();
            while let Some(merge) = merges.get(next.fetch_add(1, Ordering::Relaxed)) {
                let paths = repository.unmerged_paths(merge)?;
                found.extend(paths.into_iter().map(|path| (path, merge.id)));
            }
            Ok(found)
        };
        let threads = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(merges.len().max(1));
        let found = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    let repository = self.clone();
                    scope.spawn(|| work(repository))
                })
                .collect();
            let joined = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect::<Result<Vec<_>, MergeError>>()
        })?;
        let mut odd: BTreeMap<TreePath, BTreeSet<ObjectId>> = BTreeMap::new();
        for (path, merge) in found.into_iter().flatten() {
            odd.entry(path).or_default().insert(merge);
        }
        Ok(odd)
    }

    /// The paths, sorted, at which the tree of a merge is not what merging its parents gives: where a conflict was
    /// resolved by hand, or something was slipped in. None for a commit that is no merge.
    ///
    /// A path that one side changed alone must be as that side has it. Where both changed it, or a file was renamed,
    /// git's own merge is made again, with renames; no configuration has an influence. Of more than two parents,
    /// whatever two of them changed differently is reported.
    pub fn unmerged_paths(&self, merge: &Commit) -> Result<Vec<TreePath>, MergeError> {
        let [first, others @ ..] = &merge.parents[..] else {
            return Ok(Vec::new());
        };
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |source| MergeError::Merge {
            merge: merge.id,
            source: Box::new(source),
        };
        let bases: Vec<ObjectId> = if others.len() == 1 {
            let found = self.git.merge_bases_many(*first, others).map_err(failed)?;
            found.into_iter().map(gix::Id::detach).collect()
        } else {
            let found = self.git.merge_base_octopus(merge.parents.iter().copied());
            found.map_err(failed)?.into_iter().map(gix::Id::detach).collect()
        };
        let suspects = match bases[..] {
            [base] => Some(self.odd_paths(merge, base)?),
            // No common ancestor, or several: git decides.
            _ => None,
        };
        match (suspects, others) {
            (Some(odd), _) if odd.is_empty() => Ok(Vec::new()),
            (Some(odd), [_, _, ..]) => Ok(odd),
            (_, [other, ..]) => self.differs_from_merge(merge, *first, *other),
            (_, []) => Ok(Vec::new()),
        }
    }

    /// Paths that are not as the one side that changed them has them, and those that two sides changed differently.
    fn odd_paths(&self, merge: &Commit, base: ObjectId) -> Result<Vec<TreePath>, MergeError> {
        let base = self.commit(base)?.tree;
        let mut wanted: BTreeMap<TreePath, BTreeSet<State>> = BTreeMap::new();
        for parent in &merge.parents {
            let changes = self.change_set(base, self.commit(*parent)?.tree)?;
            for change in changes.changes() {
                wanted.entry(change.path.clone()).or_default().insert(change.new);
            }
        }
        let merged = self.change_set(base, merge.tree)?;
        let is: BTreeMap<&TreePath, State> = states(&merged);
        let odd = wanted
            .iter()
            .filter(|(path, wanted)| wanted.len() > 1 || is.get(path) != wanted.first())
            .map(|(path, _)| path.clone());
        let from_nowhere = is
            .keys()
            .filter(|path| !wanted.contains_key(**path))
            .map(|path| (*path).clone());
        let mut odd: Vec<_> = odd.chain(from_nowhere).collect();
        odd.sort();
        Ok(odd)
    }

    /// Where the tree of a merge differs from what git's merge of two commits gives.
    fn differs_from_merge(
        &self,
        merge: &Commit,
        ours: ObjectId,
        theirs: ObjectId,
    ) -> Result<Vec<TreePath>, MergeError> {
        let failed = |source| MergeError::Merge {
            merge: merge.id,
            source: Box::new(source),
        };
        // What the merge makes is kept in memory and forgotten.
        let git = self.git.clone().with_object_memory();
        let options: gix::merge::commit::Options = git.tree_merge_options().map_err(failed)?.into();
        let options = options.with_allow_missing_merge_base(true);
        let mut outcome = git
            .merge_commits(
                ours,
                theirs,
                gix::merge::blob::builtin_driver::text::Labels::default(),
                options,
            )
            .map_err(failed)?;
        let tree = outcome.tree_merge.tree.write().map_err(failed)?.detach();
        if tree == merge.tree {
            return Ok(Vec::new());
        }
        let in_memory = self.with_git(git.clone());
        let differs = in_memory.change_set(tree, merge.tree)?;
        Ok(differs.changes().iter().map(|change| change.path.clone()).collect())
    }
}

fn states(set: &ChangeSet) -> BTreeMap<&TreePath, State> {
    set.changes().iter().map(|change| (&change.path, change.new)).collect()
}
