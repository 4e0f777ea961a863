//! What was refused: Nix tells its client only that a program failed, so the hook writes down why.
//!
//! One JSON object a line. The log is bounded: when it is long it becomes the part before, whose place is one file.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
};

use serde::{Deserialize, Serialize};

use crate::{client::Client, place::Place};

/// How long the log gets.
const LONG: u64 = 1 << 20;

/// How long a line may be, so that concurrent hooks do not mix theirs.
const LINE: usize = 4096;

/// A refused build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in seconds since 1970.
    pub time: u64,
    /// The derivation, as Nix named it.
    pub derivation: String,
    /// The stable code of the reason.
    pub code: String,
    /// The reason and what caused it.
    pub reason: String,
    /// Who asked, if that is known.
    pub client: Option<Client>,
}

/// Writes one down, for root alone.
pub fn note(place: &Place, entry: &Entry) -> io::Result<()> {
    let path = place.refusals();
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LONG) {
        // Of two hooks that find it long, one is late and moves a short one: lines are lost, not refusals.
        fs::rename(&path, place.directory().join("refusals.1.jsonl"))?;
    }
    let mut line = serde_json::to_vec(entry)?;
    if line.len() >= LINE {
        let shorter = Entry {
            reason: entry.reason.chars().take(500).collect(),
            derivation: entry.derivation.chars().take(300).collect(),
            ..entry.clone()
        };
        line = serde_json::to_vec(&shorter)?;
    }
    line.push(b'\n');
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&line)
}

/// The newest refusals, the newest first. What a power cut left half-written is passed over.
pub fn newest(place: &Place, count: usize) -> io::Result<Vec<Entry>> {
    let read = |path| match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut bytes = read(place.directory().join("refusals.1.jsonl"))?;
    bytes.extend(read(place.refusals())?);
    let lines = bytes.split(|byte| *byte == b'\n').rev();
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .take(count)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_bounded_and_the_newest_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let entry = |time| Entry {
            time,
            derivation: "d".repeat(1000),
            code: "not-approved".to_owned(),
            reason: "r".repeat(5000),
            client: None,
        };
        for time in 0..3000 {
            note(&place, &entry(time)).unwrap();
        }
        let size = |name: &str| fs::metadata(directory.path().join(name)).unwrap().len();
        assert!(size("refusals.jsonl") <= LONG + 4096 && size("refusals.1.jsonl") <= LONG + 4096);
        let newest = newest(&place, 3).unwrap();
        assert_eq!(
            newest.iter().map(|entry| entry.time).collect::<Vec<_>>(),
            [2999, 2998, 2997]
        );
    }
}
