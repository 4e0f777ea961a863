//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{commands, output::Format};

/// Import upstream, review what changed, sign it, publish it
#[derive(Parser)]
#[command(name = "assay", version, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 fine, 1 refused by verification, 2 usage, 3 environment, 4 network.\n\
    A day: assay import --channel C; assay queue --channel C; assay review --channel C …; assay sign; \
    assay release --channel C; assay sign (k people); assay publish --to DIR --online-key FILE"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args)]
pub(crate) struct Global {
    /// The fork's clone
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    pub repo: PathBuf,
    /// How results are printed
    #[arg(
        long,
        global = true,
        default_value = "text",
        hide_possible_values = true,
        value_name = "text|json"
    )]
    pub format: Format,
    /// Do not exchange the ledger with the remote, nor fetch upstream
    #[arg(long, global = true)]
    pub offline: bool,
    /// Read PINs from this open file descriptor, a line for each question, instead of asking
    #[arg(long, global = true, hide_short_help = true, value_name = "N")]
    pub pin_fd: Option<u32>,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a chain in this clone, or join the one that a remote has
    Init(commands::init::Args),
    /// The policy: what the next root will say
    #[command(subcommand)]
    Policy(commands::policy::Command),
    /// Tokens and other keys: enrol, look at, unblock, find out what is wrong
    #[command(subcommand)]
    Token(commands::token::Command),
    /// Fetch upstream and propose its newest commits (or, for a new channel, its first tree)
    Import(commands::import::Args),
    /// What changed, unit by unit, and what each still needs
    Queue(commands::queue::Args),
    /// One unit's change as a diff
    Show(commands::show::Args),
    /// What a finding means, and what to do about it
    Explain(commands::explain::Args),
    /// Say what you think of changes: one signature for all of them
    Review(commands::review::Args),
    /// Say that something which was released is bad: one person's word, and subscribers refuse it
    Violation(commands::violation::Args),
    /// Derive again whatever waits for your signature, and sign it
    Sign(commands::sign::Args),
    /// Propose the next release of a channel
    Release(commands::release::Args),
    /// Finish what has enough signatures; write and announce the channel's files
    Publish(commands::publish::Args),
    /// Who said and signed what, and on whom things wait
    Log(commands::log::Args),
    /// Judge a commit's whole history since an introduction: who made it, and whether they may
    Authenticate(commands::authenticate::Args),
    /// Signatures in git notes, as git-sig makes them
    #[command(subcommand)]
    GitSig(commands::git_sig::Command),
    /// What the rules find in a whole tree
    AuditTree(commands::audit_tree::Args),
    /// Exchange the ledger with the remote
    #[command(after_help = "Example: assay sync --repo ~/fork")]
    Sync,
    /// Write man pages or shell completions
    #[command(subcommand, hide = true)]
    Generate(commands::generate::Command),
}
