//! Results on standard output, as text for people or as one JSON object for programs; refusals on standard error.

use std::error::Error;

use anstyle::{AnsiColor, Style};
use attestation::{PersonName, Seconds, Time, chain::Release};
use policy::Evidence;
use serde::Serialize;

use crate::{failure::Failure, journal};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
}

pub(crate) const WARNING: Style = AnsiColor::Red.on_default().bold();

impl Output {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints a result: `value` as JSON, or what `text` makes of it.
    pub(crate) fn result<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) {
        match self.format {
            Format::Json => println!("{}", serde_json::to_string(value).expect("a result is JSON")),
            Format::Text => anstream::println!("{}", text(value)),
        }
    }

    /// Something that is not the result and that a person should see.
    pub(crate) fn note(self, text: &str) {
        if self.format == Format::Text {
            anstream::eprintln!("{text}");
        }
    }

    /// Says why it failed, because of what, and what to do next. Programs read the same as `{"error": …}`.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.format == Format::Json {
            let report = serde_json::json!({ "error": failure.report() });
            println!("{report}");
        }
        let priority = journal::prefix(3);
        anstream::eprintln!("{priority}{WARNING}touchstone:{WARNING:#} {}", failure.headline());
        for cause in failure.causes() {
            anstream::eprintln!("{priority}  because: {cause}");
        }
        anstream::eprintln!("{priority}  next: {}", failure.next());
    }
}

/// The messages of an error and of what caused it, without those that repeat the one before.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if messages.last() != Some(&message) {
            messages.push(message);
        }
        cause = error.source();
    }
    messages
}

/// Who vouched for a release, as every command prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Vouched {
    /// The release, as it was signed.
    pub(crate) release: Release,
    /// The people who signed.
    pub(crate) signed_by: Vec<PersonName>,
    /// How many of them it takes.
    pub(crate) needed: u32,
    /// The root under which that was judged.
    pub(crate) root_version: u64,
}

impl Vouched {
    pub(crate) fn new(verified: &policy::Verified<Release>) -> Self {
        let Evidence {
            vouches,
            needed,
            root_version,
            ..
        } = verified.evidence();
        Self {
            release: verified.get().clone(),
            signed_by: vouches.iter().filter_map(|vouch| vouch.person.clone()).collect(),
            needed: *needed,
            root_version: *root_version,
        }
    }

    /// `unstable 17 (commit 0123456789ab), signed by alice and bob`.
    pub(crate) fn in_words(&self) -> String {
        let release = &self.release;
        format!("{}, signed by {}", name(release), people(&self.signed_by))
    }
}

/// `unstable 17 (commit 0123456789ab)`; where it is not upstream's tree, also from which commit it departs, and by what.
pub(crate) fn name(release: &Release) -> String {
    let Release {
        channel,
        sequence,
        commit,
        patched,
        ..
    } = release;
    let departs = patched.as_ref().map(|patched| {
        let names = patched.patches.names();
        format!(", which is upstream's {:.12} with {names}", patched.upstream.as_str())
    });
    format!(
        "{channel} {sequence} (commit {:.12}{})",
        commit.as_str(),
        departs.unwrap_or_default()
    )
}

/// `alice, bob and carol`.
pub(crate) fn people(names: &[PersonName]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.to_string(),
        [rest @ .., last] => {
            let rest: Vec<_> = rest.iter().map(PersonName::as_str).collect();
            format!("{} and {last}", rest.join(", "))
        }
    }
}

/// How long after `earlier` `now` is, in the largest unit: `3 days`.
pub(crate) fn age(now: Time, earlier: Time) -> String {
    duration(now.since(earlier))
}

/// A duration in its largest unit: `3 days`.
pub(crate) fn duration(Seconds(seconds): Seconds) -> String {
    let unit = [86_400, 3_600, 60]
        .into_iter()
        .find(|unit| seconds >= *unit)
        .unwrap_or(1);
    Seconds(seconds - seconds % unit).to_string()
}

/// The day of a time: `2026-11-22`.
pub(crate) fn day(time: Time) -> String {
    time.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_said_in_its_largest_unit() {
        let age = |seconds: i64| age(Time::from_unix(1_000_000 + seconds), Time::from_unix(1_000_000));
        assert_eq!(age(5), "5 seconds");
        assert_eq!(age(3_700), "1 hour");
        assert_eq!(age(25 * 3_600), "1 day");
        assert_eq!(age(49 * 3_600 + 5), "2 days");
    }
}
