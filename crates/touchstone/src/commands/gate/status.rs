//! `touchstone gate status`: what is approved, and what was refused.

use std::process::ExitCode;

use attestation::Time;
use clap::Args;
use gate::{
    Approvals, Place,
    refusals::{self, Entry},
};
use serde::Serialize;

use super::left_out::{self, LeftOut};
use crate::{
    failure::Failure,
    output::{Output, WARNING, chain},
};

/// Show what is approved, and the last refusals (as root)
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  touchstone gate status --last 5")]
pub(super) struct Arguments {
    /// How many refusals
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    release: Option<u64>,
    approved: Option<u64>,
    wrong: Option<String>,
    /// Releases that approve nothing, since somebody found them to be bad.
    left_out: Vec<LeftOut>,
    refusals: Vec<Entry>,
    /// Whether the log of refusals could be read: it is root's.
    refusals_known: bool,
}

pub(super) fn run(arguments: &Arguments, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    let approvals = Approvals::open(place);
    let known = refusals::newest(place, arguments.last);
    let status = Status {
        release: approvals.as_ref().ok().map(|approvals| approvals.origin().release),
        approved: approvals.as_ref().ok().map(Approvals::count),
        wrong: approvals.as_ref().err().map(|error| chain(error).join(": ")),
        left_out: left_out::read(place),
        refusals_known: known.is_ok(),
        refusals: known.unwrap_or_default(),
    };
    output.result(&status, in_words);
    Ok(ExitCode::SUCCESS)
}

fn in_words(status: &Status) -> String {
    let mut text = match (&status.wrong, status.release, status.approved) {
        (None, Some(release), Some(count)) => format!("approved  {count} things, up to release {release}"),
        (wrong, ..) => format!("approved  nothing: {}", wrong.as_deref().unwrap_or("not known")),
    };
    for left_out in &status.left_out {
        text += &format!(
            "\nbad       {WARNING}{}{WARNING:#}\n          next: {}",
            left_out.in_words(),
            left_out.next()
        );
    }
    if !status.refusals_known {
        return text + "\nrefused   not known: the log is root's (sudo touchstone gate status)";
    }
    if status.refusals.is_empty() {
        return text + "\nrefused   nothing";
    }
    for entry in &status.refusals {
        let time = Time::from_unix(i64::try_from(entry.time).unwrap_or(0));
        let who = entry
            .client
            .map_or_else(String::new, |client| format!(" (user {})", client.uid));
        text += &format!(
            "\nrefused   {time}{who} {}\n          {}",
            entry.derivation, entry.reason
        );
    }
    text + "\nnext: touchstone gate why DERIVATION"
}
