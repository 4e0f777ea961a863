//! What a signer derives again from their own clone before a key is used, and what an importer proposes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    num::NonZero,
    path::Path,
    thread,
};

use attestation::{
    ChannelName, Delta, GitOid, Sha256Digest, StatementId, Time, UnitPath,
    chain::{Release, StatementList},
    pending::Proposal,
    series::Patched,
    statement::{Claim, Exemption, Import},
    unit::PARTITION_VERSION,
};
use channel::release::{Derived, Inputs, oid};
use importer::{ObjectId, Patch, PatchedCommit, Repository};
use ledger::Snapshot;
use policy::{
    Verified,
    admission::{self, Admission},
};
use review::{PatchedUnits, UnitChange};

use crate::{
    chain_state::{ChainState, LastRelease},
    evaluate,
    exit::{Exit, Failure, OrExit as _, Outcome},
    output, patches,
    statements::Statements,
};

/// Reads an object id that a statement names.
pub(crate) fn object_id(id: &GitOid) -> Outcome<ObjectId> {
    ObjectId::from_hex(id.as_str().as_bytes()).or_exit(Exit::Refused)
}

/// An import, derived: the claim that people make, and every changed unit.
pub(crate) struct DerivedImport {
    /// The claim.
    pub import: Import,
    /// The changes behind it.
    pub changes: Vec<UnitChange>,
    /// The units in which the tree differs from upstream's.
    pub patched: BTreeSet<UnitPath>,
}

/// Derives the import of upstream's commit `to` with these patches, on top of the release `last`.
pub(crate) fn import(
    repository: &Repository,
    snapshot: &Snapshot,
    chain: &ChainState,
    last: &Release,
    to: ObjectId,
    patches: &[Patch],
) -> Outcome<DerivedImport> {
    let channel = &last.channel;
    let entry = chain.channel(channel)?;
    let from = object_id(last.upstream_commit())?;
    if !repository.is_ancestor(from, to).or_exit(Exit::Environment)? {
        return Err(Failure::new(
            Exit::Refused,
            format!("{to} does not descend from {from}, upstream's commit of the last release"),
        )
        .next("name a later commit of the channel's upstream branch with --to"));
    }
    let _working = output::working("comparing the trees, and making the merges again");
    let before = patches::of_release(repository, snapshot, last)?;
    let now = patches::applied(repository, channel, to, patches)?;
    let (upstream_old, upstream_new) = (commit(repository, from)?, commit(repository, to)?);
    // Upstream's history, between the trees that the channel had and gets.
    let with_tree = |upstream: &importer::Commit, made: &Option<PatchedCommit>| importer::Commit {
        tree: made.as_ref().map_or(upstream.tree, PatchedCommit::tree),
        ..upstream.clone()
    };
    let (old, new) = (with_tree(&upstream_old, &before), with_tree(&upstream_new, &now));
    let mut changes = review::changes_of_range(repository, chain.chain, &old, &new).or_exit(Exit::Refused)?;
    let units = |made: &Option<PatchedCommit>| {
        let made = made.as_ref();
        made.map(|made| PatchedUnits::of(repository, chain.chain, made))
            .transpose()
            .or_exit(Exit::Refused)
    };
    let (had, has) = (units(&before)?, units(&now)?);
    review::mark_patched(
        repository,
        (old.tree, new.tree),
        had.as_ref(),
        has.as_ref(),
        &mut changes,
    )
    .or_exit(Exit::Refused)?;
    let deltas: Vec<Delta> = changes.iter().map(|change| change.delta.clone()).collect();
    let tree_nar = repository.tree_nar(new.tree, &[]).or_exit(Exit::Refused)?;
    let import = Import {
        channel: channel.clone(),
        upstream: entry.upstream.clone(),
        branch: entry.branch.clone(),
        from: last.commit.clone(),
        to: oid(now.as_ref().map_or(to, |made| made.id)),
        to_tree: oid(new.tree),
        patched: patches::described(to, patches)?,
        tree_nar: tree_nar.sha256,
        partition: PARTITION_VERSION,
        delta_count: deltas.len() as u64,
        deltas: Delta::list_digest(&deltas),
    };
    Ok(DerivedImport {
        import,
        changes,
        patched: has.map(|has| has.units().clone()).unwrap_or_default(),
    })
}

