//! The patches that a channel carries, on top of an upstream commit.
//!
//! Every signer makes the commit again, on a machine of their own, and must get the same id: the author, the dates and
//! the message follow from upstream's commit and the patches alone, and no configuration of the user's has an influence.
//! The repository's own index and work tree are not touched.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use gix::ObjectId;
use nixstore::Sha256Digest;

use crate::{Repository, fetch::FOREIGN_ENVIRONMENT, repository::ObjectError};

/// Who a patched commit names: nobody made it, it follows.
const NOBODY: (&str, &str) = ("Touchstone", "touchstone@localhost");

/// A patch, as `git diff` or `git format-patch` writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Patch {
    /// Its file name. Patches are applied in the order of their names.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why there is no patched commit.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// Two patches have one name, so that their order is not known.
    #[error("two patches are called {name:?}; rename one")]
    Twice {
        /// The name.
        name: String,
    },
    /// A name that would write more than a line of the message.
    #[error("expected a file name of one line as a patch's name, found {name:?}")]
    Name {
        /// The name.
        name: String,
    },
    /// A patch does not fit upstream's tree.
    #[error("patch {name} does not apply to {commit}: {message}; rebase the patch, or drop it if upstream has it now")]
    DoesNotApply {
        /// The patch.
        name: String,
        /// The upstream commit.
        commit: ObjectId,
        /// What git said.
        message: String,
    },
    /// Git could not be started, or its index not be made.
    #[error("git could not be started; is it installed?")]
    Start(#[from] io::Error),
    /// Git failed at something that always works.
    #[error("git {command} failed ({status}): {message}")]
    Git {
        /// What it should do.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// The upstream commit cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl Repository {
    /// The commit that has these patches on top of `upstream`, which is its only parent. Without patches it is
    /// `upstream` itself. The same arguments give the same id everywhere.
    pub fn patched(&self, upstream: ObjectId, patches: &[Patch]) -> Result<ObjectId, PatchError> {
        let mut patches: Vec<_> = patches.iter().collect();
        patches.sort();
        if let Some(twice) = patches.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let name = twice[0].name.clone();
            return Err(PatchError::Twice { name });
        }
        let bad = |patch: &&&Patch| patch.name.is_empty() || patch.name.chars().any(char::is_control);
        if let Some(patch) = patches.iter().find(bad) {
            let name = patch.name.clone();
            return Err(PatchError::Name { name });
        }
        if patches.is_empty() {
            return Ok(upstream);
        }
        let commit = self.commit(upstream)?;
        let directory = tempfile::tempdir()?;
        let index = directory.path().join("index");
        let date = format!("{} +0000", commit.committed.max(0));
        let git = |arguments: &[&OsStr], input: &[u8]| self.git_with(&index, &date, arguments, input);
        git(&["read-tree".as_ref(), commit.tree.to_string().as_ref()], b"")?;
        for patch in &patches {
            let apply = ["apply", "--cached", "--whitespace=nowarn", "-"].map(OsStr::new);
            git(&apply, &patch.bytes).map_err(|error| match error {
                PatchError::Git { message, .. } => PatchError::DoesNotApply {
                    name: patch.name.clone(),
                    commit: upstream,
                    message,
                },
                other => other,
            })?;
        }
        let tree = git(&["write-tree".as_ref()], b"")?;
        let list: String = patches
            .iter()
            .map(|patch| format!("{} {}\n", Sha256Digest::of(&patch.bytes), patch.name))
            .collect();
        let message = format!("Apply the channel's patches\n\n{list}");
        let parent = upstream.to_string();
        let arguments = ["commit-tree", tree.as_str(), "-p", parent.as_str(), "-F", "-"].map(OsStr::new);
        let made = git(&arguments, message.as_bytes())?;
        ObjectId::from_hex(made.as_bytes()).map_err(|_| PatchError::Git {
            command: "commit-tree".to_owned(),
            status: "success".to_owned(),
            message: format!("it printed {made:?}"),
        })
    }

    fn git_with(&self, index: &Path, date: &str, arguments: &[&OsStr], input: &[u8]) -> Result<String, PatchError> {
        let mut git = Command::new("git");
        for name in FOREIGN_ENVIRONMENT {
            git.env_remove(name);
        }
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), NOBODY.0)
                .env(format!("GIT_{who}_EMAIL"), NOBODY.1)
                .env(format!("GIT_{who}_DATE"), date);
        }
        let mut child = git
            .env("GIT_INDEX_FILE", index)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("LC_ALL", "C")
            .arg("--git-dir")
            .arg(self.git_dir())
            .args(["-c", "core.bare=true", "-c", "core.hooksPath=/dev/null"])
            .args(["-c", "core.attributesFile=/dev/null", "-c", "core.autocrlf=false"])
            .args(["-c", "core.whitespace=", "-c", "apply.ignoreWhitespace=no"])
            .args(["-c", "i18n.commitEncoding=UTF-8", "-c", "commit.gpgSign=false"])
            .args(arguments)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Git may end without reading all of it; how it ended says more.
            drop(stdin.write_all(input));
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(PatchError::Git {
            command: arguments
                .iter()
                .map(|word| word.to_string_lossy())
                .collect::<Vec<_>>()
                .join(" "),
            status: output.status.to_string(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}
