//! OpenPGP signatures of the one form that we make and take, between their two encodings.
//!
//! The form (design: "Signatures are v4, type 00, SHA-256, …"): a version 4 signature packet over a binary
//! document, SHA-256, Ed25519 ("EdDSA legacy", algorithm 22), RSA (algorithm 1) or ECDSA over P-256 (algorithm 19),
//! with exactly one creation time and exactly one issuer fingerprint in the hashed area, no expiration, and nothing
//! critical that we do not know. The encodings: one binary packet (DSSE, git-sig), and TUF's `other_headers` with
//! `sig` as `securesystemslib` writes it, which knows no ECDSA. Reading does not verify: that is crate `policy`'s.
//!
//! Signatures in git are made by people's own gpg with its own settings: of them [`SignaturePacket`] also takes
//! SHA-384 and SHA-512, and is otherwise as strict.

mod packet;

use data_encoding::HEXLOWER;
use nixstore::Sha256Digest;
use sha2::{Digest as _, Sha256};

use crate::{
    names::{Fingerprint, KeyId},
    time::Time,
    tuf,
};

use packet::Reader;
pub use packet::{DocumentHash, RawMaterial, SignaturePacket, packets};

const VERSION_4: u8 = 4;
const EDDSA: u8 = 22;
const RSA: u8 = 1;
const ECDSA: u8 = 19;

/// A signature of the one form, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgpSignature {
    hashed: Vec<u8>,
    material: SignatureMaterial,
    created: Time,
    issuer: Fingerprint,
}

/// What the algorithm made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureMaterial {
    /// Ed25519's R and S.
    Ed25519([u8; 64]),
    /// ECDSA's r and s over P-256.
    P256([u8; 64]),
    /// RSA PKCS#1 v1.5: the signature as a big-endian number without leading zeros.
    Rsa(Vec<u8>),
}

/// Why bytes are not a signature of the one form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PgpFormError {
    /// Cut off, or with something after its end, or a number not in its shortest form.
    #[error("malformed OpenPGP signature: {0}")]
    Malformed(&'static str),
    /// A field has another value than the form demands.
    #[error("OpenPGP signature with {field} {found}, expected {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u8,
        /// The value or values that it may have.
        expected: &'static str,
    },
    /// The hashed area lacks or has what the form forbids or demands.
    #[error("OpenPGP signature {0}")]
    Subpacket(&'static str),
    /// A critical subpacket of unknown meaning.
    #[error("OpenPGP signature has a critical subpacket of type {0}, which we do not know")]
    UnknownCritical(u8),
    /// The key id is not the fingerprint that the signature itself names.
    #[error("key id {keyid} on a signature whose issuer is {issuer}")]
    OtherIssuer {
        /// The key id beside the signature.
        keyid: KeyId,
        /// The issuer in the signature.
        issuer: Fingerprint,
    },
}

use PgpFormError::{Field, Malformed};

impl PgpSignature {
    /// Reads one binary signature packet and nothing after it.
    pub fn from_packet(bytes: &[u8]) -> Result<Self, PgpFormError> {
        let mut input = Reader(bytes);
        let body = input.packet_body()?;
        input.end("bytes after the signature packet")?;

        let packet = SignaturePacket::from_body(body)?;
        Self::new(packet.hashed().to_vec(), packet.material().into_owned())
    }

    /// Reads TUF's encoding. `keyid` must be the issuer fingerprint.
    pub fn from_tuf(signature: &tuf::Signature) -> Result<Self, PgpFormError> {
        let decode = |text: &str, what| HEXLOWER.decode(text.as_bytes()).map_err(|_| Malformed(what));
        let headers = signature
            .other_headers
            .as_deref()
            .ok_or(Malformed("no other_headers"))?;
        let hashed = decode(headers, "other_headers is not lower-case hexadecimal")?;
        let raw = decode(&signature.sig, "sig is not lower-case hexadecimal")?;
        let material = match hashed.get(2) {
            Some(&EDDSA) => SignatureMaterial::Ed25519(raw.try_into().map_err(|_| Malformed("sig is not 64 bytes"))?),
            Some(&RSA) if raw.first().is_none_or(|first| *first == 0) => {
                return Err(Malformed("sig begins with a zero byte"));
            }
            // One key of a scheme that python-tuf does not know would make it refuse the whole repository.
            Some(&found) if found == ECDSA => {
                return Err(Field {
                    field: "public-key algorithm",
                    found,
                    expected: "22 (Ed25519) or 1 (RSA): P-256 signs statements only",
                });
            }
            // Also of an algorithm that is none of ours: `new` says so.
            _ => SignatureMaterial::Rsa(raw),
        };
        let read = Self::new(hashed, material)?;
        if KeyId::from(read.issuer.clone()) == signature.keyid {
            Ok(read)
        } else {
            Err(PgpFormError::OtherIssuer {
                keyid: signature.keyid.clone(),
                issuer: read.issuer,
            })
        }
    }

    fn new(hashed: Vec<u8>, material: SignatureMaterial) -> Result<Self, PgpFormError> {
        let area = packet::HashedArea::read(&hashed, &[DocumentHash::Sha256])?;
        let issuer = HEXLOWER.encode(&area.issuer);
        Ok(Self {
            created: area.created,
            issuer: issuer.parse().map_err(|_| Malformed("issuer fingerprint"))?,
            hashed,
            material,
        })
    }

    /// The digest that the signature is over, for a document with these bytes (RFC 4880 section 5.2.4).
    pub fn digest_of(&self, document: &[u8]) -> Sha256Digest {
        let mut hasher = Sha256::new();
        hasher.update(document);
        hasher.update(&self.hashed);
        hasher.update([VERSION_4, 0xff]);
        hasher.update(u32::try_from(self.hashed.len()).unwrap_or(u32::MAX).to_be_bytes());
        hasher.into()
    }

    /// TUF's encoding. (Of a P-256 signature, which no TUF role has, one that nobody reads.)
    pub fn to_tuf(&self) -> tuf::Signature {
        let sig = match &self.material {
            SignatureMaterial::Ed25519(both) | SignatureMaterial::P256(both) => HEXLOWER.encode(both),
            SignatureMaterial::Rsa(number) => HEXLOWER.encode(number),
        };
        tuf::Signature {
            keyid: self.issuer.clone().into(),
            other_headers: Some(HEXLOWER.encode(&self.hashed)),
            sig,
        }
    }

    /// The key that is said to have signed.
    pub fn issuer(&self) -> &Fingerprint {
        &self.issuer
    }

    /// When it is said to have signed.
    pub fn created(&self) -> Time {
        self.created
    }

    /// What the algorithm made.
    pub fn material(&self) -> &SignatureMaterial {
        &self.material
    }
}
