//! Which changed units come back to a content that the channel had, and left.
//!
//! Who approved that content once did not know why it would be left. So it is looked for in the tree of every earlier
//! release, and these are walked by what differs from one to the next: the time follows the changes between
//! releases, not the sizes of their trees.
//!
//! Contents are compared by the ids of git objects. Equal files have equal ids, so no return is missed; a
//! collision of ids could only make somebody approve once more.

use std::collections::{BTreeMap, BTreeSet};

use attestation::UnitPath;
use importer::{Change, ObjectId, Repository, TreePath};
use memchr::memmem::Finder;

use crate::{ChangesError, Partition, UnitChange, change::bytes, collection};

/// Where a unit of whole files still differs from what it is now, in the tree that is being walked.
struct Walked {
    /// Which of the changes it is.
    at: usize,
    differs: BTreeSet<TreePath>,
}

/// A binding of a collection file. Its text is looked for in the whole file, and only where it is found is that read: whether
/// it was bound so, or, where the file was not cut then, whether it stood there at all.
struct Sought {
    at: usize,
    name: String,
    text: Vec<u8>,
}

/// Marks those of `changes`, which lead from `from_tree` to `to_tree`, whose new content is that of an earlier release.
/// `earlier` are the releases before the last one, whose tree `from_tree` is, by sequence: the newest first.
///
/// That a unit is gone is no content: what is removed again is no return. What is left of a collection file is not looked for: it
/// is `sensitive` whatever it is.
pub fn mark_returns(
    repository: &Repository,
    from_tree: ObjectId,
    to_tree: ObjectId,
    earlier: &[(u64, ObjectId)],
    changes: &mut [UnitChange],
) -> Result<(), ChangesError> {
    if earlier.is_empty() || changes.is_empty() {
        return Ok(());
    }
    let (old, new) = (repository.listing(from_tree)?, repository.listing(to_tree)?);
    let partition = Partition::of(old.files().iter().chain(new.files()).map(|file| &file.path));
    let (mut walked, sought) = watched(changes);
    let mut tree = from_tree;
    for (sequence, earlier_tree) in earlier {
        let mut touched = BTreeSet::new();
        for change in repository.change_set(tree, *earlier_tree)?.changes() {
            if let Some(sought) = sought.get(&change.path) {
                look_for(repository, change, sought, *sequence, changes)?;
            }
            let unit = partition.unit(&change.path);
            let Some(unit) = walked.get_mut(&unit) else { continue };
            let now = new.get(change.path.as_str()).map(|file| (file.mode, file.id));
            if change.new == now {
                unit.differs.remove(&change.path);
            } else {
                unit.differs.insert(change.path.clone());
            }
            touched.insert(unit.at);
        }
        for unit in walked.values() {
            if touched.contains(&unit.at) && unit.differs.is_empty() {
                changes[unit.at].left.get_or_insert(*sequence);
            }
        }
        tree = *earlier_tree;
    }
    Ok(())
}

/// What is watched: units of whole files by their path, and bindings by the file that they are in.
fn watched(changes: &[UnitChange]) -> (BTreeMap<UnitPath, Walked>, BTreeMap<TreePath, Vec<Sought>>) {
    let mut walked = BTreeMap::new();
    let mut sought: BTreeMap<TreePath, Vec<Sought>> = BTreeMap::new();
    for (at, change) in changes
        .iter()
        .enumerate()
        .filter(|(_, change)| change.delta.to.is_some())
    {
        let parts = change.files.iter().filter_map(|file| file.part.as_ref()).count();
        if parts == 0 {
            let differs = change.files.iter().map(|file| file.change.path.clone()).collect();
            walked.insert(change.delta.unit.clone(), Walked { at, differs });
            continue;
        }
        for file in &change.files {
            let text = file.part.as_ref().and_then(|part| part.new.as_ref());
            let path = &file.change.path;
            if let (Some((_, text)), Some((_, name))) = (text, change.delta.unit.as_str().split_once('#')) {
                let (name, text) = (name.to_owned(), text.clone());
                sought.entry(path.clone()).or_default().push(Sought { at, name, text });
            }
        }
    }
    (walked, sought)
}

fn look_for(
    repository: &Repository,
    file: &Change,
    sought: &[Sought],
    sequence: u64,
    changes: &mut [UnitChange],
) -> Result<(), ChangesError> {
    let Some(bytes) = bytes(repository, file.new)? else {
        return Ok(());
    };
    // Looking is quick, reading is not: only a file with such a text is read, and once.
    let there: Vec<_> = sought
        .iter()
        .filter(|it| changes[it.at].left.is_none() && Finder::new(&it.text).find(&bytes).is_some())
        .collect();
    if there.is_empty() {
        return Ok(());
    }
    let asked: Vec<_> = there.iter().map(|it| (it.name.as_str(), it.text.as_slice())).collect();
    for (sought, is_bound) in there.iter().zip(collection::binds(&file.path, &bytes, &asked)) {
        if is_bound {
            changes[sought.at].left = Some(sequence);
        }
    }
    Ok(())
}
