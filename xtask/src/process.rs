//! Processes, run as a person would type them.
//!
//! A [`Line`] is one command line. It can be shown (quoted so that it can be pasted into a shell), run with its output
//! passing through, or run with its output captured, as text or as JSON.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::cost::{self, Cost};
use crate::failure::{Failure, Result};

/// How many lines of a failed process's own words are repeated.
const TAIL: usize = 12;

/// How to talk to the person: what is said goes to stderr, so that stdout stays for results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    colour: bool,
    verbose: bool,
}

impl Terminal {
    /// Says what is said without colour, and echoes nothing.
    #[cfg(test)]
    pub(crate) const QUIET: Self = Self {
        colour: false,
        verbose: false,
    };

    /// Colour only on a terminal and without `NO_COLOR` (<https://no-color.org>: set and not empty).
    pub(crate) fn from_environment(verbose: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: !refused && std::io::stderr().is_terminal(),
            verbose,
        }
    }

    /// The command line about to run, if the person asked to see them.
    pub(crate) fn echo(&self, line: &Line) {
        if self.verbose {
            eprintln!("{}", self.paint("2", &format!("$ {line}")));
        }
    }

    /// One line about what is going on.
    pub(crate) fn say(&self, text: &str) {
        eprintln!("{text}");
    }

    /// A command line that somebody in a story types.
    pub(crate) fn typed(&self, call: &impl fmt::Display) {
        eprintln!("{}", self.paint("36", &call.to_string()));
    }

    /// The title of a step.
    pub(crate) fn step(&self, text: &str) {
        eprintln!("{}", self.paint("1", &format!("== {text}")));
    }

    pub(crate) fn error(&self, text: &str) {
        eprintln!("{} {text}", self.paint("1;31", "error:"));
    }

    fn paint(&self, sgr: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{sgr}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// One command line: program, arguments, and what differs from our own environment.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    program: OsString,
    args: Vec<OsString>,
    set: Vec<(OsString, OsString)>,
    only_these: bool,
    directory: Option<PathBuf>,
    input: Option<PathBuf>,
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it printed, lossily as UTF-8.
    pub(crate) stdout: String,
    /// What it said, lossily as UTF-8.
    pub(crate) stderr: String,
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Line {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            set: Vec::new(),
            only_these: false,
            directory: None,
            input: None,
        }
    }

    /// The cargo that runs us, so that nested calls use the same toolchain.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.set.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Nothing is inherited but `PATH`: what the process sees is what [`Line::env`] set.
    pub(crate) fn hermetic(mut self) -> Self {
        self.only_these = true;
        self
    }

    pub(crate) fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// A file is its standard input; without one it has none.
    pub(crate) fn input(mut self, file: impl AsRef<Path>) -> Self {
        self.input = Some(file.as_ref().to_owned());
        self
    }

    fn stdin(&self) -> Result<Stdio> {
        match &self.input {
            None => Ok(Stdio::null()),
            Some(path) => {
                let file = std::fs::File::open(path);
                Ok(file
                    .map_err(Failure::io(format_args!("read {}", path.display())))?
                    .into())
            }
        }
    }

    /// Runs it with its output passing through to ours. Fails if it does not exit with 0.
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<()> {
        terminal.echo(self);
        let status = self
            .command()
            .stdin(self.stdin()?)
            .status()
            .map_err(|error| self.not_started(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::refused(format!("`{self}` failed ({status})")))
        }
    }

    /// Runs it and captures what it prints, whatever its exit code.
    pub(crate) fn outcome(&self, terminal: &Terminal) -> Result<Output> {
        terminal.echo(self);
        let output = self
            .command()
            .stdin(self.stdin()?)
            .output()
            .map_err(|error| self.not_started(&error))?;
        Ok(Output::from(output))
    }

    /// Runs it and returns what it took. Fails, with the end of what it said, if it does not exit with 0.
    pub(crate) fn timed(&self, terminal: &Terminal) -> Result<Cost> {
        let (output, cost) = self.measured(terminal)?;
        self.succeeded(output).map(|_| cost)
    }

    /// Runs it and captures what it prints, whatever its exit code, and what it takes.
    pub(crate) fn measured(&self, terminal: &Terminal) -> Result<(Output, Cost)> {
        terminal.echo(self);
        let start = Instant::now();
        let mut command = self.command();
        command
            .stdin(self.stdin()?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| self.not_started(&error))?;
        let (output, cost) = cost::watch(child, start).map_err(Failure::io(format_args!("wait for `{self}`")))?;
        Ok((Output::from(output), cost))
    }

    /// Runs it and returns its stdout. Fails, with the end of what it said, if it does not exit with 0.
    pub(crate) fn text(&self, terminal: &Terminal) -> Result<String> {
        self.succeeded(self.outcome(terminal)?)
    }

    /// Runs it and returns its stdout; what it says passes through to ours. Fails if it does not exit with 0.
    pub(crate) fn result(&self, terminal: &Terminal) -> Result<String> {
        terminal.echo(self);
        let mut command = self.command();
        command.stdin(self.stdin()?).stderr(Stdio::inherit());
        let output = Output::from(command.output().map_err(|error| self.not_started(&error))?);
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Failure::refused(format!("`{self}` failed ({})", output.status)))
    }

    fn succeeded(&self, output: Output) -> Result<String> {
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = if output.stderr.trim().is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        Err(Failure::refused(format!(
            "`{self}` failed ({}){}",
            output.status,
            tail(said)
        )))
    }

    /// Runs it and parses its stdout as one JSON value.
    pub(crate) fn json<T: DeserializeOwned>(&self, terminal: &Terminal) -> Result<T> {
        let text = self.text(terminal)?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::refused(format!("`{self}` printed JSON of another shape than expected: {error}")))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.only_these {
            command.env_clear();
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        }
        command
            .args(&self.args)
            .envs(self.set.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        Failure::environment(format!(
            "failed to start `{}`: {error}; `cargo xtask setup` says what is missing",
            self.program.display()
        ))
    }
}

