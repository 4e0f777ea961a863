//! TUF's client as a pure state machine: bytes and a time in, proof or a refusal out.
//!
//! It follows the specification's detailed client workflow (section 5.3 to 5.6). On our own chains it is
//! stricter wherever it may be: a file is exactly canonical, names its chain and role, and has no member that
//! does not follow from the root, the policy or the release.

mod chain_rules;
pub(crate) mod judge;

use std::collections::BTreeMap;

use judge::{People, Standing};

use attestation::{
    ChainId, ChannelName, KeyId, RoleName, Seconds, Sha256Digest, Time,
    canonical::JsonError,
    chain::{Freshness, PolicyDocument, Release},
    tuf::{Key, MetaFile, Metadata, RoleKeys, Root, Signed, Snapshot, TargetFile, Targets, Timestamp},
};

use crate::{
    keyring::Keyring,
    root::{self, RootRefusal, role},
    seal::{Current, Evidence, Verified},
    statements::Court,
    threshold::{Shortfall, Tally},
};

/// Why metadata is refused.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not the strict JSON it should be.
    #[error("{role}.json cannot be read")]
    Format {
        /// Which file.
        role: String,
        /// What is wrong.
        #[source]
        source: JsonError,
    },
    /// Another type of metadata, or a version of the specification that we do not follow.
    #[error("{role}.json has {member} {found:?}, expected {expected:?}")]
    Header {
        /// Which file.
        role: String,
        /// Which member.
        member: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
    },
    /// Too few people signed.
    #[error(transparent)]
    Threshold(#[from] Shortfall),
    /// The first root is not the one that was pinned.
    #[error("1.root.json has SHA-256 {found}, pinned is {pinned}: this is another chain")]
    NotThePinnedChain {
        /// The chain that was pinned.
        pinned: ChainId,
        /// The digest of the file.
        found: Sha256Digest,
    },
    /// The root itself is refused.
    #[error("root version {version} is refused")]
    Root {
        /// Its version.
        version: u64,
        /// Why.
        #[source]
        source: RootRefusal,
    },
    /// Not the version that must come.
    #[error("{role}.json has version {found}, expected {expected}")]
    Version {
        /// Which file.
        role: String,
        /// Its version.
        found: u64,
        /// The version it must have.
        expected: u64,
    },
    /// Older than what was seen before.
    #[error("{role} went back: version {found}, but version {seen} was seen before")]
    Rollback {
        /// Which file.
        role: String,
        /// Its version.
        found: u64,
        /// The version that was seen.
        seen: u64,
    },
    /// Two files of one version: somebody signed both, or one was tampered with.
    #[error("{role} version {version} is not the one that was seen before: two files of one version")]
    TwoPayloads {
        /// Which file.
        role: String,
        /// The version.
        version: u64,
    },
    /// No longer current.
    #[error("{role}.json expired at {expired}, it is now {now}")]
    Expired {
        /// Which file.
        role: String,
        /// When it expired.
        expired: Time,
        /// What was taken as now.
        now: Time,
    },
    /// Not the bytes that other metadata names.
    #[error("{role}.json has {what} {found}, expected {expected}")]
    NotAsListed {
        /// Which file.
        role: String,
        /// `length` or an algorithm of digests.
        what: String,
        /// What it has.
        found: String,
        /// What the listing says.
        expected: String,
    },
    /// The listing lacks it.
    #[error("{listing} does not list {name}")]
    NotListed {
        /// Which listing.
        listing: &'static str,
        /// What is looked for.
        name: String,
    },
    /// It belongs to another chain or role.
    #[error("{role}.json says it is {found}, expected {expected}")]
    Mark {
        /// Which file.
        role: String,
        /// What it says.
        found: String,
        /// What it must say.
        expected: String,
    },
    /// A member has a value that the root, the policy or the release does not give it.
    #[error("{role}.json: {rule}")]
    Rule {
        /// Which file.
        role: String,
        /// The rule that it breaks.
        rule: String,
    },
    /// A step was taken before the one that must come first.
    #[error("{0} must be read first")]
    Order(&'static str),
    /// Freshness was asked of a set that judges authenticity only.
    #[error("freshness was not judged")]
    FreshnessNotJudged,
}

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

enum Profile {
    Chain { chain: ChainId, keyring: Keyring },
    Foreign,
}

struct KnownSnapshot {
    claims: Snapshot,
    /// What was signed, to compare with the timestamp's listing: a snapshot that was loaded as a floor came
    /// without one.
    bytes: Vec<u8>,
}

struct VerifiedTargets {
    file: Signed<Targets>,
    evidence: Evidence,
}

/// The set of metadata that is trusted so far.
pub struct TrustedSet {
    profile: Profile,
    judge: Judge,
    now: Time,
    root: Signed<Root>,
    timestamp: Option<Timestamp>,
    snapshot: Option<KnownSnapshot>,
    targets: BTreeMap<String, VerifiedTargets>,
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

    /// What statements are judged under: the policy of the trusted root, now.
    pub fn court(&self) -> Result<Court<'_>, TrustError> {
        let Profile::Chain { chain, keyring } = &self.profile else {
            return Err(self.no_policy());
        };
        Ok(Court::new(
            *chain,
            self.root.claims.version,
            self.policy()?,
            keyring,
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

    fn check_root(&self, claims: &Root) -> Result<(), TrustError> {
        let Profile::Chain { chain, keyring } = &self.profile else {
            return Ok(());
        };
        let version = claims.version;
        root::check(claims, Some(*chain), keyring).map_err(|source| TrustError::Root { version, source })?;
        Ok(())
    }

    fn check_timestamp(&self, claims: &Timestamp) -> Result<(), TrustError> {
        let Profile::Chain { chain, .. } = &self.profile else {
            return Ok(());
        };
        chain_rules::timestamp(claims, *chain)
    }

    fn check_snapshot(&self, claims: &Snapshot) -> Result<(), TrustError> {
        let Profile::Chain { chain, .. } = &self.profile else {
            return Ok(());
        };
        chain_rules::snapshot(claims, *chain, self.policy()?)
    }

    fn expect_fresh<T: Metadata>(&self, claims: &T, name: &str) -> Result<(), TrustError> {
        if self.judge == Judge::Authentic || claims.expires() > self.now {
            Ok(())
        } else {
            Err(TrustError::Expired {
                role: name.to_owned(),
                expired: claims.expires(),
                now: self.now,
            })
        }
    }

    fn read<T: Metadata>(&self, bytes: &[u8], name: &str) -> Result<Signed<T>, TrustError> {
        match self.profile {
            Profile::Chain { .. } => read_exact(bytes, name),
            Profile::Foreign => read_foreign(bytes, name),
        }
    }

    fn require_root_threshold(
        &self,
        file: &Signed<Root>,
        judging: &Root,
        standing: Standing,
    ) -> Result<Evidence, TrustError> {
        let role_keys = top_level_role(judging, "root")?;
        let tally = self.tally(file, &judging.keys, role_keys, judging, standing)?;
        self.evidence(tally, role_keys.threshold, &role("root"))
    }

    fn require_top_level<T: Metadata>(&self, file: &Signed<T>, name: &'static str) -> Result<Evidence, TrustError> {
        let role_keys = top_level_role(&self.root.claims, name)?;
        self.require(file, &self.root.claims.keys, role_keys, &role(name))
    }

    fn require<T: Metadata>(
        &self,
        file: &Signed<T>,
        keys: &BTreeMap<KeyId, Key>,
        role_keys: &RoleKeys,
        name: &RoleName,
    ) -> Result<Evidence, TrustError> {
        let standing = match self.judge {
            Judge::Current => Standing::Now,
            Judge::Authentic => Standing::Then,
        };
        let tally = self.tally(file, keys, role_keys, &self.root.claims, standing)?;
        self.evidence(tally, role_keys.threshold, name)
    }

    fn tally<T: Metadata>(
        &self,
        file: &Signed<T>,
        keys: &BTreeMap<KeyId, Key>,
        role_keys: &RoleKeys,
        judging: &Root,
        standing: Standing,
    ) -> Result<Tally, TrustError> {
        let people = match &self.profile {
            Profile::Chain { keyring, .. } => {
                // Never without people on a chain of ours: keys alone would be counted.
                let policy = judging.policy.as_ref().ok_or_else(|| self.no_policy())?;
                Some(People {
                    policy,
                    keyring,
                    standing,
                    proposed_at: file.claims.proposed_at(policy),
                })
            }
            Profile::Foreign => None,
        };
        Ok(judge::tally(
            &file.payload,
            &file.signatures,
            keys,
            role_keys,
            people.as_ref(),
            self.now,
        ))
    }

    fn evidence(&self, tally: Tally, needed: u32, name: &RoleName) -> Result<Evidence, TrustError> {
        let vouches = tally.require(name, needed)?;
        Ok(Evidence {
            chain: match self.profile {
                Profile::Chain { chain, .. } => Some(chain),
                Profile::Foreign => None,
            },
            root_version: self.root.claims.version,
            role: name.clone(),
            needed,
            vouches,
            judged_at: self.now,
        })
    }
}

/// Who may sign a proposal: the keys and threshold of its role, and the people behind the keys.
#[derive(Clone, Copy)]
pub struct Electorate<'a> {
    /// The role.
    pub role: &'a RoleName,
    /// The keys that `role_keys` names.
    pub keys: &'a BTreeMap<KeyId, Key>,
    /// Who of them, and how many.
    pub role_keys: &'a RoleKeys,
    /// Whose keys they are.
    pub policy: &'a PolicyDocument,
    /// The people's certificates.
    pub keyring: &'a Keyring,
    /// What is taken as now.
    pub now: Time,
}

/// Judges the signatures of a proposal as a client would. With enough of them it is also finished: with exactly
/// as many as it takes, those with the lowest key ids, sorted, so that whoever finishes it from the same
/// signatures makes the same file.
pub fn assemble<T: Metadata>(proposal: &Signed<T>, electorate: &Electorate<'_>) -> (Tally, Option<Signed<T>>) {
    let Electorate {
        role,
        keys,
        role_keys,
        policy,
        keyring,
        now,
    } = *electorate;
    let people = People::then(policy, keyring, &proposal.claims);
    let tally = judge::tally(
        &proposal.payload,
        &proposal.signatures,
        keys,
        role_keys,
        Some(&people),
        now,
    );
    let Ok(vouches) = tally.clone().require(role, role_keys.threshold) else {
        return (tally, None);
    };
    let mut good: Vec<KeyId> = vouches.into_iter().map(|vouch| vouch.key).collect();
    good.sort();
    good.truncate(role_keys.threshold as usize);
    let mut signatures: Vec<_> = proposal.signatures.clone();
    signatures.retain(|signature| good.contains(&signature.keyid));
    signatures.sort();
    // Two signatures by one key (two encodings, two dates) are one voice: the first that is good is kept.
    signatures.retain(|signature| {
        let alone = judge::tally(
            &proposal.payload,
            std::slice::from_ref(signature),
            keys,
            role_keys,
            Some(&people),
            now,
        );
        !alone.vouches.is_empty()
    });
    signatures.dedup_by(|a, b| a.keyid == b.keyid);
    let finished = Signed {
        claims: proposal.claims.clone(),
        payload: proposal.payload.clone(),
        signatures,
    };
    (tally, Some(finished))
}

/// Whether finished metadata has the signatures that it takes.
pub fn require_signed<T: Metadata>(file: &Signed<T>, electorate: &Electorate<'_>) -> Result<(), Shortfall> {
    let Electorate {
        role,
        keys,
        role_keys,
        policy,
        keyring,
        now,
    } = *electorate;
    let people = People::then(policy, keyring, &file.claims);
    let tally = judge::tally(&file.payload, &file.signatures, keys, role_keys, Some(&people), now);
    tally.require(role, role_keys.threshold).map(|_| ())
}

fn top_level_role<'a>(judging: &'a Root, name: &'static str) -> Result<&'a RoleKeys, TrustError> {
    let missing = || TrustError::NotListed {
        listing: "root",
        name: format!("role {name}"),
    };
    judging.roles.get(&role(name)).ok_or_else(missing)
}

fn snapshot_entry(timestamp: &Timestamp) -> Result<&MetaFile, TrustError> {
    let name = "snapshot.json";
    timestamp.meta.get(name).ok_or(TrustError::NotListed {
        listing: "timestamp",
        name: name.to_owned(),
    })
}

fn read_exact<T: Metadata>(bytes: &[u8], name: &str) -> Result<Signed<T>, TrustError> {
    check_header(Signed::from_exact(bytes), name)
}

fn read_foreign<T: Metadata>(bytes: &[u8], name: &str) -> Result<Signed<T>, TrustError> {
    check_header(Signed::from_foreign(bytes), name)
}

fn check_header<T: Metadata>(read: Result<Signed<T>, JsonError>, name: &str) -> Result<Signed<T>, TrustError> {
    let file = read.map_err(|source| TrustError::Format {
        role: name.to_owned(),
        source,
    })?;
    let header = |member, found: &str, expected: &str| TrustError::Header {
        role: name.to_owned(),
        member,
        found: found.to_owned(),
        expected: expected.to_owned(),
    };
    if file.claims.type_tag() != T::TYPE {
        return Err(header("_type", file.claims.type_tag(), T::TYPE));
    }
    // Section 4.3: a client follows one major version.
    if !file.claims.spec_version().starts_with("1.") {
        return Err(header("spec_version", file.claims.spec_version(), "1.*"));
    }
    if file.claims.version() == 0 {
        return Err(header("version", "0", "1 or more"));
    }
    Ok(file)
}

fn expect_version(name: &str, found: u64, expected: u64) -> Result<(), TrustError> {
    if found == expected {
        Ok(())
    } else {
        Err(TrustError::Version {
            role: name.to_owned(),
            found,
            expected,
        })
    }
}

/// Whether `bytes` have the length and every digest that a listing names. An algorithm that we do not know is
/// refused rather than passed over.
fn expect_listed(name: &str, bytes: &[u8], listing: &MetaFile) -> Result<(), TrustError> {
    let differs = |what: &str, found: String, expected: String| TrustError::NotAsListed {
        role: name.to_owned(),
        what: what.to_owned(),
        found,
        expected,
    };
    if let Some(expected) = listing.length
        && bytes.len() as u64 != expected
    {
        return Err(differs("length", bytes.len().to_string(), expected.to_string()));
    }
    for (algorithm, expected) in listing.hashes.iter().flatten() {
        let found = digest_by_name(algorithm, bytes).unwrap_or_else(|| "of an unknown algorithm".to_owned());
        if found != *expected {
            return Err(differs(algorithm, found, expected.clone()));
        }
    }
    Ok(())
}

fn digest_by_name(algorithm: &str, bytes: &[u8]) -> Option<String> {
    use sha2::{Digest as _, Sha512};
    match algorithm {
        "sha256" => Some(Sha256Digest::of(bytes).to_string()),
        "sha512" => Some(data_encoding::HEXLOWER.encode(&Sha512::digest(bytes))),
        _ => None,
    }
}
