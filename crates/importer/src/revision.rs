//! Commits and how they descend from each other.

use std::collections::{BinaryHeap, HashMap, HashSet};

use gix::{ObjectId, objs::CommitRefIter};

use crate::{
    Repository,
    repository::{ObjectError, ObjectKind},
};

/// A commit, as far as the import of its tree needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: ObjectId,
    /// The tree it records.
    pub tree: ObjectId,
    /// Its parents, the first one being the branch it was made on.
    pub parents: Vec<ObjectId>,
    /// When it was committed, in seconds since 1970, as the committer says: Nix's `lastModified`.
    pub committed: i64,
}

/// How many commits lie between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitRange {
    /// All commits that the later one reaches and the earlier one does not.
    pub commits: u64,
    /// Those of them on the later one's chain of first parents.
    pub first_parents: u64,
}

/// Why a revision names no commit.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Nothing has that name, or several things have.
    #[error("{revision:?} names no commit of this repository")]
    Unknown {
        /// The revision as given.
        revision: String,
        /// What gix said.
        source: Box<gix::Error>,
    },
    /// The named object cannot be read, or leads to no commit.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl Repository {
    /// The commit that a revision names: anything `git rev-parse` knows (a branch, a tag, an id, `main~3`).
    pub fn resolve(&self, revision: &str) -> Result<ObjectId, ResolveError> {
        let unknown = |source| ResolveError::Unknown {
            revision: revision.to_owned(),
            source: Box::new(source),
        };
        let object = self
            .git
            .rev_parse_single(revision)
            .and_then(|id| id.object())
            .map_err(unknown)?;
        let commit = object.peel_to_kind(gix::objs::Kind::Commit).map_err(unknown)?;
        Ok(commit.id)
    }

    /// Reads a commit.
    pub fn commit(&self, id: ObjectId) -> Result<Commit, ObjectError> {
        let mut buffer = Vec::new();
        self.read(id, ObjectKind::Commit, &mut buffer)?;
        Commit::decode(id, &buffer).map_err(|source| ObjectError::Unreadable {
            id,
            expected: ObjectKind::Commit,
            repository: self.git_dir().to_owned(),
            source: Box::new(source),
        })
    }

    /// Whether `descendant` is `ancestor` or descends from it.
    ///
    /// The order of the search follows commit times, the answer does not: a commit with a wrong clock costs time
    /// only. A "no" has seen the whole history of `descendant`.
    pub fn is_ancestor(&self, ancestor: ObjectId, descendant: ObjectId) -> Result<bool, ObjectError> {
        self.commit(ancestor)?;
        let mut seen = HashSet::from([descendant]);
        let mut queue = BinaryHeap::from([newest_first(self.commit(descendant)?)]);
        while let Some((_, id, parents)) = queue.pop() {
            if id == ancestor {
                return Ok(true);
            }
            for parent in parents {
                if seen.insert(parent) {
                    queue.push(newest_first(self.commit(parent)?));
                }
            }
        }
        Ok(false)
    }

    /// Whether a branch or tag of this repository, or a branch that it follows, contains the commit. Other refs do not
    /// count: a forge keeps what anybody proposed under names of its own.
    pub fn is_published(&self, commit: ObjectId) -> Result<bool, ResolveError> {
        let unknown = |source| ResolveError::Unknown {
            revision: "refs".to_owned(),
            source: Box::new(source),
        };
        let mut tips = Vec::new();
        let references = self.git.references().map_err(unknown)?;
        for kind in ["refs/heads/", "refs/tags/", "refs/remotes/"] {
            for reference in references.prefixed(kind).map_err(unknown)? {
                // A ref that leads to no commit contains none.
                let peeled = reference.ok().and_then(|mut reference| reference.peel_to_id().ok());
                tips.extend(peeled.map(gix::Id::detach));
            }
        }
        let mut seen: HashSet<ObjectId> = tips.iter().copied().collect();
        while let Some(id) = tips.pop() {
            if id == commit {
                return Ok(true);
            }
            if let Ok(found) = self.commit(id) {
                tips.extend(found.parents.into_iter().filter(|parent| seen.insert(*parent)));
            }
        }
        Ok(false)
    }

    /// Whether a ref, such as the one that [`Repository::fetch_upstream`] moves, contains the commit.
    pub fn is_on_branch(&self, commit: ObjectId, reference: &str) -> Result<bool, ResolveError> {
        let tip = self.resolve(reference)?;
        Ok(self.is_ancestor(commit, tip)?)
    }

    /// The commits that `to` reaches and `from` does not, oldest first as their committers dated them.
    pub fn commits_between(&self, from: ObjectId, to: ObjectId) -> Result<Vec<Commit>, ObjectError> {
        let ids = self.reached_only_by(to, from)?;
        let mut commits = ids
            .into_iter()
            .map(|id| self.commit(id))
            .collect::<Result<Vec<_>, _>>()?;
        commits.sort_by_key(|commit| (commit.committed, commit.id));
        Ok(commits)
    }

    /// Counts the commits that `to` reaches and `from` does not, as `git rev-list --count from..to` does, which stops
    /// looking where commit times say that nothing more can come: among commits with wrong clocks it may count too many.
    pub fn commit_range(&self, from: ObjectId, to: ObjectId) -> Result<CommitRange, ObjectError> {
        let between = self.reached_only_by(to, from)?;
        let mut first_parents = 0;
        let mut next = Some(to).filter(|id| between.contains(id));
        while let Some(id) = next {
            first_parents += 1;
            next = self
                .commit(id)?
                .parents
                .first()
                .copied()
                .filter(|id| between.contains(id));
        }
        Ok(CommitRange {
            commits: between.len() as u64,
            first_parents,
        })
    }

    /// The commits that `to` reaches and `from` does not.
    ///
    /// Newest first; an excluded commit excludes its parents, also those met before. It ends when every commit still
    /// to look at was met as an excluded one.
    pub(crate) fn reached_only_by(&self, to: ObjectId, from: ObjectId) -> Result<HashSet<ObjectId>, ObjectError> {
        let mut excluded = HashMap::from([(to, false)]);
        excluded.insert(from, true);
        let mut queue = BinaryHeap::new();
        queue.push((newest_first(self.commit(from)?), false));
        queue.push((newest_first(self.commit(to)?), true));
        let mut wanted = 1_usize;
        while wanted > 0 {
            let Some(((_, id, parents), was_wanted)) = queue.pop() else {
                break;
            };
            wanted -= usize::from(was_wanted);
            let excludes = excluded.get(&id).copied().unwrap_or(false);
            for parent in parents {
                let known = excluded.get(&parent).copied();
                if known.is_none() || known == Some(false) && excludes {
                    excluded.insert(parent, excludes);
                    wanted += usize::from(!excludes);
                    queue.push((newest_first(self.commit(parent)?), !excludes));
                }
            }
        }
        Ok(excluded
            .into_iter()
            .filter_map(|(id, excluded)| (!excluded).then_some(id))
            .collect())
    }
}

/// A commit in a queue from which the latest comes first.
fn newest_first(commit: Commit) -> (i64, ObjectId, Vec<ObjectId>) {
    (commit.committed, commit.id, commit.parents)
}

impl Commit {
    pub(crate) fn decode(id: ObjectId, bytes: &[u8]) -> Result<Self, gix::Error> {
        let commit = || CommitRefIter::from_bytes(bytes, gix::hash::Kind::Sha1);
        Ok(Self {
            id,
            tree: commit().tree_id()?,
            parents: commit().parent_ids().collect(),
            committed: commit().committer()?.seconds(),
        })
    }
}
