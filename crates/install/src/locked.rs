//! The state directory of the one run that may write.
//!
//! Every method leaves, killed anywhere, the state before or the state after; what else may be left is in `tmp/`.

use std::{fs, io, ops::Deref, path::PathBuf};

use attestation::{ChainId, ChannelName, Time};

use crate::{
    file::{self, FileError},
    floors::Floors,
    generation::{Generation, GenerationNumber},
    history::{self, Action, Event},
    lock::{Lock, LockError},
    metadata::{MetadataDir, MetadataFile},
    state::{State, StateError},
    subscription::Subscription,
};

/// A state directory, open for writing. It reads as [`State`] does.
#[derive(Debug)]
pub struct LockedState {
    state: State,
    _lock: Lock,
}

impl Deref for LockedState {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

/// Why a subscription was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// Another chain or channel is followed.
    #[error("already subscribed to channel {channel} of chain {chain}")]
    Other {
        /// The chain that is followed.
        chain: ChainId,
        /// The channel that is followed.
        channel: ChannelName,
    },
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

impl LockedState {
    pub(crate) fn new(state: State, lock: Lock) -> Result<Self, LockError> {
        let locked = Self { state, _lock: lock };
        locked.clear_scratch()?;
        locked.migrate()?;
        Ok(locked)
    }

    /// Nobody else is at work, so what is in `tmp/` was left by a run that was killed.
    fn clear_scratch(&self) -> Result<(), FileError> {
        let scratch = self.scratch();
        match fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError {
                    action: "clear",
                    path: scratch,
                    source: error,
                });
            }
            _ => {}
        }
        file::make_directory(&scratch)
    }

    /// Whether `subscription` may be followed: another chain or channel than so far only with `replace`.
    pub fn may_follow(&self, subscription: &Subscription, replace: bool) -> Result<(), SubscribeError> {
        match self.subscription() {
            Ok(old) if !replace && (old.chain != subscription.chain || old.channel != subscription.channel) => {
                Err(SubscribeError::Other {
                    chain: old.chain,
                    channel: old.channel,
                })
            }
            Ok(_) | Err(StateError::NotSubscribed) => Ok(()),
            Err(StateError::Malformed { .. }) if replace => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Follows `subscription`, if it [may be](Self::may_follow). Floors and signed files that were seen of another
    /// chain stay.
    pub fn subscribe(&self, subscription: &Subscription, replace: bool) -> Result<(), SubscribeError> {
        self.may_follow(subscription, replace)?;
        Ok(self
            .write_json(&self.subscription_file(), subscription)
            .map_err(StateError::from)?)
    }

    /// Keeps a signed file in `directory`, after every check that it is subject to.
    pub fn keep(&self, directory: &MetadataDir, part: MetadataFile, bytes: &[u8]) -> Result<(), FileError> {
        directory.store(&self.scratch(), part, bytes)
    }

    /// Raises the floors of `chain`.
    pub fn keep_floors(&self, chain: ChainId, floors: &Floors) -> Result<(), FileError> {
        let file = self.floors_file(chain);
        file::make_directory(file.parent().unwrap_or(&file))?;
        self.write_json(&file, floors)
    }

    /// A number that no generation has or had.
    pub(crate) fn next_number(&self) -> Result<GenerationNumber, StateError> {
        let there = self.generations()?.last().map(Generation::number);
        let once = self.history()?.iter().map(|event| event.to).max();
        Ok(there.max(once).map_or(GenerationNumber::FIRST, GenerationNumber::next))
    }

    /// Makes `generation` the current one, and records it.
    pub(crate) fn switch_to(&self, generation: &Generation, event: &Event) -> Result<(), FileError> {
        let target = PathBuf::from("generations").join(generation.number().to_string());
        file::replace_link(&self.scratch(), &self.current_link(), &target)?;
        history::append(&self.history_file(), event)
    }

    /// Removes all but the newest `keep` generations and the current one; says which.
    pub fn remove_old(&self, keep: usize, now: Time) -> Result<Vec<GenerationNumber>, StateError> {
        let current = self.current()?.map(|generation| generation.number());
        let old = self.old(keep)?;
        for generation in &old {
            self.remove(generation, current, now)?;
        }
        Ok(old.iter().map(Generation::number).collect())
    }

    fn remove(&self, generation: &Generation, current: Option<GenerationNumber>, now: Time) -> Result<(), StateError> {
        let release = generation.record().map_or(0, |record| record.release.sequence);
        let to = generation.number();
        history::append(
            &self.history_file(),
            &Event {
                time: now,
                action: Action::Remove,
                from: current,
                to,
                release,
            },
        )?;
        // Out of sight in one step, so that no half a generation is ever listed.
        let doomed = self.scratch().join(format!("removed-{to}"));
        file::move_into_place(generation.path(), &doomed)?;
        Ok(fs::remove_dir_all(&doomed).map_err(FileError::at("remove", doomed))?)
    }
}

impl From<FileError> for SubscribeError {
    fn from(error: FileError) -> Self {
        Self::State(error.into())
    }
}
