//! The units that differ between two trees.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    ChainId, Class, Content, Delta, UnitPath,
    unit::{FindingLevel, ListedFile},
};
use importer::{
    Change, Commit, FileMode, Listing, MergeError, ObjectError, ObjectId, Repository, TreeError, TreeFile, TreePath,
};
use nixexpr::{Finding, Place};
use policy::admission::ChangedUnit;

use crate::{
    Partition,
    class::{self, Reading},
    collection::{self, Cut, Piece},
    engine::{self, Context, Sides},
    finding,
};

/// A unit that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitChange {
    /// From which content to which.
    pub delta: Delta,
    /// What kind of change it is.
    pub class: Class,
    /// What changed, in one line for people. It is text from outside: show it safely.
    pub summary: String,
    /// Why it is not certain that nothing but version, revision and hash changed. Text from outside too.
    pub no_bump: Option<String>,
    /// Where the unit was before, or is now, if its listing is unchanged under another path.
    pub counterpart: Option<UnitPath>,
    /// The newest release that had its new content, if the channel had it and left it: see [`crate::mark_returns`].
    pub left: Option<u64>,
    /// What somebody must look at, sorted.
    pub findings: Vec<Finding>,
    /// The files that differ, sorted by path.
    pub files: Vec<UnitFile>,
}

/// A file, or a part of one, that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// The file.
    pub change: Change,
    /// The part that is in the unit; `None` for all of it.
    pub part: Option<Part>,
}

/// A part of a collection file: one binding, or what is no binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its text before, and the line on which that began; `None` if it was not.
    pub old: Option<(u64, Vec<u8>)>,
    /// Its text now.
    pub new: Option<(u64, Vec<u8>)>,
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
    /// A merge of the range could not be made again.
    #[error(transparent)]
    Merge(#[from] MergeError),
}

impl UnitChange {
    /// The highest level among the findings.
    pub fn highest_finding(&self) -> Option<FindingLevel> {
        self.findings.iter().map(Finding::level).max()
    }
}

/// The rule after which an approval must name the release from which the change starts.
const VERSION_DOWN: &str = "version-down";

