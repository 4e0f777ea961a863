//! From a tarball to the current generation, in steps that cannot be skipped or swapped:
//! [`LockedState::unpack`], [`Unpacked::check`], [`LockedState::commit`].

use std::{
    fs::{self, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use attestation::{Sha256Digest, Time, chain::Release};
use nixstore::nar::{DiskError, hash_directory};
use policy::{Current, Evidence};
use tempfile::TempDir;

use crate::{
    file::{self, FileError},
    generation::{self, Generation, Record},
    history::{Action, Event},
    locked::LockedState,
    metadata::{MetadataDir, MetadataFiles},
    patch::PatchError,
    state::StateError,
    unpack::{self, Limits, UnpackError},
};

/// Why a release was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The archive is refused.
    #[error("the tarball of the channel is refused")]
    Unpack(#[source] UnpackError),
    /// The patch is refused.
    #[error("the patch of the channel is refused")]
    Patch(#[source] PatchError),
    /// The archive holds another tree than the one that was signed.
    #[error("the unpacked channel has NAR SHA-256 {found}, signed is {expected}")]
    OtherTree {
        /// What was signed.
        expected: Sha256Digest,
        /// What was unpacked.
        found: Sha256Digest,
    },
    /// The unpacked tree could not be hashed.
    #[error("cannot hash the unpacked channel")]
    Hash(#[from] DiskError),
    /// The state cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A tarball, unpacked, of which nothing is known yet. Dropped, it is gone.
#[derive(Debug)]
pub struct Unpacked {
    directory: TempDir,
}

/// An unpacked channel that is, byte for byte, what enough people signed as the newest release.
#[derive(Debug)]
pub struct Checked {
    directory: TempDir,
    release: Current<Release>,
}

impl LockedState {
    /// Unpacks a channel's `tar.xz` where nobody looks. (A patch does the same: [`LockedState::patched`].)
    pub fn unpack(&self, tarball: impl Read, limits: Limits) -> Result<Unpacked, InstallError> {
        let scratch = self.scratch();
        let directory = TempDir::new_in(&scratch).map_err(FileError::at("make a directory in", scratch));
        let directory = directory.map_err(StateError::from)?;
        unpack::unpack(tarball, &nixexprs(directory.path()), limits).map_err(|error| match error {
            UnpackError::File(error) => InstallError::State(error.into()),
            error => InstallError::Unpack(error),
        })?;
        Ok(Unpacked::new(directory))
    }

    /// Makes a checked channel the current generation. `metadata` are the signed files that vouch for it.
    ///
    /// Killed before its last step, it leaves the old generation current.
    pub fn commit(&self, checked: Checked, metadata: &MetadataFiles, now: Time) -> Result<Generation, StateError> {
        let Checked { directory, release } = checked;
        let evidence = release.verified().evidence();
        let release = release.verified().get();
        let (scratch, staged) = (self.scratch(), directory.path());
        let kept = MetadataDir::at(staged.join("metadata"), release.channel.clone());
        kept.store_all(&scratch, metadata)?;
        generation::write_record(&scratch, staged, &record(release, evidence, now))?;
        generation::write_channels(staged)?;
        // Private until now; its readers are all users of the machine.
        fs::set_permissions(staged, Permissions::from_mode(0o755)).map_err(FileError::at("set the mode of", staged))?;
        file::sync_file_system(staged)?;

        let fresh = Generation::at(&self.generations_dir(), self.next_number()?);
        file::move_into_place(&directory.keep(), fresh.path())?;
        self.make_current(&fresh, Action::Install, release.sequence, now)?;
        Ok(fresh)
    }

    /// The newest complete generation that says it holds exactly `release`. Whether it does is for
    /// [`crate::verify`] to say.
    pub fn find(&self, release: &Release) -> Result<Option<Generation>, StateError> {
        let holds = |generation: &Generation| generation.record().is_ok_and(|record| record.release == *release);
        Ok(self.generations()?.into_iter().rev().find(holds))
    }

    /// Makes a generation that is there the current one.
    pub fn make_current(
        &self,
        generation: &Generation,
        action: Action,
        release: u64,
        now: Time,
    ) -> Result<(), StateError> {
        let from = self.current()?.map(|old| old.number());
        let to = generation.number();
        let event = Event {
            time: now,
            action,
            from,
            to,
            release,
        };
        Ok(self.switch_to(generation, &event)?)
    }
}

impl Unpacked {
    pub(crate) const fn new(directory: TempDir) -> Self {
        Self { directory }
    }

    /// Compares what was unpacked with what was signed.
    pub fn check(self, release: &Current<Release>) -> Result<Checked, InstallError> {
        let expected = release.verified().get().channel_nar;
        let found = hash_directory(&nixexprs(self.directory.path()))?.sha256;
        if found != expected {
            return Err(InstallError::OtherTree { expected, found });
        }
        Ok(Checked {
            directory: self.directory,
            release: release.clone(),
        })
    }
}

pub(crate) fn nixexprs(generation: &Path) -> std::path::PathBuf {
    generation.join("nixexprs")
}

fn record(release: &Release, evidence: &Evidence, now: Time) -> Record {
    Record {
        chain: evidence.chain,
        release: release.clone(),
        signed_by: evidence
            .vouches
            .iter()
            .filter_map(|vouch| vouch.person.clone())
            .collect(),
        root_version: evidence.root_version,
        installed: now,
    }
}
