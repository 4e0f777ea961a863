//! The two seals. Neither has a public constructor, `Deserialize`, `Default` or `map`.

use attestation::{ChainId, KeyId, PersonName, RoleName, Time};
use serde::Serialize;

/// A value that enough authorised people vouched for, with the evidence. It is made in this crate only and
/// is never restored from a disk or a cache: it is earned again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    value: T,
    evidence: Evidence,
}

/// Who vouched, under which policy, and when that was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The chain; absent for a repository that is not one of ours.
    pub chain: Option<ChainId>,
    /// The version of the root under which it was judged.
    pub root_version: u64,
    /// The role whose people had to vouch.
    pub role: RoleName,
    /// How many of them it took.
    pub needed: u32,
    /// Those who did.
    pub vouches: Vec<Vouch>,
    /// The time that was taken as now.
    pub judged_at: Time,
}

/// One person's, or outside our chains one key's, good signature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Vouch {
    /// The person; absent for a key that belongs to nobody (the online key, a foreign repository's keys).
    pub person: Option<PersonName>,
    /// The key.
    pub key: KeyId,
    /// When the signature says that it was made.
    pub signed_at: Option<Time>,
}

impl<T> Verified<T> {
    pub(crate) const fn new(value: T, evidence: Evidence) -> Self {
        Self { value, evidence }
    }

    /// What was vouched for.
    pub const fn get(&self) -> &T {
        &self.value
    }

    /// Who vouched for it.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

/// A verified value that is also the newest there is, as far as anybody could know until `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current<T> {
    verified: Verified<T>,
    until: Time,
}

impl<T> Current<T> {
    pub(crate) const fn new(verified: Verified<T>, until: Time) -> Self {
        Self { verified, until }
    }

    /// The verified value.
    pub const fn verified(&self) -> &Verified<T> {
        &self.verified
    }

    /// When it stops being current, unless it is renewed.
    pub const fn until(&self) -> Time {
        self.until
    }
}

/// What must not compile, run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../tests/seals/seals.md")]
struct Seals;
