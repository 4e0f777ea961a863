//! Evidence that keys live on tokens. The chains of certificates are openssl's; no real YubiKey was there when they were
//! made, so what is tested is the form that its maker documents.

use std::collections::BTreeSet;

use attestation::{
    AttestationRoot,
    chain::{Hardware, PolicyDocument},
    statement::{Claim, Statement, Witness},
};
use policy::{
    Verified,
    hardware::{self, AttestationRefusal, HardwareRefusal},
};
use testkit::{
    TestChain, TestPerson,
    maker::{Forgery, Maker, has_openssl, public_pem},
};

use crate::{
    NOW,
    statements::{envelope, judged, statement},
};

/// The chain of a token's statement about a person's key.
fn attest(maker: &Maker, person: &TestPerson, key: usize, forgery: &Forgery) -> Vec<u8> {
    let subject = if forgery.other_key { 1 - key } else { key };
    maker.attest(&public_pem(&person.certificate, &person.keys[subject]), forgery)
}

/// The digest under which a policy pins the maker.
fn root(maker: &Maker) -> AttestationRoot {
    hardware::root_digest(&maker.read("root.pem")).unwrap()
}

/// The policy in which carol is attested, with her first key alone.
fn attested(chain: &TestChain, roots: &[AttestationRoot]) -> PolicyDocument {
    let mut policy = chain.policy().clone();
    let carol = policy.people.get_mut(&"carol".parse().unwrap()).unwrap();
    carol.hardware = Hardware::Attested;
    carol.keys.truncate(1);
    policy.attestation_roots = roots.iter().copied().collect();
    policy
}

fn judge(chain: &TestChain, next: &PolicyDocument, evidence: &[Vec<u8>]) -> Result<(), HardwareRefusal> {
    hardware::check(next, Some(chain.policy()), &chain.keyring, evidence, &[], NOW)
}

/// Why an attestation of carol's key with this flaw does not count.
fn refusal(algorithm: &str, spoil: impl FnOnce(&mut Forgery)) -> AttestationRefusal {
    let chain = TestChain::new(NOW);
    let maker = Maker::new(algorithm);
    let carol = chain.person("carol");
    let mut forgery = Forgery::honest(&carol.keys[0]);
    spoil(&mut forgery);
    let evidence = attest(&maker, carol, 0, &forgery);
    match judge(&chain, &attested(&chain, &[root(&maker)]), &[evidence]).unwrap_err() {
        HardwareRefusal::NotAttested {
            closest: Some(closest), ..
        } => closest,
        other => panic!("refused for something else: {other:?}"),
    }
}

#[test]
fn an_attestation_by_a_token_of_a_pinned_maker_counts() {
    if !has_openssl() {
        return;
    }
    for algorithm in ["rsa", "p256"] {
        let chain = TestChain::new(NOW);
        let maker = Maker::new(algorithm);
        let carol = chain.person("carol");
        let evidence = attest(&maker, carol, 0, &Forgery::honest(&carol.keys[0]));
        let roots = BTreeSet::from([root(&maker)]);
        let said = hardware::attest(&evidence, &carol.keys[0], carol.primary, &chain.keyring, &roots, NOW).unwrap();
        assert_eq!((said.serial, said.firmware), (7_654_321, [5, 4, 3]));
        judge(
            &chain,
            &attested(&chain, &[root(&maker)]),
            &[b"junk".to_vec(), evidence],
        )
        .unwrap();
    }
}

#[test]
fn refuses_attestation_of_a_key_that_was_imported_or_needs_no_touch() {
    if !has_openssl() {
        return;
    }
    assert_eq!(refusal("p256", |it| it.source = "020100"), AttestationRefusal::Imported);
    for (touch, found) in [("040100", 0), ("040101", 1), ("040103", 3)] {
        assert_eq!(
            refusal("p256", |it| it.touch = touch),
            AttestationRefusal::Touch { found }
        );
    }
}

