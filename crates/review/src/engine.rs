//! The expression engine, asked about the units of a repository.

mod index;

use std::{
    collections::BTreeSet,
    sync::{Mutex, OnceLock, PoisonError},
};

use attestation::UnitPath;
use importer::{FileMode, Listing, Repository, TreeFile, TreePath};
use nixexpr::{Analysed, Binding, Finding, Read, UnitDelta, UnitFile, hash::Digest};

use self::index::Index;
use crate::{
    Partition,
    class::Reading,
    collection::{Piece, Text},
};

/// What rules may ask about the rest of both trees.
pub(crate) struct Context<'r> {
    /// Made when somebody asks.
    index: OnceLock<Index>,
    trees: Option<Trees<'r>>,
}

struct Trees<'r> {
    /// A handle of its own: rules may ask from several threads.
    repository: Mutex<Repository>,
    /// Expressions of both trees.
    files: Vec<TreeFile>,
    partition: &'r Partition,
}

/// What the engine makes of a unit.
pub(crate) struct Judged {
    pub(crate) summary: String,
    pub(crate) reading: Reading,
    /// Why it is not certain that nothing but version, revision and hash changed.
    pub(crate) no_bump: Option<String>,
    pub(crate) findings: Vec<Finding>,
    /// What the packages in it are called.
    pub(crate) names: BTreeSet<String>,
}

impl<'r> Context<'r> {
    /// Knows both trees.
    pub(crate) fn of(repository: &Repository, partition: &'r Partition, old: &Listing, new: &Listing) -> Self {
        let mut files: Vec<_> = old.files().iter().chain(new.files()).collect();
        files.retain(|file| file.path.as_str().ends_with(".nix") && file.mode != FileMode::Submodule);
        files.sort_by(|a, b| (&a.path, a.id).cmp(&(&b.path, b.id)));
        files.dedup();
        Self {
            index: OnceLock::new(),
            trees: Some(Trees {
                repository: Mutex::new(repository.clone()),
                files: files.into_iter().cloned().collect(),
                partition,
            }),
        }
    }

    /// Knows nothing but the unit.
    pub(crate) const fn nothing() -> Self {
        Self {
            index: OnceLock::new(),
            trees: None,
        }
    }

    /// A unit, other than `unit` and the file that it is a part of, with a source of this hash.
    fn owner(&self, unit: &UnitPath, hash: &Digest) -> Option<String> {
        let trees = self.trees.as_ref()?;
        let own = unit.as_str().split_once('#').map_or(unit.as_str(), |(file, _)| file);
        let others = trees.index(&self.index).written(hash).map(|at| &trees.files[at]);
        let mut owners = others.filter_map(|file| {
            let owner = trees.partition.unit(&file.path);
            let has = |parsed: &nixexpr::File<'_>| {
                let facts = nixexpr::facts(parsed);
                facts.sources.iter().any(|source| source.hash.known() == Some(hash))
            };
            (owner.as_str() != own && trees.holds(file, has)).then_some(owner)
        });
        owners.next().map(|owner| owner.to_string())
    }

    /// Where, in either tree, something is decided by the version of this unit's package: a new one could bring in what was
    /// prepared before, so that a bump would be more than it looks.
    pub(crate) fn decided_elsewhere(&self, unit: &UnitPath, names: &BTreeSet<String>) -> Option<String> {
        let trees = self.trees.as_ref()?;
        let index = trees.index(&self.index);
        let mut names = names.clone();
        names.extend(
            unit.as_str()
                .rsplit('/')
                .next()
                .map(|name| name.trim_end_matches(".nix").to_owned()),
        );
        names.extend(index.called(unit.as_str()));
        let readers: BTreeSet<usize> = names.iter().flat_map(|name| index.readers(name)).collect();
        let mut decided = readers
            .into_iter()
            .map(|at| &trees.files[at])
            .filter(|file| trees.holds(file, |parsed| nixexpr::decided_by(parsed, &names).is_some()));
        decided.next().map(|file| file.path.to_string())
    }

    fn ask<T>(&self, unit: &UnitPath, ask: impl FnOnce(&nixexpr::Context<'_>) -> T) -> T {
        let owner = |hash: &Digest| self.owner(unit, hash);
        ask(&nixexpr::Context {
            owner_of_hash: self.trees.is_some().then_some(&owner),
            ..nixexpr::Context::default()
        })
    }
}

