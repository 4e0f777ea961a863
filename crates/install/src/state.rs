//! The state directory: what a subscriber's machine keeps.
//!
//! ```text
//! format              the version of this layout; a newer one is refused
//! lock                held by the one run that writes
//! subscription.json   what the owner wants
//! trusted/<chain>/    the signed files that were accepted last, all roots, and floors.json: nothing older is accepted
//! generations/N/      nixexprs/ (the unpacked channel), channels/ (links to it), release.json, metadata/; perhaps source,
//!                     a link into the Nix store
//! current             a link to generations/N, replaced in one step
//! history.jsonl       what happened
//! last-update.json    how the last update went, in words
//! partial/<sha256>    downloads that broke off: of one release's tarball, and of the patch to it
//! tmp/                unfinished work; emptied by the next run that writes
//! ```
//!
//! `NIX_PATH=nixpkgs=<state>/current/nixexprs` is the drop-in for a NixOS channel.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use attestation::{ChainId, ChannelName, Time};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    file::{self, FileError},
    floors::Floors,
    generation::{self, Generation},
    history::{self, Event},
    lock::{Lock, LockError},
    locked::LockedState,
    metadata::MetadataDir,
    subscription::Subscription,
};

/// The version of the layout that this code reads and writes.
pub const FORMAT: u64 = 2;

const SMALL_FILE: u64 = 1 << 20;