/// Derives the exemption of the tree from which a channel starts.
pub(crate) fn exemption(
    repository: &Repository,
    channel: &ChannelName,
    baseline: ObjectId,
    reason: String,
    until: Time,
) -> Outcome<Exemption> {
    let commit = commit(repository, baseline)?;
    let tree_nar = repository.tree_nar(commit.tree, &[]).or_exit(Exit::Refused)?;
    Ok(Exemption {
        channel: channel.clone(),
        commit: oid(baseline),
        tree: oid(commit.tree),
        tree_nar: tree_nar.sha256,
        reason,
        until,
    })
}

fn commit(repository: &Repository, id: ObjectId) -> Outcome<importer::Commit> {
    repository.commit(id).or_exit(Exit::Environment)
}

/// Marks which changes of an import come back to what the channel had in a release `before` its last one, and left.
pub(crate) fn mark_returns(
    repository: &Repository,
    before: &[(Release, Sha256Digest)],
    derived: &mut DerivedImport,
) -> Outcome {
    let Some(((last, _), earlier)) = before.split_last() else {
        return Ok(());
    };
    let tree = |release: &Release| Ok::<_, Failure>((release.sequence, object_id(&release.tree)?));
    let earlier = earlier.iter().rev().map(|(release, _)| tree(release));
    let earlier = earlier.collect::<Outcome<Vec<_>>>()?;
    let (from, to) = (object_id(&last.tree)?, object_id(&derived.import.to_tree)?);
    review::mark_returns(repository, from, to, &earlier, &mut derived.changes).or_exit_with(Exit::Environment, || {
        "this clone lacks a tree that was released: fetch the whole history of upstream (git fetch --unshallow)"
            .to_owned()
    })
}

/// Judges an import's changes under the policy, as what follows the release `last`.
pub(crate) fn admit(chain: &ChainState, last: &Release, changes: &[UnitChange], statements: &Statements) -> Admission {
    admission::admit(
        &chain.court(),
        last,
        changes.iter().map(Into::into).collect(),
        &statements.verified,
    )
}

/// Every finished release of a channel, oldest first, with the digests of their payloads. The last one is
/// verified by its signatures, each earlier one by the digest that its successor names.
pub(crate) fn releases_before(
    snapshot: &Snapshot,
    channel: &ChannelName,
    last: Option<&LastRelease>,
) -> Outcome<Vec<(Release, Sha256Digest)>> {
    let Some(last) = last else { return Ok(Vec::new()) };
    let mut out = vec![(last.release.clone(), last.payload)];
    let files = snapshot.metadata().or_exit(Exit::Environment)?.files;
    let mut known: BTreeMap<Sha256Digest, &Release> = BTreeMap::new();
    for file in &files {
        let targets = file.targets.claimed();
        let release = targets.claims.mark.as_ref().and_then(|mark| mark.release.as_ref());
        if let Some(release) = release.filter(|release| release.channel == *channel) {
            known.insert(Sha256Digest::of(&targets.payload), release);
        }
    }
    while let Some(wanted) = out.last().and_then(|(release, _)| release.previous) {
        let found = known.get(&wanted).map(|release| ((*release).clone(), wanted));
        out.push(found.ok_or_else(|| {
            Failure::new(
                Exit::Refused,
                format!("the release with payload {wanted} is missing from the ledger"),
            )
            .next("exchange the ledger with somebody who has it: assay sync")
        })?);
    }
    out.reverse();
    Ok(out)
}

/// The statements that the last release lists. The next one lists them too, whatever became of their authors.
pub(crate) fn listed_before(snapshot: &Snapshot, last: Option<&LastRelease>) -> Outcome<BTreeSet<StatementId>> {
    last.map_or_else(
        || Ok(BTreeSet::new()),
        |last| listed_by(snapshot, &last.release, last.payload),
    )
}

