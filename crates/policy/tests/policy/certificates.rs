//! Keys that were good once, or never: expiry, revocation, flags, bindings, algorithms; and keyrings as weapons.

use std::{sync::LazyLock, time::Duration};

use attestation::{RoleName, Time, tuf::Root};
use policy::{
    Keyring, SignatureRefusal,
    keyring::{CertificateRefusal, KeyringError, MAX_KEYRING_BYTES},
    root::RootRefusal,
    trusted_set::Judge,
};
use sequoia_openpgp::{
    Cert, Packet,
    cert::{CertBuilder, CipherSuite},
    packet::{UserID, signature::SignatureBuilder},
    parse::Parse as _,
    serialize::MarshalInto as _,
    types::{HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType},
};
use testkit::{TestChain, TestPerson, chain::people};

use crate::{
    NOW, compile, days,
    forge::{self, Binding},
    refused,
};

/// When everybody's keys were made.
static CREATED: LazyLock<Time> = LazyLock::new(|| NOW.minus(days(30)));

/// The chain's people with bob replaced.
fn with_bob(bob: TestPerson) -> Vec<TestPerson> {
    let mut all = people(NOW);
    all[1] = bob;
    all
}

/// What making a root with this bob gives.
fn of_bob(bob: TestPerson) -> Result<Root, RootRefusal> {
    compile(&with_bob(bob), |_| {})
}

