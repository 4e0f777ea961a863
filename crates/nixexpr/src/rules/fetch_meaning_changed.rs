//! `fetch-meaning-changed`

use std::sync::LazyLock;

use attestation::unit::FindingLevel;

use crate::{Source, compare::View, resolve::Attribute, compare::Comparison, Rule, rule::{Look, Found}, syntax::tree::{Bound, Kind, NodeId}, words::ByName};

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
fn is_default(file: &crate::File<'_>, name: &str, node: NodeId, git: bool) -> bool {
    if git && name == "fetchSubmodules" { file.is_true(node) } else { file.is_false(node) }
}

fn is_fetchgit(file: &crate::File<'_>, set: NodeId) -> bool {
    match file.tree.above(set) {
        Some((above, None)) => match file.tree.kind(above) {
            Kind::Apply { function, .. } => file.callee(function).is_some_and(|callee| callee.last == "fetchgit"),
            _ => false,
        },
        _ => false,
    }
}

fn meanings(view: Option<View<'_>>, source: &Source<'_>) -> Vec<(&'static str, String)> {
    source.set.map(|set| set_meanings(view, set)).unwrap_or_default()
}

/// Which of [`MEANINGS`] a set may have: one that is written out has no others than those that it binds.
fn may_have(file: &crate::File<'_>, set: NodeId) -> u64 {
    static BY_NAME: LazyLock<ByName<u64>> = LazyLock::new(|| ByName::of(MEANINGS.iter().enumerate().map(|(index, name)| (std::slice::from_ref(name), 1 << index))));
    if !matches!(file.tree.kind(set), Kind::Set { .. }) {
        return u64::MAX;
    }
    let names = file.tree.bindings_of(set).iter().flat_map(|id| match file.tree.binding(*id).bound {
        Bound::Value { path: names, .. } | Bound::Inherit { names, .. } => file.tree.names(names),
    });
    let names = names.filter_map(|name| file.name(*name));
    names.flat_map(|name| BY_NAME.get(name)).fold(0, |all, one| all | one)
}

fn set_meanings(view: Option<View<'_>>, set: NodeId) -> Vec<(&'static str, String)> {
    let Some(view) = view else {
        return Vec::new();
    };
    let file = view.file();
    let may_have = may_have(file, set);
    if may_have == 0 {
        return Vec::new();
    }
    let git = is_fetchgit(file, set);
    let names = MEANINGS.iter().enumerate().filter(|(index, _)| may_have & (1 << index) != 0);
    names
        .filter_map(|(_, name)| match file.attribute(set, name) {
            // What is so by default is as if it were not there.
            Attribute::Is(node) if !is_default(file, name, node, git) => Some((*name, file.words(node))),
            _ => None,
        })
        .collect()
}
