//! From signatures to votes: each is checked over the bytes, and on our chains also against the person's
//! certificate and the policy, at the time that it names.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    KeyId, Time,
    chain::{Person, PolicyDocument},
    openpgp::PgpSignature,
    tuf::{Key, Metadata, RoleKeys, Signature},
};

use crate::{
    keyring::{CertificateRefusal, Keyring},
    root::{CANDIDATE_WINDOW, owner},
    seal::Vouch,
    signature::{KeyMaterial, SignatureRefusal, foreign},
    threshold::{self, Tally, Voter},
};

/// Who the people behind the keys are, and what is asked of their signatures. Absent for a foreign repository,
/// where each key id is its own voter.
pub(super) struct People<'a> {
    pub(super) policy: &'a PolicyDocument,
    pub(super) keyring: &'a Keyring,
    pub(super) standing: Standing,
    /// When they were asked to sign.
    pub(super) proposed_at: Option<Time>,
}

impl<'a> People<'a> {
    /// As a proposal, or metadata of any age, is judged: by the time of its signatures.
    pub(super) fn then<T: Metadata>(policy: &'a PolicyDocument, keyring: &'a Keyring, claims: &T) -> Self {
        Self {
            policy,
            keyring,
            standing: Standing::Then,
            proposed_at: claims.proposed_at(policy),
        }
    }
}

/// When a person's key must have been good for its signature to count. (That it is the person's key, and that
/// the signature is good, is always asked.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Whenever: the first root is believed for its pinned digest, and must survive that one of those who made it
    /// revokes a key later.
    Pinned,
    /// When it signed: a root that others followed, an old release.
    Then,
    /// When it signed, and still. A signature's date is its maker's word, so whatever shall count as new is
    /// judged now too: an expired or retired key that somebody found cannot backdate.
    Now,
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
    let parsed = match people {
        Some(_) => KeyMaterial::from_tuf(key)?.verify_tuf(payload, signature)?,
        None => foreign::verify(key, payload, signature).map(|()| None)?,
    };
    let mut vouch = Vouch {
        person: None,
        key: signature.keyid.clone(),
        signed_at: None,
    };
    if let (Some(people), Some(parsed)) = (people, parsed) {
        let (name, person) = owner(people.policy, &signature.keyid).ok_or(SignatureRefusal::NotInRole)?;
        not_before_proposal(&parsed, people.proposed_at)?;
        validity(&parsed, person, people.keyring, people.standing, now)?;
        // As the key: the first root is believed for its digest, what is old as of its signature, what is new now.
        let certified_at = match people.standing {
            Standing::Pinned => None,
            Standing::Then => Some(parsed.created()),
            Standing::Now => Some(parsed.created().max(now)),
        };
        if let Some(at) = certified_at {
            people.keyring.require_certified(people.policy, name, at)?;
        }
        vouch.person = Some(name.clone());
        vouch.signed_at = Some(parsed.created());
    }
    Ok((voter(&signature.keyid, people), vouch))
}

/// Metadata's dates follow from when it was proposed, so they cannot be later than its signatures allow: an
/// expiry in 2099 belongs to a proposal that nobody signed in its time.
fn not_before_proposal(signature: &PgpSignature, proposed_at: Option<Time>) -> Result<(), SignatureRefusal> {
    match proposed_at {
        Some(proposed) if signature.created().plus(CANDIDATE_WINDOW) < proposed => {
            Err(SignatureRefusal::BeforeProposal {
                found: signature.created(),
                proposed,
            })
        }
        _ => Ok(()),
    }
}

/// Whether a person's signature counts, by its date: the key was valid then (and is now, if that is asked), the
/// policy did not end it, and then is not in the future. (A signature is dated by the signer's machine: a few
/// minutes of difference between clocks are nobody's attack.)
pub(crate) fn validity(
    signature: &PgpSignature,
    person: &Person,
    keyring: &Keyring,
    standing: Standing,
    now: Time,
) -> Result<KeyMaterial, SignatureRefusal> {
    let pinned = person.certificate;
    if standing == Standing::Pinned {
        standing_at(signature.created(), person, standing, now, |_| Ok(()))?;
        return Ok(keyring.key_material(pinned, signature.issuer())?);
    }
    standing_at(signature.created(), person, standing, now, |at| {
        keyring.signing_key(pinned, signature.issuer(), at)
    })
}

/// The rule of [`validity`], where `key` says what the certificate makes of the key at a time. What it says last is
/// returned.
pub(crate) fn standing_at<T>(
    found: Time,
    person: &Person,
    standing: Standing,
    now: Time,
    key: impl Fn(Time) -> Result<T, CertificateRefusal>,
) -> Result<T, SignatureRefusal> {
    if found > now.plus(CLOCK_SKEW) {
        return Err(SignatureRefusal::FromTheFuture { found, now });
    }
    let judged = match standing {
        Standing::Pinned | Standing::Then => found,
        Standing::Now => found.max(now),
    };
    if judged >= person.not_after {
        return Err(SignatureRefusal::AfterPolicy {
            found: judged,
            not_after: person.not_after,
        });
    }
    let then = key(found)?;
    if judged == found { Ok(then) } else { Ok(key(judged)?) }
}

/// How far clocks of honest machines differ.
const CLOCK_SKEW: attestation::Seconds = attestation::Seconds(600);
