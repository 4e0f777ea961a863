//! One mirror of a chain of ours, asked for everything there is to know: [`crate::workflow`] with the chain's
//! certificates, and with the floors of this machine.

use attestation::{ChainId, ChannelName, Time, chain::Release};
use install::{Floors, LockedState, MetadataDir, MetadataFile, MetadataFiles, Subscription, verify};
use policy::{Keyring, TrustError, TrustedSet, keyring::MAX_KEYRING_BYTES, trusted_set::Judge};

use crate::{
    download::Mirror,
    resource::Resource,
    transport::TransportError,
    update::UpdateError,
    workflow::{Client, File, ROOT_BYTES, Source, Store},
};

/// What is known of a chain, growing while a mirror is asked.
pub(crate) struct Session<'a> {
    subscription: &'a Subscription,
    client: Client<ChannelSource<'a>, Kept<'a>>,
}

impl<'a> Session<'a> {
    /// Starts from what was kept; the very first time from what the mirror calls the first root.
    pub(crate) fn open(
        subscription: &'a Subscription,
        state: &'a LockedState,
        mirror: &'a Mirror<'a>,
        now: Time,
    ) -> Result<Self, UpdateError> {
        let directory = state.trusted(subscription.chain, &subscription.channel);
        let mut files = directory.load()?;
        let first_time = files.roots.is_empty();
        if first_time {
            files.roots.push(mirror.get(&Resource::Root(1), ROOT_BYTES)?);
            files.keyring = mirror.get(&Resource::Keyring, MAX_KEYRING_BYTES as u64)?;
        }
        let mut keyring = Keyring::default();
        keyring.add(&files.keyring)?;
        let kept = Kept {
            chain: subscription.chain,
            state,
            mirror,
            now,
            directory,
            files,
            keyring,
            keyring_asked: first_time,
        };
        let set = kept.trusted_roots()?;
        if first_time {
            kept.write(MetadataFile::Keyring, &kept.files.keyring)?;
            kept.write(MetadataFile::Root(1), &kept.files.roots[0])?;
        }
        let channel = &subscription.channel;
        let client = Client::new(set, ChannelSource { mirror, channel }, kept);
        Ok(Self { subscription, client })
    }

    pub(crate) const fn set(&self) -> &TrustedSet {
        self.client.set()
    }

    pub(crate) const fn files(&self) -> &MetadataFiles {
        &self.client.store().files
    }

    pub(crate) fn into_set(self) -> TrustedSet {
        self.client.into_set()
    }

    /// Whether the mirror has published nothing since this machine asked last, and what was kept then is current
    /// still: one small request instead of several.
    pub(crate) fn is_unchanged(&mut self) -> Result<bool, UpdateError> {
        let channel = &self.subscription.channel;
        let files = &self.client.store().files;
        let (Some(timestamp), Some(snapshot), Some(targets), Some(release)) =
            (&files.timestamp, &files.snapshot, &files.targets, &files.channel)
        else {
            return Ok(false);
        };
        let mut set = self.client.set().clone();
        // What was said to be bad counts here as everywhere: without it, nothing is current.
        let mut replay = || -> Result<(), TrustError> {
            set.update_timestamp(timestamp)?;
            set.update_snapshot(snapshot)?;
            set.update_targets(targets)?;
            if let Some(violations) = &files.violations {
                set.remember_violations(violations)?;
                if set.violations_listing()?.is_some() {
                    set.update_violations(violations)?;
                }
            }
            set.update_delegated(channel.as_str(), "targets", release)?;
            set.current_release(channel).map(|_| ())
        };
        if replay().is_err() || !self.client.is_unchanged()? {
            return Ok(false);
        }
        self.check_root()?;
        self.client.adopt(set);
        Ok(true)
    }

    /// Every root that there is, if they are no more than `most` new ones.
    pub(crate) fn update_roots(&mut self, most: u64) -> Result<(), UpdateError> {
        self.client.update_roots(most)?;
        self.check_root()
    }

    /// Whether the newest root is one that the machine's owner, and what was seen before, allow.
    fn check_root(&self) -> Result<(), UpdateError> {
        let root = self.client.set().root();
        let floors = self.client.store().state.floors(self.subscription.chain)?;
        let floor = floors.root.max(self.subscription.floor.root);
        if root.version < floor {
            let found = root.version;
            return Err(UpdateError::RootBelowFloor { floor, found });
        }
        let channels = root.policy.iter().flat_map(|policy| policy.channels.keys());
        let known: Vec<_> = channels.cloned().collect();
        if !known.contains(&self.subscription.channel) {
            let channel = self.subscription.channel.clone();
            return Err(UpdateError::NoSuchChannel { channel, known });
        }
        Ok(())
    }

