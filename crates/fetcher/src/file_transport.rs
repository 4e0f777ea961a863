//! A channel in a directory: a mounted mirror, a USB stick.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use install::BaseUrl;
use rustix::fs::OFlags;

use crate::{
    resource::Resource,
    transport::{Fault, Transport, TransportError},
};

/// Reads a channel from a directory.
#[derive(Debug)]
pub struct FileTransport {
    base: BaseUrl,
}

impl FileTransport {
    /// The directory of a `file://` URL; `None` for another scheme.
    pub fn new(base: BaseUrl) -> Option<Self> {
        (base.url().scheme() == "file").then_some(Self { base })
    }

    fn read(path: PathBuf, bound: u64, sink: &mut dyn io::Write) -> Result<u64, Fault> {
        // A named pipe would block the opening for ever.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Fault::NotFound),
            Err(error) => return Err(Fault::Read(error)),
        };
        if !file.metadata().map_err(Fault::Read)?.is_file() {
            return Err(Fault::NotRegular);
        }
        let mut received = 0;
        let mut file = file.take(bound + 1);
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = file.read(&mut buffer).map_err(Fault::Read)?;
            if count == 0 {
                return Ok(received);
            }
            received += count as u64;
            if received > bound {
                return Err(Fault::TooLong { bound });
            }
            sink.write_all(&buffer[..count]).map_err(Fault::Sink)?;
        }
    }
}

impl Transport for FileTransport {
    fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn fetch(&self, resource: &Resource, bound: u64, sink: &mut dyn io::Write) -> Result<u64, TransportError> {
        let url = resource.below(&self.base);
        let path = url.to_file_path();
        let fetched = path
            .map_err(|()| Fault::NotFound)
            .and_then(|path| Self::read(path, bound, sink));
        fetched.map_err(|fault| TransportError { url, fault })
    }
}
