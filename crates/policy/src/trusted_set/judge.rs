//! From signatures to votes: each is checked over the bytes, and on our chains also against the person's
//! certificate and the policy, at the time that it names.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    KeyId, Time,
    chain::PolicyDocument,
    openpgp::PgpSignature,
    tuf::{Key, RoleKeys, Signature},
};

use crate::{
    keyring::Keyring,
    root::owner,
    seal::Vouch,
    signature::{KeyMaterial, SignatureRefusal},
    threshold::{self, Tally, Voter},
};

/// Who the people behind the keys are. Absent for a foreign repository, where each key id is its own voter.
pub(super) struct People<'a> {
    pub(super) policy: &'a PolicyDocument,
    pub(super) keyring: &'a Keyring,
}

pub(super) fn tally(
    payload: &[u8],
    signatures: &[Signature],
    keys: &BTreeMap<KeyId, Key>,
    role_keys: &RoleKeys,
    people: Option<&People<'_>>,
    now: Time,
) -> Tally {
    let electorate: BTreeSet<Voter> = role_keys.keyids.iter().map(|key| voter(key, people)).collect();
    let votes = signatures.iter().map(|signature| {
        let in_role = role_keys.keyids.contains(&signature.keyid);
        let vote = match keys.get(&signature.keyid) {
            Some(key) if in_role => vote(payload, signature, key, people, now),
            _ => Err(SignatureRefusal::NotInRole),
        };
        (signature.keyid.clone(), vote)
    });
    threshold::count(&electorate, votes)
}

fn voter(key: &KeyId, people: Option<&People<'_>>) -> Voter {
    match people.and_then(|people| owner(people.policy, key)) {
        Some((person, _)) => Voter::Person(person.clone()),
        None => Voter::Key(key.clone()),
    }
}

fn vote(
    payload: &[u8],
    signature: &Signature,
    key: &Key,
    people: Option<&People<'_>>,
    now: Time,
) -> Result<(Voter, Vouch), SignatureRefusal> {
    let parsed = KeyMaterial::from_tuf(key)?.verify_tuf(payload, signature)?;
    let mut vouch = Vouch {
        person: None,
        key: signature.keyid.clone(),
        signed_at: None,
    };
    if let (Some(people), Some(parsed)) = (people, parsed) {
        let (name, person) = owner(people.policy, &signature.keyid).ok_or(SignatureRefusal::NotInRole)?;
        validity(&parsed, person, people.keyring, now)?;
        vouch.person = Some(name.clone());
        vouch.signed_at = Some(parsed.created());
    }
    Ok((voter(&signature.keyid, people), vouch))
}

/// Whether a person's signature counts, by its date: the key was valid then, the policy did not end it, and
/// then is not in the future. (A signature is dated by the signer's machine: a few minutes of difference between
/// clocks are nobody's attack.)
pub(crate) fn validity(
    signature: &PgpSignature,
    person: &attestation::chain::Person,
    keyring: &Keyring,
    now: Time,
) -> Result<KeyMaterial, SignatureRefusal> {
    let found = signature.created();
    if found > now.plus(CLOCK_SKEW) {
        return Err(SignatureRefusal::FromTheFuture { found, now });
    }
    if found > person.not_after {
        return Err(SignatureRefusal::AfterPolicy {
            found,
            not_after: person.not_after,
        });
    }
    Ok(keyring.signing_key(person.certificate, signature.issuer(), found)?)
}

/// How far clocks of honest machines differ.
const CLOCK_SKEW: attestation::Seconds = attestation::Seconds(600);
