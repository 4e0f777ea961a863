//! Fetching upstream, and proposing its newest commits.

use std::{fmt::Write as _, path::PathBuf};

use attestation::{ChannelName, Time, chain::Release, pending::Proposal};
use ledger::{NewFile, Snapshot};
use policy::admission;
use serde_json::json;

use crate::{
    chain_state::ChainState,
    cli::Global,
    derive,
    desk::{Desk, OpenDesk},
    exit::{Exit, Failure, OrExit as _, Outcome},
    output, patches,
};

/// Fetch upstream and propose its newest commits.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  assay import --channel unstable\n  \
    assay import --channel unstable --patches distro/patches/unstable\n  \
    assay import --channel unstable --baseline 3f2a… --reason 'where we start'")]
pub(crate) struct Args {
    /// The channel
    #[arg(long)]
    channel: ChannelName,
    /// The upstream commit to import; without it upstream's newest
    #[arg(long, value_name = "REV", conflicts_with = "baseline")]
    to: Option<String>,
    /// Apply the patches of this directory, in the order of their names; without it, those of the last release
    #[arg(long, value_name = "DIR", conflicts_with = "baseline")]
    patches: Option<PathBuf>,
    /// Import upstream's tree as it is
    #[arg(long, conflicts_with_all = ["baseline", "patches"])]
    no_patches: bool,
    /// Start the channel from this commit: root's people trust its tree unreviewed
    #[arg(long, value_name = "REV")]
    baseline: Option<String>,
    /// Why the baseline is trusted
    #[arg(
        long,
        default_value = "the tree from which the channel starts",
        requires = "baseline"
    )]
    reason: String,
}

/// For how long root's people may start a channel from an exempted tree.
const EXEMPTION_DAYS: i64 = 30;

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let snapshot = open.snapshot()?;
    let chain = open.chain(&snapshot)?;
    let last = chain.last_release(&snapshot, &args.channel)?;
    let tip = open.desk.fetch_upstream(&chain, &args.channel)?;
    match (&args.baseline, last) {
        (Some(_), Some(last)) => Err(Failure::new(
            Exit::Usage,
            format!(
                "{} has release {} already; a baseline starts a channel once",
                args.channel, last.release.sequence
            ),
        )
        .next(format!("assay import --channel {}", args.channel))),
        (Some(baseline), None) => exempt(&open, args, baseline, tip),
        (None, None) => Err(
            Failure::new(Exit::Usage, format!("{} has no release yet", args.channel)).next(format!(
                "choose the commit it starts from: assay import --channel {} --baseline REV",
                args.channel
            )),
        ),
        (None, Some(last)) => {
            let repository = &open.desk.repository;
            let to = match &args.to {
                Some(revision) => repository.resolve(revision).or_exit(Exit::Usage)?,
                None => tip,
            };
            require_on_upstream(&open, to, tip)?;
            propose(&open, &snapshot, &chain, args, &last.release, to)
        }
    }
}

/// Derives the import of upstream's commit `to` on top of the last release, and files it with its patches.
fn propose(
    open: &OpenDesk,
    snapshot: &Snapshot,
    chain: &ChainState,
    args: &Args,
    last: &Release,
    to: importer::ObjectId,
) -> Outcome {
    let repository = &open.desk.repository;
    let patches = match &args.patches {
        Some(directory) => patches::of_directory(directory)?,
        None if args.no_patches => Vec::new(),
        None => patches::of_ledger(snapshot, last.patched.as_ref())?,
    };
    let derived = derive::import(repository, snapshot, chain, last, to, &patches)?;
    admission::patchable(chain.channel(&args.channel)?, &derived.patched).or_exit(Exit::Refused)?;
    let from = derive::object_id(last.upstream_commit())?;
    let range = repository.commit_range(from, to).or_exit(Exit::Environment)?;
    let (proposal, import) = (Proposal::Import(derived.import.clone()), derived.import);
    let names: Vec<_> = patches.iter().map(|patch| patch.name.as_str().to_owned()).collect();
    let mut files: Vec<_> = patches.into_iter().map(|patch| NewFile::patch(patch.bytes)).collect();
    files.push(NewFile::proposal(&proposal));
    open.add(&files, &format!("Propose the import of {}", import.to))?;
    let payload = proposal.payload_digest();
    output::result(
        open.desk.format,
        &json!({"proposal": payload.to_string(), "from": from.to_string(), "to": to.to_string(), "commit": import.to,
            "commits": range.commits, "units": import.delta_count, "patches": names,
            "patched-units": derived.patched}),
        || {
            let mut text = format!(
                "{} commits change {} units of {}\n",
                range.commits, import.delta_count, args.channel
            );
            if !names.is_empty() {
                let (names, units) = (names.join(", "), derived.patched.len());
                let _ = writeln!(
                    text,
                    "with {names}: {units} units differ from upstream, commit {}",
                    import.to
                );
            }
            text + &format!("proposed as {payload}\nnext: assay queue --channel {}", args.channel)
        },
    );
    Ok(())
}

/// A commit that is imported must be on upstream's branch, as this clone fetched it. One that this clone lacks is not.
pub(crate) fn require_on_upstream(open: &OpenDesk, commit: importer::ObjectId, tip: importer::ObjectId) -> Outcome {
    let is_there = match open.desk.repository.is_ancestor(commit, tip) {
        Err(importer::ObjectError::Missing { id, .. }) if id == commit => false,
        judged => judged.or_exit(Exit::Environment)?,
    };
    if is_there {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Refused,
            format!("{commit} is not on upstream's branch, whose newest commit is {tip}"),
        )
        .next("name a commit of the channel's upstream branch"))
    }
}

fn exempt(open: &OpenDesk, args: &Args, baseline: &str, tip: importer::ObjectId) -> Outcome {
    let repository = &open.desk.repository;
    let commit = repository.resolve(baseline).or_exit(Exit::Usage)?;
    require_on_upstream(open, commit, tip)?;
    let until = Time::from_unix(open.desk.now.unix() + EXEMPTION_DAYS * 86_400);
    let exemption = derive::exemption(repository, &args.channel, commit, args.reason.clone(), until)?;
    let proposal = Proposal::Exemption(exemption);
    open.propose(&proposal, &format!("Propose to start {} from {commit}", args.channel))?;
    let payload = proposal.payload_digest();
    output::result(
        open.desk.format,
        &json!({"proposal": payload.to_string(), "commit": commit.to_string()}),
        || {
            format!(
                "proposed as {payload}: root's people run assay sign, then somebody assay release --channel {}",
                args.channel
            )
        },
    );
    Ok(())
}
