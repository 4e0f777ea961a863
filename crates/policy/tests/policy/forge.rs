//! Signatures and certificates of any form: what an attacker can make.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attestation::{Time, tuf};
use data_encoding::HEXLOWER;
use sequoia_openpgp::{
    Cert, Packet,
    cert::{CertBuilder, CertRevocationBuilder, CipherSuite, SubkeyRevocationBuilder},
    crypto::{KeyPair, mpi},
    packet::{
        Key, Signature,
        key::{Key4, PublicParts, SecretParts, SubordinateRole},
        signature::SignatureBuilder,
    },
    parse::Parse as _,
    serialize::MarshalInto as _,
    types::{Curve, HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType},
};
use testkit::TestPerson;

pub(crate) fn system_time(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.unix().unsigned_abs())
}

/// The person's whole certificate, with private keys.
pub(crate) fn secret(person: &TestPerson) -> Cert {
    Cert::from_bytes(&person.secret).unwrap()
}

/// The person's `index`th signing key.
pub(crate) fn secret_key(person: &TestPerson, index: usize) -> Key<SecretParts, SubordinateRole> {
    let cert = secret(person);
    let fingerprint = person.keys[index].as_str();
    let mut keys = cert.keys().subkeys().secret();
    let key = keys.find(|key| key.key().fingerprint().to_hex().to_lowercase() == fingerprint);
    key.unwrap().key().clone()
}

/// As [`secret_key`], ready to sign.
pub(crate) fn pair(person: &TestPerson, index: usize) -> KeyPair {
    secret_key(person, index).into_keypair().unwrap()
}

/// The point of the person's `index`th signing key, in hexadecimal.
pub(crate) fn point(person: &TestPerson, index: usize) -> String {
    match secret_key(person, index).mpis() {
        mpi::PublicKey::EdDSA { q, .. } => HEXLOWER.encode(&q.value()[1..]),
        other => panic!("{other:?} has no point"),
    }
}

pub(crate) fn primary(person: &TestPerson) -> KeyPair {
    let key = secret(person).primary_key().key().clone();
    key.parts_into_secret().unwrap().into_keypair().unwrap()
}

/// A signature of the honest form, before it is made.
pub(crate) fn honest(at: Time) -> SignatureBuilder {
    SignatureBuilder::new(SignatureType::Binary)
        .set_hash_algo(HashAlgorithm::SHA256)
        .set_signature_creation_time(system_time(at))
        .unwrap()
}

/// TUF's encoding of whatever the builder makes, whether or not it is a form that anybody takes.
pub(crate) fn sign(builder: SignatureBuilder, person: &TestPerson, index: usize, document: &[u8]) -> tuf::Signature {
    let signature = builder.sign_message(&mut pair(person, index), document).unwrap();
    encode(&signature, person.keys[index].as_str())
}

pub(crate) fn encode(signature: &Signature, keyid: &str) -> tuf::Signature {
    let area = signature.hashed_area().to_vec().unwrap();
    let mut headers = vec![
        4,
        signature.typ().into(),
        signature.pk_algo().into(),
        signature.hash_algo().into(),
    ];
    headers.extend(u16::try_from(area.len()).unwrap().to_be_bytes());
    headers.extend(area);
    let raw = match signature.mpis() {
        mpi::Signature::EdDSA { r, s } => [
            r.value_padded(32).unwrap().to_vec(),
            s.value_padded(32).unwrap().to_vec(),
        ]
        .concat(),
        mpi::Signature::RSA { s } => s.value().to_vec(),
        mpi::Signature::ECDSA { r, s } => [r.value().to_vec(), s.value().to_vec()].concat(),
        other => panic!("{other:?} is not made here"),
    };
    tuf::Signature {
        keyid: keyid.parse().unwrap(),
        other_headers: Some(HEXLOWER.encode(&headers)),
        sig: HEXLOWER.encode(&raw),
    }
}

/// How a subkey is bound to its primary key.
pub(crate) struct Binding {
    pub(crate) flags: KeyFlags,
    pub(crate) back_signature: bool,
    pub(crate) hash: HashAlgorithm,
}

impl Default for Binding {
    fn default() -> Self {
        Self {
            flags: KeyFlags::empty().set_signing(),
            back_signature: true,
            hash: HashAlgorithm::SHA256,
        }
    }
}

