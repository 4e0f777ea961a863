//! The one request of an update that finds nothing new, as an attack: whoever can have a machine ask it wrongly, answer it
//! wrongly, or believe another time, keeps the machine where it is.

use std::{fs, path::Path, process::Command};

use attestation::{Seconds, Sha256Digest, Time};
use ed25519_dalek::SigningKey;
use fetcher::{Outcome, UpdateError};
use policy::TrustError;
use testkit::TestChain;

use crate::common::{Site, Subscriber, assert_refused, installed, now, tarball};

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

/// A machine on release 2 of the site's `new` state, whose state directory of release 1 was kept beside it.
struct Restorable {
    old: TestChain,
    new: TestChain,
    site: Site,
    subscriber: Subscriber,
    backup: tempfile::TempDir,
}

impl Restorable {
    fn new() -> Self {
        let (old, site, subscriber) = installed();
        let backup = tempfile::tempdir().unwrap();
        copy(subscriber.directory.path(), &backup.path().join("state"));
        let mut new = old.clone();
        new.release_tarball("unstable", &tarball("2"));
        site.serve(&new);
        subscriber.update(&site).unwrap();
        Self {
            old,
            new,
            site,
            subscriber,
            backup,
        }
    }

    /// Puts back what there was of these parts of the state.
    fn restore(&self, parts: &[&str]) {
        for part in parts {
            let (from, to) = (self.backup.path().join("state").join(part), self.part(part));
            let _ = fs::remove_file(&to);
            copy(&from, &to);
        }
    }

    fn part(&self, part: &str) -> std::path::PathBuf {
        self.subscriber.directory.path().join(part)
    }

    fn trusted(&self) -> String {
        format!("trusted/{}", self.old.id())
    }
}

const EVERYTHING: [&str; 4] = ["trusted", "generations", "current", "history.jsonl"];

#[test]
fn a_restored_state_and_a_replayed_timestamp_keep_a_machine_back_until_that_expires_and_no_longer() {
    let world = Restorable::new();
    world.restore(&EVERYTHING);
    world.site.serve(&world.old);
    // Nothing on the machine remembers release 2; what is left is how long release 1 is said to be the newest.
    let update = world.subscriber.update(&world.site).unwrap();
    assert_eq!((update.outcome, update.requests), (Outcome::Unchanged, 1));
    let until = update.release.until();
    assert!(until <= now().plus(world.old.policy().freshness.timestamp));
    let after = Time::from_unix(until.unix() + 1);
    let error = world.subscriber.update_later(&world.site, after).unwrap_err();
    assert!(
        matches!(error, UpdateError::Trust(TrustError::Expired { .. })),
        "{error:?}"
    );
    // The honest twin: the same state, a mirror that shows what there is.
    world.site.serve(&world.new);
    let update = world.subscriber.update(&world.site).unwrap();
    assert_eq!(
        (update.outcome, update.release.verified().get().sequence),
        (Outcome::Installed, 2)
    );
}

#[test]
fn a_restored_state_does_not_pass_the_floor_that_the_owner_said() {
    let mut world = Restorable::new();
    world.restore(&EVERYTHING);
    world.site.serve(&world.old);
    world.subscriber.subscription.floor.release = 2;
    assert_refused!(
        world.subscriber,
        world.site,
        UpdateError::ReleaseBelowFloor { floor: 2, found: 1 }
    );
    world.site.serve(&world.new);
    world.subscriber.update(&world.site).unwrap();
}

#[test]
fn signed_files_that_were_put_back_alone_are_noticed_by_the_floors() {
    let world = Restorable::new();
    let parts = ["timestamp.json", "snapshot.json", "targets.json", "channels"];
    let parts: Vec<_> = parts.iter().map(|part| format!("{}/{part}", world.trusted())).collect();
    world.restore(&parts.iter().map(String::as_str).collect::<Vec<_>>());
    world.site.serve(&world.old);
    assert_refused!(
        world.subscriber,
        world.site,
        UpdateError::ReleaseBelowFloor { floor: 2, found: 1 }
    );
    world.site.serve(&world.new);
    world.subscriber.update(&world.site).unwrap();
}

#[test]
fn generations_and_floors_that_were_put_back_alone_are_noticed_by_the_signed_files() {
    let world = Restorable::new();
    world.restore(&["generations", "current", &format!("{}/floors.json", world.trusted())]);
    world.site.serve(&world.old);
    assert_refused!(
        world.subscriber,
        world.site,
        UpdateError::Trust(TrustError::Rollback { .. })
    );
    // With a mirror that says nothing new, the shortcut is not taken for "installed": what is current is not the newest.
    world.site.serve(&world.new);
    let update = world.subscriber.update(&world.site).unwrap();
    assert_eq!(
        (update.outcome, update.release.verified().get().sequence),
        (Outcome::Installed, 2)
    );
}

#[test]
fn a_mirror_that_answers_with_the_timestamp_of_before_is_refused() {
    let world = Restorable::new();
    world.site.serve(&world.old);
    assert_refused!(
        world.subscriber,
        world.site,
        UpdateError::Trust(TrustError::Rollback { .. })
    );
    world.site.serve(&world.new);
    let update = world.subscriber.update(&world.site).unwrap();
    assert_eq!((update.outcome, update.requests), (Outcome::Unchanged, 1));
}

