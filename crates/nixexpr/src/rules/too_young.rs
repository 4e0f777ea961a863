//! `too-young`

use attestation::unit::FindingLevel;

use crate::{Fact, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "too-young",
    level: FindingLevel::S,
    fires: "a version changed; how old the release is takes the source",
    because: "a takeover is noticed in the first days, if at all",
    example: "-    version = \"1.2\";\n+    version = \"1.3\";",
    advice: "Look up when the release was published; wait for the cool-down unless it mends a vulnerability. Source check wanted.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in &comparison.packages {
        let Some(new) = new else {
            continue;
        };
        if let Some(version) = new.version.known()
            && old.is_none_or(|old| old.version != new.version)
            && !matches!(new.sources.known(), Some(sources) if sources.is_empty())
            && new.sources != Fact::Absent
        {
            found.push(comparison.found(new.at, format!("source check wanted: the age of {} {version}", new.title())));
        }
    }
}
