//! NAR, the archive format over which Nix computes the hash of a file tree.
//!
//! A NAR has one spelling for each tree: entries sorted by the bytes of their names, no owners, no times, and of
//! the mode only the executable bit. [`Writer`] refuses to write anything else. Source: the Nix manual, "Nix
//! archive format".

mod disk;

use std::io::{self, BufWriter, Read, Write};

use sha2::Sha256;

pub use disk::{DiskError, hash_directory, hash_path, write_path};

use crate::Sha256Digest;

/// Buffer between the many short strings of the format and what takes the archive, and for reading files.
const BUFFER: usize = 64 * 1024;

/// The same before a hash, where a call costs little and a copy of what is long is for nothing.
const HASHING: usize = 2 * 1024;

/// The SHA-256 of a NAR and its length: what `nix hash path` and `narSize` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NarDigest {
    /// The digest of the whole archive.
    pub sha256: Sha256Digest,
    /// The length of the archive in bytes.
    pub size: u64,
}

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum NarError {
    /// What takes the archive failed.
    #[error("writing the archive failed")]
    Write(#[source] io::Error),
    /// What gives a file's contents failed.
    #[error("reading the contents of {name:?} failed")]
    Read {
        /// The entry's name.
        name: String,
        /// What the reader said.
        source: io::Error,
    },
    /// A file gave another number of bytes than announced.
    #[error("expected {expected} bytes in {name:?}, found {found}")]
    Length {
        /// The entry's name.
        name: String,
        /// The announced length in bytes.
        expected: u64,
        /// How many bytes there were; one more than announced when there were too many.
        found: u64,
    },
    /// A name that no directory entry can have.
    #[error("expected a file name without / and NUL that is not empty, . or .., found {found:?}")]
    Name {
        /// The name, made printable.
        found: String,
    },
    /// Two entries of a directory have one name, or are not sorted by the bytes of their names.
    #[error("expected a name after {previous:?}, found {found:?}")]
    Order {
        /// The entry written before.
        previous: String,
        /// The entry that should have come earlier, or only once.
        found: String,
    },
    /// An empty symlink target, or one with a NUL.
    #[error("expected a symlink target that is not empty and without NUL, found {found:?} in {name:?}")]
    Target {
        /// The entry's name.
        name: String,
        /// The target, made printable.
        found: String,
    },
    /// More directories were left than entered, or fewer.
    #[error("expected {expected} open directories, found {found}")]
    Depth {
        /// How many directories must be open for this step.
        expected: usize,
        /// How many are open.
        found: usize,
    },
}

/// Writes the NAR of one directory, entry by entry, in the order of the format.
///
/// Names must come sorted by their bytes within each directory, whether they name files or directories (a git
/// tree sorts a directory as if its name ended in `/`). After an error the archive is unusable.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: Counted<W>,
    /// For each open directory, outermost first, the name last written in it. Empty for none yet.
    open: Vec<Vec<u8>>,
}

impl<W: Write> Writer<W> {
    /// Begins the archive of a directory.
    pub fn new(out: W) -> Result<Self, NarError> {
        Self::begin(Counted::new(out, BUFFER))
    }

    fn begin(mut out: Counted<W>) -> Result<Self, NarError> {
        out.string(b"nix-archive-1")?;
        out.raw(&DIRECTORY)?;
        Ok(Self {
            out,
            open: vec![Vec::new()],
        })
    }

    /// Begins a directory inside the current one; what follows is in it until [`Self::leave_directory`].
    pub fn enter_directory(&mut self, name: &[u8]) -> Result<(), NarError> {
        self.begin_entry(name)?;
        self.out.raw(&DIRECTORY)?;
        self.open.push(Vec::new());
        Ok(())
    }

    /// Ends the directory begun last.
    pub fn leave_directory(&mut self) -> Result<(), NarError> {
        if self.open.len() < 2 {
            return Err(NarError::Depth {
                expected: 2,
                found: self.open.len(),
            });
        }
        self.open.pop();
        self.out.raw(&TWICE_CLOSED)
    }

    /// Writes a regular file.
    pub fn file(&mut self, name: &[u8], executable: bool, contents: &[u8]) -> Result<(), NarError> {
        self.begin_entry(name)?;
        self.out.regular_header(executable)?;
        self.out.string(contents)?;
        self.out.raw(&TWICE_CLOSED)
    }

    /// Writes a regular file of `length` bytes that `contents` gives; another length is an error.
    pub fn file_from(
        &mut self,
        name: &[u8],
        executable: bool,
        length: u64,
        contents: impl Read,
    ) -> Result<(), NarError> {
        self.begin_entry(name)?;
        self.out.regular_header(executable)?;
        self.out.contents_from(name, length, contents)?;
        self.out.raw(&TWICE_CLOSED)
    }

