//! What our chains demand of metadata beyond TUF. Nothing in a signed file is free.

use attestation::{
    ChainId, RoleName, Time,
    chain::{ChainMark, PolicyDocument},
    tuf::{MetaFile, Root, SPEC_VERSION, Snapshot, Targets, Timestamp},
};

use super::TrustError;
use crate::{keyring::Keyring, root};

fn rule(name: &str, holds: bool, rule: &str) -> Result<(), TrustError> {
    if holds {
        Ok(())
    } else {
        Err(TrustError::Rule {
            role: name.to_owned(),
            rule: rule.to_owned(),
        })
    }
}

/// Whether a file does not stay current beyond `latest`.
pub(super) fn expires_by(name: &str, expires: Time, latest: Time) -> Result<(), TrustError> {
    rule(
        name,
        expires <= latest,
        "it stays current for longer than the policy allows (or this machine's clock is behind)",
    )
}

/// A name that is safe as the last component of a file's path, of a URL, and in a shell pattern.
fn is_file_name(name: &str) -> bool {
    !name.starts_with('.')
        && (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+'))
}

fn mark(name: &str, found: Option<(ChainId, &RoleName)>, chain: ChainId, expected: &str) -> Result<(), TrustError> {
    let show = |chain: ChainId, role: &str| format!("role {role} of chain {chain}");
    match found {
        Some((found_chain, found_role)) if found_chain == chain && found_role.as_str() == expected => Ok(()),
        _ => Err(TrustError::Mark {
            role: name.to_owned(),
            found: found.map_or_else(|| "of no chain".to_owned(), |(chain, role)| show(chain, role.as_str())),
            expected: show(chain, expected),
        }),
    }
}

fn chain_mark(name: &'static str, found: Option<&ChainMark>, chain: ChainId) -> Result<(), TrustError> {
    mark(name, found.map(|found| (found.chain, &found.role)), chain, name)
}

fn complete(name: &str, entry: &MetaFile) -> Result<(), TrustError> {
    let sha256_alone = entry.sha256().is_some() && entry.hashes.as_ref().is_some_and(|hashes| hashes.len() == 1);
    rule(
        name,
        sha256_alone && entry.length.is_some(),
        "an entry must have a length and a SHA-256 alone",
    )
}

pub(super) fn timestamp(claims: &Timestamp, chain: ChainId) -> Result<(), TrustError> {
    let name = "timestamp";
    chain_mark(name, claims.mark.as_ref(), chain)?;
    rule(
        name,
        claims.spec_version == SPEC_VERSION,
        "another spec_version than the chain's",
    )?;
    rule(name, claims.meta.len() == 1, "a timestamp lists the snapshot alone")?;
    claims.meta.values().try_for_each(|entry| complete(name, entry))
}

pub(super) fn snapshot(claims: &Snapshot, chain: ChainId, policy: &PolicyDocument) -> Result<(), TrustError> {
    let name = "snapshot";
    chain_mark(name, claims.mark.as_ref(), chain)?;
    rule(
        name,
        claims.spec_version == SPEC_VERSION,
        "another spec_version than the chain's",
    )?;
    let known = |file: &String| {
        file == "targets.json"
            || file == super::violations::FILE
            || policy
                .channels
                .keys()
                .any(|channel| file.strip_suffix(".json") == Some(channel.as_str()))
    };
    rule(
        name,
        claims.meta.keys().all(known),
        "it lists a file that is no channel of the policy",
    )?;
    claims.meta.values().try_for_each(|entry| complete(name, entry))
}

pub(super) fn top_level_targets(
    claims: &Targets,
    chain: ChainId,
    policy: &PolicyDocument,
    keyring: &Keyring,
) -> Result<(), TrustError> {
    let name = "targets";
    mark(
        name,
        claims.mark.as_ref().map(|mark| (mark.chain, &mark.role)),
        chain,
        name,
    )?;
    rule(
        name,
        claims.spec_version == SPEC_VERSION,
        "another spec_version than the chain's",
    )?;
    rule(
        name,
        claims.mark.as_ref().is_none_or(|mark| mark.release.is_none()),
        "top-level targets are no release",
    )?;
    rule(name, claims.targets.is_empty(), "top-level targets list no files")?;
    let derived = root::delegations(policy, keyring).map_err(|error| TrustError::Rule {
        role: name.to_owned(),
        rule: error.to_string(),
    })?;
    rule(
        name,
        claims.delegations.as_ref() == Some(&derived),
        "delegations differ from the root's channels",
    )
}

pub(super) fn release(
    claims: &Targets,
    chain: ChainId,
    in_force: &Root,
    policy: &PolicyDocument,
    name: &RoleName,
) -> Result<(), TrustError> {
    let file = name.as_str();
    mark(
        file,
        claims.mark.as_ref().map(|mark| (mark.chain, &mark.role)),
        chain,
        file,
    )?;
    rule(
        file,
        claims.spec_version == SPEC_VERSION,
        "another spec_version than the chain's",
    )?;
    rule(file, claims.delegations.is_none(), "a channel delegates nothing")?;
    let release = claims.mark.as_ref().and_then(|mark| mark.release.as_ref());
    let (Some(release), Some(channel)) = (release, root::has_channel(policy, name)) else {
        return rule(file, false, "it is no release of a channel of the policy");
    };
    rule(file, release.channel == channel, "it is a release of another channel")?;
    // A proposal that was withdrawn after somebody signed it leaves its version unused.
    rule(
        file,
        (1..=claims.version).contains(&release.sequence),
        "the sequence is beyond the version",
    )?;
    rule(
        file,
        (release.sequence == 1) == release.previous.is_none(),
        "the first release, and it alone, follows none",
    )?;
    rule(
        file,
        (1..=in_force.version).contains(&release.root_version),
        "it was made under a root that there is not",
    )?;
    rule(
        file,
        release.version_suffix.is_empty() || is_file_name(release.version_suffix.trim_start_matches('.')),
        "its version suffix is not one plain word",
    )?;
    rule(
        file,
        release.patched.is_none() || !policy.channels[&channel].patches.is_empty(),
        "it carries patches, and the root lets this channel carry none",
    )?;
    rule(
        file,
        release
            .patched
            .as_ref()
            .is_none_or(|patched| patched.upstream != release.commit),
        "it carries patches and is upstream's commit itself",
    )?;
    let in_channel = |target: &String| {
        let rest = target
            .strip_prefix(channel.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(is_file_name)
    };
    rule(
        file,
        claims.targets.keys().all(in_channel),
        "a file outside the channel, or of a name that is not plain",
    )?;
    let bare = |target: &attestation::tuf::TargetFile| {
        target.custom.is_none() && target.hashes.len() == 1 && target.sha256().is_some()
    };
    rule(
        file,
        claims.targets.values().all(bare),
        "a file must have a SHA-256 alone",
    )?;
    let longest = release.time.plus(policy.channels[&channel].expires);
    rule(
        file,
        claims.expires <= longest,
        "it stays current for longer than the policy allows",
    )
}
