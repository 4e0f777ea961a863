//! Coverage against a naive oracle: random approvals (from here, from elsewhere), rejects and violations over a handful of
//! contents, of changes that must name the release from which they start and of others.

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
    statements::{content, delta, envelope, judged, release, review, seen_from, statement},
};

const REVIEWERS: [&str; 3] = ["alice", "bob", "carol"];
const CONTENTS: [Option<&str>; 6] = [None, Some("a"), Some("b"), Some("c"), Some("d"), Some("e")];

static CHAIN: LazyLock<TestChain> = LazyLock::new(|| TestChain::new(NOW));

/// Who said what about which edge, and which contents somebody violated.
#[derive(Debug, Clone)]
struct World {
    verdicts: BTreeMap<(usize, usize, usize), Said>,
    violated: BTreeSet<usize>,
    from: usize,
    to: usize,
    bound: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Reject,
    ApproveHere,
    ApproveElsewhere,
    ApproveAnywhere,
}

fn world() -> impl Strategy<Value = World> {
    let place = 0..CONTENTS.len();
    let verdicts = prop::collection::btree_map(
        (0..REVIEWERS.len(), place.clone(), place.clone()),
        prop_oneof![
            1 => Just(Said::Reject),
            12 => Just(Said::ApproveHere),
            4 => Just(Said::ApproveElsewhere),
            4 => Just(Said::ApproveAnywhere),
        ],
        0..40,
    );
    let violated = prop::collection::btree_set(1..CONTENTS.len(), 0..2);
    (verdicts, violated, place.clone(), place, prop::bool::ANY).prop_map(|(verdicts, violated, from, to, bound)| {
        World {
            verdicts,
            violated,
            from,
            to,
            bound,
        }
    })
}

/// By the definition: try every sequence of distinct contents.
fn oracle(world: &World) -> &'static str {
    let rejected: BTreeSet<usize> = world
        .verdicts
        .iter()
        .filter(|(_, said)| **said == Said::Reject)
        .map(|((_, _, to), _)| *to)
        .collect();
    if world.violated.contains(&world.to) {
        return "violated";
    }
    if rejected.contains(&world.to) {
        return "rejected";
    }
    let count = |from: usize, to: usize, counts: &dyn Fn(Said) -> bool| {
        let by = |who: &usize| world.verdicts.get(&(*who, from, to)).is_some_and(|said| counts(*said));
        (0..REVIEWERS.len()).filter(by).count() >= 2
    };
    if world.bound {
        let enough = count(world.from, world.to, &|said| said == Said::ApproveHere);
        return if world.from != world.to && enough {
            "covered"
        } else {
            "lacking"
        };
    }
    let approved = |from: usize, to: usize| count(from, to, &|said| said != Said::Reject);
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
        for kind in [
            Said::Reject,
            Said::ApproveHere,
            Said::ApproveElsewhere,
            Said::ApproveAnywhere,
        ] {
            let own = world
                .verdicts
                .iter()
                .filter(|((by, ..), said)| *by == who && **said == kind);
            let verdict = if kind == Said::Reject {
                Verdict::Reject
            } else {
                Verdict::Approve
            };
            let verdicts: Vec<_> = own
                .map(|((_, from, to), _)| (delta(CONTENTS[*from], CONTENTS[*to]), verdict))
                .collect();
            if verdicts.is_empty() {
                continue;
            }
            let claim = review(verdicts);
            claims.push((
                name,
                match kind {
                    Said::ApproveHere => seen_from(&release(3), claim),
                    Said::ApproveElsewhere => seen_from(&release(2), claim),
                    Said::Reject | Said::ApproveAnywhere => claim,
                },
            ));
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
        version_down: world.bound,
        left: None,
    };
    admit(&court, &release(3), vec![changed], &statements).units()[0]
        .state
        .clone()
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
