//! How a run ends, and what a person reads when it ends badly.

use std::{error::Error, fmt, process::ExitCode};

use crate::advice;

/// Exit codes, the same for both commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Refused by verification: nothing was signed, published or installed.
    Refused = 1,
    /// The command line, or a file that the user wrote, is wrong.
    Usage = 2,
    /// The machine: a missing program, repository, permission or space; another run.
    Environment = 3,
    /// The network, or a remote.
    Network = 4,
}

/// An error as it is shown: what happened, the chain of reasons, what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    source: Box<dyn Error + Send + Sync>,
    next: Option<String>,
    details: Option<Box<serde_json::Value>>,
    code: Option<&'static str>,
    findings: Option<Box<serde_json::Value>>,
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure of this kind.
    pub(crate) fn new(exit: Exit, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            exit,
            source: source.into(),
            next: None,
            details: None,
            code: None,
            findings: None,
        }
    }

    /// The same, with what a program wants to know of it.
    pub(crate) fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The same, with a stable word for programs.
    pub(crate) fn code_word(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The same, with what was found, for programs.
    pub(crate) fn findings(mut self, findings: serde_json::Value) -> Self {
        self.findings = Some(Box::new(findings));
        self
    }

    /// The same, with what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The same, with what to do next where nothing is said yet.
    pub(crate) fn next_if_none(mut self, next: &str) -> Self {
        self.next = self.what_next().or_else(|| Some(next.to_owned()));
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// For `--format json`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({"error": self.chain(), "exit": self.exit as u8, "next": self.shown_next()});
        if let Some(details) = &self.details {
            json["details"] = (**details).clone();
        }
        if let Some(code) = self.code {
            json["code"] = code.into();
        }
        if let Some(findings) = &self.findings {
            json["findings"] = (**findings).clone();
        }
        json
    }

    /// What to do next: as the command says, else as the refusal itself tells.
    fn what_next(&self) -> Option<String> {
        self.next.clone().or_else(|| advice::of(&*self.source))
    }

    /// No refusal is without it: at the very least, where what was refused came from.
    fn shown_next(&self) -> Option<String> {
        let somewhere = || {
            "nothing was signed or written; find out where it came from (for the ledger: git log touchstone), and tell its \
             maker"
                .to_owned()
        };
        self.what_next()
            .or_else(|| (self.exit == Exit::Refused).then(somewhere))
    }

    fn chain(&self) -> Vec<String> {
        let mut out = vec![self.source.to_string()];
        let mut source = self.source.source();
        while let Some(error) = source {
            let text = error.to_string();
            // A transparent error repeats its source's words.
            if out.last() != Some(&text) {
                out.push(text);
            }
            source = error.source();
        }
        out
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.chain().join(": "))?;
        if let Some(next) = self.shown_next() {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

/// Says of what kind an error is where it is met.
pub(crate) trait OrExit<T> {
    /// The error as a failure of this kind.
    fn or_exit(self, exit: Exit) -> Outcome<T>;
    /// The error as a failure of this kind, with what to do next.
    fn or_exit_with(self, exit: Exit, next: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Outcome<T> {
        self.map_err(|error| Failure::new(exit, error))
    }

    fn or_exit_with(self, exit: Exit, next: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure::new(exit, error).next(next()))
    }
}
