//! `hash-stale`

use std::borrow::Cow;

use attestation::unit::FindingLevel;

use crate::{Fact, Source, names, origin::{Origin, Url}, version, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "hash-stale",
    level: FindingLevel::B,
    fires: "version, revision or URL changed, the hash did not",
    because: "the old content is silently kept (the class of CVE-2024-36050)",
    example: "-    version = \"1.2\";\n+    version = \"1.3\";\n     hash = \"sha256-AAA…\";",
    advice: "Ask for the hash of the new content. Whoever builds this from a cache gets the old one under the new name.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in comparison.sources.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        if names::fetcher(new.fetcher) == Some(names::Fetcher::Vendor) || !new.hash.is_known() || old.hash != new.hash {
            continue;
        }
        if differs(&old.revision, &new.revision) || urls_differ(old, new) || old.origin.is_known() && new.origin.is_known() && old.origin != new.origin {
            found.push(comparison.found(new.at, format!("{} has the old hash", comparison.title(new))));
        }
    }
    // Where the place is not known, the version tells.
    for (old, new) in comparison.packages.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        let (Some(was), Some(is)) = (comparison.first_source(comparison.old, old), comparison.first_source(comparison.new, new)) else {
            continue;
        };
        let (Some(old_version), Some(new_version)) = (old.version.known(), new.version.known()) else {
            continue;
        };
        if is.hash.is_known() && was.hash == is.hash && version::compare(old_version.trim_start_matches('v'), new_version.trim_start_matches('v')).is_ne() {
            let same_place = was.urls.is_known() && was.urls == is.urls || was.revision.is_known() && was.revision == is.revision && was.origin == is.origin;
            let what = if same_place { "names the same content as before" } else { "has the old hash" };
            found.push(comparison.found(is.at, format!("{old_version} became {new_version}, {} {what}", comparison.title(is))));
        }
    }
}

fn differs(old: &Fact<Cow<'_, str>>, new: &Fact<Cow<'_, str>>) -> bool {
    match (old, new) {
        // A tag and the commit it names cannot be told to be the same; `v1.0` and `1.0.0` can.
        (Fact::Known(old), Fact::Known(new)) => version::compare(old.trim_start_matches('v'), new.trim_start_matches('v')).is_ne(),
        _ => false,
    }
}

/// Whether any URL is another one, but for its scheme and an alias of its host.
fn urls_differ(old: &Source<'_>, new: &Source<'_>) -> bool {
    let (Some(old), Some(new)) = (old.urls.known(), new.urls.known()) else {
        return false;
    };
    let (Some(old), Some(new)) = (old.first(), new.first()) else {
        return false;
    };
    let file = |url: &str| Url::parse(url).map(|url| url.path.rsplit('/').next().unwrap_or("").to_owned());
    old != new && !(Origin::of_url(old) == Origin::of_url(new) && file(old) == file(new))
}
