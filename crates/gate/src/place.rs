//! Where the gate keeps its files, and whether they are what only root could have written.
//!
//! ```text
//! <state>/gate/pre-build-hook   the hook itself, a copy that no garbage collection takes away
//! <state>/gate/settings.json    what the owner decided
//! <state>/gate/approvals        what is approved
//! <state>/gate/passed/<output>  which derivation was to make an output: a hint, judged again each time
//! <state>/gate/refusals.jsonl   what was refused; refusals.1.jsonl is the part before
//! <state>/gate/requests/<id>    what was asked for beside what releases list
//! <state>/gate/evaluated/<key>  what an expression over a tree means, so that it is not evaluated again
//! <state>/gate/evaluation       where requests are evaluated, in memory
//! <state>/gate/lock             held by who makes the approvals anew
//! ```

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// Where the gate is on every machine that was not told otherwise.
pub const DEFAULT: &str = "/var/lib/touchstone/gate";

/// What the hook is called where it lies beside its own files.
pub const HOOK: &str = "pre-build-hook";

/// The longest file of settings.
const SMALL_FILE: u64 = 1 << 20;

/// The directory of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
}

/// Why a file of the gate is not believed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It belongs to somebody else, or somebody else may write it.
    #[error("expected {} to be root's and writable by nobody else, found owner {owner} and mode {mode:o}", path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// Not a regular file.
    #[error("expected a regular file at {}", path.display())]
    Kind {
        /// Where.
        path: PathBuf,
    },
    /// Longer than it may be.
    #[error("expected at most {limit} bytes in {}", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// How many.
        limit: u64,
    },
}

impl PlaceError {
    /// For `map_err`: `action` failed on `path`.
    pub fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

impl Place {
    /// The gate in that directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The gate of a hook that is the program `executable`: the directory that it lies in if that is a gate's, else
    /// [`DEFAULT`]. Nix gives a hook no arguments of its own, and its environment is anybody's word.
    pub fn of_hook(executable: &Path) -> Self {
        let beside = executable.file_name().is_some_and(|name| name == HOOK);
        match executable.parent() {
            Some(parent) if beside => Self::new(parent),
            _ => Self::new(DEFAULT),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the hook is.
    pub fn hook(&self) -> PathBuf {
        self.directory.join(HOOK)
    }

    /// Where the settings are.
    pub fn settings(&self) -> PathBuf {
        self.directory.join("settings.json")
    }

    /// Where the approvals are.
    pub fn approvals(&self) -> PathBuf {
        self.directory.join("approvals")
    }

    /// Where the hints are.
    pub fn passed(&self) -> PathBuf {
        self.directory.join("passed")
    }

    /// Where refusals are noted.
    pub fn refusals(&self) -> PathBuf {
        self.directory.join("refusals.jsonl")
    }

    /// Where requests are kept.
    pub fn requests(&self) -> PathBuf {
        self.directory.join("requests")
    }

    /// Where requests are evaluated.
    pub fn evaluation(&self) -> PathBuf {
        self.directory.join("evaluation")
    }

    /// Where what was evaluated is remembered.
    pub fn evaluated(&self) -> PathBuf {
        self.directory.join("evaluated")
    }

    /// Where clients ask.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("approver.socket")
    }

    /// Waits until nobody else makes approvals; the file that is returned is the right to.
    pub fn lock(&self) -> Result<File, PlaceError> {
        let path = self.directory.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags(OFlags::NOFOLLOW))
            .open(&path)
            .map_err(PlaceError::at("open", &path))?;
        file.lock().map_err(PlaceError::at("lock", &path))?;
        Ok(file)
    }

