//! Coverage against a naive oracle: random approvals, rejects and violations over a handful of contents.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use attestation::{
    Class,
    statement::{Claim, Verdict, ViolatedContent, Violation},
};
use policy::admission::{ChangedUnit, UnitState, admit};
use proptest::prelude::*;
use testkit::TestChain;

use crate::{
    NOW,
    statements::{content, delta, envelope, judged, review, statement},
};

const REVIEWERS: [&str; 3] = ["alice", "bob", "carol"];
const CONTENTS: [Option<&str>; 6] = [None, Some("a"), Some("b"), Some("c"), Some("d"), Some("e")];

static CHAIN: LazyLock<TestChain> = LazyLock::new(|| TestChain::new(NOW));

/// Who said what about which edge, and which contents somebody violated.
#[derive(Debug, Clone)]
struct World {
    verdicts: BTreeMap<(usize, usize, usize), bool>,
    violated: BTreeSet<usize>,
    from: usize,
    to: usize,
}

fn world() -> impl Strategy<Value = World> {
    let place = 0..CONTENTS.len();
    let verdicts = prop::collection::btree_map(
        (0..REVIEWERS.len(), place.clone(), place.clone()),
        prop::bool::weighted(0.95),
        0..40,
    );
    let violated = prop::collection::btree_set(1..CONTENTS.len(), 0..2);
    (verdicts, violated, place.clone(), place).prop_map(|(verdicts, violated, from, to)| World {
        verdicts,
        violated,
        from,
        to,
    })
}

/// By the definition: try every sequence of distinct contents.
fn oracle(world: &World) -> &'static str {
    let rejected: BTreeSet<usize> = world
        .verdicts
        .iter()
        .filter(|(_, approve)| !**approve)
        .map(|((_, _, to), _)| *to)
        .collect();
    if world.violated.contains(&world.to) {
        return "violated";
    }
    if rejected.contains(&world.to) {
        return "rejected";
    }
    let approved = |from: usize, to: usize| {
        let by = |who: &usize| world.verdicts.get(&(*who, from, to)) == Some(&true);
        (0..REVIEWERS.len()).filter(by).count() >= 2
    };
    fn search(at: usize, to: usize, seen: &mut Vec<usize>, step: &dyn Fn(usize, usize) -> bool) -> bool {
        if at == to {
            return true;
        }
        (0..CONTENTS.len()).any(|next| {
            if seen.contains(&next) || !step(at, next) {
                return false;
            }
            seen.push(next);
            let found = search(next, to, seen, step);
            seen.pop();
            found
        })
    }
    let step = |from: usize, to: usize| approved(from, to) && !rejected.contains(&to) && !world.violated.contains(&to);
    if world.from != world.to && search(world.from, world.to, &mut vec![world.from], &step) {
        "covered"
    } else {
        "lacking"
    }
}

fn engine(world: &World) -> UnitState {
    let chain = &*CHAIN;
    let set = judged(chain);
    let court = set.court().unwrap();
    let mut claims: Vec<(&str, Claim)> = Vec::new();
    for (who, name) in REVIEWERS.iter().enumerate() {
        let own = world.verdicts.iter().filter(|((by, ..), _)| *by == who);
        let verdicts: Vec<_> = own
            .map(|((_, from, to), approve)| {
                let verdict = if *approve { Verdict::Approve } else { Verdict::Reject };
                (delta(CONTENTS[*from], CONTENTS[*to]), verdict)
            })
            .collect();
        if !verdicts.is_empty() {
            claims.push((name, review(verdicts)));
        }
    }
    if !world.violated.is_empty() {
        let bad = world.violated.iter().map(|index| ViolatedContent {
            unit: "pkgs/hello".parse().unwrap(),
            content: content(CONTENTS[*index].unwrap()),
        });
        let reason = "bad".to_owned();
        claims.push((
            "dave",
            Claim::Violation(Violation {
                contents: bad.collect(),
                reason,
                trees: BTreeSet::new(),
            }),
        ));
    }
    let statements: Vec<_> = claims
        .into_iter()
        .map(|(author, claim)| {
            let said = statement(chain, author, claim);
            court.verify(&envelope(chain, author, 0, &said)).unwrap()
        })
        .collect();
    let changed = ChangedUnit {
        delta: delta(CONTENTS[world.from], CONTENTS[world.to]),
        class: Class::Edit,
        highest_finding: None,
    };
    admit(&court, vec![changed], &statements).units()[0].state.clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn coverage_is_what_the_definition_says(world in world()) {
        let found = match engine(&world) {
            UnitState::Covered { .. } => "covered",
            UnitState::Lacking { .. } => "lacking",
            UnitState::Rejected { .. } => "rejected",
            UnitState::Violated { .. } => "violated",
        };
        prop_assert_eq!(found, oracle(&world));
    }
}
