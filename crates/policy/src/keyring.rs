//! OpenPGP certificates, and which of their keys sign validly when.
//!
//! A certificate is found by the SHA-256 of its primary key packet's body, which the policy pins, never by a
//! key id or user id. Its other packets may come from anywhere: they are merged, so a revocation that was
//! seen once subtracts for ever, whoever leaves it out later.

mod strict;
mod timeline;
mod web;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use attestation::{Fingerprint, Sha256Digest, Time};
use rsa::{BigUint, RsaPublicKey};
use sequoia_openpgp::{
    Cert,
    cert::CertParser,
    crypto::mpi::PublicKey,
    packet::{Key, Signature, key},
    parse::Parse as _,
    policy::StandardPolicy,
    serialize::MarshalInto as _,
    types::{Curve, RevocationType},
};

use crate::signature::KeyMaterial;

pub(crate) use timeline::Timeline;
pub use web::Uncertified;

/// No certificate file may be larger: nobody's certificate is, and ten megabytes of user ids are an attack.
pub const MAX_KEYRING_BYTES: usize = 5 << 20;

/// Sequoia's standard policy is asked as of this moment, so that the same bytes get the same answer on every
/// machine and day: 2026-01-01. (SHA-1 and MD5 self-signatures were refused long before.)
const CUTOFF: Time = Time::JAN_2026;

/// Certificates by the digest of their primary key.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certificates: BTreeMap<Sha256Digest, Cert>,
}

/// Why bytes are not certificates that we take.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// More than [`MAX_KEYRING_BYTES`].
    #[error("certificates of {found} bytes, at most {MAX_KEYRING_BYTES} are read")]
    TooLarge {
        /// How many there are.
        found: usize,
    },
    /// Not OpenPGP certificates.
    #[error("not an OpenPGP certificate: {0}")]
    Malformed(String),
    /// Somebody's private key is in it.
    #[error("there is a private key in it; export only the public certificate, and consider the key lost")]
    PrivateKey,
    /// Nothing in it.
    #[error("no certificate in it")]
    Empty,
}

/// Why a key does not sign validly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefusal {
    /// The keyring lacks the certificate that the policy pins.
    #[error("no certificate whose primary key has SHA-256 {pinned}")]
    NoCertificate {
        /// The digest that the policy pins.
        pinned: Sha256Digest,
    },
    /// The certificate lacks the key.
    #[error("certificate {pinned} has no key {key}")]
    NoSuchKey {
        /// The certificate's digest.
        pinned: Sha256Digest,
        /// The key.
        key: Fingerprint,
    },
    /// The primary key binds whatever anybody likes.
    #[error("the primary key of certificate {pinned} is of small order: everybody can sign with it")]
    WeakPrimary {
        /// The certificate's digest.
        pinned: Sha256Digest,
    },
    /// The key is not bound to the certificate as a signing key at that time.
    #[error("key {key} is not a valid signing key at {at}: {reason}")]
    NotValid {
        /// The key.
        key: Fingerprint,
        /// The moment that was judged.
        at: Time,
        /// Sequoia's reason.
        reason: String,
    },
    /// The key or its certificate is revoked.
    #[error("key {key} is revoked")]
    Revoked {
        /// The key.
        key: Fingerprint,
    },
    /// Too few of the people who certify say that the certificate is the person's.
    #[error("{0}")]
    NotCertified(Box<Uncertified>),
    /// Of an algorithm that signs nothing of ours.
    #[error(
        "key {key} is of an algorithm that is not taken: {algorithm}; needed is Ed25519, RSA of 2048 to 4096 bits, or (for statements only) P-256"
    )]
    Algorithm {
        /// The key.
        key: Fingerprint,
        /// Its algorithm.
        algorithm: String,
    },
    /// Of an algorithm that signs statements and enters no TUF role.
    #[error(
        "key {key} is a {algorithm} key, which signs statements only; the first key of somebody who signs roots or releases is Ed25519 or RSA"
    )]
    StatementsOnly {
        /// The key.
        key: Fingerprint,
        /// Its algorithm.
        algorithm: &'static str,
    },
}

