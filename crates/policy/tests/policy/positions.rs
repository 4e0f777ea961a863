//! Positions: what a release listed stays said where it subtracts, and is judged now where it adds.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    PersonName, StatementId, Time,
    chain::{Release, StatementList},
    dsse::Envelope,
    statement::{Claim, Review, Statement, Verdict},
};
use policy::{
    TrustedSet, Verified,
    admission::{UnitState, admit},
    statements::{Positions, StatementRefusal, WrongList},
    trusted_set::Judge,
};
use proptest::prelude::*;
use sequoia_openpgp::types::ReasonForRevocation;
use testkit::TestChain;

use crate::{
    NOW,
    admission::{covered, edit, names},
    days, forge,
    statements::{approval, delta, envelope, judged, release, review, statement},
};

/// The roots up to this version, with everybody's certificates as they are by now.
fn at_root(chain: &TestChain, version: u64) -> TrustedSet {
    let file = |version: u64| &chain.files[&format!("metadata/{version}.root.json")];
    let keyring = chain.keyring.clone();
    let mut set = TrustedSet::pinned(chain.id(), file(1), keyring, Judge::Authentic, chain.now).unwrap();
    for version in 2..=version {
        set.update_root(file(version)).unwrap();
    }
    set
}

/// A release that lists these.
fn listing(sequence: u64, root_version: u64, time: Time, ids: &BTreeSet<StatementId>) -> Release {
    Release {
        root_version,
        time,
        statements: StatementList::of(ids),
        ..release(sequence)
    }
}

/// Something that was said under root 1, in one of many ways, and the chain's later life.
struct Story {
    chain: TestChain,
    said: Vec<(Statement, Envelope)>,
}

impl Story {
    fn new(claims: &[(&str, Claim)]) -> Self {
        let chain = TestChain::new(NOW);
        let said = claims.iter().map(|(author, claim)| {
            let said = statement(&chain, author, claim.clone());
            let envelope = envelope(&chain, author, 0, &said);
            (said, envelope)
        });
        Self {
            said: said.collect(),
            chain,
        }
    }

    fn ids(&self) -> BTreeSet<StatementId> {
        self.said.iter().map(|(said, _)| said.id()).collect()
    }

    /// Dave loses every role, and whatever `edit` does.
    fn dave_leaves(&mut self) {
        self.chain.now = NOW.plus(days(2));
        self.chain.rotate(|policy| {
            for role in policy.roles.values_mut() {
                role.people.remove(&"dave".parse().unwrap());
            }
        });
    }

    /// What becomes of a -> c today, when `listed` stand in a release of yesterday.
    fn judge(&self, listed: &BTreeSet<StatementId>) -> UnitState {
        self.judge_with(listed, &[])
    }

    /// And these say this today.
    fn judge_with(&self, listed: &BTreeSet<StatementId>, today: &[(&str, Claim)]) -> UnitState {
        let first = at_root(&self.chain, 1);
        let mut positions = Positions::default();
        let court = first.court().unwrap();
        let release = listing(2, 1, NOW.plus(days(1)), listed);
        positions.add(court, &release, listed.clone()).unwrap();
        let set = judged(&self.chain);
        let court = set.court().unwrap();
        let mut counted: Vec<Verified<Statement>> = Vec::new();
        for (said, envelope) in &self.said {
            let judged = court.verify(envelope).ok();
            let judged = judged.or_else(|| positions.verify(said.id(), envelope)?.ok());
            counted.extend(judged);
        }
        for (author, claim) in today {
            let said = statement(&self.chain, author, claim.clone());
            counted.push(court.verify(&envelope(&self.chain, author, 0, &said)).unwrap());
        }
        let changed = edit(delta(Some("a"), Some("c")));
        let admission = admit(&court, &crate::statements::release(3), vec![changed], &counted);
        admission.units()[0].state.clone()
    }
}

