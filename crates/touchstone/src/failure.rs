//! Why a command failed: the kind decides the exit code, the code is stable for programs, `next` is for people.

mod advice;

use std::{error::Error, process::ExitCode};

use install::Trouble;
use serde::Serialize;

use crate::output;

pub(crate) use advice::classify_update;

/// What kind of failure it was, and its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// What was offered, or is there, is not what people signed.
    Refused = 1,
    /// The command was used wrongly.
    Usage = 2,
    /// Files, the disk, another run.
    Environment = 3,
    /// No answer, or none that makes sense.
    Network = 4,
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    code: &'static str,
    error: Box<dyn Error>,
    next: String,
    /// What each mirror said, where there are several.
    mirrors: Vec<MirrorReport>,
}

/// A failure as programs read it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    kind: Kind,
    code: &'static str,
    message: String,
    causes: Vec<String>,
    next: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mirrors: Vec<MirrorReport>,
}

/// Why a mirror did not do, as programs read it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MirrorReport {
    url: String,
    kind: Kind,
    code: &'static str,
    messages: Vec<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, code: &'static str, error: impl Error + 'static, next: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            error: Box::new(error),
            next: next.into(),
            mirrors: Vec::new(),
        }
    }

    /// The same failure, with another thing to do about it.
    pub(crate) fn with_next(self, next: impl Into<String>) -> Self {
        Self {
            next: next.into(),
            ..self
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn headline(&self) -> String {
        self.error.to_string()
    }

    /// What caused it, the nearest cause first.
    pub(crate) fn causes(&self) -> Vec<String> {
        let of_mirrors = self
            .mirrors
            .iter()
            .map(|mirror| format!("{}: {}", mirror.url, mirror.messages.join(": ")));
        output::chain(&*self.error)
            .into_iter()
            .skip(1)
            .chain(of_mirrors)
            .collect()
    }

    /// All of it in one line.
    pub(crate) fn in_one_line(&self) -> String {
        let mut messages = vec![self.headline()];
        messages.extend(self.causes());
        messages.join(": ")
    }

    pub(crate) fn next(&self) -> &str {
        &self.next
    }

    pub(crate) fn report(&self) -> Report {
        Report {
            kind: self.kind,
            code: self.code,
            message: self.headline(),
            causes: self.causes(),
            next: self.next.clone(),
            mirrors: self.mirrors.clone(),
        }
    }
}

impl Failure {
    /// What the mirrors said, one by one: all that there is to say, where there is only one.
    pub(crate) fn mirrors(&self) -> &[MirrorReport] {
        &self.mirrors
    }
}

impl MirrorReport {
    pub(crate) fn trouble(&self) -> Trouble {
        Trouble {
            code: self.code.to_owned(),
            message: self.messages.join(": "),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Why a mirror did not do.
pub(crate) fn mirror_report(failure: &fetcher::MirrorFailure) -> MirrorReport {
    let (kind, code) = classify_update(&failure.error);
    MirrorReport {
        url: failure.mirror.to_string(),
        kind,
        code,
        messages: output::chain(&failure.error),
    }
}
