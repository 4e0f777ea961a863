//! What a version flows into, besides the names, sources and descriptions that a bump is about.

use std::collections::HashMap;

use crate::{
    File, names,
    resolve::Binder,
    syntax::tree::{BindingId, Bound, Kind, NodeId, Operator},
};

/// Names whose values only name, fetch or describe. What the version flows into besides them is no bump.
fn is_harmless(name: &str) -> bool {
    matches!(
        name,
        "name"
            | "pname"
            | "version"
            | "src"
            | "srcs"
            | "url"
            | "urls"
            | "rev"
            | "tag"
            | "sourceRoot"
            | "meta"
            | "homepage"
            | "changelog"
            | "description"
            | "longDescription"
            | "downloadPage"
            | "repositories"
            | "ldflags"
            | "branch"
            | "fullVersion"
            | "shortVersion"
    ) || names::is_hash(name)
        || names::is_vendor_hash(name)
}

/// Where names are used in a file: variables, and the names that selections go through.
pub(super) struct Uses<'c>(HashMap<&'c str, Vec<NodeId>>);

impl<'c> Uses<'c> {
    pub(super) fn of(file: &'c File<'c>) -> Self {
        let mut uses: HashMap<&str, Vec<NodeId>> = HashMap::new();
        for id in file.tree.ids() {
            match file.tree.kind(id) {
                Kind::Ident => uses.entry(file.slice(file.tree.span(id))).or_default().push(id),
                Kind::Select { path, .. } => {
                    for name in file.tree.names(path).iter().filter_map(|name| file.name(*name)) {
                        uses.entry(name).or_default().push(id);
                    }
                }
                _ => {}
            }
        }
        Self(uses)
    }

    /// Where this name is used.
    pub(super) fn named(&self, name: &str) -> &[NodeId] {
        self.0.get(name).map_or(&[], |nodes| nodes)
    }
}

/// What a string flows into, followed through variables, is harmless.
pub(super) fn check_uses(file: &File<'_>, uses: &Uses<'_>, string: NodeId) -> Result<(), String> {
    let mut bound = Vec::new();
    check_place(file, string, &mut bound)?;
    let mut checked = 0;
    while let Some(binding) = bound.get(checked).copied() {
        checked += 1;
        if checked > 64 {
            return Err("the version flows too far to follow".to_owned());
        }
        let Bound::Value { path, value } = file.tree.binding(binding).bound else {
            continue;
        };
        let Some(name) = file.tree.names(path).last().and_then(|name| file.name(*name)) else {
            return Err("the version is bound to a computed name".to_owned());
        };
        for id in uses.named(name) {
            let another = match file.tree.kind(*id) {
                Kind::Ident => is_another(file, *id, name, value),
                // Whatever has an attribute of this name may be it, but for what the file is given.
                _ => is_foreign(file, *id),
            };
            if !another {
                check_place(file, *id, &mut bound)?;
            }
        }
        for inherit in &file.tree.bindings {
            if let Bound::Inherit { from: None, names } = inherit.bound
                && file
                    .tree
                    .names(names)
                    .iter()
                    .any(|inherited| file.name(*inherited) == Some(name))
                && matches!(file.lookup(name, inherit.owner), Binder::Value(other) if other == value)
            {
                check_inherited(file, inherit.owner, name)?;
            }
        }
    }
    Ok(())
}

/// A variable of this name that is bound to something else.
fn is_another(file: &File<'_>, ident: NodeId, name: &str, value: NodeId) -> bool {
    match file.lookup(name, ident) {
        Binder::Value(other) => other != value,
        // An argument of a function, which its caller gives.
        Binder::Formal(_) | Binder::Argument(_) => true,
        Binder::From(..) | Binder::Pieces | Binder::Free => false,
    }
}

/// A selection from something that is given to the file (`stdenv.cc.version`), which is no package of its own.
pub(super) fn is_foreign(file: &File<'_>, select: NodeId) -> bool {
    let Kind::Select { base, .. } = file.tree.kind(select) else {
        return false;
    };
    let Some(root) = file.root_name(base) else {
        return false;
    };
    matches!(file.lookup(root, select), Binder::Formal(_))
}

