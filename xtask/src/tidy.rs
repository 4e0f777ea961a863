//! `cargo xtask tidy`: the rules of the house, each a small function that can fail.

use clap::Args as Arguments;

use crate::failure::{Failure, Result};
use crate::metadata::Metadata;
use crate::process::Terminal;

mod deny;
mod dependencies;
mod features;
mod licences;
mod links;
mod scrub;
mod sources;
mod text;

use deny::Deny;
use sources::Source;

/// Check the rules of the house: dependency table, licences, bans, and the text of our own sources.
#[derive(Debug, Arguments)]
#[command(after_help = "Example:\n  cargo xtask tidy")]
pub(crate) struct Args {}

/// One violation of one rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The rule's name, as `ci/deny.toml` and the messages use it.
    rule: &'static str,
    /// A crate, or `file:line`.
    place: String,
    /// What was found, what was needed, what to do.
    message: String,
}

impl Problem {
    fn new(rule: &'static str, place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            rule,
            place: place.into(),
            message: message.into(),
        }
    }
}

pub(crate) fn command(_: &Args, terminal: &Terminal) -> Result<()> {
    let problems = check(terminal)?;
    for Problem { rule, place, message } in &problems {
        terminal.say(&format!("{place}: [{rule}] {message}"));
    }
    match problems.len() {
        0 => {
            terminal.say("tidy: every rule holds");
            Ok(())
        }
        count => Err(Failure::refused(format!(
            "tidy: {count} violation(s) of the rules above"
        ))),
    }
}

fn check(terminal: &Terminal) -> Result<Vec<Problem>> {
    let metadata = Metadata::read(terminal)?;
    let deny = Deny::read()?;
    let sources = Source::all(terminal)?;
    Ok([
        dependencies::table(&metadata),
        dependencies::reach(&metadata),
        dependencies::nothing_native_in_xtask(&metadata),
        deny.banned(&metadata),
        deny.duplicates(&metadata),
        licences::allowed(&metadata, &deny),
        features::release_has_no_software_keys(terminal)?,
        features::hook_is_small(terminal)?,
        text::check(&sources),
        links::resolve(&sources),
    ]
    .into_iter()
    .flatten()
    .collect())
}
