//! TUF's client as a pure state machine: bytes and a time in, proof or a refusal out.
//!
//! It follows the specification's detailed client workflow (section 5.3 to 5.6). On our own chains it is
//! stricter wherever it may be: a file is exactly canonical, names its chain and role, and has no member that
//! does not follow from the root, the policy or the release.

mod chain_rules;
mod checks;
mod error;
pub(crate) mod judge;
mod proposal;
mod read;
mod search;
mod violations;

pub use error::TrustError;
pub use proposal::{Electorate, assemble, require_signed};
pub use read::expect_target;
use read::{expect_listed, expect_version, read_exact, read_foreign};
pub use search::{Delegate, delegates};
use violations::Violations;
pub use violations::{Violated, violations_file};

use std::{collections::BTreeMap, sync::OnceLock};

use judge::Standing;

use attestation::{
    ChainId, ChannelName, KeyId, PersonName, RoleName, Seconds, Sha256Digest, Time,
    chain::{Freshness, PolicyDocument, Release},
    tuf::{Key, MetaFile, Metadata, RoleKeys, Root, Signed, Snapshot, TargetFile, Targets, Timestamp},
};

use crate::{
    keyring::{CertificateRefusal, Keyring},
    root::{self, RootRefusal, role},
    seal::{Current, Evidence, Verified},
    statements::Court,
};

/// Whether expiry is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// Authentic and fresh: what a download has to be.
    Current,
    /// Authentic only: an old release stays authentic.
    Authentic,
}

/// What a new timestamp brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampOutcome {
    /// The version that was known already.
    Unchanged,
    /// A newer one.
    Updated,
}

#[derive(Clone)]
enum Profile {
    Chain { chain: ChainId, keyring: Keyring },
    Foreign,
}

#[derive(Clone)]
struct KnownSnapshot {
    claims: Snapshot,
    /// What was signed, to compare with the timestamp's listing: a snapshot that was loaded as a floor came
    /// without one.
    bytes: Vec<u8>,
}

#[derive(Clone)]
struct VerifiedTargets {
    file: Signed<Targets>,
    evidence: Evidence,
}

/// The set of metadata that is trusted so far.
#[derive(Clone)]
pub struct TrustedSet {
    profile: Profile,
    judge: Judge,
    now: Time,
    root: Signed<Root>,
    timestamp: Option<Timestamp>,
    snapshot: Option<KnownSnapshot>,
    targets: BTreeMap<String, VerifiedTargets>,
    violations: Violations,
    /// Of the trusted root's people, those whose certificates too few certify; asked for once.
    uncertified: OnceLock<BTreeMap<PersonName, CertificateRefusal>>,
}

impl TrustedSet {
    /// Starts from the first root of one of our chains. `now` is what is taken as the time throughout.
    pub fn pinned(
        chain: ChainId,
        first_root: &[u8],
        keyring: Keyring,
        judge: Judge,
        now: Time,
    ) -> Result<Self, TrustError> {
        let found = Sha256Digest::of(first_root);
        if found != chain.digest() {
            return Err(TrustError::NotThePinnedChain { pinned: chain, found });
        }
        let file: Signed<Root> = read_exact(first_root, "root")?;
        expect_version("root", file.claims.version, 1)?;
        let set = Self {
            profile: Profile::Chain { chain, keyring },
            judge,
            now,
            root: file,
            timestamp: None,
            snapshot: None,
            targets: BTreeMap::new(),
            violations: Violations::default(),
            uncertified: OnceLock::new(),
        };
        set.check_root(&set.root.claims)?;
        set.require_root_threshold(&set.root, &set.root.claims, Standing::Pinned)?;
        Ok(set)
    }

    /// Starts from a root that is trusted for reasons of its own, of a TUF repository that is not ours.
    pub fn foreign(trusted_root: &[u8], judge: Judge, now: Time) -> Result<Self, TrustError> {
        let file: Signed<Root> = read_foreign(trusted_root, "root")?;
        let set = Self {
            profile: Profile::Foreign,
            judge,
            now,
            root: file,
            timestamp: None,
            snapshot: None,
            targets: BTreeMap::new(),
            violations: Violations::default(),
            uncertified: OnceLock::new(),
        };
        set.require_root_threshold(&set.root, &set.root.claims, Standing::Then)?;
        Ok(set)
    }

