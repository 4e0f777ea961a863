//! Timestamp, snapshot, targets and releases: rollback, mix-and-match, one file as another, free fields.

use attestation::{
    Time,
    tuf::{MetaFile, Signed, Targets},
};
use policy::{TrustError, TrustedSet, trusted_set::Judge};
use testkit::TestChain;

use crate::{NOW, days};

pub(crate) fn refusal(outcome: Result<TrustedSet, TrustError>) -> TrustError {
    outcome.map(|_| ()).expect_err("accepted")
}

pub(crate) fn released() -> TestChain {
    let mut chain = TestChain::new(NOW);
    chain.release("unstable", &[("nixexprs.tar.xz", b"first")]);
    chain.release("stable", &[("nixexprs.tar.xz", b"stable")]);
    chain.visit("unstable").map(|_| ()).expect("the honest twin");
    chain
}

/// A client that saw `before` and then meets `after`.
fn meet(before: &TestChain, after: &TestChain) -> Result<TrustedSet, TrustError> {
    let mut set = after.client(Judge::Current, after.now)?;
    let timestamp = &before.files["metadata/timestamp.json"];
    set.load_timestamp(timestamp)?;
    let version = set.snapshot_listing()?.version;
    set.load_snapshot(&before.files[&format!("metadata/{version}.snapshot.json")])?;
    after.update(&mut set, "unstable")?;
    Ok(set)
}

#[test]
fn refuses_an_older_timestamp_served_again() {
    let old = released();
    let mut new = old.clone();
    new.release("unstable", &[]);
    let error = refusal(meet(&new, &old));
    assert!(
        matches!(&error, TrustError::Rollback { role, .. } if role == "timestamp"),
        "{error:?}"
    );
    meet(&old, &new).map(|_| ()).expect("the honest twin");
}

#[test]
fn refuses_an_older_snapshot_under_a_newer_timestamp() {
    let old = released();
    let mut new = old.clone();
    new.release("unstable", &[]);
    let mut hostile = new.clone();
    let old_version = old.draft_timestamp().meta["snapshot.json"].version;
    let bytes = old.files[&format!("metadata/{old_version}.snapshot.json")].clone();
    let mut timestamp = hostile.draft_timestamp();
    timestamp
        .meta
        .insert("snapshot.json".to_owned(), MetaFile::of(old_version, &bytes));
    hostile.place_timestamp(&hostile.sign_online(timestamp));
    let error = refusal(meet(&new, &hostile));
    assert!(
        matches!(&error, TrustError::Rollback { role, .. } if role == "snapshot"),
        "{error:?}"
    );
}

#[test]
fn refuses_older_targets_under_a_newer_snapshot() {
    let old = released();
    let mut new = old.clone();
    new.release("unstable", &[]);
    for role in ["unstable", "targets"] {
        let mut before = new.clone();
        if role == "targets" {
            before.rotate(|_| {});
        }
        let mut hostile = before.clone();
        let bytes = old.files[&format!("metadata/1.{role}.json")].clone();
        hostile.place_target_bytes(role, 1, bytes);
        hostile.publish();
        let error = refusal(meet(&before, &hostile));
        let name = format!("{role}.json");
        assert!(
            matches!(&error, TrustError::Rollback { role, found: 1, seen: 2 } if *role == name),
            "{error:?}"
        );
    }
}

#[test]
fn refuses_a_snapshot_that_drops_a_channel() {
    let before = released();
    let mut hostile = before.clone();
    hostile.publish_with(
        |snapshot| {
            snapshot.meta.remove("stable.json");
        },
        |_| {},
    );
    let error = refusal(meet(&before, &hostile));
    assert!(
        matches!(&error, TrustError::NotListed { name, .. } if name == "stable.json"),
        "{error:?}"
    );
}

