//! `touchstone update`: installs the newest release that enough people signed.

use std::{path::Path, process::ExitCode};

use attestation::{Seconds, Time};
use clap::Args;
use fetcher::{Fetched, Options, Outcome, Update, View};
use install::{Attempt, GenerationNumber, LockedState, MirrorNote, State, Subscription, Trouble, patch::Share};
use serde::Serialize;

use crate::{
    clock,
    failure::{self, Failure, Kind},
    journal,
    mirrors::NetworkArguments,
    output::{self, Output, Vouched},
    progress::Bars,
};

/// Install the newest release, if enough people signed it and it is fresh.
#[derive(Debug, Args)]
#[command(after_help = "\
When nothing is new it takes one small request of each mirror. Whatever goes wrong, the installed generation stays as it is.

Examples:
  touchstone update && nix-build '<nixpkgs>' -A hello -I nixpkgs=/var/lib/touchstone/current/nixexprs
  touchstone update --repair        # after touchstone verify found a changed file")]
pub(crate) struct Arguments {
    /// How many of the newest generations stay; the current one always does
    #[arg(long, value_name = "N", default_value_t = 10)]
    keep: usize,

    /// Hash the current generation, and download it whole if somebody has touched it
    #[arg(long)]
    repair: bool,

    /// Write every file, instead of sharing unchanged ones with an older generation by hard links
    #[arg(long)]
    no_links: bool,

    /// Leave the gate's approvals as they are: touchstone gate refresh makes them anew
    #[arg(long)]
    without_gate: bool,

