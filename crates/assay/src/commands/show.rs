//! One unit's change as a diff.

use std::fmt::Write as _;

use attestation::{ChannelName, UnitPath};
use review::Diff;
use serde_json::json;

use super::{pick, queue};
use crate::{
    cli::Global,
    derive,
    desk::Desk,
    exit::{Exit, OrExit as _, Outcome},
    output,
};

/// One unit's change as a diff.
#[derive(clap::Args)]
#[command(after_help = "Example: assay show --channel unstable pkgs/by-name/he/hello")]
pub(crate) struct Args {
    /// The channel
    #[arg(long)]
    channel: ChannelName,
    /// The unit, as assay queue names it
    unit: UnitPath,
    /// Unchanged lines around what changed
    #[arg(long, short = 'U', default_value_t = 3)]
    context: u32,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let current = pick::next_import(&open, &open.snapshot()?, &args.channel)?;
    let change = pick::unit(&current.derived.changes, &args.unit)?;
    let admission = derive::admit(&current.chain, std::slice::from_ref(change), &current.statements);
    let mut diff = String::new();
    for file in &change.files {
        let part = Diff::of(&open.desk.repository, file, args.context).or_exit(Exit::Environment)?;
        let _ = write!(diff, "{part}");
    }
    let findings: Vec<_> = change
        .findings
        .iter()
        .map(|finding| {
            let places: Vec<_> = finding
                .places
                .iter()
                .map(|place| json!({"path": place.path.as_str(), "line": place.line}))
                .collect();
            json!({"code": finding.code, "level": finding.level, "places": places})
        })
        .collect();
    let json = json!({"unit": args.unit, "delta": change.delta.digest().to_string(), "from": change.delta.from,
        "to": change.delta.to, "class": change.class, "findings": findings, "diff": diff});
    output::result(open.desk.format, &json, || {
        let mut text = format!("{} {}\ndelta {}\n", change.class, args.unit, change.delta.digest());
        for finding in &change.findings {
            for place in &finding.places {
                let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "finding {} at {}{line}",
                    finding.code,
                    review::text::shown(place.path.as_str())
                );
            }
        }
        for judged in admission.units() {
            let _ = writeln!(text, "{}", queue::state(&judged.state));
        }
        text + "\n" + &diff
    });
    Ok(())
}
