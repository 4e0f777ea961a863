//! `origin-changed`

use attestation::unit::FindingLevel;

use crate::{origin::Origin, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "origin-changed",
    level: FindingLevel::H,
    fires: "owner, repository or host of a source changed, or is no longer known",
    because: "a takeover looks like this, and so does a maintainer gone rogue",
    example: "-    owner = \"tukaani-project\";\n+    owner = \"JiaT75\";",
    advice: "Find upstream's own announcement that it moved, from before the change, in a place that the new owner does not control.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in comparison.sources.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        if new.is_patch() || !old.origin.is_known() || old.origin == new.origin {
            continue;
        }
        found.push(comparison.found(new.at, moved(old.origin.known(), new.origin.known())));
    }
    // The first source of a package, whatever it is bound to.
    for (old, new) in comparison.packages.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        let (Some(was), is) = (comparison.first_source(comparison.old, old), comparison.first_source(comparison.new, new)) else {
            continue;
        };
        let (was, is) = (was.origin.known(), is.and_then(|source| source.origin.known()));
        let gone = new.sources.known().is_some_and(Vec::is_empty) || new.sources == crate::Fact::Absent;
        if was.is_some() && was != is && !gone {
            found.push(comparison.found(new.at, moved(was, is)));
        }
    }
    more_urls(comparison, found);
}

/// Mirrors beside the first URL are fetched from too.
fn more_urls(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in comparison.sources.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        let (Some(old_urls), Some(new_urls)) = (old.urls.known(), new.urls.known()) else {
            continue;
        };
        if new.is_patch() || old.origin != new.origin {
            continue;
        }
        let known: Vec<_> = old_urls.iter().map(|url| Origin::of_url(url)).collect();
        for url in new_urls.iter().skip(1) {
            if !known.contains(&Origin::of_url(url)) {
                found.push(comparison.found(new.at, format!("also from {url}")));
            }
        }
    }
}

fn moved(old: Option<&Origin>, new: Option<&Origin>) -> String {
    let say = |origin: Option<&Origin>| origin.map_or_else(|| "somewhere that the text does not tell".to_owned(), ToString::to_string);
    format!("from {} to {}", say(old), say(new))
}
