//! The user's own git as a process: the only thing here that talks to a remote.
//!
//! It runs without a prompt, without hooks and other programs that a repository's configuration names, over transports
//! that are listed, with every refspec spelled out, and in an environment that is handed in. How long it may take is the
//! user's business. What only the user can mean (`core.sshCommand`, credential helpers, `url.….insteadOf`) is theirs.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    path::Path,
    process::{Command, Stdio},
};

/// The variables that point git at another repository, or other objects, than it is given
/// (`git rev-parse --local-env-vars`). They are set where we are called from a hook or an alias.
const UNWANTED: [&str; 17] = [
    "GIT_ALLOW_PROTOCOL",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_EXEC_PATH",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Transports that git may use: those that say who answers, and the local disk. In particular not `ext::`, which runs
/// any command, and no remote helper that happens to be installed.
const TRANSPORTS: &str = "https:ssh:file";

/// What every run has, whatever the repository's or the user's configuration says. A push runs no hook either: the
/// ledger is no branch that a `pre-push` hook was written for.
const HARDENED: [&str; 7] = [
    "protocol.ext.allow=never",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=true",
    "fetch.bundleURI=",
    "fetch.writeCommitGraph=false",
    "submodule.recurse=false",
];

/// The user's git, in a given environment.
#[derive(Debug, Clone)]
pub struct Git {
    environment: BTreeMap<OsString, OsString>,
}

/// Why git did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git, or it cannot be started.
    #[error("git cannot be started: is it installed and on PATH?")]
    Start(#[source] io::Error),
    /// git ran and failed.
    #[error("git {command} failed ({status}): {stderr}")]
    Failed {
        /// The subcommand.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said, without control characters.
        stderr: String,
    },
}

impl Git {
    /// git in this environment, as from `std::env::vars_os()`: it needs `PATH`, and for remotes what the
    /// user's ssh and credential helpers need.
    pub fn new(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment: BTreeMap<_, _> = environment
            .into_iter()
            .filter(|(name, _)| !UNWANTED.iter().any(|unwanted| name == unwanted))
            .collect();
        // A prompt would wait for ever where nobody reads it; messages are for errors, in one language.
        environment.insert("GIT_TERMINAL_PROMPT".into(), "0".into());
        environment.insert("LC_ALL".into(), "C".into());
        environment.insert("GIT_ALLOW_PROTOCOL".into(), TRANSPORTS.into());
        environment.insert("GIT_NO_REPLACE_OBJECTS".into(), "1".into());
        Self { environment }
    }

    /// Runs `git <options> <command> <arguments>` in `repo` and returns what it printed, whatever its exit
    /// status: the caller knows which ones mean something.
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        repo: &Path,
        options: &[&str],
        command: &str,
        arguments: &[A],
    ) -> Result<std::process::Output, GitError> {
        Command::new("git")
            .env_clear()
            .envs(&self.environment)
            .current_dir(repo)
            .args(HARDENED.iter().flat_map(|setting| ["-c", setting]))
            .args(options)
            .arg(command)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(GitError::Start)
    }
}

/// The error that a failed run makes.
pub(crate) fn failed(command: &str, output: &std::process::Output) -> GitError {
    GitError::Failed {
        command: command.to_owned(),
        status: output.status,
        stderr: printable(&output.stderr),
    }
}

/// A server's words reach the terminal through this text: no control character may.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim()
        .chars()
        .map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_message_cannot_move_the_cursor() {
        assert_eq!(printable(b"remote: \x1b[2Jno\nway\n"), "remote: \u{fffd}[2Jno\nway");
    }

    #[test]
    fn a_variable_that_names_another_repository_is_dropped() {
        let git = Git::new([
            ("GIT_DIR".into(), "/elsewhere".into()),
            ("PATH".into(), "/usr/bin".into()),
        ]);
        assert!(!git.environment.contains_key(OsStr::new("GIT_DIR")));
        assert!(git.environment.contains_key(OsStr::new("PATH")));
        assert_eq!(git.environment[OsStr::new("GIT_TERMINAL_PROMPT")], "0");
    }
}