impl From<&UnitChange> for ChangedUnit {
    fn from(change: &UnitChange) -> Self {
        Self {
            delta: change.delta.clone(),
            class: change.class,
            highest_finding: change.highest_finding(),
            version_down: change.findings.iter().any(|finding| finding.rule.code == VERSION_DOWN),
            left: change.left,
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
    let context = Context::of(repository, &partition, &old, &new);
    let mut units: BTreeMap<UnitPath, Vec<Change>> = BTreeMap::new();
    let mut found = Vec::new();
    for change in repository.change_set(old_tree, new_tree)?.changes() {
        if is_cut(change, &old, &new) {
            let sides = (bytes(repository, change.old)?, bytes(repository, change.new)?);
            if let (Some(was), Some(is)) = sides
                && let Some(pieces) = cut(&context, chain, change, &was, &is)
            {
                found.extend(pieces);
                continue;
            }
        }
        units
            .entry(partition.unit(&change.path))
            .or_default()
            .push(change.clone());
    }
    let names: BTreeSet<&UnitPath> = units.keys().collect();
    let mut old = side(repository, &partition, &names, &old)?;
    let mut new = side(repository, &partition, &names, &new)?;
    let counterparts = counterparts(&names, &old, &new);
    for (unit, files) in units {
        let (was, is) = (
            old.remove(&unit).unwrap_or_default(),
            new.remove(&unit).unwrap_or_default(),
        );
        let counterpart = counterparts.get(&unit).cloned();
        let existence = class::Existence {
            was: !was.is_empty(),
            is: !is.is_empty(),
            moved: counterpart.is_some(),
        };
        let verdict = judge(repository, &context, &unit, &files, existence)?;
        found.push(UnitChange {
            class: verdict.class,
            summary: verdict.summary,
            no_bump: verdict.no_bump,
            findings: verdict.findings,
            delta: Delta {
                from: Content::of(chain, &unit, &was),
                to: Content::of(chain, &unit, &is),
                unit,
            },
            counterpart,
            left: None,
            files: files
                .into_iter()
                .map(|change| UnitFile { change, part: None })
                .collect(),
        });
    }
    found.sort_by(|a, b| a.delta.unit.cmp(&b.delta.unit));
    Ok(found)
}

/// The same for the import of a range of commits, whose merges are made again: what somebody put into a merge, and
/// that no diff shows, is a finding of the unit that it changed.
pub fn changes_of_range(
    repository: &Repository,
    chain: ChainId,
    from: &Commit,
    to: &Commit,
) -> Result<Vec<UnitChange>, ChangesError> {
    let mut found = changes(repository, chain, Some(from.tree), to.tree)?;
    let odd = repository.unmerged_paths_between(from.id, to.id)?;
    let rule = nixexpr::rule("evil-merge");
    for change in &mut found {
        let merges = change
            .files
            .iter()
            .filter_map(|file| Some((&file.change.path, odd.get(&file.change.path)?)));
        let findings = merges.flat_map(|(path, merges)| {
            merges.iter().filter_map(move |merge| {
                Some(Finding {
                    rule: rule?,
                    place: Place {
                        path: path.to_string(),
                        line: None,
                    },
                    what: format!("merge {merge} has here what merging its parents does not give"),
                })
            })
        });
        change.findings.extend(findings.collect::<Vec<_>>());
        change.findings.sort();
    }
    Ok(found)
}

/// What is said of a unit.
pub(crate) struct Verdict {
    pub(crate) class: Class,
    pub(crate) summary: String,
    pub(crate) no_bump: Option<String>,
    pub(crate) findings: Vec<Finding>,
}

/// Judges a unit of whole files.
pub(crate) fn judge(
    repository: &Repository,
    context: &Context<'_>,
    unit: &UnitPath,
    files: &[Change],
    existence: class::Existence,
) -> Result<Verdict, ObjectError> {
    let mut read = Vec::new();
    for change in files {
        read.push((bytes(repository, change.old)?, bytes(repository, change.new)?));
    }
    let read: Vec<_> = read.iter().map(|(was, is)| (was.as_deref(), is.as_deref())).collect();
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (change, (was, is)) in files.iter().zip(&read) {
        old.extend(unit_file(change, change.old, *was));
        new.extend(unit_file(change, change.new, *is));
    }
    let mut judged = engine::judge(context, unit, &old, &new);
    if judged.reading == Reading::Bump
        && let Some(path) = context.decided_elsewhere(unit, &judged.names)
    {
        judged.reading = Reading::Read;
        judged.no_bump = Some(format!("something in {path} is decided by the version"));
    }
    Ok(verdict(judged, files, &read, existence))
}

/// A side of a changed file, as the expression engine takes it.
pub(crate) fn unit_file<'a>(
    change: &'a Change,
    side: Option<(FileMode, ObjectId)>,
    bytes: Option<&'a [u8]>,
) -> Option<nixexpr::UnitFile<'a>> {
    side.map(|(mode, _)| nixexpr::UnitFile {
        path: change.path.as_str(),
        mode,
        bytes: bytes.unwrap_or_default(),
    })
}

/// The bytes of a file before and now, where it has any.
pub(crate) type SideBytes<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// What is said of a unit of whole files, whose bytes are these.
pub(crate) fn verdict(
    mut judged: engine::Judged,
    files: &[Change],
    read: &[SideBytes<'_>],
    mut existence: class::Existence,
) -> Verdict {
    // The same words name another file elsewhere, as the patch `../x.patch`: that did not only move.
    let sides = read.iter().flat_map(|(was, is)| [*was, *is]).flatten();
    existence.moved &= !sides.into_iter().any(names_what_is_outside);
    for (change, (was, is)) in files.iter().zip(read) {
        judged.findings.extend(finding::of_file(change, *was, *is));
    }
    if existence.moved {
        // Every byte was there before, under another path: nothing in it is gained.
        judged.findings.retain(|finding| finding.rule.is_about_place());
    }
    judged.findings.sort();
    judged.findings.dedup();
    let sensitivity = files.iter().map(|change| class::sensitivity(&change.path)).max();
    let reading = match judged.reading {
        // What is no plain file of one mode on both sides is more than a bump, whatever is in it.
        Reading::Bump if files.iter().any(|change| !stays_plain(change)) => Reading::Read,
        reading => reading,
    };
    Verdict {
        class: class::of(existence, sensitivity.unwrap_or_default(), reading),
        summary: judged.summary,
        no_bump: judged.no_bump,
        findings: judged.findings,
    }
}

/// Whether a text, or the target of a symbolic link, may name something above the directory that it stands in.
fn names_what_is_outside(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| matches!(three, b"../" | b"/.."))
}

