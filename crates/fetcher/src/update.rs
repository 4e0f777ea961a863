//! `touchstone update`: from a subscription to an installed generation.

mod error;

use std::fs::File;

use attestation::{Time, chain::Release, tuf::TargetFile};
use install::{
    Action, BaseUrl, Checked, Generation, GenerationNumber, Limits, LockedState, Subscription, patch::Share, verify,
};
use policy::{Current, TrustedSet, Verified};

use crate::{
    download::Mirror,
    mirrors::{Glance, MirrorView, View, glance},
    progress::{Counting, Progress, Step},
    resource::{Resource, TargetName},
    session::Session,
    transport::Transport,
};

pub use error::UpdateError;

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

/// How a release that was not there got here.
#[derive(Debug)]
pub enum Fetched {
    /// It was there.
    Nothing,
    /// The whole tarball.
    Whole {
        /// Why not by a patch, where there was one.
        patch: Option<UpdateError>,
    },
    /// A patch, and the unchanged files of an installed generation.
    Patch {
        /// The generation.
        from: GenerationNumber,
    },
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
    /// How it got here.
    pub fetched: Fetched,
    /// The mirror that it came from.
    pub mirror: BaseUrl,
    /// How many requests that mirror was asked.
    pub requests: u64,
    /// How many bytes it gave.
    pub bytes: u64,
    /// Every mirror of the subscription, in order, and what it showed.
    pub mirrors: Vec<MirrorView>,
}

/// A mirror that did not do.
#[derive(Debug)]
pub struct MirrorFailure {
    /// The mirror.
    pub mirror: BaseUrl,
    /// Why.
    pub error: UpdateError,
}

/// What an update may do beside the usual.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What may be installed.
    pub bounds: Bounds,
    /// Whether a new generation shares its unchanged files with the one before.
    pub share: Share,
    /// Whether the current generation is hashed again, and replaced by a whole download if somebody has touched it.
    pub repair: bool,
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

/// Fetches, verifies and installs the newest release of the subscribed channel from the first mirror that does, and
/// holds the others against it: from one that shows something newer, that is installed.
///
/// `now` is the caller's best knowledge of the time. When nothing is new it takes one request of each mirror: the
/// timestamp.
pub fn update(
    subscription: &Subscription,
    state: &LockedState,
    mirrors: &[&dyn Transport],
    options: Options,
    now: Time,
    progress: &dyn Progress,
) -> Result<Update, UpdateError> {
    let run = Run {
        subscription,
        state,
        options,
        now,
        progress,
    };
    let (mut done, mut used, failed) = first_that_does(mirrors, |mirror| run.update_from(mirror))?;
    let mut views: Vec<_> = failed
        .into_iter()
        .map(|failure| (failure.mirror, View::of_failure(failure.error)))
        .collect();
    views.push((used.transport().base().clone(), View::Used));
    for transport in &mirrors[views.len()..] {
        let mirror = Mirror::new(*transport);
        let view = match glance(&mirror, &done.set) {
            Glance::Seen(view) => view,
            Glance::Newer => match run.update_from(&mirror) {
                Ok(newer) if newer.set.timestamp_version() > done.set.timestamp_version() => {
                    // What was the newest until now is not, and neither is who agreed with it.
                    let newest = newer.set.timestamp_version().unwrap_or(0);
                    let found = done.set.timestamp_version().unwrap_or(0);
                    for (_, view) in &mut views {
                        if matches!(view, View::Used | View::Agrees) {
                            *view = View::Behind { found, newest };
                        }
                    }
                    (done, used) = (newer, mirror);
                    View::Used
                }
                Ok(_) => View::Agrees,
                Err(error) if error.is_local() => return Err(error),
                Err(error) => View::of_failure(error),
            },
        };
        views.push((transport.base().clone(), view));
    }
    Ok(Update {
        outcome: done.outcome,
        generation: done.generation,
        release: done.release,
        fetched: done.fetched,
        mirror: used.transport().base().clone(),
        requests: used.requests(),
        bytes: used.bytes(),
        mirrors: views
            .into_iter()
            .map(|(mirror, view)| MirrorView { mirror, view })
            .collect(),
    })
}

