//! `touchstone gate`: whether Nix itself refuses what nobody vouched for.

mod approver;
mod ask;
mod brief;
mod check;
mod evaluate;
mod left_out;
mod nix;
mod off;
mod on;
mod refresh;
mod requested;
mod requests;
mod serve;
mod sources;
mod status;
mod why;

use std::{error::Error, path::Path, process::ExitCode};

use clap::{Args, Subcommand};
use gate::Place;

use crate::{
    failure::{Failure, Kind},
    output::Output,
};

pub(crate) use ask::{Asked, Prepared};
pub(crate) use brief::{Brief, brief};

/// Make Nix itself refuse to build what nobody vouched for
#[derive(Debug, Args)]
#[command(after_help = "\
Nix asks a program of ours before each build in its sandbox. Whatever you have installed keeps running.

Examples:
  touchstone gate on          # as root; then restart nix-daemon
  touchstone gate check       # prove that it works, with a build that must be refused
  touchstone gate why /nix/store/….drv
  touchstone gate off")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    On(Box<on::Arguments>),
    Off(off::Arguments),
    Check(check::Arguments),
    Why(why::Arguments),
    Refresh(refresh::Arguments),
    Requests(requested::Arguments),
    Approver(approver::Arguments),
    Serve(serve::Arguments),
    Status(status::Arguments),
    #[command(hide = true)]
    Evaluate(evaluate::Arguments),
}

pub(crate) fn run(arguments: Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let place = Place::new(directory.join("gate"));
    match arguments.command {
        Command::On(arguments) => on::run(&arguments, directory, &place, output),
        Command::Off(arguments) => off::run(&arguments, &place, output),
        Command::Check(arguments) => check::run(&arguments, &place, output),
        Command::Why(arguments) => why::run(&arguments, &place, output),
        Command::Refresh(arguments) => refresh::run(&arguments, directory, &place, output),
        Command::Requests(arguments) => requested::run(&arguments, &place, output),
        Command::Approver(arguments) => approver::run(&arguments, directory, &place, output),
        Command::Evaluate(arguments) => Ok(evaluate::run(&arguments)),
        Command::Serve(arguments) => serve::run(&arguments, &place, output),
        Command::Status(arguments) => status::run(&arguments, &place, output),
    }
}

/// Whether the gate was ever switched on here.
fn was_on(place: &Place) -> bool {
    place.settings().exists()
}

/// Makes the approvals anew after an update, whatever came of that, where the gate was switched on. Anything that was wrong is
/// a failure: the machine would go on with what it had.
pub(crate) fn after_update(directory: &Path, output: Output) -> Result<(), Failure> {
    let place = Place::new(directory.join("gate"));
    if !was_on(&place) || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let system = nix::configuration()?.remove("system").unwrap_or_default();
    let approved = refresh::approve(directory, &place, &system, output)?;
    output.note(&refresh::in_words(&approved));
    Ok(())
}

/// That the approvals could not be made anew, beside something worse.
pub(crate) fn note_failure(failure: &Failure, output: Output) {
    output.note(&format!(
        "the gate's approvals: {}\n  next: {}",
        failure.in_one_line(),
        failure.next()
    ));
}

/// What belongs to the machine is changed by root.
fn require_root(command: &'static str) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let next = format!("sudo touchstone gate {command}");
    Err(Failure::new(Kind::Environment, "not-root", NotRoot, next))
}

#[derive(Debug, thiserror::Error)]
#[error("only root may change what this machine builds")]
struct NotRoot;

/// A failure of files or programs of this machine.
fn environment(error: impl Error + 'static, next: impl Into<String>) -> Failure {
    Failure::new(Kind::Environment, "gate", error, next)
}
