//! Fetching upstream with the user's own git.

use std::{
    ffi::OsStr,
    fmt, io,
    path::PathBuf,
    process::{Command, Stdio},
    str::FromStr,
};

use gix::{
    ObjectId,
    refs::{
        FullName, Target,
        transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog},
    },
};

use crate::{Repository, repository::ObjectError};

/// Transports that git may use: those that say who answers, and the local disk. In particular not `ext::`, which
/// runs any command.
const TRANSPORTS: &str = "https:ssh:file";

/// Where a fetched tip waits until it is known to continue what was there.
const INCOMING: &str = "refs/touchstone/incoming/";

/// What `git rev-parse --local-env-vars` lists, and what else would make git work on another repository than ours.
pub(crate) const FOREIGN_ENVIRONMENT: [&str; 17] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_EXEC_PATH",
];

/// Where an upstream is fetched from: `https://…`, `ssh://…`, `file://…`, or a local path that begins with `/` or `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl(String);

/// Why a string is not an upstream to fetch from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an upstream https://…, ssh://…, file://…, or a local path that begins with / or ., found {found:?}")]
pub struct UpstreamUrlError {
    /// The string that was read.
    pub found: String,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The tip before; `None` at the first fetch.
    pub old: Option<ObjectId>,
    /// The tip now; it is `old` or descends from it.
    pub new: ObjectId,
}

/// Why nothing was fetched. The ref is as it was.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The name is not one that git gives to branches or refs.
    #[error("expected the name of a {expected}, found {found:?}")]
    Name {
        /// `branch`, or `ref below refs/`.
        expected: &'static str,
        /// The name as given.
        found: String,
    },
    /// Git could not be started.
    #[error("git could not be started; is it installed?")]
    Start(#[source] io::Error),
    /// Git failed.
    #[error("git could not fetch {branch} from {upstream} ({status}): {message}")]
    Git {
        /// The upstream.
        upstream: UpstreamUrl,
        /// The branch.
        branch: String,
        /// How git ended.
        status: String,
        /// What git said.
        message: String,
    },
    /// Upstream's branch no longer descends from what was fetched before.
    #[error(
        "{branch} of {upstream} was rewritten: expected a descendant of {old}, found {new}, which is none; nothing was \
         taken over. Find out why; to follow the new history, delete {into} and import anew"
    )]
    Rewritten {
        /// The upstream.
        upstream: UpstreamUrl,
        /// The branch.
        branch: String,
        /// The ref that keeps its old value.
        into: String,
        /// The tip fetched before.
        old: ObjectId,
        /// The tip that upstream has now.
        new: ObjectId,
    },
    /// The fetched history cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A ref of the local repository could not be read or written; another run may hold it.
    #[error("{name} of {repository} could not be read or written")]
    Ref {
        /// The ref.
        name: String,
        /// The repository.
        repository: PathBuf,
        /// What gix said.
        source: Box<gix::Error>,
    },
}

impl Repository {
    /// Fetches `branch` of `upstream` and moves the ref `into` (a full name below `refs/`) to its tip, which must
    /// descend from where `into` was: a rewritten upstream is refused and leaves `into` as it is.
    ///
    /// Git runs with the user's environment (proxy, ssh agent, credential helper) and never asks for a password. It
    /// takes one branch, no tags, no submodules, runs no hook and no maintenance, and checks every object. Of two
    /// runs at once one fails.
    pub fn fetch_upstream(&self, upstream: &UpstreamUrl, branch: &str, into: &str) -> Result<Fetched, FetchError> {
        let source = full_name(format!("refs/heads/{branch}")).ok_or_else(|| FetchError::Name {
            expected: "branch",
            found: branch.to_owned(),
        })?;
        let bad_ref = || FetchError::Name {
            expected: "ref below refs/",
            found: into.to_owned(),
        };
        let into_name = full_name(into.to_owned()).ok_or_else(bad_ref)?;
        let below = into.strip_prefix("refs/").ok_or_else(bad_ref)?;
        let incoming = full_name(format!("{INCOMING}{below}")).ok_or_else(bad_ref)?;

        let old = self.ref_target(&into_name)?;
        self.run_git_fetch(
            upstream,
            branch,
            &format!(
                "+{source}:{incoming}",
                source = source.as_bstr(),
                incoming = incoming.as_bstr()
            ),
        )?;
        let missing = || FetchError::Git {
            upstream: upstream.clone(),
            branch: branch.to_owned(),
            status: "success".to_owned(),
            message: "it fetched nothing".to_owned(),
        };
        let new = self.ref_target(&incoming)?.ok_or_else(missing)?;
        if let Some(old) = old
            && !self.is_ancestor(old, new)?
        {
            self.delete_ref(&incoming, new)?;
            return Err(FetchError::Rewritten {
                upstream: upstream.clone(),
                branch: branch.to_owned(),
                into: into.to_owned(),
                old,
                new,
            });
        }
        self.move_ref(&into_name, old, new)?;
        self.delete_ref(&incoming, new)?;
        Ok(Fetched { old, new })
    }