/// Tries the mirrors in order.
pub(crate) fn first_that_does<'a, T>(
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

/// What an update from one mirror came to.
struct Done {
    outcome: Outcome,
    generation: GenerationNumber,
    release: Current<Release>,
    fetched: Fetched,
    set: TrustedSet,
}

/// One update, whichever the mirror.
struct Run<'a> {
    subscription: &'a Subscription,
    state: &'a LockedState,
    options: Options,
    now: Time,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    fn update_from(&self, mirror: &Mirror<'_>) -> Result<Done, UpdateError> {
        let Self {
            subscription,
            state,
            progress,
            ..
        } = self;
        progress.begin(Step::Metadata, None);
        let mut session = Session::open(subscription, state, mirror, self.now)?;
        if !session.is_unchanged()? {
            session.update_roots(self.options.bounds.roots)?;
            session.update_release()?;
        }
        let channel = &subscription.channel;
        let release = session.set().current_release(channel)?;
        let claims = release.verified().get();
        let floors = session.check_release_floor(claims)?;
        let (outcome, generation, fetched) = match self.reuse(&release)? {
            Some((outcome, generation)) => (outcome, generation, Fetched::Nothing),
            None => {
                let (generation, fetched) = self.install(&session, mirror, &release)?;
                (Outcome::Installed, generation, fetched)
            }
        };
        let raised = floors
            .clone()
            .raised(session.set().root().version, claims.time, channel, claims.sequence);
        if raised != floors {
            state.keep_floors(subscription.chain, &raised)?;
        }
        Ok(Done {
            outcome,
            generation,
            release,
            fetched,
            set: session.into_set(),
        })
    }

    /// The generation that holds the release already, made current if it was not, and only after its tree was hashed
    /// again.
    fn reuse(&self, release: &Current<Release>) -> Result<Option<(Outcome, GenerationNumber)>, UpdateError> {
        let claims = release.verified().get();
        let current = self.state.current()?;
        if let Some(current) = current
            && current.record().is_ok_and(|record| record.release == *claims)
            && (!self.options.repair || verify::tree(&current, release.verified()).is_ok())
        {
            return Ok(Some((Outcome::Unchanged, current.number())));
        }
        let Some(there) = self.state.find(claims)? else {
            return Ok(None);
        };
        self.progress.begin(Step::Check, None);
        if verify::tree(&there, release.verified()).is_err() {
            return Ok(None);
        }
        self.state
            .make_current(&there, Action::Switch, claims.sequence, self.now)?;
        Ok(Some((Outcome::Switched, there.number())))
    }

    /// By a patch, if there is one that saves bytes; if there is anything wrong with it, by the whole.
    fn install(
        &self,
        session: &Session<'_>,
        mirror: &Mirror<'_>,
        release: &Current<Release>,
    ) -> Result<(GenerationNumber, Fetched), UpdateError> {
        let whole = self.target(session, &TargetName::Nixexprs)?;
        let patch = self.patch(session, whole.get().length)?;
        // Both: a patch that broke off is gone on with, also when the tarball after it breaks off too.
        let wanted = patch.iter().map(|(_, _, target)| target).chain([&whole]);
        let wanted: Vec<_> = wanted.filter_map(|target| target.get().sha256()).collect();
        self.state.keep_partials(&wanted)?;
        let mut patch_error = None;
        if let Some((base, name, target)) = patch {
            match self.by_patch(mirror, release, &base, &name, &target) {
                Ok(checked) => {
                    self.state.forget_partials()?;
                    let installed = self.state.commit(checked, session.files(), self.now)?;
                    return Ok((installed.number(), Fetched::Patch { from: base.number() }));
                }
                Err(error) if error.is_local() => return Err(error),
                Err(error) => patch_error = Some(error),
            }
        }
        let checked = self.by_tarball(mirror, release, &whole)?;
        self.state.forget_partials()?;
        let installed = self.state.commit(checked, session.files(), self.now)?;
        Ok((installed.number(), Fetched::Whole { patch: patch_error }))
    }

    fn target(&self, session: &Session<'_>, name: &TargetName) -> Result<Verified<TargetFile>, UpdateError> {
        let channel = &self.subscription.channel;
        Ok(session.set().target(channel.as_str(), &name.of(channel))?)
    }

    /// The best patch that the release has from a generation of this machine, if it has fewer than `bytes` bytes. What
    /// a generation says of itself is a hint: if it is not true, the patch leads nowhere.
    fn patch(
        &self,
        session: &Session<'_>,
        bytes: u64,
    ) -> Result<Option<(Generation, TargetName, Verified<TargetFile>)>, UpdateError> {
        if self.options.repair {
            return Ok(None);
        }
        let candidates = self.state.generations()?.into_iter().rev().filter_map(|base| {
            let name = TargetName::Patch(base.record().ok()?.release.channel_nar);
            let target = self.target(session, &name).ok()?;
            Some((base, name, target))
        });
        Ok(candidates
            .filter(|(_, _, target)| target.get().length < bytes)
            .min_by_key(|(_, _, target)| target.get().length))
    }

    fn by_patch(
        &self,
        mirror: &Mirror<'_>,
        release: &Current<Release>,
        base: &Generation,
        name: &TargetName,
        target: &Verified<TargetFile>,
    ) -> Result<Checked, UpdateError> {
        self.fetch(mirror, name, target, Step::Patch, |patch| {
            let Options { share, bounds, .. } = self.options;
            let patched = self.state.patched(base, patch, share, bounds.unpacked)?;
            self.progress.begin(Step::Check, None);
            Ok(patched.check(release)?)
        })
    }

    fn by_tarball(
        &self,
        mirror: &Mirror<'_>,
        release: &Current<Release>,
        target: &Verified<TargetFile>,
    ) -> Result<Checked, UpdateError> {
        self.fetch(mirror, &TargetName::Nixexprs, target, Step::Unpack, |tarball| {
            let unpacked = self.state.unpack(tarball, self.options.bounds.unpacked)?;
            self.progress.begin(Step::Check, None);
            Ok(unpacked.check(release)?)
        })
    }

    /// Downloads a target, goes on where an earlier download broke off, and gives it to `open`.
    ///
    /// Only a download that broke off is kept for the next run. One that was refused is not, and neither is one that
    /// fills the disk.
    fn fetch(
        &self,
        mirror: &Mirror<'_>,
        name: &TargetName,
        target: &Verified<TargetFile>,
        step: Step,
        open: impl FnOnce(Counting<'_, &File>) -> Result<Checked, UpdateError>,
    ) -> Result<Checked, UpdateError> {
        let (length, sha256) = (target.get().length, target.get().sha256());
        let sha256 = sha256.ok_or(UpdateError::NoDigest)?;
        let bound = self.options.bounds.tarball;
        if length > bound {
            return Err(UpdateError::TooLarge { bound, found: length });
        }
        let mut partial = self.state.partial(sha256)?;
        self.progress.begin(Step::Download, Some(length));
        let resource = Resource::Target(self.subscription.channel.clone(), name.clone(), sha256);
        match mirror.download(&resource, target, &mut partial, self.progress) {
            Ok(()) => {}
            Err(error) if error.is_of_the_connection() => return Err(error),
            Err(error) => {
                partial.discard()?;
                return Err(error);
            }
        }
        self.progress.begin(step, Some(length));
        let file = &*partial.read().map_err(UpdateError::Scratch)?;
        let opened = open(Counting {
            inner: file,
            progress: self.progress,
        });
        partial.discard()?;
        opened
    }
}
