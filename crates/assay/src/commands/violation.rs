//! Saying that something which was released is bad: what one person may say alone, and what reaches subscribers.

use std::collections::BTreeSet;

use attestation::{
    ChannelName, Content, UnitPath,
    statement::{Claim, TreeNar, ViolatedContent, Violation},
};
use serde_json::json;

use super::sign;
use crate::{
    cli::Global,
    derive::{self, object_id},
    desk::Desk,
    exit::{Exit, Failure, OrExit as _, Outcome},
    output, patches,
};

/// Say that a unit of a release is bad.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  assay violation --channel unstable --unit pkgs/by-name/xz/xz --reason 'the hook runs a decoded \
    script'\n\nFrom then on no import may bring this content, and subscribers refuse every release that has it once \
    `assay publish` has announced it. One person's word is enough, and nothing takes it back."
)]
pub(crate) struct Args {
    /// The channel
    #[arg(long)]
    channel: ChannelName,
    /// The unit whose content is bad
    #[arg(long)]
    unit: UnitPath,
    /// The release that has it; the newest without this
    #[arg(long, value_name = "SEQUENCE")]
    release: Option<u64>,
    /// Why, for everybody to read
    #[arg(long)]
    reason: String,
    /// Sign without being asked
    #[arg(long, short)]
    yes: bool,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let snapshot = open.snapshot()?;
    let chain = open.chain(&snapshot)?;
    let statements = chain.statements(&snapshot)?;
    let last = chain.last_release(&snapshot, &args.channel)?;
    let releases = derive::releases_before(&snapshot, &args.channel, last.as_ref())?;
    let wanted = args.release.or_else(|| last.as_ref().map(|last| last.release.sequence));
    let named = releases.iter().find(|(release, _)| Some(release.sequence) == wanted);
    let (named, _) = named.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{} has no such release", args.channel))
            .next("assay log lists the releases; a change that was not released yet is rejected: assay review --reject")
    })?;

    let repository = &open.desk.repository;
    patches::present(repository, &snapshot, releases.iter().map(|(release, _)| release))?;
    // Which other releases have it, too, is derived from this clone's own objects.
    let content_in = |tree: &attestation::GitOid| -> Outcome<Option<Content>> {
        let tree = object_id(tree)?;
        let all = review::changes(&open.desk.repository, chain.chain, None, tree).or_exit(Exit::Refused)?;
        let unit = all.iter().find(|change| change.delta.unit == args.unit);
        Ok(unit.and_then(|change| change.delta.to))
    };
    let content = content_in(&named.tree)?.ok_or_else(|| {
        let release = named.sequence;
        Failure::new(Exit::Usage, format!("release {release} has no unit {}", args.unit))
            .next("units are named as assay queue names them")
    })?;
    let mut trees = BTreeSet::new();
    let mut sequences = Vec::new();
    for (release, _) in &releases {
        if content_in(&release.tree)? == Some(content) {
            trees.insert(TreeNar(release.tree_nar));
            sequences.push(release.sequence);
        }
    }
    let unit = args.unit.clone();
    let claim = Claim::Violation(Violation {
        contents: [ViolatedContent { unit, content }].into(),
        reason: args.reason.clone(),
        trees,
    });
    sign::confirm(&[claim.to_string()], args.yes)?;
    let file = sign::statement(&open, &chain, &statements, claim.clone())?;
    open.add(&[file.0], &claim.to_string())?;
    output::result(
        open.desk.format,
        &json!({"statement": file.1, "claim": claim.to_string(), "releases": sequences}),
        || {
            format!(
                "{claim}\nstatement {}\nreleases that have it: {sequences:?}\nsubscribers learn of it with the next assay publish",
                file.1
            )
        },
    );
    Ok(())
}
