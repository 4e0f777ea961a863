//! Earns again, from what is on the disk, that a generation is what people signed. It asks for no network and no
//! freshness: a release stays authentic when its time is over.

use std::collections::BTreeSet;

use attestation::{ChainId, ChannelName, Sha256Digest, Time, chain::Release};
use nixstore::nar::{DiskError, hash_directory};
use policy::{
    Keyring, TrustError, TrustedSet, Verified,
    keyring::KeyringError,
    trusted_set::{Judge, Violated},
};

use crate::{file::FileError, generation::Generation, metadata::MetadataFiles};

/// What [`VerifyError::Incomplete`] calls the list of violations: withheld, lost or damaged, it is not known what was said.
pub const VIOLATIONS: &str = "list of violations as the snapshot names it";

/// Why a generation is not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not all signed files of this chain and channel are there.
    #[error("there is no {missing} of channel {channel}")]
    Incomplete {
        /// What is missing.
        missing: &'static str,
        /// The channel.
        channel: ChannelName,
    },
    /// The certificates cannot be read.
    #[error("the certificates are refused")]
    Keyring(#[from] KeyringError),
    /// The signed files are refused.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Somebody with a role said after it was signed that it is bad.
    #[error("release {sequence} of {channel} is violated: {}", list(by))]
    Violated {
        /// The channel.
        channel: ChannelName,
        /// The release.
        sequence: u64,
        /// Who said so, and why.
        by: Vec<Violated>,
    },
    /// The tree is not the signed one.
    #[error("the tree has NAR SHA-256 {found}, signed is {expected}")]
    OtherTree {
        /// What was signed.
        expected: Sha256Digest,
        /// What is there.
        found: Sha256Digest,
    },
    /// The tree cannot be hashed.
    #[error("cannot hash the tree")]
    Hash(#[from] DiskError),
    /// The files cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The release that a generation's signed files vouch for, under the chain's pinned root. `newer_keyring` are the
/// certificates seen since, whose revocations count here too.
pub fn release(
    generation: &Generation,
    chain: ChainId,
    channel: &ChannelName,
    newer_keyring: &[u8],
    now: Time,
) -> Result<Verified<Release>, VerifyError> {
    let files = generation.metadata(channel).load()?;
    let mut keyring = Keyring::from_bytes(&files.keyring)?;
    if !newer_keyring.is_empty() {
        keyring.add(newer_keyring)?;
    }
    let set = replay(&files, chain, channel, keyring, Judge::Authentic, now)?;
    Ok(set.release(channel)?)
}

/// As [`release`], unless people said that it is bad: by everything that this machine has met of its chain (`known`), and
/// by what was known when it was installed. The first is judged under the newest root: no older one can make it unsaid.
///
/// What cannot be known is no: [`violations`] says when.
pub fn usable(
    generation: &Generation,
    known: &MetadataFiles,
    chain: ChainId,
    channel: &ChannelName,
    now: Time,
) -> Result<Verified<Release>, VerifyError> {
    let files = generation.metadata(channel).load()?;
    let mut keyring = Keyring::from_bytes(&files.keyring)?;
    if !known.keyring.is_empty() {
        keyring.add(&known.keyring)?;
    }
    let then = replay(&files, chain, channel, keyring.clone(), Judge::Authentic, now)?;
    let release = then.release(channel)?;
    let now_known = violations(known, chain, channel, &keyring, now)?;
    let by = violated_by(&[&now_known, &then], release.get().tree_nar);
    if by.is_empty() {
        return Ok(release);
    }
    Err(VerifyError::Violated {
        channel: channel.clone(),
        sequence: release.get().sequence,
        by,
    })
}

/// What people said of a tree, each once, by any of these.
pub fn violated_by(sets: &[&TrustedSet], tree_nar: Sha256Digest) -> Vec<Violated> {
    let said = sets.iter().flat_map(|set| set.violated(tree_nar));
    said.collect::<BTreeSet<_>>().into_iter().collect()
}

fn list(by: &[Violated]) -> String {
    let said: Vec<_> = by
        .iter()
        .map(|said| format!("{} says {:?}", said.by, said.reason))
        .collect();
    said.join(", ")
}

/// The state of trust after all kept files, each verified again.
pub fn replay(
    files: &MetadataFiles,
    chain: ChainId,
    channel: &ChannelName,
    keyring: Keyring,
    judge: Judge,
    now: Time,
) -> Result<TrustedSet, VerifyError> {
    let there = |file: &Option<Vec<u8>>, missing| {
        file.clone().ok_or_else(|| VerifyError::Incomplete {
            missing,
            channel: channel.clone(),
        })
    };
    let set = roots(files, chain, keyring, judge, now)?;
    let mut set = set.ok_or_else(|| VerifyError::Incomplete {
        missing: "root",
        channel: channel.clone(),
    })?;
    set.update_timestamp(&there(&files.timestamp, "timestamp")?)?;
    set.update_snapshot(&there(&files.snapshot, "snapshot")?)?;
    set.update_targets(&there(&files.targets, "targets")?)?;
    if let Some(said) = &files.violations {
        set.remember_violations(said)?;
    }
    if set.violations_listing()?.is_some() {
        set.update_violations(&there(&files.violations, "list of violations")?)?;
    }
    set.update_delegated(channel.as_str(), "targets", &there(&files.channel, "release")?)?;
    Ok(set)
}

/// What people found to be bad, by the files that were accepted last and under the newest root: ask
/// [`TrustedSet::violated`]. `keyring` are all certificates that are known.
///
/// An update that broke off may leave a timestamp without its snapshot, and that is no reason to know nothing. But what
/// the snapshot lists must be there, to the byte: what is damaged or missing could be the one word that matters.
pub fn violations(
    files: &MetadataFiles,
    chain: ChainId,
    channel: &ChannelName,
    keyring: &Keyring,
    now: Time,
) -> Result<TrustedSet, VerifyError> {
    let missing = |missing| VerifyError::Incomplete {
        missing,
        channel: channel.clone(),
    };
    if files.keyring.is_empty() {
        return Err(missing("keyring"));
    }
    let timestamp = files.timestamp.as_ref().ok_or_else(|| missing("timestamp"))?;
    let snapshot = files.snapshot.as_ref().ok_or_else(|| missing("snapshot"))?;
    let newest = roots(files, chain, keyring.clone(), Judge::Authentic, now)?;
    let mut newest = newest.ok_or_else(|| missing("root"))?;
    // What is listed is read under the root that was in force when the snapshot was accepted: an update that broke off
    // after a root with another online key has kept nothing that this one signed.
    let accepted = |set: &mut TrustedSet| {
        set.load_timestamp(timestamp)?;
        set.load_snapshot(snapshot)
    };
    let mut then = newest.clone();
    let refused = accepted(&mut then).err();
    if let Some(refused) = refused {
        then = roots_before(files, chain, keyring, now)
            .find(|set| accepted(&mut set.clone()).is_ok())
            .ok_or(refused)?;
        accepted(&mut then)?;
    }
    if then.violations_listing()?.is_some() {
        let unknown = || missing(VIOLATIONS);
        let listed = files.violations.as_ref().ok_or_else(unknown)?;
        then.load_violations(listed).map_err(|_| unknown())?;
    }
    if let Some(said) = &files.violations {
        newest.remember_violations(said)?;
    }
    Ok(newest)
}

/// The states of trust before the newest root, the newest first.
fn roots_before<'a>(
    files: &'a MetadataFiles,
    chain: ChainId,
    keyring: &'a Keyring,
    now: Time,
) -> impl Iterator<Item = TrustedSet> + 'a {
    (1..files.roots.len()).rev().filter_map(move |count| {
        let files = MetadataFiles {
            roots: files.roots[..count].to_vec(),
            ..MetadataFiles::default()
        };
        roots(&files, chain, keyring.clone(), Judge::Authentic, now).ok()?
    })
}

/// Whether the unpacked channel of a generation is the one of the release.
pub fn tree(generation: &Generation, release: &Verified<Release>) -> Result<(), VerifyError> {
    let expected = release.get().channel_nar;
    let found = hash_directory(&generation.nixexprs())?.sha256;
    if found == expected {
        Ok(())
    } else {
        Err(VerifyError::OtherTree { expected, found })
    }
}

/// The state of trust after the kept roots, from the pinned one on. `None` when not even that is there.
pub fn roots(
    files: &MetadataFiles,
    chain: ChainId,
    keyring: Keyring,
    judge: Judge,
    now: Time,
) -> Result<Option<TrustedSet>, TrustError> {
    let Some((first, later)) = files.roots.split_first() else {
        return Ok(None);
    };
    let mut set = TrustedSet::pinned(chain, first, keyring, judge, now)?;
    for root in later {
        set.update_root(root)?;
    }
    Ok(Some(set))
}
