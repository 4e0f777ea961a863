//! Every file of a tree.

use attestation::unit::ListedFile;
use gix::ObjectId;
use nixstore::Sha256Digest;

use crate::{FileMode, Repository, TreeError, path::TreePath, repository::ObjectError, walk::Met};

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Its path from the root of the tree.
    pub path: TreePath,
    /// What it is.
    pub mode: FileMode,
    /// Its blob; of a submodule, the commit.
    pub id: ObjectId,
}

/// Every file of a tree, sorted by path; directories are only in the paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    files: Vec<TreeFile>,
}

impl Listing {
    /// The files, sorted by path.
    pub fn files(&self) -> &[TreeFile] {
        &self.files
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&TreeFile> {
        let position = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(position)
    }

    /// The files below the directory `path`, at any depth, sorted by path; all for `""`.
    pub fn under<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a TreeFile> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let start = self.files.partition_point(|file| file.path.as_str() < prefix.as_str());
        self.files[start..]
            .iter()
            .take_while(move |file| file.path.as_str().starts_with(&prefix))
    }
}

impl Repository {
    /// Lists every file of a tree. At most half a million, with the directories; see [`TreeError`] for what is refused.
    pub fn listing(&self, tree: ObjectId) -> Result<Listing, TreeError> {
        let mut files = self.files_of(tree, "", 0)?;
        // They nearly are: a directory is sorted by its name alone.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Listing { files })
    }

    /// The lines of a unit's listing for these files, in the same order: SHA-256 of each file's bytes, of a
    /// symlink's target, of a submodule's commit id in hexadecimal. Blobs are read in parallel, and no cache of digests is
    /// asked.
    pub fn listed_files(&self, files: &[TreeFile]) -> Result<Vec<ListedFile>, ObjectError> {
        let is_blob = |file: &&TreeFile| file.mode != FileMode::Submodule;
        let blobs: Vec<_> = files.iter().filter(is_blob).map(|file| file.id).collect();
        let mut digests = self.blob_digests(&blobs)?.into_iter();
        Ok(files
            .iter()
            .map(|file| {
                let blob = is_blob(&file).then(|| digests.next()).flatten();
                ListedFile {
                    path: file.path.as_str().to_owned(),
                    mode: file.mode,
                    sha256: blob.map_or_else(|| Sha256Digest::of(file.id.to_string()), |blob| blob.sha256),
                }
            })
            .collect())
    }

    /// Every file of the tree of `directory`, in no promised order.
    pub(crate) fn files_of(&self, tree: ObjectId, directory: &str, depth: usize) -> Result<Vec<TreeFile>, TreeError> {
        let met = self.walk(tree, directory, depth)?.into_iter();
        let files = met.filter_map(|met| match met {
            Met::File(file) => Some(file),
            Met::Enter(_) | Met::Leave => None,
        });
        Ok(files.collect())
    }
}
