//! What changed, unit by unit, and what each still needs.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use attestation::{ChannelName, Sha256Digest, statement::FromTree, unit::FindingLevel};
use policy::admission::{Admission, Bound, JudgedUnit, UnitState};
use review::{Finding, UnitChange, text::shown};
use serde_json::{Value, json};

use super::pick::{self, NextImport};
use crate::{cli::Global, derive, desk::Desk, exit::Outcome, output, sarif};

/// What changed, and what each unit still needs.
#[derive(clap::Args)]
#[command(after_help = "Example: assay queue --channel unstable --open")]
pub(crate) struct Args {
    /// The channel
    #[arg(long)]
    channel: ChannelName,
    /// The import, where several are pending, by its proposal
    #[arg(long, value_name = "SHA256")]
    import: Option<Sha256Digest>,
    /// Only what still needs something
    #[arg(long)]
    open: bool,
    /// Also write the findings to this file, as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let NextImport {
        chain,
        statements,
        derived,
        last,
    } = pick::next_import(&open, &open.snapshot()?, &args.channel, args.import)?;
    let admission = derive::admit(&chain, &last, &derived.changes, &statements);
    let rows: Vec<_> = derived
        .changes
        .iter()
        .zip(admission.units())
        .filter(|(_, judged)| !args.open || !matches!(judged.state, UnitState::Covered { .. }))
        .collect();
    let units: Vec<Value> = rows.iter().map(|(change, judged)| row_json(change, judged)).collect();
    let still_open = admission.open().count();
    if let Some(path) = &args.sarif {
        sarif::write(path, rows.iter().flat_map(|(change, _)| &change.findings))?;
    }
    let json = json!({"channel": args.channel, "from": derived.import.from, "to": derived.import.to,
        "from-tree": admission.from_tree(), "total": admission.units().len(), "open": still_open, "units": units});
    output::result(open.desk.format, &json, || {
        let mut text = String::new();
        for (change, judged) in &rows {
            let _ = writeln!(text, "{}", row_text(change, judged, admission.from_tree()));
        }
        text + &summary(&admission, still_open, &args.channel)
    });
    Ok(())
}

fn row_json(change: &UnitChange, judged: &JudgedUnit) -> Value {
    let findings: Vec<_> = change.findings.iter().map(finding_json).collect();
    json!({"unit": change.delta.unit, "from": change.delta.from, "to": change.delta.to, "class": change.class,
        "summary": change.summary, "files": change.files.len(), "findings": findings, "verdict": judged.state})
}

/// A finding, for programs.
pub(crate) fn finding_json(finding: &Finding) -> Value {
    json!({"code": finding.rule.code, "level": finding.level(), "path": finding.place.path, "line": finding.place.line,
        "what": finding.what})
}

/// A finding, for people: one line.
pub(crate) fn finding_text(finding: &Finding) -> String {
    let place = shown(&finding.place.path);
    let line = finding.place.line.map(|line| format!(":{line}")).unwrap_or_default();
    let what = shown(&finding.what);
    format!(
        "{} {:<22} {place}{line}  {what}",
        level(finding.level()),
        finding.rule.code
    )
}

fn row_text(change: &UnitChange, judged: &JudgedUnit, from: &FromTree) -> String {
    let mut text = format!("{:<9} {}", change.class.as_str(), shown(change.delta.unit.as_str()));
    let mut line = |words: &str| {
        let _ = write!(text, "\n          {words}");
    };
    line(&shown(&change.summary).to_string());
    if let Some(counterpart) = &change.counterpart {
        let word = if change.delta.to.is_some() { "from" } else { "to" };
        line(&format!("moved {word} {}", shown(counterpart.as_str())));
    }
    let codes = codes(&change.findings);
    if !codes.is_empty() {
        line(&codes);
    }
    line(&state(&judged.state, &from.to_string()));
    text
}

/// The rules that found something, the heaviest first, and how often if more than once.
fn codes(findings: &[Finding]) -> String {
    let mut times: BTreeMap<(std::cmp::Reverse<FindingLevel>, &str), usize> = BTreeMap::new();
    for finding in findings {
        *times
            .entry((std::cmp::Reverse(finding.level()), finding.rule.code))
            .or_default() += 1;
    }
    let words = times
        .into_iter()
        .map(|((std::cmp::Reverse(of), code), times)| match times {
            1 => format!("{}:{code}", level(of)),
            times => format!("{}:{code} ({times})", level(of)),
        });
    words.collect::<Vec<_>>().join("  ")
}

/// The letter of a level.
pub(crate) const fn level(level: FindingLevel) -> &'static str {
    match level {
        FindingLevel::S => "S",
        FindingLevel::H => "H",
        FindingLevel::B => "B",
    }
}

/// What becomes of a unit of the import that continues `from`, in words.
pub(crate) fn state(state: &UnitState, from: &str) -> String {
    let names = |people: &std::collections::BTreeSet<attestation::PersonName>| {
        people
            .iter()
            .map(attestation::PersonName::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match state {
        UnitState::Covered { by } => format!("covered by {}", names(by)),
        UnitState::Violated { reason } => format!("VIOLATED: {}", output::printable(reason)),
        UnitState::Rejected { by, notes, left } => {
            let lift = left.iter().map(|id| {
                format!("; its author has left: as many as the change takes lift it, each with --supersedes {id}")
            });
            let notes = output::printable(&notes.join("; ")).to_string();
            format!("REJECTED by {}: {notes}{}", names(by), lift.collect::<String>())
        }
        UnitState::Lacking {
            missing,
            by,
            bound,
            elsewhere,
        } => {
            let needs: Vec<_> = missing
                .iter()
                .map(|m| format!("{} of {} from {} (could: {})", m.have, m.need, m.role, names(&m.could)))
                .collect();
            let so_far = if by.is_empty() {
                String::new()
            } else {
                format!("; approved by {}", names(by))
            };
            let seen_from = bound.map_or_else(String::new, |bound| {
                format!("; each must have looked from {from}, since {}", why(bound))
            });
            let again = if elsewhere.is_empty() {
                String::new()
            } else {
                format!(
                    "; {} approved it from elsewhere, which does not count here",
                    names(elsewhere)
                )
            };
            format!("needs {}{so_far}{seen_from}{again}", needs.join(" and "))
        }
    }
}

/// Why an approval must name the release from which the change starts.
pub(crate) fn why(bound: Bound) -> String {
    match bound {
        Bound::Returns { release } => format!("this is what release {release} had, and the channel left it"),
        Bound::VersionDown => "the version goes down".to_owned(),
        Bound::Sensitive => "the class is sensitive".to_owned(),
    }
}

fn summary(admission: &Admission, open: usize, channel: &ChannelName) -> String {
    let total = admission.units().len();
    if open == 0 {
        format!("all {total} changed units are covered\nnext: assay release --channel {channel}")
    } else {
        format!(
            "{open} of {total} changed units are open\nnext: assay show --channel {channel} UNIT, then \
             assay review --channel {channel} --approve UNIT …"
        )
    }
}
