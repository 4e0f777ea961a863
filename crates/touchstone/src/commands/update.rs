//! `touchstone update`: installs the newest release that enough people signed.

use std::{path::Path, process::ExitCode};

use attestation::{Seconds, Time};
use clap::Args;
use fetcher::{Bounds, Outcome, Update};
use install::{GenerationNumber, State};
use serde::Serialize;

use crate::{
    clock,
    failure::{self, Failure, MirrorReport},
    mirrors::NetworkArguments,
    output::{self, Output, Vouched},
    progress::Bars,
};

/// Install the newest release, if enough people signed it and it is fresh.
#[derive(Debug, Args)]
#[command(after_help = "\
When nothing is new it takes two small requests. Whatever goes wrong, the installed generation stays as it is.

Example:
  touchstone update && nix-build '<nixpkgs>' -A hello -I nixpkgs=/var/lib/touchstone/current/nixexprs")]
pub(crate) struct Arguments {
    /// How many of the newest generations stay; the current one always does
    #[arg(long, value_name = "N", default_value_t = 10)]
    keep: usize,

    #[command(flatten)]
    network: NetworkArguments,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Updated {
    outcome: &'static str,
    generation: GenerationNumber,
    #[serde(flatten)]
    vouched: Vouched,
    current_until: Time,
    mirror: String,
    failed_mirrors: Vec<MirrorReport>,
    requests: u64,
    bytes: u64,
    removed: Vec<GenerationNumber>,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let subscription = state.subscription()?;
    let now = clock::now(&state)?;
    let state = state.lock("touchstone update", now)?;
    let transports = arguments.network.open(&subscription.urls)?;
    let mirrors: Vec<_> = transports.iter().map(|transport| &**transport).collect();
    let bars = Bars::new();
    let update = fetcher::update(&subscription, &state, &mirrors, Bounds::default(), now, &bars)?;
    drop(bars);
    let removed = state.remove_old(arguments.keep.max(1), now)?;
    for failed in &update.failed {
        output.note(&format!(
            "note: {} did not do: {}",
            failed.mirror,
            output::chain(&failed.error).join(": ")
        ));
    }
    let updated = report(&update, removed);
    output.result(&updated, |updated| in_words(updated, now));
    Ok(ExitCode::SUCCESS)
}

fn report(update: &Update, removed: Vec<GenerationNumber>) -> Updated {
    Updated {
        outcome: match update.outcome {
            Outcome::Unchanged => "unchanged",
            Outcome::Installed => "installed",
            Outcome::Switched => "switched",
        },
        generation: update.generation,
        vouched: Vouched::new(update.release.verified()),
        current_until: update.release.until(),
        mirror: update.mirror.to_string(),
        failed_mirrors: update.failed.iter().map(failure::mirror_report).collect(),
        requests: update.requests,
        bytes: update.bytes,
        removed,
    }
}

fn in_words(updated: &Updated, now: Time) -> String {
    let Updated {
        generation,
        vouched,
        requests,
        bytes,
        ..
    } = updated;
    let release = vouched.in_words();
    let headline = match updated.outcome {
        "unchanged" => format!("nothing new: {release} is generation {generation} already"),
        "switched" => format!("switched to generation {generation}: {release}"),
        _ => format!("installed generation {generation}: {release}"),
    };
    let until = match updated.current_until.since(now) {
        Seconds(0) => String::new(),
        _ => format!("; current for {}", output::age(updated.current_until, now)),
    };
    let mut text = format!(
        "{headline}\n{requests} requests, {bytes} bytes from {}{until}",
        updated.mirror
    );
    if !updated.removed.is_empty() {
        let removed: Vec<_> = updated.removed.iter().map(ToString::to_string).collect();
        text.push_str(&format!("\nremoved old generations {}", removed.join(", ")));
    }
    text
}
