//! Who signed it, and under which root: what no mirror can make up.

use crate::common::{Site, Subscriber, assert_refused, installed, now, tarball};
use attestation::{PersonName, Seconds};
use fetcher::{Bounds, Options, Silent, UpdateError, probe};
use policy::TrustError;
use sequoia_openpgp::{
    Cert, cert::CertRevocationBuilder, parse::Parse as _, serialize::MarshalInto as _, types::ReasonForRevocation,
};
use signer::Document;
use testkit::{TestChain, TestPerson};

#[test]
fn refuses_one_signature_too_few() {
    let (mut chain, site, subscriber) = installed();
    let mut honest = chain.clone();
    let two = tarball("2");
    chain.release_with("unstable", &[("nixexprs.tar.xz", &two.bytes)], &["alice"], |_| {});
    site.serve(&chain);
    assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Threshold(_)));
    honest.release_tarball("unstable", &two);
    honest.publish();
    site.serve(&honest);
    Subscriber::new(&chain).update(&site).unwrap();
    // Whoever was shown the other release 2 sees that there are two of them, and goes on with release 3.
    assert_refused!(
        subscriber,
        site,
        UpdateError::Trust(TrustError::TwoPayloads { version: 2, .. })
    );
    honest.release_tarball("unstable", &tarball("3"));
    site.serve(&honest);
    subscriber.update(&site).unwrap();
}

#[test]
fn refuses_two_signatures_by_one_person() {
    let (mut chain, site, subscriber) = installed();
    let claims = chain.draft_release("unstable", &[("nixexprs.tar.xz", &tarball("2").bytes)]);
    let mut signed = chain.signed_targets(claims, &["alice"]);
    let second = chain.sign_with(&Document::Targets(&signed.claims), "alice", 1);
    signed.signatures.push(second);
    chain.place_targets("unstable", &signed);
    chain.publish();
    site.serve(&chain);
    assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Threshold(shortfall)) if shortfall.tally.vouches.len() == 1);
}

#[test]
fn refuses_root_that_does_not_descend_from_the_pinned_one() {
    let (chain, site, subscriber) = installed();
    let mut other = TestChain::new(now());
    other.rotate(|_| {});
    let mut forged = chain.clone();
    forged.publish();
    forged.files.insert(
        "metadata/2.root.json".to_owned(),
        other.files["metadata/2.root.json"].clone(),
    );
    site.serve(&forged);
    assert_refused!(subscriber, site, UpdateError::Trust(_));
    // A newcomer who pinned our chain and is shown the other one from the first root on.
    other.release_tarball("unstable", &tarball("evil"));
    site.serve(&other);
    let newcomer = Subscriber::new(&chain);
    let error = newcomer.update(&site).unwrap_err();
    assert!(
        matches!(error, UpdateError::Trust(TrustError::NotThePinnedChain { .. })),
        "{error:?}"
    );
}

#[test]
fn refuses_one_channels_release_as_anothers() {
    let (mut chain, site, subscriber) = installed();
    chain.release_tarball("stable", &tarball("stable"));
    chain.release_tarball("stable", &tarball("stable, 2"));
    let stable = chain.files["metadata/2.stable.json"].clone();
    chain.place_target_bytes("unstable", 2, stable);
    chain.publish();
    site.serve(&chain);
    assert_refused!(subscriber, site, UpdateError::Trust(_));
}

#[test]
fn follows_roots_and_recovers_from_a_fast_forward() {
    let (mut chain, site, subscriber) = installed();
    // Whoever stole the online key locks the channel: nothing older than this is accepted any more.
    let honest = chain.clone();
    chain.publish_with(
        |snapshot| snapshot.version = 900,
        |timestamp| timestamp.version = 900_000,
    );
    site.serve(&chain);
    subscriber.update(&site).unwrap();
    let mut chain = honest;
    chain.release_tarball("unstable", &tarball("2"));
    site.serve(&chain);
    assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Rollback { .. }));
    // The people replace the key; what it signed binds nobody.
    chain.online = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    let fresh = data_encoding::HEXLOWER.encode(chain.online.verifying_key().as_bytes());
    chain.rotate(|policy| policy.online_key = fresh);
    site.serve(&chain);
    let update = subscriber.update(&site).unwrap();
    assert_eq!(update.release.verified().get().sequence, 2);
    assert_eq!(update.release.verified().evidence().root_version, 2);
}