#[test]
fn refuses_two_payloads_under_one_version() {
    let mut before = released();
    before.publish();
    // Two timestamps of one version.
    let mut hostile = before.clone();
    let mut timestamp = hostile.draft_timestamp();
    timestamp.version -= 1;
    timestamp.expires = timestamp.expires.plus(days(1));
    hostile.place_timestamp(&hostile.sign_online(timestamp));
    let error = refusal(meet(&before, &hostile));
    assert!(
        matches!(&error, TrustError::TwoPayloads { role, .. } if role == "timestamp"),
        "{error:?}"
    );
    // Two snapshots of one version.
    let mut hostile = before.clone();
    let mut snapshot = hostile.draft_snapshot();
    snapshot.version -= 1;
    snapshot.expires = Time::from_unix(snapshot.expires.unix() - 1);
    hostile.place_snapshot(&hostile.sign_online(snapshot));
    hostile.place_timestamp(&hostile.sign_online(hostile.draft_timestamp()));
    let error = refusal(meet(&before, &hostile));
    assert!(
        matches!(&error, TrustError::TwoPayloads { role, .. } if role == "snapshot"),
        "{error:?}"
    );
    // Two releases of one sequence, both signed by two who may.
    let mut hostile = before.clone();
    let mut targets = Signed::<Targets>::from_exact(&before.files["metadata/1.unstable.json"])
        .unwrap()
        .claims;
    targets.targets.clear();
    let signed = hostile.signed_targets(targets, &["bob", "carol"]);
    hostile.place_targets("unstable", &signed);
    hostile.publish();
    let error = refusal(meet(&before, &hostile));
    assert!(
        matches!(&error, TrustError::TwoPayloads { role, version: 1 } if role == "unstable.json"),
        "{error:?}"
    );
    let mut twin = before.clone();
    twin.publish();
    meet(&before, &twin).map(|_| ()).expect("the honest twin");
}

#[test]
fn refuses_mix_and_match() {
    let old = released();
    let mut new = old.clone();
    new.release("unstable", &[]);
    // The new snapshot with the old release, under its own name and under the new one's.
    let mut set = new.client(Judge::Current, NOW).unwrap();
    set.update_timestamp(&new.files["metadata/timestamp.json"]).unwrap();
    let version = set.snapshot_listing().unwrap().version;
    let error = set.update_snapshot(&old.files[&format!("metadata/{}.snapshot.json", version - 1)]);
    assert!(matches!(error, Err(TrustError::NotAsListed { .. })), "{error:?}");
    set.update_snapshot(&new.files[&format!("metadata/{version}.snapshot.json")])
        .unwrap();
    set.update_targets(&new.files["metadata/1.targets.json"]).unwrap();
    let error = set.update_delegated("unstable", "targets", &new.files["metadata/1.unstable.json"]);
    assert!(matches!(error, Err(TrustError::NotAsListed { .. })), "{error:?}");
    set.update_delegated("unstable", "targets", &new.files["metadata/2.unstable.json"])
        .expect("the honest twin");
}

/// A floor need not be the listed snapshot; but nothing is found by way of one that is not.
#[test]
fn refuses_targets_by_way_of_a_snapshot_that_is_not_the_listed_one() {
    let chain = released();
    let mut other = chain.clone();
    let mut snapshot = other.draft_snapshot();
    snapshot.version -= 1;
    snapshot.expires = snapshot.expires.minus(attestation::Seconds(1));
    let version = snapshot.version;
    other.place_snapshot(&other.sign_online(snapshot));
    let path = format!("metadata/{version}.snapshot.json");
    for (files, honest) in [(&chain, true), (&other, false)] {
        let mut set = chain.client(Judge::Current, NOW).unwrap();
        set.update_timestamp(&chain.files["metadata/timestamp.json"]).unwrap();
        set.load_snapshot(&files.files[&path])
            .expect("it is signed, and as new as the listed one");
        let outcome = set.update_targets(&chain.files["metadata/1.targets.json"]);
        if honest {
            outcome.expect("the honest twin");
        } else {
            assert!(matches!(outcome, Err(TrustError::NotAsListed { .. })), "{outcome:?}");
        }
    }
}

