//! `touchstone gc`: removes what is not needed any more.

use std::{path::Path, process::ExitCode};

use clap::Args;
use install::{GenerationNumber, State};
use serde::Serialize;

use crate::{clock, failure::Failure, output::Output};

/// Remove old generations and unfinished downloads. The current generation always stays.
#[derive(Debug, Args)]
#[command(after_help = "\
Files that generations share stay as long as one of them does.

Example:
  touchstone gc --keep 2      # the current generation, and what to roll back to")]
pub(crate) struct Arguments {
    /// How many of the newest generations stay
    #[arg(long, value_name = "N", default_value_t = 2)]
    keep: usize,

    /// Say what would go, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Collected {
    removed: Vec<GenerationNumber>,
    kept: Vec<GenerationNumber>,
    dry_run: bool,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let now = clock::now(&state)?;
    let keep = arguments.keep.max(1);
    let removed = if arguments.dry_run {
        state.old(keep)?.iter().map(install::Generation::number).collect()
    } else {
        let state = state.clone().lock("touchstone gc", now)?;
        let removed = state.remove_old(keep, now)?;
        state.forget_partials()?;
        removed
    };
    let mut kept: Vec<_> = state.generations()?.iter().map(install::Generation::number).collect();
    kept.retain(|number| !removed.contains(number));
    let done = Collected {
        kept,
        removed,
        dry_run: arguments.dry_run,
    };
    output.result(&done, |done| {
        let list = |numbers: &[GenerationNumber]| {
            let texts: Vec<_> = numbers.iter().map(ToString::to_string).collect();
            if texts.is_empty() {
                "none".to_owned()
            } else {
                texts.join(", ")
            }
        };
        let would = if done.dry_run { "would remove" } else { "removed" };
        format!(
            "{would} generations: {}\nkept: {}",
            list(&done.removed),
            list(&done.kept)
        )
    });
    Ok(ExitCode::SUCCESS)
}
