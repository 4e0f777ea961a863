//! One mirror, asked for everything there is to know: TUF's client workflow (specification, section 5.3 to 5.6).
//!
//! Each signed file is kept when it has passed every check that it is subject to, so that a mirror which breaks off
//! half-way cannot later show less than it has shown.

use attestation::ChainId;
use install::{LockedState, MetadataDir, MetadataFile, MetadataFiles, Subscription, verify};
use policy::{Keyring, TrustError, TrustedSet, keyring::MAX_KEYRING_BYTES, trusted_set::Judge};

use crate::{
    download::Mirror,
    resource::Resource,
    transport::{Fault, TransportError},
    update::UpdateError,
};

/// TUF's limits are the client's to set: these are python-tuf's.
const ROOT_BYTES: u64 = 512_000;
const TIMESTAMP_BYTES: u64 = 16_384;
const SNAPSHOT_BYTES: u64 = 2_000_000;
const TARGETS_BYTES: u64 = 5_000_000;

/// What is known of a chain, growing while a mirror is asked.
pub(crate) struct Session<'a> {
    chain: ChainId,
    subscription: &'a Subscription,
    state: &'a LockedState,
    mirror: &'a Mirror<'a>,
    now: attestation::Time,
    directory: MetadataDir,
    files: MetadataFiles,
    keyring: Keyring,
    set: TrustedSet,
    keyring_asked: bool,
}

impl<'a> Session<'a> {
    /// Starts from what was kept; the very first time from what the mirror calls the first root.
    pub(crate) fn open(
        subscription: &'a Subscription,
        state: &'a LockedState,
        mirror: &'a Mirror<'a>,
        now: attestation::Time,
    ) -> Result<Self, UpdateError> {
        let chain = subscription.chain;
        let directory = state.trusted(chain, &subscription.channel);
        let mut files = directory.load()?;
        let first_time = files.roots.is_empty();
        let mut keyring = Keyring::default();
        if first_time {
            files.roots.push(mirror.get(&Resource::Root(1), ROOT_BYTES)?);
            files.keyring = mirror.get(&Resource::Keyring, MAX_KEYRING_BYTES as u64)?;
        }
        keyring.add(&files.keyring)?;
        let set = verify::roots(&files, chain, keyring.clone(), Judge::Current, now)?;
        let set = set.ok_or(TrustError::Order("the first root"))?;
        let session = Self {
            chain,
            subscription,
            state,
            mirror,
            now,
            directory,
            files,
            keyring,
            set,
            keyring_asked: first_time,
        };
        if first_time {
            session.keep(MetadataFile::Keyring, &session.files.keyring)?;
            session.keep(MetadataFile::Root(1), &session.files.roots[0])?;
        }
        Ok(session)
    }

    pub(crate) const fn set(&self) -> &TrustedSet {
        &self.set
    }

    pub(crate) const fn files(&self) -> &MetadataFiles {
        &self.files
    }

    /// Every root that there is, if they are no more than `most` new ones.
    pub(crate) fn update_roots(&mut self, most: u64) -> Result<(), UpdateError> {
        let known = self.set.root().version;
        loop {
            let next = self.set.root().version + 1;
            if next > known.saturating_add(most) {
                return Err(UpdateError::TooManyRoots { limit: most });
            }
            let root = match self.mirror.get(&Resource::Root(next), ROOT_BYTES) {
                Err(TransportError {
                    fault: Fault::NotFound, ..
                }) => break,
                other => other?,
            };
            self.ask_for_keyring()?;
            self.set.update_root(&root)?;
            self.keep(MetadataFile::Root(next), &root)?;
            self.files.roots.push(root);
        }
        let found = self.set.root().version;
        let floor = self.state.floors(self.chain)?.root.max(self.subscription.floor.root);
        if found < floor {
            return Err(UpdateError::RootBelowFloor { floor, found });
        }
        let policy = self.set.root().policy.as_ref();
        let known: Vec<_> = policy
            .iter()
            .flat_map(|policy| policy.channels.keys().cloned())
            .collect();
        if !known.contains(&self.subscription.channel) {
            let channel = self.subscription.channel.clone();
            return Err(UpdateError::NoSuchChannel { channel, known });
        }
        Ok(())
    }

