//! The orchestrator: sets the machine up, builds, and composes the steps by running `assay` and `touchstone` as
//! processes, exactly as people do.
//!
//! It holds no trust logic: it never decides whether a signature, a review or a channel is good. What it does, a
//! person can do by typing the command lines it prints. One subcommand is one file.
//!
//! Exit codes are those of the two commands: 0 fine, 1 refused (a check failed), 2 usage, 3 environment.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod call;
mod channel_file;
mod cost;
mod cycle;
mod demo;
mod failure;
mod metadata;
mod process;
mod serve;
mod setup;
mod steps;
mod test;
mod tidy;
mod tokens;
mod upstream;
mod workspace;

use process::Terminal;

/// Sets the machine up, builds, and runs the two commands exactly as people do.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    /// Print each command line before it runs.
    #[arg(long, short, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Setup(setup::Args),
    Demo(demo::Args),
    Cycle(cycle::Args),
    Tidy(tidy::Args),
    Test(test::Args),
    Serve(serve::Args),
    Upstream(upstream::Args),
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::from_environment(cli.verbose);
    let outcome = match &cli.command {
        Command::Demo(args) => demo::command(args, &terminal),
        Command::Cycle(args) => cycle::command(args, &terminal),
        Command::Setup(args) => setup::command(args, &terminal),
        Command::Tidy(args) => tidy::command(args, &terminal),
        Command::Test(args) => test::command(args, &terminal),
        Command::Serve(args) => serve::command(args),
        Command::Upstream(args) => upstream::command(args, &terminal),
        Command::Bench(args) => bench::command(args, &terminal),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.error(&failure.to_string());
            failure.exit_code()
        }
    }
}
