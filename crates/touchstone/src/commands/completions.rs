//! `touchstone completions SHELL`: prints completions; for packagers.

use std::{io, process::ExitCode};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::failure::Failure;

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "every command has this signature")]
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    clap_complete::generate(
        arguments.shell,
        &mut crate::Arguments::command(),
        "touchstone",
        &mut io::stdout(),
    );
    Ok(ExitCode::SUCCESS)
}
