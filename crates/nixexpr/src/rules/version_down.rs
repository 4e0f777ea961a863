//! `version-down`

use std::cmp::Ordering;

use attestation::unit::FindingLevel;

use crate::{version, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "version-down",
    level: FindingLevel::H,
    fires: "the version of a package decreased",
    because: "it brings old vulnerabilities back",
    example: "-    version = \"1.3\";\n+    version = \"1.2.9\";",
    advice: "Ask which vulnerabilities were mended in between. A revert says what it reverts, and why.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in comparison.packages.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        if let (Some(was), Some(is)) = (old.version.known(), new.version.known())
            && version::compare(was, is) == Ordering::Greater
            && !is_commit(was)
            && !is_commit(is)
        {
            found.push(comparison.found(new.at, format!("{} goes from {was} to {is}", new.title())));
        }
    }
}

/// A commit id has no order.
fn is_commit(version: &str) -> bool {
    version.len() >= 7 && version.bytes().all(|byte| byte.is_ascii_hexdigit()) && version.bytes().any(|byte| byte.is_ascii_alphabetic())
}
