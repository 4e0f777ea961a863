//! Man pages and shell completions, for those who package us.

use std::{io, path::PathBuf};

use clap::{CommandFactory as _, Subcommand};

use crate::{
    cli::Cli,
    exit::{Exit, OrExit as _, Outcome},
};

/// What to write.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Man pages, one a subcommand
    Man {
        /// Where to
        directory: PathBuf,
    },
    /// Shell completions, to standard output
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// Writes them.
pub(crate) fn run(command: &Command) -> Outcome {
    match command {
        Command::Man { directory } => clap_mangen::generate_to(Cli::command(), directory).or_exit(Exit::Environment),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "assay", &mut io::stdout());
            Ok(())
        }
    }
}
