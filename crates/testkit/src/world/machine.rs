//! A machine that installs: `touchstone` as a process, and what it has installed.

use std::{fs, path::PathBuf, process::Command};

use attestation::Sha256Digest;

use super::{Output, World};

/// What a subscriber has installed: everything that a refused update must leave as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Where `current` points; `None` before the first generation.
    pub current: Option<PathBuf>,
    /// NAR SHA-256 of the current generation, its signed files included.
    pub nar: Option<Sha256Digest>,
    /// The names of all generations, sorted.
    pub generations: Vec<String>,
}

impl World {
    /// Runs `touchstone` on `machine/`.
    pub fn touchstone(&self, arguments: &[&str]) -> Output {
        self.touchstone_on("machine", arguments)
    }

    /// Runs `touchstone` on a state directory of the world.
    pub fn touchstone_on(&self, machine: &str, arguments: &[&str]) -> Output {
        Output::of(&mut self.touchstone_command(machine, arguments))
    }

    /// The command that [`Self::touchstone_on`] runs.
    pub fn touchstone_command(&self, machine: &str, arguments: &[&str]) -> Command {
        let mut command = self.command("touchstone", "nobody");
        command.args(["--format", "json", "--state", machine]).args(arguments);
        command
    }

    /// A command run by `faketime`, at an offset as `+3 days`.
    pub fn later(&self, offset: &str, command: &Command) -> Output {
        let mut faketime = Command::new("faketime");
        self.environment(&mut faketime);
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                faketime.env(name, value);
            }
        }
        faketime
            .args(["-f", offset])
            .arg(command.get_program())
            .args(command.get_args());
        Output::of(&mut faketime)
    }

    /// The address of a directory of the world.
    pub fn file_url(&self, directory: &str) -> String {
        format!("file://{}", self.path(directory).display())
    }

    /// Subscribes `machine/` to `unstable` as the site in `site/` has it.
    pub fn subscribe(&self) {
        self.subscribe_on("machine", &self.file_url("site"), "unstable", &[])
            .ok();
    }

    /// Subscribes a machine to a channel of the world's chain, at a URL.
    pub fn subscribe_on(&self, machine: &str, url: &str, channel: &str, more: &[&str]) -> Output {
        let chain = self.chain();
        let mut arguments = vec!["subscribe", "--url", url, "--chain", &chain, "--channel", channel];
        if !more.contains(&"--floor-release") {
            arguments.extend(["--floor-release", "1"]);
        }
        arguments.extend(["--floor-root", "1"]);
        arguments.extend(more);
        self.touchstone_on(machine, &arguments)
    }

    /// What a machine has installed.
    pub fn installed(&self, machine: &str) -> Installed {
        let state = self.path(machine);
        let current = fs::read_link(state.join("current")).ok();
        let nar = current.as_ref().map(|current| {
            let hashed = nixstore::nar::hash_directory(&state.join(current)).expect("a generation");
            hashed.sha256
        });
        let mut generations: Vec<String> = fs::read_dir(state.join("generations"))
            .map(|entries| {
                let names = entries.map(|entry| entry.expect("an entry").file_name());
                names.map(|name| name.to_string_lossy().into_owned()).collect()
            })
            .unwrap_or_default();
        generations.sort();
        Installed {
            current,
            nar,
            generations,
        }
    }

    /// Expects that an update of `machine/` is refused with exit code 1 and this stable code, and leaves what is
    /// installed as it is and verifiable.
    ///
    /// # Panics
    /// If it ends otherwise.
    pub fn update_is_refused(&self, code: &str) {
        self.update_is_refused_on("machine", code);
    }

    /// As [`Self::update_is_refused`], on any machine.
    ///
    /// # Panics
    /// If it ends otherwise.
    pub fn update_is_refused_on(&self, machine: &str, code: &str) {
        let before = self.installed(machine);
        let output = self.touchstone_on(machine, &["update"]);
        assert_eq!(output.code, Some(1), "{} {}", output.json, output.stderr);
        assert_eq!(output.error_code(), code, "{}", output.stderr);
        assert_eq!(
            self.installed(machine),
            before,
            "a refused update changed what is installed"
        );
        if before.current.is_some() {
            self.touchstone_on(machine, &["verify"]).ok();
        }
    }

    /// Updates `machine/`, which must install or have release `sequence`, and verifies it.
    ///
    /// # Panics
    /// If it does not.
    pub fn update_installs(&self, sequence: u64) {
        self.update_installs_on("machine", sequence);
    }

    /// As [`Self::update_installs`], on any machine.
    ///
    /// # Panics
    /// If it does not.
    pub fn update_installs_on(&self, machine: &str, sequence: u64) {
        let json = self.touchstone_on(machine, &["update"]).ok();
        assert_eq!(json["release"]["sequence"], sequence, "{json}");
        self.touchstone_on(machine, &["verify"]).ok();
    }
}