/// `{ inherit version; }`: fine under a harmless name, unless a function gets the set that is no builder.
fn check_inherited(file: &File<'_>, set: NodeId, name: &str) -> Result<(), String> {
    if !is_harmless(name) {
        return Err(format!("the version is passed on as {name}"));
    }
    match file.tree.above(set) {
        Some((above, None)) => match file.tree.kind(above) {
            Kind::Apply { function, .. } => check_function(file, function, above),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check_function(file: &File<'_>, function: NodeId, application: NodeId) -> Result<(), String> {
    let known = file
        .callee(function)
        .is_some_and(|callee| names::fetcher(callee.last).is_some() || names::is_builder(callee.last));
    if known || file.text_of(application).is_some() || is_part_of_string_call(file, application) {
        return Ok(());
    }
    Err("a function gets the version".to_owned())
}

/// `f a` in `f a b`, where all of it is a string that is known.
fn is_part_of_string_call(file: &File<'_>, application: NodeId) -> bool {
    let mut at = application;
    while let Some((above, None)) = file.tree.above(at) {
        if !matches!(file.tree.kind(above), Kind::Apply { .. }) {
            break;
        }
        at = above;
    }
    at != application && file.text_of(at).is_some()
}

/// Climbs from where a string is used to the binding that it becomes part of, which is one that names, fetches or
/// describes, or a variable; that one is used in turn.
pub(super) fn check_place(file: &File<'_>, node: NodeId, bound: &mut Vec<BindingId>) -> Result<(), String> {
    let mut at = node;
    while let Some((above, binding)) = file.tree.above(at) {
        if let Some(binding) = binding {
            return check_binding(file, binding, above, bound);
        }
        match file.tree.kind(above) {
            Kind::If { condition, .. } if condition == at => {
                return Err("a condition depends on the version".to_owned());
            }
            Kind::Assert { condition, .. } if condition == at => {
                return Err("an assertion depends on the version".to_owned());
            }
            Kind::Binary { operator, .. }
                if !matches!(operator, Operator::Add | Operator::Update | Operator::Concat) =>
            {
                return Err("the version is compared".to_owned());
            }
            Kind::Not(_) | Kind::Has { .. } => return Err("the version is compared".to_owned()),
            Kind::Apply { function, argument } if argument == at => check_function(file, function, above)?,
            Kind::Apply { .. } | Kind::With { .. } => {
                return Err("the version is used as something else than text".to_owned());
            }
            _ => {}
        }
        at = above;
    }
    Ok(())
}

fn check_binding(file: &File<'_>, binding: BindingId, owner: NodeId, bound: &mut Vec<BindingId>) -> Result<(), String> {
    let Bound::Value { path, value } = file.tree.binding(binding).bound else {
        return Ok(());
    };
    let names = file.tree.names(path);
    let name = names
        .last()
        .and_then(|name| file.name(*name))
        .unwrap_or("a computed name");
    let harmless = names.iter().any(|name| file.name(*name).is_some_and(is_harmless));
    let variable = match file.tree.kind(owner) {
        Kind::Let { .. } => true,
        // An attribute of a package is a variable of the shell that builds it: text, if it is nothing else.
        Kind::Set { recursive: true, .. } => !names::is_phase(name) && file.text_of(value).is_some(),
        _ => false,
    };
    if !harmless && !variable {
        return Err(format!("the version is used in {name}"));
    }
    if !bound.contains(&binding) {
        bound.push(binding);
    }
    Ok(())
}

/// Whether a script that is written out reads the variable of the shell that a package's version becomes.
pub(super) fn shell_reads_version(file: &File<'_>) -> bool {
    let reads = |text: &str| text.contains("$version") || text.contains("''${version") || text.contains("\\${version");
    // What Nix interpolates is followed through the tree; this is for what it leaves to the shell.
    reads(file.text())
}
