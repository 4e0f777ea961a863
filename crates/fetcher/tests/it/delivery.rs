//! What mirrors and networks may do to a subscriber, each attack beside its honest twin.

use std::fs;

use crate::common::{Site, Subscriber, assert_refused, installed, now, tarball};
use attestation::{PersonName, Seconds, Time};
use fetcher::{Bounds, Fault, Outcome, Silent, TransportError, UpdateError, probe};
use install::{Action, InstallError, State, StateError, unpack::UnpackError, verify};
use policy::TrustError;
use sequoia_openpgp::{
    Cert, cert::CertRevocationBuilder, parse::Parse as _, serialize::MarshalInto as _, types::ReasonForRevocation,
};
use signer::Document;
use testkit::{ChannelTarball, TestChain, TestPerson};

#[test]
fn installs_a_release_and_then_asks_two_small_requests() {
    let (mut chain, site, subscriber) = installed();
    let again = subscriber.update(&site).unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);
    assert_eq!(
        again.requests, 2,
        "the next root, which is not there, and the timestamp"
    );
    assert!(again.bytes < 2_000, "{} bytes", again.bytes);

    chain.release_tarball("unstable", &tarball("2"));
    site.serve(&chain);
    let update = subscriber.update(&site).unwrap();
    assert_eq!(update.outcome, Outcome::Installed);
    assert_eq!(update.generation.get(), 2);
    let current = subscriber.state().current().unwrap().unwrap();
    assert_eq!(
        fs::read_to_string(current.nixexprs().join("nixpkgs/default.nix")).unwrap(),
        "2"
    );
    let people: Vec<_> = update
        .release
        .verified()
        .evidence()
        .vouches
        .iter()
        .map(|vouch| &vouch.person)
        .collect();
    assert_eq!(people.len(), 2);
    subscriber.assert_tidy();
}

#[test]
fn refuses_flipped_byte_in_every_file() {
    let mut chain = TestChain::new(now());
    chain.release_tarball("unstable", &tarball("1"));
    let old = chain.clone();
    chain.release_tarball("unstable", &tarball("2"));
    let fresh = |path: &&String| old.files.get(*path) != chain.files.get(*path);
    let fresh: Vec<&String> = chain.files.keys().filter(fresh).collect();
    assert_eq!(
        fresh.len(),
        4,
        "timestamp, snapshot, the channel's targets, tarball: {fresh:?}"
    );
    let site = Site::new(&old);
    for path in fresh {
        // A file that was kept from the attempt before would not be asked for again.
        let subscriber = Subscriber::new(&chain);
        site.serve(&old);
        subscriber.update(&site).unwrap();
        let length = chain.files[path].len();
        for position in [0, length / 3, length / 2, length - 2] {
            let mut bent = chain.clone();
            bent.files.get_mut(path).unwrap()[position] ^= 1;
            site.serve(&bent);
            assert_refused!(subscriber, site, UpdateError::Trust(_) | UpdateError::Digest { .. });
        }
        site.serve(&chain);
        assert_eq!(subscriber.update(&site).unwrap().outcome, Outcome::Installed);
    }
}

#[test]
fn refuses_flipped_byte_in_targets_of_a_first_update() {
    let mut chain = TestChain::new(now());
    chain.release_tarball("unstable", &tarball("1"));
    let honest = chain.clone();
    let targets = chain.files.get_mut("metadata/1.targets.json").unwrap();
    let middle = targets.len() / 2;
    targets[middle] ^= 1;
    let (site, subscriber) = (Site::new(&chain), Subscriber::new(&chain));
    let error = subscriber.update(&site).unwrap_err();
    assert!(
        matches!(error, UpdateError::Trust(TrustError::NotAsListed { .. })),
        "{error:?}"
    );
    assert_eq!(subscriber.state().current().unwrap(), None);
    site.serve(&honest);
    subscriber.update(&site).unwrap();
}

#[test]
fn refuses_older_channel_served_again() {
    let (mut chain, site, subscriber) = installed();
    let old = chain.clone();
    chain.release_tarball("unstable", &tarball("2"));
    site.serve(&chain);
    subscriber.update(&site).unwrap();
    site.serve(&old);
    assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Rollback { .. }));
}

