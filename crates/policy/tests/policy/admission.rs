//! Whether reviews are enough: what approves, what breaks, who may.

use std::collections::BTreeSet;

use attestation::{
    Class, Delta, PersonName, Sha256Digest, StatementId,
    statement::{Claim, Exemption, Import, Review, Verdict, ViolatedContent, Violation},
    unit::{FindingLevel, PARTITION_VERSION},
};
use policy::{
    Verified,
    admission::{self, Admission, AdmissionRefusal, ChangedUnit, UnitState, admit},
};
use testkit::TestChain;

use crate::{
    NOW, days,
    statements::{approval, content, delta, envelope, judged, release, review, statement},
};

/// What people say, each with their first key.
pub(crate) fn said(chain: &TestChain, claims: &[(&str, Claim)]) -> Vec<Verified<attestation::statement::Statement>> {
    let set = judged(chain);
    let court = set.court().unwrap();
    claims
        .iter()
        .map(|(author, claim)| {
            let said = statement(chain, author, claim.clone());
            court.verify(&envelope(chain, author, 0, &said)).unwrap()
        })
        .collect()
}

pub(crate) fn edit(delta: Delta) -> ChangedUnit {
    ChangedUnit {
        delta,
        class: Class::Edit,
        highest_finding: None,
        version_down: false,
        left: None,
    }
}

pub(crate) fn judge_one(chain: &TestChain, changed: ChangedUnit, claims: &[(&str, Claim)]) -> UnitState {
    let statements = said(chain, claims);
    let set = judged(chain);
    let admission = admit(&set.court().unwrap(), &release(3), vec![changed], &statements);
    admission.units()[0].state.clone()
}

/// An edit from `a` to `c` of a unit that two reviewers must approve.
fn a_to_c(claims: &[(&str, Claim)]) -> UnitState {
    judge_one(&TestChain::new(NOW), edit(delta(Some("a"), Some("c"))), claims)
}

pub(crate) fn names(names: &[&str]) -> BTreeSet<PersonName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(crate) fn covered(by: &[&str]) -> UnitState {
    UnitState::Covered { by: names(by) }
}

fn approve(author: &'static str, from: &str, to: &str) -> (&'static str, Claim) {
    (author, approval(Some(from), Some(to)))
}

fn reject(author: &'static str, from: &str, to: &str) -> (&'static str, Claim) {
    (author, review([(delta(Some(from), Some(to)), Verdict::Reject)]))
}

pub(crate) fn violation(author: &'static str, name: &str) -> (&'static str, Claim) {
    let contents = [ViolatedContent {
        unit: "pkgs/hello".parse().unwrap(),
        content: content(name),
    }];
    let reason = "a backdoor".to_owned();
    (
        author,
        Claim::Violation(Violation {
            contents: contents.into(),
            reason,
            trees: BTreeSet::new(),
        }),
    )
}

fn is_lacking(state: &UnitState) -> bool {
    matches!(state, UnitState::Lacking { .. })
}

#[test]
fn two_approvals_cover_and_one_person_is_one() {
    assert_eq!(
        a_to_c(&[approve("alice", "a", "c"), approve("bob", "a", "c")]),
        covered(&["alice", "bob"])
    );
    let state = a_to_c(&[approve("alice", "a", "c"), approve("alice", "a", "c")]);
    let UnitState::Lacking { missing, by, .. } = state else {
        panic!("{state:?}")
    };
    assert_eq!(by, names(&["alice"]));
    assert_eq!((missing[0].have, missing[0].need), (1, 2));
    assert_eq!(missing[0].could, names(&["bob", "carol"]));
}

#[test]
fn refuses_an_approval_by_somebody_without_the_role() {
    assert!(is_lacking(&a_to_c(&[
        approve("alice", "a", "c"),
        approve("dave", "a", "c")
    ])));
}

#[test]
fn a_path_of_approved_changes_covers() {
    let first = [approve("alice", "a", "b"), approve("bob", "a", "b")];
    let second = [approve("bob", "b", "c"), approve("carol", "b", "c")];
    let both = [first.clone(), second.clone()].concat();
    assert_eq!(a_to_c(&both), covered(&["alice", "bob", "carol"]));
    // Each step alone, and each step by one person only, does not.
    assert!(is_lacking(&a_to_c(&first)));
    assert!(is_lacking(&a_to_c(&second)));
    assert!(is_lacking(&a_to_c(&[
        both[0].clone(),
        both[1].clone(),
        both[2].clone()
    ])));
}

