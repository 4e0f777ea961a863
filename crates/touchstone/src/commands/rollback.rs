//! `touchstone rollback`: makes an older generation current again. It asks for no freshness: what was installed stays
//! usable.

use std::{path::Path, process::ExitCode};

use clap::Args;
use install::{Action, Generation, GenerationNumber, LockedState, State, verify as earn};
use serde::Serialize;

use super::verify;
use crate::{
    clock,
    failure::{Failure, Kind},
    output::{Output, Vouched},
};

/// Make an older generation current again, after checking it.
#[derive(Debug, Args)]
#[command(after_help = "\
The next update goes to the newest release again.

Example:
  touchstone rollback      # to the one before the current one
  touchstone rollback 3")]
pub(crate) struct Arguments {
    /// The generation [default: the one before the current one]
    generation: Option<GenerationNumber>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct RolledBack {
    generation: GenerationNumber,
    from: Option<GenerationNumber>,
    #[serde(flatten)]
    vouched: Vouched,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let subscription = state.subscription()?;
    let now = clock::now(&state)?;
    let state = state.lock("touchstone rollback", now)?;
    let from = state.current()?.map(|generation| generation.number());
    let generation = match arguments.generation {
        Some(number) => verify::find(&state, Some(number))?,
        None => before(&state, from)?,
    };
    let release = verify::authenticate(&state, &subscription, &generation)?;
    earn::tree(&generation, &release)?;
    state.make_current(&generation, Action::Rollback, release.get().sequence, now)?;
    let done = RolledBack {
        generation: generation.number(),
        from,
        vouched: Vouched::new(&release),
    };
    output.result(&done, |done| {
        format!("back to generation {}: {}", done.generation, done.vouched.in_words())
    });
    Ok(ExitCode::SUCCESS)
}

/// The newest generation that is older than the current one.
fn before(state: &LockedState, current: Option<GenerationNumber>) -> Result<Generation, Failure> {
    let older = |generation: &Generation| current.is_some_and(|current| generation.number() < current);
    state.generations()?.into_iter().rev().find(older).ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            "no-such-generation",
            NothingBefore,
            "touchstone list shows those there are",
        )
    })
}

#[derive(Debug, thiserror::Error)]
#[error("there is no generation before the current one")]
struct NothingBefore;
