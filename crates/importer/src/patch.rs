//! The patches that a channel carries, on top of an upstream commit.
//!
//! Every signer makes the commit again, on a machine of their own, and must get the same id: the author, the dates and
//! the message follow from upstream's commit and the patches alone. Git applies them in a repository of its own, which is made
//! for the purpose and has nothing but the objects of the clone: no configuration has an influence, the clone's
//! included, nor have its attributes, hooks, grafts, index and work tree.

mod place;

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use attestation::PatchName;
use gix::ObjectId;
use nixstore::Sha256Digest;

pub use self::place::PatchPlace;
use crate::{FetchError, Repository, fetch::FOREIGN_ENVIRONMENT, repository::ObjectError};

/// Who a patched commit names: nobody made it, it follows.
const NOBODY: (&str, &str) = ("Touchstone", "touchstone@localhost");

/// What else of the environment changes how git reads a patch or writes a tree.
const CHANGES_MEANING: [&str; 6] = [
    "GIT_ATTR_SOURCE",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_INDEX_VERSION",
    "GIT_EXTERNAL_DIFF",
    "GIT_LITERAL_PATHSPECS",
];

/// Where a commit that was made is kept from git's garbage collection.
const KEPT: &str = "refs/touchstone/patched/";

/// A patch, as `git diff` or `git format-patch` writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Patch {
    /// Its file name. Patches are applied in the order of their names.
    pub name: PatchName,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The commit that has a channel's patches on top of upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchedCommit {
    /// The commit.
    pub id: ObjectId,
    /// Upstream's tree.
    pub upstream_tree: ObjectId,
    /// What came of it, patch by patch. At least one.
    pub steps: Vec<PatchStep>,
}

/// What a patch made of the tree before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchStep {
    /// The patch.
    pub name: PatchName,
    /// The tree that has it.
    pub tree: ObjectId,
}

impl PatchedCommit {
    /// The tree that has all patches.
    pub fn tree(&self) -> ObjectId {
        self.steps.last().map_or(self.upstream_tree, |step| step.tree)
    }
}

/// Why there is no patched commit.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// No patch at all.
    #[error("there is no patch to apply")]
    Nothing,
    /// Two patches have one name, so that their order is not known.
    #[error("two patches are called {name}; rename one")]
    Twice {
        /// The name.
        name: PatchName,
    },
    /// A patch that people cannot read.
    #[error(
        "patch {name} has binary parts (line {line}), which nobody can review; make the change in text, or have it made upstream"
    )]
    Binary {
        /// The patch.
        name: PatchName,
        /// Where, from 1.
        line: usize,
    },
    /// A patch that would write where no file of a tree is.
    #[error("patch {name} leaves the tree: {message}")]
    Leaves {
        /// The patch.
        name: PatchName,
        /// What git said.
        message: String,
    },
    /// A patch does not fit upstream's tree.
    #[error("patch {name} does not apply to upstream's commit {commit}{}: {message}", .place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default())]
    DoesNotApply {
        /// The patch.
        name: PatchName,
        /// The upstream commit.
        commit: ObjectId,
        /// Where it does not, if git said so.
        place: Option<Box<PatchPlace>>,
        /// What git said.
        message: String,
    },
    /// A patch that upstream has already, or that undoes nothing and does nothing.
    #[error("patch {name} changes nothing in upstream's commit {commit}; leave it out")]
    Idle {
        /// The patch.
        name: PatchName,
        /// The upstream commit.
        commit: ObjectId,
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
    /// The commit could not be kept.
    #[error("the patched commit could not be kept")]
    Keep(#[from] Box<FetchError>),
    /// The upstream commit cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl Repository {
    /// The commit that has these patches on top of `upstream`, which is its only parent. The same arguments give the
    /// same id everywhere.
    ///
    /// Its objects are added to the repository, and a ref below `refs/touchstone/patched/` keeps them.
    pub fn patched(&self, upstream: ObjectId, patches: &[Patch]) -> Result<PatchedCommit, PatchError> {
        let mut patches: Vec<_> = patches.iter().collect();
        patches.sort();
        if let Some(twice) = patches.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let name = twice[0].name.clone();
            return Err(PatchError::Twice { name });
        }
        for patch in &patches {
            if let Some(line) = place::binary_line(&patch.bytes) {
                let name = patch.name.clone();
                return Err(PatchError::Binary { name, line });
            }
        }
        if patches.is_empty() {
            return Err(PatchError::Nothing);
        }
        let commit = self.commit(upstream)?;
        let date = format!("{} +0000", commit.committed.max(0));
        let workshop = Workshop::new(self, &date)?;
        workshop.git(&["read-tree", &commit.tree.to_string()], b"")?;
        let mut steps: Vec<PatchStep> = Vec::new();
        for patch in &patches {
            workshop
                .git(&["apply", "--cached", "--whitespace=nowarn", "-p1", "-"], &patch.bytes)
                .map_err(|error| not_applied(patch, upstream, error))?;
            let tree = workshop.object(&["write-tree"], b"")?;
            if tree == steps.last().map_or(commit.tree, |step| step.tree) {
                return Err(PatchError::Idle {
                    name: patch.name.clone(),
                    commit: upstream,
                });
            }
            steps.push(PatchStep {
                name: patch.name.clone(),
                tree,
            });
        }
        let list: String = patches
            .iter()
            .map(|patch| format!("{} {}\n", Sha256Digest::of(&patch.bytes), patch.name))
            .collect();
        let message = format!("Apply the channel's patches\n\n{list}");
        let tree = steps.last().map_or(commit.tree, |step| step.tree).to_string();
        let arguments = ["commit-tree", &tree, "-p", &upstream.to_string(), "-F", "-"];
        let id = workshop.object(&arguments, message.as_bytes())?;
        self.keep(&format!("{KEPT}{id}"), id).map_err(Box::new)?;
        Ok(PatchedCommit {
            id,
            upstream_tree: commit.tree,
            steps,
        })
    }

    /// Whether a patched commit was made here and kept.
    pub fn has_patched(&self, id: ObjectId) -> bool {
        self.git
            .try_find_reference(format!("{KEPT}{id}").as_str())
            .is_ok_and(|found| found.is_some())
            && self.commit(id).is_ok()
    }
}

