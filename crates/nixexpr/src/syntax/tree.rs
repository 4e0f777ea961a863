//! The tree of a file: nodes in one vector, children before their parents, every node knowing its parent.
//!
//! There is nothing to recurse into: whoever looks for something goes through the vector once, and whoever needs to
//! know where a node stands climbs. Dropping it is dropping vectors.

use std::ops::Range;

/// A range of bytes of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// Texts are shorter than 2^31 bytes: longer ones are refused before anything is made of them.
    #[expect(clippy::cast_possible_truncation, reason = "longer texts are refused")]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    pub(crate) const fn to(self, end: Self) -> Self {
        Self {
            start: self.start,
            end: end.end,
        }
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    pub(crate) const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The range within a part of the text that begins at `base`.
    pub(crate) const fn within(self, base: usize) -> Range<usize> {
        self.start as usize - base..self.end as usize - base
    }
}

/// A node of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

/// A binding of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BindingId(pub(crate) u32);

/// Some of a table's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Slice<T> {
    start: u32,
    length: u32,
    of: std::marker::PhantomData<T>,
}

impl<T> Slice<T> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a table has fewer entries than the text has bytes"
    )]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            length: (end - start) as u32,
            of: std::marker::PhantomData,
        }
    }

    pub(crate) const fn range(&self) -> Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ident,
    /// An integer or a float.
    Number,
    Uri,
    /// `<nixpkgs>`.
    SearchPath,
    Path(Slice<Part>),
    /// `"…"`, or `''…''` where indented.
    String {
        parts: Slice<Part>,
        indented: bool,
    },
    List(Slice<NodeId>),
    Set {
        recursive: bool,
        bindings: Slice<BindingId>,
    },
    Let {
        bindings: Slice<BindingId>,
        body: NodeId,
    },
    /// `let { body = …; }`: a recursive set and its attribute `body`.
    LegacyLet(Slice<BindingId>),
    With {
        scope: NodeId,
        body: NodeId,
    },
    Assert {
        condition: NodeId,
        body: NodeId,
    },
    If {
        condition: NodeId,
        then: NodeId,
        otherwise: NodeId,
    },
    Lambda {
        /// The name of the whole argument.
        name: Option<Span>,
        /// What is taken out of it, if it is a set.
        formals: Option<Slice<Formal>>,
        body: NodeId,
    },
    Apply {
        function: NodeId,
        argument: NodeId,
    },
    Select {
        base: NodeId,
        path: Slice<Name>,
        default: Option<NodeId>,
    },
    Has {
        base: NodeId,
        path: Slice<Name>,
    },
    Binary {
        operator: Operator,
        left: NodeId,
        right: NodeId,
    },
    Not(NodeId),
    Negate(NodeId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Implies,
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    Update,
    Add,
    Subtract,
    Multiply,
    Divide,
    Concat,
}

/// A piece of a string or a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// As written.
    Text(Span),
    /// An interpolated expression.
    Code(NodeId),
}

/// One name of an attribute path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Ident(Span),
    /// In quotes: a string node.
    String(NodeId),
    /// `${…}`.
    Dynamic(NodeId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Formal {
    pub(crate) name: Span,
    pub(crate) default: Option<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// `a.b = value`.
    Value { path: Slice<Name>, value: NodeId },
    /// `inherit a b`, `inherit (from) a b`.
    Inherit { from: Option<NodeId>, names: Slice<Name> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) bound: Bound,
    /// From its first name to its semicolon.
    pub(crate) span: Span,
    /// The set or `let` that it stands in.
    pub(crate) owner: NodeId,
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parent {
    /// It is the whole file.
    None,
    Node(NodeId),
    /// It is the value, the source of an `inherit`, or in the name of a binding.
    Binding(BindingId),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    pub(crate) parent: Parent,
}

/// All of a file.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) items: Vec<NodeId>,
    pub(crate) bound: Vec<BindingId>,
    pub(crate) parts: Vec<Part>,
    pub(crate) names: Vec<Name>,
    pub(crate) formals: Vec<Formal>,
    pub(crate) root: NodeId,
}

impl Tree {
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(crate) fn kind(&self, id: NodeId) -> Kind {
        self.node(id).kind
    }

    pub(crate) fn span(&self, id: NodeId) -> Span {
        self.node(id).span
    }

    pub(crate) fn binding(&self, id: BindingId) -> &Binding {
        &self.bindings[id.0 as usize]
    }

    pub(crate) fn items(&self, some: Slice<NodeId>) -> &[NodeId] {
        &self.items[some.range()]
    }

    pub(crate) fn bound(&self, some: Slice<BindingId>) -> &[BindingId] {
        &self.bound[some.range()]
    }

    pub(crate) fn parts(&self, some: Slice<Part>) -> &[Part] {
        &self.parts[some.range()]
    }

    pub(crate) fn names(&self, some: Slice<Name>) -> &[Name] {
        &self.names[some.range()]
    }

    pub(crate) fn formals(&self, some: Slice<Formal>) -> &[Formal] {
        &self.formals[some.range()]
    }

    /// All nodes, children before parents.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a tree has fewer nodes than the text has bytes"
    )]
    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The node that `id` stands in, and the binding that is between them, if one is.
    pub(crate) fn above(&self, id: NodeId) -> Option<(NodeId, Option<BindingId>)> {
        match self.node(id).parent {
            Parent::None => None,
            Parent::Node(node) => Some((node, None)),
            Parent::Binding(binding) => Some((self.binding(binding).owner, Some(binding))),
        }
    }

    /// The bindings of a set or a `let`.
    pub(crate) fn bindings_of(&self, id: NodeId) -> &[BindingId] {
        match self.kind(id) {
            Kind::Set { bindings, .. } | Kind::Let { bindings, .. } | Kind::LegacyLet(bindings) => self.bound(bindings),
            _ => &[],
        }
    }
}
