//! Bounded downloads: into memory for metadata, into a file with its digest for a release.

use std::{
    cell::Cell,
    io::{self, Write as _},
};

use attestation::{Sha256Digest, tuf::TargetFile};
use install::Scratch;
use policy::Verified;
use sha2::{Digest as _, Sha256};

use crate::{
    progress::{Counting, Progress},
    resource::Resource,
    transport::{Transport, TransportError},
    update::UpdateError,
};

/// A mirror, and how much it was asked for.
pub(crate) struct Mirror<'a> {
    transport: &'a dyn Transport,
    requests: Cell<u64>,
    bytes: Cell<u64>,
}

impl<'a> Mirror<'a> {
    pub(crate) const fn new(transport: &'a dyn Transport) -> Self {
        Self {
            transport,
            requests: Cell::new(0),
            bytes: Cell::new(0),
        }
    }

    pub(crate) fn transport(&self) -> &'a dyn Transport {
        self.transport
    }

    pub(crate) const fn requests(&self) -> u64 {
        self.requests.get()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    fn fetch(&self, resource: &Resource, bound: u64, sink: &mut dyn io::Write) -> Result<u64, TransportError> {
        self.requests.set(self.requests.get() + 1);
        let length = self.transport.fetch(resource, bound, sink)?;
        self.bytes.set(self.bytes.get() + length);
        Ok(length)
    }

    /// A small file.
    pub(crate) fn get(&self, resource: &Resource, bound: u64) -> Result<Vec<u8>, TransportError> {
        let mut bytes = Vec::new();
        self.fetch(resource, bound, &mut bytes)?;
        Ok(bytes)
    }

    /// A signed file of known length and digest, into `scratch`. The digest is computed as the bytes pass.
    pub(crate) fn download(
        &self,
        resource: &Resource,
        target: &Verified<TargetFile>,
        scratch: &mut Scratch,
        progress: &dyn Progress,
    ) -> Result<(), UpdateError> {
        let expected = target.get();
        let mut sink = Hashing {
            hasher: Sha256::new(),
            out: io::BufWriter::with_capacity(256 << 10, scratch.file()),
        };
        let mut counting = Counting {
            inner: &mut sink,
            progress,
        };
        let length = self.fetch(resource, expected.length, &mut counting)?;
        sink.out.flush().map_err(UpdateError::Scratch)?;
        if length != expected.length {
            return Err(UpdateError::Length {
                file: resource.to_string(),
                expected: expected.length,
                found: length,
            });
        }
        let found = Sha256Digest::from(sink.hasher);
        if expected.sha256() != Some(found) {
            return Err(UpdateError::Digest {
                file: resource.to_string(),
                expected: expected.hashes.get("sha256").cloned().unwrap_or_default(),
                found,
            });
        }
        Ok(())
    }
}

/// A writer that hashes what passes.
struct Hashing<W> {
    hasher: Sha256,
    out: W,
}

impl<W: io::Write> io::Write for &mut Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