#[test]
fn the_same_timestamp_with_one_more_byte_is_not_the_same() {
    let world = Restorable::new();
    let mut chain = world.new.clone();
    let timestamp = chain.files.get_mut("metadata/timestamp.json").unwrap();
    timestamp.push(b'\n');
    world.site.serve(&chain);
    assert_refused!(
        world.subscriber,
        world.site,
        UpdateError::Trust(TrustError::Format { .. })
    );
}

#[test]
fn a_timestamp_by_an_online_key_that_root_replaced_is_no_shortcut() {
    let (old, site, subscriber) = installed();
    let mut new = old.clone();
    new.online = SigningKey::from_bytes(&[9; 32]);
    let public = data_encoding::HEXLOWER.encode(new.online.verifying_key().as_bytes());
    new.rotate(|policy| policy.online_key = public);
    // The mirror breaks off after the new root: what is kept of the rest is signed by the old key.
    let mut cut = new.clone();
    cut.files.insert("metadata/timestamp.json".to_owned(), b"{".to_vec());
    site.serve(&cut);
    assert!(subscriber.update(&site).is_err());
    let mut replayed = old.clone();
    let root = new.files["metadata/2.root.json"].clone();
    replayed.files.insert("metadata/2.root.json".to_owned(), root);
    for chain in [&replayed, &old] {
        site.serve(chain);
        assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Threshold(_)));
    }
    // What is installed stays usable: no mirror takes that away by breaking off.
    let current = subscriber.state().current().unwrap().unwrap();
    subscriber.usable(&current).unwrap();
    site.serve(&new);
    subscriber.update(&site).unwrap();
}

#[test]
fn a_clock_set_back_makes_nothing_current_that_was_over_when_something_newer_was_signed() {
    let (old, site, subscriber) = installed();
    let day = Seconds::days(1);
    let mut new = old.clone();
    new.now = now().plus(Seconds(day.0 * 30));
    new.release_tarball("unstable", &tarball("2"));
    site.serve(&new);
    subscriber.update_later(&site, new.now).unwrap();
    // The command asks with the newest time that was signed, whatever the clock says; the old state has expired by it.
    let floors = subscriber.state().floors(new.id()).unwrap();
    assert_eq!(floors.time, new.now);
    let newcomer = Subscriber::new(&old);
    site.serve(&old);
    let refused = newcomer.update_later(&site, floors.time).unwrap_err();
    assert!(
        matches!(refused, UpdateError::Trust(TrustError::Expired { .. })),
        "{refused:?}"
    );
    newcomer.update_later(&site, now()).unwrap();
    // And what it has met binds it whatever time it believes.
    assert_refused!(
        subscriber,
        site,
        UpdateError::Trust(TrustError::Rollback { .. } | TrustError::Expired { .. })
    );
}

#[test]
fn a_list_of_violations_that_is_missing_or_damaged_is_not_taken_for_none() {
    let (mut chain, site, subscriber) = installed();
    let first = subscriber.state().current().unwrap().unwrap();
    let said = crate::violation::violation(&chain);
    chain.release_tarball("unstable", &tarball("2"));
    chain.place_violations([said]);
    chain.publish();
    site.serve(&chain);
    subscriber.update(&site).unwrap();
    let second = subscriber.state().current().unwrap().unwrap();
    let refused = |generation| subscriber.usable(generation).map(|_| ()).unwrap_err();
    assert!(matches!(
        refused(&first),
        install::verify::VerifyError::Violated { sequence: 1, .. }
    ));
    subscriber.usable(&second).unwrap();
    let list = subscriber
        .directory
        .path()
        .join(format!("trusted/{}/violations.json", chain.id()));
    let bytes = fs::read(&list).unwrap();
    for damage in [None, Some(&b"[]"[..]), Some(&bytes[..bytes.len() / 2]), Some(b"")] {
        match damage {
            None => fs::remove_file(&list).unwrap(),
            Some(damage) => fs::write(&list, damage).unwrap(),
        }
        for generation in [&first, &second] {
            use install::verify::VerifyError::{Incomplete, Trust};
            let error = refused(generation);
            assert!(matches!(error, Incomplete { .. } | Trust(_)), "{error:?}");
        }
    }
    // The next update brings it back.
    subscriber.update(&site).unwrap();
    assert_eq!(fs::read(&list).unwrap(), bytes);
    subscriber.usable(&second).unwrap();
    assert!(matches!(refused(&first), install::verify::VerifyError::Violated { .. }));
}

#[test]
fn a_mirror_that_withholds_the_list_of_violations_has_shown_that_there_is_one() {
    let (mut chain, site, subscriber) = installed();
    let current = subscriber.state().current().unwrap().unwrap();
    let elsewhere = Sha256Digest::of("a tree that was never here");
    let said = crate::violation::violation_of(&chain, elsewhere);
    chain.place_violations([said]);
    chain.publish();
    let mut withheld = chain.clone();
    withheld.files.remove("metadata/1.violations.json").unwrap();
    site.serve(&withheld);
    let before = subscriber.installed();
    let error = subscriber.update(&site).unwrap_err();
    assert!(matches!(error, UpdateError::Transport(_)), "{error:?}");
    assert_eq!(subscriber.installed(), before);
    // It may be the one word that matters: nothing is vouched for until it is known, by whatever mirror.
    assert!(subscriber.usable(&current).is_err());
    let honest = Site::new(&chain);
    let mirrors = [site.transport(), honest.transport()];
    subscriber.update_at(&[&mirrors[0], &mirrors[1]], now()).unwrap();
    subscriber.usable(&current).unwrap();
}
