//! What differs between two trees.

use std::cmp::Ordering;

use gix::ObjectId;

use crate::{
    FileMode, Repository, TreeError,
    path::TreePath,
    tree::{Entry, EntryKind, MAX_ENTRIES},
};

/// One path that differs. At least one side is there; when both are, mode or id differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file's path from the root of the tree.
    pub path: TreePath,
    /// Mode and blob in the old tree; `None` where it was not.
    pub old: Option<(FileMode, ObjectId)>,
    /// Mode and blob in the new tree; `None` where it is no more.
    pub new: Option<(FileMode, ObjectId)>,
}

/// Every path that differs between two trees, sorted by path. A file that moved is one removed and one added; a file
/// in place of a directory is the file added and each file of the directory removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    pub(crate) changes: Vec<Change>,
}

impl ChangeSet {
    /// The changes, sorted by path.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

impl Repository {
    /// Compares two trees. Subtrees that are the same object are not read, so that time and memory follow the size of
    /// the change; above half a million changed files it is refused.
    pub fn change_set(&self, old_tree: ObjectId, new_tree: ObjectId) -> Result<ChangeSet, TreeError> {
        let mut changes = Vec::new();
        if old_tree != new_tree {
            self.compare_directories(old_tree, new_tree, "", 0, &mut changes)?;
        }
        changes.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(ChangeSet { changes })
    }

    fn compare_directories(
        &self,
        old_tree: ObjectId,
        new_tree: ObjectId,
        directory: &str,
        depth: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), TreeError> {
        let (mut old_buffer, mut new_buffer) = (Vec::new(), Vec::new());
        let old_entries = self.entries(old_tree, directory, depth, &mut old_buffer)?;
        let new_entries = self.entries(new_tree, directory, depth, &mut new_buffer)?;
        let mut old_entries = old_entries.iter().peekable();
        let mut new_entries = new_entries.iter().peekable();
        loop {
            let order = match (old_entries.peek(), new_entries.peek()) {
                (Some(old), Some(new)) => old.name.cmp(new.name),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return Ok(()),
            };
            let old = old_entries.next_if(|_| order.is_le());
            let new = new_entries.next_if(|_| order.is_ge());
            if old != new {
                self.compare_entries(old, new, directory, depth, changes)?;
            }
        }
    }

    /// Compares two entries of one name that differ.
    fn compare_entries(
        &self,
        old: Option<&Entry<'_>>,
        new: Option<&Entry<'_>>,
        directory: &str,
        depth: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), TreeError> {
        let Some(name) = old.or(new).map(|entry| entry.name) else {
            return Ok(());
        };
        let path = TreePath::join(directory, name);
        if let (Some(old_tree), Some(new_tree)) = (subtree(old), subtree(new)) {
            return self.compare_directories(old_tree, new_tree, path.as_str(), depth + 1, changes);
        }
        if let Some(tree) = subtree(old) {
            self.whole_directory(tree, &path, depth, changes, |path, file| Change {
                path,
                old: Some(file),
                new: None,
            })?;
        }
        if let Some(tree) = subtree(new) {
            self.whole_directory(tree, &path, depth, changes, |path, file| Change {
                path,
                old: None,
                new: Some(file),
            })?;
        }
        let (old, new) = (old.and_then(file), new.and_then(file));
        // Equal here means that only directories were involved, whose files are reported by now.
        if old != new {
            push(changes, Change { path, old, new })?;
        }
        Ok(())
    }

    /// Every file of a directory that is on one side only.
    fn whole_directory(
        &self,
        tree: ObjectId,
        directory: &TreePath,
        depth: usize,
        changes: &mut Vec<Change>,
        change: impl Fn(TreePath, (FileMode, ObjectId)) -> Change,
    ) -> Result<(), TreeError> {
        let files = self.files_of(tree, directory.as_str(), depth + 1)?;
        files
            .into_iter()
            .try_for_each(|file| push(changes, change(file.path, (file.mode, file.id))))
    }
}

fn push(changes: &mut Vec<Change>, change: Change) -> Result<(), TreeError> {
    if changes.len() == MAX_ENTRIES {
        return Err(TreeError::Entries { expected: MAX_ENTRIES });
    }
    changes.push(change);
    Ok(())
}

fn subtree(entry: Option<&Entry<'_>>) -> Option<ObjectId> {
    entry
        .filter(|entry| entry.kind == EntryKind::Directory)
        .map(|entry| entry.id)
}

fn file(entry: &Entry<'_>) -> Option<(FileMode, ObjectId)> {
    match entry.kind {
        EntryKind::File(mode) => Some((mode, entry.id)),
        EntryKind::Directory => None,
    }
}
