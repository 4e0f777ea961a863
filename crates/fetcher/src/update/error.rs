//! Why a machine was not updated.

use std::io;

use attestation::{ChannelName, Sha256Digest};
use install::{FileError, InstallError, StateError};
use policy::{TrustError, keyring::KeyringError};

use super::MirrorFailure;
use crate::{resource::PlainNameError, transport::TransportError};

/// Why a machine was not updated.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// A file could not be fetched.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Signed files are refused.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The certificates are refused.
    #[error("the keyring is refused")]
    Keyring(#[from] KeyringError),
    /// A chain that goes on for ever.
    #[error("more than {limit} new roots")]
    TooManyRoots {
        /// The bound.
        limit: u64,
    },
    /// Delegations that go on for ever.
    #[error("more than {limit} delegated roles would have to be asked for one file")]
    TooManyRoles {
        /// The bound.
        limit: usize,
    },
    /// The mirror's newest root is older than one that is known.
    #[error("the newest root is version {found}, expected at least {floor}")]
    RootBelowFloor {
        /// The lowest version that is accepted.
        floor: u64,
        /// The version that was found.
        found: u64,
    },
    /// The mirror's newest release is older than one that is known.
    #[error("the newest release is number {found}, expected at least {floor}")]
    ReleaseBelowFloor {
        /// The lowest sequence that is accepted.
        floor: u64,
        /// The sequence that was found.
        found: u64,
    },
    /// The chain's policy has no such channel.
    #[error("the chain has no channel {channel}; it has {}", list(known))]
    NoSuchChannel {
        /// The channel that was subscribed to.
        channel: ChannelName,
        /// Those that there are.
        known: Vec<ChannelName>,
    },
    /// The tarball is larger than anybody's.
    #[error("the tarball has {found} bytes, at most {bound} are taken")]
    TooLarge {
        /// The bound.
        bound: u64,
        /// Its signed length.
        found: u64,
    },
    /// A file is shorter than what was signed.
    #[error("{file} has {found} bytes, signed are {expected}")]
    Length {
        /// Which file.
        file: String,
        /// What was signed.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A file is not the one that was signed.
    #[error("{file} has SHA-256 {found}, signed is {expected}")]
    Digest {
        /// Which file.
        file: String,
        /// What was signed.
        expected: String,
        /// What came.
        found: Sha256Digest,
    },
    /// The tarball was signed by another digest than SHA-256.
    #[error("no SHA-256 of the tarball is signed")]
    NoDigest,
    /// A signed file whose name would be a path.
    #[error("a signed file has a name that no mirror can serve")]
    TargetName(#[from] PlainNameError),
    /// The release was not installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The downloaded file could not be used.
    #[error("cannot use the downloaded file")]
    Scratch(#[source] io::Error),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// There are several mirrors, and none did.
    #[error("none of {} mirrors did", failed.len())]
    EveryMirror {
        /// The mirrors in order, and why they did not do.
        failed: Vec<MirrorFailure>,
    },
    /// There is no mirror to ask.
    #[error("no mirror to ask")]
    NoMirror,
}

impl From<FileError> for UpdateError {
    fn from(error: FileError) -> Self {
        Self::State(error.into())
    }
}

impl UpdateError {
    /// Whether the line broke, and nobody said anything wrong: what came may be the beginning of an honest file.
    pub(crate) const fn is_of_the_connection(&self) -> bool {
        matches!(self, Self::Transport(error) if error.fault.is_of_the_connection())
    }

    /// Whether this machine is at fault, so that no other mirror can help.
    pub fn is_local(&self) -> bool {
        match self {
            Self::State(_) | Self::Scratch(_) | Self::Install(InstallError::State(_) | InstallError::Hash(_)) => true,
            Self::Transport(error) => matches!(error.fault, crate::transport::Fault::Sink(_)),
            _ => false,
        }
    }
}

fn list(channels: &[ChannelName]) -> String {
    let names: Vec<_> = channels.iter().map(ChannelName::as_str).collect();
    names.join(", ")
}
