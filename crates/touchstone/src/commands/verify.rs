//! `touchstone verify`: earns a generation's trust again, from what is on the disk.

use std::{path::Path, process::ExitCode};

use clap::Args;
use install::{Generation, GenerationNumber, State, Subscription, verify};
use policy::Verified;
use serde::Serialize;

use crate::{
    clock,
    failure::{Failure, Kind},
    output::{Output, Vouched},
};

/// Check again, without network, that a generation is what people signed: every signature, every file.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  touchstone verify        # the current generation
  touchstone verify 3")]
pub(crate) struct Arguments {
    /// The generation [default: the current one]
    generation: Option<GenerationNumber>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Checked {
    generation: GenerationNumber,
    #[serde(flatten)]
    vouched: Vouched,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let subscription = state.subscription()?;
    let generation = find(&state, arguments.generation)?;
    let release = authenticate(&state, &subscription, &generation)?;
    verify::tree(&generation, &release)?;
    let checked = Checked {
        generation: generation.number(),
        vouched: Vouched::new(&release),
    };
    output.result(&checked, |checked| {
        let Vouched {
            needed, root_version, ..
        } = &checked.vouched;
        format!(
            "generation {} is {} ({needed} needed, root version {root_version}); every file is as it was signed",
            checked.generation,
            checked.vouched.in_words(),
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// The generation with that number, or the current one.
pub(crate) fn find(state: &State, wanted: Option<GenerationNumber>) -> Result<Generation, Failure> {
    let missing = |error| {
        Failure::new(
            Kind::Usage,
            "no-such-generation",
            error,
            "touchstone list shows those there are",
        )
    };
    match wanted {
        Some(number) => {
            let there = state
                .generations()?
                .into_iter()
                .find(|generation| generation.number() == number);
            there.ok_or_else(|| missing(Missing::Number(number)))
        }
        None => state.current()?.ok_or_else(|| {
            Failure::new(
                Kind::Usage,
                "no-such-generation",
                Missing::Current,
                "touchstone update installs one",
            )
        }),
    }
}

/// Who vouches for a generation, by its signed files, the certificates known since, and what was said to be bad since.
pub(crate) fn authenticate(
    state: &State,
    subscription: &Subscription,
    generation: &Generation,
) -> Result<Verified<attestation::chain::Release>, Failure> {
    let Subscription { chain, channel, .. } = subscription;
    let known = state.trusted(*chain, channel).load()?;
    let now = clock::now(state)?;
    Ok(verify::usable(generation, &known, *chain, channel, now)?)
}

#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("there is no generation {0}")]
    Number(GenerationNumber),
    #[error("nothing is installed yet")]
    Current,
}
