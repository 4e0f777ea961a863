//! In which order objects lie in their packs: read in it, an object is found beside what it is a delta of, while that is
//! still unpacked. A hint: what is read, and whether it is what its name says, does not depend on it.

use std::path::PathBuf;

use gix::{ObjectId, odb::pack::index};

/// `items` with their places, in the order of the packs of the repository; those that lie elsewhere come last.
pub(crate) fn sorted<'i, T>(
    repo: &gix::Repository,
    items: &'i [T],
    id: impl Fn(&T) -> Option<ObjectId>,
) -> Vec<(usize, &'i T)> {
    let packs = packs(repo);
    let place = |item: &T| {
        let id = id(item)?;
        let found = |(number, pack): (usize, &index::File)| {
            let at = pack.lookup(id)?;
            Some((number, pack.pack_offset_at_index(at)))
        };
        packs.iter().enumerate().find_map(found)
    };
    let mut all: Vec<_> = items.iter().enumerate().collect();
    all.sort_by_cached_key(|(_, item)| place(item).unwrap_or((usize::MAX, 0)));
    all
}

/// The indices of the packs that can be read.
fn packs(repo: &gix::Repository) -> Vec<index::File> {
    let directory = repo.objects.store_ref().path().join("pack");
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "idx"));
    paths.sort();
    let opened = paths.into_iter().map(|path| index::File::at(path, repo.object_hash()));
    opened.filter_map(Result::ok).collect()
}
