//! `touchstone shell`: a shell with packages, which are approved first where no release lists them.

use std::{collections::BTreeSet, path::Path, process::ExitCode};

use clap::Args;
use gate::approver::request::{Attribute, Question, Wanted};

use super::{build, gate::Prepared};
use crate::{
    failure::{Failure, Kind},
    output::Output,
};

/// Start a shell with packages of the installed release (stock nix-shell -p)
#[derive(Debug, Args)]
#[command(after_help = "\
What a signed list has needs nobody: nix-shell -p does the same then. For the rest the approver of the gate is asked.

Example:
  touchstone shell hello jq --run 'hello | jq -R .'")]
pub(crate) struct Arguments {
    /// Attributes, as hello or python3Packages.requests
    #[arg(value_name = "ATTRIBUTE", required = true)]
    attributes: Vec<Attribute>,

    /// A command to run instead of an interactive shell
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,

    /// Forget the environment
    #[arg(long)]
    pure: bool,
}

pub(crate) fn run(arguments: &Arguments, state: &Path, output: Output) -> Result<ExitCode, Failure> {
    let prepared = Prepared::new(state)?;
    let attributes = arguments.attributes.clone();
    let question = Question::new(Wanted::Packages { attributes }, BTreeSet::new());
    let asked = prepared.ask(question, output)?;
    build::say(&asked, output);
    let mut command = prepared.command("nix-shell");
    command
        .arg("-I")
        .arg(format!("nixpkgs={}", prepared.tree().display()))
        .arg("-p");
    command.args(arguments.attributes.iter().map(ToString::to_string));
    if arguments.pure {
        command.arg("--pure");
    }
    if let Some(line) = &arguments.run {
        command.arg("--run").arg(line);
    }
    let status = command
        .status()
        .map_err(|error| Failure::new(Kind::Environment, "nix", error, "put Nix on PATH"))?;
    // As nix-shell does, the exit code is that of what ran in it.
    Ok(ExitCode::from(
        status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(3),
    ))
}
