//! One unit's change as a diff.

use std::{fmt::Write as _, path::PathBuf};

use attestation::{ChannelName, Class, Sha256Digest, UnitPath};
use review::{
    Diff,
    sources::{Checked, Outcome as Looked, Sources},
    text::shown,
};
use serde_json::json;

use super::{pick, queue};
use crate::{
    cli::Global,
    derive,
    desk::Desk,
    exit::{Exit, OrExit as _, Outcome},
    output, sarif,
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
    /// The import, where several are pending, by its proposal
    #[arg(long, value_name = "SHA256")]
    import: Option<Sha256Digest>,
    /// Unchanged lines around what changed
    #[arg(long, short = 'U', default_value_t = 3)]
    context: u32,
    /// Also write the findings to this file, as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Look at the sources that it fetches, in this directory of tarballs and clones
    #[arg(
        long,
        value_name = "DIR",
        long_help = "Look at the sources that it fetches, in this directory: tarballs under any name, clones as \
                     owner/repository or under the package's name. For people only: what counts does not depend on it"
    )]
    sources: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let current = pick::next_import(&open, &open.snapshot()?, &args.channel, args.import)?;
    let change = pick::unit(&current.derived.changes, &args.unit)?;
    let admission = derive::admit(
        &current.chain,
        &current.last,
        std::slice::from_ref(change),
        &current.statements,
    );
    let from = admission.from_tree().to_string();
    let mut diff = String::new();
    for file in &change.files {
        let part = Diff::of(&open.desk.repository, file, args.context).or_exit(Exit::Environment)?;
        let _ = write!(diff, "{part}");
    }
    let findings: Vec<_> = change.findings.iter().map(queue::finding_json).collect();
    if let Some(path) = &args.sarif {
        sarif::write(path, &change.findings)?;
    }
    let checked = match &args.sources {
        Some(directory) => Sources::open(directory)
            .or_exit(Exit::Environment)?
            .check(&open.desk.repository, change)
            .or_exit(Exit::Environment)?,
        None => Vec::new(),
    };
    let checked: Vec<_> = checked.iter().map(source_row).collect();
    let json = json!({"unit": args.unit, "delta": change.delta.digest().to_string(), "from": change.delta.from,
        "to": change.delta.to, "class": change.class, "summary": change.summary, "no-bump": change.no_bump,
        "from-tree": from, "verdict": admission.units().first().map(|unit| &unit.state), "findings": findings,
        "sources": checked.iter().map(|(json, _)| json).collect::<Vec<_>>(), "diff": diff});
    output::result(open.desk.format, &json, || {
        let mut text = format!(
            "{} {}\n{}\ndelta {}\n",
            change.class,
            shown(change.delta.unit.as_str()),
            shown(&change.summary),
            change.delta.digest()
        );
        if let Some(why) = change.no_bump.as_ref().filter(|_| change.class == Class::Edit) {
            let _ = writeln!(text, "no mere bump: {}", shown(why));
        }
        for finding in &change.findings {
            let _ = writeln!(text, "{}", queue::finding_text(finding));
        }
        for (_, line) in &checked {
            let _ = writeln!(text, "{line}");
        }
        if let Some(patched) = &current.derived.import.patched
            && change
                .findings
                .iter()
                .any(|finding| finding.rule.code == "channel-patch")
        {
            let (upstream, commit) = (&patched.upstream, &current.derived.import.to);
            let _ = writeln!(text, "the channel's own part of it: git diff {upstream} {commit}");
        }
        for judged in admission.units() {
            let _ = writeln!(text, "{}", queue::state(&judged.state, &from));
        }
        text + "\n" + &diff
    });
    Ok(())
}

/// What looking at a source gave, for programs and for people.
fn source_row(checked: &Checked) -> (serde_json::Value, String) {
    let (word, what) = match &checked.outcome {
        Looked::Found(what) => ("FOUND", what),
        Looked::Clean(what) => ("clean", what),
        Looked::Wanted(what) => ("source check wanted", what),
    };
    let json = json!({"code": checked.code, "source": checked.source, "outcome": word.to_lowercase(), "what": what});
    let line = format!("{word} {} of {}: {}", checked.code, shown(&checked.source), shown(what));
    (json, line)
}
