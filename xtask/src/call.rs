//! One call of `assay`, `touchstone` or Nix by somebody: what a person would type, and what runs.
//!
//! The two differ in two things only: what runs is the program that was just built, and it is asked for JSON.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cost::Cost;
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

/// The two commands, as they were just built.
#[derive(Debug)]
pub(crate) struct Commands {
    assay: PathBuf,
    touchstone: PathBuf,
}

impl Commands {
    /// Builds both. Keys in files are a feature that release builds do not have.
    pub(crate) fn build(terminal: &Terminal) -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            target_directory: PathBuf,
        }
        terminal.step("building assay and touchstone");
        let cargo = || Line::cargo().directory(workspace::root());
        let packages = ["-p", "assay", "-p", "touchstone"];
        let build = cargo().args(["build", "--quiet"]).args(packages);
        build.args(["--features", "assay/software-keys"]).run(terminal)?;
        let metadata = cargo().args(["metadata", "--no-deps", "--format-version", "1"]);
        let Metadata { target_directory } = metadata.json(terminal)?;
        Ok(Self {
            assay: target_directory.join("debug/assay"),
            touchstone: target_directory.join("debug/touchstone"),
        })
    }

    /// A call of `assay` by `who` in `directory`.
    pub(crate) fn assay(&self, who: &str, directory: &Path) -> Call {
        Call::new(who, "assay", &self.assay, directory)
    }

    /// Where `touchstone` is.
    pub(crate) fn path_of_touchstone(&self) -> &Path {
        &self.touchstone
    }

    /// A call of `touchstone` by `who` in `directory`.
    pub(crate) fn touchstone(&self, who: &str, directory: &Path) -> Call {
        Call::new(who, "touchstone", &self.touchstone, directory)
    }
}

/// A call that can be shown and run. Its display is a prompt that says who, and the command line.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    who: String,
    typed: Line,
    line: Line,
}

/// What a call came to.
#[derive(Debug)]
pub(crate) struct Ran {
    shown: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
    /// What it took.
    pub(crate) cost: Cost,
}

impl Call {
    fn new(who: &str, name: &str, program: &Path, directory: &Path) -> Self {
        Self {
            who: who.to_owned(),
            typed: Line::new(name),
            line: Line::new(program).directory(directory),
        }
    }

    /// A call of one of Nix's programs: `wrapper` is one that `ci/nix.sh` made.
    pub(crate) fn nix(wrapper: &Path, program: &str, directory: &Path) -> Self {
        let who = wrapper.file_name().unwrap_or_default().to_string_lossy();
        Self {
            typed: Line::new(program),
            ..Self::new(&who, program, wrapper, directory)
        }
        .hidden(program)
    }

    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        let arg = arg.as_ref();
        Self {
            typed: self.typed.arg(arg),
            line: self.line.arg(arg),
            ..self
        }
    }

    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(self, args: I) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// An argument that is not shown.
    fn hidden(self, arg: &str) -> Self {
        Self {
            line: self.line.arg(arg),
            ..self
        }
    }

    /// A variable of its environment. Not shown: it only keeps the people of one machine apart.
    pub(crate) fn env(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        Self {
            line: self.line.env(name, value),
            ..self
        }
    }

    /// What is typed when it asks. Not shown.
    pub(crate) fn typing(self, file: &Path) -> Self {
        let call = self.hidden("--pin-fd").hidden("0");
        Self {
            line: call.line.input(file),
            ..call
        }
    }

    /// Nothing is inherited but `PATH`.
    pub(crate) fn hermetic(self) -> Self {
        Self {
            line: self.line.hermetic(),
            ..self
        }
    }

    /// Runs it and asks for JSON, whatever it comes to.
    pub(crate) fn ask(&self, terminal: &Terminal) -> Result<Ran> {
        self.clone().hidden("--format").hidden("json").run(terminal)
    }

    /// Runs it as it was typed.
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<Ran> {
        let (output, cost) = self.line.measured(terminal)?;
        Ok(Ran {
            shown: self.to_string(),
            code: output.status.code(),
            stdout: output.stdout,
            stderr: output.stderr,
            cost,
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}$ {}", self.who, self.typed)
    }
}

