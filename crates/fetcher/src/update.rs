//! `touchstone update`: from a subscription to an installed generation.

use std::io::{self, Seek as _};

use attestation::{ChannelName, Sha256Digest, Time, chain::Release};
use install::{
    Action, BaseUrl, FileError, GenerationNumber, InstallError, Limits, LockedState, StateError, Subscription, verify,
};
use policy::{Current, TrustError, keyring::KeyringError};

use crate::{
    download::Mirror,
    progress::{Counting, Progress, Step},
    resource::Resource,
    session::Session,
    transport::{Transport, TransportError},
};

/// What an update did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The newest release was the current generation already.
    Unchanged,
    /// The newest release was downloaded and is the current generation now.
    Installed,
    /// The newest release was there, and is the current generation now.
    Switched,
}

/// A finished update.
#[derive(Debug)]
pub struct Update {
    /// What it did.
    pub outcome: Outcome,
    /// The current generation.
    pub generation: GenerationNumber,
    /// The release in it.
    pub release: Current<Release>,
    /// The mirror that it came from.
    pub mirror: BaseUrl,
    /// How many requests that mirror was asked.
    pub requests: u64,
    /// How many bytes it gave.
    pub bytes: u64,
    /// The mirrors that were tried before, and why they did not do.
    pub failed: Vec<MirrorFailure>,
}

/// A mirror that did not do.
#[derive(Debug)]
pub struct MirrorFailure {
    /// The mirror.
    pub mirror: BaseUrl,
    /// Why.
    pub error: UpdateError,
}

/// What may be installed.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The longest tarball that is downloaded, in bytes.
    pub tarball: u64,
    /// How much it may unpack to.
    pub unpacked: Limits,
    /// How many new roots are gone through in one update.
    pub roots: u64,
}

impl Default for Bounds {
    /// A gigabyte of tarball, thirty times today's, and four times the roots that python-tuf takes.
    fn default() -> Self {
        Self {
            tarball: 1 << 30,
            unpacked: Limits::default(),
            roots: 1024,
        }
    }
}

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
    /// Whether this machine is at fault, so that no other mirror can help.
    pub fn is_local(&self) -> bool {
        match self {
            Self::State(_) | Self::Scratch(_) | Self::Install(InstallError::State(_) | InstallError::Hash(_)) => true,
            Self::Transport(error) => matches!(error.fault, crate::transport::Fault::Sink(_)),
            _ => false,
        }
    }
}

/// Checks, and keeps, that the chain which a mirror serves descends from the pinned root and has the channel: what is
/// looked at before a subscription is written. Gives the version of the newest root.
pub fn probe(
    subscription: &Subscription,
    state: &LockedState,
    mirrors: &[&dyn Transport],
    bounds: Bounds,
    now: Time,
) -> Result<u64, UpdateError> {
    let attempt = |mirror: &Mirror<'_>| {
        let mut session = Session::open(subscription, state, mirror, now)?;
        session.update_roots(bounds.roots)?;
        Ok(session.set().root().version)
    };
    first_that_does(mirrors, attempt).map(|(version, _, _)| version)
}

/// Fetches, verifies and installs the newest release of the subscribed channel from the first mirror that does.
///
/// `now` is the caller's best knowledge of the time. When nothing is new it takes two requests: the next root, which
/// is not there, and the timestamp.
pub fn update(
    subscription: &Subscription,
    state: &LockedState,
    mirrors: &[&dyn Transport],
    bounds: Bounds,
    now: Time,
    progress: &dyn Progress,
) -> Result<Update, UpdateError> {
    let attempt = |mirror: &Mirror<'_>| update_from(subscription, state, mirror, bounds, now, progress);
    let ((outcome, generation, release), mirror, failed) = first_that_does(mirrors, attempt)?;
    Ok(Update {
        outcome,
        generation,
        release,
        mirror: mirror.transport().base().clone(),
        requests: mirror.requests(),
        bytes: mirror.bytes(),
        failed,
    })
}

