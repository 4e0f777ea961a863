//! Old files against new ones: what changed, as people say it, and what the rules find in it.

mod view;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
};

use attestation::{UnitPath, unit::FileMode};

use self::view::comparison;
pub(crate) use self::view::{Changed, Comparison, View, lines};
use crate::{
    Binding, File, FileFacts, Finding, Package, Place, RULES, Unparsed, bump, facts,
    hash::Digest,
    marks::{self, Counts, Mark},
    parse,
    rule::Found,
    summary,
};

/// One file of a tree, as a rule needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitFile<'a> {
    /// Its path from the tree's root.
    pub path: &'a str,
    /// Its mode.
    pub mode: FileMode,
    /// Its bytes; of a symlink its target, of a submodule nothing.
    pub bytes: &'a [u8],
}

/// The unit that has a source with a hash, if any has.
pub type OwnerOfHash<'a> = dyn Fn(&Digest) -> Option<String> + Sync + 'a;

/// Whether a revision and a `narHash` are those of a release.
pub type IsReleased<'a> = dyn Fn(&str, &str) -> bool + Sync + 'a;

/// What rules need from elsewhere. The default knows nothing, and then nothing is excused.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    /// The unit, other than the one that is compared, whose source has this hash in the old or the new tree.
    pub owner_of_hash: Option<&'a OwnerOfHash<'a>>,
    /// Whether a flake's lock may name this: the ledger has a release of this revision with this `narHash`.
    pub is_released: Option<&'a IsReleased<'a>>,
}

/// What a change of one unit is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitDelta {
    /// What changed, in one line.
    pub summary: String,
    /// Nothing but version, revision and hash changed, from the same origin; else why that is not certain.
    pub bump: Result<(), String>,
    /// What somebody must look at, sorted.
    pub findings: Vec<Finding>,
    /// New files that could not be read, with their paths.
    pub unparsed: Vec<(String, Unparsed)>,
    /// What became of the packages in the unit.
    pub packages: Vec<PackageDelta>,
}

/// What became of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageDelta {
    /// Its name, else the attribute it is bound to.
    pub name: String,
    /// Its version before, where it was there and its version is known.
    pub old: Option<String>,
    /// Its version now, likewise.
    pub new: Option<String>,
}

/// A file with its facts and marks, to be asked often.
pub struct Analysed<'f, 'a> {
    pub(crate) file: &'f File<'a>,
    pub(crate) facts: FileFacts<'a>,
    pub(crate) marks: Vec<Mark<'a>>,
    /// Steps that this took, of the file's budget.
    steps: u64,
}

/// Walks a file once.
pub fn analyse<'f, 'a>(file: &'f File<'a>) -> Analysed<'f, 'a> {
    let (facts, marks) = (facts(file), marks::marks(file));
    Analysed {
        file,
        facts,
        marks,
        steps: file.steps(),
    }
}

impl<'a> Analysed<'_, 'a> {
    /// The facts.
    pub const fn facts(&self) -> &FileFacts<'a> {
        &self.facts
    }

    /// How many things the rules marked.
    pub const fn marked(&self) -> usize {
        self.marks.len()
    }
}

/// A file of a unit that was read, or why it was not: of one that is no Nix, nothing. Whoever compares a file with two
/// others reads it once.
pub type Read<'f, 'a> = Option<Result<Analysed<'f, 'a>, Unparsed>>;

/// Compares two states of a unit: those of its files that differ (files that do not may be among them). A file in both
/// lists is compared with itself, of the others everything counts as gained.
pub fn compare(unit: &UnitPath, old: &[UnitFile<'_>], new: &[UnitFile<'_>], context: &Context<'_>) -> UnitDelta {
    let pairs = pair_files(old, new);
    let parsed: Vec<_> = pairs
        .iter()
        .map(|(old, new)| (old.as_ref().and_then(parse_file), new.as_ref().and_then(parse_file)))
        .collect();
    let read: Vec<_> = parsed.iter().map(|(old, new)| (read(old), read(new))).collect();
    let pairs = pairs.into_iter().zip(&read);
    compare_pairs(
        unit,
        pairs.map(|(pair, (old, new))| (pair, (old, new))).collect(),
        context,
    )
}