/// The fingerprint is a note that whoever has the admin PIN writes onto the token.
#[test]
fn refuses_attestation_that_names_the_fingerprint_and_is_of_another_key() {
    if !has_openssl() {
        return;
    }
    let refusal = refusal("p256", |it| it.other_key = true);
    assert!(matches!(refusal, AttestationRefusal::OtherMaterial(_)), "{refusal:?}");
}

#[test]
fn refuses_attestation_with_extensions_of_another_form() {
    if !has_openssl() {
        return;
    }
    let source = refusal("p256", |it| it.source = "040101");
    assert_eq!(source, AttestationRefusal::Extension("2"));
    for touch in ["0102", "020102", "04020202"] {
        assert_eq!(
            refusal("p256", |it| it.touch = touch),
            AttestationRefusal::Extension("8")
        );
    }
}

#[test]
fn refuses_attestation_by_a_token_that_is_no_authority_or_that_is_out_of_date() {
    if !has_openssl() {
        return;
    }
    let link = refusal("p256", |it| it.device = "critical,CA:FALSE");
    assert!(matches!(link, AttestationRefusal::Link { index: 0, .. }), "{link:?}");
    let expired = refusal("p256", |it| it.days = "30");
    assert!(
        matches!(expired, AttestationRefusal::Time { index: 0, .. }),
        "{expired:?}"
    );
}

#[test]
fn refuses_attestation_from_another_maker_and_with_a_flipped_byte() {
    if !has_openssl() {
        return;
    }
    let chain = TestChain::new(NOW);
    let (maker, mallory) = (Maker::new("rsa"), Maker::new("rsa"));
    let carol = chain.person("carol");
    let honest = Forgery::honest(&carol.keys[0]);
    let policy = attested(&chain, &[root(&maker)]);
    let evidence = attest(&maker, carol, 0, &honest);
    judge(&chain, &policy, std::slice::from_ref(&evidence)).unwrap();

    let forged = attest(&mallory, carol, 0, &honest);
    let why = |evidence: Vec<u8>| match judge(&chain, &policy, &[evidence]).unwrap_err() {
        HardwareRefusal::NotAttested { closest, .. } => closest,
        other => panic!("refused for something else: {other:?}"),
    };
    assert!(matches!(
        why(forged.clone()),
        Some(AttestationRefusal::OtherRoot { .. })
    ));
    // Mallory's statement and token under the pinned root, whose name is the same.
    let grafted = [
        mallory.read("statement.pem"),
        mallory.read("device.pem"),
        maker.read("root.pem"),
    ]
    .concat();
    let refusal = why(grafted);
    assert!(matches!(refusal, Some(AttestationRefusal::Link { .. })), "{refusal:?}");
    // The root alone, and the statement without the token that made it.
    assert!(judge(&chain, &policy, &[maker.read("root.pem")]).is_err());
    let gap = [maker.read("statement.pem"), maker.read("root.pem")].concat();
    assert!(matches!(why(gap), Some(AttestationRefusal::Link { index: 0, .. })));

    let text = String::from_utf8(evidence).unwrap();
    let (first, rest) = text.split_once("-----END").unwrap();
    let body: String = first.lines().skip(1).collect();
    let der = data_encoding::BASE64.decode(body.as_bytes()).unwrap();
    for index in (0..der.len()).step_by(17) {
        let mut flipped = der.clone();
        flipped[index] ^= 1;
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END{rest}",
            data_encoding::BASE64.encode(&flipped)
        );
        assert!(
            judge(&chain, &policy, &[pem.into_bytes()]).is_err(),
            "byte {index} does not matter"
        );
    }
}

