//! The two commands as processes, and what they printed.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// How to build what these tests run.
const BUILD: &str = "cargo build -p assay -p touchstone -p xtask --features assay/software-keys";

/// Where a command of this workspace was built: beside the test that runs.
///
/// # Panics
/// If it was not; it says how to.
pub fn binary(name: &str) -> PathBuf {
    let path = build_directory().join(name);
    assert!(path.is_file(), "{} is missing; type: {BUILD}", path.display());
    path
}

/// `target/debug`, or whichever directory this test was built in.
pub(super) fn build_directory() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let directory = test.parent().and_then(Path::parent).expect("a test is in <build>/deps");
    directory.to_owned()
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output, read as JSON; null if it is none.
    pub json: Value,
    /// Standard error.
    pub stderr: String,
    command: String,
}

impl Output {
    /// Runs a command of ours to its end.
    ///
    /// # Panics
    /// If it does not start.
    pub fn run(command: &mut Command) -> Self {
        Self::of(command)
    }

    pub(super) fn of(command: &mut Command) -> Self {
        Self::with_input(command, Stdio::null())
    }

    /// Runs a command with this as its standard input.
    ///
    /// # Panics
    /// If it does not start.
    pub fn with_input(command: &mut Command, input: Stdio) -> Self {
        let child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self::of_child(child, format!("{command:?}"))
    }

    /// Waits for a command that was started with both outputs piped.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn of_child(child: Child, command: String) -> Self {
        let output = child.wait_with_output().expect("a child that can be waited for");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !stderr.contains("names no key") && !stderr.contains("this build takes no keys from files"),
            "assay was built without software keys; type: {BUILD}"
        );
        Self {
            code: output.status.code(),
            json: serde_json::from_slice(&output.stdout).unwrap_or(Value::Null),
            stderr,
            command,
        }
    }

    /// The result of a command that must succeed.
    ///
    /// # Panics
    /// If it failed.
    pub fn ok(self) -> Value {
        assert_eq!(self.code, Some(0), "{}\n{}", self.command, self.stderr);
        self.json
    }

    /// Expects exit code 1, refused by verification, for a reason that contains `words`.
    ///
    /// # Panics
    /// If it ended otherwise.
    pub fn refused(self, words: &str) -> Self {
        self.failed(1, words)
    }

    /// Expects this exit code, for a reason that contains `words`; and advice on what to do next, whenever something was refused.
    ///
    /// # Panics
    /// If it ended otherwise.
    pub fn failed(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.command, self.stderr);
        assert!(
            self.stderr.contains(words),
            "{}\nexpected words: {words}\nfound: {}",
            self.command,
            self.stderr
        );
        assert!(
            code != 1 || self.stderr.contains("  next: "),
            "{}\nrefused, and nothing is said of what to do next: {}",
            self.command,
            self.stderr
        );
        self
    }

    /// The stable code of a refusal, as `touchstone` prints it.
    ///
    /// # Panics
    /// If there is none.
    pub fn error_code(&self) -> &str {
        let code = self.json["error"]["code"].as_str();
        code.unwrap_or_else(|| panic!("no error in {}: {}\n{}", self.command, self.json, self.stderr))
    }
}

/// A web server on the loopback interface; it ends when it is dropped.
pub struct Server {
    process: Child,
    url: String,
}

impl Server {
    /// Serves a directory as it is at each request.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(directory: &Path) -> Self {
        let mut command = Command::new(binary("xtask"));
        command.arg("serve").arg(directory).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the server starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut url)
            .expect("the server says where it is");
        Self {
            process,
            url: url.trim().to_owned(),
        }
    }

    /// Its address, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
