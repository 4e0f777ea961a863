//! TUF's client workflow (specification, section 5.3 to 5.6) around crate `policy`'s state machine, between two seams:
//! [`Source`], where bytes come from, and [`Store`], where those are kept that were accepted.
//!
//! Each signed file is kept when it has passed every check that it is subject to, so that a source which breaks off
//! half-way cannot later show less than it has shown.

use std::{collections::BTreeSet, fmt};

use attestation::tuf::TargetFile;
use policy::{
    TrustError, TrustedSet, Verified,
    trusted_set::{TimestampOutcome, delegates},
};

use crate::{
    transport::{Fault, TransportError},
    update::UpdateError,
};

/// TUF's limits are the client's to set: these are python-tuf's.
pub(crate) const ROOT_BYTES: u64 = 512_000;
pub(crate) const TIMESTAMP_BYTES: u64 = 16_384;
const SNAPSHOT_BYTES: u64 = 2_000_000;
const TARGETS_BYTES: u64 = 5_000_000;

/// How many delegated roles are asked for one target.
const MOST_ROLES: usize = 32;

/// A signed file, by what it is and its version. Its `Display` is its name in TUF's consistent snapshots; the name of
/// a delegated role is a stranger's text, and nothing in it is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File<'a> {
    /// The root of that version.
    Root(u64),
    /// The timestamp, of whatever version.
    Timestamp,
    /// The snapshot that the timestamp lists.
    Snapshot(u64),
    /// The top-level targets that the snapshot lists.
    Targets(u64),
    /// The targets of that delegated role that the snapshot lists.
    Delegated(u64, &'a str),
    /// The list of violations that the snapshot of a chain of ours lists.
    Violations(u64),
}

impl File<'_> {
    /// The role that signs it.
    pub const fn role(&self) -> &str {
        match self {
            Self::Root(_) => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot(_) => "snapshot",
            Self::Targets(_) => "targets",
            Self::Delegated(_, name) => name,
            Self::Violations(_) => "violations",
        }
    }

    /// The version, where it is known beforehand.
    pub const fn version(&self) -> Option<u64> {
        match self {
            Self::Timestamp => None,
            Self::Root(version)
            | Self::Snapshot(version)
            | Self::Targets(version)
            | Self::Delegated(version, _)
            | Self::Violations(version) => Some(*version),
        }
    }

    /// Whether it may change under its name, or appear: a cache on the way must not answer for it.
    pub const fn is_volatile(&self) -> bool {
        matches!(self, Self::Root(_) | Self::Timestamp)
    }
}

impl fmt::Display for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.version() {
            write!(f, "{version}.")?;
        }
        write!(f, "{}.json", self.role())
    }
}

/// Where bytes come from. Nothing that it gives is trusted.
pub trait Source {
    /// The file, if it has at most `bound` bytes. `consistent` is whether the trusted root says that the names of
    /// files carry versions (a root's always does, a timestamp's never).
    fn get(&self, file: File<'_>, consistent: bool, bound: u64) -> Result<Vec<u8>, TransportError>;
}

/// Where accepted files are kept. What it gives back is verified again.
pub trait Store {
    /// Whether the snapshot of this chain lists what people found to be bad. A chain of ours does; in somebody else's
    /// repository that name is any role's.
    const HAS_VIOLATIONS: bool = false;

