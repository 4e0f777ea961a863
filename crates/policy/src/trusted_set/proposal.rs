//! Proposals: metadata that is still collecting signatures.

use std::collections::BTreeMap;

use attestation::{
    KeyId, RoleName, Time,
    chain::PolicyDocument,
    tuf::{Key, Metadata, RoleKeys, Signed},
};

use super::judge::{self, People};
use crate::{
    keyring::Keyring,
    threshold::{Shortfall, Tally},
};

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
/// as many as it takes (a root: with all), those with the lowest key ids, sorted, so that whoever finishes it from the same
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
    // A root keeps every good signature: should one of those who made it revoke a key later, the others still
    // lead new subscribers past it.
    if *role != crate::root::role("root") {
        good.truncate(role_keys.threshold as usize);
    }
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
