//! Finished worlds, kept to be copied: a test then starts where the interesting part begins.
//!
//! nextest runs each test in a process of its own, so the templates are directories below `target/tmp`, made under
//! a lock by whoever needs one first, and made anew when the commands were built anew or after an hour (what is
//! signed in them is dated).

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::{
    World,
    program::{binary, build_directory},
};

const USABLE_FOR: Duration = Duration::from_secs(3600);

/// A copy of the world that `make` makes.
pub(super) fn copy(name: &str, make: impl FnOnce() -> World) -> World {
    let templates = build_directory()
        .parent()
        .expect("a build directory is in target")
        .join("tmp/worlds");
    fs::create_dir_all(&templates).expect("a directory");
    let lock = File::create(templates.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("a lock");
    let template = templates.join(name);
    let marker = templates.join(format!("{name}.made-by"));
    if !is_usable(&template, &marker) {
        // Without the marker it is unfinished.
        let _ = fs::remove_file(&marker);
        let _ = fs::remove_dir_all(&template);
        let made = make();
        copy_directory(made.root.path(), &template);
        fs::write(&marker, builds()).expect("a file");
    }
    let world = duplicate(&template);
    drop(lock);
    world
}

/// A world in a new place.
pub(super) fn duplicate(template: &Path) -> World {
    let root = new_place();
    copy_directory(template, root.path());
    let world = World { root };
    world.write_git_configuration();
    world
}

/// A directory for a world: in memory where there is room, since what is flushed to a disk here is flushed hundreds of
/// times.
pub(super) fn new_place() -> TempDir {
    const ROOM: u64 = 512 << 20;
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory).is_ok_and(|stat| stat.f_bavail * stat.f_frsize >= ROOM);
    let place = if has_room {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    place.expect("a directory")
}

fn is_usable(template: &Path, marker: &Path) -> bool {
    let young = fs::metadata(marker)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age < USABLE_FOR));
    young && template.is_dir() && fs::read_to_string(marker).is_ok_and(|made_by| made_by == builds())
}

/// Which builds of the commands there are.
fn builds() -> String {
    let stamp = |name: &str| -> String {
        let path: PathBuf = binary(name);
        let metadata = fs::metadata(&path).expect("a file");
        format!(
            "{name} {}.{} {}\n",
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.size()
        )
    };
    stamp("assay") + &stamp("touchstone")
}

fn copy_directory(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg("-T").arg(from).arg(to).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "failed to copy {}",
        from.display()
    );
}
