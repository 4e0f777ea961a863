//! The ledger itself: opening, making, and adding to it.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use gix::{ObjectId, objs::tree::EntryKind};

use crate::{
    author::Author,
    branch::{Change, Moved},
    durable,
    file::NewFile,
    path::LedgerPath,
    snapshot::Snapshot,
};

/// The branch that is the ledger.
pub const BRANCH: &str = "refs/heads/touchstone";

/// The ledger of a repository.
pub struct Ledger {
    pub(crate) repo: gix::Repository,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("repository", &self.repo.git_dir())
            .finish()
    }
}

/// Why the ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No git repository, or none that can be read.
    #[error("{} is not a git repository that can be read", .path.display())]
    NoRepository {
        /// Where one was expected.
        path: PathBuf,
        /// What git's files said.
        #[source]
        source: Box<gix::Error>,
    },
    /// A repository without a ledger.
    #[error("{} has no ledger (no branch touchstone): start a chain in it, or join the remote that has one", .path.display())]
    NoLedger {
        /// The repository.
        path: PathBuf,
    },
    /// The branch is there and cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why the ledger could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// No git repository, or none that can be read.
    #[error("{} is not a git repository that can be read", .path.display())]
    NoRepository {
        /// Where one was expected.
        path: PathBuf,
        /// What git's files said.
        #[source]
        source: Box<gix::Error>,
    },
    /// There is one already.
    #[error("{} has a ledger already (branch touchstone at {head})", .path.display())]
    AlreadyThere {
        /// The repository.
        path: PathBuf,
        /// Its commit.
        head: ObjectId,
    },
    /// The branch cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The repository could not be read: damaged, or something in it is of another kind than it must be.
#[derive(Debug, thiserror::Error)]
#[error("the ledger cannot be read: {what}")]
pub struct ReadError {
    /// What was being read.
    pub what: String,
    /// What git's files said.
    #[source]
    pub source: Box<gix::Error>,
}

/// The repository could not be written. Unless said otherwise, the branch is where it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// An object or the branch could not be written.
    #[error("the ledger cannot be written: {what}")]
    Git {
        /// What was being written.
        what: &'static str,
        /// Why not.
        #[source]
        source: Box<gix::Error>,
    },
    /// What was written could not be flushed to the disk: a power cut may undo it.
    #[error("the ledger cannot be flushed to the disk")]
    Flush(#[source] std::io::Error),
    /// Others were faster, every time; or the lock of somebody who crashed is in the way.
    #[error("the branch touchstone stayed locked or kept moving for {attempts} attempts")]
    Busy {
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        #[source]
        source: Box<gix::Error>,
    },
}

/// Why files were not added. Then none of them was.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The ledger has other bytes under that name, and what is there is never changed.
    #[error("{path} is there already, with other content{}", if .path.is_written_once() { ": two files claim one version, look at both" } else { "" })]
    AlreadyThere {
        /// The file.
        path: LedgerPath,
        /// The blob that is there.
        found: ObjectId,
    },
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

pub(crate) fn reading(what: impl Into<String>) -> impl FnOnce(gix::Error) -> ReadError {
    move |source| ReadError {
        what: what.into(),
        source: Box::new(source),
    }
}

pub(crate) fn writing(what: &'static str) -> impl FnOnce(gix::Error) -> WriteError {
    move |source| WriteError::Git {
        what,
        source: Box::new(source),
    }
}

/// Opens the repository at exactly `path`. Neither the environment nor the user's or the machine's configuration
/// has an influence, nor have replacement refs or a commit-graph: two people with one commit read one ledger.
pub(crate) fn open_repository(path: &Path) -> Result<gix::Repository, Box<gix::Error>> {
    // Statements lie in the pack in another order than that of their names, many as deltas of others: as much of it is
    // kept at hand as git keeps. No object may take more memory than the limit says, whatever it claims of itself.
    let options = gix::open::Options::isolated().config_overrides([
        "core.useReplaceRefs=false",
        "core.commitGraph=false",
        "core.deltaBaseCacheLimit=96m",
        "gitoxide.objects.allocLimit=128m",
    ]);
    let mut repo = gix::open_opts(path, options)?;
    // Trees of the ledger are read again and again while files are added.
    repo.object_cache_size_if_unset(4 << 20);
    Ok(repo)
}