    /// Whether a release is one that the machine's owner, and what was installed before, allow; the floors so far.
    pub(crate) fn check_release_floor(&self, release: &Release) -> Result<Floors, UpdateError> {
        let Subscription {
            chain, channel, floor, ..
        } = self.subscription;
        let floors = self.client.store().state.floors(*chain)?;
        let floor = floor.release.max(floors.release(channel));
        if release.sequence < floor {
            let found = release.sequence;
            return Err(UpdateError::ReleaseBelowFloor { floor, found });
        }
        Ok(floors)
    }

    /// Timestamp, snapshot, targets, and the channel's targets.
    pub(crate) fn update_release(&mut self) -> Result<(), UpdateError> {
        self.client.update_top_level()?;
        self.client
            .update_delegated(self.subscription.channel.as_str(), "targets")
    }
}

/// A mirror of a chain, asked for the files of one channel. Our roots say that names carry versions.
struct ChannelSource<'a> {
    mirror: &'a Mirror<'a>,
    channel: &'a ChannelName,
}

impl Source for ChannelSource<'_> {
    fn get(&self, file: File<'_>, _consistent: bool, bound: u64) -> Result<Vec<u8>, TransportError> {
        let resource = match file {
            File::Root(version) => Resource::Root(version),
            File::Timestamp => Resource::Timestamp,
            File::Snapshot(version) => Resource::Snapshot(version),
            File::Targets(version) => Resource::Targets(version),
            File::Delegated(version, _) => Resource::Channel(version, self.channel.clone()),
            File::Violations(version) => Resource::Violations(version),
        };
        self.mirror.get(&resource, bound)
    }
}

/// What this machine has accepted of a chain, and the certificates that it is judged by.
struct Kept<'a> {
    chain: ChainId,
    state: &'a LockedState,
    mirror: &'a Mirror<'a>,
    now: Time,
    directory: MetadataDir,
    files: MetadataFiles,
    keyring: Keyring,
    keyring_asked: bool,
}

impl Kept<'_> {
    /// The state of trust after every kept root, by all certificates that are known.
    fn trusted_roots(&self) -> Result<TrustedSet, TrustError> {
        let set = verify::roots(&self.files, self.chain, self.keyring.clone(), Judge::Current, self.now)?;
        set.ok_or(TrustError::Order("the first root"))
    }

    fn write(&self, part: MetadataFile, bytes: &[u8]) -> Result<(), UpdateError> {
        Ok(self.state.keep(&self.directory, part, bytes)?)
    }
}

impl Store for Kept<'_> {
    const HAS_VIOLATIONS: bool = true;

    fn kept(&self, file: File<'_>) -> Result<Option<Vec<u8>>, UpdateError> {
        Ok(match file {
            File::Root(_) => self.files.roots.last().cloned(),
            File::Timestamp => self.files.timestamp.clone(),
            File::Snapshot(_) => self.files.snapshot.clone(),
            File::Targets(_) => self.files.targets.clone(),
            File::Delegated(..) => self.files.channel.clone(),
            File::Violations(_) => self.files.violations.clone(),
        })
    }

    fn keep(&mut self, file: File<'_>, bytes: Vec<u8>) -> Result<(), UpdateError> {
        let part = match file {
            File::Root(version) => MetadataFile::Root(version),
            File::Timestamp => MetadataFile::Timestamp,
            File::Snapshot(_) => MetadataFile::Snapshot,
            File::Targets(_) => MetadataFile::Targets,
            File::Delegated(..) => MetadataFile::Channel,
            File::Violations(_) => MetadataFile::Violations,
        };
        self.write(part, &bytes)?;
        match file {
            File::Root(_) => self.files.roots.push(bytes),
            File::Timestamp => self.files.timestamp = Some(bytes),
            File::Snapshot(_) => self.files.snapshot = Some(bytes),
            File::Targets(_) => self.files.targets = Some(bytes),
            File::Delegated(..) => self.files.channel = Some(bytes),
            File::Violations(_) => self.files.violations = Some(bytes),
        }
        Ok(())
    }

    /// Fetches the certificates, once, adds them to those that are known, and judges the roots again by all of them:
    /// a revocation that was seen once is never forgotten.
    fn published(&mut self, set: &mut TrustedSet) -> Result<(), UpdateError> {
        if self.keyring_asked {
            return Ok(());
        }
        self.keyring_asked = true;
        let fetched = self.mirror.get(&Resource::Keyring, MAX_KEYRING_BYTES as u64)?;
        if fetched == self.files.keyring {
            return Ok(());
        }
        self.keyring.add(&fetched)?;
        *set = self.trusted_roots()?;
        let merged = self.keyring.to_bytes();
        // A mirror that pads certificates with junk must not fill what is kept: then this run alone uses them.
        if merged.len() <= MAX_KEYRING_BYTES && merged != self.files.keyring {
            self.write(MetadataFile::Keyring, &merged)?;
            self.files.keyring = merged;
        }
        Ok(())
    }
}
