//! People whom the policy's main people must certify: who certifies whom, and what takes a certification back.

use std::num::NonZeroUsize;

use attestation::{
    Time,
    chain::{PolicyDocument, ReleaseRole},
};
use policy::{
    Facts, SignatureRefusal, TrustError,
    document::{self, PolicyRefusal},
    jury::Work,
    keyring::{CertificateRefusal, Uncertified},
    root::RootRefusal,
    statements::StatementRefusal,
};
use sequoia_openpgp::{
    Cert, Packet,
    crypto::{KeyPair, Signer},
    packet::{UserID, signature::SignatureBuilder},
    parse::Parse as _,
    serialize::MarshalInto as _,
    types::{HashAlgorithm, ReasonForRevocation, SignatureType},
};
use testkit::{TestChain, TestPerson, chain::people};

use crate::{
    NOW,
    admission::names,
    compile, days, forge,
    gpg::{self, Gpg},
    statements::{approval, envelope, judged, statement},
};

/// Two of alice, bob and carol certify everybody else.
fn web(policy: &mut PolicyDocument) {
    let main = policy.roles[&"root".parse().unwrap()].clone();
    let role = attestation::chain::PeopleRole {
        threshold: None,
        people: main.people,
    };
    policy.roles.insert("main".parse().unwrap(), role);
    policy.web_of_trust = Some(ReleaseRole {
        role: "main".parse().unwrap(),
        threshold: 2,
    });
}

/// A certification, or what looks like one.
struct Certification {
    kind: SignatureType,
    at: Time,
    until: Option<Time>,
    hash: HashAlgorithm,
}

impl Default for Certification {
    fn default() -> Self {
        Self {
            kind: SignatureType::GenericCertification,
            at: NOW.minus(days(1)),
            until: None,
            hash: HashAlgorithm::SHA256,
        }
    }
}

impl Certification {
    /// By this key, over the certificate's first user id, or over another one.
    fn by(&self, signer: &mut dyn Signer, cert: &Cert, user_id: Option<&UserID>) -> Packet {
        let own = cert.userids().next().unwrap().userid().clone();
        let mut builder = SignatureBuilder::new(self.kind)
            .set_hash_algo(self.hash)
            .set_signature_creation_time(forge::system_time(self.at))
            .unwrap();
        if let Some(until) = self.until {
            let validity = until.since(self.at);
            builder = builder
                .set_signature_validity_period(std::time::Duration::from_secs(validity.0))
                .unwrap();
        }
        if self.kind == SignatureType::CertificationRevocation {
            builder = builder
                .set_reason_for_revocation(ReasonForRevocation::UIDRetired, b"")
                .unwrap();
        }
        let signature = builder
            .sign_userid_binding(signer, cert.primary_key().key(), user_id.unwrap_or(&own))
            .unwrap();
        signature.into()
    }
}

/// The person, with these packets in their certificate.
fn with(person: &TestPerson, packets: Vec<Packet>) -> TestPerson {
    let cert = Cert::from_bytes(&person.certificate).unwrap();
    TestPerson {
        certificate: cert.insert_packets(packets).unwrap().0.to_vec().unwrap(),
        ..person.clone()
    }
}

fn cert(person: &TestPerson) -> Cert {
    Cert::from_bytes(&person.certificate).unwrap()
}

/// Everybody, dave certified by these.
fn certified(by: &[usize], certification: &Certification) -> Vec<TestPerson> {
    let mut all = people(NOW);
    let dave = cert(&all[3]);
    let packets = by
        .iter()
        .map(|index| certification.by(&mut forge::primary(&all[*index]), &dave, None));
    all[3] = with(&all[3], packets.collect());
    all
}

