//! A local clone, opened for reading.

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use gix::{ObjectId, objs::Find as _};

use crate::{
    Forest,
    pack::{Location, Packs, Reader},
};

/// Bytes of decoded objects kept per handle: a difference of trees meets the same ones again and again.
const OBJECT_CACHE: usize = 64 * 1024 * 1024;

/// The same for a handle that reads each object once: they are made from each other all the same.
const FEW_OBJECTS: usize = 128 * 1024;

/// No object above this many bytes is read: a blob is held in memory whole.
pub(crate) const MAX_OBJECT: usize = 256 * 1024 * 1024;

/// A local clone with its whole history. Cheap to clone; each thread needs a clone of its own.
pub struct Repository {
    pub(crate) git: gix::Repository,
    /// The packs that were there when the repository was opened.
    packs: Arc<OnceLock<Arc<Packs>>>,
    /// This handle's reader of them.
    reader: RefCell<Option<Reader>>,
    /// Where it makes objects that are shared.
    buffer: RefCell<Vec<u8>>,
    /// Bytes of objects that it keeps.
    keep: usize,
}

/// The kinds of git objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// A directory.
    Tree,
    /// A file's bytes, or a symlink's target.
    Blob,
    /// An annotated tag.
    Tag,
}

/// Why a path is not a repository to work with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is nothing at the path.
    #[error("no such repository: {path} does not exist")]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// There is something else, or a repository that cannot be read.
    #[error("{path} is not a git repository that can be read")]
    Unusable {
        /// The path as given.
        path: PathBuf,
        /// What gix said.
        source: Box<gix::Error>,
    },
    /// The history is cut off: ancestry could not be judged.
    #[error("{path} is a shallow clone, and history is needed; run `git -C {path} fetch --unshallow`")]
    Shallow {
        /// The path as given.
        path: PathBuf,
    },
}

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The object is not there.
    #[error(
        "{expected} {id} is missing from {repository}; fetch it (a partial clone lacks objects until \
         `git fetch --refetch --no-filter`), and look for damage with `git fsck`"
    )]
    Missing {
        /// The wanted object.
        id: ObjectId,
        /// What it should be.
        expected: ObjectKind,
        /// Where it was looked for.
        repository: PathBuf,
    },
    /// The object is of another kind.
    #[error("expected {id} to be a {expected}, found a {found}")]
    Kind {
        /// The object.
        id: ObjectId,
        /// What it should be.
        expected: ObjectKind,
        /// What it is.
        found: ObjectKind,
    },
    /// The object is there and cannot be decoded, or is too large.
    #[error("{expected} {id} in {repository} cannot be read; look for damage with `git fsck`")]
    Unreadable {
        /// The object.
        id: ObjectId,
        /// What it should be.
        expected: ObjectKind,
        /// Where it was read.
        repository: PathBuf,
        /// What gix said.
        source: Box<gix::Error>,
    },
}

