//! The seam to the outside: something that answers for files below a base URL. Whatever it gives is untrusted.

use std::{io, time::Duration};

use install::BaseUrl;
use url::Url;

use crate::resource::Resource;

/// Fetches files of a channel. Two kinds exist: [`crate::HttpTransport`] and [`crate::FileTransport`].
pub trait Transport {
    /// Where it fetches from.
    fn base(&self) -> &BaseUrl;

    /// Writes the file to `sink` as it arrives and gives its length. More than `bound` bytes are an error, and never
    /// written; less are not: whoever knows the length compares.
    fn fetch(&self, resource: &Resource, bound: u64, sink: &mut dyn io::Write) -> Result<u64, TransportError>;

    /// As [`Self::fetch`], of a file of which `partial` has the beginning already: appends the rest, or starts again
    /// where the rest alone cannot be had. Gives how many bytes came. The beginning may be anything (another mirror's,
    /// a liar's): whoever knows the digest of the whole compares.
    fn fetch_rest(&self, resource: &Resource, bound: u64, partial: &mut dyn Partial) -> Result<u64, TransportError> {
        match partial.restart() {
            Ok(()) => self.fetch(resource, bound, partial),
            Err(error) => Err(TransportError {
                url: resource.below(self.base()),
                fault: Fault::Sink(error),
            }),
        }
    }
}

/// A sink that keeps what an earlier fetch has left in it.
pub trait Partial: io::Write {
    /// How many bytes it has.
    fn length(&self) -> u64;
    /// Forgets them.
    fn restart(&mut self) -> io::Result<()>;
}

/// A file that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {url}")]
pub struct TransportError {
    /// Its address.
    pub url: Url,
    /// What was wrong.
    #[source]
    pub fault: Fault,
}

impl Fault {
    /// Whether the line is at fault, or the server's patience: what came so far may be the beginning of an honest file.
    pub(crate) const fn is_of_the_connection(&self) -> bool {
        matches!(
            self,
            Self::TooSlow { .. } | Self::Connection(_) | Self::BrokeOff { .. } | Self::Status { .. }
        )
    }
}

/// What can be wrong with a fetch.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// The server answered something else than yes or no.
    #[error("expected status 200, found {found}")]
    Status {
        /// The status.
        found: u16,
    },
    /// The server points to where the machine's owner does not allow. A mirror is what its owner named, not what a
    /// server says.
    #[error("redirected to {to:?}, which is not allowed")]
    Redirect {
        /// Where to.
        to: String,
    },
    /// From one allowed place to the next, without end.
    #[error("redirected more than {limit} times")]
    TooManyRedirects {
        /// The bound.
        limit: usize,
    },
    /// Asked for the rest of a file, the server sent another part of it.
    #[error("expected the bytes from {expected} on, found {found:?}")]
    OtherRange {
        /// From where on it was asked for.
        expected: u64,
        /// What the server says it sent.
        found: String,
    },
    /// The server announced more than there may be.
    #[error("expected at most {bound} bytes, {found} are announced")]
    AnnouncedTooLong {
        /// The bound.
        bound: u64,
        /// The announced length.
        found: u64,
    },
    /// More came than there may be.
    #[error("expected at most {bound} bytes, more came")]
    TooLong {
        /// The bound.
        bound: u64,
    },
    /// The server compressed the file, unasked.
    #[error("expected the file as it is, found content encoding {found:?}")]
    Encoded {
        /// The encoding.
        found: String,
    },
    /// Slower than anybody's line: as good as an attack that stalls.
    #[error("too slow: {received} bytes in {} seconds", after.as_secs())]
    TooSlow {
        /// How much had come.
        received: u64,
        /// In which time.
        after: Duration,
    },
    /// No connection, or a broken one.
    #[error("no answer")]
    Connection(#[source] reqwest::Error),
    /// The answer broke off.
    #[error("broke off after {received} bytes")]
    BrokeOff {
        /// How much had come.
        received: u64,
        /// Why.
        source: reqwest::Error,
    },
    /// A local file could not be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// A directory, pipe or device where a file should be.
    #[error("not a regular file")]
    NotRegular,
    /// The place that it was written to failed: not the network's fault.
    #[error("cannot write what was fetched")]
    Sink(#[source] io::Error),
}