impl Keyring {
    /// Reads certificates, in ASCII armor or binary, one after the other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyringError> {
        let mut keyring = Self::default();
        keyring.add(bytes)?;
        Ok(keyring)
    }

    /// Merges the certificates in `bytes` into this keyring: packets are only ever added. Returns their
    /// digests.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Vec<Sha256Digest>, KeyringError> {
        if bytes.len() > MAX_KEYRING_BYTES {
            return Err(KeyringError::TooLarge { found: bytes.len() });
        }
        let malformed = |error: sequoia_openpgp::anyhow::Error| KeyringError::Malformed(error.to_string());
        let mut read = Vec::new();
        for cert in CertParser::from_bytes(bytes).map_err(malformed)? {
            let cert = cert.map_err(malformed)?;
            if cert.is_tsk() {
                return Err(KeyringError::PrivateKey);
            }
            let cert = strict::strict(cert).map_err(malformed)?;
            read.push((primary_digest(&cert).map_err(malformed)?, cert));
        }
        if read.is_empty() {
            return Err(KeyringError::Empty);
        }
        let mut digests = Vec::new();
        for (digest, cert) in read {
            // Copied, so that a failed merge loses no packet that was known.
            let merged = match self.certificates.get(&digest) {
                Some(known) => known.clone().merge_public(cert).map_err(malformed)?,
                None => cert,
            };
            self.certificates.insert(digest, merged);
            digests.push(digest);
        }
        Ok(digests)
    }

    /// All certificates, binary, in the order of their digests: what a channel ships as `keyring.pgp`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.certificates
            .values()
            .filter_map(|cert| cert.to_vec().ok())
            .flatten()
            .collect()
    }

    /// The digests of all certificates.
    pub fn digests(&self) -> impl Iterator<Item = Sha256Digest> {
        self.certificates.keys().copied()
    }

    /// What a person would call the owner of a certificate: its first user id. It proves nothing.
    pub fn user_id(&self, pinned: Sha256Digest) -> Option<String> {
        let cert = self.certificates.get(&pinned)?;
        cert.userids()
            .next()
            .map(|user_id| String::from_utf8_lossy(user_id.userid().value()).into_owned())
    }

    /// The fingerprints of a certificate's keys that sign validly at `at`, in the certificate's order, but those that
    /// sign statements only behind those that may sign everything.
    pub fn signing_keys(&self, pinned: Sha256Digest, at: Time) -> Vec<Fingerprint> {
        let Some(cert) = self.certificates.get(&pinned) else {
            return Vec::new();
        };
        let keys = cert.keys().filter_map(|key| fingerprint(key.key()));
        let mut valid: Vec<_> = keys
            .filter_map(|key| Some((self.signing_key(pinned, &key, at).ok()?.to_tuf().is_none(), key)))
            .collect();
        valid.sort_by_key(|(statements_only, _)| *statements_only);
        valid.into_iter().map(|(_, key)| key).collect()
    }

    /// Why a key of a certificate does not sign validly at `at`; `None` if it does.
    pub fn why_not(&self, pinned: Sha256Digest, key: &Fingerprint, at: Time) -> Option<CertificateRefusal> {
        self.signing_key(pinned, key, at).err()
    }

    /// The fingerprints of all keys of a certificate, whatever they are for.
    pub fn all_keys(&self, pinned: Sha256Digest) -> Vec<Fingerprint> {
        let keys = self.certificates.get(&pinned).into_iter().flat_map(Cert::keys);
        keys.filter_map(|key| fingerprint(key.key())).collect()
    }

    /// The material of the key `wanted` of the certificate `pinned`, whether or not it is valid: that is judged
    /// for each signature, at the signature's time.
    pub(crate) fn key_material(
        &self,
        pinned: Sha256Digest,
        wanted: &Fingerprint,
    ) -> Result<KeyMaterial, CertificateRefusal> {
        let cert = self
            .certificates
            .get(&pinned)
            .ok_or(CertificateRefusal::NoCertificate { pinned })?;
        let found = cert.keys().find(|key| fingerprint(key.key()).as_ref() == Some(wanted));
        let found = found.ok_or_else(|| CertificateRefusal::NoSuchKey {
            pinned,
            key: wanted.clone(),
        })?;
        usable_material(found.key(), wanted)
    }

    /// The key `wanted` of the certificate `pinned`, if it signs validly at `at`: bound with a signing flag
    /// and a back-signature, neither expired nor not yet valid, not revoked (a hard revocation counts at any
    /// time, a soft one from its date on), nor the certificate.
    pub(crate) fn signing_key(
        &self,
        pinned: Sha256Digest,
        wanted: &Fingerprint,
        at: Time,
    ) -> Result<KeyMaterial, CertificateRefusal> {
        let cert = self
            .certificates
            .get(&pinned)
            .ok_or(CertificateRefusal::NoCertificate { pinned })?;
        let policy = StandardPolicy::at(system_time(CUTOFF));
        let not_valid = |error: sequoia_openpgp::anyhow::Error| CertificateRefusal::NotValid {
            key: wanted.clone(),
            at,
            // Sequoia repeats the moment, which stands in `at`.
            reason: error
                .to_string()
                .split(" at time ")
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        let is_wanted = |found: Option<Fingerprint>| found.as_ref() == Some(wanted);
        if !cert.keys().any(|key| is_wanted(fingerprint(key.key()))) {
            return Err(CertificateRefusal::NoSuchKey {
                pinned,
                key: wanted.clone(),
            });
        }
        if strict::is_weak(cert.primary_key().key()) {
            return Err(CertificateRefusal::WeakPrimary { pinned });
        }
        let mut subkeys = cert.keys().subkeys().filter(|key| is_wanted(fingerprint(key.key())));
        if cert
            .primary_key()
            .self_revocations()
            .any(|revocation| subtracts(revocation, at))
            || subkeys.any(|key| key.self_revocations().any(|revocation| subtracts(revocation, at)))
        {
            return Err(CertificateRefusal::Revoked { key: wanted.clone() });
        }
        let valid = cert.with_policy(&policy, system_time(at)).map_err(not_valid)?;
        valid.alive().map_err(not_valid)?;
        let signing = valid.keys().for_signing().alive().revoked(false);
        let found = signing
            .into_iter()
            .find(|key| fingerprint(key.key()).as_ref() == Some(wanted));
        let found = found.ok_or_else(|| CertificateRefusal::NotValid {
            key: wanted.clone(),
            at,
            reason: "expired, not yet valid, without signing flag, or without a valid binding".to_owned(),
        })?;
        usable_material(found.key(), wanted)
    }
}

