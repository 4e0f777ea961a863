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
    /// The server points elsewhere. A mirror is what its owner named, not what a server says.
    #[error("redirected to {to:?}; redirects are not followed")]
    Redirect {
        /// Where to.
        to: String,
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
