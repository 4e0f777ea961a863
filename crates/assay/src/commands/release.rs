//! Proposing the next release of a channel.

use attestation::{ChannelName, pending::Proposal};
use ledger::NewFile;
use policy::root;
use serde_json::json;

use super::sign;
use crate::{
    cli::Global,
    derive::{self, Admitted, Candidate},
    desk::Desk,
    exit::{Exit, OrExit as _, Outcome},
    output,
};

/// Propose the next release of a channel.
#[derive(clap::Args)]
#[command(after_help = "Example: assay release --channel unstable")]
pub(crate) struct Args {
    /// The channel
    #[arg(long)]
    channel: ChannelName,
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
    let admitted = derive::admitted(repository, &chain, channel, last.as_ref(), &statements, None)?;
    let commit = match &admitted {
        Admitted::Exempted(exemption) => &exemption.get().commit,
        Admitted::Imported(import) => &import.get().to,
    };
    let commit = derive::object_id(commit)?;
    let lag = sign::lag(&open, &chain, channel, commit)?;
    let before = derive::releases_before(&snapshot, channel, last.as_ref())?;
    let candidate = Candidate {
        channel,
        commit,
        time: chain.now,
        statements: &statements.ids,
        root_version: chain.root.version,
    };
    let targets = derive::release(repository, &chain, &before, &candidate, derive::no_file())?.targets;
    let sequence = targets.version;
    let proposal = Proposal::Release {
        targets: Box::new(targets),
        statements: statements.ids.clone(),
    };
    let payload = proposal.payload_digest();
    let mut files = vec![NewFile::proposal(&proposal)];
    // Top-level targets hand the channels to their people; they follow from the root.
    let top_level = chain.last_targets(&snapshot).ok().flatten();
    let delegations = root::delegations(&chain.policy, &chain.keyring).or_exit(Exit::Refused)?;
    let outdated = top_level.as_ref().is_none_or(|(file, _)| {
        file.claims.delegations.as_ref() != Some(&delegations)
            || file.claims.expires.since(chain.now)
                < chain.channel(channel).map_or(root::CANDIDATE_WINDOW, |c| c.expires)
    });
    if outdated {
        let version = chain.newest_targets_version(&snapshot)? + 1;
        let next = root::top_level_targets(&chain.policy, chain.chain, version, chain.now, &chain.keyring)
            .or_exit(Exit::Refused)?;
        files.push(NewFile::proposal(&Proposal::Targets(Box::new(next))));
    }
    open.add(&files, &format!("Propose release {sequence} of {channel}"))?;
    output::result(
        open.desk.format,
        &json!({"proposal": payload.to_string(), "sequence": sequence, "commit": commit.to_string(), "lag": lag}),
        || {
            format!(
                "release {sequence} of {channel} is proposed as {payload}: commit {commit}, {lag} behind upstream\n\
                 next: its people run assay sign"
            )
        },
    );
    Ok(())
}
