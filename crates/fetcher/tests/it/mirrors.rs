//! Several mirrors, held against each other.

use attestation::Seconds;
use fetcher::{Outcome, UpdateError, View};
use policy::TrustError;

use crate::common::{Site, Subscriber, installed, now, tarball};

fn views(update: &fetcher::Update) -> Vec<String> {
    let name = |view: &View| match view {
        View::Used => "used".to_owned(),
        View::Agrees => "agrees".to_owned(),
        View::Behind { found, newest } => format!("behind {found} {newest}"),
        View::Contradicts { version } => format!("contradicts {version}"),
        View::Failed(error) => format!("failed {error}"),
    };
    update.mirrors.iter().map(|mirror| name(&mirror.view)).collect()
}

#[test]
fn mirrors_that_agree_cost_one_request_each() {
    let (chain, site, subscriber) = installed();
    let (second, third) = (Site::new(&chain), Site::new(&chain));
    let mirrors = [&site, &second, &third].map(Site::transport);
    let mirrors = mirrors.each_ref().map(|mirror| mirror as _);
    let update = subscriber.update_at(&mirrors, now()).unwrap();
    assert_eq!((update.outcome, update.requests), (Outcome::Unchanged, 1));
    assert_eq!(views(&update), ["used", "agrees", "agrees"]);
}

#[test]
fn a_mirror_that_is_behind_is_named_whichever_comes_first() {
    let (mut chain, site, subscriber) = installed();
    let behind = Site::new(&chain);
    chain.release_tarball("unstable", &tarball("2"));
    site.serve(&chain);
    let update = subscriber
        .update_at(&[&behind.transport(), &site.transport()], now())
        .unwrap();
    // The first one shows what was seen before; the second what is newer: that is installed.
    assert_eq!(update.outcome, Outcome::Installed);
    assert_eq!(update.mirror, site.url());
    assert_eq!(views(&update), ["behind 2 3", "used"]);
    assert_eq!(subscriber.installed().1, tarball("2").nar);
    let again = subscriber
        .update_at(&[&site.transport(), &behind.transport()], now())
        .unwrap();
    assert_eq!(views(&again), ["used", "behind 2 3"]);
    // Behind what this machine knows by now.
    let again = subscriber
        .update_at(&[&behind.transport(), &site.transport()], now())
        .unwrap();
    assert_eq!(views(&again), ["behind 2 3", "used"]);
}

#[test]
fn a_first_mirror_that_is_frozen_cannot_keep_the_newest_root_from_a_machine() {
    let (mut chain, site, subscriber) = installed();
    let frozen = Site::new(&chain);
    chain.rotate(|_| {});
    chain.release_tarball("unstable", &tarball("2"));
    site.serve(&chain);
    let update = subscriber
        .update_at(&[&frozen.transport(), &site.transport()], now())
        .unwrap();
    assert_eq!(update.release.verified().evidence().root_version, 2);
    assert_eq!(subscriber.installed().1, tarball("2").nar);
}

#[test]
fn two_signed_contents_of_one_version_are_said_to_contradict() {
    let (mut chain, site, subscriber) = installed();
    let mut other = chain.clone();
    chain.release_tarball("unstable", &tarball("2"));
    site.serve(&chain);
    other.publish_with(
        |_| {},
        |timestamp| timestamp.expires = timestamp.expires.plus(Seconds(0)),
    );
    other.publish_with(
        |snapshot| snapshot.expires = snapshot.expires.minus(Seconds(60)),
        |_| {},
    );
    // The same version as the honest one, signed by the same online key, over another snapshot.
    let timestamp = other.draft_timestamp();
    let liar = Site::new(&other);
    let version = |chain: &testkit::TestChain| {
        let text = String::from_utf8(chain.files["metadata/timestamp.json"].clone()).unwrap();
        let tail = text.rsplit_once("\"version\":").unwrap().1.to_owned();
        tail.chars().take_while(char::is_ascii_digit).collect::<String>()
    };
    assert!(timestamp.version > 3);
    if version(&chain) != version(&other) {
        while version(&chain).parse::<u64>().unwrap() < version(&other).parse::<u64>().unwrap() {
            chain.publish();
        }
        site.serve(&chain);
    }
    assert_eq!(version(&chain), version(&other));
    let update = subscriber
        .update_at(&[&site.transport(), &liar.transport()], now())
        .unwrap();
    assert_eq!(
        views(&update),
        ["used".to_owned(), format!("contradicts {}", version(&chain))]
    );
}

#[test]
fn a_mirror_that_lies_or_is_silent_does_not_keep_the_others_from_being_used() {
    let (chain, site, subscriber) = installed();
    let mut bent = chain.clone();
    bent.files.get_mut("metadata/timestamp.json").unwrap()[200] ^= 1;
    let (liar, mut empty) = (Site::new(&bent), chain.clone());
    empty.files.clear();
    let silent = Site::new(&empty);
    let update = subscriber
        .update_at(&[&site.transport(), &liar.transport(), &silent.transport()], now())
        .unwrap();
    assert_eq!(update.outcome, Outcome::Unchanged);
    assert!(
        matches!(
            &update.mirrors[1].view,
            View::Failed(UpdateError::Trust(TrustError::Format { .. } | TrustError::Threshold(_)))
        ),
        "{:?}",
        update.mirrors
    );
    assert!(matches!(
        &update.mirrors[2].view,
        View::Failed(UpdateError::Transport(_))
    ));
}

#[test]
fn a_mirror_that_announces_what_it_does_not_have_changes_nothing() {
    let (mut chain, site, subscriber) = installed();
    chain.release_tarball("unstable", &tarball("2"));
    chain.files.retain(|path, _| !path.starts_with("targets/"));
    let boaster = Site::new(&chain);
    let before = subscriber.installed();
    let update = subscriber
        .update_at(&[&site.transport(), &boaster.transport()], now())
        .unwrap();
    assert_eq!(update.outcome, Outcome::Unchanged);
    assert!(matches!(
        &update.mirrors[1].view,
        View::Failed(UpdateError::Transport(_))
    ));
    assert_eq!(subscriber.installed(), before);
    // What it showed was signed: nobody can show less after that, and the release comes when somebody has it.
    let error = subscriber.update(&site).unwrap_err();
    assert!(
        matches!(error, UpdateError::Trust(TrustError::Rollback { .. })),
        "{error:?}"
    );
    let _ = Subscriber::new(&chain);
}
