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
            && goes_down(was, is)
        {
            found.push(comparison.found(new.at, format!("{} goes from {was} to {is}", new.title())));
        }
    }
}

/// Commit ids in versions have no order; what is beside them has.
fn goes_down(was: &str, is: &str) -> bool {
    match (version::without_commits(was), version::without_commits(is)) {
        (None, None) => version::compare(was, is) == Ordering::Greater,
        (Some(was), Some(is)) => version::compare(&was, &is) == Ordering::Greater,
        _ => false,
    }
}
