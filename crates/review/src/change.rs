//! The units that differ between two trees.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    ChainId, Class, Content, Delta, UnitPath,
    unit::{FindingLevel, ListedFile},
};
use importer::{Change, FileMode, Listing, ObjectError, ObjectId, Repository, TreeError, TreeFile};
use policy::admission::ChangedUnit;

use crate::{
    Partition, class,
    finding::{Evidence, Finding, Findings},
};

/// A unit that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitChange {
    /// From which content to which.
    pub delta: Delta,
    /// What kind of change it is.
    pub class: Class,
    /// Where the unit was before, or is now, if its listing is unchanged under another path.
    pub counterpart: Option<UnitPath>,
    /// What somebody must look at, sorted by code.
    pub findings: Vec<Finding>,
    /// The files that differ, sorted by path.
    pub files: Vec<Change>,
}

/// Why the changes could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// One of the trees cannot be read, or is refused.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl UnitChange {
    /// The highest level among the findings.
    pub fn highest_finding(&self) -> Option<FindingLevel> {
        self.findings.iter().map(|finding| finding.level).max()
    }
}

impl From<&UnitChange> for ChangedUnit {
    fn from(change: &UnitChange) -> Self {
        Self {
            delta: change.delta.clone(),
            class: change.class,
            highest_finding: change.highest_finding(),
        }
    }
}

/// The units of `chain` that differ between two trees, sorted by path. Without an old tree, all of them are new.
///
/// Contents are computed from the objects' bytes, over the whole listing of each unit that differs. Time and
/// memory follow the size of these units, and the number of files in both trees.
pub fn changes(
    repository: &Repository,
    chain: ChainId,
    old_tree: Option<ObjectId>,
    new_tree: ObjectId,
) -> Result<Vec<UnitChange>, ChangesError> {
    let old_tree = old_tree.unwrap_or_else(|| ObjectId::empty_tree(new_tree.kind()));
    let (old, new) = (repository.listing(old_tree)?, repository.listing(new_tree)?);
    let partition = Partition::of(old.files().iter().chain(new.files()).map(|file| &file.path));
    let mut units: BTreeMap<UnitPath, Vec<Change>> = BTreeMap::new();
    for change in repository.change_set(old_tree, new_tree)?.changes() {
        units
            .entry(partition.unit(&change.path))
            .or_default()
            .push(change.clone());
    }
    let names: BTreeSet<&UnitPath> = units.keys().collect();
    let mut old = side(repository, &partition, &names, &old)?;
    let mut new = side(repository, &partition, &names, &new)?;
    let counterparts = counterparts(&names, &old, &new);
    units
        .into_iter()
        .map(|(unit, files)| {
            let old = old.remove(&unit).unwrap_or_default();
            let new = new.remove(&unit).unwrap_or_default();
            let counterpart = counterparts.get(&unit).cloned();
            let sensitive = |change: &Change| class::is_foundation(&change.path) || class::is_tier_zero(&change.path);
            Ok(UnitChange {
                class: class::of(
                    !old.is_empty(),
                    !new.is_empty(),
                    counterpart.is_some(),
                    files.iter().any(sensitive),
                ),
                findings: findings(repository, &files)?,
                delta: Delta {
                    from: Content::of(chain, &unit, &old),
                    to: Content::of(chain, &unit, &new),
                    unit,
                },
                counterpart,
                files,
            })
        })
        .collect()
}

/// The listings of the named units in one tree.
fn side(
    repository: &Repository,
    partition: &Partition,
    names: &BTreeSet<&UnitPath>,
    listing: &Listing,
) -> Result<BTreeMap<UnitPath, Vec<ListedFile>>, ObjectError> {
    let (units, files): (Vec<UnitPath>, Vec<TreeFile>) = listing
        .files()
        .iter()
        .map(|file| (partition.unit(&file.path), file))
        .filter(|(unit, _)| names.contains(unit))
        .map(|(unit, file)| (unit, file.clone()))
        .unzip();
    let mut listings: BTreeMap<UnitPath, Vec<ListedFile>> = BTreeMap::new();
    for (unit, file) in units.into_iter().zip(repository.listed_files(&files)?) {
        listings.entry(unit).or_default().push(file);
    }
    Ok(listings)
}

/// Pairs of a removed and a new unit with one listing, where no third unit has it: where the one went.
fn counterparts(
    names: &BTreeSet<&UnitPath>,
    old: &BTreeMap<UnitPath, Vec<ListedFile>>,
    new: &BTreeMap<UnitPath, Vec<ListedFile>>,
) -> BTreeMap<UnitPath, UnitPath> {
    let mut by_listing: BTreeMap<Vec<ListedFile>, (Vec<&UnitPath>, Vec<&UnitPath>)> = BTreeMap::new();
    for unit in names {
        match (old.get(*unit), new.get(*unit)) {
            (Some(was), None) => by_listing.entry(relative(unit, was)).or_default().0.push(unit),
            (None, Some(is)) => by_listing.entry(relative(unit, is)).or_default().1.push(unit),
            _ => {}
        }
    }
    by_listing
        .values()
        .filter_map(|(removed, added)| match (removed.as_slice(), added.as_slice()) {
            ([from], [to]) => Some([((*from).clone(), (*to).clone()), ((*to).clone(), (*from).clone())]),
            _ => None,
        })
        .flatten()
        .collect()
}

/// A listing with paths from the unit's own directory; the file that is its unit has none.
fn relative(unit: &UnitPath, listing: &[ListedFile]) -> Vec<ListedFile> {
    let prefix = format!("{unit}/");
    let mut files: Vec<_> = listing
        .iter()
        .map(|file| {
            let path = match file.path.strip_prefix(&prefix) {
                Some(path) => path.to_owned(),
                None if file.path == unit.as_str() => String::new(),
                None => file.path.clone(),
            };
            ListedFile { path, ..file.clone() }
        })
        .collect();
    files.sort();
    files
}

fn findings(repository: &Repository, files: &[Change]) -> Result<Vec<Finding>, ObjectError> {
    let mut findings = Findings::default();
    for change in files {
        findings.look(&Evidence {
            change,
            old: bytes(repository, change.old)?,
            new: bytes(repository, change.new)?,
        });
    }
    Ok(findings.finish())
}

/// The bytes of a file, or a symlink's target; a submodule has none here.
pub(crate) fn bytes(
    repository: &Repository,
    side: Option<(FileMode, ObjectId)>,
) -> Result<Option<Vec<u8>>, ObjectError> {
    match side {
        None | Some((FileMode::Submodule, _)) => Ok(None),
        Some((_, id)) => repository.blob(id).map(Some),
    }
}
