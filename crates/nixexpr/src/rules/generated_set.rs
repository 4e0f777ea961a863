//! `generated-set`

use attestation::unit::FindingLevel;

use crate::{compare::Comparison, Rule, rule::{Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "generated-set",
    level: FindingLevel::S,
    fires: "an entry of a generated set changed; whether it is what the registry has takes the registry's index",
    because: "a needle in a bulk diff",
    example: "-    sha256 = \"1aa…\";\n+    sha256 = \"1bb…\";",
    advice: "Generate the file again from the registry and compare, or run with --sources. Source check wanted.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in &comparison.sources {
        // Hackage's: a builder makes the source of a name, a version and a hash.
        let Some(new) = new.filter(|new| new.fetcher == "hackage") else {
            continue;
        };
        if old.is_none_or(|old| old.fetcher != new.fetcher || old.hash != new.hash || old.revision != new.revision || old.origin != new.origin) {
            found.push(comparison.found(new.at, "source check wanted: is the entry what the registry's index has".to_owned()));
        }
    }
}
