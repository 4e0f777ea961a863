//! Many signatures at once: each person's keys are understood, and each certificate asked, once.
//!
//! A [`Jury`] is the people of a court (or of a keyring without a chain) with their keys prepared, at one position: the
//! policy of one root and one time. It [hears](Jury::hear) signed git objects, and verifies statements
//! ([`Jury::verify_all`]). The rules are those of [`Court::verify`]; only the order of the work is another:
//! signatures are sorted by key, so that a key's table of multiples is used while it is at hand, and shared out among
//! threads.

mod object;
mod statements;
mod work;

use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

use attestation::{
    Fingerprint, KeyId, PersonName, Sha256Digest, Time,
    chain::{Hardware, Person},
    openpgp::{RawMaterial, SignaturePacket},
};
use data_encoding::HEXLOWER;

use crate::{
    facts::{Fact, Facts, fact},
    keyring::{CertificateRefusal, Keyring, Timeline},
    seal::Vouch,
    signature::{
        KeyMaterial, SignatureRefusal,
        ed25519::{Multiples, TABLE_PAYS},
    },
    statements::Court,
    trusted_set::judge::{Standing, standing_at},
};

pub use object::{Candidate, Heard, ObjectRefusal, Seen};
pub use work::Work;

/// People whose keys are prepared, at one position.
pub struct Jury<'a> {
    /// `None` for people who were taken from a keyring: they can be counted, and prove nothing.
    court: Option<Court<'a>>,
    now: Time,
    people: BTreeMap<PersonName, Person>,
    keys: Vec<PreparedKey<'a>>,
    by_issuer: HashMap<[u8; 20], usize>,
}

struct PreparedKey<'a> {
    person: PersonName,
    id: KeyId,
    material: Result<KeyMaterial, CertificateRefusal>,
    /// [`KeyMaterial::encoding`].
    encoding: Vec<u8>,
    timeline: Timeline<'a>,
    multiples: OnceLock<Multiples>,
}

/// A signature that waits for mathematics.
struct Job<'a> {
    /// Where its outcome belongs.
    place: (usize, usize),
    key: usize,
    packet: SignaturePacket<'a>,
    digest: [u8; 64],
    length: usize,
}

impl<'a> Jury<'a> {
    /// The people of a court's policy.
    pub(crate) fn of_court(court: Court<'a>, keyring: &'a Keyring) -> Self {
        let people = court.people();
        Self::new(Some(court), people, keyring, court.now)
    }

    /// People without a chain, each by the digests of their certificates: whoever hands them in says who they are, so
    /// what they vouch for can be counted ([`Heard::count`]) and is never proof.
    pub fn of_keyring(people: &BTreeMap<PersonName, Sha256Digest>, keyring: &'a Keyring, now: Time) -> Self {
        let entry = |(name, pinned): (&PersonName, &Sha256Digest)| {
            let person = Person {
                certificate: *pinned,
                keys: keyring.all_keys(*pinned),
                not_after: Time::from_unix(i64::MAX),
                hardware: Hardware::None,
            };
            (name.clone(), person)
        };
        Self::new(None, people.iter().map(entry).collect(), keyring, now)
    }

    fn new(court: Option<Court<'a>>, people: BTreeMap<PersonName, Person>, keyring: &'a Keyring, now: Time) -> Self {
        let mut keys = Vec::new();
        let mut by_issuer = HashMap::new();
        let mut owners: HashMap<Vec<u8>, &PersonName> = HashMap::new();
        for (name, person) in &people {
            for key in &person.keys {
                let material = keyring.key_material(person.certificate, key);
                // One key material is one person's, in whatever wrapping (a root with two owners is refused; a keyring
                // without a chain has nobody else who looks).
                let owner = material.as_ref().map(|it| *owners.entry(it.identity()).or_insert(name));
                if owner.is_ok_and(|owner| owner != name) {
                    continue;
                }
                by_issuer.insert(raw_fingerprint(key), keys.len());
                keys.push(PreparedKey {
                    person: name.clone(),
                    id: key.clone().into(),
                    encoding: material.as_ref().map(KeyMaterial::encoding).unwrap_or_default(),
                    material,
                    timeline: Timeline::new(keyring, person.certificate, key.clone()),
                    multiples: OnceLock::new(),
                });
            }
        }
        Self {
            court,
            now,
            people,
            keys,
            by_issuer,
        }
    }

