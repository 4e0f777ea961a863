//! Saying what one thinks of changes: one statement, one signature, however many changes.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    ChannelName, Sha256Digest, StatementId, UnitPath,
    statement::{Claim, DeltaVerdict, FromTree, Review, Verdict},
};
use serde_json::json;

use super::{
    pick::{self, NextImport},
    sign,
};
use crate::{
    cli::Global,
    desk::Desk,
    exit::{Exit, Failure, Outcome},
    output,
};

/// Say what you think of changes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  assay review --channel unstable --approve pkgs/by-name/he/hello --approve lib\n  \
    assay review --channel unstable --reject pkgs/by-name/xz/xz --note 'the hook runs a decoded script'"
)]
pub(crate) struct Args {
    /// The channel
    #[arg(long)]
    channel: ChannelName,
    /// The import, where several are pending, by its proposal
    #[arg(long, value_name = "SHA256")]
    import: Option<Sha256Digest>,
    /// A unit whose change is good
    #[arg(long, value_name = "UNIT")]
    approve: Vec<UnitPath>,
    /// Approve every unit that nobody rejected and that is not named otherwise
    #[arg(long)]
    approve_all: bool,
    /// A unit whose change must not be installed
    #[arg(long, value_name = "UNIT")]
    reject: Vec<UnitPath>,
    /// What others should know, for every verdict of this call
    #[arg(long)]
    note: Option<String>,
    /// What you looked for
    #[arg(long, default_value = "read-the-diff")]
    criteria: String,
    /// Take back an earlier review of yours, by its statement id
    #[arg(long, value_name = "ID")]
    supersedes: Vec<StatementId>,
    /// Sign without being asked
    #[arg(long, short)]
    yes: bool,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let snapshot = open.snapshot()?;
    let NextImport {
        chain,
        statements,
        derived,
        last,
    } = pick::next_import(&open, &snapshot, &args.channel, args.import)?;
    let mut verdicts: BTreeMap<&UnitPath, Verdict> = BTreeMap::new();
    if args.approve_all {
        let admission = crate::derive::admit(&chain, &last, &derived.changes, &statements);
        let open_units = admission.units().iter().filter(|unit| {
            use policy::admission::UnitState::{Rejected, Violated};
            !matches!(unit.state, Rejected { .. } | Violated { .. })
        });
        let paths: BTreeSet<&UnitPath> = open_units.map(|unit| &unit.changed.delta.unit).collect();
        let changed = derived.changes.iter().map(|change| &change.delta.unit);
        verdicts.extend(
            changed
                .filter(|unit| paths.contains(unit))
                .map(|unit| (unit, Verdict::Approve)),
        );
    }
    verdicts.extend(args.approve.iter().map(|unit| (unit, Verdict::Approve)));
    verdicts.extend(args.reject.iter().map(|unit| (unit, Verdict::Reject)));
    if verdicts.is_empty() && args.supersedes.is_empty() {
        return Err(Failure::new(Exit::Usage, "a review of nothing")
            .next("name units with --approve or --reject; assay queue lists them"));
    }
    let mut list = Vec::new();
    for (unit, verdict) in verdicts {
        let delta = pick::unit(&derived.changes, unit)?.delta.clone();
        list.push(DeltaVerdict {
            delta,
            verdict,
            note: args.note.clone(),
        });
    }
    list.sort_by(|a, b| a.delta.cmp(&b.delta));
    // What a review of nothing takes back stands nowhere.
    let from_tree = (!list.is_empty()).then(|| FromTree::of(&last));
    let claim = Claim::Review(Review {
        criteria: args.criteria.clone(),
        verdicts: list,
        from_tree,
        supersedes: args.supersedes.iter().copied().collect(),
    });
    sign::confirm(&[claim.to_string()], args.yes)?;
    let file = sign::statement(&open, &chain, &statements, claim.clone())?;
    open.add(&[file.0], &claim.to_string())?;
    output::result(
        open.desk.format,
        &json!({"statement": file.1, "claim": claim.to_string()}),
        || format!("{claim}\nstatement {}", file.1),
    );
    Ok(())
}