impl Repository {
    /// Opens the clone at `path`: a work tree, its `.git`, or a bare repository. Parents are not searched.
    ///
    /// Neither the environment nor the user's or system's git configuration has an influence, nor have
    /// replacement refs: two people with one commit must read one tree.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if !path.exists() {
            return Err(OpenError::NotFound { path: path.to_owned() });
        }
        let unusable = |source| OpenError::Unusable {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let options = gix::open::Options::isolated().config_overrides([
            "core.useReplaceRefs=false".to_owned(),
            "core.commitGraph=false".to_owned(),
            // A merge is made again as everybody else makes it.
            "merge.renames=true".to_owned(),
            "merge.renameLimit=7000".to_owned(),
            "merge.conflictStyle=merge".to_owned(),
            "diff.algorithm=histogram".to_owned(),
            format!("gitoxide.objects.allocLimit={MAX_OBJECT}"),
        ]);
        let mut git = gix::open_opts(path, options).map_err(unusable)?;
        if git.is_shallow().map_err(unusable)? {
            return Err(OpenError::Shallow { path: path.to_owned() });
        }
        git.object_cache_size(OBJECT_CACHE);
        Ok(Self {
            git,
            packs: Arc::default(),
            reader: RefCell::default(),
            buffer: RefCell::default(),
            keep: OBJECT_CACHE,
        })
    }

    /// The directory that holds the objects and refs.
    pub fn git_dir(&self) -> &Path {
        self.git.git_dir()
    }

    /// The bytes of a blob, at most 256 MiB.
    pub fn blob(&self, id: ObjectId) -> Result<Vec<u8>, ObjectError> {
        let mut bytes = Vec::new();
        self.read(id, ObjectKind::Blob, &mut bytes)?;
        Ok(bytes)
    }

    /// Likewise, shared with what this handle keeps: for whoever reads many large blobs that are nearly the same.
    pub fn shared_blob(&self, id: ObjectId) -> Result<Arc<[u8]>, ObjectError> {
        let mut buffer = self.buffer.borrow_mut();
        let read = self.packs().locate(id).and_then(|location| {
            let mut reader = self.reader.borrow_mut();
            let reader = reader.get_or_insert_with(|| Reader::new(Arc::clone(self.packs()), self.keep));
            reader.read_shared(location, &mut buffer)
        });
        if let Some((ObjectKind::Blob, bytes)) = read {
            return Ok(bytes);
        }
        // Whatever is the matter is said there.
        self.blob(id).map(Into::into)
    }

    /// A handle for reading each object once: it keeps few.
    pub fn uncached(&self) -> Self {
        let mut handle = self.clone();
        handle.git.object_cache_size(None);
        handle.keep = FEW_OBJECTS;
        handle
    }

    /// This repository through another handle of gix, that may know more objects.
    pub(crate) fn with_git(&self, git: gix::Repository) -> Self {
        Self { git, ..self.clone() }
    }

    /// The repository's packs. Objects that came later, loose ones and those of alternates are not in them.
    pub(crate) fn packs(&self) -> &Arc<Packs> {
        self.packs
            .get_or_init(|| Arc::new(Packs::open(self.git.objects.store_ref().path())))
    }

    /// Every tree and commit of the repository's packs, for whoever wants to compare very many of them.
    pub fn forest(&self) -> Forest {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Forest::read(self.packs(), threads)
    }

    /// Gives each of these blobs to `take`, with its place in the list. Where they lie is found for all of them at once, which
    /// is quicker for some dozens than one after the other.
    pub fn each_blob<E: From<ObjectError>>(
        &self,
        ids: &[ObjectId],
        mut take: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = Vec::new();
        for (number, (id, location)) in ids.iter().zip(self.packs().locate_all(ids)).enumerate() {
            buffer.clear();
            self.read_onto(*id, location, ObjectKind::Blob, &mut buffer)?;
            take(number, &buffer)?;
        }
        Ok(())
    }

    /// Reads the object into `buffer`, whose former contents are lost.
    pub(crate) fn read(&self, id: ObjectId, expected: ObjectKind, buffer: &mut Vec<u8>) -> Result<(), ObjectError> {
        buffer.clear();
        self.read_onto(id, self.packs().locate(id), expected, buffer)
    }

    /// Puts an object behind what is in `buffer`, if a pack has it, from where that has it; after an error, anything may be
    /// there.
    pub(crate) fn read_onto(
        &self,
        id: ObjectId,
        location: Option<Location>,
        expected: ObjectKind,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        // Git need not store the empty tree, and knows it everywhere.
        if expected == ObjectKind::Tree && id.is_empty_tree() {
            return Ok(());
        }
        let start = buffer.len();
        let mut reader = self.reader.borrow_mut();
        let reader = reader.get_or_insert_with(|| Reader::new(Arc::clone(self.packs()), self.keep));
        match location.and_then(|location| reader.read(location, buffer)) {
            Some(found) if found == expected => return Ok(()),
            Some(found) => return Err(ObjectError::Kind { id, expected, found }),
            None => buffer.truncate(start),
        }
        let mut alone = Vec::new();
        let repository = || self.git_dir().to_owned();
        match self.git.objects.try_find(&id, &mut alone) {
            Ok(Some(object)) if ObjectKind::from(object.kind) == expected => {
                buffer.extend_from_slice(object.data);
                Ok(())
            }
            Ok(Some(object)) => Err(ObjectError::Kind {
                id,
                expected,
                found: object.kind.into(),
            }),
            Ok(None) => Err(ObjectError::Missing {
                id,
                expected,
                repository: repository(),
            }),
            Err(source) => Err(ObjectError::Unreadable {
                id,
                expected,
                repository: repository(),
                source: Box::new(source),
            }),
        }
    }
}

impl Clone for Repository {
    fn clone(&self) -> Self {
        Self {
            git: self.git.clone(),
            packs: Arc::clone(&self.packs),
            reader: RefCell::default(),
            buffer: RefCell::default(),
            keep: self.keep,
        }
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repository").field(&self.git_dir()).finish()
    }
}

impl From<gix::objs::Kind> for ObjectKind {
    fn from(kind: gix::objs::Kind) -> Self {
        match kind {
            gix::objs::Kind::Commit => Self::Commit,
            gix::objs::Kind::Tree => Self::Tree,
            gix::objs::Kind::Blob => Self::Blob,
            gix::objs::Kind::Tag => Self::Tag,
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        })
    }
}