/// Tries the mirrors in order.
fn first_that_does<'a, T>(
    mirrors: &[&'a dyn Transport],
    attempt: impl Fn(&Mirror<'_>) -> Result<T, UpdateError>,
) -> Result<(T, Mirror<'a>, Vec<MirrorFailure>), UpdateError> {
    let mut failed = Vec::new();
    for transport in mirrors {
        let mirror = Mirror::new(*transport);
        match attempt(&mirror) {
            Ok(done) => return Ok((done, mirror, failed)),
            Err(error) if error.is_local() => return Err(error),
            Err(error) => failed.push(MirrorFailure {
                mirror: transport.base().clone(),
                error,
            }),
        }
    }
    match failed.len() {
        0 => Err(UpdateError::NoMirror),
        1 => Err(failed.remove(0).error),
        _ => Err(UpdateError::EveryMirror { failed }),
    }
}

type Done = (Outcome, GenerationNumber, Current<Release>);

fn update_from(
    subscription: &Subscription,
    state: &LockedState,
    mirror: &Mirror<'_>,
    bounds: Bounds,
    now: Time,
    progress: &dyn Progress,
) -> Result<Done, UpdateError> {
    progress.begin(Step::Metadata, None);
    let mut session = Session::open(subscription, state, mirror, now)?;
    session.update_roots(bounds.roots)?;
    session.update_release()?;
    let channel = &subscription.channel;
    let release = session.set().current_release(channel)?;
    let claims = release.verified().get();
    let floors = state.floors(subscription.chain)?;
    let floor = subscription.floor.release.max(floors.release(channel));
    if claims.sequence < floor {
        return Err(UpdateError::ReleaseBelowFloor {
            floor,
            found: claims.sequence,
        });
    }
    let (outcome, generation) = match reuse(state, &release, now, progress)? {
        Some(reused) => reused,
        None => (
            Outcome::Installed,
            download(&session, state, mirror, &release, bounds, now, progress)?,
        ),
    };
    let raised = floors
        .clone()
        .raised(session.set().root().version, claims.time, channel, claims.sequence);
    if raised != floors {
        state.keep_floors(subscription.chain, &raised)?;
    }
    Ok((outcome, generation, release))
}

/// The generation that holds the release already, made current if it was not, and only after its tree was hashed again.
fn reuse(
    state: &LockedState,
    release: &Current<Release>,
    now: Time,
    progress: &dyn Progress,
) -> Result<Option<(Outcome, GenerationNumber)>, UpdateError> {
    let claims = release.verified().get();
    let current = state.current()?;
    if let Some(current) = current
        && current.record().is_ok_and(|record| record.release == *claims)
    {
        return Ok(Some((Outcome::Unchanged, current.number())));
    }
    let Some(there) = state.find(claims)? else {
        return Ok(None);
    };
    progress.begin(Step::Check, None);
    if verify::tree(&there, release.verified()).is_err() {
        return Ok(None);
    }
    state.make_current(&there, Action::Switch, claims.sequence, now)?;
    Ok(Some((Outcome::Switched, there.number())))
}

fn download(
    session: &Session<'_>,
    state: &LockedState,
    mirror: &Mirror<'_>,
    release: &Current<Release>,
    bounds: Bounds,
    now: Time,
    progress: &dyn Progress,
) -> Result<GenerationNumber, UpdateError> {
    let channel = &release.verified().get().channel;
    let target = session
        .set()
        .target(channel.as_str(), &Resource::nixexprs_target(channel))?;
    let (length, sha256) = (target.get().length, target.get().sha256());
    let sha256 = sha256.ok_or(UpdateError::NoDigest)?;
    if length > bounds.tarball {
        return Err(UpdateError::TooLarge {
            bound: bounds.tarball,
            found: length,
        });
    }
    let mut scratch = state.scratch_file()?;
    progress.begin(Step::Download, Some(length));
    let resource = Resource::Nixexprs(channel.clone(), sha256);
    mirror.download(&resource, &target, &mut scratch, progress)?;

    progress.begin(Step::Unpack, Some(length));
    let file = scratch.file();
    file.rewind().map_err(UpdateError::Scratch)?;
    let unpacked = state.unpack(Counting { inner: file, progress }, bounds.unpacked)?;
    progress.begin(Step::Check, None);
    let checked = unpacked.check(release)?;
    drop(scratch);
    Ok(state.commit(checked, session.files(), now)?.number())
}

fn list(channels: &[ChannelName]) -> String {
    let names: Vec<_> = channels.iter().map(ChannelName::as_str).collect();
    names.join(", ")
}
