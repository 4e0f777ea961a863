//! A card's public key as an OpenPGP key. Its fingerprint follows from the key and its creation time; what the card notes
//! as fingerprint is compared with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attestation::{Fingerprint, Time};
use openpgp_card::{
    Card,
    ocard::{
        algorithm::{AlgorithmAttributes, Curve as CardCurve},
        crypto::{HashAlgo, PublicKeyMaterial, SigningAlgo},
    },
    state::Transaction,
};
use sequoia_openpgp::{
    crypto::mpi,
    packet::{
        Key,
        key::{Key4, PublicParts, UnspecifiedRole},
    },
    types::{Curve, HashAlgorithm, PublicKeyAlgorithm},
};

use super::{CardError, CardIdent, Slot};

/// A public key as sequoia has it.
pub(super) type PublicKey = Key<PublicParts, UnspecifiedRole>;

/// The public key in a slot.
pub(super) fn read(ident: &CardIdent, card: &mut Card<Transaction<'_>>, slot: Slot) -> Result<PublicKey, CardError> {
    const DOING: &str = "reading its public key";
    let failed = |error: openpgp_card::Error| CardError::of(ident, DOING, &error);
    let key_type = slot.key_type();
    let empty = || CardError::EmptySlot {
        ident: ident.clone(),
        slot,
    };
    let noted = card.fingerprint(key_type).map_err(failed)?.ok_or_else(empty)?;
    let created = card.key_generation_time(key_type).map_err(failed)?.ok_or_else(empty)?;
    let material = card.public_key_material(key_type).map_err(failed)?;
    let key = from_material(&material, created.get()).ok_or_else(|| CardError::Algorithm {
        ident: ident.clone(),
        algorithm: describe(&material),
    })?;
    let (computed, noted) = (fingerprint(&key), hex_fingerprint(noted.as_bytes()));
    match (computed, noted) {
        (Some(computed), Some(noted)) if computed == noted => Ok(key),
        (Some(computed), Some(noted)) => Err(CardError::NotedFingerprint {
            ident: ident.clone(),
            slot,
            noted,
            computed,
        }),
        _ => Err(empty()),
    }
}

/// The OpenPGP key that a card's key is, if it is of an algorithm that signs.
pub(super) fn from_material(material: &PublicKeyMaterial, created: u32) -> Option<PublicKey> {
    let (algorithm, numbers) = match material {
        PublicKeyMaterial::R(rsa) => (
            PublicKeyAlgorithm::RSAEncryptSign,
            mpi::PublicKey::RSA {
                e: mpi::MPI::new(rsa.v()),
                n: mpi::MPI::new(rsa.n()),
            },
        ),
        PublicKeyMaterial::E(ecc) => {
            let AlgorithmAttributes::Ecc(attributes) = ecc.algo() else {
                return None;
            };
            match (attributes.curve(), ecc.data()) {
                (CardCurve::Ed25519, data) if data.len() == 32 => (
                    PublicKeyAlgorithm::EdDSA,
                    mpi::PublicKey::EdDSA {
                        curve: Curve::Ed25519,
                        q: mpi::MPI::new(&[&[0x40], data].concat()),
                    },
                ),
                (CardCurve::NistP256r1, data) => ecdsa(Curve::NistP256, data, 32)?,
                (CardCurve::NistP384r1, data) => ecdsa(Curve::NistP384, data, 48)?,
                _ => return None,
            }
        }
    };
    let created = UNIX_EPOCH + Duration::from_secs(created.into());
    Some(Key4::new(created, algorithm, numbers).ok()?.into())
}

/// Some cards leave out the byte that says "uncompressed".
fn ecdsa(curve: Curve, data: &[u8], coordinate: usize) -> Option<(PublicKeyAlgorithm, mpi::PublicKey)> {
    let point = match data {
        [0x04, rest @ ..] if rest.len() == 2 * coordinate => data.to_vec(),
        bare if bare.len() == 2 * coordinate => [&[0x04], bare].concat(),
        _ => return None,
    };
    let q = mpi::MPI::new(&point);
    Some((PublicKeyAlgorithm::ECDSA, mpi::PublicKey::ECDSA { curve, q }))
}

fn describe(material: &PublicKeyMaterial) -> String {
    match material {
        PublicKeyMaterial::R(rsa) => format!("RSA of {} bits", rsa.n().len() * 8),
        PublicKeyMaterial::E(ecc) => ecc.algo().to_string(),
    }
}

/// What is handed to the card for a digest, and how.
pub(super) fn to_sign(key: &PublicKey, hash: HashAlgorithm, digest: &[u8]) -> Option<(SigningAlgo, Vec<u8>)> {
    match key.mpis() {
        mpi::PublicKey::RSA { .. } => {
            let hash = match hash {
                HashAlgorithm::SHA256 => HashAlgo::SHA256,
                HashAlgorithm::SHA384 => HashAlgo::SHA384,
                HashAlgorithm::SHA512 => HashAlgo::SHA512,
                _ => return None,
            };
            Some((SigningAlgo::RSA(hash), digest.to_vec()))
        }
        mpi::PublicKey::EdDSA { .. } => Some((SigningAlgo::ECC, digest.to_vec())),
        // ECDSA signs as many bits as the curve has, and OpenPGP asks for a digest that is no shorter.
        mpi::PublicKey::ECDSA {
            curve: Curve::NistP256, ..
        } => Some((SigningAlgo::ECC, digest.get(..32)?.to_vec())),
        mpi::PublicKey::ECDSA {
            curve: Curve::NistP384, ..
        } => Some((SigningAlgo::ECC, digest.get(..48)?.to_vec())),
        _ => None,
    }
}

/// A card's answer as the numbers of a signature.
pub(super) fn signature(key: &PublicKey, raw: &[u8]) -> Option<mpi::Signature> {
    let half = raw.len() / 2;
    match key.mpis() {
        mpi::PublicKey::RSA { .. } => Some(mpi::Signature::RSA { s: mpi::MPI::new(raw) }),
        mpi::PublicKey::EdDSA { .. } if raw.len() == 64 => Some(mpi::Signature::EdDSA {
            r: mpi::MPI::new(&raw[..32]),
            s: mpi::MPI::new(&raw[32..]),
        }),
        mpi::PublicKey::ECDSA { .. } if half > 0 && raw.len() == 2 * half => Some(mpi::Signature::ECDSA {
            r: mpi::MPI::new(&raw[..half]),
            s: mpi::MPI::new(&raw[half..]),
        }),
        _ => None,
    }
}

/// A key's fingerprint as ours.
pub(super) fn fingerprint(key: &PublicKey) -> Option<Fingerprint> {
    key.fingerprint().to_hex().to_lowercase().parse().ok()
}

pub(super) fn hex_fingerprint(bytes: &[u8]) -> Option<Fingerprint> {
    data_encoding::HEXLOWER.encode(bytes).parse().ok()
}

pub(super) fn system_time(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.unix()).unwrap_or(0))
}