/// Reads a file, if it is Nix: what is made of it is made by [`read`], and lives as long.
pub fn parse_file<'a>(file: &UnitFile<'a>) -> Option<Result<File<'a>, Unparsed>> {
    is_nix(file).then(|| parse(file.path, file.bytes))
}

/// Makes of a file that was parsed what a comparison needs.
pub fn read<'f, 'a>(parsed: &'f Option<Result<File<'a>, Unparsed>>) -> Read<'f, 'a> {
    let parsed = parsed.as_ref()?;
    Some(parsed.as_ref().map(analyse).map_err(Clone::clone))
}

/// The same for files that were read before.
pub fn compare_read<'c>(
    unit: &UnitPath,
    old: &[(UnitFile<'c>, &'c Read<'c, 'c>)],
    new: &[(UnitFile<'c>, &'c Read<'c, 'c>)],
    context: &Context<'c>,
) -> UnitDelta {
    let files = |side: &[(UnitFile<'c>, &'c Read<'c, 'c>)]| side.iter().map(|(file, _)| *file).collect::<Vec<_>>();
    let by_path = |side: &[(UnitFile<'c>, &'c Read<'c, 'c>)]| -> HashMap<&'c str, &'c Read<'c, 'c>> {
        side.iter().map(|(file, read)| (file.path, *read)).collect()
    };
    let (was, is) = (by_path(old), by_path(new));
    let find = |side: &HashMap<&'c str, &'c Read<'c, 'c>>, file: Option<UnitFile<'c>>| {
        file.and_then(|file| side.get(file.path).copied()).unwrap_or(&None)
    };
    let pairs = pair_files(&files(old), &files(new)).into_iter();
    let pairs = pairs.map(|pair| (pair, (find(&was, pair.0), find(&is, pair.1))));
    compare_pairs(unit, pairs.collect(), context)
}

type ReadPair<'c> = (&'c Read<'c, 'c>, &'c Read<'c, 'c>);

fn compare_pairs<'c>(unit: &UnitPath, pairs: Vec<(FilePair<'c>, ReadPair<'c>)>, context: &Context<'c>) -> UnitDelta {
    let mut unparsed = Vec::new();
    let mut findings = Vec::new();
    let analysed: Vec<_> = pairs
        .iter()
        .filter_map(|(pair, (old, new))| {
            if old.is_none() && new.is_none() {
                return None;
            }
            if let (Some(file), Some(Err(error))) = (pair.1, new) {
                unparsed.push((file.path.to_owned(), error.clone()));
            }
            let analysed = |read: &'c Read<'c, 'c>| read.as_ref().and_then(|read| read.as_ref().ok());
            Some((analysed(old), analysed(new)))
        })
        .collect();
    for analysed in analysed.iter().flat_map(|(old, new)| [old, new]).flatten() {
        // Each comparison has what the file's own reading left of its budget, and not what another one did.
        analysed.file.rewind(analysed.steps);
    }
    let comparisons: Vec<_> = analysed
        .iter()
        .map(|(old, new)| comparison(old.map(View::whole), new.map(View::whole), context))
        .collect();
    let pairs: Vec<FilePair<'c>> = pairs.into_iter().map(|(pair, _)| pair).collect();
    for comparison in &comparisons {
        findings.extend(look(comparison));
    }
    for (old, new) in &pairs {
        findings.extend(look_at_file(*old, *new, context));
    }
    for new in analysed.iter().filter_map(|(_, new)| *new) {
        if new.file.exhausted() {
            unparsed.push((new.file.path().to_owned(), Unparsed::TooInvolved));
        }
    }
    sort(&mut findings);
    let mut bump = certify(&pairs, &comparisons, &unparsed);
    if let (Ok(()), Some(finding)) = (&bump, findings.iter().find(|finding| finding.rule.spoils_bump())) {
        bump = Err(format!("the change has a finding, {}", finding.rule.code));
    }
    UnitDelta {
        summary: summary::line(unit, &pairs, &comparisons, &unparsed),
        bump,
        findings,
        unparsed,
        packages: comparisons.iter().flat_map(package_deltas).collect(),
    }
}

