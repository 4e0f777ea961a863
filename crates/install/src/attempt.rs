//! How the last update went: `last-update.json`, words for people and for monitoring. It proves nothing.

use attestation::Time;
use serde::{Deserialize, Serialize};

use crate::{file::FileError, locked::LockedState, state::State, subscription::BaseUrl};

/// The last time that the mirrors were asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attempt {
    /// When.
    pub time: Time,
    /// Why it failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Trouble>,
    /// Whether that was for want of an answer: nothing is wrong then, as long as what is known is fresh.
    #[serde(default)]
    pub unanswered: bool,
    /// What became of each mirror, in order.
    #[serde(default)]
    pub mirrors: Vec<MirrorNote>,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What it was, for programs.
    pub code: String,
    /// What it was, for people.
    pub message: String,
}

/// How a mirror was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorNote {
    /// Which.
    pub url: BaseUrl,
    /// `used`, `agrees`, `behind`, `contradicts` or `failed`.
    pub view: String,
    /// What it showed, where it is not what the others did.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

impl State {
    /// How the last update went; `None` before the first, or if it cannot be read.
    pub fn last_attempt(&self) -> Option<Attempt> {
        self.read_json(&self.attempt_file()).ok().flatten()
    }
}

impl LockedState {
    /// Notes how an update went.
    pub fn note_attempt(&self, attempt: &Attempt) -> Result<(), FileError> {
        self.write_json(&self.attempt_file(), attempt)
    }
}
