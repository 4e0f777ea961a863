//! Exchanging the ledger with a remote: fetch, merge, push.
//!
//! The remote is any git repository that people can reach. What it says is merged, never obeyed: a branch
//! that was cut short, emptied or replaced there takes nothing away here.

use std::path::Path;

use gix::ObjectId;

use crate::{
    author::Author,
    branch::Moved,
    git::{Git, GitError},
    merge::{MergeError, Merged},
    path::LedgerPath,
    remote::{Fetched, Remote, RemoteRef},
    store::{BRANCH, Ledger, OpenError, ReadError, WriteError, open_repository},
    union::Resolutions,
};

/// How often fetch, merge and push are tried when others push at the same time. With three who never pause,
/// one loses that often once in ten thousand exchanges.
const ROUNDS: u32 = 24;

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
        let fetched = ledger.remote_branch(git, remote).fetch()?;
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
        if let Some(fetched) = self.remote_branch(git, remote).fetch()? {
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
        let branch = self.remote_branch(git, remote);
        let mut round = 1;
        loop {
            let fetched = branch.fetch()?;
            let theirs = fetched.as_ref().map(|fetched| fetched.theirs);
            match &fetched {
                Some(fetched) => self.take_in(&mut synced, fetched, remote, author, resolutions)?,
                None => synced.head = self.head()?,
            }
            if theirs == Some(synced.head) {
                return Ok(synced);
            }
            let Err(refusal) = branch.push(synced.head, author)? else {
                synced.pushed = true;
                return Ok(synced);
            };
            // A refusal is somebody else's push only if there is something new.
            if branch.tip()? == theirs {
                return Err(branch.refused(refusal));
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

    fn remote_branch<'a>(&'a self, git: &'a Git, remote: &'a Remote) -> RemoteRef<'a> {
        RemoteRef::new(&self.repo, git, remote, BRANCH, "ledger")
    }
}
