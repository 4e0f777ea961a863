//! Certifications of people by people, as Arch has them: who stands in a policy counts only when enough of its main people
//! say that the certificate is that person's.
//!
//! A certification is a signature of a certifier's *primary* key over the certificate's primary key and one of its user
//! ids. It counts by the rules of everything else in certificates (sequoia's policy as of the cut-off, no point of small
//! order), and while the certifier's certificate is valid and not revoked. A certifier's own revocation of a
//! certification subtracts from its date on, and nothing gives back what it took but another user id.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use attestation::{PersonName, RoleName, Sha256Digest, Time, chain::PolicyDocument};
use sequoia_openpgp::{
    Cert,
    cert::amalgamation::{UserIDAmalgamation, ValidAmalgamation as _, ValidateAmalgamation as _},
    packet::Signature,
    policy::{HashAlgoSecurity, Policy as _, StandardPolicy},
    types::{RevocationStatus, SignatureType},
};

use super::{CUTOFF, CertificateRefusal, Keyring, subtracts, system_time};
use crate::threshold::is_met;

/// Somebody whose certificate too few certify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{person}'s certificate is certified by {} of {need} people of role {role}{}; could still certify it: {}",
    .by.len(),
    named(": ", .by),
    named("", .could)
)]
pub struct Uncertified {
    /// Whose certificate.
    pub person: PersonName,
    /// Who certifies.
    pub role: RoleName,
    /// How many of them it takes.
    pub need: u32,
    /// Who did.
    pub by: BTreeSet<PersonName>,
    /// Who did not.
    pub could: BTreeSet<PersonName>,
}

fn named(before: &str, names: &BTreeSet<PersonName>) -> String {
    let names: Vec<_> = names.iter().map(PersonName::as_str).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("{before}{}", names.join(", "))
    }
}

impl Keyring {
    /// Whether enough of the policy's main people certify somebody's certificate at `at`. They themselves count for the
    /// root's pin alone; where a policy names none, everybody does.
    pub(crate) fn require_certified(
        &self,
        policy: &PolicyDocument,
        person: &PersonName,
        at: Time,
    ) -> Result<(), CertificateRefusal> {
        let (Some(web), Some(entry)) = (&policy.web_of_trust, policy.people.get(person)) else {
            return Ok(());
        };
        let nobody = BTreeSet::new();
        let members = policy.roles.get(&web.role).map_or(&nobody, |role| &role.people);
        if members.contains(person) {
            return Ok(());
        }
        let certificate = |name| policy.people.get(name).map(|entry| (name, entry.certificate));
        let certifiers = members.iter().filter_map(certificate).collect();
        let by = self.certified_by(entry.certificate, &certifiers, at);
        if is_met(by.len(), web.threshold) {
            return Ok(());
        }
        Err(CertificateRefusal::NotCertified(Box::new(Uncertified {
            person: person.clone(),
            role: web.role.clone(),
            need: web.threshold,
            could: members.difference(&by).cloned().collect(),
            by,
        })))
    }

    /// Everybody of a policy whose certificate too few certify at `at`, and why.
    pub(crate) fn uncertified(&self, policy: &PolicyDocument, at: Time) -> BTreeMap<PersonName, CertificateRefusal> {
        let people = policy.people.keys();
        let refused = people.filter_map(|name| Some((name.clone(), self.require_certified(policy, name, at).err()?)));
        refused.collect()
    }

    /// Which of `certifiers` (their names and certificates) certify the certificate `pinned` at `at`.
    fn certified_by(
        &self,
        pinned: Sha256Digest,
        certifiers: &BTreeMap<&PersonName, Sha256Digest>,
        at: Time,
    ) -> BTreeSet<PersonName> {
        let Some(cert) = self.certificates.get(&pinned) else {
            return BTreeSet::new();
        };
        let certifies = |certificate: &Sha256Digest| {
            let certifier = self.certificates.get(certificate).filter(|_| *certificate != pinned);
            certifier.is_some_and(|certifier| certifies(certifier, cert, at))
        };
        let found = certifiers.iter().filter(|(_, certificate)| certifies(certificate));
        found.map(|(name, _)| (*name).clone()).collect()
    }
}

/// Whether the primary key of `certifier` certifies a user id of `cert`.
fn certifies(certifier: &Cert, cert: &Cert, at: Time) -> bool {
    let policy = StandardPolicy::at(system_time(CUTOFF));
    let when = system_time(at);
    let primary = certifier.primary_key();
    let may = certifier.with_policy(&policy, when).is_ok_and(|valid| {
        let alive = valid.alive().is_ok();
        alive && valid.primary_key().for_certification()
    });
    if !may || super::strict::is_weak(primary.key()) || primary.self_revocations().any(|it| subtracts(it, at)) {
        return false;
    }
    cert.userids().any(|user_id| {
        let is_bound = user_id
            .clone()
            .with_policy(&policy, when)
            .is_ok_and(|valid| !matches!(valid.revocation_status(), RevocationStatus::Revoked(_)));
        let is_revoked = user_id.other_revocations().any(|it| {
            it.typ() == SignatureType::CertificationRevocation
                && is_made_by(it, certifier, cert, &user_id)
                && subtracts(it, at)
        });
        is_bound
            && !is_revoked
            && user_id
                .certifications()
                .any(|it| is_certification(it, &policy, when) && is_made_by(it, certifier, cert, &user_id))
    })
}

fn is_certification(signature: &Signature, policy: &StandardPolicy<'_>, when: SystemTime) -> bool {
    use SignatureType::{CasualCertification, GenericCertification, PersonaCertification, PositiveCertification};
    let kinds = [
        GenericCertification,
        PersonaCertification,
        CasualCertification,
        PositiveCertification,
    ];
    kinds.contains(&signature.typ())
        && signature.signature_alive(when, std::time::Duration::ZERO).is_ok()
        && policy
            .signature(signature, HashAlgoSecurity::CollisionResistance)
            .is_ok()
}

/// Whether the certifier's primary key made this signature over the user id.
fn is_made_by(signature: &Signature, certifier: &Cert, cert: &Cert, user_id: &UserIDAmalgamation<'_>) -> bool {
    let key = certifier.primary_key().key();
    // The fingerprint, and never a 64-bit key id.
    let named = signature
        .issuer_fingerprints()
        .any(|issuer| *issuer == certifier.fingerprint());
    let subject = cert.primary_key().key();
    named
        && match signature.typ() {
            SignatureType::CertificationRevocation => {
                signature.verify_userid_revocation(key, subject, user_id.userid())
            }
            _ => signature.verify_userid_binding(key, subject, user_id.userid()),
        }
        .is_ok()
}
