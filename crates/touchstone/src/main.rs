//! The command of those who install: follows a signed channel, and refuses everything else.

mod clock;
mod commands;
mod failure;
mod journal;
mod known;
mod mirrors;
mod output;
mod pins;
mod progress;
mod serve;
mod state_dir;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{failure::Failure, output::Output};

/// Follow a channel that people have signed, and refuse everything else.
#[derive(Debug, Parser)]
#[command(name = "touchstone", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Arguments {
    /// The state directory [default: /var/lib/touchstone for root, else $XDG_STATE_HOME/touchstone]
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,

    /// How results are printed
    #[arg(long, value_enum, default_value_t = output::Format::Text, global = true)]
    format: output::Format,

    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 fine, 1 refused by verification, 2 wrong usage, 3 the environment (files, disk, lock), 4 the network.

Example: follow a channel, and let Nix use it
  touchstone subscribe --url https://example.org/touchstone --chain 5feceb66… --channel unstable \\
      --floor-root 1 --floor-release 1
  touchstone update
  export NIX_PATH=nixpkgs=/var/lib/touchstone/current/nixexprs";

#[derive(Debug, Subcommand)]
enum Command {
    Subscribe(commands::subscribe::Arguments),
    Update(commands::update::Arguments),
    Status(commands::status::Arguments),
    Verify(commands::verify::Arguments),
    List(commands::list::Arguments),
    Rollback(commands::rollback::Arguments),
    Build(commands::build::Arguments),
    Shell(commands::shell::Arguments),
    Switch(commands::switch::Arguments),
    Gate(commands::gate::Arguments),
    Gc(commands::gc::Arguments),
    Pin(commands::pin::Arguments),
    Serve(commands::serve::Arguments),
    Why(commands::why::Arguments),
    Audit(commands::audit::Arguments),
    Mirror(commands::mirror::Arguments),
    #[command(hide = true)]
    Man(commands::man::Arguments),
    #[command(hide = true)]
    Completions(commands::completions::Arguments),
}

fn main() -> ExitCode {
    let Arguments { state, format, command } = Arguments::parse();
    let output = Output::new(format);
    match run(state, output, command) {
        Ok(code) => code,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

fn run(state: Option<PathBuf>, output: Output, command: Command) -> Result<ExitCode, Failure> {
    // The gate is the machine's, whoever asks about it.
    let of_machine = state.clone().unwrap_or_else(|| PathBuf::from(state_dir::OF_MACHINE));
    let state = || state.map_or_else(state_dir::default, Ok);
    match command {
        Command::Subscribe(arguments) => commands::subscribe::run(arguments, &state()?, output),
        Command::Update(arguments) => commands::update::run(&arguments, &state()?, output),
        Command::Status(arguments) => commands::status::run(&arguments, &state()?, output),
        Command::Verify(arguments) => commands::verify::run(&arguments, &state()?, output),
        Command::List(arguments) => commands::list::run(&arguments, &state()?, output),
        Command::Rollback(arguments) => commands::rollback::run(&arguments, &state()?, output),
        Command::Build(arguments) => commands::build::run(&arguments, &of_machine, output),
        Command::Shell(arguments) => commands::shell::run(&arguments, &of_machine, output),
        Command::Switch(arguments) => commands::switch::run(&arguments, &of_machine, output),
        Command::Gate(arguments) => commands::gate::run(arguments, &of_machine, output),
        Command::Gc(arguments) => commands::gc::run(&arguments, &state()?, output),
        Command::Pin(arguments) => commands::pin::run(&arguments, &state()?, output),
        Command::Serve(arguments) => commands::serve::run(&arguments, &state()?, output),
        Command::Why(arguments) => commands::why::run(&arguments, &state()?, output),
        Command::Audit(arguments) => commands::audit::run(&arguments, &state()?, output),
        Command::Mirror(arguments) => commands::mirror::run(&arguments, &state()?, output),
        Command::Man(arguments) => commands::man::run(&arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_subcommand_has_an_example() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
            let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            let call = format!("touchstone {}", subcommand.get_name());
            assert!(
                help.contains("Example") && help.contains(&call),
                "{call} shows no example"
            );
        }
    }
}
