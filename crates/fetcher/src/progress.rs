//! What an update tells while it runs. The library has no terminal.

use std::io;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Asking for metadata: small files, one after the other.
    Metadata,
    /// Downloading the release; counts bytes.
    Download,
    /// Unpacking it; counts bytes of the archive.
    Unpack,
    /// Making it from an installed one and a patch; counts bytes of the patch.
    Patch,
    /// Hashing the unpacked tree.
    Check,
}

/// Hears of progress.
pub trait Progress {
    /// `step` begins; `total` is how far it will count, if it counts.
    fn begin(&self, step: Step, total: Option<u64>);
    /// The step has counted so much more.
    fn advance(&self, by: u64);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Step, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}

/// Counts what is read through it.
pub(crate) struct Counting<'a, I> {
    pub(crate) inner: I,
    pub(crate) progress: &'a dyn Progress,
}

impl<I: io::Read> io::Read for Counting<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}