#[test]
fn refuses_an_approval_of_another_change() {
    for (from, to) in [("a", "b"), ("c", "a"), ("b", "c")] {
        let state = a_to_c(&[approve("alice", from, to), approve("bob", from, to)]);
        assert!(is_lacking(&state), "{from} -> {to}");
    }
    // The same contents of another unit.
    let mut other = delta(Some("a"), Some("c"));
    other.unit = "pkgs/hallo".parse().unwrap();
    let claim = review([(other, Verdict::Approve)]);
    assert!(is_lacking(&a_to_c(&[("alice", claim.clone()), ("bob", claim)])));
    // As a new unit, and as its removal.
    for claim in [approval(None, Some("c")), approval(Some("a"), None)] {
        assert!(is_lacking(&a_to_c(&[("alice", claim.clone()), ("bob", claim)])));
    }
}

#[test]
fn cycles_of_approved_changes_cover_nothing_more() {
    let mut claims = Vec::new();
    for (from, to) in [("a", "b"), ("b", "a"), ("b", "b"), ("c", "d"), ("d", "c"), ("d", "a")] {
        claims.extend([approve("alice", from, to), approve("bob", from, to)]);
    }
    assert!(is_lacking(&a_to_c(&claims)));
    claims.extend([approve("alice", "b", "d"), approve("bob", "b", "d")]);
    assert_eq!(a_to_c(&claims), covered(&["alice", "bob"]));
}

#[test]
fn a_reject_overrides_approvals() {
    let approved = [approve("alice", "a", "c"), approve("bob", "a", "c")];
    for rejected in [reject("carol", "a", "c"), reject("dave", "x", "c")] {
        let by = rejected.0;
        let state = a_to_c(&[approved.to_vec(), vec![rejected]].concat());
        assert!(
            matches!(&state, UnitState::Rejected { by: found, .. } if *found == names(&[by])),
            "{state:?}"
        );
    }
    // Of a content on the way: the path is closed.
    let path = [
        approve("alice", "a", "b"),
        approve("bob", "a", "b"),
        approve("alice", "b", "c"),
        approve("bob", "b", "c"),
    ];
    assert_eq!(a_to_c(&path), covered(&["alice", "bob"]));
    assert!(is_lacking(&a_to_c(
        &[path.to_vec(), vec![reject("carol", "a", "b")]].concat()
    )));
    // Of another content: nothing.
    let state = a_to_c(&[approved.to_vec(), vec![reject("carol", "a", "d")]].concat());
    assert_eq!(state, covered(&["alice", "bob"]));
}

#[test]
fn a_violation_overrides_approvals_and_breaks_paths_through_it() {
    let approved = [approve("alice", "a", "c"), approve("bob", "a", "c")];
    let state = a_to_c(&[approved.to_vec(), vec![violation("dave", "c")]].concat());
    assert!(matches!(state, UnitState::Violated { .. }), "{state:?}");
    let path = [
        approve("alice", "a", "b"),
        approve("bob", "a", "b"),
        approve("alice", "b", "c"),
        approve("bob", "b", "c"),
    ];
    assert!(is_lacking(&a_to_c(
        &[path.to_vec(), vec![violation("dave", "b")]].concat()
    )));
    // A way out of a violated content is what everybody wants.
    let state = a_to_c(&[approved.to_vec(), vec![violation("dave", "a")]].concat());
    assert_eq!(state, covered(&["alice", "bob"]));
}

/// Takes back the author's statement with this id.
fn supersede(id: StatementId) -> Claim {
    Claim::Review(Review {
        criteria: "second thoughts".to_owned(),
        verdicts: Vec::new(),
        supersedes: [id].into(),
        from_tree: None,
    })
}

#[test]
fn a_reject_is_lifted_by_its_own_author_only() {
    let chain = TestChain::new(NOW);
    let rejected = reject("carol", "a", "c");
    let id = statement(&chain, "carol", rejected.1.clone()).id();
    let base = [approve("alice", "a", "c"), approve("bob", "a", "c"), rejected];
    let judge = |more: (&str, Claim)| {
        let claims = [base.to_vec(), vec![more]].concat();
        judge_one(&chain, edit(delta(Some("a"), Some("c"))), &claims)
    };
    let state = judge(("bob", supersede(id)));
    assert!(
        matches!(state, UnitState::Rejected { .. }),
        "bob lifted carol's reject: {state:?}"
    );
    assert_eq!(judge(("carol", supersede(id))), covered(&["alice", "bob"]));
}

