//! What this machine's user has signed: (chain, role, version) -> payload digest.
//!
//! A signer signs one payload a version, or two halves of the people could be shown two releases of one number.
//! The record is written and flushed before the key is used.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use attestation::Sha256Digest;

use crate::settings::{WriteError, write_atomically};

/// The record, a directory in the user's state directory.
pub(crate) struct SignedRecord {
    directory: PathBuf,
}

/// Why something must not be signed, or could not be recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// Another payload was signed under this version.
    #[error("{role} version {version} was signed here before with payload {before}, now asked is {asked}")]
    SecondPayload {
        /// The TUF role.
        role: String,
        /// The version.
        version: u64,
        /// What was signed.
        before: String,
        /// What is asked now.
        asked: Sha256Digest,
    },
    /// The record cannot be read.
    #[error("the record of what was signed, {path}, cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The record cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl SignedRecord {
    /// The record below the user's state directory. `scope` is the chain, or the first root's payload.
    pub(crate) fn new(state: &Path, scope: &str) -> Self {
        Self {
            directory: state.join("signed").join(scope),
        }
    }

    /// Records that this payload is signed under this version; refuses a second one.
    pub(crate) fn enter(&self, role: &str, version: u64, payload: Sha256Digest) -> Result<(), RecordError> {
        let path = self.directory.join(role).join(version.to_string());
        match fs::read_to_string(&path) {
            Ok(before) if before.trim() == payload.to_string() => Ok(()),
            Ok(before) => Err(RecordError::SecondPayload {
                role: role.to_owned(),
                version,
                before: before.trim().to_owned(),
                asked: payload,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(write_atomically(&path, format!("{payload}\n").as_bytes())?)
            }
            Err(source) => Err(RecordError::Read { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_second_payload_under_one_version() {
        let state = tempfile::tempdir().unwrap();
        let record = SignedRecord::new(state.path(), "chain");
        let (first, second) = (Sha256Digest::of("first"), Sha256Digest::of("second"));
        record.enter("unstable", 1, first).unwrap();
        record.enter("unstable", 1, first).unwrap();
        let error = SignedRecord::new(state.path(), "chain")
            .enter("unstable", 1, second)
            .unwrap_err();
        assert!(
            matches!(error, RecordError::SecondPayload { version: 1, .. }),
            "{error:?}"
        );
        record.enter("unstable", 2, second).unwrap();
        record.enter("stable", 1, second).unwrap();
    }
}
