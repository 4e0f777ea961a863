//! Proposing the next release of a channel.

use std::collections::BTreeSet;

use attestation::{ChannelName, GitOid, Sha256Digest, StatementId, pending::Proposal};
use channel::release::oid;
use ledger::{NewFile, Snapshot};
use policy::root;
use serde_json::json;

use super::sign;
use crate::{
    chain_state::{ChainState, top_level},
    cli::Global,
    derive::{self, Candidate},
    desk::Desk,
    evaluate,
    exit::{Exit, OrExit as _, Outcome},
    output, patches,
};

/// Propose the next release of a channel.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  assay release --channel unstable
  assay release --channel unstable --evaluate x86_64-linux    # for machines with a gate; every signer evaluates again")]
pub(crate) struct Args {
    /// The channel
    #[arg(long)]
    channel: ChannelName,

    /// List the derivations of the whole package set for a kind of machine, with the Nix on PATH; may be repeated
    #[arg(long, value_name = "SYSTEM")]
    evaluate: Vec<String>,

    /// Of several imports that are covered, the one of this commit
    #[arg(long)]
    commit: Option<GitOid>,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let snapshot = open.snapshot()?;
    let chain = open.chain(&snapshot)?;
    let channel = &args.channel;
    let statements = chain.statements(&snapshot)?;
    statements.require_complete_sequences()?;
    let last = chain.last_release(&snapshot, channel)?;
    open.desk.fetch_upstream(&chain, channel)?;
    let repository = &open.desk.repository;
    let before = derive::releases_before(&snapshot, channel, last.as_ref())?;
    patches::present(repository, &snapshot, before.iter().map(|(release, _)| release))?;
    let wanted = args.commit.as_ref();
    let admitted = derive::admitted(repository, &snapshot, &chain, channel, &before, &statements, wanted)?;
    let commit = derive::object_id(admitted.commit())?;
    let upstream = derive::object_id(admitted.upstream_commit())?;
    let lag = sign::lag(&open, &chain, channel, upstream)?;
    let checker = sign::Checker::new(&open, &snapshot, &chain, &statements);
    let mut listed = derive::listed_before(&snapshot, last.as_ref())?;
    listed.extend(&statements.ids);
    let mut files = top_level_proposal(&chain, &snapshot, &checker, channel)?;
    let systems = evaluate::checked(&args.evaluate)?;
    let (payload, sequence) = match proposed_already(&snapshot, &checker, channel, commit, &listed, &systems)? {
        Some(found) => found,
        None => {
            let candidate = Candidate {
                channel,
                version: chain.next_version(&snapshot, &channel.clone().into())?,
                commit,
                patched: admitted.patched(),
                time: chain.now,
                statements: &listed,
                root_version: chain.root.version,
                systems,
            };
            let targets = derive::release(repository, &chain, &before, &candidate, derive::no_file())?.targets;
            let proposal = Proposal::Release {
                targets: Box::new(targets),
                statements: listed,
            };
            files.push(NewFile::proposal(&proposal));
            (proposal.payload_digest(), before.len() as u64 + 1)
        }
    };
    open.add(&files, &format!("Propose release {sequence} of {channel}"))?;
    output::result(
        open.desk.format,
        &json!({"proposal": payload.to_string(), "sequence": sequence, "commit": commit.to_string(), "lag": lag}),
        || {
            format!(
                "release {sequence} of {channel} is proposed as {payload}: commit {commit}, {} behind upstream\n\
                 next: its people run assay sign",
                lag.roughly()
            )
        },
    );
    Ok(())
}

/// Top-level targets hand the channels to their people; they follow from the root. Proposed are new ones when
/// there are none that say so for long enough, and none are proposed already.
fn top_level_proposal(
    chain: &ChainState,
    snapshot: &Snapshot,
    checker: &sign::Checker<'_>,
    channel: &ChannelName,
) -> Outcome<Vec<NewFile>> {
    let delegations = root::delegations(&chain.policy, &chain.keyring).or_exit(Exit::Refused)?;
    let longest = chain.channel(channel)?.expires;
    let last = chain.last_targets(snapshot)?;
    let lasts = last.is_some_and(|file| {
        file.claims.delegations.as_ref() == Some(&delegations) && file.claims.expires > chain.now.plus(longest)
    });
    if lasts {
        return Ok(Vec::new());
    }
    for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
        let proposal = file.proposal.claimed();
        if matches!(proposal, Proposal::Targets(_)) && checker.applies(proposal)? && checker.check(proposal).is_ok() {
            return Ok(Vec::new());
        }
    }
    let version = chain.next_version(snapshot, &top_level("targets"))?;
    let next = root::top_level_targets(&chain.policy, chain.chain, version, chain.now, &chain.keyring)
        .or_exit(Exit::Refused)?;
    Ok(vec![NewFile::proposal(&Proposal::Targets(Box::new(next)))])
}

/// A pending proposal of just this release: proposing it again would only split the signatures.
fn proposed_already(
    snapshot: &Snapshot,
    checker: &sign::Checker<'_>,
    channel: &ChannelName,
    commit: importer::ObjectId,
    ids: &BTreeSet<StatementId>,
    systems: &[String],
) -> Outcome<Option<(Sha256Digest, u64)>> {
    for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
        let proposal = file.proposal.claimed();
        let Proposal::Release { targets, statements } = proposal else {
            continue;
        };
        let Some(release) = targets.mark.as_ref().and_then(|mark| mark.release.as_ref()) else {
            continue;
        };
        if release.channel == *channel
            && release.commit == oid(commit)
            && statements == ids
            && evaluate::systems(targets, channel) == systems
            && checker.applies(proposal)?
            && checker.check(proposal).is_ok()
        {
            return Ok(Some((file.payload, release.sequence)));
        }
    }
    Ok(None)
}
