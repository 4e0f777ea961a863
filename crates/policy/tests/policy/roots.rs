//! The chain of roots: where it begins, how it goes on, and what a root may not say.

use std::collections::BTreeSet;

use attestation::{
    ChainId, KeyId, PersonName, Sha256Digest,
    chain::PolicyDocument,
    tuf::{Root, Signed},
};
use policy::{
    SignatureRefusal, TrustError, TrustedSet,
    keyring::CertificateRefusal,
    root::{self, RootRefusal},
    trusted_set::Judge,
};
use sequoia_openpgp::types::ReasonForRevocation;
use testkit::{TestChain, TestPerson, chain::people};

use crate::{
    NOW, compile, days,
    forge::{self, Binding},
    refused,
};

/// A change to a root, which is given two of its people's key ids.
type Edit = fn(&mut Root, [KeyId; 2]);

/// A subscriber who pins whatever this root's digest is.
fn pin(chain: &TestChain, first: &Signed<Root>) -> Result<TrustedSet, TrustError> {
    let bytes = first.to_bytes();
    let id = ChainId::from_digest(Sha256Digest::of(&bytes));
    TrustedSet::pinned(id, &bytes, chain.keyring.clone(), Judge::Current, chain.now)
}

fn first_root(chain: &TestChain) -> Root {
    Signed::<Root>::from_exact(&chain.files["metadata/1.root.json"])
        .unwrap()
        .claims
}

/// What a client that knows root 1 makes of `edit`ed root 2, signed by these people.
fn second_root(people: &[&str], edit: impl FnOnce(&mut Root)) -> Result<TrustedSet, TrustError> {
    let chain = TestChain::new(NOW);
    let mut root = chain.draft_root(|_| {});
    edit(&mut root);
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    set.update_root(&chain.signed_root(root, people).to_bytes())?;
    Ok(set)
}

/// Somebody new in the policy, without a role.
fn enrol(chain: &mut TestChain, policy: &mut PolicyDocument, name: &str) {
    let person = TestPerson::new(name, NOW.minus(days(1)));
    let mut entry = policy.people[&"dave".parse::<PersonName>().unwrap()].clone();
    entry.certificate = person.primary;
    entry.keys.clone_from(&person.keys);
    policy.people.insert(person.name.clone(), entry);
    chain.keyring.add(&person.certificate).unwrap();
    chain.people.push(person);
}