/// Compares two states of a binding of a collection.
pub fn compare_bindings(
    unit: &UnitPath,
    old: Option<(&Analysed<'_, '_>, &Binding)>,
    new: Option<(&Analysed<'_, '_>, &Binding)>,
    context: &Context<'_>,
) -> UnitDelta {
    compare_parts(
        unit,
        old.map(|(analysed, binding)| (analysed, &binding.span)),
        new.map(|(analysed, binding)| (analysed, &binding.span)),
        context,
    )
}

fn compare_parts(
    unit: &UnitPath,
    old: Option<(&Analysed<'_, '_>, &Range<usize>)>,
    new: Option<(&Analysed<'_, '_>, &Range<usize>)>,
    context: &Context<'_>,
) -> UnitDelta {
    let old = old.map(|(analysed, range)| View::part(shorten(analysed), range));
    let new = new.map(|(analysed, range)| View::part(shorten(analysed), range));
    let comparison = comparison(old, new, context);
    let mut findings = look(&comparison);
    sort(&mut findings);
    let mut bump = match (old, new) {
        (Some(old), Some(new)) => bump::certify(&comparison, old, new),
        _ => Err("it is not in both".to_owned()),
    };
    if let (Ok(()), Some(finding)) = (&bump, findings.iter().find(|finding| finding.rule.spoils_bump())) {
        bump = Err(format!("the change has a finding, {}", finding.rule.code));
    }
    let comparisons = [comparison];
    UnitDelta {
        summary: summary::line(unit, &[], &comparisons, &[]),
        bump,
        findings,
        unparsed: Vec::new(),
        packages: comparisons.iter().flat_map(package_deltas).collect(),
    }
}

/// The facts of an analysed file live as long as it does.
const fn shorten<'c>(analysed: &'c Analysed<'_, '_>) -> &'c Analysed<'c, 'c> {
    analysed
}