#[test]
fn refuses_somebody_attested_without_evidence_and_asks_nothing_of_who_stays_as_they_are() {
    let chain = TestChain::new(NOW);
    let root = AttestationRoot::from_digest(attestation::Sha256Digest::of("a root"));
    let error = judge(&chain, &attested(&chain, &[root]), &[]).unwrap_err();
    assert!(
        matches!(error, HardwareRefusal::NotAttested { tried: 0, .. }),
        "{error:?}"
    );
    let error = judge(&chain, &attested(&chain, &[]), &[]).unwrap_err();
    assert!(matches!(error, HardwareRefusal::NoRoots { .. }), "{error:?}");
    judge(&chain, chain.policy(), &[]).unwrap();
    // In force already: asked when it was proposed.
    let next = attested(&chain, &[root]);
    hardware::check(&next, Some(&next), &chain.keyring, &[], &[], NOW).unwrap();
}

fn witnessed(chain: &TestChain) -> PolicyDocument {
    let mut policy = chain.policy().clone();
    let carol = policy.people.get_mut(&"carol".parse().unwrap()).unwrap();
    carol.hardware = Hardware::Witnessed;
    carol.keys.truncate(1);
    policy
}

fn seen(chain: &TestChain, author: &str, edit: impl FnOnce(&mut Witness)) -> Verified<Statement> {
    let carol = chain.person("carol");
    let mut witness = Witness {
        person: carol.name.clone(),
        certificate: carol.primary,
        key: carol.keys[0].clone(),
        token: "FFFE:00000001".to_owned(),
        seen: "carol enrolled a token that I took out of its package".to_owned(),
    };
    edit(&mut witness);
    let statement = statement(chain, author, Claim::Witness(witness));
    let set = judged(chain);
    set.court()
        .unwrap()
        .verify(&envelope(chain, author, 0, &statement))
        .unwrap()
}

fn witnesses(chain: &TestChain, statements: &[Verified<Statement>]) -> usize {
    match hardware::check(
        &witnessed(chain),
        Some(chain.policy()),
        &chain.keyring,
        &[],
        statements,
        NOW,
    ) {
        Ok(()) => hardware::WITNESSES,
        Err(HardwareRefusal::TooFewWitnesses { found, .. }) => found.len(),
        Err(other) => panic!("refused for something else: {other:?}"),
    }
}

#[test]
fn two_others_of_the_role_are_witnesses_and_nobody_else_is() {
    let chain = TestChain::new(NOW);
    let by = |author: &str| seen(&chain, author, |_| {});
    assert_eq!(witnesses(&chain, &[]), 0);
    assert_eq!(witnesses(&chain, &[by("alice")]), 1);
    assert_eq!(witnesses(&chain, &[by("alice"), by("alice")]), 1, "one person twice");
    assert_eq!(witnesses(&chain, &[by("alice"), by("carol")]), 1, "carol of herself");
    assert_eq!(witnesses(&chain, &[by("alice"), by("bob")]), 2);
    let other_key = seen(&chain, "bob", |it| it.key = chain.person("carol").keys[1].clone());
    assert_eq!(witnesses(&chain, &[by("alice"), other_key]), 1, "of another key");
    let other_person = seen(&chain, "bob", |it| it.person = "dave".parse().unwrap());
    assert_eq!(witnesses(&chain, &[by("alice"), other_person]), 1, "of another person");
    let other_certificate = seen(&chain, "bob", |it| it.certificate = chain.person("dave").primary);
    assert_eq!(
        witnesses(&chain, &[by("alice"), other_certificate]),
        1,
        "of another certificate"
    );
}

#[test]
fn refuses_somebody_witnessed_in_a_first_root() {
    let chain = TestChain::new(NOW);
    let error = hardware::check(&witnessed(&chain), None, &chain.keyring, &[], &[], NOW).unwrap_err();
    assert!(
        matches!(error, HardwareRefusal::WitnessedInFirstRoot { .. }),
        "{error:?}"
    );
}

#[test]
fn a_policy_that_names_makers_reads_back_from_its_root() {
    let root = AttestationRoot::from_digest(attestation::Sha256Digest::of("a root"));
    let chain = TestChain::with_policy(testkit::chain::people(NOW), NOW, |policy| {
        policy.attestation_roots.insert(root);
    });
    assert!(chain.policy().attestation_roots.contains(&root));
    judged(&chain);
}
