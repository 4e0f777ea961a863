//! When a key signs validly, asked of its certificate once for each stretch of time instead of once a signature.
//!
//! The answer of [`Keyring::signing_key`] changes only at a moment that something in the certificate names: when a key
//! or signature was made, and when one expires. Between two of them it is asked once, of the certificate itself.

use std::{
    collections::BTreeSet,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use attestation::{Fingerprint, Sha256Digest, Time};
use sequoia_openpgp::{Packet, packet::Signature};

use super::{CertificateRefusal, Keyring};

/// The answers of a certificate about one key over all times.
pub(crate) struct Timeline<'a> {
    keyring: &'a Keyring,
    pinned: Sha256Digest,
    key: Fingerprint,
    /// Where stretches begin, sorted; the first is the beginning of time.
    begins: Vec<Time>,
    answers: Vec<OnceLock<Result<(), CertificateRefusal>>>,
}

impl<'a> Timeline<'a> {
    pub(crate) fn new(keyring: &'a Keyring, pinned: Sha256Digest, key: Fingerprint) -> Self {
        let begins: Vec<_> = keyring.turning_points(pinned).into_iter().collect();
        let answers = begins.iter().map(|_| OnceLock::new()).collect();
        Self {
            keyring,
            pinned,
            key,
            begins,
            answers,
        }
    }

    /// What [`Keyring::signing_key`] says of the key at `at`.
    pub(crate) fn at(&self, at: Time) -> Result<(), CertificateRefusal> {
        let stretch = self.begins.partition_point(|begin| *begin <= at).saturating_sub(1);
        let ask = || self.keyring.signing_key(self.pinned, &self.key, at).map(|_| ());
        match self.answers[stretch].get_or_init(ask).clone() {
            // The moment that is named is the one that was asked for.
            Err(CertificateRefusal::NotValid { key, reason, .. }) => {
                Err(CertificateRefusal::NotValid { key, at, reason })
            }
            answer => answer,
        }
    }
}

impl Keyring {
    /// When `key` stops to sign validly, if that is before `until`: the last such moment, so that a gap in the past
    /// (a key that was renewed late) is none.
    pub fn ends(&self, pinned: Sha256Digest, key: &Fingerprint, until: Time) -> Option<Time> {
        if self.signing_key(pinned, key, until).is_ok() {
            return None;
        }
        let points = self.turning_points(pinned);
        let good = points
            .range(..until)
            .rev()
            .find(|at| self.signing_key(pinned, key, **at).is_ok());
        let last = good.copied().unwrap_or(Time::from_unix(0));
        points
            .range(last..until)
            .find(|at| **at > last)
            .copied()
            .or(Some(until))
    }

    /// Every moment at which something may change for a key of the certificate: each that it names and the second
    /// after it (what expires may do so at the end of its last second), and the beginning of time.
    fn turning_points(&self, pinned: Sha256Digest) -> BTreeSet<Time> {
        let mut points = BTreeSet::from([Time::from_unix(0)]);
        let Some(cert) = self.certificates.get(&pinned) else {
            return points;
        };
        let made: Vec<SystemTime> = cert.keys().map(|key| key.key().creation_time()).collect();
        let mut named = made.clone();
        for packet in cert.clone().into_packets() {
            if let Packet::Signature(signature) = packet {
                name_times(&signature, &made, &mut named);
            }
        }
        for moment in named {
            let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            points.insert(Time::from_unix(seconds));
            points.insert(Time::from_unix(seconds.saturating_add(1)));
        }
        points
    }
}

fn name_times(signature: &Signature, made: &[SystemTime], named: &mut Vec<SystemTime>) {
    named.extend(signature.signature_creation_time());
    named.extend(signature.signature_expiration_time());
    if let Some(period) = signature.key_validity_period() {
        named.extend(made.iter().filter_map(|made| made.checked_add(period)));
    }
    for back in signature.embedded_signatures() {
        name_times(back, made, named);
    }
}

#[cfg(test)]
mod tests {
    use sequoia_openpgp::{
        Cert, cert::SubkeyRevocationBuilder, parse::Parse as _, serialize::MarshalInto as _, types::ReasonForRevocation,
    };
    use testkit::TestPerson;

    use super::{super::system_time, *};

    /// The person's certificate, its first signing key retired at `retired`.
    fn retired_at(person: &TestPerson, retired: Time) -> Vec<u8> {
        let cert = Cert::from_bytes(&person.secret).unwrap();
        let primary = cert.primary_key().key().clone().parts_into_secret().unwrap();
        let subkey = cert.keys().subkeys().next().unwrap().key().clone();
        let revocation = SubkeyRevocationBuilder::new()
            .set_reason_for_revocation(ReasonForRevocation::KeyRetired, b"")
            .unwrap()
            .set_signature_creation_time(system_time(retired))
            .unwrap()
            .build(&mut primary.into_keypair().unwrap(), &cert, &subkey, None)
            .unwrap();
        let cert = cert.strip_secret_key_material().insert_packets(revocation).unwrap().0;
        cert.to_vec().unwrap()
    }

    /// Asked in any order, at every moment that may matter and around it, a timeline answers as the certificate.
    #[test]
    fn a_timeline_answers_as_the_certificate_does_at_every_moment() {
        let days = attestation::Seconds::days;
        let person = TestPerson::new("alice", Time::JAN_2026);
        let certificates = [
            person.certificate.clone(),
            retired_at(&person, Time::JAN_2026.plus(days(100))),
        ];
        for certificate in certificates {
            let keyring = Keyring::from_bytes(&certificate).unwrap();
            for key in &person.keys {
                let timeline = Timeline::new(&keyring, person.primary, key.clone());
                let mut moments = vec![
                    Time::from_unix(0),
                    Time::JAN_2026.plus(days(50)),
                    Time::from_unix(i64::MAX),
                ];
                for point in keyring.turning_points(person.primary) {
                    for offset in [1, 2, 60, 1_800, 1_801, 86_400] {
                        let offset = attestation::Seconds(offset);
                        moments.extend([point.minus(offset), point, point.plus(offset)]);
                    }
                }
                let (mut valid, mut invalid) = (0, 0);
                for at in moments.iter().rev().chain(&moments) {
                    let asked = keyring.signing_key(person.primary, key, *at).map(|_| ());
                    *if asked.is_ok() { &mut valid } else { &mut invalid } += 1;
                    assert_eq!(timeline.at(*at), asked, "{key} at {at}");
                }
                assert!(valid > 10 && invalid > 10, "{valid} valid, {invalid} invalid");
            }
        }
    }
}
