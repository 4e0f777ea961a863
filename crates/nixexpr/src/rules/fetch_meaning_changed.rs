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

const MEANINGS: [&str; 15] = [
    "postFetch",
    "extraPostFetch",
    "outputHashMode",
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
    for (old, new) in &comparison.packages {
        let Some(new) = new else {
            continue;
        };
        let was = old.map(|old| set_meanings(comparison.old, old.set)).unwrap_or_default();
        for (name, text) in set_meanings(comparison.new, new.set) {
            if name == "outputHashMode" && !was.contains(&(name, text)) {
                found.push(comparison.found(new.at, format!("{name} of {}", new.title())));
            }
        }
    }
}

/// `fetchgit` fetches submodules unless it is told not to; whatever else is true or false is false by default.
fn is_default(file: &crate::File<'_>, name: &str, node: crate::syntax::tree::NodeId, git: bool) -> bool {
    if git && name == "fetchSubmodules" { file.is_true(node) } else { file.is_false(node) }
}

fn is_fetchgit(file: &crate::File<'_>, set: crate::syntax::tree::NodeId) -> bool {
    match file.tree.above(set) {
        Some((above, None)) => match file.tree.kind(above) {
            crate::syntax::tree::Kind::Apply { function, .. } => file.callee(function).is_some_and(|callee| callee.last == "fetchgit"),
            _ => false,
        },
        _ => false,
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
    let git = is_fetchgit(file, set);
    MEANINGS
        .iter()
        .filter_map(|name| match file.attribute(set, name) {
            // What is so by default is as if it were not there.
            Attribute::Is(node) if !is_default(file, name, node, git) => Some((*name, file.words(node))),
            _ => None,
        })
        .collect()
}