/// Whether a file was and is a plain one of the same mode.
fn stays_plain(change: &Change) -> bool {
    match (change.old, change.new) {
        (Some((old, _)), Some((new, _))) => old == new && matches!(new, FileMode::Regular | FileMode::Executable),
        _ => false,
    }
}

/// Whether a changed file is one that may be cut: a plain file on both sides, and no other file's path could be taken for
/// one of its units.
fn is_cut(change: &Change, old: &Listing, new: &Listing) -> bool {
    let plain = |side: Option<(FileMode, ObjectId)>| side.is_some_and(|(mode, _)| mode == FileMode::Regular);
    let taken = |listing: &Listing| {
        let prefix = format!("{}#", change.path);
        listing
            .files()
            .iter()
            .any(|file| file.path.as_str().starts_with(&prefix))
    };
    collection::is_cut(&change.path) && plain(change.old) && plain(change.new) && !taken(old) && !taken(new)
}

/// The units of a collection file that differ; `None` if it is one unit.
fn cut(context: &Context<'_>, chain: ChainId, change: &Change, old: &[u8], new: &[u8]) -> Option<Vec<UnitChange>> {
    let path = change.path.as_str();
    let (was, is) = (nixexpr::parse(path, old).ok()?, nixexpr::parse(path, new).ok()?);
    let (was_bound, is_bound) = (nixexpr::bindings(&was), nixexpr::bindings(&is));
    let cut = Cut::of((old, &was_bound), (new, &is_bound))?;
    let (was, is) = (nixexpr::analyse(&was), nixexpr::analyse(&is));
    let sides = Sides {
        old: (&was, &was_bound),
        new: (&is, &is_bound),
    };
    let pieces = cut.pieces(&change.path);
    pieces
        .into_iter()
        .map(|piece| {
            let unit = match piece.name {
                Some(name) => collection::unit(&change.path, name)?,
                None => path.parse().ok()?,
            };
            let verdict = judge_piece(context, &unit, &change.path, &piece, &sides);
            Some(UnitChange {
                class: verdict.class,
                summary: verdict.summary,
                no_bump: verdict.no_bump,
                findings: verdict.findings,
                delta: Delta {
                    from: Content::of(chain, &unit, &piece.was),
                    to: Content::of(chain, &unit, &piece.is),
                    unit,
                },
                counterpart: None,
                left: None,
                files: vec![UnitFile {
                    change: change.clone(),
                    part: Some(Part {
                        old: piece.old.map(|text| (text.line, text.shown.into_owned())),
                        new: piece.new.map(|text| (text.line, text.shown.into_owned())),
                    }),
                }],
            })
        })
        .collect()
}

/// Judges a part of a collection file.
pub(crate) fn judge_piece(
    context: &Context<'_>,
    unit: &UnitPath,
    path: &TreePath,
    piece: &Piece<'_>,
    sides: &Sides<'_, '_>,
) -> Verdict {
    let mut judged = engine::judge_piece(context, unit, path, piece, sides);
    let reach = piece.reach(path);
    let mut reaches = Vec::new();
    if reach.foundation {
        reaches.push((
            "foundation",
            "it is more than one package, or what packages are made with",
        ));
    }
    if reach.tier_zero {
        reaches.push(("tier-zero", "it is a package that everything trusts"));
    }
    // What is no binding is judged as a file of a collection.
    for (code, what) in reaches.into_iter().filter(|_| piece.name.is_some()) {
        judged.findings.extend(nixexpr::rule(code).map(|rule| Finding {
            rule,
            place: Place {
                path: path.to_string(),
                line: piece.new.as_ref().map(|text| text.line),
            },
            what: what.to_owned(),
        }));
    }
    judged.findings.sort();
    judged.findings.dedup();
    let existence = class::Existence {
        was: !piece.was.is_empty(),
        is: !piece.is.is_empty(),
        moved: false,
    };
    let reading = match judged.reading {
        // In a collection a call that changed is an edit, whatever it calls.
        Reading::Bump => Reading::Read,
        other => other,
    };
    Verdict {
        class: class::of(existence, reach.sensitivity(), reading),
        summary: judged.summary,
        no_bump: judged.no_bump,
        findings: judged.findings,
    }
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
