//! `touchstone status`: five lines on what a person wants to know.

use std::{path::Path, process::ExitCode};

use attestation::{Seconds, Time, chain::Release};
use clap::Args;
use install::{Generation, GenerationNumber, State, Subscription, verify as earn, verify::VerifyError};
use policy::{Keyring, trusted_set::Judge};
use serde::Serialize;

use super::verify;
use crate::{
    clock,
    failure::Failure,
    output::{self, Output, Vouched, WARNING},
};

/// Show which release is installed, who signed it, how old it is, what is newer, what is wrong. No network.
#[derive(Debug, Args)]
#[command(after_help = "\
Signatures are checked again each time; the files are by `touchstone verify`.

Example: for monitoring; exit code 1 when something is wrong
  touchstone status --check")]
pub(crate) struct Arguments {
    /// Fail with exit code 1 when something is wrong
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    subscription: Subscription,
    generation: Option<GenerationNumber>,
    #[serde(flatten)]
    vouched: Option<Vouched>,
    age_seconds: Option<u64>,
    /// Until when the newest release that was seen is known to be the newest; absent when that has passed.
    current_until: Option<Time>,
    /// The sequence of a newer release that was seen and is not installed.
    newer: Option<u64>,
    wrong: Vec<Wrong>,
}

#[derive(Serialize)]
struct Wrong {
    code: &'static str,
    message: String,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let now = clock::now(&state)?;
    let status = look(&state, now)?;
    output.result(&status, |status| in_words(status, now));
    let healthy = status.wrong.is_empty();
    Ok(if arguments.check && !healthy {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn look(state: &State, now: Time) -> Result<Status, Failure> {
    let subscription = state.subscription()?;
    let mut wrong = Vec::new();
    let current = state.current()?;
    let vouched = match &current {
        Some(generation) => match verify::authenticate(state, &subscription, generation) {
            Ok(release) => Some(Vouched::new(&release)),
            Err(failure) => {
                wrong.push(Wrong::from(&failure));
                None
            }
        },
        None => {
            wrong.push(Wrong {
                code: "nothing-installed",
                message: "nothing is installed yet".to_owned(),
            });
            None
        }
    };
    let (newest, current_until) = newest(state, &subscription, now).unwrap_or_else(|failure| {
        wrong.push(Wrong::from(&failure));
        (None, None)
    });
    if newest.is_some() && current_until.is_none() {
        let message = "what is known of the channel has expired; nobody knows what is newer".to_owned();
        wrong.push(Wrong {
            code: "expired",
            message,
        });
    }
    let installed = vouched.as_ref().map_or(0, |vouched| vouched.release.sequence);
    Ok(Status {
        generation: current.as_ref().map(Generation::number),
        age_seconds: vouched.as_ref().map(|vouched| now.since(vouched.release.time).0),
        current_until,
        newer: newest
            .map(|release| release.sequence)
            .filter(|sequence| *sequence > installed),
        vouched,
        subscription,
        wrong,
    })
}

type Newest = (Option<Release>, Option<Time>);

/// The newest release that an update has seen, and until when it is known to be that.
fn newest(state: &State, subscription: &Subscription, now: Time) -> Result<Newest, Failure> {
    let Subscription { chain, channel, .. } = subscription;
    let files = state.trusted(*chain, channel).load()?;
    if files.channel.is_none() {
        return Ok((None, None));
    }
    let keyring = Keyring::from_bytes(&files.keyring).map_err(VerifyError::from)?;
    let replay = |judge| earn::replay(&files, *chain, channel, keyring.clone(), judge, now);
    let release = replay(Judge::Authentic)?.release(channel).map_err(VerifyError::from)?;
    let fresh = replay(Judge::Current)
        .ok()
        .and_then(|set| set.current_release(channel).ok());
    Ok((Some(release.get().clone()), fresh.map(|current| current.until())))
}

impl From<&Failure> for Wrong {
    fn from(failure: &Failure) -> Self {
        let mut messages = vec![failure.headline()];
        messages.extend(failure.causes());
        Self {
            code: failure.code(),
            message: messages.join(": "),
        }
    }
}

fn in_words(status: &Status, now: Time) -> String {
    let Status {
        subscription,
        vouched,
        generation,
        ..
    } = status;
    let installed = generation
        .map(|number| format!(" (generation {number})"))
        .unwrap_or_default();
    let (release, signed, age) = match vouched {
        Some(vouched) => (
            format!("{}{installed}", output::name(&vouched.release)),
            format!(
                "{} ({} needed, root version {})",
                output::people(&vouched.signed_by),
                vouched.needed,
                vouched.root_version
            ),
            format!(
                "{}, from {}",
                output::age(now, vouched.release.time),
                vouched.release.time
            ),
        ),
        None => (
            format!("none that is verified, of channel {}{installed}", subscription.channel),
            "-".to_owned(),
            "-".to_owned(),
        ),
    };
    let newer = match (status.newer, status.current_until) {
        (Some(sequence), _) => format!("release {sequence} was seen and is not installed: touchstone update"),
        (None, Some(until)) if until.since(now) > Seconds(0) => format!("nothing, known until {until}"),
        _ => "not known: touchstone update".to_owned(),
    };
    let wrong = match status.wrong.as_slice() {
        [] => "nothing".to_owned(),
        wrong => {
            let messages: Vec<_> = wrong.iter().map(|wrong| wrong.message.as_str()).collect();
            format!("{WARNING}{}{WARNING:#}", messages.join("; "))
        }
    };
    format!("release  {release}\nsigned   {signed}\nage      {age}\nnewer    {newer}\nwrong    {wrong}")
}