    /// Where the ref that [`Self::fetch_upstream`] moves is; `None` before the first fetch.
    ///
    /// It is that ref and no other: where it is missing, `git rev-parse refs/x` takes a tag of the name `refs/x`, which
    /// whoever may push tags can make.
    pub fn fetched_tip(&self, reference: &str) -> Result<Option<ObjectId>, FetchError> {
        let name = full_name(reference.to_owned()).ok_or_else(|| FetchError::Name {
            expected: "ref below refs/",
            found: reference.to_owned(),
        })?;
        self.ref_target(&name)
    }

    fn run_git_fetch(&self, upstream: &UpstreamUrl, branch: &str, refspec: &str) -> Result<(), FetchError> {
        let mut git = Command::new("git");
        for name in FOREIGN_ENVIRONMENT {
            git.env_remove(name);
        }
        let output = git
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", TRANSPORTS)
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("LC_ALL", "C")
            .arg("--git-dir")
            .arg(self.git_dir())
            .args(["-c", "protocol.ext.allow=never"])
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(["-c", "core.fsmonitor=false"])
            .args(["-c", "fetch.fsckObjects=true"])
            // Blemishes of old objects, which nobody can unmake; a tree that is imported is read strictly
            // whatever git let through.
            .args(["-c", "fetch.fsck.badTimezone=ignore"])
            .args(["-c", "fetch.fsck.missingSpaceBeforeDate=ignore"])
            .args(["-c", "fetch.fsck.zeroPaddedFilemode=ignore"])
            .args(["-c", "fetch.writeCommitGraph=false"])
            .args(["-c", "fetch.bundleURI="])
            .args(["-c", "submodule.recurse=false"])
            .args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-recurse-submodules",
                "--no-auto-maintenance",
            ])
            .args(["--no-write-fetch-head", "--no-prune", "--end-of-options"])
            .args([upstream.as_str(), refspec])
            .stdin(Stdio::null())
            .output()
            .map_err(FetchError::Start)?;
        if output.status.success() {
            return Ok(());
        }
        Err(FetchError::Git {
            upstream: upstream.clone(),
            branch: branch.to_owned(),
            status: output.status.to_string(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    fn ref_target(&self, name: &FullName) -> Result<Option<ObjectId>, FetchError> {
        let found = self
            .git
            .try_find_reference(name.as_ref())
            .map_err(|source| self.ref_error(name, source))?;
        Ok(found.and_then(|reference| reference.try_id().map(gix::Id::detach)))
    }

    /// Moves a ref if it still is where it was seen.
    fn move_ref(&self, name: &FullName, old: Option<ObjectId>, new: ObjectId) -> Result<(), FetchError> {
        let expected = old.map_or(PreviousValue::MustNotExist, |old| {
            PreviousValue::MustExistAndMatch(old.into())
        });
        let log = LogChange {
            mode: RefLog::AndReference,
            force_create_reflog: false,
            message: "fetch upstream".into(),
        };
        self.edit_ref(
            name,
            Change::Update {
                log,
                expected,
                new: Target::Object(new),
            },
        )
    }

    /// Lets a ref of ours name an object, so that git keeps it.
    pub(crate) fn keep(&self, name: &str, id: ObjectId) -> Result<(), FetchError> {
        let name = full_name(name.to_owned()).expect("a literal and a hexadecimal id are a ref's name");
        match self.ref_target(&name)? {
            Some(kept) if kept == id => Ok(()),
            old => self.move_ref(&name, old, id),
        }
    }

    fn delete_ref(&self, name: &FullName, old: ObjectId) -> Result<(), FetchError> {
        let expected = PreviousValue::MustExistAndMatch(old.into());
        self.edit_ref(
            name,
            Change::Delete {
                expected,
                log: RefLog::AndReference,
            },
        )
    }

    fn edit_ref(&self, name: &FullName, change: Change) -> Result<(), FetchError> {
        let edit = RefEdit {
            change,
            name: name.clone(),
            deref: false,
        };
        match self.git.edit_reference(edit) {
            Ok(_) => Ok(()),
            Err(source) => Err(self.ref_error(name, source)),
        }
    }

    fn ref_error(&self, name: &FullName, source: gix::Error) -> FetchError {
        FetchError::Ref {
            name: name.as_bstr().to_string(),
            repository: self.git_dir().to_owned(),
            source: Box::new(source),
        }
    }
}

/// A ref's full name, if git accepts it.
fn full_name(name: String) -> Option<FullName> {
    FullName::try_from(name).ok()
}

impl UpstreamUrl {
    /// The URL or path, as git takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UpstreamUrl {
    type Err = UpstreamUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let remote = ["https://", "ssh://", "file://"].iter().any(|scheme| {
            text.strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('-'))
        });
        let local = text.starts_with(['/', '.']);
        if (remote || local) && !text.chars().any(char::is_control) && !text.contains("::") {
            Ok(Self(text.to_owned()))
        } else {
            Err(UpstreamUrlError { found: text.to_owned() })
        }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<OsStr> for UpstreamUrl {
    fn as_ref(&self) -> &OsStr {
        self.0.as_ref()
    }
}