/// All that the rules find in a tree: everything counts as gained.
pub fn audit(new: &[UnitFile<'_>], context: &Context<'_>) -> (Vec<Finding>, Vec<(String, Unparsed)>) {
    let mut findings = Vec::new();
    let mut unparsed = Vec::new();
    for file in new {
        findings.extend(look_at_file(None, Some(*file), context));
        if !is_nix(file) {
            continue;
        }
        match parse(file.path, file.bytes) {
            Ok(parsed) => {
                let analysed = analyse(&parsed);
                findings.extend(look(&comparison(None, Some(View::whole(&analysed)), context)));
                if parsed.exhausted() {
                    unparsed.push((file.path.to_owned(), Unparsed::TooInvolved));
                }
            }
            Err(error) => unparsed.push((file.path.to_owned(), error)),
        }
    }
    sort(&mut findings);
    (findings, unparsed)
}

fn sort(findings: &mut Vec<Finding>) {
    findings.sort();
    findings.dedup();
}

pub(crate) fn is_nix(file: &UnitFile<'_>) -> bool {
    file.path.ends_with(".nix") && matches!(file.mode, FileMode::Regular | FileMode::Executable)
}

pub(crate) type FilePair<'a> = (Option<UnitFile<'a>>, Option<UnitFile<'a>>);

/// Files by their paths; one that went and one that came are one that moved.
fn pair_files<'a>(old: &[UnitFile<'a>], new: &[UnitFile<'a>]) -> Vec<FilePair<'a>> {
    let mut pairs: BTreeMap<&str, FilePair<'a>> = BTreeMap::new();
    for file in old {
        pairs.entry(file.path).or_default().0 = Some(*file);
    }
    for file in new {
        pairs.entry(file.path).or_default().1 = Some(*file);
    }
    let gone: Vec<_> = pairs
        .values()
        .filter(|(old, new)| old.is_some_and(|file| is_nix(&file)) && new.is_none())
        .collect();
    let came: Vec<_> = pairs
        .values()
        .filter(|(old, new)| new.is_some_and(|file| is_nix(&file)) && old.is_none())
        .collect();
    let moved = match (gone.as_slice(), came.as_slice()) {
        ([(Some(from), _)], [(_, Some(to))]) => Some((*from, *to)),
        _ => None,
    };
    let mut pairs: Vec<_> = pairs.into_values().collect();
    if let Some((from, to)) = moved {
        pairs.retain(|(old, new)| *old != Some(from) && *new != Some(to));
        pairs.push((Some(from), Some(to)));
    }
    pairs.retain(|(old, new)| old != new);
    pairs
}

fn certify(
    pairs: &[FilePair<'_>],
    comparisons: &[Comparison<'_>],
    unparsed: &[(String, Unparsed)],
) -> Result<(), String> {
    if let Some((path, error)) = unparsed.first() {
        return Err(format!("{path}: {error}"));
    }
    for (old, new) in pairs {
        match (old, new) {
            (Some(old), Some(new)) if is_nix(old) && is_nix(new) && old.mode == new.mode && old.path == new.path => {}
            (old, new) => {
                let path = new.or(*old).map_or("", |file| file.path);
                return Err(format!("{path} changed too"));
            }
        }
    }
    if comparisons.is_empty() {
        return Err("nothing changed".to_owned());
    }
    for comparison in comparisons {
        let (Some(old), Some(new)) = (comparison.old, comparison.new) else {
            return Err("a file could not be read before".to_owned());
        };
        bump::certify(comparison, old, new)?;
    }
    Ok(())
}

fn look(comparison: &Comparison<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in RULES {
        let Some(hook) = rule.look.facts else {
            continue;
        };
        let mut found = Vec::new();
        hook(comparison, &mut found);
        findings.extend(found.into_iter().map(|found| finding(rule, found)));
    }
    findings.extend(gained(comparison));
    findings
}

/// Marks that are more than before, and those that protected and are less.
fn gained(comparison: &Comparison<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let count = |view: Option<View<'_>>| {
        let mut counted: HashMap<(&'static str, String), usize> = HashMap::new();
        for mark in view.into_iter().flat_map(View::marks) {
            *counted.entry((mark.rule.code, mark.key.clone())).or_default() += 1;
        }
        counted
    };
    let mut before = count(comparison.old);
    // Asked about what was there before.
    let mut now = count(comparison.new.filter(|_| comparison.old.is_some()));
    let take = |counted: &mut HashMap<(&'static str, String), usize>, mark: &Mark<'_>| {
        if counted.is_empty() {
            return false;
        }
        match counted.get_mut(&(mark.rule.code, mark.key.clone())) {
            Some(left) if *left > 0 => {
                *left -= usize::from(mark.counts != Counts::Once);
                true
            }
            _ => false,
        }
    };
    let mut said = HashSet::new();
    for mark in comparison.new.into_iter().flat_map(View::marks) {
        let known = match mark.counts {
            Counts::Protects => true,
            Counts::Each => take(&mut before, mark),
            Counts::Once => take(&mut before, mark) || !said.insert((mark.rule.code, mark.key.clone())),
        };
        if !known {
            findings.push(finding(mark.rule, comparison.found(mark.at, mark.what.to_owned())));
        }
    }
    if comparison.new.is_some() {
        for mark in comparison.old.into_iter().flat_map(View::marks) {
            if mark.counts == Counts::Protects && !take(&mut now, mark) {
                findings.push(finding(mark.rule, comparison.lost(format!("no longer: {}", mark.what))));
            }
        }
    }
    findings
}

fn look_at_file(old: Option<UnitFile<'_>>, new: Option<UnitFile<'_>>, context: &Context<'_>) -> Vec<Finding> {
    let Some(either) = new.or(old) else {
        return Vec::new();
    };
    let changed = Changed {
        path: either.path,
        old,
        new,
        context: *context,
    };
    let mut findings = Vec::new();
    for rule in RULES {
        if let Some(hook) = rule.look.file {
            let mut found = Vec::new();
            hook(&changed, &mut found);
            findings.extend(found.into_iter().map(|found| finding(rule, found)));
        }
    }
    findings
}

fn finding(rule: &'static crate::Rule, found: Found) -> Finding {
    Finding {
        rule,
        place: Place {
            path: found.path,
            line: found.line,
        },
        what: found.what,
    }
}

fn package_deltas(comparison: &Comparison<'_>) -> Vec<PackageDelta> {
    let version = |package: Option<&Package<'_>>| {
        package
            .and_then(|package| package.version.known())
            .map(ToString::to_string)
    };
    let deltas = comparison.packages.iter().filter_map(|(old, new)| {
        Some(PackageDelta {
            name: new.or(*old)?.title().to_owned(),
            old: version(*old),
            new: version(*new),
        })
    });
    deltas.collect()
}
