//! `tarball-not-tag`

use attestation::unit::FindingLevel;

use crate::{Fact, origin::Nature, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "tarball-not-tag",
    level: FindingLevel::S,
    fires: "a source that somebody uploaded changed; whether it has files that the tag lacks takes the source",
    because: "the trigger of the xz backdoor was in the tarball alone",
    example: "-    url = \"…/xz-5.4.6.tar.gz\";\n+    url = \"…/xz-5.6.0.tar.gz\";",
    advice: "Compare the file with the tag, or run with --sources. Source check wanted.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in &comparison.sources {
        let Some(new) = new.filter(|new| new.nature == Fact::Known(Nature::Upload) && !new.is_patch()) else {
            continue;
        };
        if old.is_none_or(|old| old.hash != new.hash) {
            found.push(comparison.found(new.at, "source check wanted: does the upload have what the tag has not".to_owned()));
        }
    }
}
