//! Collection files, cut into their bindings.
//!
//! A file such as `pkgs/top-level/all-packages.nix` binds thousands of names that have nothing to do with each other.
//! Each binding of its largest set is reviewed by itself; every byte of the file belongs to exactly one of them, or to
//! the *residue*, which is whatever is not a binding of that set (the function's arguments, `let`, the braces).
//!
//! To a binding belong its own bytes up to its semicolon, the rest of that line if only white space and one comment are
//! on it, and before it the comments and white space that begin on a line of their own after the previous binding's
//! end: what stands above a name is about it. What follows the last binding is residue.

use std::ops::Range;

use crate::{
    File, names,
    syntax::tree::{Binding as Bound, Bound as Form, Kind, Name, NodeId, Operator, Part},
};

/// A binding of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The names it binds, sorted: one attribute path as `a.b`, or each name of an `inherit`. A name that is computed
    /// or quoted is as written.
    pub names: Vec<String>,
    /// What it binds them to.
    pub kind: BindingKind,
    /// Its bytes of the file, with the comments that belong to it.
    pub span: Range<usize>,
    /// The bytes without those.
    pub core: Range<usize>,
}

/// What a binding of a collection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindingKind {
    /// One package: another file that is called with literals and names (`callPackage path { inherit (xorg) libX11; }`), a package
    /// that is written in place (`buildPerlPackage { … }`), another name for one (`python = python27`), or one with other arguments
    /// (`jq.override { … }`); also under a condition. What it is reaches whoever takes the name, and nobody else.
    One {
        /// The paths that are called, as written: more than one where a condition decides.
        paths: Vec<String>,
    },
    /// A function, a set, an override, a condition, an `inherit`: anything else.
    Other,
}

/// The bindings of a collection file in the order of the text, and by that its residue: what lies in none of their
/// spans. A file that is no set of bindings has none.
pub fn bindings(file: &File<'_>) -> Vec<Binding> {
    largest(file).map_or_else(Vec::new, |set| of_set(file, set))
}

/// The bindings of a file that is a set and nothing else, however large the sets in it are; none where it is not.
pub fn outer_bindings(file: &File<'_>) -> Vec<Binding> {
    match file.tree.kind(file.tree.root) {
        Kind::Set { .. } => of_set(file, file.tree.root),
        _ => Vec::new(),
    }
}

fn of_set(file: &File<'_>, set: NodeId) -> Vec<Binding> {
    let mut found = Vec::new();
    // What lies before this belongs to somebody else.
    let mut free = set_begin(file, set);
    for id in file.tree.bindings_of(set) {
        let binding = file.tree.binding(*id);
        let end = line_end(file.text(), binding.span.end as usize);
        found.push(Binding {
            names: bound_names(file, binding),
            kind: kind(file, binding),
            span: free..end,
            core: binding.span.range(),
        });
        free = end;
    }
    found
}

/// The set with the most bindings, of those that the file's value is made of.
fn largest(file: &File<'_>) -> Option<NodeId> {
    let sets = file
        .tree
        .ids()
        .filter(|id| matches!(file.tree.kind(*id), Kind::Set { .. }));
    // The last one of equals is the outermost, since children come first.
    sets.max_by_key(|id| file.tree.bindings_of(*id).len())
        .filter(|id| !file.tree.bindings_of(*id).is_empty())
}

/// Where the first binding of a set begins: after its brace, and the rest of that line.
fn set_begin(file: &File<'_>, set: NodeId) -> usize {
    let span = file.tree.span(set);
    let brace = file.text()[span.range()].find('{').unwrap_or(0);
    line_end(file.text(), span.start as usize + brace + 1)
}

/// `at`, or the beginning of the next line if nothing but white space and a comment is on the rest of this one.
fn line_end(text: &str, at: usize) -> usize {
    let line = text[at..].split_inclusive('\n').next().unwrap_or("");
    let rest = line.trim_start_matches([' ', '\t', '\r']);
    let blank = rest == "\n" || rest.starts_with('#') && rest.ends_with('\n') && !rest.trim_end().contains('\r');
    if blank { at + line.len() } else { at }
}

fn bound_names(file: &File<'_>, binding: &Bound) -> Vec<String> {
    match binding.bound {
        Form::Value { path, .. } => {
            let path = file.tree.names(path).iter().map(|name| written(file, *name));
            vec![path.collect::<Vec<_>>().join(".")]
        }
        Form::Inherit { names, .. } => {
            let mut names: Vec<_> = file
                .tree
                .names(names)
                .iter()
                .map(|name| written(file, *name).to_owned())
                .collect();
            names.sort();
            names
        }
    }
}

fn written<'a>(file: &File<'a>, name: Name) -> &'a str {
    match name {
        Name::Ident(span) => file.slice(span),
        Name::String(node) | Name::Dynamic(node) => file.slice(file.tree.span(node)),
    }
}

fn kind(file: &File<'_>, binding: &Bound) -> BindingKind {
    let mut paths = Vec::new();
    match binding.bound {
        Form::Value { value, .. } if is_one(file, value, &mut paths) => BindingKind::One { paths },
        _ => BindingKind::Other,
    }
}

