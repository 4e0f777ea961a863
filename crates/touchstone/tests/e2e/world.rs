//! A channel in one directory, a subscriber's state in another, and the real command between them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use attestation::{Sha256Digest, Time};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{ChannelTarball, TestChain};

pub(crate) const TOUCHSTONE: &str = env!("CARGO_BIN_EXE_touchstone");

/// A world of its own.
pub(crate) struct World {
    pub(crate) chain: TestChain,
    newest: Option<ChannelTarball>,
    directory: TempDir,
}

/// A copy of the site at a place of its own.
pub(crate) struct Site {
    pub(crate) path: PathBuf,
    pub(crate) url: String,
}

/// A finished command.
pub(crate) struct Ran {
    pub(crate) exit: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Fails the test unless it was refused with this exit code and stable code, with a word on what to do next.
    pub(crate) fn assert_failed(&self, exit: i32, code: &str) {
        assert_eq!(self.exit, Some(exit), "{self:?}");
        assert_eq!(self.json()["error"]["code"], code, "{self:?}");
        assert!(!self.json()["error"]["next"].as_str().unwrap().is_empty());
        assert!(self.stderr.contains("next: "), "{self:?}");
    }

    pub(crate) fn assert_ok(self) -> Self {
        assert_eq!(self.exit, Some(0), "{self:?}");
        self
    }
}

impl std::fmt::Debug for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit {:?}\nstdout: {}\nstderr: {}",
            self.exit, self.stdout, self.stderr
        )
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl World {
    /// A chain with release 1 of `unstable`, served from a directory.
    pub(crate) fn new() -> Self {
        Self::at(system_time())
    }

    /// As [`Self::new`], in a world whose time is `now`.
    pub(crate) fn at(now: Time) -> Self {
        let mut world = Self {
            chain: TestChain::new(now),
            newest: None,
            directory: tempfile::tempdir().unwrap(),
        };
        world.release("1");
        world
    }

    /// As [`Self::new`], subscribed and updated.
    pub(crate) fn installed() -> Self {
        let world = Self::new();
        world.subscribe().assert_ok();
        world.run(&["update"]).assert_ok();
        world
    }

    /// Releases a channel whose `default.nix` is `text`.
    pub(crate) fn release(&mut self, text: &str) {
        self.release_files(&[("default.nix", text), ("pkgs/hello/default.nix", "{ }: null")], false);
    }

    /// As [`Self::release`], with a patch from the release before; big enough that it is worth one.
    pub(crate) fn release_patched(&mut self, text: &str) {
        let noise: String = (0..200_u32)
            .map(|at| Sha256Digest::of(at.to_le_bytes()).to_string())
            .collect();
        let files = [
            ("default.nix", text),
            ("pkgs/noise.nix", &noise),
            ("pkgs/hello/default.nix", "{ }: null"),
        ];
        self.release_files(&files, true);
    }

    /// Releases these files again, with another target beside them.
    pub(crate) fn release_with_target(&mut self, name: &str, bytes: &[u8]) {
        let tarball = self.newest().clone();
        let releases = self.chain.releases_file("unstable", &tarball);
        let more = [(name.to_owned(), bytes.to_vec()), releases];
        self.chain.release_with_files("unstable", &tarball, &more);
        self.serve();
    }

    /// Another machine's state directory, subscribed.
    pub(crate) fn newcomer(&self, url: &str) -> PathBuf {
        let state = self.directory.path().join(format!("newcomer-{}", url.len()));
        let _ = fs::remove_dir_all(&state);
        let mut arguments = vec!["subscribe".to_owned()];
        arguments.extend(self.subscription());
        url.clone_into(&mut arguments[2]);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        self.run_at(&state, &arguments).assert_ok();
        state
    }

    /// Runs a command on another machine's state.
    pub(crate) fn run_at(&self, state: &Path, arguments: &[&str]) -> Ran {
        let mut command = Command::new(TOUCHSTONE);
        command
            .args(["--format", "json", "--state"])
            .arg(state)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.directory.path());
        command.output().unwrap().into()
    }

    /// A place of its own for a test's files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Releases these files.
    pub(crate) fn release_files(&mut self, files: &[(&str, &str)], patched: bool) {
        let tarball = ChannelTarball::new(files);
        let old = self.newest.as_ref().filter(|_| patched);
        let mut more: Vec<_> = old.map(|old| tarball.patch_from(old)).into_iter().collect();
        more.push(self.chain.releases_file("unstable", &tarball));
        self.chain.release_with_files("unstable", &tarball, &more);
        self.newest = Some(tarball);
        self.serve();
    }

    /// What was released last.
    pub(crate) fn newest(&self) -> &ChannelTarball {
        self.newest.as_ref().unwrap()
    }

    /// Another mirror, with what the site has now.
    pub(crate) fn second_site(&self, name: &str) -> Site {
        let path = self.directory.path().join(name);
        self.chain.write_to(&path).unwrap();
        let url = format!("file://{}", path.display());
        Site { path, url }
    }

    /// Serves the chain as it is.
    pub(crate) fn serve(&self) {
        let _ = fs::remove_dir_all(self.site());
        self.chain.write_to(&self.site()).unwrap();
    }

    pub(crate) fn site(&self) -> PathBuf {
        self.directory.path().join("site")
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.site().display())
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// What `subscribe` needs.
    pub(crate) fn subscription(&self) -> Vec<String> {
        let (url, chain) = (self.url(), self.chain.id().to_string());
        let line = [
            "--url",
            &url,
            "--chain",
            &chain,
            "--channel",
            "unstable",
            "--floor-root",
            "1",
            "--floor-release",
            "1",
        ];
        line.into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn subscribe(&self) -> Ran {
        self.subscribe_at(&self.url())
    }

    /// As [`Self::subscribe`], to another mirror of the site.
    pub(crate) fn subscribe_at(&self, url: &str) -> Ran {
        let mut arguments = self.subscription();
        url.clone_into(&mut arguments[1]);
        let arguments: Vec<_> = ["subscribe"]
            .into_iter()
            .chain(arguments.iter().map(String::as_str))
            .collect();
        self.run(&arguments)
    }

    /// Runs a command with `--format json`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(&[TOUCHSTONE, "--format", "json"], arguments)
            .output()
            .unwrap()
            .into()
    }

    /// Runs a command as a person would, into a pipe.
    pub(crate) fn run_text(&self, arguments: &[&str]) -> Ran {
        self.command(&[TOUCHSTONE], arguments).output().unwrap().into()
    }

    /// Runs a command by way of another program, as `faketime`.
    pub(crate) fn run_under(&self, program: &[&str], arguments: &[&str]) -> Ran {
        let line: Vec<_> = program
            .iter()
            .copied()
            .chain([TOUCHSTONE, "--format", "json"])
            .collect();
        self.command(&line, arguments).output().unwrap().into()
    }

    fn command(&self, line: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(line[0]);
        command
            .args(&line[1..])
            .arg("--state")
            .arg(self.state())
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.directory.path());
        command
    }

    /// The text of the installed `default.nix`.
    pub(crate) fn installed_text(&self) -> String {
        fs::read_to_string(self.state().join("current/nixexprs/default.nix")).unwrap()
    }
}

pub(crate) fn system_time() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap())
}

/// Whether a program is there; says so when it is not, since the test is then not run.
pub(crate) fn has(program: &str) -> bool {
    let there = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        .iter()
        .any(|place| Path::new(place).join(program).exists());
    if !there {
        eprintln!("SKIPPED: {program} is not installed");
    }
    there
}