fn root_refusal(outcome: Result<TrustedSet, TrustError>) -> RootRefusal {
    match outcome.map(|_| ()) {
        Err(TrustError::Root { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_a_first_root_that_is_not_the_pinned_one() {
    let (chain, other) = (TestChain::new(NOW), TestChain::new(NOW));
    let error = TrustedSet::pinned(
        chain.id(),
        &other.files["metadata/1.root.json"],
        other.keyring.clone(),
        Judge::Current,
        NOW,
    );
    let error = error.map(|_| ()).unwrap_err();
    assert!(matches!(error, TrustError::NotThePinnedChain { .. }), "{error:?}");
    chain.client(Judge::Current, NOW).map(|_| ()).expect("the honest twin");
}

#[test]
fn refuses_a_first_root_without_or_with_wrong_signatures() {
    let chain = TestChain::new(NOW);
    let root = first_root(&chain);
    assert!(refused(pin(&chain, &Signed::new(root.clone(), Vec::new()))).is_empty());
    assert!(refused(pin(&chain, &chain.signed_root(root.clone(), &["alice"]))).is_empty());
    let outside = refused(pin(&chain, &chain.signed_root(root.clone(), &["alice", "dave"])));
    assert_eq!(outside, [SignatureRefusal::NotInRole]);
    let moved = chain
        .signed_root(chain.draft_root(|_| {}), &["alice", "bob"])
        .signatures;
    let wrong = refused(pin(&chain, &Signed::new(root.clone(), moved)));
    assert_eq!(wrong, [SignatureRefusal::Bad, SignatureRefusal::Bad]);
    pin(&chain, &chain.signed_root(root, &["bob", "carol"]))
        .map(|_| ())
        .expect("the honest twin");
}

#[test]
fn refuses_a_first_root_of_version_0_or_2() {
    let chain = TestChain::new(NOW);
    for version in [0, 2] {
        let mut root = first_root(&chain);
        root.version = version;
        let error = pin(&chain, &chain.signed_root(root, &["alice", "bob"]))
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(error, TrustError::Header { .. } | TrustError::Version { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn refuses_a_root_signed_by_the_old_or_the_new_people_only() {
    let mut chain = TestChain::new(NOW);
    let mut policy = chain.policy().clone();
    policy.chain = Some(chain.id());
    let mut others: BTreeSet<PersonName> = BTreeSet::from(["dave".parse().unwrap()]);
    for name in ["mallory", "oscar"] {
        enrol(&mut chain, &mut policy, name);
        others.insert(name.parse().unwrap());
    }
    policy.roles.get_mut(&"root".parse().unwrap()).unwrap().people = others;
    let root = root::compile(policy, 2, NOW, &chain.keyring).unwrap();
    let meet = |people: &[&str]| {
        let mut set = chain.client(Judge::Current, NOW).unwrap();
        set.update_root(&chain.signed_root(root.clone(), people).to_bytes())
            .map(|()| set)
    };
    assert_eq!(refused(meet(&["alice", "bob"])).len(), 2, "by the old only");
    assert_eq!(refused(meet(&["mallory", "oscar"])).len(), 2, "by the new only");
    // Added and used in the same change: the new ones do not help the old threshold.
    assert_eq!(refused(meet(&["alice", "mallory", "oscar"])).len(), 2, "one of the old");
    meet(&["alice", "bob", "mallory", "oscar"])
        .map(|_| ())
        .expect("the honest twin");
}

/// The threshold is lowered and used in one push: it is the old one that the change needs.
#[test]
fn refuses_a_policy_weakened_then_used_in_one_push() {
    let weaken = |policy: &mut PolicyDocument| {
        policy.roles.get_mut(&"root".parse().unwrap()).unwrap().threshold = Some(1);
    };
    let chain = TestChain::new(NOW);
    let meet = |people: &[&str]| {
        let mut set = chain.client(Judge::Current, NOW).unwrap();
        set.update_root(&chain.signed_root(chain.draft_root(weaken), people).to_bytes())
            .map(|()| set)
    };
    assert!(refused(meet(&["alice"])).is_empty());
    meet(&["alice", "bob"]).map(|_| ()).expect("the honest twin");
}

#[test]
fn refuses_a_skipped_a_repeated_and_an_older_version() {
    for version in [1, 3, 4] {
        let error = second_root(&["alice", "bob"], |root| root.version = version);
        let error = error.map(|_| ()).unwrap_err();
        assert!(
            matches!(error, TrustError::Version { found, expected: 2, .. } if found == version),
            "{error:?}"
        );
    }
    second_root(&["alice", "bob"], |_| {})
        .map(|_| ())
        .expect("the honest twin");
}

#[test]
fn refuses_a_root_of_another_chain() {
    let other = ChainId::from_digest(Sha256Digest::of("another chain"));
    for found in [Some(other), None] {
        let refusal = root_refusal(second_root(&["alice", "bob"], |root| {
            root.policy.as_mut().unwrap().chain = found;
        }));
        assert!(matches!(refusal, RootRefusal::Chain { .. }), "{refusal:?}");
    }
}

/// Keys and roles follow from the policy: a root that adds a key, lends one person's id to another's key, names a
/// scheme that python-tuf does not know, or a threshold of its own, is refused.
#[test]
fn refuses_a_root_whose_keys_or_roles_do_not_follow_from_its_policy() {
    let id =
        |chain: &Root, who: usize| chain.roles[&"root".parse::<attestation::RoleName>().unwrap()].keyids[who].clone();
    let flaws: [(&str, Edit); 6] = [
        (
            "one person's fingerprint over another's key",
            |root, [first, second]| {
                let other = root.keys[&second].clone();
                root.keys.insert(first, other);
            },
        ),
        ("a key of an unknown scheme", |root, [first, _]| {
            root.keys.get_mut(&first).unwrap().scheme = "pgp+ecdsa-nistp256".to_owned();
        }),
        ("one more key", |root, [first, _]| {
            let other = root.keys[&first].clone();
            root.keys.insert("00".repeat(20).parse().unwrap(), other);
        }),
        ("a threshold of its own", |root, _| {
            root.roles.get_mut(&"targets".parse().unwrap()).unwrap().threshold = 1;
        }),
        ("a person in the timestamp's role", |root, [first, _]| {
            root.roles
                .get_mut(&"timestamp".parse().unwrap())
                .unwrap()
                .keyids
                .push(first);
        }),
        ("consistent_snapshot off", |root, _| {
            root.consistent_snapshot = Some(false);
        }),
    ];
    for (flaw, make) in flaws {
        let refusal = root_refusal(second_root(&["alice", "bob", "carol"], |root| {
            let ids = [id(root, 0), id(root, 1)];
            make(root, ids);
        }));
        assert!(matches!(refusal, RootRefusal::NotDerived { .. }), "{flaw}: {refusal:?}");
    }
    let refusal = root_refusal(second_root(&["alice", "bob"], |root| root.policy = None));
    assert!(matches!(refusal, RootRefusal::NoPolicy), "{refusal:?}");
}

#[test]
fn refuses_a_person_without_keys_without_falling_over() {
    let outcome = second_root(&["alice", "bob"], |root| {
        let people = &mut root.policy.as_mut().unwrap().people;
        people.get_mut(&"dave".parse().unwrap()).unwrap().keys.clear();
    });
    let refusal = root_refusal(outcome);
    assert!(matches!(refusal, RootRefusal::Policy(_)), "{refusal:?}");
}

/// A fingerprint covers the creation time, so anybody can wrap one token's key into a second fingerprint.
#[test]
fn refuses_one_token_as_two_people() {
    let honest = people(NOW);
    compile(&honest, |_| {}).map(|_| ()).expect("the honest twin");
    let mut key = forge::secret_key(&honest[0], 0);
    key.set_creation_time(forge::system_time(NOW.minus(days(20)))).unwrap();
    // As a key that signs statements only, and as one of a TUF role.
    let mut all = honest.clone();
    all[1] = forge::add_key(&honest[1], key, NOW.minus(days(20)), &Binding::default());
    assert!(!all[0].keys.contains(&all[1].keys[2]));
    for _ in 0..2 {
        let refusal = compile(&all, |_| {}).map(|_| ());
        assert!(matches!(refusal, Err(RootRefusal::SameMaterial { .. })), "{refusal:?}");
        all[1].keys.swap(0, 2);
    }
}

#[test]
fn refuses_the_online_key_as_a_persons() {
    let all = people(NOW);
    for (index, key) in [(0, 0), (3, 1)] {
        let refusal = compile(&all, |policy| policy.online_key = forge::point(&all[index], key)).map(|_| ());
        assert!(matches!(refusal, Err(RootRefusal::SameMaterial { .. })), "{refusal:?}");
    }
    let somebody = TestPerson::new("somebody", NOW.minus(days(30)));
    compile(&all, |policy| policy.online_key = forge::point(&somebody, 0))
        .map(|_| ())
        .expect("the honest twin");
}

/// The expiry is the proposal's time and what the policy allows: nobody signed a proposal of 2098.
#[test]
fn refuses_a_root_that_expires_in_2099() {
    let refusals = refused(second_root(&["alice", "bob"], |root| {
        root.expires = "2099-01-01T00:00:00Z".parse().unwrap();
    }));
    assert!(
        matches!(
            refusals[..],
            [
                SignatureRefusal::BeforeProposal { .. },
                SignatureRefusal::BeforeProposal { .. }
            ]
        ),
        "{refusals:?}"
    );
    // A proposal's time may be off by the day that signers allow.
    let set = second_root(&["alice", "bob"], |root| root.expires = root.expires.plus(days(1)));
    set.map(|_| ()).expect("the honest twin");
}

/// A stolen token is revoked. The chain lives on: the first root is believed for its digest, and those who are
/// left are enough for the next one.
#[test]
fn a_chain_outlives_a_hard_revocation_of_who_made_its_first_root() {
    let mut chain = TestChain::new(NOW);
    chain.release("unstable", &[]);
    let revoked = forge::revoke(chain.person("alice"), None, ReasonForRevocation::KeyCompromised, NOW);
    chain.keyring.add(&revoked).unwrap();
    // Nothing is current until a root says who is left.
    let refusals = refused(chain.visit("unstable"));
    assert!(
        matches!(
            refusals[..],
            [SignatureRefusal::Certificate(CertificateRefusal::Revoked { .. })]
        ),
        "{refusals:?}"
    );
    let mut policy = chain.policy().clone();
    policy.chain = Some(chain.id());
    let (alice, erin): (PersonName, PersonName) = ("alice".parse().unwrap(), "erin".parse().unwrap());
    enrol(&mut chain, &mut policy, "erin");
    policy.people.remove(&alice);
    for role in policy.roles.values_mut() {
        if role.people.remove(&alice) {
            role.people.insert(erin.clone());
        }
    }
    let root = root::compile(policy, 2, NOW, &chain.keyring).unwrap();
    let by_the_thief = chain.signed_root(root.clone(), &["alice", "bob"]);
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    let error = set.update_root(&by_the_thief.to_bytes());
    assert_eq!(refused(error.map(|()| set)).len(), 1);

    let signed = chain.signed_root(root, &["bob", "carol"]);
    chain.place_root(&signed);
    let targets = chain.signed_targets(chain.draft_top_level_targets(), &["bob", "carol"]);
    chain.place_targets("targets", &targets);
    chain.release_with("unstable", &[], &["bob", "carol"], |_| {});
    chain.visit("unstable").map(|_| ()).expect("bob and carol are enough");
}

#[test]
fn meets_a_chain_of_many_roots() {
    let mut chain = TestChain::new(NOW);
    for _ in 1..200 {
        let signed = chain.signed_root(chain.draft_root(|_| {}), &["alice", "bob"]);
        chain.place_root(&signed);
    }
    let set = chain.client(Judge::Current, NOW).unwrap();
    assert_eq!(set.root().version, 200);
    // One in the middle that is missing or altered ends it there.
    let mut set = TrustedSet::pinned(
        chain.id(),
        &chain.files["metadata/1.root.json"],
        chain.keyring.clone(),
        Judge::Current,
        NOW,
    )
    .unwrap();
    let error = set.update_root(&chain.files["metadata/3.root.json"]).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::Version {
                found: 3,
                expected: 2,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn refuses_a_root_after_the_timestamp() {
    let chain = TestChain::new(NOW);
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    set.update_timestamp(&chain.files["metadata/timestamp.json"]).unwrap();
    let root = chain.signed_root(chain.draft_root(|_| {}), &["alice", "bob"]);
    let error = set.update_root(&root.to_bytes()).unwrap_err();
    assert!(matches!(error, TrustError::Order(_)), "{error:?}");
}