#[test]
fn refuses_older_channel_even_when_the_download_of_the_newer_one_failed() {
    let (mut chain, site, subscriber) = installed();
    let old = chain.clone();
    chain.release_tarball("unstable", &tarball("2"));
    let mut broken = chain.clone();
    broken.files.retain(|path, _| !path.starts_with("targets/"));
    site.serve(&broken);
    assert_refused!(
        subscriber,
        site,
        UpdateError::Transport(TransportError {
            fault: Fault::NotFound,
            ..
        })
    );
    site.serve(&old);
    assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Rollback { .. }));
    site.serve(&chain);
    assert_eq!(subscriber.update(&site).unwrap().outcome, Outcome::Installed);
}

#[test]
fn refuses_expired_timestamp() {
    let (_chain, site, subscriber) = installed();
    let later = now().plus(Seconds::days(30));
    let error = subscriber.update_at(&[&site.transport()], later).unwrap_err();
    assert!(
        matches!(&error, UpdateError::Trust(TrustError::Expired { role, .. }) if role == "timestamp"),
        "{error:?}"
    );
}

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
fn refuses_another_file_under_the_name_of_the_tarball() {
    let (mut chain, site, subscriber) = installed();
    chain.release_tarball("unstable", &tarball("2"));
    let path = chain
        .files
        .keys()
        .rfind(|path| path.starts_with("targets/unstable/"))
        .unwrap()
        .clone();
    let sizes_differ = tarball(&"another, and longer ".repeat(500)).bytes;
    for (bytes, what) in [(sizes_differ, "longer"), (b"short".to_vec(), "shorter")] {
        let mut bent = chain.clone();
        for (name, file) in &mut bent.files {
            if name.starts_with("targets/unstable/") {
                file.clone_from(&bytes);
            }
        }
        site.serve(&bent);
        let before = subscriber.installed();
        let error = subscriber.update(&site).unwrap_err();
        match (what, &error) {
            (
                "longer",
                UpdateError::Transport(TransportError {
                    fault: Fault::TooLong { .. },
                    ..
                }),
            )
            | ("shorter", UpdateError::Length { .. }) => {}
            _ => panic!("{what} {path}: {error:?}"),
        }
        assert_eq!(subscriber.installed(), before);
        subscriber.assert_tidy();
    }
}

#[test]
fn refuses_signed_tarball_that_is_not_the_signed_tree() {
    let (mut chain, site, subscriber) = installed();
    let liar = ChannelTarball {
        nar: tarball("what was reviewed").nar,
        ..tarball("what is shipped")
    };
    chain.release_tarball("unstable", &liar);
    site.serve(&chain);
    assert_refused!(subscriber, site, UpdateError::Install(InstallError::OtherTree { .. }));
}

#[test]
fn refuses_signed_tarball_that_is_hostile() {
    let (mut chain, site, subscriber) = installed();
    let bytes = b"not xz at all".to_vec();
    chain.release_tarball("unstable", &ChannelTarball { bytes, ..tarball("2") });
    site.serve(&chain);
    assert_refused!(
        subscriber,
        site,
        UpdateError::Install(InstallError::Unpack(UnpackError::Archive(_)))
    );
}

