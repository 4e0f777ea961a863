//! Lock files that a killed git or `assay` left in the clones of a work folder.
//!
//! Nobody but this run works there, so such a file is nobody's; but a process that outlived its killed parent may
//! still hold one, and only for a moment. One that stays for longer is removed, as git itself advises.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::failure::{Failure, Result};
use crate::process::Terminal;
use crate::steps;

/// How long a process may hold a lock that is somebody's.
const LONGEST: Duration = Duration::from_secs(10);

/// Removes what is left in these git directories; those that do not exist have nothing.
pub(super) fn remove_left(directories: &[PathBuf], terminal: &Terminal) -> Result<()> {
    let mut found = Vec::new();
    for directory in directories.iter().filter(|directory| directory.is_dir()) {
        locks(directory, false, &mut found)?;
        locks(&directory.join("refs"), true, &mut found)?;
    }
    for lock in found {
        thread::sleep(LONGEST.saturating_sub(age(&lock)));
        if age(&lock) >= LONGEST {
            terminal.say(&format!(
                "{} was left by a run that was killed; it is removed",
                lock.display()
            ));
            steps::remove(&lock)?;
        }
    }
    Ok(())
}

/// How old a file is; new if it is gone or from the future.
fn age(path: &Path) -> Duration {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = written.map(|written| SystemTime::now().duration_since(written));
    age.unwrap_or(Ok(Duration::ZERO)).unwrap_or(Duration::ZERO)
}

/// The lock files in a folder, or in all below it.
fn locks(folder: &Path, below: bool, found: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || Failure::io(format!("list {}", folder.display()));
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.is_dir() && below {
            locks(&path, below, found)?;
        } else if path.extension().is_some_and(|ending| ending == "lock") && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_locks_of_git_are_removed() {
        let folder = std::env::temp_dir().join(format!("xtask-locks-{}", std::process::id()));
        let file = |name: &str, seconds: u64| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
            let file = fs::File::create(&path).expect("a file");
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
                .expect("a time");
            path
        };
        let removed = [file("refs/heads/touchstone.lock", 60), file("packed-refs.lock", 60)];
        let kept = [file("refs/heads/touchstone", 60), file("objects/ab/cd.lock", 60)];
        remove_left(&[folder.clone(), folder.join("none")], &Terminal::QUIET).expect("it is ours");
        assert!(removed.iter().all(|path| !path.exists()));
        assert!(kept.iter().all(|path| path.exists()));
        fs::remove_dir_all(&folder).expect("it is ours");
    }
}
