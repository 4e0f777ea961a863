//! One writer at a time. The lock belongs to the open file, so the kernel releases it however the holder ends.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use attestation::Time;
use rustix::fs::{FlockOperation, flock};

use crate::{file::FileError, state::StateError};

/// The held lock.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else writes.
    #[error("{} is held by another run: {holder}", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself, as `touchstone update, process 12, since …`.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// What an older version wrote cannot be brought to the present layout.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Lock {
    /// Takes the lock at once or says who has it. `purpose` and `now` are what others are told.
    pub(crate) fn take(path: &Path, purpose: &str, now: Time) -> Result<Self, LockError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(FileError::at("open", path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Only words for people: what cannot be read is left out.
                let _ = file.take(200).read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                return Err(LockError::Held {
                    path: path.to_owned(),
                    holder,
                });
            }
            Err(errno) => return Err(FileError::at("lock", path)(errno.into()).into()),
        }
        let about = format!("{purpose}, process {}, since {now}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(about.as_bytes()))
            .map_err(FileError::at("write", path))?;
        Ok(Self { _file: file })
    }
}
