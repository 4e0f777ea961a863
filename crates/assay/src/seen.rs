//! Releases that this clone has seen finished, under the root that was in force then.
//!
//! When a root replaces people who signed the last release, that release no longer has the signatures that the
//! new root asks for, and the people of the old root might be thieves by now. So a release of an older root counts
//! only where this clone verified it while that root was the newest.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use attestation::Sha256Digest;

use crate::{
    exit::{Exit, Failure, OrExit as _, Outcome},
    settings::write_atomically,
};

/// The payloads of the releases that were seen finished: a file of one digest a line.
pub(crate) struct Seen {
    path: PathBuf,
}

impl Seen {
    /// The record in this git directory.
    pub(crate) fn new(git_dir: &Path) -> Self {
        Self {
            path: git_dir.join("touchstone/seen-releases"),
        }
    }

    fn read(&self) -> Outcome<BTreeSet<String>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(error) => Err(Failure::new(
                Exit::Environment,
                format!("{} cannot be read: {error}", self.path.display()),
            )),
        }
    }

    /// Whether a release was seen finished.
    pub(crate) fn contains(&self, payload: Sha256Digest) -> Outcome<bool> {
        Ok(self.read()?.contains(&payload.to_string()))
    }

    /// Remembers a release that was just verified under the newest root.
    pub(crate) fn insert(&self, payload: Sha256Digest) -> Outcome {
        let mut all = self.read()?;
        if all.insert(payload.to_string()) {
            let text: String = all.iter().map(|line| format!("{line}\n")).collect();
            write_atomically(&self.path, text.as_bytes()).or_exit(Exit::Environment)?;
        }
        Ok(())
    }
}
