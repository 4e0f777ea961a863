//! The OpenPGP attestation of a YubiKey: an X.509 certificate that the token made of a key in one of its slots.
//!
//! <https://developers.yubico.com/PGP/Attestation.html>; the extensions are those of
//! <https://docs.yubico.com/hardware/oid/oid-pgp-arc.html>. Bytes before meaning: what is verified is the signed part as
//! it was received, cut out of the certificate, never one that was written again.

use std::collections::BTreeSet;

use attestation::{AttestationRoot, Fingerprint, Sha256Digest, Time};
use data_encoding::BASE64;
use rsa::{Pkcs1v15Sign, RsaPublicKey, pkcs8::DecodePublicKey as _};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::{
    Certificate,
    der::{
        Decode as _, Encode as _, Reader as _, SliceReader,
        asn1::{ObjectIdentifier, OctetStringRef},
        oid::AssociatedOid as _,
    },
    ext::pkix::BasicConstraints,
};

use super::Attested;
use crate::signature::KeyMaterial;

/// No attestation is larger.
pub const MAX_EVIDENCE_BYTES: usize = 64 << 10;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// No chain is longer: a statement, the token's own certificate, what its maker puts above it, a root.
const LONGEST: usize = 6;

const SOURCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.5.2");
const FIRMWARE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.5.3");
const FINGERPRINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.5.4");
const SERIAL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.5.7");
const TOUCH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.41482.5.8");

