//! `attribute-repointed`

use std::collections::BTreeMap;

use attestation::unit::FindingLevel;

use crate::{File, compare::View, paths, syntax::tree::{Bound, Kind, NodeId}, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "attribute-repointed",
    level: FindingLevel::H,
    fires: "an attribute now points to another file, or to another attribute",
    because: "one package takes the place of another under its name",
    example: "-  hello = callPackage ../applications/misc/hello { };\n+  hello = callPackage ../applications/misc/hallo { };",
    advice: "Compare the two packages. Ask who depends on the name.",
    look: Look {
        facts: Some(facts),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    let (Some(old), Some(new)) = (comparison.old, comparison.new) else {
        return;
    };
    let before = targets(old);
    for (name, targets) in targets(new) {
        let Some(was) = before.get(&name) else {
            continue;
        };
        for (at, target) in targets {
            let known = was.iter().any(|(_, known)| *known == target);
            if !known {
                let was = was.first().map_or("", |(_, target)| target);
                found.push(comparison.found(at, format!("{name}: {target} instead of {was}")));
            }
        }
    }
}

/// What attributes point to, by the names they are bound to: a path that is called, or, in a collection, another name.
fn targets(view: View<'_>) -> BTreeMap<String, Vec<(u32, String)>> {
    let file = view.file();
    let collection = paths::is_collection(file.path());
    let mut targets: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
    for binding in &file.tree.bindings {
        let Bound::Value { value, .. } = binding.bound else {
            continue;
        };
        if !view.has(binding.span.start) {
            continue;
        }
        let target = called(file, value).or_else(|| (collection && is_alias(file, value)).then(|| file.words(value)));
        if let Some(target) = target {
            targets.entry(file.path_of(value)).or_default().push((binding.span.start, target));
        }
    }
    targets
}

fn is_alias(file: &File<'_>, value: NodeId) -> bool {
    let constant = matches!(file.slice(file.tree.span(value)), "true" | "false" | "null");
    matches!(file.tree.kind(value), Kind::Ident | Kind::Select { default: None, .. }) && !constant
}

/// The path that a function such as `callPackage` or `import` is called with.
fn called(file: &File<'_>, value: NodeId) -> Option<String> {
    let mut at = value;
    let mut path = None;
    loop {
        match file.tree.kind(at) {
            Kind::Apply { function, argument } => {
                if matches!(file.tree.kind(argument), Kind::Path(_)) {
                    path = Some(argument);
                }
                // `lowPrio (callPackage … )` and its like.
                let wraps = file.callee(function).is_some_and(|callee| matches!(callee.last, "lowPrio" | "hiPrio" | "recurseIntoAttrs" | "dontRecurseIntoAttrs" | "lowPrioSet" | "makeOverridable"));
                at = if wraps { argument } else { function };
            }
            Kind::Ident | Kind::Select { .. } => {
                let callee = file.callee(at)?;
                let calls = matches!(callee.last, "import" | "newScope" | "callPackages" | "callPackage_i686") || callee.last.starts_with("callPackage") || callee.last.ends_with("allPackage");
                return calls.then(|| path.map(|path| file.words(path)))?;
            }
            Kind::With { body, .. } | Kind::Let { body, .. } => at = body,
            _ => return None,
        }
    }
}