/// The statements that a release lists.
pub(crate) fn listed_by(
    snapshot: &Snapshot,
    release: &Release,
    payload: Sha256Digest,
) -> Outcome<BTreeSet<StatementId>> {
    let proposal = snapshot.proposal(payload).or_exit(Exit::Environment)?;
    match proposal.map(|found| found.map(|file| file.proposal.into_claimed())) {
        Some(Ok(Proposal::Release { statements, .. })) if StatementList::of(&statements) == release.statements => {
            Ok(statements)
        }
        _ => Err(Failure::new(
            Exit::Refused,
            format!(
                "the proposal of release {} of {} ({payload}), with the statements that it lists, is missing from the ledger",
                release.sequence, release.channel
            ),
        )
        .next("exchange the ledger with somebody who has it: assay sync")),
    }
}

/// What a release is derived from, besides the chain and the ledger.
pub(crate) struct Candidate<'a> {
    /// The channel.
    pub channel: &'a ChannelName,
    /// The version of the targets.
    pub version: u64,
    /// The commit.
    pub commit: ObjectId,
    /// What it has on top of upstream's, if it is not upstream's.
    pub patched: Option<&'a Patched>,
    /// When it was proposed.
    pub time: Time,
    /// The statements that it rests on.
    pub statements: &'a BTreeSet<StatementId>,
    /// The version of the root under which it was proposed.
    pub root_version: u64,
    /// The kinds of machine for which it lists derivations.
    pub systems: Vec<String>,
}

/// Derives a release; its tarball is written to `tarball`.
pub(crate) fn release(
    repository: &Repository,
    chain: &ChainState,
    before: &[(Release, Sha256Digest)],
    candidate: &Candidate<'_>,
    tarball: impl io::Write,
) -> Outcome<Derived> {
    let sequence = before.len() as u64 + 1;
    let inputs = Inputs {
        manifests: evaluate::manifests(repository, candidate.commit, sequence, &candidate.systems)?,
        chain: chain.chain,
        root_version: candidate.root_version,
        channel: candidate.channel,
        version: candidate.version,
        policy: chain.channel(candidate.channel)?,
        before,
        commit: candidate.commit,
        patched: candidate.patched,
        time: candidate.time,
        statements: candidate.statements,
    };
    let _working = output::working("building the channel's files");
    let threads = thread::available_parallelism()
        .ok()
        .and_then(|count| NonZero::new(u32::try_from(count.get()).ok()?));
    channel::release::derive(repository, &inputs, threads.unwrap_or(NonZero::<u32>::MIN), tarball)
        .or_exit(Exit::Environment)
}

/// A tarball that is needed only for its digest.
pub(crate) fn no_file() -> io::Sink {
    io::sink()
}

/// A tarball on disk.
pub(crate) fn file(path: &Path) -> Outcome<io::BufWriter<File>> {
    File::create(path).map(io::BufWriter::new).or_exit(Exit::Environment)
}

/// What admits a commit into a channel: the exemption it starts from, or a covered import.
pub(crate) enum Admitted {
    /// The channel's first tree.
    Exempted(Verified<Exemption>),
    /// An import on top of the last release.
    Imported(Verified<Import>),
}

impl Admitted {
    /// The commit.
    pub(crate) const fn commit(&self) -> &GitOid {
        match self {
            Self::Exempted(exemption) => &exemption.get().commit,
            Self::Imported(import) => &import.get().to,
        }
    }

    /// What it has on top of upstream's.
    pub(crate) const fn patched(&self) -> Option<&Patched> {
        match self {
            Self::Exempted(_) => None,
            Self::Imported(import) => import.get().patched.as_ref(),
        }
    }

    /// Upstream's commit.
    pub(crate) fn upstream_commit(&self) -> &GitOid {
        self.patched()
            .map_or_else(|| self.commit(), |patched| &patched.upstream)
    }
}

/// Finds what admits the next release of a channel, whose releases so far are `before`. Without `commit`, the newest
/// commit that is admitted.
pub(crate) fn admitted(
    repository: &Repository,
    snapshot: &Snapshot,
    chain: &ChainState,
    channel: &ChannelName,
    before: &[(Release, Sha256Digest)],
    statements: &Statements,
    commit: Option<&GitOid>,
) -> Outcome<Admitted> {
    if before.is_empty() {
        let exemptions = admission::exemptions(&chain.court(), &statements.verified);
        let found = exemptions.into_iter().find(|exemption| {
            let exemption = exemption.get();
            exemption.channel == *channel
                && exemption.until > chain.now
                && commit.is_none_or(|commit| *commit == exemption.commit)
        });
        return found.map(Admitted::Exempted).ok_or_else(|| {
            Failure::new(
                Exit::Refused,
                format!("{channel} has no first tree that root's people trust"),
            )
            .next(format!(
                "assay import --channel {channel} --baseline REV, then root's people run assay sign"
            ))
        });
    }
    imported(repository, snapshot, chain, channel, before, statements, commit).map(Admitted::Imported)
}

