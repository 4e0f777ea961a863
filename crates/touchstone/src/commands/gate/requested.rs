//! `touchstone gate requests`: what was asked for, and what became of it.

use std::process::ExitCode;

use attestation::Time;
use clap::Args;
use gate::{
    Place,
    approver::{kept, request::Request},
};
use serde::Serialize;

use super::{environment, require_root};
use crate::{
    failure::{Failure, Kind},
    output::Output,
};

/// Show what is approved on request; forget it
#[derive(Debug, Args)]
#[command(after_help = "\
Each is evaluated again whenever the approvals are made anew. What is forgotten approves nothing from the next
touchstone gate refresh on.

Example:
  touchstone gate requests --forget 1f0c2a9be44d7710 && touchstone gate refresh")]
pub(super) struct Arguments {
    /// Forget this one (may be given again)
    #[arg(long, value_name = "ID")]
    forget: Vec<String>,
}

#[derive(Serialize)]
struct Requests {
    requests: Vec<Shown>,
    forgotten: usize,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    what: String,
    uid: u32,
    time: Time,
    sources: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    let repair = "remove the file that is named, and ask again";
    let kept = kept::all(place).map_err(|error| environment(error, repair))?;
    let forgotten: Vec<&Request> = kept
        .iter()
        .filter(|request| arguments.forget.contains(&request.question.wanted.id()))
        .collect();
    if forgotten.len() < arguments.forget.len() {
        let next = "touchstone gate requests lists them";
        return Err(Failure::new(Kind::Usage, "no-request", NoRequest, next));
    }
    if !forgotten.is_empty() {
        require_root("requests")?;
    }
    for request in &forgotten {
        kept::forget(place, request).map_err(|error| environment(error, "check the disk"))?;
    }
    let left = kept.iter().filter(|request| !forgotten.contains(request));
    let requests = Requests {
        requests: left.map(shown).collect(),
        forgotten: forgotten.len(),
    };
    output.result(&requests, in_words);
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, thiserror::Error)]
#[error("there is no request of that name")]
struct NoRequest;

fn shown(request: &Request) -> Shown {
    Shown {
        id: request.question.wanted.id(),
        what: request.question.wanted.in_words(),
        uid: request.client.uid,
        time: Time::from_unix(i64::try_from(request.time).unwrap_or(0)),
        sources: request.question.sources.iter().map(ToString::to_string).collect(),
    }
}

fn in_words(requests: &Requests) -> String {
    let mut text = match requests.requests.len() {
        0 => "nothing is approved on request".to_owned(),
        _ => String::new(),
    };
    for Shown {
        id,
        what,
        uid,
        time,
        sources,
    } in &requests.requests
    {
        text += &format!("{id}  {what} (user {uid}, {time})\n");
        for source in sources {
            text += &format!("                  with {source}\n");
        }
    }
    if requests.forgotten > 0 {
        text += &format!(
            "\n{} forgotten\nnext: touchstone gate refresh, from which on it approves nothing",
            requests.forgotten
        );
    }
    text.trim_end().to_owned()
}