#[test]
fn an_approval_taken_back_counts_no_more() {
    let chain = TestChain::new(NOW);
    let id = statement(&chain, "bob", approve("bob", "a", "c").1).id();
    let base = vec![approve("alice", "a", "c"), approve("bob", "a", "c")];
    let judge = |more: Vec<(&str, Claim)>| {
        judge_one(
            &chain,
            edit(delta(Some("a"), Some("c"))),
            &[base.clone(), more].concat(),
        )
    };
    assert_eq!(judge(Vec::new()), covered(&["alice", "bob"]));
    assert!(is_lacking(&judge(vec![("bob", supersede(id))])));
    assert_eq!(judge(vec![("alice", supersede(id))]), covered(&["alice", "bob"]));
}

#[test]
fn the_rule_follows_path_class_and_findings() {
    let chain = TestChain::new(NOW);
    let one = |class, highest_finding, unit: &str| {
        let mut changed = edit(delta(Some("a"), Some("c")));
        changed.class = class;
        changed.highest_finding = highest_finding;
        changed.delta.unit = unit.parse().unwrap();
        let claim = review([(changed.delta.clone(), Verdict::Approve)]);
        let statements = |who: &[&'static str]| who.iter().map(|name| (*name, claim.clone())).collect::<Vec<_>>();
        let enough = |who: &[&'static str]| {
            matches!(
                judge_one(&chain, changed.clone(), &statements(who)),
                UnitState::Covered { .. }
            )
        };
        [
            enough(&["alice"]),
            enough(&["alice", "bob"]),
            enough(&["alice", "bob", "dave"]),
        ]
    };
    assert_eq!(
        one(Class::Bump, None, "pkgs/hello"),
        [true, true, true],
        "a bump without findings"
    );
    assert_eq!(
        one(Class::Bump, Some(FindingLevel::S), "pkgs/hello"),
        [true, true, true],
        "a bump whose source should be looked at"
    );
    for level in [FindingLevel::H, FindingLevel::B] {
        assert_eq!(
            one(Class::Bump, Some(level), "pkgs/hello"),
            [false, true, true],
            "a bump with a finding of level {level:?}"
        );
    }
    assert_eq!(one(Class::Edit, None, "pkgs/hello"), [false, true, true], "an edit");
    assert_eq!(
        one(Class::Bump, None, "lib/strings"),
        [false, false, true],
        "lib needs crypto too"
    );
}

pub(crate) fn import(chain: &TestChain, deltas: &[Delta]) -> Import {
    let channel = "unstable".parse().unwrap();
    let entry = &chain.policy().channels[&channel];
    Import {
        upstream: entry.upstream.clone(),
        branch: entry.branch.clone(),
        channel,
        from: "11".repeat(20).parse().unwrap(),
        to: "22".repeat(20).parse().unwrap(),
        to_tree: "33".repeat(20).parse().unwrap(),
        patched: None,
        tree_nar: Sha256Digest::of("tree"),
        partition: PARTITION_VERSION,
        delta_count: deltas.len() as u64,
        deltas: Delta::list_digest(deltas),
    }
}

/// What becomes of `import` when alice and bob approved its one change and `author` made its statement.
fn verify_import(author: &str, change: impl Fn(&mut Import)) -> Result<Verified<Import>, AdmissionRefusal> {
    let chain = TestChain::new(NOW);
    let the_delta = delta(Some("a"), Some("c"));
    let mut import = import(&chain, std::slice::from_ref(&the_delta));
    change(&mut import);
    let claims = [
        approve("alice", "a", "c"),
        approve("bob", "a", "c"),
        (author, Claim::Import(import.clone())),
    ];
    let statements = said(&chain, &claims);
    let set = judged(&chain);
    let court = set.court().unwrap();
    let admission: Admission = admit(&court, &release(3), vec![edit(the_delta)], &statements);
    admission::verify_import(&court, &import, &BTreeSet::new(), &admission, &statements)
}

#[test]
fn refuses_an_import_that_names_something_else_than_was_judged() {
    verify_import("alice", |_| {}).expect("the honest twin");
    for change in [
        (|import| import.deltas = Delta::list_digest(&[])) as fn(&mut Import),
        |import| import.deltas = Delta::list_digest(&[delta(Some("a"), Some("d"))]),
        |import| import.delta_count = 2,
    ] {
        assert_eq!(
            verify_import("alice", change).unwrap_err(),
            AdmissionRefusal::OtherDeltas
        );
    }
    for (change, expected) in [
        ((|import| import.upstream.push('x')) as fn(&mut Import), "upstream"),
        (|import| import.branch = "master".to_owned(), "branch"),
        (|import| import.partition += 1, "partition"),
        (|import| import.channel = "elsewhere".parse().unwrap(), "channel"),
    ] {
        let error = verify_import("alice", change).unwrap_err();
        assert!(
            matches!(&error, AdmissionRefusal::NotThePolicys { member, .. } if *member == expected),
            "{error:?}"
        );
    }
}

#[test]
fn refuses_an_import_without_a_statement_of_the_channels_people() {
    let error = verify_import("dave", |_| {}).unwrap_err();
    assert!(matches!(error, AdmissionRefusal::NoStatement { .. }), "{error:?}");
}

#[test]
fn refuses_an_import_with_an_open_unit() {
    let chain = TestChain::new(NOW);
    let the_delta = delta(Some("a"), Some("c"));
    let import = import(&chain, std::slice::from_ref(&the_delta));
    let statements = said(
        &chain,
        &[approve("alice", "a", "c"), ("alice", Claim::Import(import.clone()))],
    );
    let set = judged(&chain);
    let court = set.court().unwrap();
    let admission = admit(&court, &release(3), vec![edit(the_delta)], &statements);
    let error = admission::verify_import(&court, &import, &BTreeSet::new(), &admission, &statements).unwrap_err();
    assert!(
        matches!(error, AdmissionRefusal::Open { open: 1, total: 1, .. }),
        "{error:?}"
    );
}

/// What is exempted by statements of these people, now.
fn exempted(people: &[&'static str], change: impl Fn(&mut Exemption)) -> usize {
    let chain = TestChain::new(NOW);
    let mut exemption = Exemption {
        channel: "unstable".parse().unwrap(),
        commit: "11".repeat(20).parse().unwrap(),
        tree: "22".repeat(20).parse().unwrap(),
        tree_nar: Sha256Digest::of("tree"),
        reason: "the beginning".to_owned(),
        until: NOW.plus(days(30)),
    };
    change(&mut exemption);
    let claims: Vec<_> = people
        .iter()
        .map(|name| (*name, Claim::Exemption(exemption.clone())))
        .collect();
    let set = judged(&chain);
    admission::exemptions(&set.court().unwrap(), &said(&chain, &claims)).len()
}

#[test]
fn refuses_an_exemption_below_roots_threshold() {
    assert_eq!(exempted(&["alice", "bob"], |_| {}), 1, "the honest twin");
    assert_eq!(exempted(&["alice"], |_| {}), 0);
    assert_eq!(exempted(&["alice", "alice"], |_| {}), 0, "one person twice");
    assert_eq!(exempted(&["alice", "dave"], |_| {}), 0, "somebody outside root");
    assert_eq!(exempted(&["alice", "bob"], |e| e.until = NOW), 0, "it is over");
    assert_eq!(
        exempted(&["alice", "bob"], |e| e.channel = "elsewhere".parse().unwrap()),
        0
    );
}

#[test]
fn refuses_exemptions_that_differ_in_anything() {
    let chain = TestChain::new(NOW);
    let claim = |reason: &str| {
        Claim::Exemption(Exemption {
            channel: "unstable".parse().unwrap(),
            commit: "11".repeat(20).parse().unwrap(),
            tree: "22".repeat(20).parse().unwrap(),
            tree_nar: Sha256Digest::of("tree"),
            reason: reason.to_owned(),
            until: NOW.plus(days(30)),
        })
    };
    let set = judged(&chain);
    let court = set.court().unwrap();
    let two = said(&chain, &[("alice", claim("one")), ("bob", claim("another"))]);
    assert!(admission::exemptions(&court, &two).is_empty());
}

/// Statements of another chain, by people of the same names, say nothing here.
#[test]
fn ignores_statements_that_were_verified_under_another_chain() {
    let (chain, other) = (TestChain::new(NOW), TestChain::new(NOW));
    let claims = [approve("alice", "a", "c"), approve("bob", "a", "c")];
    let foreign = said(&other, &claims);
    let set = judged(&chain);
    let changed = edit(delta(Some("a"), Some("c")));
    let admission = admit(&set.court().unwrap(), &release(3), vec![changed], &foreign);
    assert!(is_lacking(&admission.units()[0].state));
}