/// What git's refusal of a patch means.
fn not_applied(patch: &Patch, commit: ObjectId, error: PatchError) -> PatchError {
    let PatchError::Git { message, .. } = error else {
        return error;
    };
    let name = patch.name.clone();
    if place::leaves(&message) {
        return PatchError::Leaves { name, message };
    }
    PatchError::DoesNotApply {
        place: PatchPlace::in_message(&message, &patch.bytes).map(Box::new),
        name,
        commit,
        message,
    }
}

/// A repository that is made for applying patches: the clone's objects, and nothing else of it.
struct Workshop {
    directory: tempfile::TempDir,
    objects: std::path::PathBuf,
    date: String,
}

impl Workshop {
    fn new(repository: &Repository, date: &str) -> Result<Self, io::Error> {
        let directory = tempfile::tempdir()?;
        let git = directory.path().join("git");
        fs::create_dir_all(git.join("refs"))?;
        fs::create_dir(git.join("objects"))?;
        fs::write(git.join("HEAD"), "ref: refs/heads/none\n")?;
        fs::write(
            git.join("config"),
            "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
        )?;
        Ok(Self {
            objects: fs::canonicalize(repository.git.objects.store_ref().path())?,
            directory,
            date: date.to_owned(),
        })
    }

    /// Runs git, and reads the object id that it prints.
    fn object(&self, arguments: &[&str], input: &[u8]) -> Result<ObjectId, PatchError> {
        let printed = self.git(arguments, input)?;
        ObjectId::from_hex(printed.as_bytes()).map_err(|_| PatchError::Git {
            command: arguments[0].to_owned(),
            status: "success".to_owned(),
            message: format!("it printed {printed:?}"),
        })
    }

    fn git(&self, arguments: &[&str], input: &[u8]) -> Result<String, PatchError> {
        let mut git = Command::new("git");
        for name in FOREIGN_ENVIRONMENT.iter().chain(&CHANGES_MEANING) {
            git.env_remove(name);
        }
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), NOBODY.0)
                .env(format!("GIT_{who}_EMAIL"), NOBODY.1)
                .env(format!("GIT_{who}_DATE"), &self.date);
        }
        let at = |name: &str| self.directory.path().join(name);
        let mut child = git
            .env("GIT_INDEX_FILE", at("index"))
            .env("GIT_OBJECT_DIRECTORY", &self.objects)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("LC_ALL", "C")
            .arg("--git-dir")
            .arg(at("git"))
            // The same names are refused on every system.
            .args(["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"])
            .args(["-c", "core.attributesFile=/dev/null", "-c", "core.hooksPath=/dev/null"])
            .args(arguments.iter().map(OsStr::new))
            .current_dir(Path::new("/"))
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
            command: arguments.join(" "),
            status: output.status.to_string(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}
