//! The Nix of this machine, asked.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStringExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use gate::nixconf::{self, Configuration};

use super::environment;
use crate::failure::Failure;

/// Where the daemon listens.
const SOCKET: &str = "/nix/var/nix/daemon-socket/socket";

/// Variables by which a daemon's configuration differs from the one in `nix.conf`.
const CONFIGURING: [&str; 6] = [
    "HOME",
    "NIX_CONFIG",
    "NIX_CONF_DIR",
    "NIX_USER_CONF_FILES",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
];

/// Variables of a process.
pub(super) type Variables = Vec<(OsString, OsString)>;

/// Why Nix was of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum NixError {
    #[error("cannot run {program}")]
    Start { program: &'static str, source: io::Error },
    #[error("{program} failed: {said}")]
    Failed { program: &'static str, said: String },
}

const INSTALL: &str = "put Nix on PATH (as root it is often in /nix/var/nix/profiles/default/bin)";

/// The configuration of the running daemon; of this process where there is none.
pub(super) fn configuration() -> Result<Configuration, Failure> {
    let variables = daemon().unwrap_or_default();
    read(&variables).map_err(|error| environment(error, INSTALL))
}

fn read(daemon: &Variables) -> Result<Configuration, NixError> {
    let program = "nix";
    let mut command = Command::new(program);
    command.args(["--extra-experimental-features", "nix-command", "show-config"]);
    if !daemon.is_empty() {
        for name in CONFIGURING {
            command.env_remove(name);
        }
        command.envs(daemon.iter().map(|(name, value)| (name, value)));
    }
    let output = run(program, &mut command)?;
    let text = succeeded(program, output)?;
    Ok(nixconf::read_configuration(&String::from_utf8_lossy(&text)))
}

/// What configures the daemon that listens where users connect, if one does and may be looked at.
fn daemon() -> Option<Variables> {
    let stream = UnixStream::connect(SOCKET).ok()?;
    let listener = rustix::net::sockopt::socket_peercred(&stream).ok()?.pid;
    let directory = if listener.is_init() {
        // systemd listens for it, and starts it with the first connection.
        any_daemon()?
    } else {
        PathBuf::from(format!("/proc/{}", listener.as_raw_nonzero()))
    };
    let environment = fs::read(directory.join("environ")).ok()?;
    let variables = environment.split(|byte| *byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (entry[..at].to_vec(), entry[at + 1..].to_vec());
        Some((OsString::from_vec(name), OsString::from_vec(value)))
    });
    let configuring = |name: &OsString| CONFIGURING.iter().any(|known| name == known);
    Some(variables.filter(|(name, _)| configuring(name)).collect())
}

fn is_daemon(process: &Path) -> bool {
    fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "nix-daemon")
}

fn any_daemon() -> Option<PathBuf> {
    let mut processes = fs::read_dir("/proc")
        .ok()?
        .filter_map(Result::ok)
        .map(|entry| entry.path());
    processes.find(|process| is_daemon(process))
}

/// Builds something that nobody approved, named `name`, as every user's builds are done. Whether Nix built it, and
/// what it said.
pub(super) fn build_unapproved(name: &str) -> Result<(bool, String), NixError> {
    let expression = format!(
        "derivation {{ name = \"{name}\"; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; }}"
    );
    let program = "nix-build";
    let mut command = Command::new(program);
    command.args(["--no-out-link", "-E", &expression]);
    if Path::new(SOCKET).exists() {
        command.env("NIX_REMOTE", "daemon");
    }
    let output = run(program, &mut command)?;
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

fn run(program: &'static str, command: &mut Command) -> Result<Output, NixError> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| NixError::Start { program, source })
}

fn succeeded(program: &'static str, output: Output) -> Result<Vec<u8>, NixError> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NixError::Failed { program, said })
}
