//! One file as another, and free fields: what a release and the top-level targets may not say, whoever signs it.

use attestation::{
    Sha256Digest, Time,
    tuf::{Signed, Targets},
};
use policy::{TrustError, TrustedSet, trusted_set::Judge};
use signer::Document;
use testkit::TestChain;

use crate::{
    NOW, days,
    metadata::{refusal, released},
    refused,
};

type Edit = fn(&mut Targets);
type BoxedEdit = Box<dyn Fn(&mut Targets)>;

/// What a client makes of a release with claims that `edit` has changed, signed by two who may.
fn release_with(edit: impl FnOnce(&mut Targets)) -> Result<TrustedSet, TrustError> {
    let mut chain = released();
    chain.release_with("unstable", &[("nixexprs.tar.xz", b"second")], &["alice", "bob"], edit);
    chain.visit("unstable")
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
fn signs_a_targets_document_as_it_is_published() {
    let mut chain = released();
    let targets = chain.draft_release("unstable", &[]);
    let payload = Signed::new(targets.clone(), Vec::new()).payload;
    assert_eq!(Document::Targets(&targets).bytes(), payload);
}
