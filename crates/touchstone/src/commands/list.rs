//! `touchstone list`: the generations on this machine.

use std::{path::Path, process::ExitCode};

use attestation::{PersonName, Time, chain::Release};
use clap::Args;
use install::{Generation, GenerationNumber, Record, State, StateError};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{self, Output},
};

/// Show the generations on this machine, as they describe themselves; `verify` checks one.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  touchstone list")]
pub(crate) struct Arguments {}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line {
    generation: GenerationNumber,
    current: bool,
    release: Release,
    signed_by: Vec<PersonName>,
    installed: Time,
}

pub(crate) fn run(_: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let current = state.current()?.map(|generation| generation.number());
    let lines = state
        .generations()?
        .iter()
        .map(|generation| line(generation, current))
        .collect::<Result<Vec<_>, _>>()?;
    output.result(&lines, |lines| in_words(lines));
    Ok(ExitCode::SUCCESS)
}

fn line(generation: &Generation, current: Option<GenerationNumber>) -> Result<Line, StateError> {
    let Record {
        release,
        signed_by,
        installed,
        ..
    } = generation.record()?;
    let number = generation.number();
    Ok(Line {
        generation: number,
        current: Some(number) == current,
        release,
        signed_by,
        installed,
    })
}

fn in_words(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "nothing is installed yet\nnext: touchstone update".to_owned();
    }
    let line = |line: &Line| {
        format!(
            "{} {:>3}  {}  {}, signed by {}",
            if line.current { '*' } else { ' ' },
            line.generation,
            output::day(line.installed),
            output::name(&line.release),
            output::people(&line.signed_by),
        )
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}
