//! `touchstone gate`: whether Nix itself refuses what nobody vouched for.

mod check;
mod left_out;
mod nix;
mod off;
mod on;
mod refresh;
mod serve;
mod status;
mod why;

use std::{error::Error, path::Path, process::ExitCode};

use clap::{Args, Subcommand};
use gate::Place;

use crate::{
    failure::{Failure, Kind},
    output::Output,
};

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
    On(on::Arguments),
    Off(off::Arguments),
    Check(check::Arguments),
    Why(why::Arguments),
    Refresh(refresh::Arguments),
    Serve(serve::Arguments),
    Status(status::Arguments),
}

pub(crate) fn run(arguments: Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let place = Place::new(directory.join("gate"));
    match arguments.command {
        Command::On(arguments) => on::run(&arguments, directory, &place, output),
        Command::Off(arguments) => off::run(&arguments, &place, output),
        Command::Check(arguments) => check::run(&arguments, &place, output),
        Command::Why(arguments) => why::run(&arguments, &place, output),
        Command::Refresh(arguments) => refresh::run(&arguments, directory, &place, output),
        Command::Serve(arguments) => serve::run(&arguments, &place, output),
        Command::Status(arguments) => status::run(&arguments, &place, output),
    }
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