    /// The key that is said to have signed, if its certificate and the policy let it sign at the signature's date, and
    /// now: everything but the mathematics.
    fn admissible(&self, packet: &SignaturePacket<'_>) -> Result<usize, SignatureRefusal> {
        let index = *self.by_issuer.get(packet.issuer()).ok_or(SignatureRefusal::NotInRole)?;
        let key = &self.keys[index];
        let person = &self.people[&key.person];
        standing_at(packet.created(), person, Standing::Now, self.now, |at| {
            key.timeline.at(at)
        })?;
        match &key.material {
            Ok(_) => Ok(index),
            Err(refusal) => Err(refusal.clone().into()),
        }
    }

    /// Each key, and whether it signs validly now: all that the time decides about signatures that are not dated later
    /// than now.
    pub fn standing(&self) -> impl Iterator<Item = (&KeyId, bool)> {
        self.keys.iter().map(|key| {
            let person = &self.people[&key.person];
            let stands = standing_at(self.now, person, Standing::Now, self.now, |at| key.timeline.at(at));
            (&key.id, stands.is_ok())
        })
    }

    /// The time at which it judges.
    pub const fn now(&self) -> Time {
        self.now
    }

    fn vouch(&self, key: usize, signed_at: Time) -> Vouch {
        let key = &self.keys[key];
        Vouch {
            person: Some(key.person.clone()),
            key: key.id.clone(),
            signed_at: Some(signed_at),
        }
    }

    /// Calls `good` for each job whose signature is good, and adds new facts to `learnt`. `jobs` are sorted by key here.
    fn calculate(&self, jobs: &mut [Job<'_>], facts: &Facts, learnt: &mut Vec<Fact>, mut good: impl FnMut(&Job<'_>)) {
        jobs.sort_by_key(|job| job.key);
        for of_key in jobs.chunk_by(|a, b| a.key == b.key) {
            let Some(key) = of_key.first().map(|job| &self.keys[job.key]) else {
                continue;
            };
            let with_fact = |job| -> (&Job<'_>, Fact) { (job, job.fact(&key.encoding)) };
            let (known, unknown): (Vec<_>, Vec<_>) =
                of_key.iter().map(with_fact).partition(|(_, fact)| facts.contains(fact));
            known.iter().for_each(|(job, _)| good(job));
            let outcomes = key.verify(unknown.iter().map(|(job, _)| *job));
            for ((job, fact), is_good) in unknown.into_iter().zip(outcomes) {
                if is_good {
                    learnt.push(fact);
                    good(job);
                }
            }
        }
    }
}

impl PreparedKey<'_> {
    /// Which of these signatures are good; one that is left out is bad.
    fn verify<'j>(&self, jobs: impl ExactSizeIterator<Item = &'j Job<'j>>) -> Vec<bool> {
        let Ok(material) = &self.material else {
            return Vec::new();
        };
        if let KeyMaterial::PgpEd25519(key) = material
            && (jobs.len() >= TABLE_PAYS || self.multiples.get().is_some())
        {
            let multiples = self.multiples.get_or_init(|| Multiples::for_key(key));
            let signed = jobs.map(|job| match job.packet.material() {
                RawMaterial::Ed25519(raw) => Some((job.digest(), raw)),
                _ => None,
            });
            let signed: Vec<_> = signed.collect();
            let mut good = multiples
                .verify(key, &signed.iter().flatten().copied().collect::<Vec<_>>())
                .into_iter();
            // A signature of another algorithm than the key's is bad.
            return signed
                .iter()
                .map(|signed| signed.is_some() && good.next() == Some(true))
                .collect();
        }
        let is_good = |job: &Job<'_>| {
            let (hash, raw) = (job.packet.hash(), job.packet.material());
            material.verify_digest(hash, job.digest(), raw).is_ok()
        };
        jobs.map(is_good).collect()
    }
}

impl<'a> Job<'a> {
    fn new(place: (usize, usize), key: usize, packet: SignaturePacket<'a>, document: &[&[u8]]) -> Self {
        let mut digest = [0; 64];
        let length = packet.digest(document, &mut digest).len();
        Self {
            place,
            key,
            packet,
            digest,
            length,
        }
    }

    fn digest(&self) -> &[u8] {
        &self.digest[..self.length]
    }

    fn fact(&self, key: &[u8]) -> Fact {
        fact(key, self.digest(), self.packet.material())
    }
}

fn raw_fingerprint(fingerprint: &Fingerprint) -> [u8; 20] {
    let bytes = HEXLOWER.decode(fingerprint.as_str().as_bytes());
    bytes
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .expect("a fingerprint is 40 hexadecimal digits")
}

fn key_id(issuer: &[u8; 20]) -> KeyId {
    HEXLOWER.encode(issuer).parse().expect("a fingerprint is a key id")
}