    /// The next root: signed by the threshold of the trusted one and by its own.
    pub fn update_root(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        if self.timestamp.is_some() {
            return Err(TrustError::Order("every root"));
        }
        let file: Signed<Root> = self.read(bytes, "root")?;
        expect_version("root", file.claims.version, self.root.claims.version + 1)?;
        // Signatures first: of a root that the old people did not sign, nothing is believed.
        self.require_root_threshold(&file, &self.root.claims, Standing::Then)?;
        self.check_root(&file.claims)?;
        self.require_root_threshold(&file, &file.claims, Standing::Then)?;
        self.root = file;
        self.uncertified = OnceLock::new();
        Ok(())
    }

    /// A timestamp that was trusted before: it sets floors, and may have expired.
    pub fn load_timestamp(&mut self, bytes: &[u8]) -> Result<TimestampOutcome, TrustError> {
        let file: Signed<Timestamp> = self.read(bytes, "timestamp")?;
        self.require_top_level(&file, "timestamp")?;
        self.check_timestamp(&file.claims)?;
        if let Some(seen) = &self.timestamp {
            let (old, new) = (seen.version, file.claims.version);
            if new < old {
                return Err(TrustError::Rollback {
                    role: "timestamp".to_owned(),
                    found: new,
                    seen: old,
                });
            }
            if new == old {
                self.expect_same("timestamp", new, *seen == file.claims)?;
                return Ok(TimestampOutcome::Unchanged);
            }
            self.expect_newer_entry("snapshot", snapshot_entry(seen)?, snapshot_entry(&file.claims)?)?;
        }
        snapshot_entry(&file.claims)?;
        self.timestamp = Some(file.claims);
        Ok(TimestampOutcome::Updated)
    }

    /// A new timestamp. The root must be the newest by now, and both must be fresh.
    pub fn update_timestamp(&mut self, bytes: &[u8]) -> Result<TimestampOutcome, TrustError> {
        self.require_current_root()?;
        let outcome = self.load_timestamp(bytes)?;
        self.fresh_timestamp()?;
        Ok(outcome)
    }

    /// A snapshot that was trusted before: it sets floors, may have expired, and need not be the one that the
    /// timestamp lists.
    pub fn load_snapshot(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        self.trusted_timestamp()?;
        let file: Signed<Snapshot> = self.read(bytes, "snapshot")?;
        self.require_top_level(&file, "snapshot")?;
        self.check_snapshot(&file.claims)?;
        if let Some(seen) = &self.snapshot {
            for (name, old) in &seen.claims.meta {
                let new = file.claims.meta.get(name);
                let new = new.ok_or_else(|| TrustError::NotListed {
                    listing: "snapshot",
                    name: name.clone(),
                })?;
                self.expect_newer_entry(name, old, new)?;
            }
        }
        self.snapshot = Some(KnownSnapshot {
            claims: file.claims,
            bytes: bytes.to_vec(),
        });
        // What the snapshot before listed is not what this one lists.
        self.targets.clear();
        self.violations.forget_listed();
        Ok(())
    }

    /// A new snapshot: the one that the timestamp lists.
    pub fn update_snapshot(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        self.fresh_timestamp()?;
        expect_listed("snapshot", bytes, self.snapshot_listing()?)?;
        self.load_snapshot(bytes)?;
        self.final_snapshot().map(|_| ())
    }

    /// The top-level targets: the ones that the snapshot lists.
    pub fn update_targets(&mut self, bytes: &[u8]) -> Result<(), TrustError> {
        let file = self.read_listed_targets(bytes, "targets")?;
        let evidence = self.require_top_level(&file, "targets")?;
        if let Profile::Chain { chain, keyring } = &self.profile {
            chain_rules::top_level_targets(&file.claims, *chain, self.policy()?, keyring)?;
        }
        self.expect_fresh(&file.claims, "targets")?;
        self.targets
            .insert("targets".to_owned(), VerifiedTargets { file, evidence });
        Ok(())
    }

    /// The targets of a role to which `delegator` hands some names: the ones that the snapshot lists.
    pub fn update_delegated(&mut self, name: &str, delegator: &str, bytes: &[u8]) -> Result<(), TrustError> {
        let file = self.read_listed_targets(bytes, name)?;
        let (keys, role_keys, role_name) = self.delegated_role(name, delegator)?;
        let evidence = self.require(&file, &keys, &role_keys, &role_name)?;
        if let Profile::Chain { chain, .. } = &self.profile {
            chain_rules::release(&file.claims, *chain, &self.root.claims, self.policy()?, &role_name)?;
        }
        self.expect_fresh(&file.claims, name)?;
        self.targets.insert(name.to_owned(), VerifiedTargets { file, evidence });
        Ok(())
    }

