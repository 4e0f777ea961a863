//! An installed tree as a tarball again, for stock Nix: hashed while it is written, so that what was written is what was
//! signed, whatever happens to the files meanwhile.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use attestation::{Sha256Digest, chain::Release};
use nixstore::{
    nar::{NarError, Writer as NarWriter},
    tar::Writer as TarWriter,
};
use policy::Verified;
use sha2::Sha256;

use crate::{file::FileError, generation::Generation};

/// What a channel adds at the top of upstream's tree (docs/formats.md, "The other metadata").
const EXTRAS: [&str; 3] = [".git-revision", ".version-suffix", "nixpkgs"];

/// Which of a release's two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tree {
    /// Upstream's tree alone: what flakes lock.
    Source,
    /// The tree and what the channel adds: what `nix-channel` unpacks.
    Channel,
}

impl Tree {
    /// The NAR SHA-256 that people signed for it.
    pub const fn nar(self, release: &Release) -> Sha256Digest {
        match self {
            Self::Source => release.tree_nar,
            Self::Channel => release.channel_nar,
        }
    }

    /// Whether a name at the top belongs to it.
    fn has(self, name: &[u8]) -> bool {
        self == Self::Channel || !EXTRAS.iter().any(|extra| extra.as_bytes() == name)
    }

    /// The names at the top of an installed channel that do not belong to it.
    pub const fn left_out(self) -> &'static [&'static str] {
        match self {
            Self::Source => &EXTRAS,
            Self::Channel => &[],
        }
    }
}

/// Why there is no tarball. What was written of it must not be given to anybody.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The tree is not the signed one.
    #[error("the tree has NAR SHA-256 {found}, signed is {expected}")]
    OtherTree {
        /// What was signed.
        expected: Sha256Digest,
        /// What is there.
        found: Sha256Digest,
    },
    /// Neither a file, nor a directory, nor a link.
    #[error("{} is none of a file, a directory and a link", path.display())]
    Kind {
        /// Where.
        path: PathBuf,
    },
    /// Directories within directories beyond any sane tree.
    #[error("more than {limit} directory levels at {}", path.display())]
    Depth {
        /// The bound.
        limit: usize,
        /// Where.
        path: PathBuf,
    },
    /// The tree could not be hashed.
    #[error("the tree could not be hashed")]
    Nar(#[from] NarError),
    /// The tarball could not be written.
    #[error("the tarball could not be written")]
    Write(#[source] io::Error),
    /// The tree could not be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Deeper trees are refused before they exhaust the stack.
const MAX_DEPTH: usize = 256;

/// Writes a tree of a generation as a tar file with one top directory, `top`, every entry dated when the release was
/// proposed. An error after bytes were written means that they are not the signed tree.
pub fn write<W: io::Write>(
    generation: &Generation,
    release: &Verified<Release>,
    tree: Tree,
    top: &str,
    out: W,
) -> Result<W, ArchiveError> {
    let release = release.get();
    let mtime = u64::try_from(release.time.unix()).unwrap_or(0);
    let mut both = Both {
        tar: TarWriter::new(out, mtime).map_err(ArchiveError::Write)?,
        nar: NarWriter::hashing()?,
        tree,
    };
    both.tar.directory(top).map_err(ArchiveError::Write)?;
    both.directory(&generation.nixexprs(), top, 0)?;
    let found = both.nar.digest()?.sha256;
    let expected = tree.nar(release);
    if found != expected {
        return Err(ArchiveError::OtherTree { expected, found });
    }
    both.tar.finish().map_err(ArchiveError::Write)
}

/// The two forms that one walk writes.
struct Both<W: io::Write> {
    tar: TarWriter<W>,
    nar: NarWriter<Sha256>,
    tree: Tree,
}

impl<W: io::Write> Both<W> {
    fn directory(&mut self, on_disk: &Path, inside: &str, depth: usize) -> Result<(), ArchiveError> {
        if depth == MAX_DEPTH {
            return Err(ArchiveError::Depth {
                limit: MAX_DEPTH,
                path: on_disk.to_owned(),
            });
        }
        let mut names = fs::read_dir(on_disk)
            .and_then(|entries| {
                entries
                    .map(|entry| entry.map(|entry| entry.file_name()))
                    .collect::<io::Result<Vec<_>>>()
            })
            .map_err(FileError::at("list", on_disk))?;
        names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        let tree = self.tree;
        for name in names.iter().filter(|name| depth > 0 || tree.has(name.as_bytes())) {
            self.node(&on_disk.join(name), inside, name, depth)?;
        }
        Ok(())
    }

    fn node(&mut self, on_disk: &Path, above: &str, name: &OsStr, depth: usize) -> Result<(), ArchiveError> {
        // Channels have no other names (the importer refuses them), and tar has no way to say them.
        let text = name.to_str().ok_or_else(|| ArchiveError::Kind {
            path: on_disk.to_owned(),
        })?;
        let inside = format!("{above}/{text}");
        let metadata = fs::symlink_metadata(on_disk).map_err(FileError::at("read", on_disk))?;
        let name = name.as_bytes();
        if metadata.is_dir() {
            self.tar.directory(&inside).map_err(ArchiveError::Write)?;
            self.nar.enter_directory(name)?;
            self.directory(on_disk, &inside, depth + 1)?;
            self.nar.leave_directory()?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(on_disk).map_err(FileError::at("read the link", on_disk))?;
            let target = target.as_os_str().as_bytes();
            self.tar.symlink(&inside, target).map_err(ArchiveError::Write)?;
            self.nar.symlink(name, target)?;
        } else if metadata.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            // Read once: both forms have the same bytes.
            let contents = fs::read(on_disk).map_err(FileError::at("read", on_disk))?;
            self.tar
                .file(&inside, executable, &contents)
                .map_err(ArchiveError::Write)?;
            self.nar.file(name, executable, &contents)?;
        } else {
            return Err(ArchiveError::Kind {
                path: on_disk.to_owned(),
            });
        }
        Ok(())
    }
}
