//! `touchstone mirror`: all of a channel, verified, into a directory that can be served.

use attestation::{
    ChannelName, Sha256Digest, Time,
    chain::Release,
    tuf::{TargetFile, Targets},
};
use install::{BaseUrl, LockedState, MetadataFiles, Site, Subscription};
use policy::{TrustError, TrustedSet, Verified};

use crate::{
    download::Mirror,
    progress::{Progress, Step},
    resource::{Resource, TargetName},
    session::Session,
    transport::Transport,
    update::{Bounds, UpdateError, first_that_does},
};

/// What was copied.
#[derive(Debug)]
pub struct Copied {
    /// The release that the copy announces.
    pub release: Verified<Release>,
    /// That people said it is bad. It is copied nevertheless: subscribers must learn of that.
    pub violated: bool,
    /// The mirror that it came from.
    pub mirror: BaseUrl,
    /// How many files were written.
    pub written: u64,
    /// How many were there already.
    pub kept: u64,
    /// How many bytes the mirror gave.
    pub bytes: u64,
}

/// Copies the newest release of the subscribed channel, with everything that vouches for it, to `site`.
///
/// It is verified as an update is, and each file is held against its signed length and digest. What is announced comes
/// last, so that a client which comes in between, and a run that is cut off, find the copy of before.
pub fn copy(
    subscription: &Subscription,
    state: &LockedState,
    mirrors: &[&dyn Transport],
    site: &Site,
    bounds: Bounds,
    now: Time,
    progress: &dyn Progress,
) -> Result<Copied, UpdateError> {
    let copied = first_that_does(mirrors, |mirror| {
        progress.begin(Step::Metadata, None);
        let mut session = Session::open(subscription, state, mirror, now)?;
        session.update_roots(bounds.roots)?;
        session.update_release()?;
        let channel = &subscription.channel;
        let violated = match session.set().current_release(channel) {
            Ok(_) => false,
            Err(TrustError::Violated { .. }) => true,
            Err(error) => return Err(error.into()),
        };
        let release = session.set().release(channel)?;
        session.check_release_floor(release.get())?;
        let mut writer = Writer {
            channel,
            site,
            bounds,
            progress,
            written: 0,
            kept: 0,
        };
        writer.targets(mirror, session.set())?;
        writer.metadata(session.files(), session.set())?;
        Ok((release, violated, writer.written, writer.kept))
    });
    let ((release, violated, written, kept), mirror, _) = copied?;
    Ok(Copied {
        release,
        violated,
        mirror: mirror.transport().base().clone(),
        written,
        kept,
        bytes: mirror.bytes(),
    })
}

/// Writes, and counts.
struct Writer<'a> {
    channel: &'a ChannelName,
    site: &'a Site,
    bounds: Bounds,
    progress: &'a dyn Progress,
    written: u64,
    kept: u64,
}

impl Writer<'_> {
    /// Every file that the channel's targets list.
    fn targets(&mut self, mirror: &Mirror<'_>, set: &TrustedSet) -> Result<(), UpdateError> {
        let role = self.channel.as_str();
        let listed = |targets: &Targets| targets.targets.keys().cloned().collect::<Vec<_>>();
        for listed in set.targets(role).map(listed).unwrap_or_default() {
            let name = TargetName::listed(&listed, self.channel)?;
            self.target(mirror, &name, &set.target(role, &listed)?)?;
        }
        Ok(())
    }

    fn target(
        &mut self,
        mirror: &Mirror<'_>,
        name: &TargetName,
        target: &Verified<TargetFile>,
    ) -> Result<(), UpdateError> {
        let TargetFile { length, .. } = *target.get();
        let sha256 = target.get().sha256().ok_or(UpdateError::NoDigest)?;
        let bound = self.bounds.tarball;
        if length > bound {
            return Err(UpdateError::TooLarge { bound, found: length });
        }
        let resource = Resource::Target(self.channel.clone(), name.clone(), sha256);
        let path = resource.to_string();
        if self.site.has(&path, length, sha256)? {
            self.kept += 1;
            return Ok(());
        }
        self.progress.begin(Step::Download, Some(length));
        let mut file = self.site.begin(&path)?;
        mirror.fetch(&resource, length, &mut file)?;
        self.progress.advance(length);
        let (found_length, found) = file.digest();
        if found_length != length {
            return Err(UpdateError::Length {
                file: path,
                expected: length,
                found: found_length,
            });
        }
        if found != sha256 {
            return Err(UpdateError::Digest {
                file: path,
                expected: sha256.to_string(),
                found,
            });
        }
        file.finish()?;
        self.written += 1;
        Ok(())
    }

    /// Everything that vouches for them, the timestamp last; then what stock Nix asks for.
    fn metadata(&mut self, files: &MetadataFiles, set: &TrustedSet) -> Result<(), UpdateError> {
        for (version, root) in (1_u64..).zip(&files.roots) {
            self.write(&Resource::Root(version), Some(root))?;
        }
        self.write(&Resource::Keyring, Some(&files.keyring))?;
        let version = set.targets_listing("targets")?.version;
        self.write(&Resource::Targets(version), files.targets.as_ref())?;
        let version = set.targets_listing(self.channel.as_str())?.version;
        self.write(
            &Resource::Channel(version, self.channel.clone()),
            files.channel.as_ref(),
        )?;
        if let Some(listing) = set.violations_listing()? {
            self.write(&Resource::Violations(listing.version), files.violations.as_ref())?;
        }
        let version = set.snapshot_listing()?.version;
        self.write(&Resource::Snapshot(version), files.snapshot.as_ref())?;
        self.write(&Resource::Timestamp, files.timestamp.as_ref())?;
        self.plain_channel(set)
    }

    /// The files that stock `nix-channel` asks for. They carry no signature of their own.
    fn plain_channel(&mut self, set: &TrustedSet) -> Result<(), UpdateError> {
        let channel = self.channel;
        let release = set.release(channel)?;
        let tarball = set.target(channel.as_str(), &TargetName::Nixexprs.of(channel))?;
        let sha256: Sha256Digest = tarball.get().sha256().ok_or(UpdateError::NoDigest)?;
        let tarball = Resource::Target(channel.clone(), TargetName::Nixexprs, sha256);
        let plain = |file: &str| format!("channels/{channel}/{file}");
        self.site.link(&tarball.to_string(), &plain("nixexprs.tar.xz"))?;
        let Release { sequence, commit, .. } = release.get();
        self.site.write(&plain("git-revision"), commit.as_str().as_bytes())?;
        let page = format!(
            "<!DOCTYPE html>\n<title>{channel}, release {sequence}</title>\n<p>A copy of release {sequence} of {channel}, upstream \
             commit <code>{commit}</code>. This page proves nothing: touchstone subscribe.</p>\n"
        );
        self.site.write(&plain("index.html"), page.as_bytes())?;
        Ok(())
    }

    fn write(&mut self, resource: &Resource, bytes: Option<&Vec<u8>>) -> Result<(), UpdateError> {
        let bytes = bytes.ok_or(TrustError::Order("a file that was accepted"))?;
        let written = self.site.write(&resource.to_string(), bytes)?;
        *if written { &mut self.written } else { &mut self.kept } += 1;
        Ok(())
    }
}
