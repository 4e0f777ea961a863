//! `rev-unreachable`

use attestation::unit::FindingLevel;

use crate::{compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "rev-unreachable",
    level: FindingLevel::S,
    fires: "a commit id changed; whether the source's branches or tags reach it takes the source",
    because: "a fork's object can be fetched under the name of the repository (an imposter commit)",
    example: "-    rev = \"08c6903c…\";\n+    rev = \"ee55a6b7…\";",
    advice: "Clone the source and ask `git branch --contains` and `git tag --contains`, or run with --sources. Source check wanted.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in &comparison.sources {
        let Some(new) = new else {
            continue;
        };
        let Some(revision) = new.revision.known().filter(|revision| is_commit(revision)) else {
            continue;
        };
        if old.is_none_or(|old| old.revision != new.revision) {
            found.push(comparison.found(new.at, format!("source check wanted: is {revision} reachable")));
        }
    }
}

fn is_commit(revision: &str) -> bool {
    revision.len() >= 7 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
