//! What changed, unit by unit, and what each still needs.

use std::fmt::Write as _;

use attestation::ChannelName;
use policy::admission::{Admission, JudgedUnit, UnitState};
use review::UnitChange;
use serde_json::{Value, json};

use super::pick::{self, NextImport};
use crate::{cli::Global, derive, desk::Desk, exit::Outcome, output};

/// What changed, and what each unit still needs.
#[derive(clap::Args)]
#[command(after_help = "Example: assay queue --channel unstable --open")]
pub(crate) struct Args {
    /// The channel
    #[arg(long)]
    channel: ChannelName,
    /// Only what still needs something
    #[arg(long)]
    open: bool,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: &Args) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let NextImport {
        chain,
        statements,
        derived,
    } = pick::next_import(&open, &open.snapshot()?, &args.channel)?;
    let admission = derive::admit(&chain, &derived.changes, &statements);
    let rows: Vec<_> = derived
        .changes
        .iter()
        .zip(admission.units())
        .filter(|(_, judged)| !args.open || !matches!(judged.state, UnitState::Covered { .. }))
        .collect();
    let units: Vec<Value> = rows.iter().map(|(change, judged)| row_json(change, judged)).collect();
    let still_open = admission.open().count();
    let json = json!({"channel": args.channel, "from": derived.import.from, "to": derived.import.to,
        "total": admission.units().len(), "open": still_open, "units": units});
    output::result(open.desk.format, &json, || {
        let mut text = String::new();
        for (change, judged) in &rows {
            let _ = writeln!(text, "{}", row_text(change, judged));
        }
        text + &summary(&admission, still_open, &args.channel)
    });
    Ok(())
}

fn row_json(change: &UnitChange, judged: &JudgedUnit) -> Value {
    let findings: Vec<_> = change
        .findings
        .iter()
        .map(|finding| json!({"code": finding.code, "level": finding.level}))
        .collect();
    json!({"unit": change.delta.unit, "from": change.delta.from, "to": change.delta.to, "class": change.class,
        "files": change.files.len(), "findings": findings, "verdict": judged.state})
}

fn row_text(change: &UnitChange, judged: &JudgedUnit) -> String {
    let findings: Vec<_> = change
        .findings
        .iter()
        .map(|finding| format!("{}:{}", level(finding.level), finding.code))
        .collect();
    let findings = if findings.is_empty() {
        String::new()
    } else {
        format!("  [{}]", findings.join(" "))
    };
    let unit = review::text::shown(change.delta.unit.as_str());
    format!(
        "{:<9} {unit}{findings}\n          {}",
        change.class.as_str(),
        state(&judged.state)
    )
}

fn level(level: attestation::unit::FindingLevel) -> &'static str {
    match level {
        attestation::unit::FindingLevel::S => "S",
        attestation::unit::FindingLevel::H => "H",
        attestation::unit::FindingLevel::B => "B",
    }
}

/// What becomes of a unit, in words.
pub(crate) fn state(state: &UnitState) -> String {
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
        UnitState::Rejected { by, notes } => {
            format!("REJECTED by {}: {}", names(by), output::printable(&notes.join("; ")))
        }
        UnitState::Lacking { missing, by } => {
            let needs: Vec<_> = missing
                .iter()
                .map(|m| format!("{} of {} from {} (could: {})", m.have, m.need, m.role, names(&m.could)))
                .collect();
            let so_far = if by.is_empty() {
                String::new()
            } else {
                format!("; approved by {}", names(by))
            };
            format!("needs {}{so_far}", needs.join(" and "))
        }
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