impl Ledger {
    /// Opens the ledger of the repository at `path` (bare, or with a work tree).
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let repo = open_repository(path).map_err(|source| OpenError::NoRepository {
            path: path.to_owned(),
            source,
        })?;
        let ledger = Self { repo };
        match ledger.try_head()? {
            Some(_) => Ok(ledger),
            None => Err(OpenError::NoLedger { path: path.to_owned() }),
        }
    }

    /// Makes an empty ledger in the repository at `path`, which has none.
    pub fn create(path: &Path, author: &Author) -> Result<Self, CreateError> {
        let repo = open_repository(path).map_err(|source| CreateError::NoRepository {
            path: path.to_owned(),
            source,
        })?;
        let ledger = Self { repo };
        let already = |head| CreateError::AlreadyThere {
            path: path.to_owned(),
            head,
        };
        if let Some(head) = ledger.try_head()? {
            return Err(already(head));
        }
        let tree = ledger
            .repo
            .write_object(gix::objs::Tree::empty())
            .map_err(writing("the empty tree"))?
            .detach();
        let commit = ledger.write_commit(tree, &[], "Begin the ledger", author)?;
        durable::flush_objects(&ledger.repo, &[tree, commit]).map_err(WriteError::Flush)?;
        match ledger.move_branch(None, commit, author)? {
            Moved::Yes => Ok(ledger),
            Moved::No { found: Some(head), .. } => Err(already(head)),
            Moved::No { found: None, source } => Err(WriteError::Busy { attempts: 1, source }.into()),
        }
    }

    /// The ledger's newest commit.
    pub fn head(&self) -> Result<ObjectId, ReadError> {
        self.try_head()?.ok_or_else(|| ReadError {
            what: format!("{BRANCH} is gone"),
            source: Box::new(gix::Error::from_error(std::io::Error::from(
                std::io::ErrorKind::NotFound,
            ))),
        })
    }

    /// The ledger as it is now; it does not change under the reader's hands.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        Snapshot::at(self.repo.clone(), self.head()?)
    }

    /// The ledger as it was at `commit`.
    pub fn snapshot_at(&self, commit: ObjectId) -> Result<Snapshot, ReadError> {
        Snapshot::at(self.repo.clone(), commit)
    }

    /// Adds files in one commit and returns the ledger's newest commit. Files that are there already with
    /// the same bytes are passed over; if all are, there is no commit. Safe beside other writers.
    pub fn add(&self, files: &[NewFile], message: &str, author: &Author) -> Result<ObjectId, AddError> {
        let mut written = Vec::new();
        let mut blobs = Vec::new();
        for file in files {
            let blob = self.repo.write_blob(file.bytes()).map_err(writing("a file"))?.detach();
            written.push(blob);
            blobs.push((file.path(), blob));
        }
        self.change(author, |head| {
            let tree = self.tree_of(head)?;
            let new = absent(&tree, &blobs)?;
            if new.is_empty() {
                return Ok(Change::None(head));
            }
            let (tree, trees) = insert(&tree, &new)?;
            let commit = self.write_commit(tree, &[head], message, author)?;
            let objects: Vec<_> = written.iter().copied().chain(trees).chain([commit]).collect();
            durable::flush_objects(&self.repo, &objects).map_err(WriteError::Flush)?;
            Ok(Change::Commit {
                from: head,
                to: commit,
                outcome: commit,
            })
        })
    }

    pub(crate) fn tree_of(&self, commit: ObjectId) -> Result<gix::Tree<'_>, ReadError> {
        self.repo
            .find_commit(commit)
            .and_then(|commit| commit.tree())
            .map_err(reading(format!("commit {commit}")))
    }

    pub(crate) fn write_commit(
        &self,
        tree: ObjectId,
        parents: &[ObjectId],
        message: &str,
        author: &Author,
    ) -> Result<ObjectId, WriteError> {
        let commit = gix::objs::Commit {
            tree,
            parents: parents.iter().copied().collect(),
            author: author.signature(),
            committer: author.signature(),
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        Ok(self.repo.write_object(&commit).map_err(writing("a commit"))?.detach())
    }

    pub(crate) fn try_head(&self) -> Result<Option<ObjectId>, ReadError> {
        let Some(mut reference) = self.repo.try_find_reference(BRANCH).map_err(reading(BRANCH))? else {
            return Ok(None);
        };
        let commit = reference.peel_to_commit().map_err(reading(BRANCH))?;
        Ok(Some(commit.id))
    }
}

/// The files that `tree` does not have. One that it has with other content is an error.
fn absent<'a>(
    tree: &gix::Tree<'_>,
    files: &[(&'a LedgerPath, ObjectId)],
) -> Result<Vec<(&'a LedgerPath, ObjectId)>, AddError> {
    let mut new: Vec<(&LedgerPath, ObjectId)> = Vec::new();
    let mut among: BTreeMap<&LedgerPath, ObjectId> = BTreeMap::new();
    for &(path, blob) in files {
        let there = tree
            .lookup_entry_by_path(path.to_string())
            .map_err(reading(path.to_string()))?
            .filter(|entry| entry.mode().is_blob())
            .map(|entry| entry.object_id())
            .or_else(|| among.get(path).copied());
        match there {
            None => {
                among.insert(path, blob);
                new.push((path, blob));
            }
            Some(found) if found == blob => {}
            Some(found) => {
                return Err(AddError::AlreadyThere {
                    path: path.clone(),
                    found,
                });
            }
        }
    }
    Ok(new)
}

/// `tree` with these files, and every tree on the way to them.
fn insert(tree: &gix::Tree<'_>, files: &[(&LedgerPath, ObjectId)]) -> Result<(ObjectId, Vec<ObjectId>), AddError> {
    let repo = tree.repo;
    let mut editor = tree.edit().map_err(reading("the tree"))?;
    for (path, blob) in files {
        editor
            .upsert(path.to_string(), EntryKind::Blob, *blob)
            .map_err(reading(path.to_string()))?;
    }
    let mut written = Vec::new();
    let root = editor
        .detach()
        .write(|tree| -> gix::Result<ObjectId> {
            let id = repo.write_object(tree)?.detach();
            written.push(id);
            Ok(id)
        })
        .map_err(writing("a tree"))?;
    Ok((root, written))
}
