//! One subcommand a file.

pub(crate) mod audit_tree;
pub(crate) mod authenticate;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod git_sig;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod log;
mod pick;
pub(crate) mod policy;
pub(crate) mod publish;
pub(crate) mod queue;
pub(crate) mod release;
pub(crate) mod review;
pub(crate) mod show;
pub(crate) mod sign;
pub(crate) mod token;
pub(crate) mod violation;

use crate::{
    cli::{Cli, Command, Global},
    desk::Desk,
    exit::{Exit, OrExit as _, Outcome},
    output,
};

/// Runs the command.
pub(crate) fn run(cli: Cli) -> Outcome {
    let global = cli.global;
    match cli.command {
        Command::Init(args) => init::run(&global, args),
        Command::Policy(command) => policy::run(&global, command),
        Command::Token(command) => token::run(&global, command),
        Command::Import(args) => import::run(&global, &args),
        Command::Queue(args) => queue::run(&global, &args),
        Command::Show(args) => show::run(&global, &args),
        Command::Explain(args) => explain::run(&global, &args),
        Command::Review(args) => review::run(&global, &args),
        Command::Violation(args) => violation::run(&global, &args),
        Command::Sign(args) => sign::run(&global, &args),
        Command::Release(args) => release::run(&global, &args),
        Command::Publish(args) => publish::run(&global, &args),
        Command::Log(args) => log::run(&global, &args),
        Command::Authenticate(args) => authenticate::run(&global, &args),
        Command::GitSig(command) => git_sig::run(&global, command),
        Command::AuditTree(args) => audit_tree::run(&global, &args),
        Command::Sync => sync(&global),
        Command::Generate(command) => generate::run(&command),
    }
}

fn sync(global: &Global) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let head = open.ledger.head().or_exit(Exit::Environment)?;
    output::result(global.format, &serde_json::json!({"head": head.to_string()}), || {
        format!("the ledger is at {head}")
    });
    Ok(())
}