/// Whether the value is one package: whether it has one of the few shapes that are known to be no more. Adds the paths that it
/// calls.
fn is_one(file: &File<'_>, value: NodeId, paths: &mut Vec<String>) -> bool {
    match file.tree.kind(value) {
        Kind::Ident => !is_constant(file, value),
        Kind::Select { default: None, .. } => is_reference(file, value),
        Kind::Assert { condition, body } => is_plain(file, condition) && is_one(file, body, paths),
        Kind::If {
            condition,
            then,
            otherwise,
        } => is_plain(file, condition) && is_one(file, then, paths) && is_one(file, otherwise, paths),
        Kind::Apply { function, argument } => {
            // What packages are given to `lowPrio` for is their place among others of the name.
            if is_named(file, function, |name| matches!(name, "lowPrio" | "hiPrio")) {
                return is_one(file, argument, paths);
            }
            if is_named(file, function, names::is_builder) {
                return package_of(file, argument);
            }
            is_override(file, function, argument) || is_call(file, function, argument, paths)
        }
        _ => false,
    }
}

/// `callPackage path { … }`, without its last argument.
fn is_call(file: &File<'_>, function: NodeId, argument: NodeId, paths: &mut Vec<String>) -> bool {
    let Kind::Apply {
        function: callee,
        argument: path,
    } = file.tree.kind(function)
    else {
        return false;
    };
    let calls = is_named(file, callee, |name| {
        matches!(name, "import" | "callPackage" | "callPackage_i686")
    });
    let whole = matches!(file.tree.kind(path), Kind::Path(parts) if file.tree.parts(parts).len() == 1);
    let is_one = calls && whole && is_plain_set(file, argument);
    if is_one {
        paths.push(file.slice(file.tree.span(path)).to_owned());
    }
    is_one
}

/// `name.override { … }`.
fn is_override(file: &File<'_>, function: NodeId, argument: NodeId) -> bool {
    let selects = matches!(file.tree.kind(function), Kind::Select { .. });
    selects && is_named(file, function, |name| name == "override") && is_plain_set(file, argument)
}

/// Whether a function goes by a name that is one of these.
fn is_named(file: &File<'_>, function: NodeId, is_one: impl Fn(&str) -> bool) -> bool {
    is_reference(file, function) && file.callee(function).is_some_and(|callee| is_one(callee.last))
}

/// Whether it is a set, or a function of its own result that gives one: what a builder makes a package of.
fn package_of(file: &File<'_>, argument: NodeId) -> bool {
    match file.tree.kind(argument) {
        Kind::Set { .. } => true,
        Kind::Lambda {
            formals: None, body, ..
        } => matches!(file.tree.kind(body), Kind::Set { .. }),
        _ => false,
    }
}

/// A name, or an attribute of one: `gtk`, `self.text_1_1`. No constant.
fn is_reference(file: &File<'_>, node: NodeId) -> bool {
    match file.tree.kind(node) {
        Kind::Ident => !is_constant(file, node),
        Kind::Select {
            base,
            path,
            default: None,
        } => {
            let plain = |name: &Name| matches!(name, Name::Ident(_));
            file.tree.kind(base) == Kind::Ident && file.tree.names(path).iter().all(plain)
        }
        _ => false,
    }
}

fn is_constant(file: &File<'_>, node: NodeId) -> bool {
    matches!(file.slice(file.tree.span(node)), "true" | "false" | "null")
}

/// A set of nothing but [plain](is_plain) values, and what is inherited from names.
fn is_plain_set(file: &File<'_>, set: NodeId) -> bool {
    if !matches!(file.tree.kind(set), Kind::Set { recursive: false, .. }) {
        return false;
    }
    let plain = |name: &Name| matches!(name, Name::Ident(_));
    file.tree
        .bindings_of(set)
        .iter()
        .all(|id| match file.tree.binding(*id).bound {
            Form::Inherit { from, names } => {
                from.is_none_or(|from| is_reference(file, from)) && file.tree.names(names).iter().all(plain)
            }
            Form::Value { path, value } => matches!(file.tree.names(path), [Name::Ident(_)]) && is_plain(file, value),
        })
}

/// Literals, names and their attributes, lists and conditions of these, and packages with other arguments. Nothing is called but
/// `override`.
fn is_plain(file: &File<'_>, value: NodeId) -> bool {
    let plain = |value| is_plain(file, value);
    match file.tree.kind(value) {
        Kind::Number | Kind::Ident => true,
        Kind::Select { base, path, default } => {
            let names = |name: &Name| matches!(name, Name::Ident(_));
            file.tree.kind(base) == Kind::Ident && file.tree.names(path).iter().all(names) && default.is_none_or(plain)
        }
        Kind::Has { base, .. } => is_reference(file, base),
        Kind::String { parts, .. } => {
            let text = |part: &Part| matches!(part, Part::Text(_));
            file.tree.parts(parts).iter().all(text)
        }
        Kind::List(items) => file.tree.items(items).iter().copied().all(plain),
        Kind::If {
            condition,
            then,
            otherwise,
        } => plain(condition) && plain(then) && plain(otherwise),
        Kind::Not(value) | Kind::Negate(value) => plain(value),
        Kind::Binary { operator, left, right } => {
            let compares = !matches!(operator, Operator::Update);
            compares && plain(left) && plain(right)
        }
        Kind::Apply { function, argument } => is_override(file, function, argument),
        _ => false,
    }
}
