//! Exchanging the ledger with a remote: fetch, merge, push.
//!
//! The remote is any git repository that people can reach. What it says is merged, never obeyed: a branch
//! that was cut short, emptied or replaced there takes nothing away here.

use std::{fmt, path::Path};

use attestation::Sha256Digest;
use gix::{ObjectId, refs::transaction::PreviousValue};

use crate::{
    author::Author,
    branch::{Moved, set_reference},
    git::{self, Git, GitError},
    merge::{MergeError, Merged},
    path::LedgerPath,
    store::{BRANCH, Ledger, OpenError, ReadError, WriteError, open_repository, reading, writing},
    union::Resolutions,
};

/// How often fetch, merge and push are tried when others push at the same time. With three who never pause,
/// one loses that often once in ten thousand exchanges.
const ROUNDS: u32 = 24;

/// What every fetch has: no tags, no submodules, nothing pruned, nothing else updated; objects checked.
const FETCH: [&str; 7] = [
    "--quiet",
    "--no-tags",
    "--no-recurse-submodules",
    "--no-prune",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--refmap=",
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

    /// Where its ledger is remembered. A URL or path has a name made from its digest.
    fn tracking_ref(&self) -> String {
        let plain = self
            .0
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let name = if plain {
            self.0.clone()
        } else {
            format!("at-{}", &Sha256Digest::of(&self.0).to_string()[..16])
        };
        format!("refs/touchstone/remotes/{name}/ledger")
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an exchange did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The ledger's newest commit.
    pub head: ObjectId,
    /// The files that came, sorted.
    pub gained: Vec<LedgerPath>,
    /// Files that were removed there. They are kept here, and pushed back.
    pub removed_there: Vec<LedgerPath>,
    /// Where the remote's ledger was when it was last seen here, if what it is now does not descend from that:
    /// somebody rewrote it.
    pub rewritten_from: Option<ObjectId>,
    /// Whether something was pushed.
    pub pushed: bool,
}

/// Why an exchange failed. What was merged before is kept.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// git failed.
    #[error("cannot exchange the ledger with {remote}")]
    Git {
        /// With whom.
        remote: Remote,
        /// What git said.
        #[source]
        source: GitError,
    },
    /// What came cannot be merged.
    #[error("the ledger of {remote} cannot be merged")]
    Merge {
        /// Whose.
        remote: Remote,
        /// Why.
        #[source]
        source: MergeError,
    },
    /// Others were faster, every time.
    #[error("others kept pushing to {remote}: {rounds} attempts")]
    Busy {
        /// Where.
        remote: Remote,
        /// How often it was tried.
        rounds: u32,
        /// The last refusal.
        #[source]
        source: GitError,
    },
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Why a remote's ledger could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No git repository here.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The remote has none.
    #[error("{remote} has no ledger (no branch touchstone)")]
    NoLedgerThere {
        /// The remote.
        remote: Remote,
    },
    /// It could not be fetched.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// What a fetch brought.
struct Fetched {
    theirs: ObjectId,
    rewritten_from: Option<ObjectId>,
}

impl Ledger {
    /// Takes over the ledger of `remote` in the repository at `path`. If there is one already, both are merged
    /// when next they are synced.
    pub fn join(path: &Path, git: &Git, remote: &Remote, author: &Author) -> Result<Self, JoinError> {
        let repo = open_repository(path).map_err(|source| OpenError::NoRepository {
            path: path.to_owned(),
            source,
        })?;
        let ledger = Self { repo };
        if ledger.try_head().map_err(OpenError::from)?.is_some() {
            return Ok(ledger);
        }
        let fetched = ledger.fetch(git, remote)?;
        let Fetched { theirs, .. } = fetched.ok_or_else(|| JoinError::NoLedgerThere { remote: remote.clone() })?;
        match ledger.move_branch(None, theirs, author).map_err(SyncError::from)? {
            Moved::Yes | Moved::No { found: Some(_), .. } => Ok(ledger),
            Moved::No { found: None, source } => Err(SyncError::from(WriteError::Busy { attempts: 1, source }).into()),
        }
    }

    /// Fetches the ledger of `remote` and merges it, without pushing.
    pub fn pull(
        &self,
        git: &Git,
        remote: &Remote,
        author: &Author,
        resolutions: &Resolutions,
    ) -> Result<Synced, SyncError> {
        let head = self.head()?;
        let mut synced = Synced {
            head,
            gained: Vec::new(),
            removed_there: Vec::new(),
            rewritten_from: None,
            pushed: false,
        };
        if let Some(fetched) = self.fetch(git, remote)? {
            self.take_in(&mut synced, &fetched, remote, author, resolutions)?;
        }
        Ok(synced)
    }

    /// Fetches the ledger of `remote`, merges it and pushes the result; begins anew a few times when others
    /// push in between.
    pub fn sync(
        &self,
        git: &Git,
        remote: &Remote,
        author: &Author,
        resolutions: &Resolutions,
    ) -> Result<Synced, SyncError> {
        let mut synced = Synced {
            head: self.head()?,
            gained: Vec::new(),
            removed_there: Vec::new(),
            rewritten_from: None,
            pushed: false,
        };
        let mut round = 1;
        loop {
            let fetched = self.fetch(git, remote)?;
            let theirs = fetched.as_ref().map(|fetched| fetched.theirs);
            match &fetched {
                Some(fetched) => self.take_in(&mut synced, fetched, remote, author, resolutions)?,
                None => synced.head = self.head()?,
            }
            if theirs == Some(synced.head) {
                return Ok(synced);
            }
            let Err(refusal) = self.push(git, remote, synced.head, author)? else {
                synced.pushed = true;
                return Ok(synced);
            };
            // A refusal is somebody else's push only if there is something new.
            if self.tip(git, remote)? == theirs {
                return Err(at(remote)(refusal));
            }
            if round == ROUNDS {
                return Err(SyncError::Busy {
                    remote: remote.clone(),
                    rounds: round,
                    source: refusal,
                });
            }
            round += 1;
        }
    }

    fn take_in(
        &self,
        synced: &mut Synced,
        fetched: &Fetched,
        remote: &Remote,
        author: &Author,
        resolutions: &Resolutions,
    ) -> Result<(), SyncError> {
        let message = format!("Merge the ledger of {remote}");
        let Merged {
            head,
            gained,
            removed_there,
            ..
        } = self
            .merge(fetched.theirs, &message, author, resolutions)
            .map_err(|source| SyncError::Merge {
                remote: remote.clone(),
                source,
            })?;
        synced.head = head;
        synced.gained.extend(gained);
        synced.gained.sort();
        synced.gained.dedup();
        synced.removed_there.extend(removed_there);
        synced.removed_there.sort();
        synced.removed_there.dedup();
        synced.rewritten_from = synced.rewritten_from.or(fetched.rewritten_from);
        Ok(())
    }

    /// Fetches the remote's branch into its tracking ref; `None` if the remote has no such branch.
    fn fetch(&self, git: &Git, remote: &Remote) -> Result<Option<Fetched>, SyncError> {
        let tracking = remote.tracking_ref();
        let before = self.tracked(&tracking)?;
        let Some(tip) = self.tip(git, remote)? else {
            return Ok(None);
        };
        if before != Some(tip) {
            let refspec = format!("+{BRANCH}:{tracking}");
            let mut arguments = FETCH.to_vec();
            arguments.extend(["--", &remote.0, &refspec]);
            let options = ["-c", "core.hooksPath=/dev/null", "-c", "fetch.fsckObjects=true"];
            self.git(git, remote, &options, "fetch", &arguments)?
                .map_err(at(remote))?;
        }
        let theirs = self.tracked(&tracking)?.unwrap_or(tip);
        let rewritten_from = match before {
            Some(before) if self.merge_base(before, theirs)? != Some(before) => Some(before),
            _ => None,
        };
        Ok(Some(Fetched { theirs, rewritten_from }))
    }

    /// The commit of the remote's branch.
    fn tip(&self, git: &Git, remote: &Remote) -> Result<Option<ObjectId>, SyncError> {
        let output = self
            .git(
                git,
                remote,
                &[],
                "ls-remote",
                &["--quiet", "--refs", "--", &remote.0, BRANCH],
            )?
            .map_err(at(remote))?;
        // The pattern also matches a tail of a longer name.
        Ok(String::from_utf8_lossy(&output)
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .find(|(_, name)| *name == BRANCH)
            .and_then(|(id, _)| ObjectId::from_hex(id.as_bytes()).ok()))
    }

    /// Pushes `commit`; the inner error is git's refusal.
    fn push(
        &self,
        git: &Git,
        remote: &Remote,
        commit: ObjectId,
        author: &Author,
    ) -> Result<Result<(), GitError>, SyncError> {
        let refspec = format!("{commit}:{BRANCH}");
        let arguments = [
            "--quiet",
            "--no-follow-tags",
            "--recurse-submodules=no",
            "--",
            &remote.0,
            &refspec,
        ];
        if let Err(refusal) = self.git(git, remote, &[], "push", &arguments)? {
            return Ok(Err(refusal));
        }
        set_reference(&self.repo, &remote.tracking_ref(), commit, PreviousValue::Any, author)
            .map_err(|source| writing("the tracking ref")(*source))?;
        Ok(Ok(()))
    }

    fn tracked(&self, name: &str) -> Result<Option<ObjectId>, ReadError> {
        let found = self.repo.try_find_reference(name).map_err(reading(name.to_owned()))?;
        Ok(found.and_then(|reference| reference.target().try_id().map(ToOwned::to_owned)))
    }

    /// Runs git in this repository; the inner error is its failure.
    fn git(
        &self,
        git: &Git,
        remote: &Remote,
        options: &[&str],
        command: &str,
        arguments: &[&str],
    ) -> Result<Result<Vec<u8>, GitError>, SyncError> {
        let directory = self.repo.workdir().unwrap_or_else(|| self.repo.git_dir());
        let output = git.run(directory, options, command, arguments).map_err(at(remote))?;
        Ok(if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(git::failed(command, &output))
        })
    }
}

fn at(remote: &Remote) -> impl FnOnce(GitError) -> SyncError {
    let remote = remote.clone();
    move |source| SyncError::Git { remote, source }
}
