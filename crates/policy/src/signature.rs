//! Whether one signature is good: mathematics only. Who may sign what is decided elsewhere.

pub(crate) mod ed25519;
pub(crate) mod foreign;

use attestation::{
    Time,
    openpgp::{DocumentHash, PgpFormError, PgpSignature, RawMaterial, SignatureMaterial},
    tuf,
};
use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey, traits::PublicKeyParts as _};
use serde::{Serialize, Serializer};
use serde_json::json;
use sha2::{Sha256, Sha384, Sha512};

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefusal {
    /// No such key in the role.
    #[error("the key is not in the role")]
    NotInRole,
    /// The signature is not over these bytes, or not by this key.
    #[error("the signature is not over these bytes, or not by this key")]
    Bad,
    /// Not of the form that a channel takes.
    #[error(transparent)]
    Form(#[from] PgpFormError),
    /// The key's encoding is not understood, or the key is too weak.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// The key was not valid when it signed, or is revoked.
    #[error(transparent)]
    Certificate(#[from] crate::keyring::CertificateRefusal),
    /// Dated later than now.
    #[error("dated {found}, which is later than now ({now})")]
    FromTheFuture {
        /// The signature's creation time.
        found: Time,
        /// What was taken as now.
        now: Time,
    },
    /// Dated long before the file was proposed.
    #[error("dated {found}, more than a day before what it signs was proposed ({proposed})")]
    BeforeProposal {
        /// The signature's creation time.
        found: Time,
        /// When it was proposed, as its own dates say.
        proposed: Time,
    },
    /// The policy ends the person's keys earlier.
    #[error("judged at {found}, the policy ends the person's keys at {not_after}")]
    AfterPolicy {
        /// The moment that was judged: the signature's creation time, or now.
        found: Time,
        /// The person's `not-after`.
        not_after: Time,
    },
}

impl Serialize for SignatureRefusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A public key that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyMaterial {
    /// OpenPGP, Ed25519 ("EdDSA legacy").
    PgpEd25519(VerifyingKey),
    /// OpenPGP, RSA with PKCS#1 v1.5.
    PgpRsa(RsaPublicKey),
    /// OpenPGP, ECDSA over P-256. It signs statements, and enters no TUF role.
    PgpP256(p256::ecdsa::VerifyingKey),
    /// Ed25519 over the bare bytes.
    Ed25519(VerifyingKey),
}

/// An RSA modulus below this is refused.
const MIN_RSA_BITS: usize = 2048;

impl KeyMaterial {
    /// Reads TUF's encoding. On our chains only the spelling that [`Self::to_tuf`] writes is met: a root's keys are
    /// derived again.
    pub(crate) fn from_tuf(key: &tuf::Key) -> Result<Self, SignatureRefusal> {
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let material = match (key.keytype.as_str(), key.scheme.as_str()) {
            ("eddsa", "pgp+eddsa-ed25519") => text(&key.keyval["public"]["q"])
                .and_then(|q| ed25519_key(&q))
                .map(Self::PgpEd25519),
            ("ed25519", "ed25519") => text(&key.keyval["public"])
                .and_then(|q| ed25519_key(&q))
                .map(Self::Ed25519),
            ("rsa", "pgp+rsa-pkcsv1.5") => {
                let number = |name: &str| {
                    let bytes = HEXLOWER.decode(text(&key.keyval["public"][name])?.as_bytes()).ok()?;
                    Some(BigUint::from_bytes_be(&bytes))
                };
                number("n")
                    .zip(number("e"))
                    .and_then(|(n, e)| RsaPublicKey::new(n, e).ok())
                    .map(Self::PgpRsa)
            }
            (keytype, scheme) => {
                return Err(SignatureRefusal::Key(format!(
                    "key type {keytype} with scheme {scheme} is not supported"
                )));
            }
        };
        let material = material.ok_or_else(|| SignatureRefusal::Key("malformed key value".to_owned()))?;
        material.refuse_weak()?;
        Ok(material)
    }

    pub(crate) fn refuse_weak(&self) -> Result<(), SignatureRefusal> {
        match self {
            Self::PgpRsa(key) if key.n().bits() < MIN_RSA_BITS => Err(SignatureRefusal::Key(format!(
                "RSA of {} bits, needed are {MIN_RSA_BITS}",
                key.n().bits()
            ))),
            Self::PgpEd25519(key) | Self::Ed25519(key) if key.is_weak() => {
                Err(SignatureRefusal::Key("Ed25519 point of small order".to_owned()))
            }
            // dalek reads a coordinate beyond the field's prime too: one point under two names.
            Self::PgpEd25519(key) | Self::Ed25519(key) if VerifyingKey::from(key.to_edwards()) != *key => Err(
                SignatureRefusal::Key("Ed25519 point that is not in its shortest encoding".to_owned()),
            ),
            _ => Ok(()),
        }
    }

    /// TUF's encoding, as `securesystemslib` writes it; `None` for a key that signs statements only: one scheme that
    /// python-tuf does not know makes it refuse the whole repository.
    pub(crate) fn to_tuf(&self) -> Option<tuf::Key> {
        let (keytype, scheme, keyval) = match self {
            Self::PgpEd25519(key) => (
                "eddsa",
                "pgp+eddsa-ed25519",
                json!({"private": "", "public": {"q": HEXLOWER.encode(key.as_bytes())}}),
            ),
            Self::PgpRsa(key) => (
                "rsa",
                "pgp+rsa-pkcsv1.5",
                json!({"private": "", "public": {
                    "e": HEXLOWER.encode(&key.e().to_bytes_be()),
                    "n": HEXLOWER.encode(&key.n().to_bytes_be()),
                }}),
            ),
            Self::Ed25519(key) => ("ed25519", "ed25519", json!({"public": HEXLOWER.encode(key.as_bytes())})),
            Self::PgpP256(_) => return None,
        };
        Some(tuf::Key {
            keytype: keytype.to_owned(),
            scheme: scheme.to_owned(),
            keyval,
        })
    }

    /// What is the same in every encoding of one key: an Ed25519 point, an RSA modulus, the first coordinate of a
    /// P-256 point.
    pub(crate) fn identity(&self) -> Vec<u8> {
        match self {
            Self::PgpEd25519(key) | Self::Ed25519(key) => key.as_bytes().to_vec(),
            Self::PgpRsa(key) => key.n().to_bytes_be(),
            Self::PgpP256(key) => key.to_encoded_point(true).as_bytes()[1..].to_vec(),
        }
    }

    /// The whole key, in its one encoding.
    pub(crate) fn encoding(&self) -> Vec<u8> {
        match self {
            Self::PgpEd25519(key) | Self::Ed25519(key) => key.as_bytes().to_vec(),
            Self::PgpRsa(key) => {
                let (n, e) = (key.n().to_bytes_be(), key.e().to_bytes_be());
                [(n.len() as u64).to_be_bytes().to_vec(), n, e].concat()
            }
            Self::PgpP256(key) => key.to_encoded_point(false).as_bytes().to_vec(),
        }
    }

    /// Whether `signature` is good over `document`. Good OpenPGP signatures come back parsed.
    pub(crate) fn verify_tuf(
        &self,
        document: &[u8],
        signature: &tuf::Signature,
    ) -> Result<Option<PgpSignature>, SignatureRefusal> {
        if let Self::Ed25519(key) = self {
            let raw = HEXLOWER
                .decode(signature.sig.as_bytes())
                .ok()
                .and_then(|raw| raw.try_into().ok());
            let raw: [u8; 64] = raw.ok_or(SignatureRefusal::Bad)?;
            return ed25519::verify(key, document, &raw).map(|()| None);
        }
        let parsed = PgpSignature::from_tuf(signature)?;
        self.verify_pgp(document, &parsed)?;
        Ok(Some(parsed))
    }

    /// Whether `signature` is good over `document`.
    pub(crate) fn verify_pgp(&self, document: &[u8], signature: &PgpSignature) -> Result<(), SignatureRefusal> {
        let digest = signature.digest_of(document);
        let material = match signature.material() {
            SignatureMaterial::Ed25519(raw) => RawMaterial::Ed25519(*raw),
            SignatureMaterial::P256(raw) => RawMaterial::P256(*raw),
            SignatureMaterial::Rsa(number) => RawMaterial::Rsa(number),
        };
        self.verify_digest(DocumentHash::Sha256, digest.as_bytes(), &material)
    }

    /// Whether the key made this of a digest.
    pub(crate) fn verify_digest(
        &self,
        hash: DocumentHash,
        digest: &[u8],
        material: &RawMaterial<'_>,
    ) -> Result<(), SignatureRefusal> {
        match (self, material) {
            (Self::PgpEd25519(key), RawMaterial::Ed25519(raw)) => ed25519::verify(key, digest, raw),
            (Self::PgpRsa(key), RawMaterial::Rsa(number)) => {
                // OpenPGP writes numbers without leading zeros, PKCS#1 at the modulus's full length.
                let mut full = vec![0; key.size().checked_sub(number.len()).ok_or(SignatureRefusal::Bad)?];
                full.extend(*number);
                let scheme = match hash {
                    DocumentHash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                    DocumentHash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                    DocumentHash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
                };
                key.verify(scheme, digest, &full).map_err(|_| SignatureRefusal::Bad)
            }
            (Self::PgpP256(key), RawMaterial::P256(raw)) => verify_p256(key, digest, raw),
            _ => Err(SignatureRefusal::Bad),
        }
    }
}

/// The one rule for ECDSA over P-256 (FIPS 186-5): r and s from 1 to the order less one, of either sign of s, as gpg
/// and tokens make them. The second encoding that follows is the same person's voice.
fn verify_p256(key: &p256::ecdsa::VerifyingKey, digest: &[u8], raw: &[u8; 64]) -> Result<(), SignatureRefusal> {
    use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
    let signature = p256::ecdsa::Signature::from_slice(raw).map_err(|_| SignatureRefusal::Bad)?;
    key.verify_prehash(digest, &signature)
        .map_err(|_| SignatureRefusal::Bad)
}

fn ed25519_key(hex: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}
