//! What mirrors and networks may do to a subscriber, each attack beside its honest twin.

use std::fs;

use crate::common::{Site, Subscriber, assert_refused, installed, now, tarball};
use attestation::{Seconds, Time};
use fetcher::{Fault, Outcome, TransportError, UpdateError, View};
use install::{Action, InstallError, State, StateError, unpack::UnpackError, verify};
use policy::TrustError;
use testkit::{ChannelTarball, TestChain};

#[test]
fn installs_a_release_and_then_asks_one_small_request() {
    let (mut chain, site, subscriber) = installed();
    let again = subscriber.update(&site).unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);
    assert_eq!(again.requests, 1, "the timestamp");
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
    assert_eq!(update.mirrors.len(), 2);
    assert!(matches!(
        &update.mirrors[0].view,
        View::Failed(UpdateError::Digest { .. })
    ));
    assert!(matches!(&update.mirrors[1].view, View::Used));
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
        (Outcome::Switched, 2, 1)
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
