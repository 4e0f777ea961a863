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
    File,
    syntax::tree::{Binding as Bound, Bound as Form, Kind, Name, NodeId},
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
    /// `name = callPackage path { literals };`: another file, with nothing but literals of its own.
    Call {
        /// The path as written.
        path: String,
    },
    /// `name = callPackages path { … }`, an alias, an override, a package itself, an `inherit`: anything else.
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
            names: names(file, binding),
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

fn names(file: &File<'_>, binding: &Bound) -> Vec<String> {
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
    let call = || {
        let Form::Value { value, .. } = binding.bound else {
            return None;
        };
        let Kind::Apply { function, argument } = file.tree.kind(value) else {
            return None;
        };
        let Kind::Apply {
            function: callee,
            argument: path,
        } = file.tree.kind(function)
        else {
            return None;
        };
        let plain = file.tree.kind(callee) == Kind::Ident && file.slice(file.tree.span(callee)) == "callPackage";
        let whole = matches!(file.tree.kind(path), Kind::Path(parts) if file.tree.parts(parts).len() == 1);
        (plain && whole && is_literal_set(file, argument)).then(|| file.slice(file.tree.span(path)).to_owned())
    };
    call().map_or(BindingKind::Other, |path| BindingKind::Call { path })
}

/// A set of nothing but literals: booleans, `null`, numbers, and strings without interpolation.
fn is_literal_set(file: &File<'_>, set: NodeId) -> bool {
    if !matches!(file.tree.kind(set), Kind::Set { recursive: false, .. }) {
        return false;
    }
    file.tree.bindings_of(set).iter().all(|id| {
        let Form::Value { path, value } = file.tree.binding(*id).bound else {
            return false;
        };
        let named = matches!(file.tree.names(path), [Name::Ident(_)]);
        named
            && match file.tree.kind(value) {
                Kind::Number => true,
                Kind::Ident => matches!(file.slice(file.tree.span(value)), "true" | "false" | "null"),
                Kind::String { parts, .. } => file
                    .tree
                    .parts(parts)
                    .iter()
                    .all(|part| matches!(part, crate::syntax::tree::Part::Text(_))),
                _ => false,
            }
    })
}
