//! `touchstone gate evaluate`: the processes that the approver starts; nobody types it.

use std::process::ExitCode;

use clap::Args;
use gate::approver::evaluate;

/// Evaluate as the approver says on standard input
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Within the namespaces
    #[arg(long)]
    inside: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if arguments.inside {
        return evaluate::inside();
    }
    evaluate::stage(&["gate", "evaluate", "--inside"])
}
