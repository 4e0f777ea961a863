//! `fetch-meaning-changed`

use attestation::unit::FindingLevel;

use crate::{Source, compare::View, resolve::Attribute, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "fetch-meaning-changed",
    level: FindingLevel::H,
    fires: "what the hash of a source covers changed: `postFetch`, `outputHashMode`, submodules, `leaveDotGit`, `sparseCheckout` and their like",
    because: "the same words then name another content, or a script runs before the hash is taken",
    example: "+    postFetch = \"rm $out/tests/*\";",
    advice: "Read what it does to the content, and compare the content before and after.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

const MEANINGS: [&str; 16] = [
    "postFetch",
    "extraPostFetch",
    "outputHashMode",
    "outputHashAlgo",
    "recursiveHash",
    "fetchSubmodules",
    "submodules",
    "deepClone",
    "leaveDotGit",
    "sparseCheckout",
    "nonConeMode",
    "stripRoot",
    "fetchLFS",
    "forceFetchGit",
    "branchName",
    "downloadToTemp",
];

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    for (old, new) in &comparison.sources {
        let Some(new) = new else {
            continue;
        };
        let is = meanings(comparison.new, new);
        let was = old.map(|old| meanings(comparison.old, old));
        for (name, text) in &is {
            // A new source gains what makes its content other than what was fetched; a known one whatever differs.
            let known = match &was {
                Some(was) => was.contains(&(*name, text.clone())),
                None => !matches!(*name, "postFetch" | "extraPostFetch"),
            };
            if !known {
                found.push(comparison.found(new.at, format!("{name} of {}", comparison.title(new))));
            }
        }
        for (name, _) in was.iter().flatten() {
            if is.iter().all(|(other, _)| other != name) {
                found.push(comparison.found(new.at, format!("{} has no {name} any more", comparison.title(new))));
            }
        }
    }
    for (old, new) in comparison.packages.iter().filter_map(|(old, new)| (*old).zip(*new)) {
        let (was, is) = (set_meanings(comparison.old, old.set), set_meanings(comparison.new, new.set));
        for (name, text) in is.iter().filter(|(name, _)| name.starts_with("outputHash")) {
            if !was.contains(&(*name, text.clone())) {
                found.push(comparison.found(new.at, format!("{name} of {}", new.title())));
            }
        }
    }
}

fn meanings(view: Option<View<'_>>, source: &Source<'_>) -> Vec<(&'static str, String)> {
    source.set.map(|set| set_meanings(view, set)).unwrap_or_default()
}

fn set_meanings(view: Option<View<'_>>, set: crate::syntax::tree::NodeId) -> Vec<(&'static str, String)> {
    let Some(view) = view else {
        return Vec::new();
    };
    let file = view.file();
    MEANINGS
        .iter()
        .filter_map(|name| match file.attribute(set, name) {
            // What is false is as if it were not there.
            Attribute::Is(node) if !file.is_false(node) => Some((*name, file.words(node))),
            _ => None,
        })
        .collect()
}
