//! Ed25519 inside certificates: the rule is that of every other path, shown with vectors that sequoia alone takes.

use curve25519_dalek::{EdwardsPoint, Scalar, constants::EIGHT_TORSION};
use ed25519_dalek::SigningKey;
use policy::{Keyring, keyring::CertificateRefusal};
use sequoia_openpgp::{
    Cert, Packet,
    crypto::{Signer, mpi},
    packet::{
        Key,
        key::{Key4, PublicParts, UnspecifiedRole},
        signature::SignatureBuilder,
    },
    parse::Parse as _,
    policy::StandardPolicy,
    serialize::MarshalInto as _,
    types::{Curve, HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType},
};
use sha2::{Digest as _, Sha512};
use testkit::TestPerson;

use crate::{NOW, days, forge};

/// What is wrong with the signatures that a key makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// R is the point of order one, S made for it: the equation holds.
    SmallR,
    /// The same R, under the second name of its coordinate.
    SecondNameOfR,
    /// S, and the group's order.
    LargeS,
    /// The key is of small order and S = r: the equation holds for whatever is signed.
    SmallKey,
}

/// A key whose signatures have a flaw.
struct Rigged {
    key: Key<PublicParts, UnspecifiedRole>,
    secret: Scalar,
    flaw: Flaw,
}

impl Rigged {
    /// The primary key of a certificate, as its owner has it.
    fn primary_of(person: &TestPerson, flaw: Flaw) -> Self {
        let seed = testkit::people::secret_scalars(&person.secret).swap_remove(0);
        let mut padded = [0; 32];
        padded[32 - seed.len()..].copy_from_slice(&seed);
        Self {
            key: forge::secret(person)
                .primary_key()
                .key()
                .clone()
                .role_into_unspecified(),
            secret: SigningKey::from_bytes(&padded).to_scalar(),
            flaw,
        }
    }