/// As it would be typed: variables first, quoted for a POSIX shell. cargo's absolute path is shown as `cargo`.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.set {
            write!(f, "{}={} ", name.display(), quoted(&value.to_string_lossy()))?;
        }
        let program = match Path::new(&self.program).file_name() {
            Some(name) if name == "cargo" => "cargo".into(),
            _ => self.program.to_string_lossy(),
        };
        f.write_str(&quoted(&program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(&arg.to_string_lossy()))?;
        }
        Ok(())
    }
}

/// A word as a POSIX shell reads it back unchanged.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The last lines of what a process said, each on a line of its own; empty if it said nothing.
fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..]
        .iter()
        .fold(String::new(), |text, line| text + "\n    " + line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Kind;

    const QUIET: Terminal = Terminal::QUIET;

    #[test]
    fn a_shown_line_survives_a_shell() {
        for word in [
            "plain",
            "",
            "two words",
            "it's",
            "$HOME",
            "a\nb",
            "*",
            "~",
            "a;b",
            "x=y",
        ] {
            let line = Line::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word)));
            assert_eq!(line.text(&QUIET).expect("sh runs"), word, "{word:?}");
        }
    }

    #[test]
    fn a_line_is_shown_with_its_variables() {
        let line = Line::new("git").env("HOME", "/a b").args(["log", "-1"]);
        assert_eq!(line.to_string(), "HOME='/a b' git log -1");
        assert_eq!(Line::new("/opt/rust/bin/cargo").arg("build").to_string(), "cargo build");
    }

    #[test]
    fn a_failed_process_is_explained_in_its_own_words() {
        let error = Line::new("sh")
            .args(["-c", "echo no such thing >&2; exit 7"])
            .text(&QUIET)
            .expect_err("exit 7");
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains("exit status: 7"), "{error}");
        assert!(error.to_string().ends_with("\n    no such thing"), "{error}");
    }

    #[test]
    fn a_missing_program_is_a_matter_of_the_environment() {
        let error = Line::new("no-such-program-at-all").run(&QUIET).expect_err("not there");
        assert_eq!(error.kind(), Kind::Environment);
    }

    #[test]
    fn json_of_another_shape_is_refused() {
        let line = |text: &str| Line::new("echo").arg(text);
        assert_eq!(line("[1, 2]").json::<Vec<u8>>(&QUIET).expect("a list"), [1, 2]);
        assert!(line("{}").json::<Vec<u8>>(&QUIET).is_err());
        assert!(line("[1] trailing").json::<Vec<u8>>(&QUIET).is_err());
    }

    #[test]
    fn a_hermetic_process_inherits_path_only() {
        let text = Line::new("env")
            .hermetic()
            .env("A", "b")
            .text(&QUIET)
            .expect("env runs");
        let names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(names.iter().all(|name| ["PATH", "A"].contains(name)), "{names:?}");
        assert!(names.contains(&"A"));
    }
}
