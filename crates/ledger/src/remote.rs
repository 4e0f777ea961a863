//! One ref that is exchanged with a remote: asked for, fetched beside ours, pushed. What comes is merged by whoever
//! asked for it, never obeyed.

use std::fmt;

use attestation::Sha256Digest;
use gix::{ObjectId, refs::transaction::PreviousValue};

use crate::{
    ancestry::is_ancestor,
    author::Author,
    branch::set_reference,
    git::{self, Git, GitError},
    store::{ReadError, reading, writing},
    sync::SyncError,
};

/// What every fetch has: no tags, no submodules, nothing pruned, nothing else updated; objects checked.
const FETCH: [&str; 8] = [
    "--quiet",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-prune",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--refmap=",
    "--end-of-options",
];

/// A remote: a name from git's configuration, a URL, or a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote(String);

/// Why a text cannot be a remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a remote's name, URL or path, found {found:?}")]
pub struct RemoteError {
    /// The text that was read.
    pub found: String,
}

impl Remote {
    /// Reads a remote. One that git would take for an option is refused.
    pub fn new(text: &str) -> Result<Self, RemoteError> {
        if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
            Err(RemoteError { found: text.to_owned() })
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Where what it has is remembered. A URL or path has a name made from its digest.
    fn tracking_ref(&self, what: &str) -> String {
        let plain = self
            .0
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let name = if plain {
            self.0.clone()
        } else {
            format!("at-{}", &Sha256Digest::of(&self.0).to_string()[..16])
        };
        format!("refs/touchstone/remotes/{name}/{what}")
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a fetch brought.
pub(crate) struct Fetched {
    pub(crate) theirs: ObjectId,
    /// Where the remote's ref was when it was last seen here, unless what it is now descends from that.
    pub(crate) rewritten_from: Option<ObjectId>,
}

/// One ref of a remote, seen from a repository.
pub(crate) struct RemoteRef<'a> {
    repo: &'a gix::Repository,
    git: &'a Git,
    remote: &'a Remote,
    name: &'static str,
    tracking: String,
}

impl<'a> RemoteRef<'a> {
    /// The ref `name` of `remote`; `what` it is called among what is remembered of the remote.
    pub(crate) fn new(
        repo: &'a gix::Repository,
        git: &'a Git,
        remote: &'a Remote,
        name: &'static str,
        what: &str,
    ) -> Self {
        Self {
            repo,
            git,
            remote,
            name,
            tracking: remote.tracking_ref(what),
        }
    }

    /// Fetches the remote's ref into its tracking ref; `None` if the remote has none.
    pub(crate) fn fetch(&self) -> Result<Option<Fetched>, SyncError> {
        let before = self.tracked()?;
        let Some(tip) = self.tip()? else {
            return Ok(None);
        };
        if before != Some(tip) {
            let refspec = format!("+{}:{}", self.name, self.tracking);
            let mut arguments = FETCH.to_vec();
            arguments.extend([self.remote.0.as_str(), &refspec]);
            self.run(&["-c", "fetch.fsckObjects=true"], "fetch", &arguments)?
                .map_err(|refusal| self.refused(refusal))?;
        }
        let theirs = self.tracked()?.unwrap_or(tip);
        let rewritten_from = match before {
            Some(before) if !is_ancestor(self.repo, before, theirs)? => Some(before),
            _ => None,
        };
        Ok(Some(Fetched { theirs, rewritten_from }))
    }

    /// The commit of the remote's ref.
    pub(crate) fn tip(&self) -> Result<Option<ObjectId>, SyncError> {
        let arguments = ["--quiet", "--refs", "--end-of-options", &self.remote.0, self.name];
        let output = self
            .run(&[], "ls-remote", &arguments)?
            .map_err(|refusal| self.refused(refusal))?;
        // The pattern also matches a tail of a longer name.
        Ok(String::from_utf8_lossy(&output)
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find(|(_, name)| *name == self.name)
            .and_then(|(id, _)| ObjectId::from_hex(id.as_bytes()).ok()))
    }

    /// Pushes `commit`; the inner error is git's refusal.
    pub(crate) fn push(&self, commit: ObjectId, author: &Author) -> Result<Result<(), GitError>, SyncError> {
        let refspec = format!("{commit}:{}", self.name);
        let arguments = [
            "--quiet",
            "--no-follow-tags",
            "--recurse-submodules=no",
            "--end-of-options",
            &self.remote.0,
            &refspec,
        ];
        if let Err(refusal) = self.run(&[], "push", &arguments)? {
            return Ok(Err(refusal));
        }
        set_reference(self.repo, &self.tracking, commit, PreviousValue::Any, author)
            .map_err(|source| writing("the tracking ref")(*source))?;
        Ok(Ok(()))
    }

    /// The failure that git's refusal is.
    pub(crate) fn refused(&self, source: GitError) -> SyncError {
        let remote = self.remote.clone();
        SyncError::Git { remote, source }
    }

    fn tracked(&self) -> Result<Option<ObjectId>, ReadError> {
        let found = self
            .repo
            .try_find_reference(&self.tracking)
            .map_err(reading(&*self.tracking))?;
        Ok(found.and_then(|reference| reference.target().try_id().map(ToOwned::to_owned)))
    }

    /// Runs git in this repository; the inner error is its failure.
    fn run(&self, options: &[&str], command: &str, arguments: &[&str]) -> Result<Result<Vec<u8>, GitError>, SyncError> {
        let directory = self.repo.workdir().unwrap_or_else(|| self.repo.git_dir());
        let output = self
            .git
            .run(directory, options, command, arguments)
            .map_err(|error| self.refused(error))?;
        Ok(if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(git::failed(command, &output))
        })
    }
}