    /// Writes a symbolic link.
    pub fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), NarError> {
        self.begin_entry(name)?;
        self.out.symlink(name, target)?;
        self.out.string(b")")
    }

    /// Ends the archive; gives back what took it, flushed, and the archive's length in bytes.
    pub fn finish(mut self) -> Result<(W, u64), NarError> {
        if self.open.len() != 1 {
            return Err(NarError::Depth {
                expected: 1,
                found: self.open.len(),
            });
        }
        self.out.string(b")")?;
        self.out.finish()
    }

    fn begin_entry(&mut self, name: &[u8]) -> Result<(), NarError> {
        if matches!(name, b"" | b"." | b"..") || name.iter().any(|&byte| byte == b'/' || byte == 0) {
            return Err(NarError::Name { found: printable(name) });
        }
        let Some(previous) = self.open.last_mut() else {
            return Err(NarError::Depth { expected: 1, found: 0 });
        };
        if name <= previous.as_slice() {
            return Err(NarError::Order {
                previous: printable(previous),
                found: printable(name),
            });
        }
        previous.clear();
        previous.extend_from_slice(name);
        self.out.raw(&ENTRY)?;
        self.out.string(name)?;
        self.out.raw(&NODE)
    }
}

impl Writer<Sha256> {
    /// An archive of which only the digest is wanted.
    pub fn hashing() -> Result<Self, NarError> {
        Self::begin(Counted::new(Sha256::default(), HASHING))
    }

    /// Ends the archive and gives its digest.
    pub fn digest(self) -> Result<NarDigest, NarError> {
        let (hasher, size) = self.finish()?;
        Ok(NarDigest {
            sha256: hasher.into(),
            size,
        })
    }
}

// What stands around names and contents, as bytes: a tree has a dozen of these strings for each of its files.
const DIRECTORY: [u8; 56] = encoded(&[b"(", b"type", b"directory"]);
const ENTRY: [u8; 48] = encoded(&[b"entry", b"(", b"name"]);
const NODE: [u8; 16] = encoded(&[b"node"]);
const REGULAR: [u8; 48] = encoded(&[b"(", b"type", b"regular"]);
const EXECUTABLE: [u8; 32] = encoded(&[b"executable", b""]);
const CONTENTS: [u8; 16] = encoded(&[b"contents"]);
const TWICE_CLOSED: [u8; 32] = encoded(&[b")", b")"]);

/// The format's strings, each shorter than 256 bytes, that together are so long.
const fn encoded<const LENGTH: usize>(strings: &[&[u8]]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let (mut at, mut string) = (0, 0);
    while string < strings.len() {
        let text = strings[string];
        assert!(text.len() < 256);
        #[expect(clippy::cast_possible_truncation, reason = "it is shorter than 256 bytes")]
        let length = text.len() as u8;
        bytes[at] = length;
        at += 8;
        let mut byte = 0;
        while byte < text.len() {
            bytes[at + byte] = text[byte];
            byte += 1;
        }
        at += text.len().next_multiple_of(8);
        string += 1;
    }
    assert!(at == LENGTH);
    bytes
}

/// The format's strings (length, bytes, padding to eight), counted.
#[derive(Debug)]
struct Counted<W: Write> {
    out: BufWriter<W>,
    written: u64,
    /// What has been read of a file and not yet written.
    chunk: Vec<u8>,
}

impl<W: Write> Counted<W> {
    fn new(out: W, buffer: usize) -> Self {
        Self {
            out: BufWriter::with_capacity(buffer, out),
            written: 0,
            chunk: Vec::new(),
        }
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<(), NarError> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes).map_err(NarError::Write)
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), NarError> {
        self.raw(&(bytes.len() as u64).to_le_bytes())?;
        self.raw(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn strings(&mut self, strings: &[&[u8]]) -> Result<(), NarError> {
        strings.iter().try_for_each(|string| self.string(string))
    }

    fn pad(&mut self, length: u64) -> Result<(), NarError> {
        const ZEROS: [u8; 8] = [0; 8];
        match (length % 8) as usize {
            0 => Ok(()),
            used => self.raw(&ZEROS[used..]),
        }
    }

    /// A regular file's node up to the string of its contents.
    fn regular_header(&mut self, executable: bool) -> Result<(), NarError> {
        self.raw(&REGULAR)?;
        if executable {
            self.raw(&EXECUTABLE)?;
        }
        self.raw(&CONTENTS)
    }

    fn contents_from(&mut self, name: &[u8], length: u64, contents: impl Read) -> Result<(), NarError> {
        self.raw(&length.to_le_bytes())?;
        // One byte more than announced is enough to know that there are too many.
        let mut reader = contents.take(length.saturating_add(1));
        let mut chunk = std::mem::take(&mut self.chunk);
        let mut found = 0;
        loop {
            chunk.clear();
            let count = (&mut reader)
                .take(BUFFER as u64)
                .read_to_end(&mut chunk)
                .map_err(|source| NarError::Read {
                    name: printable(name),
                    source,
                })?;
            found += count as u64;
            if count == 0 || found > length {
                break;
            }
            self.raw(&chunk)?;
        }
        self.chunk = chunk;
        if found != length {
            return Err(NarError::Length {
                name: printable(name),
                expected: length,
                found,
            });
        }
        self.pad(length)
    }

    fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), NarError> {
        if target.is_empty() || target.contains(&0) {
            return Err(NarError::Target {
                name: printable(name),
                found: printable(target),
            });
        }
        self.strings(&[b"(", b"type", b"symlink", b"target", target, b")"])
    }

    fn finish(self) -> Result<(W, u64), NarError> {
        let out = self
            .out
            .into_inner()
            .map_err(|error| NarError::Write(error.into_error()))?;
        Ok((out, self.written))
    }
}

/// A name for an error message: never fails, and what is not UTF-8 is seen to be replaced.
fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
