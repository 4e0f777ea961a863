//! Which import a command is about.

use std::collections::BTreeMap;

use attestation::{
    ChannelName, GitOid, Sha256Digest,
    chain::Release,
    pending::Proposal,
    statement::{Claim, Import},
};
use importer::ObjectId;
use ledger::Snapshot;
use policy::admission;
use review::UnitChange;

use crate::{
    chain_state::ChainState,
    derive::{self, DerivedImport},
    desk::OpenDesk,
    exit::{Exit, Failure, OrExit as _, Outcome},
    patches,
    statements::Statements,
};

/// The import that the next release of a channel would take, derived from this clone's objects.
pub(crate) struct NextImport {
    /// The chain.
    pub chain: ChainState,
    /// The statements that count.
    pub statements: Statements,
    /// The import and its changes, of which those are marked that come back to what the channel has left.
    pub derived: DerivedImport,
    /// The release that it continues.
    pub last: Release,
}

/// Finds the newest pending import of a channel: of several proposals on top of the last release the one that
/// reaches furthest, or the one that is named. It is derived again; what the ledger says of it is only where to look.
pub(crate) fn next_import(
    open: &OpenDesk,
    snapshot: &Snapshot,
    channel: &ChannelName,
    named: Option<Sha256Digest>,
) -> Outcome<NextImport> {
    let chain = open.chain(snapshot)?;
    let statements = chain.statements(snapshot)?;
    let last = chain.last_release(snapshot, channel)?;
    let last = last.ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("{channel} has no release yet, so nothing waits for review"),
        )
        .next(format!("assay import --channel {channel} --baseline REV"))
    })?;
    let repository = &open.desk.repository;
    let tip = open.desk.fetch_upstream(&chain, channel)?;
    let mut furthest: Option<ObjectId> = None;
    // Of those that reach there: by the commit that they make, which their patches decide.
    let mut candidates: BTreeMap<GitOid, (Sha256Digest, Import)> = BTreeMap::new();
    for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
        let Proposal::Import(import) = file.proposal.claimed() else {
            continue;
        };
        let is_wanted = named.is_none_or(|named| named == file.payload);
        if import.channel != *channel || import.from != last.release.commit || !is_wanted {
            continue;
        }
        let to = derive::object_id(import.upstream_commit())?;
        super::import::require_on_upstream(open, to, tip)?;
        let further = match furthest {
            Some(before) => repository.is_ancestor(before, to).or_exit(Exit::Environment)?,
            None => true,
        };
        if further && furthest != Some(to) {
            furthest = Some(to);
            candidates.clear();
        }
        if further {
            candidates.insert(import.to.clone(), (file.payload, import.clone()));
        }
    }
    let to = furthest.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("no import into {channel} is pending"))
            .next(format!("assay import --channel {channel}"))
    })?;
    let import = only(&chain, &statements, channel, &candidates)?;
    let patches = patches::of_ledger(snapshot, import.patched.as_ref())?;
    let mut derived = derive::import(repository, snapshot, &chain, &last.release, to, &patches)?;
    let before = derive::releases_before(snapshot, channel, Some(&last))?;
    patches::present(repository, snapshot, before.iter().map(|(release, _)| release))?;
    derive::mark_returns(repository, &before, &mut derived)?;
    Ok(NextImport {
        chain,
        statements,
        derived,
        last: last.release,
    })
}

/// Of imports of one upstream commit with other patches, the one that somebody of the channel's people made a statement
/// of. Otherwise the user says which: whoever may push can propose any.
fn only<'a>(
    chain: &ChainState,
    statements: &Statements,
    channel: &ChannelName,
    candidates: &'a BTreeMap<GitOid, (Sha256Digest, Import)>,
) -> Outcome<&'a Import> {
    let role = &chain.channel(channel)?.release.role;
    let stated = |import: &&Import| {
        let claim = Claim::Import((*import).clone());
        !admission::vouches_of_claim(&chain.court(), &claim, role, &statements.verified).is_empty()
    };
    let all: Vec<_> = candidates.values().map(|(_, import)| import).collect();
    let stated: Vec<_> = all.iter().copied().filter(stated).collect();
    match (all.as_slice(), stated.as_slice()) {
        ([one], _) | (_, [one]) => Ok(one),
        _ => {
            let list: Vec<_> = candidates
                .values()
                .map(|(payload, import)| {
                    let patched = import.patched.as_ref();
                    let with = patched.map_or_else(|| "no patches".to_owned(), |patched| patched.patches.names());
                    format!("{payload} ({with})")
                })
                .collect();
            Err(Failure::new(
                Exit::Usage,
                format!(
                    "{} imports of one upstream commit are pending: {}",
                    list.len(),
                    list.join(", ")
                ),
            )
            .next("say which you mean: --import SHA256; which patches a channel has is its people's to agree on"))
        }
    }
}

/// The changed unit with this path.
pub(crate) fn unit<'a>(changes: &'a [UnitChange], path: &attestation::UnitPath) -> Outcome<&'a UnitChange> {
    changes.iter().find(|change| change.delta.unit == *path).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{path} is not among the changed units")).next("assay queue lists them")
    })
}