/// Touch that only a reset, which destroys the key, switches off.
const PERMANENT: u8 = 2;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const SHA256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const SHA256_ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Why an attestation does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationRefusal {
    /// Not certificates in PEM, or too many bytes of them.
    #[error("not a chain of X.509 certificates in PEM: {0}")]
    Malformed(String),
    /// The chain ends elsewhere.
    #[error("the chain ends at root {found}, which is not among the policy's attestation-roots")]
    OtherRoot {
        /// The SHA-256 of the last certificate.
        found: Sha256Digest,
    },
    /// Not made by the certificate after it.
    #[error("certificate {index} of the chain is not made by the one after it: {reason}")]
    Link {
        /// Which, from 0.
        index: usize,
        /// Why.
        reason: &'static str,
    },
    /// Not valid at that time.
    #[error("certificate {index} of the chain is not valid at {at}")]
    Time {
        /// Which, from 0.
        index: usize,
        /// When.
        at: Time,
    },
    /// It is about another key.
    #[error("it attests key {found}, not {expected}")]
    OtherKey {
        /// The key that was asked for.
        expected: Fingerprint,
        /// What the attestation says.
        found: String,
    },
    /// The fingerprint fits and the key does not: somebody wrote that fingerprint onto the token.
    #[error("it names key {0}, and attests another one")]
    OtherMaterial(Fingerprint),
    /// An extension is missing, doubled, or of another form.
    #[error("extension 1.3.6.1.4.1.41482.5.{0} is missing or malformed")]
    Extension(&'static str),
    /// The key came from outside.
    #[error("the key was not made on the token")]
    Imported,
    /// Using the key takes no finger, or it can be switched off.
    #[error("the touch policy is {found}, needed is 2 (permanent)")]
    Touch {
        /// The value.
        found: u8,
    },
    /// The person's key.
    #[error("{0}")]
    Key(String),
}

use AttestationRefusal::{Extension, Imported, Link, Malformed, OtherKey, OtherMaterial, OtherRoot};

struct Certified {
    certificate: Certificate,
    /// The part that is signed, as it was received.
    signed: Vec<u8>,
    digest: Sha256Digest,
}

/// The digest by which a policy pins the last certificate of a chain.
pub fn root_digest(pem: &[u8]) -> Result<AttestationRoot, AttestationRefusal> {
    let chain = read(pem)?;
    let root = chain.last().ok_or_else(|| Malformed("no certificate".to_owned()))?;
    Ok(AttestationRoot::from_digest(root.digest))
}

pub(super) fn attest(
    pem: &[u8],
    key: &Fingerprint,
    material: &KeyMaterial,
    roots: &BTreeSet<AttestationRoot>,
    at: Time,
) -> Result<Attested, AttestationRefusal> {
    let chain = read(pem)?;
    let [leaf, .., root] = &chain[..] else {
        return Err(Malformed("a chain of one certificate attests nothing".to_owned()));
    };
    // First whether it speaks of this key at all: of what is about others nothing more is asked.
    let named = octets::<20>(leaf, FINGERPRINT, "4")?;
    let named = data_encoding::HEXLOWER.encode(&named);
    if named != key.as_str() {
        return Err(OtherKey {
            expected: key.clone(),
            found: named,
        });
    }
    if !roots.contains(&AttestationRoot::from_digest(root.digest)) {
        return Err(OtherRoot { found: root.digest });
    }
    for (index, link) in chain.iter().enumerate() {
        valid(index, &link.certificate, at)?;
        // The root is pinned; whether it signed itself is nobody's matter.
        if let Some(issuer) = chain.get(index + 1) {
            made_by(index, link, &issuer.certificate)?;
        }
    }
    if !is_of(leaf, material) {
        return Err(OtherMaterial(key.clone()));
    }
    if integer(leaf, SOURCE, "2")? != 1 {
        return Err(Imported);
    }
    let [touch] = octets::<1>(leaf, TOUCH, "8")?;
    if touch != PERMANENT {
        return Err(AttestationRefusal::Touch { found: touch });
    }
    Ok(Attested {
        serial: integer(leaf, SERIAL, "7")?,
        firmware: octets::<3>(leaf, FIRMWARE, "3")?,
    })
}

fn read(pem: &[u8]) -> Result<Vec<Certified>, AttestationRefusal> {
    let malformed = |error: x509_cert::der::Error| Malformed(error.to_string());
    if pem.len() > MAX_EVIDENCE_BYTES {
        return Err(Malformed(format!(
            "{} bytes, at most {MAX_EVIDENCE_BYTES} are read",
            pem.len()
        )));
    }
    let text = std::str::from_utf8(pem).map_err(|_| Malformed("not text".to_owned()))?;
    let blocks: Vec<&str> = text.split(BEGIN).skip(1).collect();
    if blocks.len() > LONGEST {
        return Err(Malformed(format!("{} certificates, at most {LONGEST}", blocks.len())));
    }
    let certificates = blocks.into_iter().map(|block| {
        let body = block.split_once(END).map(|(body, _)| body);
        let body: String = body.unwrap_or_default().split_whitespace().collect();
        let whole = BASE64.decode(body.as_bytes());
        certified(&whole.map_err(|error| Malformed(error.to_string()))?).map_err(malformed)
    });
    certificates.collect()
}

/// The certificate, and its signed part as it stands in these bytes.
fn certified(whole: &[u8]) -> x509_cert::der::Result<Certified> {
    let mut reader = SliceReader::new(whole)?;
    let signed = reader.sequence(|inner| {
        let signed = inner.tlv_bytes()?.to_vec();
        inner.tlv_bytes()?;
        inner.tlv_bytes()?;
        Ok(signed)
    })?;
    Ok(Certified {
        certificate: Certificate::from_der(whole)?,
        signed,
        digest: Sha256Digest::of(whole),
    })
}

fn valid(index: usize, certificate: &Certificate, at: Time) -> Result<(), AttestationRefusal> {
    let seconds = u64::try_from(at.unix()).unwrap_or(0);
    let validity = &certificate.tbs_certificate.validity;
    let from = validity.not_before.to_unix_duration().as_secs();
    let until = validity.not_after.to_unix_duration().as_secs();
    if (from..=until).contains(&seconds) {
        Ok(())
    } else {
        Err(AttestationRefusal::Time { index, at })
    }
}

/// Whether `issuer` may make certificates, is named as the maker of this one, and signed it.
fn made_by(index: usize, link: &Certified, issuer: &Certificate) -> Result<(), AttestationRefusal> {
    let bad = |reason| Link { index, reason };
    let (body, above) = (&link.certificate.tbs_certificate, &issuer.tbs_certificate);
    if body.issuer != above.subject {
        return Err(bad("it names another maker"));
    }
    let mut constraints = None;
    for extension in above.extensions.iter().flatten() {
        if extension.extn_id == BasicConstraints::OID {
            let read = BasicConstraints::from_der(extension.extn_value.as_bytes());
            constraints = Some(read.map_err(|_| bad("its maker's constraints cannot be read"))?);
        }
    }
    match constraints {
        Some(constraints) if constraints.ca => {
            // How many makers may stand between it and the end: the certificates below, without the first one.
            if constraints
                .path_len_constraint
                .is_some_and(|most| usize::from(most) < index)
            {
                return Err(bad("its maker may not have so many below it"));
            }
        }
        _ => return Err(bad("its maker is no authority")),
    }
    if link.certificate.signature_algorithm != body.signature {
        return Err(bad("it names two algorithms"));
    }
    let signature = link
        .certificate
        .signature
        .as_bytes()
        .ok_or_else(|| bad("its signature is no whole bytes"))?;
    let spki = above
        .subject_public_key_info
        .to_der()
        .map_err(|_| bad("its maker's key cannot be read"))?;
    let rsa = |padding: Pkcs1v15Sign, digest: &[u8]| {
        let key = RsaPublicKey::from_public_key_der(&spki).map_err(|_| bad("its maker's key cannot be read"))?;
        let strong = KeyMaterial::PgpRsa(key.clone()).refuse_weak();
        strong.map_err(|_| bad("its maker's key is too weak"))?;
        key.verify(padding, digest, signature)
            .map_err(|_| bad("the signature is wrong"))
    };
    match link.certificate.signature_algorithm.oid {
        SHA256_RSA => rsa(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(&link.signed)),
        SHA384_RSA => rsa(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(&link.signed)),
        SHA512_RSA => rsa(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(&link.signed)),
        SHA256_ECDSA => {
            use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
            let key = VerifyingKey::from_public_key_der(&spki).map_err(|_| bad("its maker's key is not P-256"))?;
            let signature = Signature::from_der(signature).map_err(|_| bad("the signature is wrong"))?;
            key.verify(&link.signed, &signature)
                .map_err(|_| bad("the signature is wrong"))
        }
        _ => Err(bad("its algorithm is not RSA with SHA-2 or P-256 with SHA-256")),
    }
}

/// Whether the certificate is of exactly this key.
fn is_of(leaf: &Certified, material: &KeyMaterial) -> bool {
    let info = &leaf.certificate.tbs_certificate.subject_public_key_info;
    let Ok(spki) = info.to_der() else { return false };
    match material {
        KeyMaterial::PgpEd25519(key) | KeyMaterial::Ed25519(key) => {
            info.algorithm.oid == ED25519 && info.subject_public_key.as_bytes() == Some(key.as_bytes().as_slice())
        }
        KeyMaterial::PgpRsa(key) => RsaPublicKey::from_public_key_der(&spki).is_ok_and(|found| found == *key),
        KeyMaterial::PgpP256(key) => {
            p256::ecdsa::VerifyingKey::from_public_key_der(&spki).is_ok_and(|found| found == *key)
        }
    }
}

/// The one extension of that name.
fn extension<'l>(
    leaf: &'l Certified,
    oid: ObjectIdentifier,
    name: &'static str,
) -> Result<&'l [u8], AttestationRefusal> {
    let all = leaf.certificate.tbs_certificate.extensions.iter().flatten();
    let mut found = all.filter(|extension| extension.extn_id == oid);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.extn_value.as_bytes()),
        _ => Err(Extension(name)),
    }
}

fn octets<const N: usize>(
    leaf: &Certified,
    oid: ObjectIdentifier,
    name: &'static str,
) -> Result<[u8; N], AttestationRefusal> {
    let value = OctetStringRef::from_der(extension(leaf, oid, name)?).map_err(|_| Extension(name))?;
    value.as_bytes().try_into().map_err(|_| Extension(name))
}

fn integer(leaf: &Certified, oid: ObjectIdentifier, name: &'static str) -> Result<u64, AttestationRefusal> {
    u64::from_der(extension(leaf, oid, name)?).map_err(|_| Extension(name))
}
