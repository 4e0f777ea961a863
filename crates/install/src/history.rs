//! What happened to the generations: one JSON object a line in `history.jsonl`, for people and for `status`.

use std::{fs::OpenOptions, io::Write as _, path::Path};

use attestation::Time;
use serde::{Deserialize, Serialize};

use crate::{
    file::{self, FileError},
    generation::GenerationNumber,
};

/// More than a century of hourly updates.
const LIMIT: u64 = 256 << 20;

/// A line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Time,
    /// What was done.
    pub action: Action,
    /// The generation that was current before.
    pub from: Option<GenerationNumber>,
    /// The generation that was installed, switched to or removed.
    pub to: GenerationNumber,
    /// The release in it.
    pub release: u64,
}

/// What can happen to generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A release was installed and made current.
    Install,
    /// A release that was still there was made current again by an update.
    Switch,
    /// Somebody went back.
    Rollback,
    /// An old generation was removed.
    Remove,
}

/// The events so far, oldest first. A line that a power cut left half-written is skipped.
pub(crate) fn read(path: &Path) -> Result<Vec<Event>, FileError> {
    let bytes = file::read_if_there(path, LIMIT)?.unwrap_or_default();
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// Appends an event.
pub(crate) fn append(path: &Path, event: &Event) -> Result<(), FileError> {
    // The line break comes first too: a half-written last line must not swallow this one.
    let mut line = b"\n".to_vec();
    line.extend(serde_json::to_vec(event).expect("an event is JSON"));
    line.push(b'\n');
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut log| log.write_all(&line).and_then(|()| log.sync_all()))
        .map_err(FileError::at("append to", path))
}
