//! What an expression is, as far as the text alone tells.
//!
//! Only what holds however the file is called counts: an argument of a function is unknown even where it has a
//! default, what comes out of a `with` is unknown, so is either branch of an `if`, and an attribute of a set that was
//! updated with something unknown. Lexical scope is Nix's: a `let`, a `rec` or an argument hides what is further out and
//! whatever a `with` brings.
//!
//! Every question costs steps, of which a file has a number in proportion to its length ([`File::exhausted`]): no text
//! makes an answer take long, and a file that tries is not taken for understood.

mod strings;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use crate::{
    File, names,
    syntax::tree::{BindingId, Bound, Kind, Name, NodeId, Operator, Part, Span},
};

/// How many definitions are followed for one answer.
const FURTHEST: u32 = 48;

/// Strings longer than this, in bytes, are not put together.
const LONGEST_STRING: usize = 1 << 16;

/// Sets with more bindings than this are looked up by a table.
const FEW: usize = 24;

/// What a variable is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binder<'a> {
    Value(NodeId),
    /// `inherit (from) name`.
    From(NodeId, &'a str),
    /// The whole argument of this function.
    Argument(NodeId),
    /// One of the attributes that this function takes.
    Formal(NodeId),
    /// Several bindings make it (`a.b = 1; a.c = 2;`).
    Pieces,
    /// Nothing in the file binds it: whatever a `with` around it brings, else Nix itself.
    Free,
}

/// What an attribute of a set is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Is(NodeId),
    Absent,
    Unknown,
}

/// The budget of a file, and the tables of its large sets.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    steps: Cell<u64>,
    /// The names that a set binds, sorted by their text, and which of its bindings does.
    tables: RefCell<HashMap<NodeId, Vec<(Span, BindingId)>>>,
}

impl<'a> File<'a> {
    /// Whether questions about this file took more steps than one of its length may. What was not answered is unknown.
    pub fn exhausted(&self) -> bool {
        self.lookups.steps.get() > self.budget()
    }

    /// Steps taken so far.
    pub(crate) fn steps(&self) -> u64 {
        self.lookups.steps.get()
    }

    /// As if no more steps than these had been taken.
    pub(crate) fn rewind(&self, steps: u64) {
        self.lookups.steps.set(steps);
    }

    fn budget(&self) -> u64 {
        (1 << 16) + (self.tree.nodes.len() as u64) * 128
    }

    fn step(&self) -> Option<()> {
        let steps = self.lookups.steps.get() + 1;
        self.lookups.steps.set(steps);
        (steps <= self.budget()).then_some(())
    }

