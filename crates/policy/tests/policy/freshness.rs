//! Authentic is not current: two questions, two answers.

use attestation::{Seconds, Time};
use policy::{TrustError, trusted_set::Judge};
use testkit::TestChain;

use crate::{NOW, days};

fn released() -> TestChain {
    let mut chain = TestChain::new(NOW);
    chain.release("unstable", &[]);
    chain
}

fn expired_role(chain: &TestChain, now: Time) -> String {
    let outcome = chain
        .client(Judge::Current, now)
        .and_then(|mut set| chain.update(&mut set, "unstable"));
    match outcome {
        Err(TrustError::Expired { role, .. }) => role,
        other => panic!("{other:?}"),
    }
}

/// Each file alone is out of date, all others are good for years.
#[test]
fn refuses_each_file_when_it_alone_has_expired() {
    let one = days(1);
    let long = Seconds::days(300);
    for expiring in ["root", "timestamp", "snapshot", "targets", "unstable"] {
        let mut chain = TestChain::with_policy(testkit::chain::people(NOW), NOW, |policy| {
            policy.freshness.root = if expiring == "root" { one } else { long };
            policy.freshness.timestamp = if expiring == "timestamp" { one } else { long };
            policy.freshness.snapshot = if expiring == "snapshot" { one } else { long };
            policy.freshness.targets = if expiring == "targets" { one } else { long };
            let channel = policy.channels.get_mut(&"unstable".parse().unwrap()).unwrap();
            channel.expires = if expiring == "unstable" { one } else { long };
        });
        chain.release("unstable", &[]);
        let last_second = NOW.plus(Seconds(one.0 - 1));
        let mut set = chain.client(Judge::Current, last_second).unwrap();
        chain.update(&mut set, "unstable").expect("a second before");
        let current = set.current_release(&"unstable".parse().unwrap()).unwrap();
        assert_eq!(current.until(), NOW.plus(one), "{expiring} bounds it");
        assert_eq!(expired_role(&chain, NOW.plus(one)), expiring);
    }
}

#[test]
fn an_old_release_stays_authentic_and_is_never_current() {
    let chain = released();
    let much_later = NOW.plus(Seconds::days(3000));
    let mut set = chain.client(Judge::Authentic, much_later).unwrap();
    chain
        .update(&mut set, "unstable")
        .expect("authentic after its keys and itself have expired");
    let channel = "unstable".parse().unwrap();
    assert_eq!(set.release(&channel).unwrap().get().sequence, 1);
    let error = set.current_release(&channel).unwrap_err();
    assert!(matches!(error, TrustError::FreshnessNotJudged), "{error:?}");
    assert_eq!(expired_role(&chain, much_later), "root");
}

/// What was known before sets floors and may have expired; it must not become current by way of them.
#[test]
fn refuses_expired_floors_as_a_current_release() {
    let chain = released();
    let channel = "unstable".parse().unwrap();
    let load = |now| {
        let mut set = chain.client(Judge::Current, now).unwrap();
        set.load_timestamp(&chain.files["metadata/timestamp.json"]).unwrap();
        let version = set.snapshot_listing().unwrap().version;
        set.load_snapshot(&chain.files[&format!("metadata/{version}.snapshot.json")])
            .unwrap();
        set.update_targets(&chain.files["metadata/1.targets.json"]).unwrap();
        set.update_delegated("unstable", "targets", &chain.files["metadata/1.unstable.json"])
            .unwrap();
        set.current_release(&channel).map(|_| ())
    };
    load(NOW).expect("the honest twin");
    // The timestamp is good for two days, all else for longer.
    let error = load(NOW.plus(days(3))).unwrap_err();
    assert!(
        matches!(&error, TrustError::Expired { role, .. } if role == "timestamp"),
        "{error:?}"
    );
}

/// A stolen online key could otherwise freeze a channel for as long as it likes.
#[test]
fn refuses_a_timestamp_or_snapshot_that_expires_in_2099() {
    let far: Time = "2099-01-01T00:00:00Z".parse().unwrap();
    for role in ["timestamp", "snapshot"] {
        let mut chain = released();
        chain.publish_with(
            |snapshot| {
                if role == "snapshot" {
                    snapshot.expires = far;
                }
            },
            |timestamp| {
                if role == "timestamp" {
                    timestamp.expires = far;
                }
            },
        );
        let error = chain.visit("unstable").map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, TrustError::Rule { role: found, .. } if found == role),
            "{error:?}"
        );
    }
    let mut chain = released();
    chain.publish_with(|_| {}, |timestamp| timestamp.expires = timestamp.expires.plus(days(1)));
    chain
        .visit("unstable")
        .map(|_| ())
        .expect("a clock that is a little behind");
}