impl Trees<'_> {
    fn index<'i>(&self, index: &'i OnceLock<Index>) -> &'i Index {
        index.get_or_init(|| {
            Index::of(
                &self.repository.lock().unwrap_or_else(PoisonError::into_inner),
                &self.files,
            )
        })
    }

    /// Whether a file says so. One that cannot be read is an error where it is judged itself.
    fn holds(&self, file: &TreeFile, says: impl FnOnce(&nixexpr::File<'_>) -> bool) -> bool {
        let bytes = self
            .repository
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blob(file.id);
        let Ok(bytes) = bytes else { return false };
        nixexpr::parse(file.path.as_str(), &bytes).is_ok_and(|parsed| says(&parsed))
    }
}

/// Judges a unit of whole files: those that differ.
pub(crate) fn judge(context: &Context<'_>, unit: &UnitPath, old: &[UnitFile<'_>], new: &[UnitFile<'_>]) -> Judged {
    context
        .ask(unit, |asked| nixexpr::compare(unit, old, new, asked))
        .into()
}

/// Likewise, of files that were read before.
pub(crate) fn judge_read<'c>(
    context: &Context<'_>,
    unit: &UnitPath,
    old: &[(UnitFile<'c>, &'c Read<'c, 'c>)],
    new: &[(UnitFile<'c>, &'c Read<'c, 'c>)],
) -> Judged {
    let owner = |hash: &Digest| context.owner(unit, hash);
    let asked = nixexpr::Context {
        owner_of_hash: context.trees.is_some().then_some(&owner),
        ..nixexpr::Context::default()
    };
    nixexpr::compare_read(unit, old, new, &asked).into()
}

/// A collection file on both sides, as the engine reads it.
pub(crate) struct Sides<'f, 'a> {
    pub(crate) old: (&'f Analysed<'f, 'a>, &'f [Binding]),
    pub(crate) new: (&'f Analysed<'f, 'a>, &'f [Binding]),
}

/// Judges a unit that is a part of a collection file.
pub(crate) fn judge_piece(
    context: &Context<'_>,
    unit: &UnitPath,
    path: &TreePath,
    piece: &Piece<'_>,
    sides: &Sides<'_, '_>,
) -> Judged {
    if piece.name.is_some() {
        let binding = |text: &Option<Text<'_>>, side: &[Binding]| {
            let index = text.as_ref()?.binding?;
            side.get(index).cloned()
        };
        let (old, new) = (binding(&piece.old, sides.old.1), binding(&piece.new, sides.new.1));
        let old = old.as_ref().map(|binding| (sides.old.0, binding));
        let new = new.as_ref().map(|binding| (sides.new.0, binding));
        return context
            .ask(unit, |asked| nixexpr::compare_bindings(unit, old, new, asked))
            .into();
    }
    let residue = |text: &Option<Text<'_>>| text.as_ref().map_or_else(Vec::new, |text| text.code.to_vec());
    let (old, new) = (residue(&piece.old), residue(&piece.new));
    let file = |bytes| UnitFile {
        path: path.as_str(),
        mode: FileMode::Regular,
        bytes,
    };
    judge(context, unit, &[file(&old)], &[file(&new)])
}

impl From<UnitDelta> for Judged {
    fn from(delta: UnitDelta) -> Self {
        Self {
            reading: match (&delta.unparsed[..], &delta.bump) {
                ([_, ..], _) => Reading::Unread,
                ([], Ok(())) => Reading::Bump,
                ([], Err(_)) => Reading::Read,
            },
            summary: delta.summary,
            no_bump: delta.bump.err(),
            names: delta.packages.into_iter().map(|package| package.name).collect(),
            findings: delta.findings,
        }
    }
}
