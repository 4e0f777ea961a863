//! Writes a site and announces it, after it was verified with the code that clients run.

use std::{collections::BTreeMap, path::Path};

use attestation::{
    ChainId, ChannelName, Time,
    canonical::JsonError,
    chain::{ChainMark, ChannelPolicy, PolicyDocument, Release},
    dsse::{self, Envelope},
    tuf::{MetaFile, Metadata, SPEC_VERSION, Signed, Snapshot, Targets, Timestamp},
};
use policy::{
    Keyring, TrustError, TrustedSet, root,
    root::RootRefusal,
    trusted_set::{Judge, TimestampOutcome, violations_file},
};

use crate::{
    index,
    online::OnlineKey,
    release::{RELEASES, STATEMENTS, TARBALL},
    site::{Site, SiteError},
};

/// A channel's finished release and what it consists of.
pub struct ChannelFiles<'a> {
    /// The channel.
    pub channel: &'a ChannelName,
    /// Its entry in the policy.
    pub policy: &'a ChannelPolicy,
    /// The finished targets.
    pub targets: &'a Signed<Targets>,
    /// The tarball; `None` if the site has it already.
    pub tarball: Option<&'a Path>,
    /// `releases.json`; `None` if the site has it already.
    pub releases: Option<&'a [u8]>,
    /// `statements.txt`; `None` if the site has it already.
    pub statements: Option<&'a [u8]>,
    /// The lists of derivations by file name, as far as the site lacks them.
    pub manifests: Option<&'a BTreeMap<String, Vec<u8>>>,
    /// The patches by name; `None` if the site has them already.
    pub patches: Option<&'a BTreeMap<String, Vec<u8>>>,
    /// By the sequence of each release that the site has none of yet: the statements that it was the first to list, in
    /// the order of their ids.
    pub said: &'a BTreeMap<u64, Vec<Envelope>>,
}

/// Everything that a site shows.
pub struct Publication<'a> {
    /// The chain.
    pub chain: ChainId,
    /// The newest policy.
    pub policy: &'a PolicyDocument,
    /// The files of all roots, from version 1.
    pub roots: &'a [Vec<u8>],
    /// Everybody's certificates.
    pub keyring: &'a Keyring,
    /// The finished top-level targets.
    pub targets: &'a Signed<Targets>,
    /// Violations that people made statements of; what was published once stays.
    pub violations: &'a [Envelope],
    /// The channels that have a release.
    pub channels: Vec<ChannelFiles<'a>>,
    /// What is taken as now.
    pub now: Time,
}

/// What was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The version of the timestamp.
    pub timestamp: u64,
    /// The version of the snapshot.
    pub snapshot: u64,
    /// Until when the channel is current, at most.
    pub until: Time,
}

