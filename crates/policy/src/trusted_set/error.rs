//! Why metadata is refused.

use attestation::{ChainId, ChannelName, Sha256Digest, Time, canonical::JsonError};

use super::Violated;
use crate::{root::RootRefusal, threshold::Shortfall};

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
    /// Not the file that signed targets list.
    #[error("{name} has {what} {found}, signed is {expected}")]
    NotTheTarget {
        /// The target.
        name: String,
        /// `length`, `digest`, or an algorithm of digests.
        what: String,
        /// What it has.
        found: String,
        /// What was signed.
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
    /// Somebody with a role said that what the release brings is bad.
    #[error("release {sequence} of {channel} must not be installed: {}", said(.by))]
    Violated {
        /// The channel.
        channel: ChannelName,
        /// The release.
        sequence: u64,
        /// Who said so, and why.
        by: Vec<Violated>,
    },
    /// A step was taken before the one that must come first.
    #[error("{0} must be read first")]
    Order(&'static str),
    /// Freshness was asked of a set that judges authenticity only.
    #[error("freshness was not judged")]
    FreshnessNotJudged,
}

fn said(by: &[Violated]) -> String {
    let each: Vec<_> = by
        .iter()
        .map(|said| format!("{} says: {}", said.by, said.reason))
        .collect();
    each.join("; ")
}