fn usable_material<R: key::KeyRole>(
    key: &Key<key::PublicParts, R>,
    wanted: &Fingerprint,
) -> Result<KeyMaterial, CertificateRefusal> {
    material(key.mpis()).ok_or_else(|| CertificateRefusal::Algorithm {
        key: wanted.clone(),
        algorithm: key.pk_algo().to_string(),
    })
}

/// Whether a revocation that the certificate's own primary key made takes its key away at `at`: a hard one
/// always, a soft one from its date on. OpenPGP lets a soft one expire, and lets a newer self-signature override
/// it; here nothing gives back what a revocation took, since whoever stole the primary key could.
fn subtracts(revocation: &Signature, at: Time) -> bool {
    let hard = revocation
        .reason_for_revocation()
        .is_none_or(|(reason, _)| reason.revocation_type() == RevocationType::Hard);
    let since = revocation.signature_creation_time();
    hard || since.is_none_or(|since| since <= system_time(at))
}

fn material(mpis: &PublicKey) -> Option<KeyMaterial> {
    let found = match mpis {
        PublicKey::EdDSA {
            curve: Curve::Ed25519,
            q,
        } => {
            let [0x40, point @ ..] = q.value() else { return None };
            KeyMaterial::PgpEd25519(ed25519_dalek::VerifyingKey::from_bytes(point.try_into().ok()?).ok()?)
        }
        PublicKey::ECDSA {
            curve: Curve::NistP256,
            q,
        } if q.value().first() == Some(&0x04) => {
            KeyMaterial::PgpP256(p256::ecdsa::VerifyingKey::from_sec1_bytes(q.value()).ok()?)
        }
        PublicKey::RSA { e, n } => {
            let number = |mpi: &sequoia_openpgp::crypto::mpi::MPI| BigUint::from_bytes_be(mpi.value());
            KeyMaterial::PgpRsa(RsaPublicKey::new(number(n), number(e)).ok()?)
        }
        _ => return None,
    };
    found.refuse_weak().ok().map(|()| found)
}

fn primary_digest(cert: &Cert) -> sequoia_openpgp::Result<Sha256Digest> {
    Ok(Sha256Digest::of(cert.primary_key().key().to_vec()?))
}

fn fingerprint<R: key::KeyRole>(key: &Key<key::PublicParts, R>) -> Option<Fingerprint> {
    key.fingerprint().to_hex().to_lowercase().parse().ok()
}

fn system_time(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.unix()).unwrap_or(0))
}
