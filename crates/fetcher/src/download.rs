//! Bounded downloads: into memory for metadata, into a file with its digest for a release.

use std::{
    cell::Cell,
    io::{self, Read as _},
};

use attestation::{Sha256Digest, tuf::TargetFile};
use install::PartialFile;
use policy::Verified;
use sha2::{Digest as _, Sha256};

use crate::{
    progress::Progress,
    resource::Resource,
    transport::{Partial, Transport, TransportError},
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

    /// A file, into whatever takes it.
    pub(crate) fn fetch(
        &self,
        resource: &Resource,
        bound: u64,
        sink: &mut dyn io::Write,
    ) -> Result<u64, TransportError> {
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

    /// A signed file of known length and digest, into `partial`, which may have its beginning from an earlier run or
    /// another mirror. If what came of that is not the signed file, it is fetched once more, all of it.
    pub(crate) fn download(
        &self,
        resource: &Resource,
        target: &Verified<TargetFile>,
        partial: &mut PartialFile,
        progress: &dyn Progress,
    ) -> Result<(), UpdateError> {
        let expected = target.get();
        let mut sink = Resumed::open(partial, progress).map_err(UpdateError::Scratch)?;
        if sink.length() > expected.length {
            sink.restart().map_err(UpdateError::Scratch)?;
        }
        let resumed = sink.length() > 0;
        let first = self.complete(resource, expected, &mut sink);
        match first {
            Err(error) if resumed && !error.is_local() && sink.was_continued && !error.is_of_the_connection() => {
                sink.restart().map_err(UpdateError::Scratch)?;
                self.complete(resource, expected, &mut sink)
            }
            other => other,
        }
    }

    /// Fetches what is missing, and compares the whole with what was signed.
    fn complete(&self, resource: &Resource, expected: &TargetFile, sink: &mut Resumed<'_>) -> Result<(), UpdateError> {
        if sink.length() < expected.length {
            self.requests.set(self.requests.get() + 1);
            let before = sink.received;
            let fetched = self.transport.fetch_rest(resource, expected.length, sink);
            self.bytes.set(self.bytes.get() + sink.received - before);
            fetched?;
        }
        if sink.length() != expected.length {
            return Err(UpdateError::Length {
                file: resource.to_string(),
                expected: expected.length,
                found: sink.length(),
            });
        }
        let found = sink.digest();
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

/// A download that hashes what it has and what comes.
struct Resumed<'a> {
    file: &'a mut PartialFile,
    hasher: Sha256,
    progress: &'a dyn Progress,
    /// Bytes that came in this run.
    received: u64,
    /// Whether what came in this run was put behind what was there.
    was_continued: bool,
}

impl<'a> Resumed<'a> {
    fn open(file: &'a mut PartialFile, progress: &'a dyn Progress) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        let source = file.read()?;
        loop {
            let count = source.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            progress.advance(count as u64);
        }
        Ok(Self {
            was_continued: file.length() > 0,
            file,
            hasher,
            progress,
            received: 0,
        })
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest::from(self.hasher.clone())
    }
}

impl Partial for Resumed<'_> {
    fn length(&self) -> u64 {
        self.file.length()
    }

    fn restart(&mut self) -> io::Result<()> {
        self.hasher = Sha256::new();
        self.was_continued = false;
        self.file.restart()
    }
}

impl io::Write for Resumed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)?;
        self.hasher.update(bytes);
        self.received += bytes.len() as u64;
        self.progress.advance(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
