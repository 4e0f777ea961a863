//! `touchstone status`: five lines on what a person wants to know.

use std::{fs, path::Path, process::ExitCode};

use attestation::{Seconds, Time, chain::Release};
use clap::Args;
use install::{Attempt, Generation, GenerationNumber, State, Subscription, verify as earn, verify::VerifyError};
use policy::{Keyring, TrustError, trusted_set::Judge};
use serde::Serialize;
use serde_json::Value;

use super::verify;
use crate::{
    clock,
    failure::Failure,
    output::{self, Output, Vouched, WARNING},
    pins,
};

/// Show which release is installed, who signed it, how old it is, what is newer, what is wrong. No network.
#[derive(Debug, Args)]
#[command(after_help = "\
Signatures are checked again each time; the files are by `touchstone verify`.

Examples:
  touchstone status
  touchstone status --check     # one line for monitoring; exit code 1 when something is wrong
  touchstone status --pins      # the lines that point Nix at what is installed")]
pub(crate) struct Arguments {
    /// One line, and exit code 1 when something is wrong
    #[arg(long)]
    check: bool,

    /// Show also how Nix is pointed at what is installed
    #[arg(long, conflicts_with = "check")]
    pins: bool,
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
    /// When the mirrors were asked last, and how that went.
    asked: Option<Attempt>,
    pins: Pins,
    wrong: Vec<Wrong>,
    /// The gate, where it was switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<super::gate::Brief>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Pins {
    nix_path: String,
    /// The entry of a flake registry; absent until `touchstone pin`.
    registry: Option<Value>,
}

#[derive(Serialize)]
struct Wrong {
    code: String,
    message: String,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let now = clock::now(&state)?;
    let status = look(&state, now)?;
    output.result(&status, |status| {
        if arguments.check {
            return in_one_line(status, now);
        }
        let text = in_words(status, now);
        let Pins { nix_path, registry } = &status.pins;
        if arguments.pins {
            format!("{text}\n\n{}", pins::in_words(nix_path, registry.as_ref()))
        } else {
            text
        }
    });
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
            wrong.push(Wrong::new("nothing-installed", "nothing is installed yet"));
            None
        }
    };
    let (newest, current_until) = newest(state, &subscription, now).unwrap_or_else(|failure| {
        wrong.push(Wrong::from(&failure));
        (None, None)
    });
    if newest.is_some() && current_until.is_none() {
        let message = "what is known of the channel has expired; nobody knows what is newer";
        wrong.push(Wrong::new("expired", message));
    }
    if let Some(behind) = clock::behind(state)? {
        let message = format!(
            "this machine's clock is {} behind what it has seen, so it cannot tell for how long something has been the newest: \
             set it",
            output::duration(behind)
        );
        wrong.push(Wrong::new("clock-behind", message));
    }
    let asked = state.last_attempt();
    wrong.extend(asked.iter().flat_map(wrong_of_attempt));
    let installed = vouched.as_ref().map_or(0, |vouched| vouched.release.sequence);
    Ok(Status {
        generation: current.as_ref().map(Generation::number),
        age_seconds: vouched.as_ref().map(|vouched| now.since(vouched.release.time).0),
        current_until,
        newer: newest
            .map(|release| release.sequence)
            .filter(|sequence| *sequence > installed),
        pins: Pins {
            nix_path: pins::nix_path(state),
            registry: current
                .as_ref()
                .zip(vouched.as_ref())
                .and_then(|(generation, vouched)| {
                    let link = fs::read_link(generation.store_link()).ok()?;
                    Some(pins::registry(&link, &vouched.release))
                }),
        },
        asked,
        vouched,
        subscription,
        wrong,
        gate: super::gate::brief(state.path()),
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
    let fresh = replay(Judge::Current).ok().map(|set| set.current_release(channel));
    let until = match fresh {
        Some(Ok(current)) => Some(current.until()),
        Some(Err(error @ TrustError::Violated { .. })) => return Err(VerifyError::from(error).into()),
        Some(Err(_)) | None => None,
    };
    Ok((Some(release.get().clone()), until))
}

impl Wrong {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

impl From<&Failure> for Wrong {
    fn from(failure: &Failure) -> Self {
        Self::new(failure.code(), failure.in_one_line())
    }
}

/// What was wrong when the mirrors were asked last. One that is behind, or gave no answer while another did, is not.
fn wrong_of_attempt(attempt: &Attempt) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    if let Some(failure) = attempt.failure.as_ref().filter(|_| !attempt.unanswered) {
        let message = format!("the last update, at {}, failed: {}", attempt.time, failure.message);
        wrong.push(Wrong::new(&failure.code, message));
    }
    let lying = attempt.mirrors.iter().filter(|mirror| mirror.view == "contradicts");
    wrong.extend(lying.filter_map(|mirror| {
        let trouble = mirror.trouble.as_ref()?;
        Some(Wrong::new(&trouble.code, format!("{} {}", mirror.url, trouble.message)))
    }));
    wrong
}

/// What monitoring reads: a word, what it is about, and the age as performance data.
fn in_one_line(status: &Status, now: Time) -> String {
    let what = match &status.vouched {
        Some(vouched) => format!(
            "{}, {} old, signed by {}",
            output::name(&vouched.release),
            output::age(now, vouched.release.time),
            output::people(&vouched.signed_by)
        ),
        None => format!("{}: nothing that is verified", status.subscription.channel),
    };
    let age = status.age_seconds.map_or(String::new(), |age| format!(" | age={age}s"));
    match status.wrong.as_slice() {
        [] => format!("TOUCHSTONE OK - {what}{age}"),
        wrong => {
            let messages: Vec<_> = wrong.iter().map(|wrong| wrong.message.as_str()).collect();
            format!("TOUCHSTONE WARNING - {what}; {}{age}", messages.join("; "))
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
    let gate = status
        .gate
        .as_ref()
        .map_or_else(String::new, |gate| format!("\n{}", gate.in_words()));
    format!("release  {release}\nsigned   {signed}\nage      {age}\nnewer    {newer}\nwrong    {wrong}{gate}")
}
