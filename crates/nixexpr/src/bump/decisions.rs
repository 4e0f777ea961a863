//! Whether something in a file is decided by the package or its sources, where a new version could decide otherwise.
//!
//! `version` itself is followed by [`super::uses`]. But a derivation also has what is made of its version and hash (`name`,
//! `outPath`, `src.url`), and a package can be asked for an attribute whose name is computed. Whoever wanted a bump to
//! bring in what was prepared before would read one of these in a condition.

use std::collections::BTreeSet;

use super::uses::{Uses, check_place, is_foreign};
use crate::{
    File, names,
    resolve::Binder,
    syntax::tree::{BindingId, Bound, Kind, NodeId, Operator},
};

/// What a derivation or a source has that follows from version, revision or hash though nobody wrote it.
const MADE: [&str; 10] = [
    "name",
    "outPath",
    "drvPath",
    "outputHash",
    "url",
    "urls",
    "rev",
    "tag",
    "gitRepoUrl",
    "drvAttrs",
];

/// Functions that read attributes whose names are values, or all of them.
const READERS: [&str; 14] = [
    "getAttr",
    "attrByPath",
    "getAttrFromPath",
    "attrVals",
    "attrValues",
    "catAttrs",
    "filterAttrs",
    "mapAttrs",
    "mapAttrsToList",
    "toJSON",
    "toXML",
    "parseDrvName",
    "getName",
    "getVersion",
];

/// Functions of text whose result people decide by.
const PREDICATES: [&str; 16] = [
    "hasPrefix",
    "hasSuffix",
    "hasInfix",
    "match",
    "split",
    "elem",
    "substring",
    "stringLength",
    "hashString",
    "compareVersions",
    "versionOlder",
    "versionAtLeast",
    "pathExists",
    "readFile",
    "baseNameOf",
    "storePath",
];

/// Nothing in the file is decided by its packages or sources.
pub(super) fn check(file: &File<'_>, uses: &Uses<'_>) -> Result<(), String> {
    for id in file.tree.ids() {
        match file.tree.kind(id) {
            Kind::Select { base, path, .. } => {
                let computed = file.tree.names(path).iter().any(|name| file.name(*name).is_none());
                if computed && is_own(file, base) {
                    return Err("an attribute of the package is read by a computed name".to_owned());
                }
            }
            Kind::Apply { function, .. } => check_readers(file, id, function)?,
            Kind::Ident if is_own(file, id) => {
                if is_itself(file, id) && !is_selected_from(file, id) {
                    return Err("the package itself is passed on".to_owned());
                }
                check_decision(file, uses, id)?;
            }
            _ => {}
        }
    }
    for name in MADE {
        for id in uses.named(name) {
            if matches!(file.tree.kind(*id), Kind::Select { .. }) && !is_foreign(file, *id) {
                check_place(file, *id, &mut Vec::new())?;
            }
        }
    }
    for name in ["src", "srcs", "finalPackage"] {
        for id in uses.named(name) {
            if matches!(file.tree.kind(*id), Kind::Select { .. }) && !is_foreign(file, *id) {
                check_decision(file, uses, *id)?;
            }
        }
    }
    Ok(())
}

/// The line on which something in the file is decided by the version, the name or the source of a package that is called by
/// one of these names, if something is.
pub fn decided_by(file: &File<'_>, names: &BTreeSet<String>) -> Option<u64> {
    let uses = Uses::of(file);
    let read = ["version", "name", "src", "getVersion", "getName"]
        .iter()
        .flat_map(|read| uses.named(read));
    let decided = read.copied().find(|id| {
        let of = match file.tree.above(*id) {
            // `getVersion python` is about what it is applied to.
            Some((above, None)) if is_reader(file, *id) => match file.tree.kind(above) {
                Kind::Apply { argument, .. } => package_name(file, argument, false).map(|name| (name, above)),
                _ => None,
            },
            _ => package_name(file, *id, true).map(|name| (name, *id)),
        };
        of.is_some_and(|(name, node)| names.contains(name) && check_decision(file, &uses, node).is_err())
    });
    decided.map(|id| file.line(file.tree.span(id).start))
}

fn is_reader(file: &File<'_>, node: NodeId) -> bool {
    file.callee(node)
        .is_some_and(|callee| matches!(callee.last, "getVersion" | "getName"))
}

/// What a package is called where it, or an attribute of it, is named: `python` in `pkgs.python.version`.
fn package_name<'a>(file: &File<'a>, node: NodeId, attribute: bool) -> Option<&'a str> {
    match file.tree.kind(node) {
        Kind::Select { base, path, .. } => {
            let mut names = file.tree.names(path).iter().rev();
            if attribute {
                // Its own attribute, and where that is of its source, the source.
                names.next();
            }
            let name = names.filter_map(|name| file.name(*name)).find(|name| *name != "src");
            name.or_else(|| file.root_name(base))
        }
        Kind::Ident if !attribute => Some(file.slice(file.tree.span(node))),
        _ => None,
    }
}