#[test]
fn recovers_from_a_fast_forward_by_replacing_the_online_key() {
    let mut chain = released();
    let mut hostile = chain.clone();
    let last = attestation::canonical::MAX_INTEGER;
    hostile.publish_with(|snapshot| snapshot.version = last, |timestamp| timestamp.version = last);
    meet(&chain, &hostile).map(|_| ()).expect("versions may jump");
    chain.publish();
    let error = refusal(meet(&hostile, &chain));
    assert!(matches!(error, TrustError::Rollback { .. }), "{error:?}");

    let key = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    chain.online = key.clone();
    chain.rotate(|policy| policy.online_key = data_encoding::HEXLOWER.encode(key.verifying_key().as_bytes()));
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    let error = set
        .load_timestamp(&hostile.files["metadata/timestamp.json"])
        .unwrap_err();
    assert!(
        matches!(error, TrustError::Threshold(_)),
        "the old key's floors bind nobody: {error:?}"
    );
    chain.update(&mut set, "unstable").expect("the recovery");
}

#[test]
fn refuses_a_snapshot_entry_without_length_or_digest() {
    for flaw in ["length", "digest", "foreign digest"] {
        let mut chain = released();
        chain.publish_with(
            |snapshot| {
                let entry = snapshot.meta.get_mut("unstable.json").unwrap();
                match flaw {
                    "length" => entry.length = None,
                    "digest" => entry.hashes = None,
                    _ => entry.hashes = Some([("md5".to_owned(), "00".repeat(16))].into()),
                }
            },
            |_| {},
        );
        let error = refusal(chain.visit("unstable"));
        assert!(
            matches!(&error, TrustError::Rule { role, .. } if role == "snapshot"),
            "{flaw}: {error:?}"
        );
    }
    let mut chain = released();
    chain.publish_with(
        |snapshot| {
            let entry = snapshot.meta["unstable.json"].clone();
            snapshot.meta.insert("another.json".to_owned(), entry);
        },
        |_| {},
    );
    let error = refusal(chain.visit("unstable"));
    assert!(
        matches!(error, TrustError::Rule { .. }),
        "a channel that the policy has not: {error:?}"
    );
}

#[test]
fn refuses_a_channel_that_the_policy_no_longer_has() {
    let mut chain = released();
    chain.rotate(|policy| {
        policy.channels.remove(&"stable".parse().unwrap());
    });
    let error = refusal(chain.visit("unstable"));
    assert!(
        matches!(&error, TrustError::Rule { role, .. } if role == "snapshot"),
        "{error:?}"
    );
}

/// A release that was verified under one snapshot is not current under the next.
#[test]
fn forgets_targets_when_the_snapshot_changes() {
    let mut chain = released();
    let channel = "unstable".parse().unwrap();
    let mut set = chain.visit("unstable").unwrap();
    set.current_release(&channel).expect("the honest twin");
    chain.release("unstable", &[]);
    set.update_timestamp(&chain.files["metadata/timestamp.json"]).unwrap();
    assert!(set.current_release(&channel).is_err(), "a newer snapshot is listed");
    let version = set.snapshot_listing().unwrap().version;
    set.update_snapshot(&chain.files[&format!("metadata/{version}.snapshot.json")])
        .unwrap();
    assert!(matches!(set.current_release(&channel), Err(TrustError::Order(_))));
    chain.update(&mut set, "unstable").unwrap();
    assert_eq!(set.current_release(&channel).unwrap().verified().get().sequence, 2);
}

#[test]
fn refuses_a_step_out_of_order() {
    let chain = released();
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    let order = |outcome: Result<(), TrustError>| assert!(matches!(outcome, Err(TrustError::Order(_))), "{outcome:?}");
    order(set.update_snapshot(&chain.files["metadata/2.snapshot.json"]));
    order(set.load_snapshot(&chain.files["metadata/2.snapshot.json"]));
    order(set.update_targets(&chain.files["metadata/1.targets.json"]));
    order(set.update_delegated("unstable", "targets", &chain.files["metadata/1.unstable.json"]));
    order(set.release(&"unstable".parse().unwrap()).map(|_| ()));
    set.update_timestamp(&chain.files["metadata/timestamp.json"]).unwrap();
    order(set.update_targets(&chain.files["metadata/1.targets.json"]));
    let version = set.snapshot_listing().unwrap().version;
    set.update_snapshot(&chain.files[&format!("metadata/{version}.snapshot.json")])
        .unwrap();
    order(set.update_delegated("unstable", "targets", &chain.files["metadata/1.unstable.json"]));
}
