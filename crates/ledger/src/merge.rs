//! Merging: what two people added is in the result, and nothing that was there is missing.

use gix::ObjectId;

use crate::{
    ancestry::is_ancestor,
    author::Author,
    branch::Change,
    durable,
    path::LedgerPath,
    store::{Ledger, ReadError, WriteError, reading},
    union::{Conflict, Resolutions, UnionError, unite},
};

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The ledger's newest commit.
    pub head: ObjectId,
    /// How it came about.
    pub way: Way,
    /// The files that the other ledger brought, sorted.
    pub gained: Vec<LedgerPath>,
    /// Files that the other ledger has removed since both parted. They are kept here; nobody should remove any.
    pub removed_there: Vec<LedgerPath>,
}

/// How a merge came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The other ledger had nothing new.
    NothingNew,
    /// The branch moved to the other ledger's commit.
    FastForward,
    /// A commit has both as parents.
    Merge,
}

/// Why a merge was not made. The ledger is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Paths with two contents. Somebody who can verify both decides, or nobody does.
    #[error("{} files differ between the ledgers, the first: {}", .conflicts.len(), .conflicts[0])]
    Conflicts {
        /// At least one.
        conflicts: Vec<Conflict>,
    },
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl MergeError {
    /// Whether the chain has forked, or somebody published two things under one version.
    pub fn is_alarm(&self) -> bool {
        matches!(self, Self::Conflicts { conflicts } if conflicts.iter().any(Conflict::is_alarm))
    }
}

impl From<UnionError> for MergeError {
    fn from(error: UnionError) -> Self {
        match error {
            UnionError::Read(error) => Self::Read(error),
            UnionError::Write(error) => Self::Write(error),
        }
    }
}

impl Ledger {
    /// Merges the ledger commit `other` of this repository: the union of both trees. `resolutions` decides
    /// between two contents of one path; a path that it lacks is a conflict.
    pub fn merge(
        &self,
        other: ObjectId,
        message: &str,
        author: &Author,
        resolutions: &Resolutions,
    ) -> Result<Merged, MergeError> {
        self.change(author, |head| {
            self.merge_once(head, other, message, author, resolutions)
        })
    }

    fn merge_once(
        &self,
        head: ObjectId,
        other: ObjectId,
        message: &str,
        author: &Author,
        resolutions: &Resolutions,
    ) -> Result<Change<Merged>, MergeError> {
        if is_ancestor(&self.repo, other, head)? {
            return Ok(Change::None(Merged {
                head,
                way: Way::NothingNew,
                gained: Vec::new(),
                removed_there: Vec::new(),
            }));
        }
        let theirs = self.tree_of(other)?.id;
        let union = unite(&self.repo, self.tree_of(head)?.id, theirs, resolutions)?;
        if !union.conflicts.is_empty() {
            return Err(MergeError::Conflicts {
                conflicts: union.conflicts,
            });
        }
        let newer = is_ancestor(&self.repo, head, other)?;
        let base = if newer {
            Some(head)
        } else {
            self.merge_base(head, other)?
        };
        let removed_there = self.removed(base, other)?;
        let (to, way) = if newer && union.tree == theirs {
            (other, Way::FastForward)
        } else {
            let commit = self.write_commit(union.tree, &[head, other], message, author)?;
            let objects: Vec<_> = union.written.iter().copied().chain([commit]).collect();
            durable::flush_objects(&self.repo, &objects).map_err(WriteError::Flush)?;
            (commit, Way::Merge)
        };
        Ok(Change::Commit {
            from: head,
            to,
            outcome: Merged {
                head: to,
                way,
                gained: union.gained,
                removed_there,
            },
        })
    }

    /// The commit from which both parted, unless they began apart.
    pub(crate) fn merge_base(&self, one: ObjectId, other: ObjectId) -> Result<Option<ObjectId>, ReadError> {
        let base = self
            .repo
            .merge_base(one, other)
            .map_err(reading(format!("the history of {one} and {other}")))?;
        Ok(base.map(gix::Id::detach))
    }

    /// The files that `base` has and `other` lacks.
    fn removed(&self, base: Option<ObjectId>, other: ObjectId) -> Result<Vec<LedgerPath>, ReadError> {
        let Some(base) = base else {
            return Ok(Vec::new());
        };
        let (old, new) = (self.tree_of(base)?, self.tree_of(other)?);
        let changes = self
            .repo
            .diff_tree_to_tree(&old, &new, gix::diff::Options::default())
            .map_err(reading(format!("the changes from {base} to {other}")))?;
        let mut removed: Vec<_> = changes
            .into_iter()
            .filter(|change| matches!(change, gix::object::tree::diff::ChangeDetached::Deletion { .. }))
            .filter_map(|change| change.location().to_string().parse().ok())
            .collect();
        removed.sort();
        Ok(removed)
    }
}