/// A state directory, open for reading. Writing takes [`State::lock`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    root: PathBuf,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is none.
    #[error("no state directory at {}", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A directory of something else.
    #[error("{} is not empty and not a state directory", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Written by a newer version.
    #[error("expected state format {expected} in {}, found the newer {found}", path.display())]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The newest format that this version knows.
        expected: u64,
        /// The format that it has.
        found: u64,
    },
    /// The `format` file is none.
    #[error("expected \"touchstone-state <number>\" in {}, found {found:?}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// No subscription yet.
    #[error("not subscribed to a channel")]
    NotSubscribed,
    /// A file of ours that is not what we write.
    #[error("{} is damaged", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Files could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl State {
    /// Opens the state directory `path`, or makes it.
    pub fn create(path: &Path) -> Result<Self, StateError> {
        match Self::open(path) {
            Err(StateError::Absent { .. }) => {}
            other => return other,
        }
        let state = Self { root: path.to_owned() };
        file::make_directory(&state.scratch())?;
        file::make_directory(&state.generations_dir())?;
        // Last: a directory with this file is a state directory.
        file::write(
            &state.scratch(),
            &state.format_file(),
            format!("touchstone-state {FORMAT}\n").as_bytes(),
        )?;
        Ok(state)
    }

    /// Opens the state directory `path`.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let state = Self { root: path.to_owned() };
        match file::read_if_there(&state.format_file(), SMALL_FILE)? {
            Some(bytes) => {
                state.check_format(&bytes)?;
            }
            None => return Err(state.what_it_is_instead()),
        }
        Ok(state)
    }

    /// The version of the layout that is there.
    pub(crate) fn format(&self) -> Result<u64, StateError> {
        self.check_format(&file::read(&self.format_file(), SMALL_FILE)?)
    }

    fn check_format(&self, bytes: &[u8]) -> Result<u64, StateError> {
        let text = String::from_utf8_lossy(bytes);
        let found: u64 = text
            .strip_prefix("touchstone-state ")
            .and_then(|rest| rest.trim_end().parse().ok())
            .ok_or_else(|| StateError::Format {
                path: self.format_file(),
                found: text.chars().take(80).collect(),
            })?;
        if found > FORMAT {
            return Err(StateError::Newer {
                path: self.root.clone(),
                expected: FORMAT,
                found,
            });
        }
        Ok(found)
    }

    /// A directory without a `format` file: nothing, something that was never finished, or somebody else's.
    fn what_it_is_instead(&self) -> StateError {
        let names = match fs::read_dir(&self.root) {
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<io::Result<Vec<_>>>(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        match names {
            Err(source) => FileError {
                action: "list",
                path: self.root.clone(),
                source,
            }
            .into(),
            // A gate may have been here first.
            Ok(names)
                if names
                    .iter()
                    .all(|name| name == "tmp" || name == "generations" || name == "gate") =>
            {
                StateError::Absent {
                    path: self.root.clone(),
                }
            }
            Ok(_) => StateError::Foreign {
                path: self.root.clone(),
            },
        }
    }

    /// Takes the one lock for writing, and clears away what killed runs left. `purpose` and `now` are what another
    /// run is told that finds it held.
    pub fn lock(self, purpose: &str, now: Time) -> Result<LockedState, LockError> {
        let lock = Lock::take(&self.root.join("lock"), purpose, now)?;
        LockedState::new(self, lock)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// What the owner wants.
    pub fn subscription(&self) -> Result<Subscription, StateError> {
        self.read_json(&self.subscription_file())?
            .ok_or(StateError::NotSubscribed)
    }

    /// What was seen of `chain`.
    pub fn floors(&self, chain: ChainId) -> Result<Floors, StateError> {
        Ok(self.read_json(&self.floors_file(chain))?.unwrap_or_else(Floors::none))
    }

    /// The signed files of `chain` that were accepted last. They outlive a change of the subscription, as the floors
    /// do: whoever comes back to a chain is where it was left.
    pub fn trusted(&self, chain: ChainId, channel: &ChannelName) -> MetadataDir {
        MetadataDir::at(self.trusted_dir(chain), channel.clone())
    }

    /// All generations, oldest first.
    pub fn generations(&self) -> Result<Vec<Generation>, StateError> {
        Ok(generation::list(&self.generations_dir())?)
    }

    /// The generation that `current` links to; `None` before the first.
    pub fn current(&self) -> Result<Option<Generation>, StateError> {
        let link = self.current_link();
        let target = match fs::read_link(&link) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(FileError {
                    action: "read the link",
                    path: link,
                    source,
                }
                .into());
            }
        };
        let number = target.file_name().and_then(|name| name.to_str()?.parse().ok());
        Ok(number.map(|number| Generation::at(&self.generations_dir(), number)))
    }

    /// All but the newest `keep` generations and the current one, oldest first.
    pub fn old(&self, keep: usize) -> Result<Vec<Generation>, StateError> {
        let current = self.current()?.map(|generation| generation.number());
        let mut old = self.generations()?;
        old.truncate(old.len().saturating_sub(keep));
        old.retain(|generation| Some(generation.number()) != current);
        Ok(old)
    }

    /// What happened, oldest first.
    pub fn history(&self) -> Result<Vec<Event>, StateError> {
        Ok(history::read(&self.history_file())?)
    }

    pub(crate) fn read_json<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, StateError> {
        let Some(bytes) = file::read_if_there(path, SMALL_FILE)? else {
            return Ok(None);
        };
        let malformed = |source| StateError::Malformed {
            path: path.to_owned(),
            source,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(malformed)
    }

    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<(), FileError> {
        let mut text = serde_json::to_vec_pretty(value).expect("what we keep is JSON");
        text.push(b'\n');
        file::write(&self.scratch(), path, &text)
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn generations_dir(&self) -> PathBuf {
        self.root.join("generations")
    }

    pub(crate) fn current_link(&self) -> PathBuf {
        self.root.join("current")
    }

    pub(crate) fn history_file(&self) -> PathBuf {
        self.root.join("history.jsonl")
    }

    pub(crate) fn subscription_file(&self) -> PathBuf {
        self.root.join("subscription.json")
    }

    pub(crate) fn floors_file(&self, chain: ChainId) -> PathBuf {
        self.trusted_dir(chain).join("floors.json")
    }

    fn trusted_dir(&self, chain: ChainId) -> PathBuf {
        self.root.join("trusted").join(chain.to_string())
    }

    pub(crate) fn partial_dir(&self) -> PathBuf {
        self.root.join("partial")
    }

    pub(crate) fn attempt_file(&self) -> PathBuf {
        self.root.join("last-update.json")
    }

    pub(crate) fn format_file(&self) -> PathBuf {
        self.root.join("format")
    }
}