/// Why a site was not announced. What it announced before stands.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file could not be written or read.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The online key is not the policy's.
    #[error("the online key's public half is {found}, the policy names {expected}")]
    OnlineKey {
        /// What the policy names.
        expected: String,
        /// What the key file has.
        found: String,
    },
    /// The root is not one that carries a policy.
    #[error(transparent)]
    Root(#[from] RootRefusal),
    /// What the site announces now cannot be read.
    #[error("{name} of the site cannot be read; if the site is lost, publish into an empty directory")]
    Before {
        /// The file.
        name: &'static str,
        /// Why.
        #[source]
        source: JsonError,
    },
    /// A client would refuse the site: nothing was announced.
    #[error("a client would refuse what would be published")]
    Refused(#[from] TrustError),
    /// A file of the site is not what its metadata says.
    #[error("{name} of the site is not what its metadata says")]
    NotAsSigned {
        /// The file.
        name: String,
    },
}

/// Writes everything, verifies it from the disk as a client does, and only then announces it.
pub fn publish(site: &Site, publication: &Publication<'_>, key: &OnlineKey) -> Result<Published, PublishError> {
    let expected = &publication.policy.online_key;
    if key.public() != *expected {
        return Err(PublishError::OnlineKey {
            expected: expected.clone(),
            found: key.public(),
        });
    }
    for (index, file) in publication.roots.iter().enumerate() {
        site.write(&format!("metadata/{}.root.json", index + 1), file)?;
    }
    site.write("metadata/keyring.pgp", &publication.keyring.to_bytes())?;
    for channel in &publication.channels {
        write_channel_targets(site, channel)?;
    }
    let (snapshot_bytes, snapshot) = write_metadata(site, publication, key)?;
    let timestamp = next_timestamp(site, publication, key, &snapshot, &snapshot_bytes)?;
    let bytes = timestamp.to_bytes();
    let until = verify(site, publication, &bytes)?;
    // From here on it is announced: the timestamp first, then what has no signature.
    site.write("metadata/timestamp.json", &bytes)?;
    for channel in &publication.channels {
        write_plain_channel(site, publication, channel)?;
    }
    Ok(Published {
        timestamp: timestamp.claims.version,
        snapshot: snapshot.version,
        until,
    })
}

fn write_channel_targets(site: &Site, files: &ChannelFiles<'_>) -> Result<(), PublishError> {
    for (name, bytes) in [(RELEASES, files.releases), (STATEMENTS, files.statements)] {
        if let Some(bytes) = bytes {
            site.write(&target_path(files, name)?, bytes)?;
        }
    }
    let lists = files.manifests.into_iter().flatten();
    for (name, bytes) in lists.chain(files.patches.into_iter().flatten()) {
        site.write(&target_path(files, name)?, bytes)?;
    }
    for (sequence, envelopes) in files.said {
        let path = Site::statements_name(files.channel, *sequence);
        site.write(&path, &dsse::bundle_to_bytes(envelopes))?;
    }
    if let Some(tarball) = files.tarball {
        site.copy(tarball, &target_path(files, TARBALL)?)?;
    }
    Ok(())
}

fn target_path(files: &ChannelFiles<'_>, file: &str) -> Result<String, PublishError> {
    let name = format!("{}/{file}", files.channel);
    let listed = files
        .targets
        .claims
        .targets
        .get(&name)
        .and_then(attestation::tuf::TargetFile::sha256);
    listed
        .map(|sha256| Site::target_name(&name, sha256))
        .ok_or(PublishError::NotAsSigned { name })
}

/// Writes targets and the snapshot that lists them. A snapshot that lists the same stays as it is, unless half
/// of its time is over.
fn write_metadata(
    site: &Site,
    publication: &Publication<'_>,
    key: &OnlineKey,
) -> Result<(Vec<u8>, Snapshot), PublishError> {
    let mut meta = BTreeMap::new();
    let mut list = |name: &str, file: &Signed<Targets>| -> Result<(), PublishError> {
        let (version, bytes) = (file.claims.version, file.to_bytes());
        site.write(&format!("metadata/{version}.{name}.json"), &bytes)?;
        meta.insert(format!("{name}.json"), MetaFile::of(version, &bytes));
        Ok(())
    };
    list("targets", publication.targets)?;
    for channel in &publication.channels {
        list(channel.channel.as_str(), channel.targets)?;
    }
    let freshness = publication.policy.freshness.snapshot;
    let before = announced_snapshot(site)?;
    if let Some(entry) = write_violations(site, publication, before.as_ref().map(|(_, before)| &before.claims))? {
        meta.insert(VIOLATIONS.to_owned(), entry);
    }
    if let Some((bytes, before)) = before.as_ref().filter(|(_, before)| {
        before.claims.meta == meta
            && before.claims.expires.since(publication.now).0 > freshness.0 / 2
            // A policy that allows less since then would have clients refuse it.
            && before.claims.expires <= publication.now.plus(freshness)
            && is_signed_by(before, publication)
    }) {
        return Ok((bytes.clone(), before.claims.clone()));
    }
    let claims = Snapshot {
        type_tag: Snapshot::TYPE.to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        version: before.map_or(0, |(_, before)| before.claims.version) + 1,
        expires: publication.now.plus(freshness),
        meta,
        mark: Some(mark(publication, "snapshot")),
    };
    let signed = key.sign(claims, root::online_key_id(publication.policy)?);
    let bytes = signed.to_bytes();
    site.write(&format!("metadata/{}.snapshot.json", signed.claims.version), &bytes)?;
    Ok((bytes, signed.claims))
}

/// The list of violations: those that were published before, and the new ones. `None` where nobody ever said one.
fn write_violations(
    site: &Site,
    publication: &Publication<'_>,
    before: Option<&Snapshot>,
) -> Result<Option<MetaFile>, PublishError> {
    let path = |version: u64| format!("metadata/{version}.{VIOLATIONS}");
    let before = before.and_then(|before| before.meta.get(VIOLATIONS));
    let published = match before {
        Some(entry) => {
            let name = path(entry.version);
            Some(site.read(&name)?.ok_or(PublishError::NotAsSigned { name })?)
        }
        None if publication.violations.is_empty() => return Ok(None),
        None => None,
    };
    let (version, bytes) = violations_file(published.as_deref(), publication.violations.iter().cloned())?;
    site.write(&path(version), &bytes)?;
    Ok(Some(MetaFile::of(version, &bytes)))
}

/// What a snapshot calls the list of violations.
const VIOLATIONS: &str = "violations.json";

fn is_signed_by<T: Metadata>(file: &Signed<T>, publication: &Publication<'_>) -> bool {
    root::online_key_id(publication.policy)
        .is_ok_and(|id| file.signatures.iter().any(|signature| signature.keyid == id))
}

fn mark(publication: &Publication<'_>, role: &'static str) -> ChainMark {
    root::chain_mark(publication.chain, role)
}

type Announced<T> = (Vec<u8>, Signed<T>);

fn announced_timestamp(site: &Site) -> Result<Option<Announced<Timestamp>>, PublishError> {
    read_announced(site, "metadata/timestamp.json", "timestamp")
}

fn announced_snapshot(site: &Site) -> Result<Option<Announced<Snapshot>>, PublishError> {
    let Some((_, timestamp)) = announced_timestamp(site)? else {
        return Ok(None);
    };
    let Some(entry) = timestamp.claims.meta.get("snapshot.json") else {
        return Ok(None);
    };
    read_announced(site, &format!("metadata/{}.snapshot.json", entry.version), "snapshot")
}

fn read_announced<T: Metadata>(
    site: &Site,
    path: &str,
    name: &'static str,
) -> Result<Option<Announced<T>>, PublishError> {
    let Some(bytes) = site.read(path)? else { return Ok(None) };
    let file = Signed::from_exact(&bytes).map_err(|source| PublishError::Before { name, source })?;
    Ok(Some((bytes, file)))
}

fn next_timestamp(
    site: &Site,
    publication: &Publication<'_>,
    key: &OnlineKey,
    snapshot: &Snapshot,
    snapshot_bytes: &[u8],
) -> Result<Signed<Timestamp>, PublishError> {
    let before = announced_timestamp(site)?.map_or(0, |(_, before)| before.claims.version);
    let claims = Timestamp {
        type_tag: Timestamp::TYPE.to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        version: before + 1,
        expires: publication.now.plus(publication.policy.freshness.timestamp),
        meta: BTreeMap::from([(
            "snapshot.json".to_owned(),
            MetaFile::of(snapshot.version, snapshot_bytes),
        )]),
        mark: Some(mark(publication, "timestamp")),
    };
    Ok(key.sign(claims, root::online_key_id(publication.policy)?))
}

/// Reads the site from the disk as a client would that has seen nothing but the chain's id.
fn verify(site: &Site, publication: &Publication<'_>, timestamp: &[u8]) -> Result<Time, PublishError> {
    let read =
        |name: String| -> Result<Vec<u8>, PublishError> { site.read(&name)?.ok_or(PublishError::NotAsSigned { name }) };
    let keyring =
        Keyring::from_bytes(&read("metadata/keyring.pgp".to_owned())?).map_err(|_| PublishError::NotAsSigned {
            name: "metadata/keyring.pgp".to_owned(),
        })?;
    let first = read("metadata/1.root.json".to_owned())?;
    let mut set = TrustedSet::pinned(publication.chain, &first, keyring, Judge::Current, publication.now)?;
    for version in 2..=publication.roots.len() {
        set.update_root(&read(format!("metadata/{version}.root.json"))?)?;
    }
    let outcome = set.update_timestamp(timestamp)?;
    debug_assert_eq!(
        outcome,
        TimestampOutcome::Updated,
        "a set that saw nothing has no timestamp"
    );
    set.update_snapshot(&read(format!(
        "metadata/{}.snapshot.json",
        set.snapshot_listing()?.version
    ))?)?;
    set.update_targets(&read(format!(
        "metadata/{}.targets.json",
        set.targets_listing("targets")?.version
    ))?)?;
    if let Some(listing) = set.violations_listing()? {
        let name = format!("metadata/{}.{VIOLATIONS}", listing.version);
        set.update_violations(&read(name)?)?;
    }
    let mut until: Option<Time> = None;
    for channel in &publication.channels {
        let name = channel.channel.as_str();
        let version = set.targets_listing(name)?.version;
        set.update_delegated(name, "targets", &read(format!("metadata/{version}.{name}.json"))?)?;
        match set.current_release(channel.channel) {
            Ok(current) => until = Some(until.map_or(current.until(), |until| until.min(current.until()))),
            // That is what subscribers must learn.
            Err(TrustError::Violated { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        for target in channel.targets.claims.targets.keys() {
            let signed = set.target(name, target)?;
            let name = signed.get().sha256().map(|sha256| Site::target_name(target, sha256));
            let name = name.ok_or_else(|| PublishError::NotAsSigned { name: target.clone() })?;
            let found = site.digest(&name)?;
            if Some(found.1) != signed.get().sha256() || found.0 != signed.get().length {
                return Err(PublishError::NotAsSigned { name });
            }
        }
    }
    Ok(until.unwrap_or(publication.now))
}

/// The files that stock `nix-channel` and people ask for. They carry no signature of their own.
fn write_plain_channel(
    site: &Site,
    publication: &Publication<'_>,
    files: &ChannelFiles<'_>,
) -> Result<(), PublishError> {
    let Some(release) = files
        .targets
        .claims
        .mark
        .as_ref()
        .and_then(|mark| mark.release.as_ref())
    else {
        return Ok(());
    };
    let Release { commit, .. } = release;
    let name = |file: &str| format!("channels/{}/{file}", files.channel);
    let source = target_path(files, TARBALL)?;
    let digest = site.digest(&source)?;
    if !site.path(&name(TARBALL)).exists() || site.digest(&name(TARBALL))? != digest {
        site.copy(&site.path(&source), &name(TARBALL))?;
    }
    site.write(&name("git-revision"), commit.as_str().as_bytes())?;
    if let Some(url) = &files.policy.binary_cache_url {
        site.write(&name("binary-cache-url"), url.as_bytes())?;
    }
    let signed_by: Vec<String> = files
        .targets
        .signatures
        .iter()
        .map(|signature| match root::owner(publication.policy, &signature.keyid) {
            Some((person, _)) => format!("{person} ({})", signature.keyid),
            None => signature.keyid.to_string(),
        })
        .collect();
    site.write(
        &name("index.html"),
        index::page(publication.chain, release, &signed_by).as_bytes(),
    )?;
    Ok(())
}