#[test]
fn a_probe_refuses_another_chain_and_an_unknown_channel() {
    let chain = TestChain::new(now());
    let site = Site::new(&chain);
    let mut subscriber = Subscriber::new(&chain);
    let ask = |subscriber: &Subscriber| {
        probe(
            &subscriber.subscription,
            &subscriber.locked(),
            &[&site.transport()],
            Bounds::default(),
            now(),
        )
    };
    assert_eq!(ask(&subscriber).unwrap(), 1);
    subscriber.subscription.channel = "other".parse().unwrap();
    let error = ask(&subscriber).unwrap_err();
    assert!(matches!(error, UpdateError::NoSuchChannel { .. }), "{error:?}");
    let other = Subscriber::new(&TestChain::new(now().plus(Seconds(1))));
    let error = ask(&other).unwrap_err();
    assert!(
        matches!(error, UpdateError::Trust(TrustError::NotThePinnedChain { .. })),
        "{error:?}"
    );
}

#[test]
fn refuses_endless_chain_of_roots_and_keeps_how_far_it_came() {
    let (mut chain, site, subscriber) = installed();
    for _ in 0..5 {
        chain.rotate(|_| {});
    }
    site.serve(&chain);
    let update = |roots| {
        let options = Options {
            bounds: Bounds {
                roots,
                ..Bounds::default()
            },
            ..Options::default()
        };
        let mirror = site.transport();
        fetcher::update(
            &subscriber.subscription,
            &subscriber.locked(),
            &[&mirror],
            options,
            now(),
            &Silent,
        )
    };
    let error = update(3).unwrap_err();
    assert!(matches!(error, UpdateError::TooManyRoots { limit: 3 }), "{error:?}");
    // Six roots: four were kept, so two are left, and the third request finds none.
    assert_eq!(update(3).unwrap().release.verified().evidence().root_version, 6);
}

#[test]
fn a_revocation_that_was_seen_is_not_forgotten_when_a_mirror_leaves_it_out() {
    let (chain, site, subscriber) = installed();
    let mut thieves = chain.clone();
    let mut honest = chain.clone();
    honest.keyring.add(&revoked(honest.person("alice"))).unwrap();
    honest.publish();
    site.serve(&honest);
    assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Threshold(_)));
    // Alice's stolen key signs on, with a keyring from before.
    thieves.publish();
    thieves.release_tarball("unstable", &tarball("evil"));
    site.serve(&thieves);
    assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Threshold(_)));
    // Whoever never saw the revocation cannot know.
    Subscriber::new(&chain).update(&site).unwrap();

    // The others go on without her: a root, targets and releases of their own, over metadata versions that the thieves used up.
    honest.publish();
    honest.publish();
    let root = honest.draft_root(|policy| {
        let (alice, dave): (PersonName, PersonName) = ("alice".parse().unwrap(), "dave".parse().unwrap());
        policy.people.remove(&alice);
        for role in policy.roles.values_mut().filter(|role| role.people.contains(&alice)) {
            role.people.remove(&alice);
            role.people.insert(dave.clone());
        }
    });
    honest.place_root(&honest.signed_root(root, &["bob", "carol"]));
    let targets = honest.signed_targets(honest.draft_top_level_targets(), &["bob", "carol"]);
    honest.place_targets("targets", &targets);
    let three = tarball("3");
    for _ in 0..2 {
        let people = ["bob", "carol"];
        honest.release_with("unstable", &[("nixexprs.tar.xz", &three.bytes)], &people, |claims| {
            let release = claims.mark.as_mut().and_then(|mark| mark.release.as_mut());
            release.unwrap().channel_nar = three.nar;
        });
    }
    site.serve(&honest);
    assert_eq!(subscriber.update(&site).unwrap().release.verified().get().sequence, 3);
}

/// The person's certificate, revoked because its key was stolen.
fn revoked(person: &TestPerson) -> Vec<u8> {
    let cert = Cert::from_bytes(&person.secret).unwrap();
    let mut key = cert
        .primary_key()
        .key()
        .clone()
        .parts_into_secret()
        .unwrap()
        .into_keypair()
        .unwrap();
    let revocation = CertRevocationBuilder::new()
        .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"stolen")
        .unwrap()
        .build(&mut key, &cert, None)
        .unwrap();
    let (cert, _) = cert.insert_packets(revocation).unwrap();
    cert.strip_secret_key_material().to_vec().unwrap()
}