    /// A name as text, unless it is computed.
    pub(crate) fn name(&self, name: Name) -> Option<&'a str> {
        match name {
            Name::Ident(span) => Some(self.slice(span)),
            Name::String(node) => self.literal(node),
            Name::Dynamic(node) => self.literal(node),
        }
    }

    /// The text of a string that is written out: no interpolation, no escapes, on one line. Also of a URI.
    pub(crate) fn literal(&self, node: NodeId) -> Option<&'a str> {
        match self.tree.kind(node) {
            Kind::Uri => Some(self.slice(self.tree.span(node))),
            Kind::String { parts, indented } => match self.tree.parts(parts) {
                [] => Some(""),
                [Part::Text(span)] => {
                    let text = self.slice(*span);
                    let plain = |byte: &u8| {
                        !(matches!(byte, b'\\' | b'\r' | b'\n') || indented && matches!(byte, b'\'' | b'$'))
                    };
                    (text.as_bytes().iter().all(plain) && !(indented && text.starts_with(' '))).then_some(text)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// What the variable `name` is, seen from `from`.
    pub(crate) fn lookup(&self, name: &str, from: NodeId) -> Binder<'a> {
        let mut at = from;
        while self.step().is_some() {
            let Some((above, _)) = self.tree.above(at) else {
                return Binder::Free;
            };
            match self.tree.kind(above) {
                Kind::Let { .. } | Kind::LegacyLet(_) | Kind::Set { recursive: true, .. } => {
                    match self.bound_in(above, name) {
                        Some(Found::Value(value)) => return Binder::Value(value),
                        Some(Found::Pieces) => return Binder::Pieces,
                        Some(Found::From(from, name)) => return Binder::From(from, name),
                        // `inherit name;` is about what is further out.
                        Some(Found::Outer) | None => {}
                    }
                }
                Kind::Lambda {
                    name: whole, formals, ..
                } => {
                    if whole.is_some_and(|span| self.slice(span) == name) {
                        return Binder::Argument(above);
                    }
                    let formals = formals.map_or(&[][..], |formals| self.tree.formals(formals));
                    if formals.iter().any(|formal| self.slice(formal.name) == name) {
                        return Binder::Formal(above);
                    }
                }
                _ => {}
            }
            at = above;
        }
        // Out of steps: certainly nothing that is known.
        Binder::Pieces
    }

    /// Whether `name`, seen from `from`, is what nixpkgs and Nix call so: nothing in the file binds it but as an
    /// argument, and any `with` around it is of a library.
    pub(crate) fn is_given(&self, name: &str, from: NodeId) -> bool {
        match self.lookup(name, from) {
            Binder::Formal(_) => true,
            Binder::Free => name == "builtins" || self.only_libraries_around(from),
            _ => false,
        }
    }

    fn only_libraries_around(&self, from: NodeId) -> bool {
        let mut at = from;
        while let Some((above, _)) = self.tree.above(at) {
            if self.step().is_none() {
                return false;
            }
            if let Kind::With { scope, body } = self.tree.kind(above)
                && body == at
                && !matches!(self.callee(scope), Some(callee) if matches!(callee.last, "lib" | "builtins" | "strings" | "versions" | "trivial" | "lists"))
            {
                return false;
            }
            at = above;
        }
        true
    }

    /// Follows variables, selections, `let`, `with` and `assert` to what makes a value.
    pub(crate) fn force(&self, node: NodeId) -> Option<NodeId> {
        self.force_in(node, FURTHEST)
    }

    fn force_in(&self, node: NodeId, far: u32) -> Option<NodeId> {
        self.step()?;
        let far = far.checked_sub(1)?;
        match self.tree.kind(node) {
            Kind::Ident => {
                let name = self.slice(self.tree.span(node));
                match self.lookup(name, node) {
                    Binder::Value(value) => self.force_in(value, far),
                    Binder::From(from, name) => self.attribute_in(from, name, far).node(self, far),
                    Binder::Free if matches!(name, "true" | "false" | "null") => Some(node),
                    _ => None,
                }
            }
            Kind::Select { base, path, default } => {
                let mut at = base;
                for name in self.tree.names(path) {
                    match self.attribute_in(at, self.name(*name)?, far) {
                        Attribute::Is(value) => at = value,
                        Attribute::Absent => return default.and_then(|default| self.force_in(default, far)),
                        Attribute::Unknown => return None,
                    }
                }
                self.force_in(at, far)
            }
            Kind::Let { body, .. } | Kind::With { body, .. } | Kind::Assert { body, .. } => self.force_in(body, far),
            Kind::LegacyLet(_) => match self.bound_in(node, "body")? {
                Found::Value(body) => self.force_in(body, far),
                _ => None,
            },
            Kind::If { .. } => None,
            _ => Some(node),
        }
    }

    /// The attribute `name` of a set.
    pub(crate) fn attribute(&self, set: NodeId, name: &str) -> Attribute {
        self.attribute_in(set, name, FURTHEST)
    }

    fn attribute_in(&self, set: NodeId, name: &str, far: u32) -> Attribute {
        let (Some(()), Some(far)) = (self.step(), far.checked_sub(1)) else {
            return Attribute::Unknown;
        };
        if self.tree.kind(set) == Kind::Ident
            && let Binder::Argument(lambda) = self.lookup(self.slice(self.tree.span(set)), set)
        {
            return self.own_attribute(lambda, name, far);
        }
        // `{ … } // (if c then { a = 1; } else { })` says nothing about `b`.
        if let Kind::If { then, otherwise, .. } = self.tree.kind(set) {
            return match (
                self.attribute_in(then, name, far),
                self.attribute_in(otherwise, name, far),
            ) {
                (Attribute::Absent, Attribute::Absent) => Attribute::Absent,
                _ => Attribute::Unknown,
            };
        }
        let Some(set) = self.force_in(set, far) else {
            return Attribute::Unknown;
        };
        match self.tree.kind(set) {
            Kind::Set { .. } => self.attribute_of_set(set, name, far),
            Kind::Binary {
                operator: Operator::Update,
                left,
                right,
            } => match self.attribute_in(right, name, far) {
                Attribute::Absent => self.attribute_in(left, name, far),
                found => found,
            },
            Kind::Apply { function, argument } => {
                // `optionalAttrs condition { … }` is an application of an application.
                let name_of = match self.tree.kind(function) {
                    Kind::Apply { function, .. } => function,
                    _ => function,
                };
                let callee = self.callee(name_of).map_or("", |callee| callee.last);
                match callee {
                    // Either nothing or its attributes.
                    "optionalAttrs" => match self.attribute_in(argument, name, far) {
                        Attribute::Absent => Attribute::Absent,
                        _ => Attribute::Unknown,
                    },
                    _ if name_of == function && names::passes(callee, name) => match self.argument_set(argument) {
                        Some(set) => self.attribute_in(set, name, far),
                        None => Attribute::Unknown,
                    },
                    _ => Attribute::Unknown,
                }
            }
            _ => Attribute::Unknown,
        }
    }

    /// `self.name` in `mkDerivation (self: { … })`: the builder gives the function its own result.
    fn own_attribute(&self, lambda: NodeId, name: &str, far: u32) -> Attribute {
        let Kind::Lambda { body, .. } = self.tree.kind(lambda) else {
            return Attribute::Unknown;
        };
        let Some((apply, _)) = self.tree.above(lambda) else {
            return Attribute::Unknown;
        };
        match self.tree.kind(apply) {
            Kind::Apply { function, argument } if argument == lambda => {
                let builds = self
                    .callee(function)
                    .is_some_and(|callee| names::is_builder(callee.last));
                if builds {
                    self.attribute_in(body, name, far)
                } else {
                    Attribute::Unknown
                }
            }
            _ => Attribute::Unknown,
        }
    }

    fn attribute_of_set(&self, set: NodeId, name: &str, far: u32) -> Attribute {
        match self.bound_in(set, name) {
            Some(Found::Value(value)) => Attribute::Is(value),
            Some(Found::From(from, name)) => self.attribute_in(from, name, far),
            Some(Found::Outer) => match self.lookup(name, set) {
                Binder::Value(value) => Attribute::Is(value),
                Binder::From(from, name) => self.attribute_in(from, name, far),
                _ => Attribute::Unknown,
            },
            Some(Found::Pieces) => Attribute::Unknown,
            None if self.has_computed_names(set) => Attribute::Unknown,
            None => Attribute::Absent,
        }
    }

    fn has_computed_names(&self, set: NodeId) -> bool {
        self.tree
            .bindings_of(set)
            .iter()
            .any(|id| match self.tree.binding(*id).bound {
                Bound::Value { path, .. } => self
                    .tree
                    .names(path)
                    .first()
                    .is_some_and(|name| !matches!(name, Name::Ident(_)) && self.name(*name).is_none()),
                Bound::Inherit { .. } => false,
            })
    }

    /// What binds `name` in a set or `let`.
    fn bound_in(&self, owner: NodeId, name: &str) -> Option<Found<'a>> {
        let bindings = self.tree.bindings_of(owner);
        if bindings.len() <= FEW {
            return bindings.iter().find_map(|id| self.binds(*id, name));
        }
        let mut tables = self.lookups.tables.borrow_mut();
        let table = tables.entry(owner).or_insert_with(|| {
            let mut table = Vec::with_capacity(bindings.len());
            for id in bindings {
                let names = match self.tree.binding(*id).bound {
                    Bound::Value { path, .. } => &self.tree.names(path)[..1],
                    Bound::Inherit { names, .. } => self.tree.names(names),
                };
                table.extend(names.iter().filter_map(|name| Some((self.name_span(*name)?, *id))));
            }
            table.sort_by_key(|(span, _)| self.slice(*span));
            table
        });
        let found = table.partition_point(|(span, _)| self.slice(*span) < name);
        let (span, id) = *table.get(found)?;
        (self.slice(span) == name).then(|| self.binds(id, name))?
    }

    /// Where a name that is written out stands.
    fn name_span(&self, name: Name) -> Option<Span> {
        match name {
            Name::Ident(span) => Some(span),
            Name::String(node) | Name::Dynamic(node) => match self.tree.kind(node) {
                Kind::String { parts, .. } => match self.tree.parts(parts) {
                    [Part::Text(span)] => self.literal(node).map(|_| *span),
                    _ => None,
                },
                _ => None,
            },
        }
    }

    fn binds(&self, id: BindingId, name: &str) -> Option<Found<'a>> {
        match self.tree.binding(id).bound {
            Bound::Value { path, value } => match self.tree.names(path) {
                [first] => self.is_named(*first, name).then_some(Found::Value(value)),
                [first, ..] => self.is_named(*first, name).then_some(Found::Pieces),
                [] => None,
            },
            Bound::Inherit { from, names } => {
                let found = self
                    .tree
                    .names(names)
                    .iter()
                    .find(|found| self.is_named(**found, name))?;
                let name = self.name(*found)?;
                Some(from.map_or(Found::Outer, |from| Found::From(from, name)))
            }
        }
    }

    /// Whether a name is written out, and so.
    fn is_named(&self, name: Name, wanted: &str) -> bool {
        match name {
            // Asked most of all: the length tells most of them.
            Name::Ident(span) => span.range().len() == wanted.len() && self.slice(span) == wanted,
            Name::String(_) | Name::Dynamic(_) => self.name(name) == Some(wanted),
        }
    }

    /// The name of a function: `lib.versions.major` has the last name `major`.
    pub(crate) fn callee(&self, function: NodeId) -> Option<Callee<'a>> {
        match self.tree.kind(function) {
            Kind::Ident => {
                let last = self.slice(self.tree.span(function));
                Some(Callee { last, head: function })
            }
            Kind::Select {
                base,
                path,
                default: None,
            } => Some(Callee {
                last: self.name(*self.tree.names(path).last()?)?,
                head: base,
            }),
            _ => None,
        }
    }

    /// The set that a function gets, or makes if it gets a function of it (`finalAttrs: { … }`).
    pub(crate) fn argument_set(&self, argument: NodeId) -> Option<NodeId> {
        match self.tree.kind(argument) {
            Kind::Set { .. } => Some(argument),
            Kind::Binary {
                operator: Operator::Update,
                ..
            } => Some(argument),
            Kind::Lambda { body, .. } => self.argument_set(body),
            Kind::Let { body, .. } | Kind::With { body, .. } | Kind::Assert { body, .. } => self.argument_set(body),
            _ => {
                let forced = self.force(argument)?;
                matches!(self.tree.kind(forced), Kind::Set { .. } | Kind::Binary { .. }).then_some(forced)
            }
        }
    }

    /// The variable that a selection begins with.
    pub(crate) fn root_name(&self, node: NodeId) -> Option<&'a str> {
        match self.tree.kind(node) {
            Kind::Ident => Some(self.slice(self.tree.span(node))),
            Kind::Select { base, .. } => self.root_name(base),
            _ => None,
        }
    }

    /// The names under which a node is bound, from the outside in: `hello.src` for a source in `hello = f { src = …; }`.
    pub(crate) fn path_of(&self, node: NodeId) -> String {
        let mut names: Vec<&str> = self.names_around(node).collect();
        names.reverse();
        names.join(".")
    }

    /// The same names from the inside out; one that is computed, as it is written.
    pub(crate) fn names_around(&self, node: NodeId) -> impl Iterator<Item = &'a str> + use<'_, 'a> {
        let mut at = node;
        let mut names: &[Name] = &[];
        std::iter::from_fn(move || {
            loop {
                if let Some((last, before)) = names.split_last() {
                    names = before;
                    return Some(match *last {
                        Name::Ident(span) => self.slice(span),
                        Name::String(node) | Name::Dynamic(node) => {
                            self.literal(node).unwrap_or_else(|| self.slice(self.tree.span(node)))
                        }
                    });
                }
                let (above, binding) = self.tree.above(at)?;
                at = above;
                if let Some(binding) = binding
                    && let Bound::Value { path, .. } = self.tree.binding(binding).bound
                {
                    names = self.tree.names(path);
                }
            }
        })
    }
}

impl Attribute {
    fn node(self, file: &File<'_>, far: u32) -> Option<NodeId> {
        match self {
            Self::Is(node) => file.force_in(node, far),
            Self::Absent | Self::Unknown => None,
        }
    }
}

enum Found<'a> {
    Value(NodeId),
    Pieces,
    From(NodeId, &'a str),
    Outer,
}

/// The name of a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Callee<'a> {
    pub(crate) last: &'a str,
    /// What the name begins with.
    pub(crate) head: NodeId,
}
