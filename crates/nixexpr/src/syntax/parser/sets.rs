//! Sets, lists, strings: what has parts.

use super::{Parsed, Parser, Token, sign};
use crate::syntax::tree::{Binding, BindingId, Bound, Kind, Name, NodeId, Parent, Part, Slice, Span};

impl Parser<'_> {
    pub(super) fn set(&mut self, start: Span, recursive: bool) -> Parsed<NodeId> {
        self.expect(sign(b'{'))?;
        let bindings = self.bindings(sign(b'}'))?;
        let end = self.expect(sign(b'}'))?;
        let id = self.node(Kind::Set { recursive, bindings }, start.to(end), &[]);
        self.own(bindings, id);
        Ok(id)
    }

    pub(super) fn list(&mut self) -> Parsed<NodeId> {
        let start = self.next();
        let begin = self.items.len();
        while self.begins_simple() {
            let item = self.deeper(Self::selection)?;
            self.items.push(item);
        }
        let end = self.expect(sign(b']'))?;
        let from = self.tree.items.len();
        self.tree.items.extend(self.items.drain(begin..));
        let items = Slice::new(from, self.tree.items.len());
        let id = self.node(Kind::List(items), start.to(end), &[]);
        for index in items.range() {
            let item = self.tree.items[index];
            self.tree.nodes[item.0 as usize].parent = Parent::Node(id);
        }
        Ok(id)
    }

    pub(super) fn string(&mut self, indented: bool) -> Parsed<NodeId> {
        let start = self.next();
        let parts = self.text_parts(Token::StringText)?;
        let end = self.expect(Token::StringEnd)?;
        let id = self.node(Kind::String { parts, indented }, start.to(end), &[]);
        self.adopt_parts(parts, id);
        Ok(id)
    }

    pub(super) fn path(&mut self) -> Parsed<NodeId> {
        let start = self.span();
        let parts = self.text_parts(Token::PathText)?;
        self.expect(Token::PathEnd)?;
        let end = Span::new(self.last_span().start as usize, self.last_span().start as usize);
        let id = self.node(Kind::Path(parts), start.to(end), &[]);
        self.adopt_parts(parts, id);
        Ok(id)
    }

    fn text_parts(&mut self, text: Token) -> Parsed<Slice<Part>> {
        let begin = self.parts.len();
        loop {
            if self.peek() == text {
                let span = self.next();
                self.parts.push(Part::Text(span));
            } else if self.eat(Token::Interpolation).is_some() {
                let code = self.expression()?;
                self.expect(sign(b'}'))?;
                self.parts.push(Part::Code(code));
            } else {
                break;
            }
        }
        let from = self.tree.parts.len();
        self.tree.parts.extend(self.parts.drain(begin..));
        Ok(Slice::new(from, self.tree.parts.len()))
    }

    fn adopt_parts(&mut self, parts: Slice<Part>, parent: NodeId) {
        for index in parts.range() {
            if let Part::Code(code) = self.tree.parts[index] {
                self.tree.nodes[code.0 as usize].parent = Parent::Node(parent);
            }
        }
    }

    pub(super) fn adopt_names(&mut self, names: Slice<Name>, parent: NodeId) {
        for index in names.range() {
            if let Name::String(node) | Name::Dynamic(node) = self.tree.names[index] {
                self.tree.nodes[node.0 as usize].parent = Parent::Node(parent);
            }
        }
    }

    pub(super) fn bindings(&mut self, end: Token) -> Parsed<Slice<BindingId>> {
        let begin = self.bound.len();
        while self.peek() != end {
            let start = self.span();
            let bound = if self.eat(Token::Inherit).is_some() {
                self.inherit()?
            } else {
                let path = self.attribute_path()?;
                self.expect(sign(b'='))?;
                let value = self.expression()?;
                Bound::Value { path, value }
            };
            let semicolon = self.expect(sign(b';'))?;
            let id = self.bind(bound, start.to(semicolon));
            self.bound.push(id);
        }
        let from = self.tree.bound.len();
        self.tree.bound.extend(self.bound.drain(begin..));
        Ok(Slice::new(from, self.tree.bound.len()))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "there are fewer bindings than the text has bytes"
    )]
    fn bind(&mut self, bound: Bound, span: Span) -> BindingId {
        let id = BindingId(self.tree.bindings.len() as u32);
        let (names, value) = match bound {
            Bound::Value { path, value } => (path, Some(value)),
            Bound::Inherit { from, names } => (names, from),
        };
        for index in names.range() {
            if let Name::String(node) | Name::Dynamic(node) = self.tree.names[index] {
                self.tree.nodes[node.0 as usize].parent = Parent::Binding(id);
            }
        }
        if let Some(value) = value {
            self.tree.nodes[value.0 as usize].parent = Parent::Binding(id);
        }
        self.tree.bindings.push(Binding {
            bound,
            span,
            owner: NodeId(0),
        });
        id
    }

    pub(super) fn own(&mut self, bindings: Slice<BindingId>, owner: NodeId) {
        for index in bindings.range() {
            let id = self.tree.bound[index];
            self.tree.bindings[id.0 as usize].owner = owner;
        }
    }

    fn inherit(&mut self) -> Parsed<Bound> {
        let from = match self.eat(sign(b'(')) {
            Some(_) => {
                let from = self.expression()?;
                self.expect(sign(b')'))?;
                Some(from)
            }
            None => None,
        };
        let begin = self.names.len();
        while self.peek() != sign(b';') {
            let name = self.name()?;
            // Nix refuses names here that it has to compute.
            if matches!(name, Name::Dynamic(_)) {
                return self.unexpected();
            }
            self.names.push(name);
        }
        Ok(Bound::Inherit {
            from,
            names: self.names_since(begin),
        })
    }

    pub(super) fn attribute_path(&mut self) -> Parsed<Slice<Name>> {
        let begin = self.names.len();
        loop {
            let name = self.name()?;
            self.names.push(name);
            if self.eat(sign(b'.')).is_none() {
                return Ok(self.names_since(begin));
            }
        }
    }

    fn names_since(&mut self, begin: usize) -> Slice<Name> {
        let from = self.tree.names.len();
        self.tree.names.extend(self.names.drain(begin..));
        Slice::new(from, self.tree.names.len())
    }

    fn name(&mut self) -> Parsed<Name> {
        match self.peek() {
            Token::Ident | Token::Or => Ok(Name::Ident(self.next())),
            Token::StringStart => self.string(false).map(Name::String),
            Token::Interpolation => {
                self.next();
                let code = self.expression()?;
                self.expect(sign(b'}'))?;
                Ok(Name::Dynamic(code))
            }
            _ => self.unexpected(),
        }
    }
}
