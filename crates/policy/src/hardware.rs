//! Evidence that a person's keys live on a token.
//!
//! The policy says of each person `attested`, `witnessed` or `none`. Who makes or signs a root that adds a person, or
//! changes a person's keys or what is said of them, demands evidence for **each** of the keys:
//!
//! * `attested`: a certificate that the token made of the key, with a chain to a root that the policy pins
//!   ([`attest`]). It proves that a device whose maker holds that root made the key, and that using it takes a touch.
//! * `witnessed`: two statements, by two people other than the person, who have a role in common with them. They
//!   prove that these two say they saw it.
//!
//! A subscriber does not see the evidence: that it was there is what root's people sign for.

mod x509;

use std::collections::BTreeSet;

use attestation::{
    Fingerprint, PersonName, Time,
    chain::{Hardware, Person, PolicyDocument},
    statement::{Claim, Statement},
};

use crate::{
    keyring::{CertificateRefusal, Keyring},
    seal::Verified,
    signature::KeyMaterial,
};

pub use x509::{AttestationRefusal, MAX_EVIDENCE_BYTES, root_digest};

/// How many others must have seen a key being made.
pub const WITNESSES: usize = 2;

/// What a token attests of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// The token's serial number, as it is printed on it.
    pub serial: u64,
    /// Its firmware.
    pub firmware: [u8; 3],
}

/// Why a person's hardware is not what the policy says.
#[derive(Debug, thiserror::Error)]
pub enum HardwareRefusal {
    /// A chain to nowhere.
    #[error("{person} is attested, and the policy names no attestation-roots")]
    NoRoots {
        /// Whose.
        person: PersonName,
    },
    /// There is no statement before there is a chain.
    #[error("{person} is witnessed in a first root: a witness states under a chain, which only this root begins")]
    WitnessedInFirstRoot {
        /// Whose.
        person: PersonName,
    },
    /// No evidence fits.
    #[error("{person} is attested, and no evidence attests key {key} ({tried} tried{})", reason(.closest))]
    NotAttested {
        /// Whose.
        person: PersonName,
        /// The key without evidence.
        key: Fingerprint,
        /// How many there were.
        tried: usize,
        /// Why the one that speaks of this key does not count.
        closest: Option<AttestationRefusal>,
    },
    /// Too few witnesses.
    #[error(
        "{person} is witnessed, and of key {key} there are {} of {WITNESSES} witnesses: {}",
        .found.len(),
        names(.found)
    )]
    TooFewWitnesses {
        /// Whose.
        person: PersonName,
        /// The key.
        key: Fingerprint,
        /// Who witnessed it, of those who may.
        found: BTreeSet<PersonName>,
    },
    /// The key itself.
    #[error("the key of {person} is refused")]
    Key {
        /// Whose.
        person: PersonName,
        /// Why.
        #[source]
        source: CertificateRefusal,
    },
}

fn reason(refusal: &Option<AttestationRefusal>) -> String {
    refusal.as_ref().map_or(String::new(), |refusal| {
        format!("; the one that speaks of it: {refusal}")
    })
}

fn names(found: &BTreeSet<PersonName>) -> String {
    let names: Vec<_> = found.iter().map(PersonName::as_str).collect();
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join(", ")
    }
}

/// Whether every person whom `next` adds or changes has the hardware that it says.
///
/// `before` is the policy in force; `None` for a first root. `evidence` are the attestations that are at hand, each a
/// chain of certificates in PEM; `statements` those that were verified under the policy in force.
pub fn check(
    next: &PolicyDocument,
    before: Option<&PolicyDocument>,
    keyring: &Keyring,
    evidence: &[Vec<u8>],
    statements: &[Verified<Statement>],
    at: Time,
) -> Result<(), HardwareRefusal> {
    for (name, person) in &next.people {
        let is_known = before.is_some_and(|before| {
            let same_roots = before.attestation_roots == next.attestation_roots;
            before.people.get(name).is_some_and(|known| is_same(known, person)) && same_roots
        });
        match person.hardware {
            _ if is_known => {}
            Hardware::None => {}
            Hardware::Attested => attested(name, person, next, keyring, evidence, at)?,
            Hardware::Witnessed => match before {
                Some(before) => witnessed(name, person, next, before, statements)?,
                None => return Err(HardwareRefusal::WitnessedInFirstRoot { person: name.clone() }),
            },
        }
    }
    Ok(())
}

/// The order of the keys is no matter of hardware, and neither is the date.
fn is_same(known: &Person, person: &Person) -> bool {
    let keys = |person: &Person| person.keys.iter().cloned().collect::<BTreeSet<_>>();
    known.certificate == person.certificate && keys(known) == keys(person) && known.hardware == person.hardware
}

fn attested(
    name: &PersonName,
    person: &Person,
    policy: &PolicyDocument,
    keyring: &Keyring,
    evidence: &[Vec<u8>],
    at: Time,
) -> Result<(), HardwareRefusal> {
    if policy.attestation_roots.is_empty() {
        return Err(HardwareRefusal::NoRoots { person: name.clone() });
    }
    for key in &person.keys {
        let material = keyring.key_material(person.certificate, key);
        let material = material.map_err(|source| HardwareRefusal::Key {
            person: name.clone(),
            source,
        })?;
        let (mut good, mut closest) = (false, None);
        for chain in evidence {
            match x509::attest(chain, key, &material, &policy.attestation_roots, at) {
                Ok(_) => good = true,
                Err(AttestationRefusal::OtherKey { .. }) => {}
                Err(refusal) => closest = Some(refusal),
            }
        }
        if !good {
            return Err(HardwareRefusal::NotAttested {
                person: name.clone(),
                key: key.clone(),
                tried: evidence.len(),
                closest,
            });
        }
    }
    Ok(())
}

/// What a token attests of a key of a certificate, if everything about it holds.
pub fn attest(
    evidence: &[u8],
    key: &Fingerprint,
    certificate: attestation::Sha256Digest,
    keyring: &Keyring,
    roots: &BTreeSet<attestation::AttestationRoot>,
    at: Time,
) -> Result<Attested, AttestationRefusal> {
    let material: KeyMaterial = keyring
        .key_material(certificate, key)
        .map_err(|error| AttestationRefusal::Key(error.to_string()))?;
    x509::attest(evidence, key, &material, roots, at)
}

fn witnessed(
    name: &PersonName,
    person: &Person,
    next: &PolicyDocument,
    before: &PolicyDocument,
    statements: &[Verified<Statement>],
) -> Result<(), HardwareRefusal> {
    let roles = next.roles.iter().filter(|(_, role)| role.people.contains(name));
    let roles: BTreeSet<_> = roles.map(|(role, _)| role).collect();
    // In force, not proposed: nobody brings their own witnesses along.
    let may_witness = |author: &PersonName| {
        let mut of = before.roles.iter().filter(|(_, role)| role.people.contains(author));
        author != name && of.any(|(role, _)| roles.contains(role))
    };
    for key in &person.keys {
        let found: BTreeSet<PersonName> = statements
            .iter()
            .map(Verified::get)
            .filter(|statement| may_witness(&statement.author))
            .filter(|statement| match &statement.claim {
                Claim::Witness(seen) => {
                    seen.person == *name && seen.key == *key && seen.certificate == person.certificate
                }
                _ => false,
            })
            .map(|statement| statement.author.clone())
            .collect();
        if found.len() < WITNESSES {
            return Err(HardwareRefusal::TooFewWitnesses {
                person: name.clone(),
                key: key.clone(),
                found,
            });
        }
    }
    Ok(())
}