    /// What the trusted root is.
    pub fn root(&self) -> &Root {
        &self.root.claims
    }

    /// The version of the trusted timestamp.
    pub fn timestamp_version(&self) -> Option<u64> {
        self.timestamp.as_ref().map(|timestamp| timestamp.version)
    }

    /// What statements are judged under: the policy of the trusted root, now.
    pub fn court(&self) -> Result<Court<'_>, TrustError> {
        let Profile::Chain { chain, keyring } = &self.profile else {
            return Err(self.no_policy());
        };
        let policy = self.policy()?;
        Ok(Court::new(
            *chain,
            self.root.claims.version,
            policy,
            keyring,
            self.uncertified.get_or_init(|| keyring.uncertified(policy, self.now)),
            self.now,
        ))
    }

    /// Length, version and digests of the snapshot that the timestamp lists.
    pub fn snapshot_listing(&self) -> Result<&MetaFile, TrustError> {
        snapshot_entry(self.trusted_timestamp()?)
    }

    /// Length, version and digests of a targets file that the snapshot lists.
    pub fn targets_listing(&self, name: &str) -> Result<&MetaFile, TrustError> {
        let name = format!("{name}.json");
        let snapshot = self.snapshot.as_ref().ok_or(TrustError::Order("a snapshot"))?;
        snapshot.claims.meta.get(&name).ok_or(TrustError::NotListed {
            listing: "snapshot",
            name,
        })
    }

    /// The claims of a trusted targets file, for the search through delegations.
    pub fn targets(&self, name: &str) -> Option<&Targets> {
        self.targets.get(name).map(|targets| &targets.file.claims)
    }

    /// The release of a channel: authentic.
    pub fn release(&self, channel: &ChannelName) -> Result<Verified<Release>, TrustError> {
        let targets = self.trusted_targets(channel.as_str())?;
        let release = targets.file.claims.mark.as_ref().and_then(|mark| mark.release.clone());
        let release = release.ok_or(TrustError::NotListed {
            listing: "targets",
            name: "a release".to_owned(),
        })?;
        Ok(Verified::new(release, targets.evidence.clone()))
    }

    /// The release of a channel: authentic, and the newest.
    pub fn current_release(&self, channel: &ChannelName) -> Result<Current<Release>, TrustError> {
        if self.judge != Judge::Current {
            return Err(TrustError::FreshnessNotJudged);
        }
        let verified = self.release(channel)?;
        // Each asked again: floors may have been loaded that had expired.
        self.require_current_root()?;
        let mut until = self
            .root
            .claims
            .expires
            .min(self.fresh_timestamp()?.expires)
            .min(self.final_snapshot()?.expires);
        for name in ["targets", channel.as_str()] {
            let targets = &self.trusted_targets(name)?.file.claims;
            self.expect_fresh(targets, name)?;
            until = until.min(targets.expires);
        }
        // Last: whoever meets this refusal alone, as a publisher does, knows that all else is well.
        self.refuse_violated(verified.get())?;
        Ok(Current::new(verified, until))
    }

    /// A file that a trusted targets file lists.
    pub fn target(&self, listing_role: &str, name: &str) -> Result<Verified<TargetFile>, TrustError> {
        let targets = self.trusted_targets(listing_role)?;
        let file = targets.file.claims.targets.get(name);
        let file = file.ok_or_else(|| TrustError::NotListed {
            listing: "targets",
            name: name.to_owned(),
        })?;
        Ok(Verified::new(file.clone(), targets.evidence.clone()))
    }

    fn policy(&self) -> Result<&PolicyDocument, TrustError> {
        self.root.claims.policy.as_ref().ok_or_else(|| self.no_policy())
    }

    fn no_policy(&self) -> TrustError {
        TrustError::Root {
            version: self.root.claims.version,
            source: RootRefusal::NoPolicy,
        }
    }

    fn trusted_timestamp(&self) -> Result<&Timestamp, TrustError> {
        self.timestamp.as_ref().ok_or(TrustError::Order("a timestamp"))
    }

    fn trusted_targets(&self, name: &str) -> Result<&VerifiedTargets, TrustError> {
        self.targets.get(name).ok_or(TrustError::Order("the targets"))
    }

    /// The root, if it is fresh and its own people's keys are still good: who once was trusted, and whose key was
    /// found since, cannot make a root that is new.
    fn require_current_root(&self) -> Result<(), TrustError> {
        self.expect_fresh(&self.root.claims, "root")?;
        match (&self.profile, self.judge) {
            (Profile::Chain { .. }, Judge::Current) => self
                .require_root_threshold(&self.root, &self.root.claims, Standing::Now)
                .map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The timestamp, if it is fresh.
    fn fresh_timestamp(&self) -> Result<&Timestamp, TrustError> {
        let timestamp = self.trusted_timestamp()?;
        self.expect_fresh(timestamp, "timestamp")?;
        self.expect_bounded(timestamp, "timestamp", |freshness| freshness.timestamp)?;
        Ok(timestamp)
    }

    /// The snapshot, if it is fresh and the one that the timestamp lists.
    fn final_snapshot(&self) -> Result<&Snapshot, TrustError> {
        let KnownSnapshot { claims, bytes } = self.snapshot.as_ref().ok_or(TrustError::Order("a snapshot"))?;
        self.expect_fresh(claims, "snapshot")?;
        self.expect_bounded(claims, "snapshot", |freshness| freshness.snapshot)?;
        let listing = self.snapshot_listing()?;
        expect_version("snapshot", claims.version, listing.version)?;
        if matches!(self.profile, Profile::Chain { .. }) {
            expect_listed("snapshot", bytes, listing)?;
        }
        Ok(claims)
    }

    /// What the online key signs must not stay current for longer than the policy lets it: a stolen one could
    /// freeze a channel.
    fn expect_bounded<T: Metadata>(
        &self,
        claims: &T,
        name: &str,
        limit: fn(&Freshness) -> Seconds,
    ) -> Result<(), TrustError> {
        if matches!(self.profile, Profile::Foreign) || self.judge == Judge::Authentic {
            return Ok(());
        }
        let latest = self
            .now
            .plus(limit(&self.policy()?.freshness))
            .plus(root::CANDIDATE_WINDOW);
        chain_rules::expires_by(name, claims.expires(), latest)
    }

    /// Whether an entry of a listing is not older than the one seen before, nor other content of one version.
    fn expect_newer_entry(&self, name: &str, seen: &MetaFile, found: &MetaFile) -> Result<(), TrustError> {
        if found.version < seen.version {
            return Err(TrustError::Rollback {
                role: name.to_owned(),
                found: found.version,
                seen: seen.version,
            });
        }
        self.expect_same(name, found.version, found.version > seen.version || found == seen)
    }

    fn expect_same(&self, name: &str, version: u64, same: bool) -> Result<(), TrustError> {
        // Plain TUF lets a repository replace a file under one version; nobody honest of ours does.
        if same || matches!(self.profile, Profile::Foreign) {
            Ok(())
        } else {
            Err(TrustError::TwoPayloads {
                role: name.to_owned(),
                version,
            })
        }
    }

    fn read_listed_targets(&self, bytes: &[u8], name: &str) -> Result<Signed<Targets>, TrustError> {
        self.final_snapshot()?;
        let listing = self.targets_listing(name)?;
        expect_listed(name, bytes, listing)?;
        let file: Signed<Targets> = self.read(bytes, name)?;
        expect_version(name, file.claims.version, listing.version)?;
        Ok(file)
    }

    fn delegated_role(
        &self,
        name: &str,
        delegator: &str,
    ) -> Result<(BTreeMap<KeyId, Key>, RoleKeys, RoleName), TrustError> {
        let missing = || TrustError::NotListed {
            listing: "delegations",
            name: name.to_owned(),
        };
        // A delegated role of such a name would be taken for the top-level one.
        if matches!(name, "root" | "targets" | "snapshot" | "timestamp") {
            return Err(missing());
        }
        let delegations = self
            .trusted_targets(delegator)?
            .file
            .claims
            .delegations
            .as_ref()
            .ok_or_else(missing)?;
        let role_name: RoleName = name.parse().unwrap_or_else(|_| role("delegated"));
        let listed = delegations.roles.iter().flatten().find(|role| role.name == name);
        let role_keys = match (listed, &delegations.succinct_roles) {
            (Some(role), _) => RoleKeys {
                keyids: role.keyids.clone(),
                threshold: role.threshold,
            },
            (None, Some(bins)) if name.starts_with(&bins.name_prefix) => RoleKeys {
                keyids: bins.keyids.clone(),
                threshold: bins.threshold,
            },
            _ => return Err(missing()),
        };
        Ok((delegations.keys.clone(), role_keys, role_name))
    }
}

fn snapshot_entry(timestamp: &Timestamp) -> Result<&MetaFile, TrustError> {
    let name = "snapshot.json";
    timestamp.meta.get(name).ok_or(TrustError::NotListed {
        listing: "timestamp",
        name: name.to_owned(),
    })
}