/// The same upstream commit, with other patches: which of them is released is for people to say.
fn two_imports(channel: &ChannelName, first: Option<&Import>, second: &Import) -> Failure {
    let words = |import: &Import| {
        let patched = import.patched.as_ref();
        let with = patched.map_or_else(|| "no patches".to_owned(), |patched| patched.patches.names());
        format!("{} ({with})", import.to)
    };
    let first = first.map(words).unwrap_or_default();
    Failure::new(
        Exit::Usage,
        format!(
            "two imports of upstream's {} are covered: {first} and {}",
            second.upstream_commit(),
            words(second)
        ),
    )
    .next(format!(
        "name the one that you want: assay release --channel {channel} --commit COMMIT"
    ))
}

fn imported(
    repository: &Repository,
    snapshot: &Snapshot,
    chain: &ChainState,
    channel: &ChannelName,
    before: &[(Release, Sha256Digest)],
    statements: &Statements,
    commit: Option<&GitOid>,
) -> Outcome<Verified<Import>> {
    let nothing = || {
        Failure::new(
            Exit::Refused,
            format!("no import into {channel} follows its last release"),
        )
        .next(format!("assay import --channel {channel}, then assay sign"))
    };
    let (last, _) = before.last().ok_or_else(nothing)?;
    let claims = statements
        .verified
        .iter()
        .filter_map(|statement| match &statement.get().claim {
            Claim::Import(import) => Some(import),
            _ => None,
        });
    let mut candidates: Vec<&Import> = claims
        .filter(|import| import.channel == *channel && import.from == last.commit)
        .filter(|import| commit.is_none_or(|commit| *commit == import.to))
        .collect();
    candidates.sort_by_key(|import| import.to.as_str());
    candidates.dedup();
    // Of several, the one that reaches furthest.
    let further = |before: Option<ObjectId>, to| match before {
        Some(before) => repository.is_ancestor(before, to).or_exit(Exit::Environment),
        None => Ok(true),
    };
    let mut refusal = None;
    let mut found: Option<(ObjectId, Verified<Import>)> = None;
    for candidate in candidates {
        let to = object_id(candidate.upstream_commit())?;
        let patches = match patches::of_ledger(snapshot, candidate.patched.as_ref()) {
            Ok(patches) => patches,
            Err(failure) => {
                output::warn(&format!("the import of {} is passed over: {failure}", candidate.to));
                continue;
            }
        };
        let mut derived = import(repository, snapshot, chain, last, to, &patches)?;
        if derived.import != *candidate {
            output::warn(&format!(
                "the import of {to} is not what this clone derives; it is passed over"
            ));
            continue;
        }
        mark_returns(repository, before, &mut derived)?;
        let admission = admit(chain, last, &derived.changes, statements);
        match admission::verify_import(
            &chain.court(),
            candidate,
            &derived.patched,
            &admission,
            &statements.verified,
        ) {
            Ok(verified) if found.as_ref().is_some_and(|(before, _)| *before == to) => {
                return Err(two_imports(
                    channel,
                    found.as_ref().map(|(_, found)| found.get()),
                    verified.get(),
                ));
            }
            Ok(verified) if further(found.as_ref().map(|(to, _)| *to), to)? => found = Some((to, verified)),
            Err(error) if further(refusal.as_ref().map(|(to, _)| *to), to)? => refusal = Some((to, error)),
            _ => {}
        }
    }
    found.map(|(_, verified)| verified).ok_or_else(|| match refusal {
        Some((_, error)) => Failure::new(Exit::Refused, error).next(format!(
            "assay queue --channel {channel} says what each unit needs; assay review gives it"
        )),
        None => nothing(),
    })
}
