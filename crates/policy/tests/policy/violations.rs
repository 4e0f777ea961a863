//! Violations reach subscribers, by one person's word, and nothing takes them back.

use std::collections::BTreeSet;

use attestation::{
    Sha256Digest,
    dsse::Envelope,
    statement::{Claim, TreeNar, ViolatedContent, Violation},
};
use policy::{
    TrustError,
    statements::StatementRefusal,
    trusted_set::{Judge, violations_file},
};
use sequoia_openpgp::types::ReasonForRevocation;
use testkit::TestChain;

use crate::{
    NOW, days, forge,
    statements::{approval, content, envelope, statement},
};

fn violation(chain: &TestChain, author: &str, trees: &[Sha256Digest]) -> Envelope {
    let claim = Claim::Violation(Violation {
        contents: [ViolatedContent {
            unit: "pkgs/hello".parse().unwrap(),
            content: content("bad"),
        }]
        .into(),
        reason: "a backdoor".to_owned(),
        trees: trees.iter().copied().map(TreeNar).collect(),
    });
    envelope(chain, author, 0, &statement(chain, author, claim))
}

/// A chain with one release, and the tree that it brings.
fn released() -> (TestChain, Sha256Digest) {
    let mut chain = TestChain::new(NOW);
    chain.release("unstable", &[("nixexprs.tar.xz", b"bytes")]);
    let tree = current(&chain).expect("the honest twin");
    (chain, tree)
}

/// The tree of what a new subscriber would install.
fn current(chain: &TestChain) -> Result<Sha256Digest, TrustError> {
    let set = chain.visit("unstable")?;
    let release = set.current_release(&"unstable".parse().unwrap())?;
    Ok(release.verified().get().tree_nar)
}

