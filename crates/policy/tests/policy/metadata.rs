//! Timestamp, snapshot, targets and releases: rollback, mix-and-match, one file as another, free fields.

use attestation::{
    Sha256Digest, Time,
    tuf::{MetaFile, Signed, Targets},
};
use policy::{TrustError, TrustedSet, trusted_set::Judge};
use signer::Document;
use testkit::TestChain;

use crate::{NOW, days, refused};

type Edit = fn(&mut Targets);
type BoxedEdit = Box<dyn Fn(&mut Targets)>;

fn refusal(outcome: Result<TrustedSet, TrustError>) -> TrustError {
    outcome.map(|_| ()).expect_err("accepted")
}

fn released() -> TestChain {
    let mut chain = TestChain::new(NOW);
    chain.release("unstable", &[("nixexprs.tar.xz", b"first")]);
    chain.release("stable", &[("nixexprs.tar.xz", b"stable")]);
    chain.visit("unstable").map(|_| ()).expect("the honest twin");
    chain
}

/// What a client makes of a release with claims that `edit` has changed, signed by two who may.
fn release_with(edit: impl FnOnce(&mut Targets)) -> Result<TrustedSet, TrustError> {
    let mut chain = released();
    chain.release_with("unstable", &[("nixexprs.tar.xz", b"second")], &["alice", "bob"], edit);
    chain.visit("unstable")
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
fn refuses_one_channels_targets_as_anothers_and_as_top_level_targets() {
    let chain = released();
    for role in ["stable", "targets"] {
        let mut hostile = chain.clone();
        hostile.place_target_bytes(role, 1, chain.files["metadata/1.unstable.json"].clone());
        hostile.publish();
        let error = refusal(hostile.visit(role));
        assert!(
            matches!(&error, TrustError::Mark { role: found, .. } if found == role),
            "{error:?}"
        );
    }
    // Top-level targets as a channel's.
    let mut hostile = chain.clone();
    hostile.place_target_bytes("unstable", 1, chain.files["metadata/1.targets.json"].clone());
    hostile.publish();
    let error = refusal(hostile.visit("unstable"));
    assert!(matches!(error, TrustError::Mark { .. }), "{error:?}");
}

#[test]
fn refuses_another_chains_files() {
    // The same people, the same keys: only the chain differs.
    let chain = released();
    let mut other = TestChain::with_policy(chain.people.clone(), NOW, |policy| {
        policy.freshness.snapshot = days(29);
    });
    assert_ne!(chain.id(), other.id());
    other.release("unstable", &[]);
    let bytes = other.files["metadata/1.unstable.json"].clone();
    let mut hostile = chain.clone();
    hostile.place_target_bytes("unstable", 1, bytes);
    hostile.publish();
    let error = refusal(hostile.visit("unstable"));
    assert!(matches!(error, TrustError::Mark { .. }), "{error:?}");
    for file in ["timestamp.json", "2.snapshot.json"] {
        let mut set = chain.client(Judge::Current, NOW).unwrap();
        let bytes = &other.files[&format!("metadata/{file}")];
        let error = if file == "timestamp.json" {
            set.update_timestamp(bytes).map(|_| ()).unwrap_err()
        } else {
            set.update_timestamp(&chain.files["metadata/timestamp.json"]).unwrap();
            set.load_snapshot(bytes).unwrap_err()
        };
        assert!(matches!(error, TrustError::Mark { .. }), "{file}: {error:?}");
    }
}

#[test]
fn refuses_the_online_key_as_a_person_and_people_as_the_online_key() {
    let chain = released();
    let mut hostile = chain.clone();
    let targets = hostile.draft_release("unstable", &[]);
    let signed = hostile.sign_online(targets);
    hostile.place_targets("unstable", &signed);
    hostile.publish();
    assert_eq!(refused(hostile.visit("unstable")).len(), 1);
    // A timestamp that two of root's people signed (they would sign no such thing; their keys might).
    let mut hostile = chain.clone();
    let claims = hostile.draft_timestamp();
    let bytes = attestation::canonical::to_vec(&claims);
    let signatures =
        ["alice", "bob"].map(|name| crate::forge::sign(crate::forge::honest(NOW), hostile.person(name), 0, &bytes));
    hostile.place_timestamp(&Signed::new(claims, signatures.into()));
    assert_eq!(refused(hostile.visit("unstable")).len(), 2);
}

#[test]
fn refuses_delegations_that_are_not_the_roots() {
    let flaws: [(&str, Edit); 6] = [
        ("a lower threshold", |targets| {
            targets.delegations.as_mut().unwrap().roles.as_mut().unwrap()[0].threshold = 1;
        }),
        ("one more key", |targets| {
            let delegations = targets.delegations.as_mut().unwrap();
            let keyids = &mut delegations.roles.as_mut().unwrap()[0].keyids;
            let first = keyids[0].clone();
            keyids.push(first);
        }),
        ("a key under another's id", |targets| {
            let keys = &mut targets.delegations.as_mut().unwrap().keys;
            let ids: Vec<_> = keys.keys().cloned().collect();
            let other = keys[&ids[1]].clone();
            keys.insert(ids[0].clone(), other);
        }),
        ("all paths", |targets| {
            targets.delegations.as_mut().unwrap().roles.as_mut().unwrap()[0].paths = Some(vec!["*".to_owned()]);
        }),
        ("one more channel", |targets| {
            let roles = targets.delegations.as_mut().unwrap().roles.as_mut().unwrap();
            let mut more = roles[0].clone();
            more.name = "more".to_owned();
            roles.push(more);
        }),
        ("none", |targets| targets.delegations = None),
    ];
    for (flaw, make) in flaws {
        let mut chain = released();
        let mut targets = chain.draft_top_level_targets();
        make(&mut targets);
        let signed = chain.signed_targets(targets, &["alice", "bob"]);
        chain.place_targets("targets", &signed);
        chain.publish();
        let error = refusal(chain.visit("unstable"));
        assert!(
            matches!(&error, TrustError::Rule { role, .. } if role == "targets"),
            "{flaw}: {error:?}"
        );
    }
    let mut chain = released();
    let mut targets = chain.draft_top_level_targets();
    let file = attestation::tuf::TargetFile::new(1, Sha256Digest::of("x"));
    targets.targets.insert("unstable/nixexprs.tar.xz".to_owned(), file);
    let signed = chain.signed_targets(targets, &["alice", "bob"]);
    chain.place_targets("targets", &signed);
    chain.publish();
    let error = refusal(chain.visit("unstable"));
    assert!(
        matches!(error, TrustError::Rule { .. }),
        "top-level targets with a file: {error:?}"
    );
}

/// Nothing that a release says is free, even where enough people sign it.
#[test]
fn refuses_a_release_with_a_free_field() {
    fn mark(targets: &mut Targets) -> &mut attestation::chain::Release {
        targets.mark.as_mut().unwrap().release.as_mut().unwrap()
    }
    let name = |targets: &mut Targets, name: &str| {
        let file = targets.targets.values().next().unwrap().clone();
        targets.targets.insert(name.to_owned(), file);
    };
    let flaws: [(&str, BoxedEdit); 16] = [
        (
            "expiry 2099",
            Box::new(|t| t.expires = "2099-01-01T00:00:00Z".parse().unwrap()),
        ),
        (
            "a second too long",
            Box::new(|t| t.expires = NOW.plus(attestation::Seconds(7 * 86_400 + 1))),
        ),
        ("a sequence beyond the version", Box::new(|t| mark(t).sequence = 7)),
        ("no previous", Box::new(|t| mark(t).previous = None)),
        (
            "another channel",
            Box::new(|t| mark(t).channel = "stable".parse().unwrap()),
        ),
        ("a root that there is not", Box::new(|t| mark(t).root_version = 2)),
        ("root 0", Box::new(|t| mark(t).root_version = 0)),
        (
            "two words of suffix",
            Box::new(|t| mark(t).version_suffix = ".1 x".to_owned()),
        ),
        (
            "a path as suffix",
            Box::new(|t| mark(t).version_suffix = "../x".to_owned()),
        ),
        (
            "a delegation",
            Box::new(|t| {
                t.delegations = Some(attestation::tuf::Delegations {
                    keys: std::collections::BTreeMap::new(),
                    roles: Some(Vec::new()),
                    succinct_roles: None,
                });
            }),
        ),
        (
            "another channel's file",
            Box::new(move |t| name(t, "stable/nixexprs.tar.xz")),
        ),
        (
            "a path out of it",
            Box::new(move |t| name(t, "unstable/../../etc/passwd")),
        ),
        ("a directory", Box::new(move |t| name(t, "unstable/a/b"))),
        ("a hidden file", Box::new(move |t| name(t, "unstable/.git"))),
        (
            "a file with two hashes",
            Box::new(|t| {
                let file = t.targets.values_mut().next().unwrap();
                file.hashes.insert("sha512".to_owned(), "00".to_owned());
            }),
        ),
        (
            "another spec_version",
            Box::new(|t| t.spec_version = "1.0.0".to_owned()),
        ),
    ];
    for (flaw, make) in flaws {
        let error = release_with(make).map(|_| ()).expect_err(flaw);
        assert!(
            matches!(&error, TrustError::Rule { role, .. } | TrustError::Version { role, .. } if role == "unstable"),
            "{flaw}: {error:?}"
        );
    }
    release_with(|_| {}).map(|_| ()).expect("the honest twin");
    release_with(|targets| targets.expires = NOW.plus(days(6)))
        .map(|_| ())
        .expect("shorter than it may");
}

/// A time in the future would carry the expiry with it.
#[test]
fn refuses_a_release_proposed_in_2098() {
    let outcome = release_with(|targets| {
        let future: Time = "2098-01-01T00:00:00Z".parse().unwrap();
        targets.mark.as_mut().unwrap().release.as_mut().unwrap().time = future;
        targets.expires = future.plus(days(7));
    });
    assert_eq!(refused(outcome).len(), 2);
}

#[test]
fn refuses_a_file_of_another_kind_under_a_name() {
    let chain = released();
    let mut hostile = chain.clone();
    hostile.place_target_bytes("targets", 1, chain.files["metadata/timestamp.json"].clone());
    hostile.publish();
    let error = refusal(hostile.visit("unstable"));
    assert!(
        matches!(error, TrustError::Format { .. } | TrustError::Header { .. }),
        "{error:?}"
    );
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    let error = set
        .update_timestamp(&chain.files["metadata/2.snapshot.json"])
        .map(|_| ());
    assert!(
        matches!(error, Err(TrustError::Header { member: "_type", .. })),
        "{error:?}"
    );
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

#[test]
fn signs_a_targets_document_as_it_is_published() {
    let mut chain = released();
    let targets = chain.draft_release("unstable", &[]);
    let payload = Signed::new(targets.clone(), Vec::new()).payload;
    assert_eq!(Document::Targets(&targets).bytes(), payload);
}