fn approved_by(people: &[&'static str]) -> Vec<(&'static str, Claim)> {
    people
        .iter()
        .map(|name| (*name, approval(Some("a"), Some("c"))))
        .collect()
}

fn rejected_by(person: &'static str) -> (&'static str, Claim) {
    (person, review([(delta(Some("a"), Some("c")), Verdict::Reject)]))
}

fn two_approve_and_dave_rejects() -> Story {
    Story::new(&[approved_by(&["alice", "bob"]), vec![rejected_by("dave")]].concat())
}

#[test]
fn a_reject_that_a_release_listed_does_not_vanish_with_its_author() {
    let mut story = two_approve_and_dave_rejects();
    let (all, none) = (story.ids(), BTreeSet::new());
    for listed in [&all, &none] {
        assert!(matches!(story.judge(listed), UnitState::Rejected { .. }));
    }
    story.dave_leaves();
    let state = story.judge(&all);
    let UnitState::Rejected { by, left, .. } = state else {
        panic!("{state:?}")
    };
    assert_eq!((by, left), (names(&["dave"]), [story.said[2].0.id()].into()));
    // What no release lists is judged now, and dave is nobody now.
    assert_eq!(story.judge(&none), covered(&["alice", "bob"]));
}

#[test]
fn a_violation_that_a_release_listed_does_not_vanish_with_its_author() {
    let bad = crate::admission::violation("dave", "c");
    let mut story = Story::new(&[approved_by(&["alice", "bob"]), vec![bad]].concat());
    story.dave_leaves();
    let state = story.judge(&story.ids());
    assert!(matches!(state, UnitState::Violated { .. }), "{state:?}");
    assert_eq!(story.judge(&BTreeSet::new()), covered(&["alice", "bob"]));
}

/// Takes back dave's reject.
fn lift(story: &Story, author: &'static str) -> (&'static str, Claim) {
    let claim = Claim::Review(Review {
        criteria: "second thoughts".to_owned(),
        verdicts: Vec::new(),
        supersedes: [story.said[2].0.id()].into(),
        from_tree: None,
    });
    (author, claim)
}

#[test]
fn the_reject_of_somebody_who_left_is_lifted_by_as_many_as_the_change_takes() {
    let mut story = two_approve_and_dave_rejects();
    let all = story.ids();
    let lifts = |story: &Story, people: &[&'static str]| -> Vec<(&'static str, Claim)> {
        people.iter().map(|name| lift(story, name)).collect()
    };
    // As long as dave is there, it is his to take back.
    let today = lifts(&story, &["alice", "bob", "carol"]);
    assert!(matches!(story.judge_with(&all, &today), UnitState::Rejected { .. }));
    story.dave_leaves();
    for too_few in [&["alice"][..], &["alice", "alice"]] {
        let today = lifts(&story, too_few);
        assert!(
            matches!(story.judge_with(&all, &today), UnitState::Rejected { .. }),
            "{too_few:?}"
        );
    }
    let today = lifts(&story, &["alice", "carol"]);
    assert_eq!(story.judge_with(&all, &today), covered(&["alice", "bob"]));
}

#[test]
fn an_approval_of_somebody_who_left_covers_nothing_new() {
    let mut story = Story::new(&approved_by(&["alice", "bob"]));
    let all = story.ids();
    assert_eq!(story.judge(&all), covered(&["alice", "bob"]));
    story.chain.now = NOW.plus(days(2));
    story.chain.rotate(|policy| {
        policy.roles.values_mut().for_each(|role| {
            role.people.remove(&"bob".parse::<PersonName>().unwrap());
            role.people.insert("dave".parse().unwrap());
        });
    });
    // It was listed while bob was a reviewer; yet it is asked for again.
    let state = story.judge(&all);
    assert!(matches!(state, UnitState::Lacking { .. }), "{state:?}");
    // Who comes in his place, also under his name, is somebody else.
    let today = approved_by(&["dave"]);
    assert_eq!(story.judge_with(&all, &today), covered(&["alice", "dave"]));
}

#[test]
fn the_name_of_somebody_who_left_gives_nobody_their_approvals() {
    let mut story = Story::new(&approved_by(&["alice", "carol"]));
    let all = story.ids();
    story.chain.now = NOW.plus(days(2));
    let (dave, carol): (PersonName, PersonName) = ("dave".parse().unwrap(), "carol".parse().unwrap());
    story.chain.rotate(|policy| {
        let other = policy.people.remove(&dave).unwrap();
        policy.people.insert(carol, other);
        for role in policy.roles.values_mut() {
            role.people.remove(&dave);
        }
    });
    // Carol is another one now, and a reviewer: the approval that the first carol made is not hers.
    let state = story.judge(&all);
    assert!(matches!(state, UnitState::Lacking { .. }), "{state:?}");
}

/// Carol got another key: what she rejected in time stays rejected, what she approved is asked for again.
#[test]
fn a_stolen_key_that_is_over_cannot_backdate_and_takes_nothing_back() {
    let claims = [approved_by(&["alice", "bob"]), vec![rejected_by("carol")]].concat();
    let mut story = Story::new(&claims);
    let (all, none) = (story.ids(), BTreeSet::new());
    let key = story.chain.person("carol").keys[0].clone();
    story.chain.now = NOW.plus(days(2));
    story.chain.rotate(|policy| {
        policy
            .people
            .get_mut(&"carol".parse::<PersonName>().unwrap())
            .unwrap()
            .keys
            .retain(|other| *other != key);
    });
    // The thief dates a reject, or an approval, back to when the key was hers: no release lists it.
    assert_eq!(story.judge(&none), covered(&["alice", "bob"]));
    let state = story.judge(&all);
    assert!(
        matches!(&state, UnitState::Rejected { by, left, .. } if *by == names(&["carol"]) && left.is_empty()),
        "{state:?}"
    );
    // Her approval, which a release lists as well.
    let Story { chain, .. } = story;
    let mut then = chain.clone();
    then.now = NOW;
    let said = approved_by(&["alice", "carol"]).into_iter().map(|(author, claim)| {
        let said = statement(&then, author, claim);
        let envelope = envelope(&then, author, 0, &said);
        (said, envelope)
    });
    let approved = Story {
        said: said.collect(),
        chain,
    };
    let state = approved.judge(&approved.ids());
    assert!(matches!(state, UnitState::Lacking { .. }), "{state:?}");
}

#[test]
fn a_hard_revocation_takes_statements_at_every_position_and_a_soft_one_from_its_date_on() {
    for (reason, at, stays) in [
        (ReasonForRevocation::KeyCompromised, NOW.plus(days(2)), false),
        (ReasonForRevocation::KeyRetired, NOW.plus(days(2)), true),
        (ReasonForRevocation::KeyRetired, NOW, false),
    ] {
        let mut story = two_approve_and_dave_rejects();
        story.dave_leaves();
        let packets = forge::revoke(story.chain.person("dave"), Some(0), reason, at);
        story.chain.keyring.add(&packets).unwrap();
        story.chain.publish();
        let state = story.judge(&story.ids());
        assert_eq!(
            matches!(state, UnitState::Rejected { .. }),
            stays,
            "{reason:?} {at}: {state:?}"
        );
    }
}

#[test]
fn refuses_a_list_that_is_not_the_releases() {
    let story = two_approve_and_dave_rejects();
    let set = at_root(&story.chain, 1);
    let court = set.court().unwrap();
    let all = story.ids();
    let named = listing(2, 1, NOW, &all);
    let mut positions = Positions::default();
    positions.add(court, &named, all.clone()).expect("the honest twin");
    let mut shorter = all.clone();
    shorter.pop_last();
    let mut longer = all.clone();
    longer.insert(statement(&story.chain, "carol", approval(None, None)).id());
    for other in [shorter, longer, BTreeSet::new()] {
        let refused = positions.add(court, &named, other).unwrap_err();
        assert!(matches!(refused, WrongList::List { sequence: 2, .. }), "{refused:?}");
    }
    let refused = positions.add(court, &listing(2, 2, NOW, &all), all).unwrap_err();
    assert!(
        matches!(
            refused,
            WrongList::Root {
                expected: 2,
                found: 1,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[test]
fn refuses_another_statement_under_a_listed_id() {
    let story = two_approve_and_dave_rejects();
    let set = at_root(&story.chain, 1);
    let all = story.ids();
    let mut positions = Positions::default();
    positions
        .add(set.court().unwrap(), &listing(2, 1, NOW, &all), all)
        .unwrap();
    let ((first, envelope), (_, other)) = (&story.said[0], &story.said[1]);
    positions
        .verify(first.id(), envelope)
        .expect("listed")
        .expect("the honest twin");
    let refused = positions.verify(first.id(), other).expect("listed").unwrap_err();
    assert!(matches!(refused, StatementRefusal::OtherId { .. }), "{refused:?}");
    // A listed payload with a signature that is not its author's.
    let mut forged = envelope.clone();
    forged.signature = other.signature.clone();
    forged.keyid = other.keyid.clone();
    assert!(positions.verify(first.id(), &forged).expect("listed").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against the definition: of all releases that list it, the first by root and time; added in any order.
    #[test]
    fn a_position_is_the_first_release_that_lists_a_statement(
        releases in prop::collection::vec((1u64..=3, 0u64..6, prop::collection::btree_set(0usize..3, 0..4)), 0..7)
    ) {
        static STORY: std::sync::LazyLock<(Story, BTreeMap<u64, TrustedSet>)> = std::sync::LazyLock::new(|| {
            let mut story = two_approve_and_dave_rejects();
            story.chain.now = NOW.plus(days(10));
            story.chain.rotate(|_| {});
            story.chain.rotate(|policy| policy.channels.clear());
            let sets = (1..=3).map(|version| (version, at_root(&story.chain, version))).collect();
            (story, sets)
        });
        let (story, sets) = &*STORY;
        let mut positions = Positions::default();
        for (sequence, (root, day, listed)) in (2..).zip(&releases) {
            let ids: BTreeSet<_> = listed.iter().map(|at| story.said[*at].0.id()).collect();
            let release = listing(sequence, *root, NOW.plus(days(*day)), &ids);
            positions.add(sets[root].court().unwrap(), &release, ids).unwrap();
        }
        for (at, (said, envelope)) in story.said.iter().enumerate() {
            let lists = releases.iter().filter(|(_, _, listed)| listed.contains(&at));
            let expected = lists.map(|(root, day, _)| (*root, NOW.plus(days(*day)))).min();
            let found = positions.verify(said.id(), envelope).map(|judged| {
                let judged = judged.unwrap();
                (judged.evidence().root_version, judged.evidence().judged_at)
            });
            prop_assert_eq!(found, expected);
        }
    }
}
