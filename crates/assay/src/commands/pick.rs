//! Which import a command is about.

use attestation::{ChannelName, chain::Release, pending::Proposal};
use ledger::Snapshot;
use review::UnitChange;

use crate::{
    chain_state::ChainState,
    derive::{self, DerivedImport},
    desk::OpenDesk,
    exit::{Exit, Failure, OrExit as _, Outcome},
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
/// reaches furthest. Every one of them is derived again; what the ledger says of it is only where to look.
pub(crate) fn next_import(open: &OpenDesk, snapshot: &Snapshot, channel: &ChannelName) -> Outcome<NextImport> {
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
    let mut furthest = None;
    for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
        let Proposal::Import(import) = file.proposal.claimed() else {
            continue;
        };
        if import.channel != *channel || import.from != last.release.commit {
            continue;
        }
        let to = derive::object_id(&import.to)?;
        super::import::require_on_upstream(open, to, tip)?;
        let further = match furthest {
            Some(before) => repository.is_ancestor(before, to).or_exit(Exit::Environment)?,
            None => true,
        };
        if further {
            furthest = Some(to);
        }
    }
    let to = furthest.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("no import into {channel} is pending"))
            .next(format!("assay import --channel {channel}"))
    })?;
    let mut derived = derive::import(
        repository,
        &chain,
        channel,
        derive::object_id(&last.release.commit)?,
        to,
    )?;
    let before = derive::releases_before(snapshot, channel, Some(&last))?;
    derive::mark_returns(repository, &before, &mut derived)?;
    Ok(NextImport {
        chain,
        statements,
        derived,
        last: last.release,
    })
}

/// The changed unit with this path.
pub(crate) fn unit<'a>(changes: &'a [UnitChange], path: &attestation::UnitPath) -> Outcome<&'a UnitChange> {
    changes.iter().find(|change| change.delta.unit == *path).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{path} is not among the changed units")).next("assay queue lists them")
    })
}