/// An Ed25519 key in the encoding that gpg and tokens have (algorithm 22).
pub(crate) fn ed25519(created: Time) -> Key<SecretParts, SubordinateRole> {
    let cert = secret(&TestPerson::new("somebody", created));
    let key = cert.keys().subkeys().secret().next().unwrap();
    key.key().clone()
}

/// An RSA key of so many bits.
pub(crate) fn rsa(bits: usize, created: Time) -> Key<SecretParts, SubordinateRole> {
    let mut key = Key4::generate_rsa(bits).unwrap();
    key.set_creation_time(system_time(created)).unwrap();
    key.into()
}

/// A key for ECDSA.
pub(crate) fn ecdsa(curve: Curve, created: Time) -> Key<SecretParts, SubordinateRole> {
    let mut key = Key4::generate_ecc(true, curve).unwrap();
    key.set_creation_time(system_time(created)).unwrap();
    key.into()
}

/// A person whose one signing key is `key`, bound as `binding` says.
pub(crate) fn person(
    name: &str,
    created: Time,
    key: Key<SecretParts, SubordinateRole>,
    binding: &Binding,
) -> TestPerson {
    let (cert, _) = CertBuilder::new()
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_creation_time(system_time(created))
        .add_userid(format!("{name} <{name}@example.org>"))
        .set_primary_key_flags(KeyFlags::empty().set_certification())
        .generate()
        .unwrap();
    let bare = TestPerson::from_secret(name, cert.as_tsk().armored().to_vec().unwrap());
    add_key(&bare, key, created, binding)
}

/// The person with one more key, bound as `binding` says.
pub(crate) fn add_key(
    person: &TestPerson,
    key: Key<SecretParts, SubordinateRole>,
    at: Time,
    binding: &Binding,
) -> TestPerson {
    let cert = secret(person);
    let mut builder = SignatureBuilder::new(SignatureType::SubkeyBinding)
        .set_hash_algo(binding.hash)
        .set_signature_creation_time(system_time(at))
        .unwrap()
        .set_key_flags(binding.flags.clone())
        .unwrap();
    if binding.back_signature {
        let signer = key.clone().into_keypair().unwrap();
        let back = back_signature(&signer, &cert, key.parts_as_public(), at);
        builder = builder.set_embedded_signature(back).unwrap();
    }
    let bound = builder
        .sign_subkey_binding(&mut primary(person), cert.primary_key().key(), key.parts_as_public())
        .unwrap();
    let packets = [Packet::from(key), Packet::from(bound)];
    let cert = cert.insert_packets(packets).unwrap().0;
    let mut all = TestPerson::from_secret(person.name.as_str(), cert.as_tsk().armored().to_vec().unwrap());
    // The new key last, wherever the certificate has it.
    all.keys.sort_by_key(|key| !person.keys.contains(key));
    all
}

/// What a signing subkey says of its primary key.
pub(crate) fn back_signature(
    signer: &KeyPair,
    cert: &Cert,
    subkey: &Key<PublicParts, SubordinateRole>,
    at: Time,
) -> Signature {
    SignatureBuilder::new(SignatureType::PrimaryKeyBinding)
        .set_hash_algo(HashAlgorithm::SHA256)
        .set_signature_creation_time(system_time(at))
        .unwrap()
        .sign_primary_key_binding(&mut signer.clone(), cert.primary_key().key(), subkey)
        .unwrap()
}

/// The person's certificate with a revocation of its `index`th signing key, or of all of it.
pub(crate) fn revoke(person: &TestPerson, index: Option<usize>, reason: ReasonForRevocation, at: Time) -> Vec<u8> {
    let cert = Cert::from_bytes(&person.certificate).unwrap();
    let mut signer = primary(person);
    let revocation = match index {
        Some(index) => {
            let fingerprint = person.keys[index].as_str();
            let subkey = cert
                .keys()
                .subkeys()
                .find(|key| key.key().fingerprint().to_hex().to_lowercase() == fingerprint)
                .unwrap()
                .key()
                .clone();
            SubkeyRevocationBuilder::new()
                .set_reason_for_revocation(reason, b"")
                .unwrap()
                .set_signature_creation_time(system_time(at))
                .unwrap()
                .build(&mut signer, &cert, &subkey, None)
                .unwrap()
        }
        None => CertRevocationBuilder::new()
            .set_reason_for_revocation(reason, b"")
            .unwrap()
            .set_signature_creation_time(system_time(at))
            .unwrap()
            .build(&mut signer, &cert, None)
            .unwrap(),
    };
    cert.insert_packets(revocation).unwrap().0.to_vec().unwrap()
}
