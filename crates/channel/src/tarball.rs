//! `nixexprs.tar.xz`: what `nix-channel --update` unpacks, straight from git objects.
//!
//! The same objects give the same bytes, on any number of threads: entries in NAR's order, nobody's name, one time
//! for all, and xz blocks of a fixed length, which are compressed independently of each other.

use std::{
    io::{self, Write},
    num::NonZero,
};

use importer::{Extra, Node, ObjectId, Repository, TreePath, VisitError};
use liblzma::{
    stream::{Check, MtStreamBuilder},
    write::XzEncoder,
};
use nixstore::{Sha256Digest, tar};
use sha2::{Digest as _, Sha256};

/// The preset of `xz -6`: a dictionary of 8 MiB.
const PRESET: u32 = 6;

/// Uncompressed bytes in an xz block. Measured on the nixpkgs of 2014 (22 MiB of tar) against one block, with two
/// threads: 3 MiB is 3.9 % larger, 6 MiB is 2.5 % larger and takes half the time, 8 MiB is 1.8 % larger and no longer
/// divides the work evenly.
const BLOCK: u64 = 6 * 1024 * 1024;

/// Each thread needs about 120 MB; more than these are not used.
const MAX_THREADS: u32 = 8;

/// What is packed.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// The git tree.
    pub tree: ObjectId,
    /// What is added at its top.
    pub extras: &'a [Extra],
    /// The name of the one directory that holds everything, such as `nixos-26.05pre1234.c61a892f1d5b`.
    pub top_directory: &'a str,
    /// The modification time of every entry, in seconds since 1970.
    pub mtime: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Bytes written.
    pub length: u64,
    /// Their SHA-256.
    pub sha256: Sha256Digest,
}

/// Why no tarball was made. What was written of it is useless.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The tree or the extras are refused, or writing failed.
    #[error("the channel's tree could not be packed")]
    Visit(#[from] VisitError<io::Error>),
    /// The top directory's name is not one component of a path.
    #[error("expected one name of a directory for the tarball's top, found {found:?}")]
    TopDirectory {
        /// The name as given.
        found: String,
    },
    /// The compressor could not be set up.
    #[error("the xz compressor could not be set up")]
    Compressor(#[from] liblzma::stream::Error),
    /// Writing failed.
    #[error("the tarball could not be written")]
    Write(#[from] io::Error),
}

/// Writes the tarball of `contents` to `out` on up to `threads` threads (8 at most), which do not change the bytes.
/// Files are 0644 or 0755 and belong to 0:0. Memory is bounded by the threads and by the largest file.
pub fn pack<W: Write>(
    repository: &Repository,
    contents: &Contents<'_>,
    threads: NonZero<u32>,
    out: W,
) -> Result<Packed, PackError> {
    let top = TreePath::parse(contents.top_directory)
        .ok()
        .filter(|top| top.parent().is_none())
        .ok_or_else(|| PackError::TopDirectory {
            found: contents.top_directory.to_owned(),
        })?;
    let compressor = MtStreamBuilder::new()
        .threads(threads.get().min(MAX_THREADS))
        .block_size(BLOCK)
        .preset(PRESET)
        .check(Check::Crc64)
        .encoder()?;

    let mut tar = tar::Writer::new(XzEncoder::new_stream(Measured::new(out), compressor), contents.mtime)?;
    tar.directory(top.as_str())?;
    let inside = |path: &TreePath| format!("{top}/{path}");
    repository.visit_tree(contents.tree, contents.extras, |node| match node {
        Node::EnterDirectory { path } => tar.directory(&inside(path)),
        Node::LeaveDirectory => Ok(()),
        Node::File {
            path,
            executable,
            contents,
        } => tar.file(&inside(path), executable, contents),
        Node::Symlink { path, target } => tar.symlink(&inside(path), target),
    })?;
    Ok(tar.finish()?.finish()?.finish()?)
}

/// Counts and hashes what is written.
struct Measured<W> {
    out: W,
    length: u64,
    hasher: Sha256,
}

impl<W: Write> Measured<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            length: 0,
            hasher: Sha256::new(),
        }
    }

    fn finish(mut self) -> io::Result<Packed> {
        self.out.flush()?;
        Ok(Packed {
            length: self.length,
            sha256: self.hasher.into(),
        })
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.length += written as u64;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
