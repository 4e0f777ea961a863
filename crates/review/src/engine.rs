//! The expression engine, asked about the units of a repository.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use attestation::UnitPath;
use importer::{FileMode, Listing, Repository, TreeFile, TreePath};
use nixexpr::{Analysed, Binding, Finding, UnitDelta, UnitFile, hash::Digest};

use crate::{
    Partition,
    class::Reading,
    collection::{Piece, Text},
};

/// What rules may ask about the rest of both trees.
pub(crate) struct Context<'r> {
    /// Which units have a source with a hash; read when somebody asks.
    owners: OnceLock<HashMap<Digest, BTreeSet<UnitPath>>>,
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
}

impl<'r> Context<'r> {
    /// Knows both trees.
    pub(crate) fn of(repository: &Repository, partition: &'r Partition, old: &Listing, new: &Listing) -> Self {
        let mut files: Vec<_> = old.files().iter().chain(new.files()).collect();
        files.retain(|file| file.path.as_str().ends_with(".nix"));
        files.sort_by(|a, b| (&a.path, a.id).cmp(&(&b.path, b.id)));
        files.dedup();
        Self {
            owners: OnceLock::new(),
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
            owners: OnceLock::new(),
            trees: None,
        }
    }

    /// A unit, other than `unit` and the file that it is a part of, with a source of this hash.
    fn owner(&self, unit: &UnitPath, hash: &Digest) -> Option<String> {
        let trees = self.trees.as_ref()?;
        let owners = self.owners.get_or_init(|| trees.owners());
        let file = unit.as_str().split_once('#').map_or(unit.as_str(), |(file, _)| file);
        let mut others = owners.get(hash)?.iter().filter(|owner| owner.as_str() != file);
        others.next().map(ToString::to_string)
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
    fn owners(&self) -> HashMap<Digest, BTreeSet<UnitPath>> {
        let next = AtomicUsize::new(0);
        let (files, partition) = (&self.files, self.partition);
        let work = |repository: Repository| {
            let mut found: Vec<(Digest, UnitPath)> = Vec::new();
            while let Some(run) = files.chunks(32).nth(next.fetch_add(1, Ordering::Relaxed)) {
                for file in run {
                    // A file that cannot be read is an error where it is judged itself.
                    let Ok(bytes) = repository.blob(file.id) else { continue };
                    let Ok(parsed) = nixexpr::parse(file.path.as_str(), &bytes) else {
                        continue;
                    };
                    let facts = nixexpr::facts(&parsed);
                    let hashes = facts.sources.iter().filter_map(|source| source.hash.known());
                    found.extend(hashes.map(|hash| (hash.clone(), partition.unit(&file.path))));
                }
            }
            found
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
        let found = thread::scope(|scope| {
            let others: Vec<_> = (0..threads)
                .map(|_| {
                    let repository = self.repository.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    scope.spawn(|| work(repository))
                })
                .collect();
            let joined = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect::<Vec<_>>()
        });
        let mut owners: HashMap<Digest, BTreeSet<UnitPath>> = HashMap::new();
        for (hash, unit) in found.into_iter().flatten() {
            owners.entry(hash).or_default().insert(unit);
        }
        owners
    }
}

/// Judges a unit of whole files: those that differ.
pub(crate) fn judge(context: &Context<'_>, unit: &UnitPath, old: &[UnitFile<'_>], new: &[UnitFile<'_>]) -> Judged {
    context
        .ask(unit, |asked| nixexpr::compare(unit, old, new, asked))
        .into()
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
            findings: delta.findings,
        }
    }
}