fn key_refusal(outcome: Result<Root, RootRefusal>) -> CertificateRefusal {
    match outcome {
        Err(RootRefusal::Key { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// Why bob's signature on a release of `chain` does not count now.
fn bobs_refusal(chain: &TestChain) -> CertificateRefusal {
    match &refused(chain.visit("unstable"))[..] {
        [SignatureRefusal::Certificate(refusal)] => refusal.clone(),
        other => panic!("{other:?}"),
    }
}

fn released() -> TestChain {
    let mut chain = TestChain::new(NOW);
    chain.release("unstable", &[]);
    chain.visit("unstable").map(|_| ()).expect("the honest twin");
    chain
}

#[test]
fn refuses_a_hard_revoked_key_whenever_it_signed() {
    for reason in [ReasonForRevocation::KeyCompromised, ReasonForRevocation::Unspecified] {
        for whole in [Some(0), None] {
            let mut chain = released();
            let later = NOW.plus(days(2));
            let revoked = forge::revoke(chain.person("bob"), whole, reason, later);
            chain.keyring.add(&revoked).unwrap();
            assert!(
                matches!(bobs_refusal(&chain), CertificateRefusal::Revoked { .. }),
                "{reason}"
            );
        }
    }
}

#[test]
fn refuses_a_softly_revoked_key_from_the_revocation_on() {
    let mut chain = released();
    let bob = chain.person("bob").clone();
    let retired = NOW.plus(days(1));
    let revoked = forge::revoke(&bob, Some(0), ReasonForRevocation::KeyRetired, retired);
    chain.keyring.add(&revoked).unwrap();
    // Before its date it takes nothing away.
    chain
        .visit("unstable")
        .map(|_| ())
        .expect("a key that retires tomorrow");

    // After it, what counts as new needs a key that is good now, whatever date the signature claims.
    let mut later = chain.clone();
    later.now = NOW.plus(days(2));
    later.publish();
    assert!(matches!(bobs_refusal(&later), CertificateRefusal::Revoked { .. }));
    // What was signed before it stays authentic.
    let mut set = later.client(Judge::Authentic, later.now).unwrap();
    later
        .update(&mut set, "unstable")
        .expect("an old release stays authentic");
    // A new signature is none at all.
    later.release("unstable", &[]);
    let mut set = later.client(Judge::Authentic, later.now).unwrap();
    let error = later.update(&mut set, "unstable");
    assert_eq!(refused(error.map(|()| set)).len(), 1);
}

/// OpenPGP lets a newer self-signature override a soft revocation. Whoever stole the primary key can make one.
#[test]
fn refuses_a_soft_revocation_undone_by_a_newer_binding() {
    let mut chain = released();
    let bob = chain.person("bob").clone();
    let retired = Time::from_unix(NOW.unix() - 3600);
    let revoked = forge::revoke(&bob, Some(0), ReasonForRevocation::KeyRetired, retired);
    chain.keyring.add(&revoked).unwrap();
    assert!(matches!(bobs_refusal(&chain), CertificateRefusal::Revoked { .. }));

    let cert = Cert::from_bytes(&bob.certificate).unwrap();
    let subkey = cert.keys().subkeys().next().unwrap().key().clone();
    let at = Time::from_unix(NOW.unix() - 1800);
    let back = forge::back_signature(&forge::pair(&bob, 0), &cert, &subkey, at);
    let newer = SignatureBuilder::new(SignatureType::SubkeyBinding)
        .set_signature_creation_time(forge::system_time(at))
        .unwrap()
        .set_key_flags(KeyFlags::empty().set_signing())
        .unwrap()
        .set_embedded_signature(back)
        .unwrap()
        .sign_subkey_binding(&mut forge::primary(&bob), cert.primary_key().key(), &subkey)
        .unwrap();
    let undone = cert.insert_packets(newer).unwrap().0.to_vec().unwrap();
    // The twin: without the revocation the new binding is a good one.
    let key = bob.keys[0].clone();
    let mut fresh = Keyring::from_bytes(&undone).unwrap();
    assert!(fresh.signing_keys(bob.primary, NOW).contains(&key));
    fresh.add(&revoked).unwrap();
    assert!(
        !fresh.signing_keys(bob.primary, NOW).contains(&key),
        "the revocation was undone"
    );
    chain.keyring.add(&undone).unwrap();
    assert!(matches!(bobs_refusal(&chain), CertificateRefusal::Revoked { .. }));
}

#[test]
fn never_forgets_a_revocation_that_thieves_leave_out() {
    let chain = released();
    let bob = chain.person("bob");
    let revoked = forge::revoke(bob, None, ReasonForRevocation::KeyCompromised, NOW);
    let mut keyring = chain.keyring.clone();
    keyring.add(&revoked).unwrap();
    keyring.add(&bob.certificate).unwrap();
    assert!(keyring.signing_keys(bob.primary, NOW).is_empty());
    // Nor by way of the bytes that a channel ships.
    let shipped = Keyring::from_bytes(&keyring.to_bytes()).unwrap();
    assert!(shipped.signing_keys(bob.primary, NOW).is_empty());
    assert_eq!(chain.keyring.signing_keys(bob.primary, NOW).len(), 2, "the honest twin");
}

/// Anybody can append a revocation packet; only the primary key's own subtracts.
#[test]
fn ignores_a_revocation_made_by_somebody_else() {
    let mut chain = released();
    let (alice, bob) = (chain.person("alice").clone(), chain.person("bob").clone());
    let cert = Cert::from_bytes(&bob.certificate).unwrap();
    let forged = sequoia_openpgp::cert::CertRevocationBuilder::new()
        .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"")
        .unwrap()
        .build(&mut forge::primary(&alice), &cert, None)
        .unwrap();
    let bytes = cert.insert_packets(forged).unwrap().0.to_vec().unwrap();
    chain.keyring.add(&bytes).unwrap();
    chain
        .visit("unstable")
        .map(|_| ())
        .expect("alice cannot revoke bob's key");
}

#[test]
fn refuses_a_key_that_has_expired_or_is_not_yet_valid() {
    let short = TestPerson::valid_for("bob", *CREATED, Duration::from_secs(32 * 86_400));
    let mut chain = TestChain::with_policy(with_bob(short), NOW, |_| {});
    chain.release("unstable", &[]);
    chain.visit("unstable").map(|_| ()).expect("valid for two more days");
    let mut expired = chain.clone();
    expired.now = NOW.plus(days(3));
    expired.release("unstable", &[]);
    assert!(matches!(bobs_refusal(&expired), CertificateRefusal::NotValid { .. }));

    let refusal = key_refusal(of_bob(TestPerson::new("bob", NOW.plus(days(1)))));
    assert!(matches!(refusal, CertificateRefusal::NotValid { .. }), "{refusal:?}");
    let refusal = key_refusal(of_bob(TestPerson::valid_for(
        "bob",
        *CREATED,
        Duration::from_secs(86_400),
    )));
    assert!(matches!(refusal, CertificateRefusal::NotValid { .. }), "{refusal:?}");
    compile(&people(NOW), |_| {}).map(|_| ()).expect("the honest twin");
}

/// Two keys that expired were found. Their finders date a release to when the keys were good.
#[test]
fn refuses_a_stolen_expired_key_that_backdates() {
    let valid = Duration::from_secs(32 * 86_400);
    let mut all = people(NOW);
    for person in &mut all[..2] {
        *person = TestPerson::valid_for(person.name.as_str(), *CREATED, valid);
    }
    all.push(TestPerson::new("erin", *CREATED));
    let names = |names: [&str; 3]| names.into_iter().map(|name| name.parse().unwrap()).collect();
    let mut honest = TestChain::with_policy(all, NOW, |policy| {
        policy.roles.get_mut(&"root".parse().unwrap()).unwrap().people = names(["carol", "dave", "erin"]);
    });
    honest.now = NOW.plus(days(1));
    honest.release("unstable", &[]);
    honest
        .visit("unstable")
        .map(|_| ())
        .expect("the honest twin, while the keys are good");

    // A week later everything that the online key signs is fresh again.
    let mut thieves = honest.clone();
    thieves.now = NOW.plus(days(1));
    thieves.release("unstable", &[("nixexprs.tar.xz", b"hostile")]);
    thieves.now = NOW.plus(days(5));
    thieves.publish();
    let refusals = refused(thieves.visit("unstable"));
    assert_eq!(refusals.len(), 2, "{refusals:?}");
}

/// The same with the keys that made the newest root: while it is fresh, nothing but now tells that they are over.
#[test]
fn refuses_a_newest_root_made_by_keys_that_have_expired() {
    let mut all = people(NOW);
    all[3] = TestPerson::valid_for("dave", *CREATED, Duration::from_secs(32 * 86_400));
    all.push(TestPerson::valid_for(
        "erin",
        *CREATED,
        Duration::from_secs(32 * 86_400),
    ));
    all.push(TestPerson::new("frank", *CREATED));
    let mut chain = TestChain::with_policy(all, NOW, |policy| {
        let (root, targets): (RoleName, RoleName) = ("root".parse().unwrap(), "targets".parse().unwrap());
        policy.roles.insert(targets, policy.roles[&root].clone());
        let people = ["dave", "erin", "frank"].map(|name| name.parse().unwrap());
        policy.roles.get_mut(&root).unwrap().people = people.into();
    });
    chain.release("unstable", &[]);
    chain.visit("unstable").map(|_| ()).expect("the honest twin");
    chain.now = NOW.plus(days(5));
    chain.publish();
    assert_eq!(refused(chain.visit("unstable")).len(), 2);
    let mut set = chain.client(Judge::Authentic, chain.now).unwrap();
    chain.update(&mut set, "unstable").expect("it stays authentic");
}

#[test]
fn refuses_clocks_that_are_ten_years_off() {
    let chain = released();
    let ten_years = 3652 * 86_400;
    for (now, direction) in [
        (Time::from_unix(NOW.unix() - ten_years), "behind"),
        (Time::from_unix(NOW.unix() + ten_years), "ahead"),
    ] {
        let outcome = chain
            .client(Judge::Current, now)
            .and_then(|mut set| chain.update(&mut set, "unstable").map(|()| set));
        assert!(outcome.is_err(), "a clock ten years {direction} saw a current release");
    }
}

#[test]
fn refuses_a_subkey_without_back_signature() {
    let bound = |back_signature| {
        let binding = Binding {
            back_signature,
            ..Binding::default()
        };
        of_bob(forge::person("bob", *CREATED, forge::ed25519(*CREATED), &binding))
    };
    let refusal = key_refusal(bound(false));
    assert!(matches!(refusal, CertificateRefusal::NotValid { .. }), "{refusal:?}");
    bound(true).map(|_| ()).expect("the honest twin");
}

#[test]
fn refuses_a_key_without_the_signing_flag() {
    for flags in [
        KeyFlags::empty(),
        KeyFlags::empty().set_authentication(),
        KeyFlags::empty().set_certification(),
    ] {
        let binding = Binding {
            flags,
            ..Binding::default()
        };
        let bob = forge::person("bob", *CREATED, forge::ed25519(*CREATED), &binding);
        let refusal = key_refusal(of_bob(bob));
        assert!(matches!(refusal, CertificateRefusal::NotValid { .. }), "{refusal:?}");
    }
}

#[test]
fn refuses_a_binding_made_with_sha_1_or_md5() {
    for hash in [HashAlgorithm::SHA1, HashAlgorithm::MD5] {
        let binding = Binding {
            hash,
            ..Binding::default()
        };
        let bob = forge::person("bob", *CREATED, forge::ed25519(*CREATED), &binding);
        let refusal = key_refusal(of_bob(bob));
        assert!(
            matches!(refusal, CertificateRefusal::NotValid { .. }),
            "{hash}: {refusal:?}"
        );
    }
}

/// A stranger's key grafted onto somebody's certificate: bound by nobody who may.
#[test]
fn refuses_a_key_grafted_onto_a_certificate() {
    let mut all = people(NOW);
    let mallory = TestPerson::new("mallory", *CREATED);
    let graft = Cert::from_bytes(&mallory.certificate).unwrap();
    let subkey = graft.keys().subkeys().next().unwrap();
    let packets: Vec<Packet> = std::iter::once(Packet::from(subkey.key().clone()))
        .chain(subkey.self_signatures().cloned().map(Packet::from))
        .collect();
    let bob = Cert::from_bytes(&all[1].certificate).unwrap();
    let grafted = bob.insert_packets(packets).unwrap().0.to_vec().unwrap();
    let keyring = Keyring::from_bytes(&grafted).unwrap();
    assert!(!keyring.signing_keys(all[1].primary, NOW).contains(&mallory.keys[0]));
    assert_eq!(
        keyring.signing_keys(all[1].primary, NOW).len(),
        2,
        "bob's own keys are unharmed"
    );
    all[1].certificate = grafted;
    all[1].keys[0] = mallory.keys[0].clone();
    assert!(compile(&all, |_| {}).is_err());
}

#[test]
fn refuses_weak_rsa_and_v6_keys() {
    let suite = |suite| {
        let (cert, _) = CertBuilder::new()
            .set_cipher_suite(suite)
            .set_creation_time(forge::system_time(*CREATED))
            .add_userid("bob")
            .set_primary_key_flags(KeyFlags::empty().set_certification())
            .add_signing_subkey()
            .generate()
            .unwrap();
        TestPerson::from_secret("bob", cert.as_tsk().armored().to_vec().unwrap())
    };
    of_bob(suite(CipherSuite::RSA2k)).map(|_| ()).expect("the honest twin");

    let weak = forge::person("bob", *CREATED, forge::rsa(1024, *CREATED), &Binding::default());
    assert!(of_bob(weak).is_err());

    let (v6, _) = CertBuilder::new()
        .set_profile(sequoia_openpgp::Profile::RFC9580)
        .unwrap()
        .set_creation_time(forge::system_time(*CREATED))
        .add_userid("bob")
        .add_signing_subkey()
        .generate()
        .unwrap();
    let keyring = Keyring::from_bytes(&v6.to_vec().unwrap()).unwrap();
    let digest = keyring.digests().next().unwrap();
    assert!(
        keyring.signing_keys(digest, NOW).is_empty(),
        "a v6 fingerprint names no key of ours"
    );
}

#[test]
fn refuses_a_certificate_file_with_a_private_key_in_it() {
    let alice = TestPerson::new("alice", *CREATED);
    let error = Keyring::from_bytes(&alice.secret).unwrap_err();
    assert!(matches!(error, KeyringError::PrivateKey), "{error:?}");
    // Also where it hides behind a good certificate.
    let secret = Cert::from_bytes(&alice.secret).unwrap().as_tsk().to_vec().unwrap();
    let bob = Cert::from_bytes(&TestPerson::new("bob", *CREATED).certificate)
        .unwrap()
        .to_vec()
        .unwrap();
    let error = Keyring::from_bytes(&[bob, secret].concat()).unwrap_err();
    assert!(matches!(error, KeyringError::PrivateKey), "{error:?}");
    Keyring::from_bytes(&alice.certificate)
        .map(|_| ())
        .expect("the honest twin");
}

#[test]
fn refuses_ten_megabytes_of_user_ids() {
    let alice = TestPerson::new("alice", *CREATED);
    let cert = Cert::from_bytes(&alice.certificate).unwrap();
    let ids = (0..10).map(|index| Packet::from(UserID::from(format!("{index}{}", "x".repeat(1 << 20)))));
    let large = cert.insert_packets(ids).unwrap().0.to_vec().unwrap();
    let error = Keyring::from_bytes(&large).unwrap_err();
    assert!(
        matches!(error, KeyringError::TooLarge { found } if found > MAX_KEYRING_BYTES),
        "{error:?}"
    );
}

#[test]
fn refuses_what_is_no_certificate() {
    assert!(matches!(
        Keyring::from_bytes(b"").unwrap_err(),
        KeyringError::Empty | KeyringError::Malformed(_)
    ));
    assert!(matches!(
        Keyring::from_bytes(b"hello").unwrap_err(),
        KeyringError::Malformed(_)
    ));
    let alice = Cert::from_bytes(&TestPerson::new("alice", *CREATED).certificate)
        .unwrap()
        .to_vec()
        .unwrap();
    let error = Keyring::from_bytes(&[&alice[..], b"\xc2\x01"].concat());
    assert!(error.is_err(), "junk after a certificate was passed over");
}

/// Each certificate in a file stands for itself, found by its digest, whether the file is binary or armored.
#[test]
fn a_file_with_several_certificates_is_read_to_its_end() {
    let all = people(NOW);
    let armored: Vec<u8> = all.iter().flat_map(|person| person.certificate.clone()).collect();
    let binary: Vec<u8> = all
        .iter()
        .flat_map(|person| Cert::from_bytes(&person.certificate).unwrap().to_vec().unwrap())
        .collect();
    for bytes in [armored, binary] {
        let keyring = Keyring::from_bytes(&bytes).unwrap();
        for person in &all {
            assert_eq!(
                keyring.signing_keys(person.primary, NOW).len(),
                2,
                "{} is missing",
                person.name
            );
        }
    }
}

/// A signature by a key that outlived the policy's own date.
#[test]
fn refuses_a_certificate_whose_expiry_was_extended_without_a_root() {
    let mut chain = TestChain::with_policy(people(NOW), NOW, |policy| {
        for person in policy.people.values_mut() {
            person.not_after = NOW.plus(days(100));
        }
    });
    chain.now = NOW.plus(days(99));
    chain.release("unstable", &[]);
    chain
        .visit("unstable")
        .map(|_| ())
        .expect("the honest twin, a day before");
    for late in [100, 101, 200] {
        let mut hostile = chain.clone();
        hostile.now = NOW.plus(days(late));
        hostile.release("unstable", &[]);
        let outcome = hostile.client(Judge::Authentic, hostile.now).and_then(|mut set| {
            hostile.update(&mut set, "unstable")?;
            Ok(set)
        });
        let refusals = refused(outcome);
        assert!(
            matches!(
                refusals[..],
                [
                    SignatureRefusal::AfterPolicy { .. },
                    SignatureRefusal::AfterPolicy { .. }
                ]
            ),
            "{refusals:?}"
        );
    }
}
