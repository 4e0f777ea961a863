//! `opaque-fixture`

use attestation::unit::FindingLevel;

use crate::{compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "opaque-fixture",
    level: FindingLevel::S,
    fires: "a source changed; whether it has new binary test files or a generated configure takes the source",
    because: "the payload of the xz backdoor was hidden in test files",
    example: "-    hash = \"sha256-AAA…\";\n+    hash = \"sha256-BBB…\";",
    advice: "List the binary files that are new in the source and ask for what reads them, or run with --sources. Source check wanted.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in &comparison.sources {
        if let Some(new) = new.filter(|new| !new.is_patch())
            && old.is_none_or(|old| old.hash != new.hash)
        {
            found.push(comparison.found(new.at, "source check wanted: new binary files, generated configure".to_owned()));
        }
    }
}