#[test]
fn one_persons_violation_reaches_subscribers() {
    let (mut chain, tree) = released();
    // dave neither releases nor reviews; he is one of `crypto`.
    let said = violation(&chain, "dave", &[tree]);
    chain.place_violations([said]);
    chain.publish();
    let error = current(&chain).unwrap_err();
    let text = error.to_string();
    let TrustError::Violated { sequence: 1, by, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!((by[0].by.as_str(), by[0].reason.as_str()), ("dave", "a backdoor"));
    assert!(text.contains("dave says: a backdoor"), "{text}");
    // What replaces it is current again.
    chain.release("unstable", &[("nixexprs.tar.xz", b"repaired")]);
    assert_ne!(current(&chain).expect("another tree"), tree);
    let set = chain.visit("unstable").unwrap();
    assert_eq!(set.violated(tree).len(), 1, "the old one stays violated");
    assert_eq!(set.violations().count(), 1);
}

#[test]
fn a_violation_of_another_tree_or_by_nobody_stops_nothing() {
    let (mut chain, tree) = released();
    let elsewhere = violation(&chain, "dave", &[Sha256Digest::of("another tree")]);
    let mut forged = violation(&chain, "alice", &[tree]);
    *forged.signature.last_mut().unwrap() ^= 1;
    let approves = envelope(&chain, "bob", 0, &statement(&chain, "bob", approval(None, Some("b"))));
    chain.place_violations([elsewhere, forged, approves]);
    chain.publish();
    current(&chain).expect("nobody said that it is bad");
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    let (_, bytes) = violations_file(None, [violation(&TestChain::new(NOW), "alice", &[tree])]).unwrap();
    let refused = set.remember_violations(&bytes).unwrap();
    assert!(matches!(refused[..], [StatementRefusal::Chain { .. }]), "{refused:?}");
}

#[test]
fn who_was_removed_from_every_role_subtracts_nothing_any_more() {
    let (mut chain, tree) = released();
    let said = violation(&chain, "dave", &[tree]);
    chain.place_violations([said]);
    chain.rotate(|policy| {
        for role in policy.roles.values_mut() {
            role.people.remove(&"dave".parse().unwrap());
        }
    });
    current(&chain).expect("dave has left");
}

#[test]
fn a_violation_outlives_its_authors_key_and_not_its_revocation() {
    let (mut chain, tree) = released();
    let said = violation(&chain, "dave", &[tree]);
    let (_, file) = violations_file(None, [said]).unwrap();
    let count = |chain: &TestChain, at| {
        let mut set = chain.client(Judge::Authentic, at).unwrap();
        set.remember_violations(&file).unwrap();
        set.violated(tree).len()
    };
    assert_eq!(count(&chain, NOW), 1);
    assert_eq!(count(&chain, NOW.plus(days(500))), 1, "after dave's key is over");
    let packets = forge::revoke(chain.person("dave"), Some(0), ReasonForRevocation::KeyCompromised, NOW);
    chain.keyring.add(&packets).unwrap();
    assert_eq!(count(&chain, NOW), 0, "whoever stole the key says nothing");
}

#[test]
fn refuses_a_snapshot_that_drops_or_shortens_the_violations() {
    let (mut chain, tree) = released();
    let said = violation(&chain, "dave", &[tree]);
    chain.place_violations([said]);
    chain.publish();
    let listed = chain.draft_snapshot();
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    let seen = chain.files.clone();
    set.update_timestamp(&seen["metadata/timestamp.json"]).unwrap();
    let path = |version: u64| format!("metadata/{version}.snapshot.json");
    let version = set.snapshot_listing().unwrap().version;
    set.update_snapshot(&seen[&path(version)]).unwrap();

    for (flaw, drop) in [("dropped", true), ("shortened", false)] {
        let mut next = chain.clone();
        next.publish_with(
            |snapshot| {
                if drop {
                    snapshot.meta.remove("violations.json");
                } else {
                    snapshot.meta.get_mut("violations.json").unwrap().version = 0;
                }
            },
            |_| {},
        );
        let mut client = chain.client(Judge::Current, NOW).unwrap();
        client.load_timestamp(&seen["metadata/timestamp.json"]).unwrap();
        client.load_snapshot(&seen[&path(version)]).unwrap();
        client.update_timestamp(&next.files["metadata/timestamp.json"]).unwrap();
        let version = client.snapshot_listing().unwrap().version;
        let error = client.update_snapshot(&next.files[&path(version)]).unwrap_err();
        assert!(
            matches!(error, TrustError::NotListed { .. } | TrustError::Rollback { .. }),
            "{flaw}: {error:?}"
        );
    }
    assert_eq!(listed.meta["violations.json"].version, 1);
}

#[test]
fn refuses_a_release_before_the_listed_violations_were_read() {
    let (mut chain, tree) = released();
    let said = violation(&chain, "dave", &[tree]);
    chain.place_violations([said]);
    chain.publish();
    let read = |path: String| chain.files[&path].clone();
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    set.update_timestamp(&read("metadata/timestamp.json".to_owned()))
        .unwrap();
    let version = set.snapshot_listing().unwrap().version;
    set.update_snapshot(&read(format!("metadata/{version}.snapshot.json")))
        .unwrap();
    let version = set.targets_listing("targets").unwrap().version;
    set.update_targets(&read(format!("metadata/{version}.targets.json")))
        .unwrap();
    let version = set.targets_listing("unstable").unwrap().version;
    set.update_delegated(
        "unstable",
        "targets",
        &read(format!("metadata/{version}.unstable.json")),
    )
    .unwrap();
    let error = set.current_release(&"unstable".parse().unwrap()).unwrap_err();
    assert!(matches!(error, TrustError::Order(_)), "{error:?}");
    // Another list than the listed one, as an empty one.
    let (_, empty) = violations_file(None, []).unwrap();
    let error = set.update_violations(&empty).unwrap_err();
    assert!(matches!(error, TrustError::NotAsListed { .. }), "{error:?}");
}

#[test]
fn a_list_of_violations_has_one_spelling_and_only_grows() {
    let chain = TestChain::new(NOW);
    let all: Vec<_> = ["alice", "bob", "dave"].map(|name| violation(&chain, name, &[])).into();
    let (one, first) = violations_file(None, [all[0].clone()]).unwrap();
    let (three, later) = violations_file(Some(&first), all.clone()).unwrap();
    assert_eq!((one, three), (1, 3));
    let (same, again) = violations_file(Some(&later), []).unwrap();
    assert_eq!((same, &again), (3, &later));
    let mut set = chain.client(Judge::Authentic, NOW).unwrap();
    assert!(set.remember_violations(&later).unwrap().is_empty());
    let envelopes = attestation::dsse::bundle_from_exact(&later).unwrap();
    let mut reversed = envelopes.clone();
    reversed.reverse();
    let twice = [envelopes[0].clone(), envelopes[0].clone()];
    for (flaw, bytes) in [
        ("another order", attestation::dsse::bundle_to_bytes(&reversed)),
        ("one twice", attestation::dsse::bundle_to_bytes(&twice)),
        ("white space", [b" ", &*later].concat()),
        ("nothing", Vec::new()),
    ] {
        assert!(set.remember_violations(&bytes).is_err(), "{flaw}");
    }
    let distinct: BTreeSet<_> = set.violations().map(|said| said.get().author.clone()).collect();
    assert_eq!(distinct.len(), 3);
}
