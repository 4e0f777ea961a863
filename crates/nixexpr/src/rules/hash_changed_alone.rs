//! `hash-changed-alone`

use attestation::unit::FindingLevel;

use crate::{names, Source, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "hash-changed-alone",
    level: FindingLevel::B,
    fires: "a hash changed, what it is the hash of did not: neither version, revision nor URL",
    because: "a re-upload, or a swap",
    example: "     version = \"1.2\";\n-    hash = \"sha256-AAA…\";\n+    hash = \"sha256-BBB…\";",
    advice: "Fetch both contents and compare them. Ask upstream why it replaced a release.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in comparison.sources.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        if is_vendor(new) || !old.hash.is_known() || !new.hash.is_known() || old.hash == new.hash {
            continue;
        }
        let same = old.urls == new.urls && old.revision == new.revision && old.origin == new.origin;
        // Where the place is not known, the version of its package tells.
        let stepped = !places_known(new) && comparison.version_changed_at(new.at);
        if same && !stepped && !comparison.meaning_changed(old, new) {
            found.push(comparison.found(new.at, format!("another hash of {}", comparison.title(new))));
        }
    }
    for (old, new) in comparison.packages.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        let was = comparison.old.and_then(|view| view.file().own_hash(old.set));
        let is = comparison.new.and_then(|view| view.file().own_hash(new.set));
        let (Some(was), Some(is)) = (was, is) else {
            continue;
        };
        if was != is && old.version == new.version && old.pname == new.pname && old.version.is_known() {
            found.push(comparison.found(new.at, format!("another output hash of {}", new.title())));
        }
    }
}

fn is_vendor(source: &Source<'_>) -> bool {
    names::fetcher(source.fetcher) == Some(names::Fetcher::Vendor)
}

fn places_known(source: &Source<'_>) -> bool {
    source.urls.is_known() || source.revision.is_known()
}