    /// Timestamp, snapshot, targets, and the channel's targets: what is not known already is fetched.
    pub(crate) fn update_release(&mut self) -> Result<(), UpdateError> {
        self.update_timestamp()?;
        self.update_snapshot()?;
        let bytes = self.update_targets("targets", self.files.targets.clone(), TrustedSet::update_targets)?;
        if let Some(bytes) = bytes {
            self.keep(MetadataFile::Targets, &bytes)?;
            self.files.targets = Some(bytes);
        }
        let channel = self.subscription.channel.clone();
        let update = |set: &mut TrustedSet, bytes: &[u8]| set.update_delegated(channel.as_str(), "targets", bytes);
        let bytes = self.update_targets(channel.as_str(), self.files.channel.clone(), update)?;
        if let Some(bytes) = bytes {
            self.keep(MetadataFile::Channel, &bytes)?;
            self.files.channel = Some(bytes);
        }
        Ok(())
    }

    fn update_timestamp(&mut self) -> Result<(), UpdateError> {
        let fetched = self.mirror.get(&Resource::Timestamp, TIMESTAMP_BYTES)?;
        if self.files.timestamp.as_ref() != Some(&fetched) {
            // Something was published: perhaps a revocation among it.
            self.ask_for_keyring()?;
        }
        if let Some(seen) = self.files.timestamp.clone() {
            // A floor, unless its key was replaced since: then it binds nobody (recovery from a fast-forward,
            // section 5.3.11).
            let _ = self.set.load_timestamp(&seen);
        }
        self.set.update_timestamp(&fetched)?;
        if self.files.timestamp.as_ref() != Some(&fetched) {
            self.keep(MetadataFile::Timestamp, &fetched)?;
            self.files.timestamp = Some(fetched);
        }
        Ok(())
    }

    fn update_snapshot(&mut self) -> Result<(), UpdateError> {
        if let Some(seen) = self.files.snapshot.clone() {
            if self.set.update_snapshot(&seen).is_ok() {
                return Ok(());
            }
            // Not the listed one: a floor, unless its key was replaced since.
            let _ = self.set.load_snapshot(&seen);
        }
        let listing = self.set.snapshot_listing()?;
        let bound = listing.length.unwrap_or(SNAPSHOT_BYTES).min(SNAPSHOT_BYTES);
        let fetched = self.mirror.get(&Resource::Snapshot(listing.version), bound)?;
        self.set.update_snapshot(&fetched)?;
        self.keep(MetadataFile::Snapshot, &fetched)?;
        self.files.snapshot = Some(fetched);
        Ok(())
    }

    /// Brings in a targets file, from what was kept or from the mirror; gives back what was fetched.
    fn update_targets(
        &mut self,
        role: &str,
        kept: Option<Vec<u8>>,
        mut update: impl FnMut(&mut TrustedSet, &[u8]) -> Result<(), TrustError>,
    ) -> Result<Option<Vec<u8>>, UpdateError> {
        if let Some(kept) = kept
            && update(&mut self.set, &kept).is_ok()
        {
            return Ok(None);
        }
        let listing = self.set.targets_listing(role)?;
        let bound = listing.length.unwrap_or(TARGETS_BYTES).min(TARGETS_BYTES);
        let resource = match role {
            "targets" => Resource::Targets(listing.version),
            _ => Resource::Channel(listing.version, self.subscription.channel.clone()),
        };
        let fetched = self.mirror.get(&resource, bound)?;
        update(&mut self.set, &fetched)?;
        Ok(Some(fetched))
    }

    /// Fetches the certificates, once, adds them to those that are known, and judges the roots again by all of them:
    /// a revocation that was seen once is never forgotten.
    fn ask_for_keyring(&mut self) -> Result<(), UpdateError> {
        if self.keyring_asked {
            return Ok(());
        }
        self.keyring_asked = true;
        let fetched = self.mirror.get(&Resource::Keyring, MAX_KEYRING_BYTES as u64)?;
        if fetched == self.files.keyring {
            return Ok(());
        }
        self.keyring.add(&fetched)?;
        let set = verify::roots(&self.files, self.chain, self.keyring.clone(), Judge::Current, self.now)?;
        self.set = set.ok_or(TrustError::Order("the first root"))?;
        let merged = self.keyring.to_bytes();
        // A mirror that pads certificates with junk must not fill what is kept: then this run alone uses them.
        if merged.len() <= MAX_KEYRING_BYTES && merged != self.files.keyring {
            self.keep(MetadataFile::Keyring, &merged)?;
            self.files.keyring = merged;
        }
        Ok(())
    }

    fn keep(&self, part: MetadataFile, bytes: &[u8]) -> Result<(), UpdateError> {
        Ok(self.state.keep(&self.directory, part, bytes)?)
    }
}
