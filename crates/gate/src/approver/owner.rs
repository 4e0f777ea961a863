//! What is the owner's: files that nobody but root can have written or can change.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// So many files has a configuration.
const MOST: usize = 20_000;

/// So deep are its directories.
const DEEPEST: usize = 64;

/// Why a file is not the owner's.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// It cannot be looked at.
    #[error("cannot look at {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else can change it.
    #[error("expected {} to be root's and writable by nobody else, found owner {owner} and mode {mode:o}", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// It is named by a link, so that it is elsewhere than it says.
    #[error("expected {} to be named by its own path, found {}", named.display(), found.display())]
    Elsewhere {
        /// As it was named.
        named: PathBuf,
        /// Where it is.
        found: PathBuf,
    },
    /// More than a configuration has.
    #[error("expected at most {MOST} files and {DEEPEST} levels of directories in {}", path.display())]
    TooMany {
        /// Where.
        path: PathBuf,
    },
}

/// Checks that a file, all that lies beside and below it, and all directories above it are root's alone.
///
/// Links within it are the evaluator's to judge: it reads through none that leaves the directory.
pub fn check(file: &Path) -> Result<(), OwnerError> {
    let found = fs::canonicalize(file).map_err(at(file))?;
    if found != file {
        return Err(OwnerError::Elsewhere {
            named: file.to_owned(),
            found,
        });
    }
    for directory in file.ancestors().skip(1) {
        // In a directory like /tmp nobody but its owner can replace an entry.
        one(directory, true)?;
    }
    let mut left = MOST;
    below(file.parent().unwrap_or(Path::new("/")), DEEPEST, &mut left)
}

fn below(directory: &Path, depth: usize, left: &mut usize) -> Result<(), OwnerError> {
    one(directory, false)?;
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let path = entry.map_err(at(directory))?.path();
        let too_many = || OwnerError::TooMany {
            path: directory.to_owned(),
        };
        *left = left.checked_sub(1).ok_or_else(too_many)?;
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        if metadata.is_dir() {
            below(&path, depth.checked_sub(1).ok_or_else(too_many)?, left)?;
        } else {
            judge(&path, &metadata, false)?;
        }
    }
    Ok(())
}

fn one(path: &Path, sticky_does: bool) -> Result<(), OwnerError> {
    judge(path, &fs::symlink_metadata(path).map_err(at(path))?, sticky_does)
}

fn judge(path: &Path, metadata: &fs::Metadata, sticky_does: bool) -> Result<(), OwnerError> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    // A link has no mode of its own.
    let closed = metadata.is_symlink() || mode & 0o022 == 0 || (sticky_does && mode & 0o1000 != 0);
    if owner == 0 && closed {
        return Ok(());
    }
    let path = path.to_owned();
    Err(OwnerError::Foreign { path, owner, mode })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OwnerError + use<> {
    let path = path.to_owned();
    move |source| OwnerError::Read { path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn refuses_a_configuration_that_somebody_else_can_change_anywhere_above_beside_or_below() {
        if !rustix::process::geteuid().is_root() {
            return testkit::peer::missing("only root can give a file away");
        }
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("nixos");
        let (file, beside, below) = (
            directory.join("configuration.nix"),
            directory.join("hardware.nix"),
            directory.join("more/a.nix"),
        );
        fs::create_dir_all(below.parent().unwrap()).unwrap();
        for path in [&file, &beside, &below] {
            fs::write(path, "{ }").unwrap();
        }
        check(&file).unwrap();
        for path in [&file, &beside, &below, &directory, &home.path().to_owned()] {
            chown(path, Some(3001), None).unwrap();
            assert!(
                matches!(check(&file), Err(OwnerError::Foreign { owner: 3001, .. })),
                "{}",
                path.display()
            );
            chown(path, Some(0), None).unwrap();
            let mode = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, fs::Permissions::from_mode(mode.mode() | 0o020)).unwrap();
            assert!(
                matches!(check(&file), Err(OwnerError::Foreign { .. })),
                "{}",
                path.display()
            );
            fs::set_permissions(path, mode).unwrap();
        }
        check(&file).unwrap();
        symlink(&file, home.path().join("link.nix")).unwrap();
        let link = check(&home.path().join("link.nix"));
        assert!(matches!(link, Err(OwnerError::Elsewhere { .. })));
    }
}
