//! `assay`: the command of those who import, review and sign.
//!
//! What it prints, signs and publishes it derives from this clone's own git objects. The ledger, the remote and
//! other people's machines only propose.

mod advice;
mod chain_state;
mod cli;
mod commands;
mod derive;
mod desk;
mod evaluate;
mod exit;
mod facts;
mod hardware;
mod history;
mod keys;
mod output;
mod patches;
mod pin;
mod sarif;
mod secrets;
mod seen;
mod settings;
mod signed_record;
mod statements;
mod whose;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    secrets::keep_in_memory();
    let cli = cli::Cli::parse();
    let format = cli.global.format;
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::failure(format, &failure);
            failure.code()
        }
    }
}
