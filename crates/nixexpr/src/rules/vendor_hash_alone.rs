//! `vendor-hash-alone`

use attestation::unit::FindingLevel;

use crate::{names, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "vendor-hash-alone",
    level: FindingLevel::S,
    fires: "the hash of what a lock file names changed, the source did not",
    because: "dependencies can be swapped behind an unchanged source",
    example: "-  cargoHash = \"sha256-AAA…\";\n+  cargoHash = \"sha256-BBB…\";",
    advice: "Vendor again from the source's own lock file and compare. Source check wanted.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in comparison.packages.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        let (Some(old_view), Some(new_view)) = (comparison.old, comparison.new) else {
            return;
        };
        let moved = match (comparison.first_source(comparison.old, old), comparison.first_source(comparison.new, new)) {
            (Some(was), Some(is)) => was.hash != is.hash || was.urls != is.urls || was.revision != is.revision,
            _ => old.version != new.version,
        };
        if moved {
            continue;
        }
        for (name, text) in new_view.file().vendor_hashes(new.set) {
            let was = old_view.file().vendor_hashes(old.set).into_iter().find(|(other, _)| *other == name);
            if was.is_some_and(|(_, was)| was != text) {
                found.push(comparison.found(new.at, format!("source check wanted: {name} changed alone")));
            }
        }
    }
    for (old, new) in comparison.sources.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        let vendored = names::fetcher(new.fetcher) == Some(names::Fetcher::Vendor);
        if vendored && old.hash != new.hash && !comparison.version_changed_at(new.at) {
            found.push(comparison.found(new.at, format!("source check wanted: the hash of {} changed alone", comparison.title(new))));
        }
    }
}
