//! A private key in a file, without a passphrase: for the demo and for tests, never in a release build.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use attestation::{Fingerprint, Time};
use sequoia_openpgp::{
    Cert,
    cert::{CertBuilder, CipherSuite},
    crypto::KeyPair,
    packet::{Packet, signature::SignatureBuilder},
    parse::Parse as _,
    serialize::SerializeInto as _,
    types::{HashAlgorithm, KeyFlags, SignatureType},
};

use crate::{Document, SignError, Signer};

/// Signs with a key from a file.
pub struct SoftwareSigner {
    pair: KeyPair,
    fingerprint: Fingerprint,
    at: Time,
}

impl SoftwareSigner {
    /// The signing subkey with this fingerprint from a transferable secret key; the first one without a
    /// fingerprint. Signatures are dated `at`.
    pub fn from_bytes(bytes: &[u8], wanted: Option<&Fingerprint>, at: Time) -> Result<Self, String> {
        let cert = Cert::from_bytes(bytes).map_err(|error| error.to_string())?;
        let key = cert
            .keys()
            .subkeys()
            .secret()
            .find(|key| wanted.is_none_or(|wanted| key.key().fingerprint().to_hex().to_lowercase() == wanted.as_str()))
            .ok_or("no such secret signing subkey in it")?;
        let fingerprint = key.key().fingerprint().to_hex().to_lowercase();
        let pair = key.key().clone().into_keypair().map_err(|error| error.to_string())?;
        Ok(Self {
            pair,
            fingerprint: fingerprint.parse().map_err(|_| "not a v4 key")?,
            at,
        })
    }

    /// As [`Self::from_bytes`], from a file.
    pub fn open(path: &Path, wanted: Option<&Fingerprint>, at: Time) -> Result<Self, SignError> {
        let error = |reason: String| SignError::KeyFile {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|source| error(source.to_string()))?;
        Self::from_bytes(&bytes, wanted, at).map_err(error)
    }
}

impl Signer for SoftwareSigner {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn sign_packet(&self, document: &Document<'_>) -> Result<Vec<u8>, SignError> {
        let sign = || -> sequoia_openpgp::Result<Vec<u8>> {
            let signature = SignatureBuilder::new(SignatureType::Binary)
                .set_hash_algo(HashAlgorithm::SHA256)
                .set_signature_creation_time(system_time(self.at))?
                .sign_message(&mut self.pair.clone(), document.bytes())?;
            Packet::from(signature).to_vec()
        };
        sign().map_err(|error| SignError::Refused {
            program: "the software key",
            key: self.fingerprint.clone(),
            said: error.to_string(),
        })
    }
}

/// A new certificate with its private keys, in ASCII armor: an Ed25519 primary key that only certifies and
/// `signing_subkeys` Ed25519 subkeys that sign, valid from `created` for `valid`.
pub fn generate(
    user_id: &str,
    created: Time,
    valid: Duration,
    signing_subkeys: usize,
) -> Result<Vec<u8>, sequoia_openpgp::anyhow::Error> {
    let mut builder = CertBuilder::new()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_creation_time(system_time(created))
        .set_validity_period(valid)
        .add_userid(user_id)
        .set_primary_key_flags(KeyFlags::empty().set_certification());
    for _ in 0..signing_subkeys {
        builder = builder.add_signing_subkey();
    }
    let (cert, _revocation) = builder.generate()?;
    cert.as_tsk().armored().to_vec()
}

/// The public half of what [`generate`] made, in ASCII armor.
pub fn certificate(secret: &[u8]) -> Result<Vec<u8>, sequoia_openpgp::anyhow::Error> {
    Cert::from_bytes(secret)?.strip_secret_key_material().armored().to_vec()
}

fn system_time(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.unix()).unwrap_or(0))
}
