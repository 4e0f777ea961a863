//! Changes for which an approval must name the release from which they start: coming back to what the channel has left,
//! going down in version, what reaches everything.

use std::collections::BTreeSet;

use attestation::{
    Class, Sha256Digest, StatementId,
    chain::Release,
    statement::{Claim, FromTree, Import, Review},
};
use policy::admission::{self, AdmissionRefusal, Bound, ChangedUnit, UnitState, admit};
use testkit::TestChain;

use crate::{
    NOW,
    admission::{covered, edit, import, names, said},
    statements::{approval, delta, judged, release, seen_from, statement},
};

/// The release that the import continues.
fn here() -> Release {
    release(3)
}

/// From `b` back to `a`, which two reviewers must approve.
fn back() -> ChangedUnit {
    edit(delta(Some("b"), Some("a")))
}

fn returning() -> ChangedUnit {
    ChangedUnit {
        left: Some(1),
        ..back()
    }
}

fn downgrade() -> ChangedUnit {
    ChangedUnit {
        version_down: true,
        ..back()
    }
}

fn sensitive() -> ChangedUnit {
    ChangedUnit {
        class: Class::Sensitive,
        ..back()
    }
}

fn judge_on(chain: &TestChain, changed: ChangedUnit, claims: &[(&str, Claim)]) -> UnitState {
    let statements = said(chain, claims);
    let set = judged(chain);
    let admission = admit(&set.court().unwrap(), &here(), vec![changed], &statements);
    admission.units()[0].state.clone()
}

fn judge(changed: ChangedUnit, claims: &[(&str, Claim)]) -> UnitState {
    judge_on(&TestChain::new(NOW), changed, claims)
}