#[test]
fn refuses_release_and_root_below_the_floors_of_the_owner() {
    let mut chain = TestChain::new(now());
    chain.release_tarball("unstable", &tarball("1"));
    let site = Site::new(&chain);
    let mut subscriber = Subscriber::new(&chain);
    subscriber.subscription.floor.release = 2;
    let error = subscriber.update(&site).unwrap_err();
    assert!(
        matches!(error, UpdateError::ReleaseBelowFloor { floor: 2, found: 1 }),
        "{error:?}"
    );
    subscriber.subscription.floor.root = 2;
    let error = subscriber.update(&site).unwrap_err();
    assert!(
        matches!(error, UpdateError::RootBelowFloor { floor: 2, found: 1 }),
        "{error:?}"
    );
    chain.rotate(|_| {});
    chain.release_tarball("unstable", &tarball("2"));
    site.serve(&chain);
    subscriber.update(&site).unwrap();
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
fn goes_to_the_next_mirror_when_one_lies_and_says_so() {
    let (mut chain, honest, subscriber) = installed();
    chain.release_tarball("unstable", &tarball("2"));
    honest.serve(&chain);
    let mut bent = chain.clone();
    for (path, bytes) in &mut bent.files {
        if path.starts_with("targets/") {
            bytes[10] ^= 1;
        }
    }
    let liar = Site::new(&bent);
    let update = subscriber
        .update_at(&[&liar.transport(), &honest.transport()], now())
        .unwrap();
    assert_eq!(update.mirror, honest.url());
    assert_eq!(update.failed.len(), 1);
    assert!(matches!(update.failed[0].error, UpdateError::Digest { .. }));
}

#[test]
fn says_what_every_mirror_did_when_none_does() {
    let (_chain, site, subscriber) = installed();
    let empty = tempfile::tempdir().unwrap();
    let empty = format!("file://{}", empty.path().display()).parse().unwrap();
    let empty = fetcher::FileTransport::new(empty).unwrap();
    let before = subscriber.installed();
    let error = subscriber.update_at(&[&empty, &empty], now()).unwrap_err();
    assert!(
        matches!(&error, UpdateError::EveryMirror { failed } if failed.len() == 2),
        "{error:?}"
    );
    assert_eq!(subscriber.installed(), before);
    subscriber.update(&site).unwrap();
}

#[test]
fn an_installed_release_stays_authentic_when_its_time_is_over() {
    let (_chain, _site, subscriber) = installed();
    let current = subscriber.state().current().unwrap().unwrap();
    let (chain, channel) = (subscriber.subscription.chain, &subscriber.subscription.channel);
    let later = now().plus(Seconds::days(3_000));
    let release = verify::release(&current, chain, channel, &[], later).unwrap();
    verify::tree(&current, &release).unwrap();
    fs::write(current.nixexprs().join("default.nix"), "evil").unwrap();
    let error = verify::tree(&current, &release).unwrap_err();
    assert!(matches!(error, verify::VerifyError::OtherTree { .. }), "{error:?}");
}

#[test]
fn switches_to_a_release_that_is_still_there_without_downloading() {
    let (mut chain, site, subscriber) = installed();
    let first = subscriber.state().current().unwrap().unwrap();
    chain.release_tarball("unstable", &tarball("2"));
    site.serve(&chain);
    subscriber.update(&site).unwrap();
    subscriber
        .locked()
        .make_current(&first, Action::Rollback, 1, now())
        .unwrap();
    let update = subscriber.update(&site).unwrap();
    assert_eq!(
        (update.outcome, update.generation.get(), update.requests),
        (Outcome::Switched, 2, 2)
    );

    // Unless somebody has touched it: then it is fetched again.
    subscriber
        .locked()
        .make_current(&first, Action::Rollback, 1, now())
        .unwrap();
    let second = subscriber.state().generations().unwrap().pop().unwrap();
    fs::write(second.nixexprs().join("default.nix"), "evil").unwrap();
    let update = subscriber.update(&site).unwrap();
    assert_eq!((update.outcome, update.generation.get()), (Outcome::Installed, 3));
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
fn a_clock_that_was_set_back_is_noticed_by_what_was_signed() {
    let (_chain, _site, subscriber) = installed();
    let floors = subscriber.state().floors(subscriber.subscription.chain).unwrap();
    assert_eq!(
        (
            floors.time,
            floors.root,
            floors.release(&subscriber.subscription.channel)
        ),
        (now(), 1, 1)
    );
    assert!(floors.time > Time::from_unix(0));
}

#[test]
fn a_deleted_state_directory_is_said_to_be_absent() {
    let directory = tempfile::tempdir().unwrap();
    let error = State::open(&directory.path().join("gone")).unwrap_err();
    assert!(matches!(error, StateError::Absent { .. }), "{error:?}");
}

#[test]
fn refuses_endless_chain_of_roots_and_keeps_how_far_it_came() {
    let (mut chain, site, subscriber) = installed();
    for _ in 0..5 {
        chain.rotate(|_| {});
    }
    site.serve(&chain);
    let update = |roots| {
        let bounds = Bounds {
            roots,
            ..Bounds::default()
        };
        let mirror = site.transport();
        fetcher::update(
            &subscriber.subscription,
            &subscriber.locked(),
            &[&mirror],
            bounds,
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