impl Ran {
    /// What it printed. Fails if it did not exit with 0.
    pub(crate) fn text(&self) -> Result<&str> {
        match self.code {
            Some(0) => Ok(&self.stdout),
            code => {
                let message = format!("`{}` failed ({}): {}", self.shown, self.exit(), self.reason());
                Err(match code {
                    Some(1) => Failure::refused(message),
                    Some(2) => Failure::usage(message),
                    _ => Failure::environment(message),
                })
            }
        }
    }

    /// What it printed, as JSON. Fails if it did not exit with 0.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(self.text()?).map_err(|error| {
            Failure::environment(format!(
                "`{}` printed JSON of another shape than expected: {error}",
                self.shown
            ))
        })
    }

    /// Why it was refused by verification. Fails if it exited with anything but 1.
    pub(crate) fn refusal(&self) -> Result<String> {
        match self.code {
            Some(1) => Ok(self.reason()),
            _ => Err(Failure::environment(format!(
                "`{}` should have been refused (exit 1), its exit was {}: {}",
                self.shown,
                self.exit(),
                self.reason()
            ))),
        }
    }

    /// What it said besides its result.
    pub(crate) fn said(&self) -> &str {
        self.stderr.trim()
    }

    fn exit(&self) -> String {
        self.code
            .map_or("by a signal".to_owned(), |code| format!("exit {code}"))
    }

    /// The reasons in the error that it printed as JSON; else its last words.
    fn reason(&self) -> String {
        reasons(&self.stdout).unwrap_or_else(|| {
            let lines: Vec<&str> = self.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
            lines[lines.len().saturating_sub(6)..].join("; ")
        })
    }
}

/// The chain of reasons in an error of `assay` (`{"error": ["…"]}`) or `touchstone` (`{"error": {"message", "causes"}}`).
fn reasons(stdout: &str) -> Option<String> {
    let value: Value = serde_json::from_str(stdout).ok()?;
    let error = value.get("error")?;
    let list = |value: &Value| -> Option<Vec<String>> {
        let items = value.as_array()?.iter().filter_map(Value::as_str);
        Some(items.map(str::to_owned).collect())
    };
    let all = match error {
        Value::Array(_) => list(error)?,
        _ => {
            let mut all = vec![error.get("message")?.as_str()?.to_owned()];
            all.extend(list(error.get("causes")?)?);
            all
        }
    };
    Some(all.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Terminal = Terminal::QUIET;

    fn sh(script: &str) -> Call {
        Call::new("alice", "shell", Path::new("sh"), Path::new("/")).args(["-c", script])
    }

    #[test]
    fn a_call_is_shown_as_somebody_types_it() {
        let call = sh("true").env("A", "b").hidden("--secret");
        assert_eq!(call.to_string(), "alice$ shell -c true");
    }

    #[test]
    fn a_refusal_is_exit_1_and_nothing_else() {
        let run = |script: &str| sh(script).run(&QUIET).expect("sh runs");
        let refused = run(r#"echo '{"error": ["no", "because"], "exit": 1}'; exit 1"#);
        assert_eq!(refused.refusal().expect("exit 1"), "no: because");
        assert!(refused.text().is_err());
        for other in ["exit 0", "exit 2", "exit 3", "kill -9 $$"] {
            assert!(run(other).refusal().is_err(), "{other}");
        }
    }

    #[test]
    fn both_commands_errors_are_read() {
        let touchstone = r#"{"error": {"kind": "refused", "message": "a", "causes": ["b", "c"]}}"#;
        assert_eq!(reasons(touchstone).as_deref(), Some("a: b: c"));
        assert_eq!(reasons(r#"{"error": ["a", "b"]}"#).as_deref(), Some("a: b"));
        assert_eq!(reasons("{}"), None);
        assert_eq!(reasons("no JSON"), None);
    }

    #[test]
    fn a_failure_has_the_last_words() {
        let failed = sh("echo why >&2; exit 3").run(&QUIET).expect("sh runs");
        let failure = failed.text().expect_err("exit 3").to_string();
        assert!(failure.contains("exit 3") && failure.ends_with("why"), "{failure}");
    }
}
