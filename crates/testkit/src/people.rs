//! People with real OpenPGP keys in memory.

use std::time::Duration;

use attestation::{Fingerprint, PersonName, Sha256Digest, Time};
use sequoia_openpgp::{
    Cert, Packet,
    packet::signature::SignatureBuilder,
    parse::Parse as _,
    serialize::MarshalInto as _,
    types::{HashAlgorithm, SignatureType},
};
use signer::software::{self, SoftwareSigner};

/// A person with a certificate of one certifying primary key and two signing subkeys.
#[derive(Clone)]
pub struct TestPerson {
    /// The name in the policy.
    pub name: PersonName,
    /// The transferable secret key, in ASCII armor.
    pub secret: Vec<u8>,
    /// The certificate, in ASCII armor.
    pub certificate: Vec<u8>,
    /// SHA-256 of the primary key packet's body, as the policy pins it.
    pub primary: Sha256Digest,
    /// The signing subkeys.
    pub keys: Vec<Fingerprint>,
}

impl TestPerson {
    /// A person whose keys are valid from `created` for two years.
    ///
    /// # Panics
    /// If key generation fails.
    pub fn new(name: &str, created: Time) -> Self {
        Self::valid_for(name, created, Duration::from_secs(2 * 365 * 86_400))
    }

    /// A person whose keys are valid from `created` for `valid`.
    ///
    /// # Panics
    /// If key generation fails.
    pub fn valid_for(name: &str, created: Time, valid: Duration) -> Self {
        let user_id = format!("{name} <{name}@example.org>");
        let secret = software::generate(&user_id, created, valid, 2).expect("key generation");
        Self::from_secret(name, secret)
    }

    /// The person whose transferable secret key this is.
    ///
    /// # Panics
    /// If it is none.
    pub fn from_secret(name: &str, secret: Vec<u8>) -> Self {
        let certificate = software::certificate(&secret).expect("a certificate");
        let cert = Cert::from_bytes(&certificate).expect("a certificate");
        let primary = Sha256Digest::of(cert.primary_key().key().to_vec().expect("a key packet"));
        let keys = cert
            .keys()
            .subkeys()
            .map(|key| {
                key.key()
                    .fingerprint()
                    .to_hex()
                    .to_lowercase()
                    .parse()
                    .expect("a v4 fingerprint")
            })
            .collect();
        Self {
            name: name.parse().expect("a name"),
            secret,
            certificate,
            primary,
            keys,
        }
    }

    /// Signs with the person's `index`th signing subkey; signatures are dated `at`.
    ///
    /// # Panics
    /// If there is no such subkey.
    pub fn signer(&self, index: usize, at: Time) -> SoftwareSigner {
        SoftwareSigner::from_bytes(&self.secret, Some(&self.keys[index]), at).expect("a signing subkey")
    }

    /// A binary signature packet over these bytes, of the person's `index`th signing subkey, dated `at`: what gpg makes
    /// for git. (People sign [`signer::Document`]s; this is for what other programs hand them.)
    ///
    /// # Panics
    /// If there is no such subkey.
    pub fn sign_bytes(&self, index: usize, at: Time, bytes: &[u8]) -> Vec<u8> {
        let cert = Cert::from_bytes(&self.secret).expect("a key");
        let wanted = self.keys[index].as_str();
        let key = cert
            .keys()
            .secret()
            .find(|key| key.key().fingerprint().to_hex().to_lowercase() == wanted);
        let mut pair = key
            .expect("the subkey")
            .key()
            .clone()
            .into_keypair()
            .expect("a private key");
        let at = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.unix()).unwrap_or(0));
        let signature = SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA256)
            .set_signature_creation_time(at)
            .and_then(|builder| builder.sign_message(&mut pair, bytes));
        Packet::from(signature.expect("a signature"))
            .to_vec()
            .expect("a packet")
    }
}

/// A certificate without its subkeys, in ASCII armor.
///
/// # Panics
/// If it is none.
pub fn without_subkeys(certificate: &[u8]) -> Vec<u8> {
    let cert = Cert::from_bytes(certificate).expect("a certificate");
    let bare = cert.retain_subkeys(|_| false);
    bare.armored().to_vec().expect("a certificate")
}

/// The secret numbers of a transferable secret key.
///
/// # Panics
/// If it is none, or encrypted.
pub fn secret_scalars(secret: &[u8]) -> Vec<Vec<u8>> {
    use sequoia_openpgp::{crypto::mpi::SecretKeyMaterial, packet::key::SecretKeyMaterial as Secret};
    let cert = Cert::from_bytes(secret).expect("a key");
    let mut found = Vec::new();
    for key in cert.keys().secret() {
        if let Secret::Unencrypted(plain) = key.key().secret() {
            plain.map(|numbers| {
                if let SecretKeyMaterial::EdDSA { scalar } = numbers {
                    found.push(scalar.value().to_vec());
                }
            });
        }
    }
    found
}