/// What both alice and bob say.
fn both(claim: &Claim) -> [(&'static str, Claim); 2] {
    [("alice", claim.clone()), ("bob", claim.clone())]
}

fn b_to_a() -> Claim {
    approval(Some("b"), Some("a"))
}

#[test]
fn refuses_an_old_approval_when_the_channel_returns_to_what_it_left() {
    // Release 1 had a, 2 had b, and for a while the way back was approved: then a turned out to be vulnerable.
    let old = seen_from(&release(2), b_to_a());
    for claim in [&old, &b_to_a()] {
        let state = judge(returning(), &both(claim));
        let UnitState::Lacking {
            missing,
            by,
            bound,
            elsewhere,
        } = state
        else {
            panic!("{state:?}")
        };
        assert_eq!(bound, Some(Bound::Returns { release: 1 }));
        assert_eq!((missing[0].have, missing[0].need), (0, 2));
        assert_eq!(
            missing[0].could,
            names(&["alice", "bob", "carol"]),
            "they may say it again"
        );
        assert_eq!((by, elsewhere), (BTreeSet::new(), names(&["alice", "bob"])));
        // The honest twins: a content that the channel never left, and the same said again from here.
        assert_eq!(judge(back(), &both(claim)), covered(&["alice", "bob"]));
    }
    let now = seen_from(&here(), b_to_a());
    assert_eq!(judge(returning(), &both(&now)), covered(&["alice", "bob"]));
    let again = [both(&old), both(&now)].concat();
    assert_eq!(judge(returning(), &again), covered(&["alice", "bob"]));
}

#[test]
fn an_approval_from_here_and_an_old_one_are_one_persons() {
    let claims = [
        ("alice", seen_from(&here(), b_to_a())),
        ("bob", seen_from(&release(2), b_to_a())),
    ];
    for changed in [returning(), downgrade(), sensitive()] {
        let state = judge(changed.clone(), &claims);
        let UnitState::Lacking {
            missing, by, elsewhere, ..
        } = state
        else {
            panic!("{state:?}")
        };
        assert_eq!((missing[0].have, missing[0].need), (1, 2));
        assert_eq!((by, elsewhere), (names(&["alice"]), names(&["bob"])));
        let more = [claims.to_vec(), vec![("bob", seen_from(&here(), b_to_a()))]].concat();
        assert_eq!(judge(changed, &more), covered(&["alice", "bob"]));
    }
    assert_eq!(judge(back(), &claims), covered(&["alice", "bob"]), "an ordinary change");
}

#[test]
fn refuses_a_way_of_approved_steps_to_what_must_be_looked_at_whole() {
    let step = |from, to| both(&seen_from(&here(), approval(Some(from), Some(to))));
    let way = [step("b", "x"), step("x", "a")].concat();
    for (changed, bound) in [
        (returning(), Bound::Returns { release: 1 }),
        (downgrade(), Bound::VersionDown),
        (sensitive(), Bound::Sensitive),
    ] {
        let state = judge(changed.clone(), &way);
        assert!(
            matches!(&state, UnitState::Lacking { bound: found, .. } if *found == Some(bound)),
            "{state:?}"
        );
        let whole = [way.clone(), step("b", "a").to_vec()].concat();
        assert_eq!(judge(changed, &whole), covered(&["alice", "bob"]));
    }
    assert_eq!(judge(back(), &way), covered(&["alice", "bob"]), "an ordinary change");
}

#[test]
fn refuses_a_tree_of_another_channel_another_release_or_another_content() {
    let of = |edit: fn(&mut FromTree)| {
        let mut from = FromTree::of(&here());
        edit(&mut from);
        let Claim::Review(review) = b_to_a() else {
            unreachable!()
        };
        both(&Claim::Review(Review {
            from_tree: Some(from),
            ..review
        }))
    };
    for changed in [returning(), downgrade(), sensitive()] {
        assert_eq!(
            judge(changed.clone(), &of(|_| {})),
            covered(&["alice", "bob"]),
            "the honest twin"
        );
        for (what, claims) in [
            (
                "another channel that has the same tree",
                of(|from| from.channel = "stable".parse().unwrap()),
            ),
            ("an earlier release of the same tree", of(|from| from.sequence = 1)),
            ("a later release of the same tree", of(|from| from.sequence = 4)),
            (
                "another release under the same number",
                of(|from| from.tree_nar = Sha256Digest::of("another tree")),
            ),
        ] {
            let state = judge(changed.clone(), &claims);
            assert!(matches!(state, UnitState::Lacking { .. }), "{what}: {state:?}");
            assert_eq!(judge(back(), &claims), covered(&["alice", "bob"]), "{what}");
        }
    }
}

#[test]
fn a_reject_counts_from_wherever_it_was_said() {
    let approved = both(&seen_from(&here(), b_to_a())).to_vec();
    let reject = |from: Option<&Release>| {
        let claim = crate::statements::review([(delta(Some("b"), Some("a")), attestation::statement::Verdict::Reject)]);
        ("carol", from.map_or(claim.clone(), |from| seen_from(from, claim)))
    };
    assert_eq!(judge(returning(), &approved), covered(&["alice", "bob"]));
    for from in [None, Some(release(1)), Some(here())] {
        let state = judge(returning(), &[approved.clone(), vec![reject(from.as_ref())]].concat());
        assert!(matches!(state, UnitState::Rejected { .. }), "{state:?}");
    }
}

#[test]
fn an_approval_that_was_taken_back_counts_from_nowhere() {
    let chain = TestChain::new(NOW);
    let approved = both(&seen_from(&here(), b_to_a())).to_vec();
    let taken_back = |id: StatementId| {
        let claim = Claim::Review(Review {
            criteria: "second thoughts".to_owned(),
            verdicts: Vec::new(),
            supersedes: [id].into(),
            from_tree: None,
        });
        ("bob", claim)
    };
    let id = statement(&chain, "bob", approved[1].1.clone()).id();
    assert_eq!(judge_on(&chain, returning(), &approved), covered(&["alice", "bob"]));
    let state = judge_on(&chain, returning(), &[approved, vec![taken_back(id)]].concat());
    let UnitState::Lacking { by, elsewhere, .. } = state else {
        panic!("{state:?}")
    };
    assert_eq!((by, elsewhere), (names(&["alice"]), BTreeSet::new()));
}

#[test]
fn the_rule_still_says_how_many_and_who() {
    // Two from here, but one of them is nobody of the role that the rule asks for.
    let claim = seen_from(&here(), b_to_a());
    let state = judge(sensitive(), &[("alice", claim.clone()), ("dave", claim)]);
    assert!(matches!(state, UnitState::Lacking { .. }), "{state:?}");
}

#[test]
fn refuses_an_import_that_starts_elsewhere_than_its_changes_were_judged_from() {
    let chain = TestChain::new(NOW);
    let verify = |last: &Release, edit: fn(&mut Import)| {
        let the_delta = delta(Some("b"), Some("a"));
        let mut import = import(&chain, std::slice::from_ref(&the_delta));
        edit(&mut import);
        let approved = both(&seen_from(last, b_to_a())).to_vec();
        let claims = [approved, vec![("alice", Claim::Import(import.clone()))]].concat();
        let statements = said(&chain, &claims);
        let set = judged(&chain);
        let court = set.court().unwrap();
        let admission = admit(&court, last, vec![returning()], &statements);
        admission::verify_import(&court, &import, &BTreeSet::new(), &admission, &statements)
    };
    verify(&here(), |_| {}).expect("the honest twin");
    let mut other = here();
    other.commit = "99".repeat(20).parse().unwrap();
    let mut stable = here();
    stable.channel = "stable".parse().unwrap();
    for refused in [
        verify(&other, |_| {}),
        verify(&stable, |_| {}),
        verify(&here(), |import| import.from = "98".repeat(20).parse().unwrap()),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, AdmissionRefusal::OtherStart { .. }), "{error:?}");
    }
}
