//! Which changed units have a channel's own patches in them, or had.
//!
//! What a patch changes is reviewed as what it gives: the unit's content is that of the patched tree. But no such change is
//! quiet, however small upstream's part of it is: nobody upstream has seen the two together. So it is never a bump or a
//! mere move, and has a finding of its own; likewise where a patch is gone, since something was protected by it.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{ChainId, Class, PatchName, UnitPath};
use importer::{ObjectId, PatchedCommit, Repository, TreePath};
use nixexpr::{Finding, Place};

use crate::{ChangesError, Partition, UnitChange, changes};

/// What a channel's patches change of upstream's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchedUnits {
    touched: BTreeMap<TreePath, BTreeSet<PatchName>>,
    units: BTreeSet<UnitPath>,
}

impl PatchedUnits {
    /// What these patches change.
    pub fn of(repository: &Repository, chain: ChainId, commit: &PatchedCommit) -> Result<Self, ChangesError> {
        let mut touched: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut before = commit.upstream_tree;
        for step in &commit.steps {
            for change in repository.change_set(before, step.tree)?.changes() {
                touched
                    .entry(change.path.clone())
                    .or_default()
                    .insert(step.name.clone());
            }
            before = step.tree;
        }
        let differ = changes(repository, chain, Some(commit.upstream_tree), commit.tree())?;
        Ok(Self {
            touched,
            units: differ.into_iter().map(|change| change.delta.unit).collect(),
        })
    }

    /// The units in which the patched tree differs from upstream's.
    pub const fn units(&self) -> &BTreeSet<UnitPath> {
        &self.units
    }

    /// The patches that are in a changed unit, and a file that they change.
    fn within(&self, partition: &Partition, change: &UnitChange) -> Option<(TreePath, String)> {
        let unit = &change.delta.unit;
        let parts = change.files.iter().filter(|file| file.part.is_some());
        let mut cut = parts.map(|file| &file.change.path).peekable();
        let files: Vec<_> = if cut.peek().is_some() {
            // A binding: patched if it is the one, or if the patches change the collection elsewhere than in bindings.
            let whole = |path: &&TreePath| {
                let file: Option<UnitPath> = path.as_str().parse().ok();
                self.units.contains(unit) || file.is_some_and(|file| self.units.contains(&file))
            };
            cut.filter(whole).collect()
        } else {
            self.touched
                .keys()
                .filter(|path| partition.unit(path) == *unit)
                .collect()
        };
        let names: BTreeSet<_> = files
            .iter()
            .filter_map(|path| self.touched.get(*path))
            .flatten()
            .collect();
        let names: Vec<_> = names.into_iter().map(PatchName::as_str).collect();
        let first = files.into_iter().find(|path| self.touched.contains_key(*path))?;
        Some((first.clone(), names.join(", ")))
    }
}

/// Marks those of `changes`, which lead from `old_tree` to `new_tree`, that have patches of the channel in them `now`, or
/// had `before`.
pub fn mark_patched(
    repository: &Repository,
    (old_tree, new_tree): (ObjectId, ObjectId),
    before: Option<&PatchedUnits>,
    now: Option<&PatchedUnits>,
    changes: &mut [UnitChange],
) -> Result<(), ChangesError> {
    let Some(rule) = nixexpr::rule("channel-patch").filter(|_| before.is_some() || now.is_some()) else {
        return Ok(());
    };
    let (old, new) = (repository.listing(old_tree)?, repository.listing(new_tree)?);
    let partition = Partition::of(old.files().iter().chain(new.files()).map(|file| &file.path));
    for change in changes {
        let is = now.and_then(|now| now.within(&partition, change));
        let was = before.and_then(|before| before.within(&partition, change));
        let (path, what) = match (is, was) {
            (Some((path, names)), _) => (path, format!("{names} of the channel changes upstream's text")),
            (None, Some((path, names))) => (path, format!("{names} of the channel changed it, and does so no more")),
            (None, None) => continue,
        };
        change.no_bump = Some(format!("it is not upstream's change alone: {what}"));
        if matches!(change.class, Class::Bump | Class::Moved) {
            change.class = Class::Edit;
        }
        change.findings.push(Finding {
            rule,
            place: Place {
                path: path.to_string(),
                line: None,
            },
            what,
        });
        change.findings.sort();
    }
    Ok(())
}