/// What the file itself makes: its package by whatever name, a source.
fn is_own(file: &File<'_>, node: NodeId) -> bool {
    let Some(root) = file.root_name(node) else {
        return false;
    };
    match file.lookup(root, node) {
        Binder::Argument(_) => is_builders(file, root, node),
        Binder::Value(value) => file.force(value).is_some_and(|made| match file.tree.kind(made) {
            Kind::Apply { function, .. } => file
                .callee(function)
                .is_some_and(|callee| names::is_builder(callee.last) || names::fetcher(callee.last).is_some()),
            _ => false,
        }),
        _ => false,
    }
}

/// `finalAttrs` in `mkDerivation (finalAttrs: { … })`.
fn is_builders(file: &File<'_>, name: &str, node: NodeId) -> bool {
    let Binder::Argument(lambda) = file.lookup(name, node) else {
        return false;
    };
    match file.tree.above(lambda) {
        Some((above, None)) => match file.tree.kind(above) {
            Kind::Apply { function, argument } => {
                argument == lambda
                    && file
                        .callee(function)
                        .is_some_and(|callee| names::is_builder(callee.last))
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether a variable is the package as its builder gives it to itself.
fn is_itself(file: &File<'_>, ident: NodeId) -> bool {
    file.root_name(ident).is_some_and(|name| is_builders(file, name, ident))
}

/// Whether all that is wanted of it is an attribute.
fn is_selected_from(file: &File<'_>, node: NodeId) -> bool {
    match file.tree.above(node) {
        Some((above, None)) => matches!(file.tree.kind(above), Kind::Select { base, .. } if base == node),
        Some((_, Some(binding))) => matches!(file.tree.binding(binding).bound, Bound::Inherit { .. }),
        None => false,
    }
}

fn check_readers(file: &File<'_>, application: NodeId, function: NodeId) -> Result<(), String> {
    let (mut at, mut arguments) = (function, Vec::new());
    if let Kind::Apply { argument, .. } = file.tree.kind(application) {
        arguments.push(argument);
    }
    while let Kind::Apply { function, argument } = file.tree.kind(at) {
        arguments.push(argument);
        at = function;
    }
    let reads = file.callee(at).is_some_and(|callee| READERS.contains(&callee.last));
    if reads && arguments.into_iter().any(|argument| is_own(file, argument)) {
        return Err("attributes of the package are read by a function".to_owned());
    }
    Ok(())
}

/// Climbs from where a package or source is used: neither it nor a variable that it becomes decides anything.
fn check_decision(file: &File<'_>, uses: &Uses<'_>, node: NodeId) -> Result<(), String> {
    let mut variables: Vec<BindingId> = Vec::new();
    decides(file, node, &mut variables)?;
    let mut checked = 0;
    while let Some(binding) = variables.get(checked).copied() {
        checked += 1;
        if checked > 64 {
            return Err("the source flows too far to follow".to_owned());
        }
        let Bound::Value { path, value } = file.tree.binding(binding).bound else {
            continue;
        };
        let [name] = file.tree.names(path) else { continue };
        let Some(name) = file.name(*name) else { continue };
        for id in uses.named(name) {
            if file.tree.kind(*id) == Kind::Ident && file.lookup(name, *id) == Binder::Value(value) {
                decides(file, *id, &mut variables)?;
            }
        }
    }
    Ok(())
}

fn decides(file: &File<'_>, node: NodeId, variables: &mut Vec<BindingId>) -> Result<(), String> {
    let refused = || Err("something is decided by the source".to_owned());
    let mut at = node;
    while let Some((above, binding)) = file.tree.above(at) {
        if let Some(binding) = binding {
            // A `let`: what else binds it is an attribute of the package, or an argument.
            if matches!(file.tree.kind(above), Kind::Let { .. }) && !variables.contains(&binding) {
                variables.push(binding);
            }
            return Ok(());
        }
        match file.tree.kind(above) {
            Kind::If { condition, .. } | Kind::Assert { condition, .. } if condition == at => return refused(),
            Kind::Binary { operator, .. }
                if !matches!(operator, Operator::Add | Operator::Update | Operator::Concat) =>
            {
                return refused();
            }
            Kind::Apply { function, argument } if argument == at => {
                let mut function = function;
                while let Kind::Apply { function: inner, .. } = file.tree.kind(function) {
                    function = inner;
                }
                if file
                    .callee(function)
                    .is_some_and(|callee| PREDICATES.contains(&callee.last))
                {
                    return refused();
                }
            }
            _ => {}
        }
        at = above;
    }
    Ok(())
}