    /// What was kept last of this role, whatever its version.
    fn kept(&self, file: File<'_>) -> Result<Option<Vec<u8>>, UpdateError>;

    /// Keeps a file that was accepted.
    fn keep(&mut self, file: File<'_>, bytes: Vec<u8>) -> Result<(), UpdateError>;

    /// Something was published that is not kept, and is about to be judged by `set`. A chain of ours has certificates
    /// beside TUF's files, and perhaps there is a revocation among them.
    fn published(&mut self, _set: &mut TrustedSet) -> Result<(), UpdateError> {
        Ok(())
    }
}

/// One source, asked for everything there is to know.
pub struct Client<C, K> {
    set: TrustedSet,
    source: C,
    store: K,
}

impl<C: Source, K: Store> Client<C, K> {
    /// Starts from the newest root that is trusted.
    pub const fn new(set: TrustedSet, source: C, store: K) -> Self {
        Self { set, source, store }
    }

    /// What is trusted by now.
    pub const fn set(&self) -> &TrustedSet {
        &self.set
    }

    /// What is trusted, when nothing more is to be asked.
    pub fn into_set(self) -> TrustedSet {
        self.set
    }

    /// Where it is kept.
    pub const fn store(&self) -> &K {
        &self.store
    }

    /// Every root that there is, if they are no more than `most` new ones (section 5.3).
    pub fn update_roots(&mut self, most: u64) -> Result<(), UpdateError> {
        let known = self.set.root().version;
        loop {
            let next = self.set.root().version + 1;
            if next > known.saturating_add(most) {
                return Err(UpdateError::TooManyRoots { limit: most });
            }
            let file = File::Root(next);
            let root = match self.get(file, ROOT_BYTES) {
                Err(TransportError {
                    fault: Fault::NotFound, ..
                }) => return Ok(()),
                other => other?,
            };
            self.store.published(&mut self.set)?;
            self.set.update_root(&root)?;
            self.store.keep(file, root)?;
        }
    }

    /// Goes on with a set that was made from this one.
    pub(crate) fn adopt(&mut self, set: TrustedSet) {
        self.set = set;
    }

    /// Whether the source's timestamp is, byte for byte, the one that was kept. Then it has published nothing since:
    /// every root comes with a timestamp of its own, and whoever withholds the one can withhold the other.
    pub fn is_unchanged(&self) -> Result<bool, UpdateError> {
        let file = File::Timestamp;
        let Some(kept) = self.store.kept(file)? else {
            return Ok(false);
        };
        Ok(self.get(file, TIMESTAMP_BYTES)? == kept)
    }

    /// Timestamp, snapshot (with what people found to be bad, on a chain of ours) and top-level targets: what is not
    /// known already is fetched (section 5.4 to 5.6).
    pub fn update_top_level(&mut self) -> Result<(), UpdateError> {
        self.update_timestamp()?;
        self.update_snapshot()?;
        let version = self.set.targets_listing("targets")?.version;
        self.update_targets(File::Targets(version), TrustedSet::update_targets)
    }

    /// The targets of `role`, to which `delegator` hands some names (section 5.6.7).
    pub fn update_delegated(&mut self, role: &str, delegator: &str) -> Result<(), UpdateError> {
        let version = self.set.targets_listing(role)?.version;
        self.update_targets(File::Delegated(version, role), |set, bytes| {
            set.update_delegated(role, delegator, bytes)
        })
    }

    /// What people found to be bad, on a chain of ours: what was said once stays said, whatever is listed by now. A
    /// release that it concerns is then not current.
    fn update_violations(&mut self) -> Result<(), UpdateError> {
        if !K::HAS_VIOLATIONS {
            return Ok(());
        }
        if let Some(kept) = self.store.kept(File::Violations(0))? {
            // A damaged one remembers nothing, and is not the listed one: that is fetched.
            let _ = self.set.remember_violations(&kept);
        }
        let Some(listing) = self.set.violations_listing()?.cloned() else {
            return Ok(());
        };
        self.update_listed(File::Violations(listing.version), listing.length, |set, bytes| {
            set.update_violations(bytes).map(|_| ())
        })
    }

    /// Searches the delegations for `target`, depth first, each role's own files before those of its delegates (section
    /// 5.6.7). `None` when nobody who may speak of it lists it.
    ///
    /// A role that cannot be had, or is refused, ends the search: who comes later in it has less to say.
    pub fn find_target(&mut self, target: &str) -> Result<Option<Verified<TargetFile>>, UpdateError> {
        let mut to_ask = vec![("targets".to_owned(), None::<String>)];
        let mut asked = BTreeSet::new();
        while let Some((role, delegator)) = to_ask.pop() {
            if !asked.insert(role.clone()) {
                continue;
            }
            if asked.len() > MOST_ROLES + 1 {
                return Err(UpdateError::TooManyRoles { limit: MOST_ROLES });
            }
            // Also when it is known already: by way of another delegator it may have other keys.
            if let Some(delegator) = delegator {
                self.update_delegated(&role, &delegator)?;
            }
            let claims = self.set.targets(&role).ok_or(TrustError::Order("the targets"))?;
            if claims.targets.contains_key(target) {
                return Ok(Some(self.set.target(&role, target)?));
            }
            let mut next = Vec::new();
            for delegate in claims.delegations.iter().flat_map(|all| delegates(all, target)) {
                next.push((delegate.name, Some(role.clone())));
                if delegate.terminating {
                    to_ask.clear();
                    break;
                }
            }
            to_ask.extend(next.into_iter().rev());
        }
        Ok(None)
    }

    fn update_timestamp(&mut self) -> Result<(), UpdateError> {
        let file = File::Timestamp;
        let fetched = self.get(file, TIMESTAMP_BYTES)?;
        let kept = self.store.kept(file)?;
        if kept.as_ref() != Some(&fetched) {
            self.store.published(&mut self.set)?;
        }
        if let Some(kept) = kept {
            // A floor, unless its key was replaced since: then it binds nobody (recovery from a fast-forward,
            // section 5.3.11).
            let _ = self.set.load_timestamp(&kept);
        }
        match self.set.update_timestamp(&fetched)? {
            TimestampOutcome::Unchanged => Ok(()),
            TimestampOutcome::Updated => self.store.keep(file, fetched),
        }
    }

    fn update_snapshot(&mut self) -> Result<(), UpdateError> {
        let listing = self.set.snapshot_listing()?;
        let file = File::Snapshot(listing.version);
        let bound = listing.length.unwrap_or(SNAPSHOT_BYTES).min(SNAPSHOT_BYTES);
        if let Some(kept) = self.store.kept(file)? {
            if self.set.update_snapshot(&kept).is_ok() {
                return self.update_violations();
            }
            // Not the listed one: a floor, unless its key was replaced since.
            let _ = self.set.load_snapshot(&kept);
        }
        let fetched = self.get(file, bound)?;
        self.set.update_snapshot(&fetched)?;
        // The list before the snapshot that names it: whatever cuts this run off, it knows more and not less. A source that
        // withholds the list has shown that there is one, and that is kept: who does not know what was said may not go on.
        let listed = self.update_violations();
        self.store.keep(file, fetched)?;
        listed
    }

    /// Brings in a targets file, from what was kept or from the source.
    fn update_targets(
        &mut self,
        file: File<'_>,
        update: impl Fn(&mut TrustedSet, &[u8]) -> Result<(), TrustError>,
    ) -> Result<(), UpdateError> {
        let length = self.set.targets_listing(file.role())?.length;
        self.update_listed(file, length, update)
    }

    fn update_listed(
        &mut self,
        file: File<'_>,
        length: Option<u64>,
        update: impl Fn(&mut TrustedSet, &[u8]) -> Result<(), TrustError>,
    ) -> Result<(), UpdateError> {
        if let Some(kept) = self.store.kept(file)?
            && update(&mut self.set, &kept).is_ok()
        {
            return Ok(());
        }
        let fetched = self.get(file, length.unwrap_or(TARGETS_BYTES).min(TARGETS_BYTES))?;
        update(&mut self.set, &fetched)?;
        self.store.keep(file, fetched)
    }

    fn get(&self, file: File<'_>, bound: u64) -> Result<Vec<u8>, TransportError> {
        let consistent = self.set.root().consistent_snapshot == Some(true);
        self.source.get(file, consistent, bound)
    }
}