/// What a root with these people is refused for, which is dave's lack of certifications.
fn refused(all: &[TestPerson]) -> CertificateRefusal {
    match compile(all, web) {
        Err(RootRefusal::Key { person, source }) if person.as_str() == "dave" => source,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn lacks(refusal: &CertificateRefusal, certified_by: &[&str]) {
    let CertificateRefusal::NotCertified(lacking) = refusal else {
        panic!("{refusal:?}")
    };
    let Uncertified {
        person,
        role,
        need,
        by,
        could,
    } = &**lacking;
    assert_eq!((person.as_str(), role.as_str(), *need), ("dave", "main", 2));
    assert_eq!(*by, names(certified_by));
    let all = names(&["alice", "bob", "carol"]);
    assert_eq!(*could, all.difference(by).cloned().collect());
}

#[test]
fn two_main_people_make_a_certificate_count() {
    compile(&certified(&[0, 2], &Certification::default()), web).expect("the honest twin");
    compile(&people(NOW), |_| {}).expect("a policy that asks for none");
    for kind in [
        SignatureType::PersonaCertification,
        SignatureType::CasualCertification,
        SignatureType::PositiveCertification,
    ] {
        let certification = Certification {
            kind,
            ..Certification::default()
        };
        compile(&certified(&[0, 1], &certification), web).expect("each kind counts");
    }
}

/// Whoever compiles or compares a policy is told in time.
#[test]
fn warns_of_a_certification_that_is_over_before_the_root_is() {
    let over = Certification {
        until: Some(NOW.plus(days(50))),
        ..Certification::default()
    };
    for (certification, root_expires, warned) in [
        (&over, 40, false),
        (&over, 60, true),
        (&Certification::default(), 60, false),
    ] {
        let all = certified(&[0, 1], certification);
        let chain = TestChain::with_policy(all, NOW, web);
        let said = document::expiring(chain.policy(), &chain.keyring, NOW.plus(days(root_expires)));
        let of_dave: Vec<_> = said
            .iter()
            .filter(|text| text.contains("what dave says counts no more"))
            .collect();
        assert_eq!(of_dave.len(), usize::from(warned), "{root_expires}: {said:?}");
    }
}

#[test]
fn refuses_somebody_whom_too_few_certify() {
    lacks(&refused(&people(NOW)), &[]);
    lacks(&refused(&certified(&[1], &Certification::default())), &["bob"]);
    // One person twice, at two times.
    let mut all = certified(&[1], &Certification::default());
    let later = Certification {
        at: NOW,
        ..Certification::default()
    };
    all[3] = with(
        &all[3],
        vec![later.by(&mut forge::primary(&all[1]), &cert(&all[3]), None)],
    );
    lacks(&refused(&all), &["bob"]);
    // Dave himself, and a stranger of no role.
    let stranger = TestPerson::new("alice", NOW.minus(days(30)));
    for other in [all[3].clone(), stranger] {
        let mut more = all.clone();
        let packet = Certification::default().by(&mut forge::primary(&other), &cert(&all[3]), None);
        more[3] = with(&all[3], vec![packet]);
        lacks(&refused(&more), &["bob"]);
    }
}

#[test]
fn refuses_certifications_that_are_none() {
    let certification = Certification::default();
    let base = certified(&[1], &certification);
    let (alice, dave) = (&base[0], cert(&base[3]));
    let with_one = |packet: Packet| {
        let mut all = base.clone();
        all[3] = with(&base[3], vec![packet]);
        all
    };
    let primary = || forge::primary(alice);
    let honest = with_one(certification.by(&mut primary(), &dave, None));
    compile(&honest, web).expect("the honest twin");
    // Of another certificate, moved here: over carol's primary key, over another user id.
    let carols = certification.by(&mut primary(), &cert(&base[2]), None);
    let other_name = certification.by(&mut primary(), &dave, Some(&UserID::from("mallory")));
    // By a signing subkey of alice's, as her token for statements has it.
    let mut subkey: KeyPair = forge::pair(alice, 0);
    let by_subkey = certification.by(&mut subkey, &dave, None);
    let edited = |edit: fn(&mut Certification)| {
        let mut other = Certification::default();
        edit(&mut other);
        other.by(&mut primary(), &dave, None)
    };
    for (flaw, packet) in [
        ("of another certificate", carols),
        ("of another name", other_name),
        ("by a subkey", by_subkey),
        ("not yet valid", edited(|it| it.at = NOW.plus(days(2)))),
        (
            "over",
            edited(|it| it.until = Some(NOW.minus(attestation::Seconds(60)))),
        ),
        ("by SHA-1", edited(|it| it.hash = HashAlgorithm::SHA1)),
        ("from before alice's key", edited(|it| it.at = NOW.minus(days(60)))),
    ] {
        let refusal = refused(&with_one(packet));
        assert!(
            matches!(&refusal, CertificateRefusal::NotCertified(it) if it.by == names(&["bob"])),
            "{flaw}: {refusal:?}"
        );
    }
}

fn chain() -> TestChain {
    TestChain::with_policy(certified(&[0, 1], &Certification::default()), NOW, |policy| {
        web(policy);
        // Dave and carol release.
        let releasers = attestation::chain::PeopleRole {
            threshold: None,
            people: names(&["carol", "dave"]),
        };
        policy.roles.insert("releasers".parse().unwrap(), releasers);
        for channel in policy.channels.values_mut() {
            channel.release.role = "releasers".parse().unwrap();
        }
    })
}

/// Whether what dave says counts, alone and among many.
fn daves_word(chain: &TestChain) -> Result<(), CertificateRefusal> {
    let said = statement(chain, "dave", approval(None, Some("b")));
    let envelope = envelope(chain, "dave", 0, &said);
    let set = judged(chain);
    let court = set.court().unwrap();
    let alone = court.verify(&envelope).map(|_| ());
    let mut work = Work {
        threads: NonZeroUsize::MIN,
        facts: &mut Facts::default(),
    };
    let many = court.jury().verify_all(std::slice::from_ref(&envelope), &mut work);
    assert_eq!(many[0].is_ok(), alone.is_ok());
    match alone {
        Ok(()) => Ok(()),
        Err(StatementRefusal::Signature {
            source: SignatureRefusal::Certificate(refusal),
            ..
        }) => Err(refusal),
        Err(other) => panic!("{other:?}"),
    }
}

fn revoked_by_alice(chain: &TestChain, at: Time) -> Vec<u8> {
    let revocation = Certification {
        kind: SignatureType::CertificationRevocation,
        at,
        ..Certification::default()
    };
    let dave = chain.person("dave");
    let packet = revocation.by(&mut forge::primary(chain.person("alice")), &cert(dave), None);
    with(dave, vec![packet]).certificate
}

#[test]
fn a_revoked_certification_counts_no_more_and_nothing_gives_it_back() {
    let mut chain = chain();
    daves_word(&chain).expect("the honest twin");
    chain.keyring.add(&revoked_by_alice(&chain, NOW)).unwrap();
    lacks(&daves_word(&chain).unwrap_err(), &["bob"]);
    // A keyring without the revocation, and a newer certification by alice.
    chain.keyring.add(&chain.person("dave").certificate.clone()).unwrap();
    let (dave, newer) = (chain.person("dave").clone(), NOW.plus(attestation::Seconds(5)));
    chain.now = NOW.plus(days(1));
    let again = |index: usize, at: Time| {
        let certification = Certification {
            at,
            ..Certification::default()
        };
        let packet = certification.by(&mut forge::primary(&chain.people[index]), &cert(&dave), None);
        with(&dave, vec![packet]).certificate
    };
    let (by_alice, by_carol) = (again(0, newer), again(2, newer));
    chain.keyring.add(&by_alice).unwrap();
    lacks(&daves_word(&chain).unwrap_err(), &["bob"]);
    // Somebody else's certification is as good as hers was.
    chain.keyring.add(&by_carol).unwrap();
    daves_word(&chain).expect("bob and carol");
}

#[test]
fn a_certification_is_revoked_by_its_maker_only() {
    let mut chain = chain();
    let revocation = Certification {
        kind: SignatureType::CertificationRevocation,
        ..Certification::default()
    };
    let dave = chain.person("dave").clone();
    for other in ["carol", "dave"] {
        let packet = revocation.by(&mut forge::primary(chain.person(other)), &cert(&dave), None);
        // (Dave's own revokes the user id itself, which is his to do.)
        let certificate = with(&dave, vec![packet]).certificate;
        let mut other_chain = chain.clone();
        other_chain.keyring.add(&certificate).unwrap();
        assert_eq!(daves_word(&other_chain).is_ok(), other == "carol", "{other}");
    }
    chain.keyring.add(&revoked_by_alice(&chain, NOW)).unwrap();
    daves_word(&chain).unwrap_err();
}

#[test]
fn a_certifier_whose_certificate_is_revoked_or_over_certifies_nobody() {
    let mut revoked = chain();
    let packets = forge::revoke(revoked.person("bob"), None, ReasonForRevocation::KeyCompromised, NOW);
    revoked.keyring.add(&packets).unwrap();
    lacks(&daves_word(&revoked).unwrap_err(), &["alice"]);
    // Bob's certificate ends before everybody else's.
    let mut all = people(NOW);
    all[1] = TestPerson::valid_for("bob", NOW.minus(days(30)), std::time::Duration::from_secs(40 * 86_400));
    let dave = cert(&all[3]);
    let packets = [0, 1].map(|index: usize| Certification::default().by(&mut forge::primary(&all[index]), &dave, None));
    all[3] = with(&all[3], packets.to_vec());
    let mut chain = TestChain::with_policy(all, NOW, web);
    daves_word(&chain).expect("the honest twin");
    chain.now = NOW.plus(days(20));
    lacks(&daves_word(&chain).unwrap_err(), &["alice"]);
}

#[test]
fn who_left_the_main_role_certifies_nobody() {
    let chain = chain();
    let mut policy = chain.policy().clone();
    policy.chain = Some(chain.id());
    policy
        .roles
        .get_mut(&"main".parse().unwrap())
        .unwrap()
        .people
        .remove(&"alice".parse().unwrap());
    // Alice herself is one of those who must be certified now, and comes first.
    let error = policy::root::compile(policy.clone(), 2, NOW, &chain.keyring).unwrap_err();
    assert!(
        matches!(&error, RootRefusal::Key { person, source: CertificateRefusal::NotCertified(it) }
            if person.as_str() == "alice" && it.by.is_empty()),
        "{error:?}"
    );
}

#[test]
fn refuses_a_release_by_somebody_who_is_not_certified_any_more() {
    let mut chain = chain();
    chain.release("unstable", &[("nixexprs.tar.xz", b"bytes")]);
    chain.visit("unstable").map(|_| ()).expect("the honest twin");
    let revoked = revoked_by_alice(&chain, NOW);
    chain.keyring.add(&revoked).unwrap();
    chain.publish();
    let error = chain.visit("unstable").map(|_| ()).unwrap_err();
    let TrustError::Threshold(shortfall) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(shortfall.tally.vouches.len(), 1);
    let SignatureRefusal::Certificate(refusal) = &shortfall.tally.refused[0].reason else {
        panic!("{shortfall}")
    };
    lacks(refusal, &["bob"]);
}

#[test]
fn refuses_a_web_that_nobody_or_everybody_and_more_must_spin() {
    for (threshold, good) in [(0, false), (1, true), (3, true), (4, false)] {
        let mut policy = chain().policy().clone();
        policy.web_of_trust.as_mut().unwrap().threshold = threshold;
        let found = document::check(&policy);
        let refused = matches!(&found, Err(PolicyRefusal::Threshold { what, .. }) if what == "web-of-trust");
        assert_eq!((found.is_ok(), refused), (good, !good), "{threshold}: {found:?}");
    }
    let mut policy = chain().policy().clone();
    policy.web_of_trust.as_mut().unwrap().role = "nobody".parse().unwrap();
    assert!(matches!(document::check(&policy), Err(PolicyRefusal::MissingRole(_))));
}

#[test]
fn what_gpg_certifies_counts_and_what_it_revokes_does_not() {
    let Some(gpg) = Gpg::new() else { return };
    let mut all = people(gpg::now());
    let certifiers = ["erin", "frank"];
    all.extend(certifiers.map(|name| gpg.person(name, "ed25519")));
    gpg.import(&all[3].certificate);
    let dave = cert(&all[3]).fingerprint().to_hex();
    for certifier in certifiers {
        let key = &gpg.fingerprints(certifier)[0];
        gpg.must(&["--yes", "--local-user", key, "--quick-sign-key", &dave]);
    }
    all[3].certificate = gpg.must(&["--export", &dave]);
    let mut chain = TestChain::with_policy(all, gpg::now(), |policy| {
        web(policy);
        let main = policy.roles.get_mut(&"main".parse().unwrap()).unwrap();
        main.people.extend(names(&certifiers));
    });
    daves_word(&chain).expect("the honest twin");
    let key = gpg.fingerprints("frank")[0].clone();
    let user_id = cert(chain.person("dave"))
        .userids()
        .next()
        .unwrap()
        .userid()
        .to_string();
    let done = gpg.run(&["--yes", "--quick-revoke-sig", &dave, &key, &user_id]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    chain.keyring.add(&gpg.must(&["--export", &dave])).unwrap();
    chain.now = gpg::now();
    let refusal = daves_word(&chain).unwrap_err();
    assert!(
        matches!(&refusal, CertificateRefusal::NotCertified(it) if it.by == names(&["erin"])),
        "{refusal:?}"
    );
}