    /// Makes the directories, writable by whoever runs this alone.
    pub fn create(&self) -> Result<(), PlaceError> {
        for directory in [&self.directory, &self.passed()] {
            fs::create_dir_all(directory)
                .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o755)))
                .map_err(PlaceError::at("make the directory", directory))?;
        }
        Ok(())
    }

    /// Opens a file that nobody but root and whoever runs this can have written: neither it nor the directory.
    pub fn open_ours(&self, path: &Path) -> Result<File, PlaceError> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK))
            .open(path)
            .map_err(PlaceError::at("open", path))?;
        let metadata = file.metadata().map_err(PlaceError::at("look at", path))?;
        if !metadata.is_file() {
            return Err(PlaceError::Kind { path: path.to_owned() });
        }
        check_owner(path, &metadata)?;
        let directory = fs::metadata(&self.directory).map_err(PlaceError::at("look at", &self.directory))?;
        check_owner(&self.directory, &directory)?;
        Ok(file)
    }

    /// The contents of a small file of ours.
    pub fn read_ours(&self, path: &Path) -> Result<Vec<u8>, PlaceError> {
        let mut bytes = Vec::new();
        self.open_ours(path)?
            .take(SMALL_FILE + 1)
            .read_to_end(&mut bytes)
            .map_err(PlaceError::at("read", path))?;
        if bytes.len() as u64 > SMALL_FILE {
            return Err(PlaceError::TooLong {
                path: path.to_owned(),
                limit: SMALL_FILE,
            });
        }
        Ok(bytes)
    }

    /// Writes a file so that whoever reads it finds the old one or the whole new one.
    pub fn replace(
        &self,
        path: &Path,
        mode: u32,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), PlaceError> {
        replace(path, mode, write)
    }
}

/// As [`Place::replace`], for any file.
pub fn replace(path: &Path, mode: u32, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), PlaceError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut fresh = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(parent)
        .map_err(PlaceError::at("write into", parent))?;
    write(fresh.as_file_mut())
        .and_then(|()| fresh.as_file().set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| fresh.as_file_mut().flush())
        .and_then(|()| fresh.as_file().sync_all())
        .map_err(PlaceError::at("write", path))?;
    fresh
        .persist(path)
        .map_err(|error| PlaceError::at("replace", path)(error.error))?;
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(PlaceError::at("flush the directory", parent))
}

fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), PlaceError> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let me = rustix::process::geteuid().as_raw();
    if (owner == 0 || owner == me) && mode & 0o022 == 0 {
        return Ok(());
    }
    let path = path.to_owned();
    Err(PlaceError::NotOurs { path, owner, mode })
}

/// The standard library takes the flags as a number.
pub(crate) fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_beside_its_files_finds_them_and_any_other_takes_the_usual_place() {
        assert_eq!(
            Place::of_hook(Path::new("/srv/gate/pre-build-hook")),
            Place::new("/srv/gate")
        );
        assert_eq!(
            Place::of_hook(Path::new("/nix/store/x/bin/touchstone-hook")),
            Place::new(DEFAULT)
        );
    }

    #[test]
    fn refuses_files_that_somebody_else_could_have_written() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path().join("gate"));
        place.create().unwrap();
        place
            .replace(&place.settings(), 0o644, |file| file.write_all(b"{}"))
            .unwrap();
        assert_eq!(place.read_ours(&place.settings()).unwrap(), b"{}");
        let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        mode(&place.settings(), 0o666);
        assert!(matches!(
            place.read_ours(&place.settings()),
            Err(PlaceError::NotOurs { .. })
        ));
        mode(&place.settings(), 0o644);
        mode(place.directory(), 0o777);
        assert!(matches!(
            place.read_ours(&place.settings()),
            Err(PlaceError::NotOurs { .. })
        ));
        mode(place.directory(), 0o755);
        std::os::unix::fs::symlink(place.settings(), place.approvals()).unwrap();
        assert!(matches!(
            place.read_ours(&place.approvals()),
            Err(PlaceError::File { .. })
        ));
    }

    #[test]
    fn refuses_a_file_of_a_foreign_owner() {
        if !rustix::process::geteuid().is_root() {
            return testkit::peer::missing("only root can give a file away");
        }
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        place
            .replace(&place.settings(), 0o644, |file| file.write_all(b"{}"))
            .unwrap();
        std::os::unix::fs::chown(place.settings(), Some(65_534), None).unwrap();
        assert!(matches!(
            place.read_ours(&place.settings()),
            Err(PlaceError::NotOurs { owner: 65_534, .. })
        ));
    }
}