    fn point(&self) -> [u8; 32] {
        match self.key.mpis() {
            mpi::PublicKey::EdDSA { q, .. } => q.value()[1..].try_into().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn raw(&self, digest: &[u8]) -> ([u8; 32], [u8; 32]) {
        let nonce = Scalar::from_bytes_mod_order_wide(&Sha512::digest(digest).into());
        let honest = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
        let identity = EIGHT_TORSION[0].compress().to_bytes();
        let challenge = |r: &[u8; 32]| {
            let hash = Sha512::new().chain_update(r).chain_update(self.point());
            Scalar::from_bytes_mod_order_wide(&hash.chain_update(digest).finalize().into())
        };
        match self.flaw {
            Flaw::None => (honest, (nonce + challenge(&honest) * self.secret).to_bytes()),
            Flaw::SmallR => (identity, (challenge(&identity) * self.secret).to_bytes()),
            Flaw::SecondNameOfR => {
                // 1 and the field's prime.
                let mut second = [0xff; 32];
                (second[0], second[31]) = (0xee, 0x7f);
                (second, (challenge(&second) * self.secret).to_bytes())
            }
            Flaw::LargeS => {
                let s = (nonce + challenge(&honest) * self.secret).to_bytes();
                (honest, plus_order(s))
            }
            Flaw::SmallKey => (honest, nonce.to_bytes()),
        }
    }
}

fn plus_order(mut s: [u8; 32]) -> [u8; 32] {
    // The order less one, and one more.
    let less_one = (Scalar::ZERO - Scalar::ONE).to_bytes();
    let mut carry = 1;
    for (byte, more) in s.iter_mut().zip(less_one) {
        let sum = u16::from(*byte) + u16::from(more) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    s
}

impl Signer for Rigged {
    fn public(&self) -> &Key<PublicParts, UnspecifiedRole> {
        &self.key
    }

    fn sign(&mut self, _: HashAlgorithm, digest: &[u8]) -> sequoia_openpgp::Result<mpi::Signature> {
        let (r, s) = self.raw(digest);
        // OpenPGP's numbers are the encodings read as big-endian numbers.
        Ok(mpi::Signature::EdDSA {
            r: mpi::MPI::new(&r),
            s: mpi::MPI::new(&s),
        })
    }
}

/// Somebody whose one signing key is bound by such a signature.
fn bound_by(mut primary: Rigged, bare: &Cert) -> (Vec<u8>, attestation::Fingerprint) {
    let key = forge::ed25519(NOW);
    let fingerprint = key.fingerprint().to_hex().to_lowercase().parse().unwrap();
    let back = forge::back_signature(&key.clone().into_keypair().unwrap(), bare, key.parts_as_public(), NOW);
    let bound = SignatureBuilder::new(SignatureType::SubkeyBinding)
        .set_hash_algo(HashAlgorithm::SHA256)
        .set_signature_creation_time(forge::system_time(NOW))
        .unwrap()
        .set_key_flags(KeyFlags::empty().set_signing())
        .unwrap()
        .set_embedded_signature(back)
        .unwrap()
        .sign_subkey_binding(&mut primary, bare.primary_key().key(), key.parts_as_public())
        .unwrap();
    let packets = [Packet::from(key.take_secret().0), Packet::from(bound)];
    let cert = bare
        .clone()
        .strip_secret_key_material()
        .insert_packets(packets)
        .unwrap()
        .0;
    (cert.to_vec().unwrap(), fingerprint)
}

/// Whether sequoia alone has a valid signing key in it.
fn sequoia_takes(certificate: &[u8]) -> bool {
    let policy = StandardPolicy::at(forge::system_time(NOW));
    let cert = Cert::from_bytes(certificate).unwrap();
    let valid = cert.with_policy(&policy, forge::system_time(NOW.plus(days(1))));
    valid.is_ok_and(|valid| valid.keys().for_signing().alive().revoked(false).next().is_some())
}

/// What the engine makes of the key of a certificate, through what everybody asks it: which keys may sign.
fn we_take(certificate: &[u8], fingerprint: &attestation::Fingerprint) -> bool {
    let keyring = Keyring::from_bytes(certificate).unwrap();
    let pinned = keyring.digests().next().unwrap();
    keyring.signing_keys(pinned, NOW.plus(days(1))).contains(fingerprint)
}

#[test]
fn a_binding_counts_by_the_rule_of_every_other_signature() {
    for (flaw, by_sequoia, by_us) in [
        (Flaw::None, true, true),
        // What sequoia takes beside the rule.
        (Flaw::SmallR, true, false),
        (Flaw::SecondNameOfR, false, false),
        (Flaw::LargeS, false, false),
    ] {
        let person = TestPerson::new("alice", NOW);
        let bare = forge::secret(&person).retain_subkeys(|_| false);
        let (certificate, fingerprint) = bound_by(Rigged::primary_of(&person, flaw), &bare);
        assert_eq!(sequoia_takes(&certificate), by_sequoia, "{flaw:?}");
        assert_eq!(we_take(&certificate, &fingerprint), by_us, "{flaw:?}");
    }
}

#[test]
fn a_revocation_counts_by_the_rule_of_every_other_signature() {
    for (flaw, revoked) in [
        (Flaw::None, true),
        (Flaw::SmallR, false),
        (Flaw::SecondNameOfR, false),
        (Flaw::LargeS, false),
    ] {
        let person = TestPerson::new("alice", NOW);
        let cert = Cert::from_bytes(&person.certificate).unwrap();
        let mut primary = Rigged::primary_of(&person, flaw);
        let revocation = SignatureBuilder::new(SignatureType::KeyRevocation)
            .set_hash_algo(HashAlgorithm::SHA256)
            .set_signature_creation_time(forge::system_time(NOW))
            .unwrap()
            .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"")
            .unwrap()
            .sign_direct_key(&mut primary, None)
            .unwrap();
        let cert = cert.insert_packets(revocation).unwrap().0;
        let taken = we_take(&cert.to_vec().unwrap(), &person.keys[0]);
        assert_eq!(!taken, revoked, "{flaw:?}");
    }
}

/// A primary key with which everybody signs: sequoia takes what it binds, and a stranger can bind and revoke.
#[test]
fn refuses_a_primary_key_of_small_order() {
    for torsion in EIGHT_TORSION {
        let q = [&[0x40], torsion.compress().as_bytes().as_slice()].concat();
        let public = mpi::PublicKey::EdDSA {
            curve: Curve::Ed25519,
            q: mpi::MPI::new(&q),
        };
        let algorithm = sequoia_openpgp::types::PublicKeyAlgorithm::EdDSA;
        let primary = Key4::new(forge::system_time(NOW), algorithm, public).unwrap();
        let bare = Cert::from_packets(std::iter::once(Packet::from(Key::<
            PublicParts,
            sequoia_openpgp::packet::key::PrimaryRole,
        >::from(primary.clone()))))
        .unwrap();
        let stranger = Rigged {
            key: Key::from(primary).role_into_unspecified(),
            secret: Scalar::ZERO,
            flaw: Flaw::SmallKey,
        };
        // For the other points the equation holds for some messages only.
        let by_everybody = torsion == EIGHT_TORSION[0];
        let (certificate, fingerprint) = bound_by(stranger, &bare);
        let keyring = Keyring::from_bytes(&certificate).unwrap();
        let pinned = keyring.digests().next().unwrap();
        assert!(!we_take(&certificate, &fingerprint));
        let binds = sequoia_binds(&certificate);
        assert!(binds || !by_everybody, "the vector tests something");
        let refusal = keyring.why_not(pinned, &fingerprint, NOW.plus(days(1))).unwrap();
        assert!(matches!(refusal, CertificateRefusal::WeakPrimary { .. }), "{refusal:?}");
    }
}

/// Whether sequoia finds that the primary key bound the subkey.
fn sequoia_binds(certificate: &[u8]) -> bool {
    let cert = Cert::from_bytes(certificate).unwrap();
    cert.keys().subkeys().any(|key| key.self_signatures().next().is_some())
}