    #[command(flatten)]
    network: NetworkArguments,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Updated {
    outcome: &'static str,
    generation: GenerationNumber,
    #[serde(flatten)]
    vouched: Vouched,
    current_until: Time,
    /// `whole` or `patch`; absent when nothing was downloaded.
    fetched: Option<&'static str>,
    /// Why the patch that there was did not do.
    patch_failure: Option<Trouble>,
    mirror: String,
    mirrors: Vec<MirrorNote>,
    requests: u64,
    bytes: u64,
    removed: Vec<GenerationNumber>,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let done = follow(arguments, directory, output);
    if arguments.without_gate {
        return done;
    }
    // Also when nothing was installed: somebody may have said that what is installed is bad.
    match (done, super::gate::after_update(directory, output)) {
        (Ok(_), Err(failure)) => Err(failure),
        (Err(failure), Err(of_gate)) => {
            super::gate::note_failure(&of_gate, output);
            Err(failure)
        }
        (done, Ok(())) => done,
    }
}

fn follow(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let subscription = state.subscription()?;
    let now = clock::now(&state)?;
    let state = state.lock("touchstone update", now)?;
    match attempt(arguments, &subscription, &state, now) {
        Ok(update) => {
            let removed = state.remove_old(arguments.keep.max(1), now)?;
            let updated = report(&update, removed);
            note(&state, &updated.mirrors, None, now)?;
            for mirror in &updated.mirrors {
                if let Some(trouble) = &mirror.trouble {
                    journal::warn(output, &format!("{} {}: {}", mirror.url, mirror.view, trouble.message));
                }
            }
            if let Some(trouble) = &updated.patch_failure {
                journal::warn(output, &format!("the patch did not do: {}", trouble.message));
            }
            output.result(&updated, |updated| in_words(updated, now));
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            // What failed is what matters; that it could not be noted as well changes nothing.
            let _ = note(&state, &mirror_notes(&subscription, &failure), Some(&failure), now);
            Err(failure)
        }
    }
}

fn attempt(
    arguments: &Arguments,
    subscription: &Subscription,
    state: &LockedState,
    now: Time,
) -> Result<Update, Failure> {
    let transports = arguments.network.open(subscription)?;
    let mirrors: Vec<_> = transports.iter().map(|transport| &**transport).collect();
    let options = Options {
        share: if arguments.no_links {
            Share::Nothing
        } else {
            Share::Links
        },
        repair: arguments.repair,
        ..Options::default()
    };
    let bars = Bars::new();
    Ok(fetcher::update(subscription, state, &mirrors, options, now, &bars)?)
}

/// Notes for `status` how it went.
fn note(
    state: &LockedState,
    mirrors: &[MirrorNote],
    failure: Option<&Failure>,
    time: Time,
) -> Result<(), install::StateError> {
    Ok(state.note_attempt(&Attempt {
        time,
        failure: failure.map(|failure| Trouble {
            code: failure.code().to_owned(),
            message: failure.in_one_line(),
        }),
        unanswered: failure.is_some_and(|failure| failure.kind() == Kind::Network),
        mirrors: mirrors.to_vec(),
    })?)
}

fn mirror_notes(subscription: &Subscription, failure: &Failure) -> Vec<MirrorNote> {
    let failed = |url: &install::BaseUrl| {
        let report = failure.mirrors().iter().find(|report| report.url() == url.to_string());
        MirrorNote {
            url: url.clone(),
            view: "failed".to_owned(),
            trouble: report.map(failure::MirrorReport::trouble),
        }
    };
    subscription.urls.iter().map(failed).collect()
}

fn mirror_note(view: &fetcher::MirrorView) -> MirrorNote {
    let (name, trouble) = match &view.view {
        View::Used => ("used", None),
        View::Agrees => ("agrees", None),
        View::Behind { found, newest } => {
            let message = format!("shows timestamp {found}, the newest is {newest}");
            ("behind", Some(("mirror-behind", message)))
        }
        View::Contradicts { version } => {
            let message = format!(
                "shows another timestamp {version} than others, and both are signed: the channel's people must be told"
            );
            ("contradicts", Some(("mirror-contradicts", message)))
        }
        View::Failed(error) => {
            let (_, code) = failure::classify_update(error);
            ("failed", Some((code, output::chain(error).join(": "))))
        }
    };
    MirrorNote {
        url: view.mirror.clone(),
        view: name.to_owned(),
        trouble: trouble.map(|(code, message)| Trouble {
            code: code.to_owned(),
            message,
        }),
    }
}

fn report(update: &Update, removed: Vec<GenerationNumber>) -> Updated {
    let (fetched, patch_failure) = match &update.fetched {
        Fetched::Nothing => (None, None),
        Fetched::Patch { .. } => (Some("patch"), None),
        Fetched::Whole { patch } => (Some("whole"), patch.as_ref()),
    };
    Updated {
        outcome: match update.outcome {
            Outcome::Unchanged => "unchanged",
            Outcome::Installed => "installed",
            Outcome::Switched => "switched",
        },
        generation: update.generation,
        vouched: Vouched::new(update.release.verified()),
        current_until: update.release.until(),
        fetched,
        patch_failure: patch_failure.map(|error| Trouble {
            code: failure::classify_update(error).1.to_owned(),
            message: output::chain(error).join(": "),
        }),
        mirror: update.mirror.to_string(),
        mirrors: update.mirrors.iter().map(mirror_note).collect(),
        requests: update.requests,
        bytes: update.bytes,
        removed,
    }
}

fn in_words(updated: &Updated, now: Time) -> String {
    let Updated {
        generation,
        vouched,
        requests,
        bytes,
        ..
    } = updated;
    let release = vouched.in_words();
    let headline = match updated.outcome {
        "unchanged" => format!("nothing new: {release} is generation {generation} already"),
        "switched" => format!("switched to generation {generation}: {release}"),
        _ => format!("installed generation {generation}: {release}"),
    };
    let until = match updated.current_until.since(now) {
        Seconds(0) => String::new(),
        _ => format!("; current for {}", output::age(updated.current_until, now)),
    };
    let how = match updated.fetched {
        Some("patch") => ", as a patch",
        _ => "",
    };
    let mut text = format!(
        "{headline}\n{requests} requests, {bytes} bytes{how} from {}{until}",
        updated.mirror
    );
    if !updated.removed.is_empty() {
        let removed: Vec<_> = updated.removed.iter().map(ToString::to_string).collect();
        text.push_str(&format!("\nremoved old generations {}", removed.join(", ")));
    }
    text
}
