//! What was written stays written: gix does not flush to the disk, so this does.
//!
//! The order is the point: the objects first, then the ref that names them. A power cut leaves the old
//! branch or the new one, and objects that nobody names.

use std::{fs::File, io, path::Path};

use gix::ObjectId;

/// Flushes the loose objects among `ids` and the directories that name them.
pub(crate) fn flush_objects(repo: &gix::Repository, ids: &[ObjectId]) -> io::Result<()> {
    let objects = repo.common_dir().join("objects");
    let mut directories = std::collections::BTreeSet::new();
    for id in ids {
        let hex = id.to_hex().to_string();
        let (directory, name) = hex.split_at(2);
        let directory = objects.join(directory);
        // An object that was there before may lie in a pack, which git flushes when it writes it.
        if flush(&directory.join(name))? {
            directories.insert(directory);
        }
    }
    for directory in &directories {
        flush(directory)?;
    }
    if !directories.is_empty() {
        flush(&objects)?;
    }
    Ok(())
}

/// Flushes the file of a loose ref and its directory.
pub(crate) fn flush_ref(repo: &gix::Repository, name: &str) -> io::Result<()> {
    let path = repo.common_dir().join(name);
    flush(&path)?;
    path.parent().map_or(Ok(false), flush).map(drop)
}

fn flush(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        Ok(file) => file.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
