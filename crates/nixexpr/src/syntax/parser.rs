//! Tokens to a tree, by Nix's own grammar (`parser.y` of 2.8 and 2.26).
//!
//! There is no recovery: the first token that does not fit ends it. Recursion is bounded by [`DEEPEST`], so no text
//! overflows the stack; real files nest a tenth of it.

mod sets;

use super::{
    SyntaxError,
    lexer::{self, Token},
    tree::{BindingId, Formal, Kind, Name, Node, NodeId, Operator, Parent, Part, Slice, Span, Tree},
};

/// How deep expressions may be nested.
pub(crate) const DEEPEST: u32 = 256;

/// What is said of text that nests deeper; [`crate::Unparsed`] tells it apart by this.
pub(crate) const TOO_DEEP: &str = "nested too deep";

/// As many things as most files have open at once.
const FEW: usize = 32;

pub(crate) fn parse(text: &str) -> Result<Tree, SyntaxError> {
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser {
        tree: Tree {
            nodes: Vec::with_capacity(tokens.len() / 2),
            bindings: Vec::with_capacity(tokens.len() / 8),
            items: Vec::with_capacity(tokens.len() / 16),
            bound: Vec::with_capacity(tokens.len() / 8),
            parts: Vec::with_capacity(tokens.len() / 8),
            names: Vec::with_capacity(tokens.len() / 4),
            formals: Vec::with_capacity(FEW),
            root: NodeId(0),
        },
        tokens: &tokens,
        at: 0,
        depth: 0,
        items: Vec::with_capacity(FEW),
        bound: Vec::with_capacity(FEW),
        parts: Vec::with_capacity(FEW),
        names: Vec::with_capacity(FEW),
        formals: Vec::with_capacity(FEW),
    };
    let root = parser.expression()?;
    if parser.peek() != Token::End {
        return parser.unexpected();
    }
    parser.tree.root = root;
    Ok(parser.tree)
}

type Parsed<T> = Result<T, SyntaxError>;

/// The vectors besides the tree are stacks of what is not complete yet, so that nested lists stay apart.
struct Parser<'t> {
    tree: Tree,
    tokens: &'t [(Token, Span)],
    at: usize,
    depth: u32,
    items: Vec<NodeId>,
    bound: Vec<BindingId>,
    parts: Vec<Part>,
    names: Vec<Name>,
    formals: Vec<Formal>,
}

const fn sign(byte: u8) -> Token {
    Token::Sign(byte)
}

/// How strongly an operator binds; Nix's table, weakest first.
const fn binding_power(token: Token) -> Option<(u8, Associates, Operator)> {
    Some(match token {
        Token::Implies => (1, Associates::Right, Operator::Implies),
        Token::OrOr => (2, Associates::Left, Operator::Or),
        Token::And => (3, Associates::Left, Operator::And),
        Token::Equal => (4, Associates::Not, Operator::Equal),
        Token::NotEqual => (4, Associates::Not, Operator::NotEqual),
        Token::Sign(b'<') => (5, Associates::Not, Operator::Less),
        Token::Sign(b'>') => (5, Associates::Not, Operator::Greater),
        Token::LessOrEqual => (5, Associates::Not, Operator::LessOrEqual),
        Token::GreaterOrEqual => (5, Associates::Not, Operator::GreaterOrEqual),
        Token::Update => (6, Associates::Right, Operator::Update),
        Token::Sign(b'+') => (8, Associates::Left, Operator::Add),
        Token::Sign(b'-') => (8, Associates::Left, Operator::Subtract),
        Token::Sign(b'*') => (9, Associates::Left, Operator::Multiply),
        Token::Sign(b'/') => (9, Associates::Left, Operator::Divide),
        Token::Concat => (10, Associates::Right, Operator::Concat),
        _ => return None,
    })
}

/// `!` binds like this, `?` and the sign of a number like those.
const NOT: u8 = 7;
const HAS: u8 = 11;
const NEGATE: u8 = 12;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Associates {
    Left,
    Right,
    Not,
}

impl Parser<'_> {
    fn peek(&self) -> Token {
        self.peek_at(0)
    }

    fn peek_at(&self, offset: usize) -> Token {
        self.tokens
            .get(self.at + offset)
            .map_or(Token::End, |(token, _)| *token)
    }

    fn span(&self) -> Span {
        let last = self.tokens.len() - 1;
        self.tokens[self.at.min(last)].1
    }

    fn next(&mut self) -> Span {
        let span = self.span();
        self.at += 1;
        span
    }

    fn unexpected<T>(&self) -> Parsed<T> {
        Err(SyntaxError {
            at: self.span().start as usize,
            what: "a token that does not fit here",
        })
    }

    fn expect(&mut self, token: Token) -> Parsed<Span> {
        if self.peek() == token {
            Ok(self.next())
        } else {
            self.unexpected()
        }
    }

    fn eat(&mut self, token: Token) -> Option<Span> {
        (self.peek() == token).then(|| self.next())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a tree has fewer nodes than the text has bytes"
    )]
    fn node(&mut self, kind: Kind, span: Span, children: &[NodeId]) -> NodeId {
        let id = NodeId(self.tree.nodes.len() as u32);
        for child in children {
            self.tree.nodes[child.0 as usize].parent = Parent::Node(id);
        }
        self.tree.nodes.push(Node {
            kind,
            span,
            parent: Parent::None,
        });
        id
    }

    fn span_of(&self, id: NodeId) -> Span {
        self.tree.span(id)
    }

    /// Runs `parse` one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEEPEST {
            return Err(SyntaxError {
                at: self.span().start as usize,
                what: TOO_DEEP,
            });
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Parsed<NodeId> {
        self.deeper(Self::expression_here)
    }

    fn expression_here(&mut self) -> Parsed<NodeId> {
        match self.peek() {
            Token::Ident if matches!(self.peek_at(1), Token::Sign(b':' | b'@')) => self.lambda(),
            Token::Sign(b'{') if self.begins_formals() => self.lambda(),
            Token::Assert => {
                let start = self.next();
                let condition = self.expression()?;
                self.expect(sign(b';'))?;
                let body = self.expression()?;
                let span = start.to(self.span_of(body));
                Ok(self.node(Kind::Assert { condition, body }, span, &[condition, body]))
            }
            Token::With => {
                let start = self.next();
                let scope = self.expression()?;
                self.expect(sign(b';'))?;
                let body = self.expression()?;
                let span = start.to(self.span_of(body));
                Ok(self.node(Kind::With { scope, body }, span, &[scope, body]))
            }
            Token::Let if self.peek_at(1) != sign(b'{') => self.let_in(),
            Token::If => {
                let start = self.next();
                let condition = self.expression()?;
                self.expect(Token::Then)?;
                let then = self.expression()?;
                self.expect(Token::Else)?;
                let otherwise = self.expression()?;
                let span = start.to(self.span_of(otherwise));
                let kind = Kind::If {
                    condition,
                    then,
                    otherwise,
                };
                Ok(self.node(kind, span, &[condition, then, otherwise]))
            }
            _ => self.operation(0),
        }
    }

    fn let_in(&mut self) -> Parsed<NodeId> {
        let start = self.next();
        let bindings = self.bindings(Token::In)?;
        self.expect(Token::In)?;
        let body = self.expression()?;
        let span = start.to(self.span_of(body));
        let id = self.node(Kind::Let { bindings, body }, span, &[body]);
        self.own(bindings, id);
        Ok(id)
    }

    /// Whether the `{` here begins the formal arguments of a function rather than a set.
    fn begins_formals(&self) -> bool {
        matches!(
            (self.peek_at(1), self.peek_at(2)),
            (Token::Ellipsis, _)
                | (Token::Ident, Token::Sign(b',' | b'?' | b'}'))
                | (Token::Sign(b'}'), Token::Sign(b':' | b'@'))
        )
    }

    fn lambda(&mut self) -> Parsed<NodeId> {
        let start = self.span();
        let mut name = None;
        let mut formals = None;
        if self.peek() == Token::Ident {
            name = Some(self.next());
            if self.eat(sign(b'@')).is_some() {
                formals = Some(self.formals()?);
            }
        } else {
            formals = Some(self.formals()?);
            if self.eat(sign(b'@')).is_some() {
                name = Some(self.expect(Token::Ident)?);
            }
        }
        self.expect(sign(b':'))?;
        let body = self.expression()?;
        let span = start.to(self.span_of(body));
        let id = self.node(Kind::Lambda { name, formals, body }, span, &[body]);
        for index in formals.map_or(0..0, |formals| formals.range()) {
            if let Some(default) = self.tree.formals[index].default {
                self.tree.nodes[default.0 as usize].parent = Parent::Node(id);
            }
        }
        Ok(id)
    }

    fn formals(&mut self) -> Parsed<Slice<Formal>> {
        self.expect(sign(b'{'))?;
        let begin = self.formals.len();
        // An ellipsis is the last one; a comma may be.
        loop {
            if self.eat(Token::Ellipsis).is_some() || self.peek() != Token::Ident {
                break;
            }
            let name = self.next();
            let default = self.eat(sign(b'?')).map(|_| self.expression()).transpose()?;
            self.formals.push(Formal { name, default });
            if self.eat(sign(b',')).is_none() {
                break;
            }
        }
        self.expect(sign(b'}'))?;
        let from = self.tree.formals.len();
        self.tree.formals.extend(self.formals.drain(begin..));
        Ok(Slice::new(from, self.tree.formals.len()))
    }

    /// Operators that bind at least as strongly as `least`.
    fn operation(&mut self, least: u8) -> Parsed<NodeId> {
        let mut left = self.operand()?;
        // The strength of the last operator that does not associate: another one like it does not follow.
        let mut lonely = None;
        loop {
            if self.peek() == sign(b'?') {
                if HAS < least || lonely == Some(HAS) {
                    return if lonely == Some(HAS) {
                        self.unexpected()
                    } else {
                        Ok(left)
                    };
                }
                self.next();
                let path = self.attribute_path()?;
                let span = self.span_of(left).to(self.last_span());
                left = self.node(Kind::Has { base: left, path }, span, &[left]);
                self.adopt_names(path, left);
                lonely = Some(HAS);
                continue;
            }
            let Some((power, associates, operator)) = binding_power(self.peek()) else {
                return Ok(left);
            };
            if power < least {
                return Ok(left);
            }
            if lonely == Some(power) {
                return self.unexpected();
            }
            self.next();
            let right = match associates {
                Associates::Right => self.deeper(|parser| parser.operation(power))?,
                Associates::Left | Associates::Not => self.deeper(|parser| parser.operation(power + 1))?,
            };
            lonely = (associates == Associates::Not).then_some(power);
            let span = self.span_of(left).to(self.span_of(right));
            left = self.node(Kind::Binary { operator, left, right }, span, &[left, right]);
        }
    }

    fn operand(&mut self) -> Parsed<NodeId> {
        match self.peek() {
            Token::Sign(b'!') => {
                let start = self.next();
                let inner = self.deeper(|parser| parser.operation(NOT))?;
                let span = start.to(self.span_of(inner));
                Ok(self.node(Kind::Not(inner), span, &[inner]))
            }
            Token::Sign(b'-') => {
                let start = self.next();
                let inner = self.deeper(|parser| parser.operation(NEGATE))?;
                let span = start.to(self.span_of(inner));
                Ok(self.node(Kind::Negate(inner), span, &[inner]))
            }
            _ => self.application(),
        }
    }

    fn application(&mut self) -> Parsed<NodeId> {
        let mut function = self.selection()?;
        while self.begins_simple() {
            let argument = self.selection()?;
            let span = self.span_of(function).to(self.span_of(argument));
            function = self.node(Kind::Apply { function, argument }, span, &[function, argument]);
        }
        Ok(function)
    }

    fn begins_simple(&self) -> bool {
        match self.peek() {
            Token::Ident
            | Token::Int
            | Token::Float
            | Token::Uri
            | Token::SearchPath
            | Token::PathText
            | Token::StringStart
            | Token::IndentedStart
            | Token::Rec
            | Token::Sign(b'(' | b'[' | b'{') => true,
            Token::Let => self.peek_at(1) == sign(b'{'),
            _ => false,
        }
    }

    fn selection(&mut self) -> Parsed<NodeId> {
        let base = self.simple()?;
        if self.eat(sign(b'.')).is_some() {
            let path = self.attribute_path()?;
            let default = match self.eat(Token::Or) {
                Some(_) => Some(self.deeper(Self::selection)?),
                None => None,
            };
            let span = self.span_of(base).to(self.last_span());
            let id = self.node(Kind::Select { base, path, default }, span, &[base]);
            if let Some(default) = default {
                self.tree.nodes[default.0 as usize].parent = Parent::Node(id);
            }
            self.adopt_names(path, id);
            return Ok(id);
        }
        // Nix still takes `f or` for `f` applied to a variable named so.
        if self.peek() == Token::Or {
            let span = self.next();
            let argument = self.node(Kind::Ident, span, &[]);
            let whole = self.span_of(base).to(span);
            let kind = Kind::Apply {
                function: base,
                argument,
            };
            return Ok(self.node(kind, whole, &[base, argument]));
        }
        Ok(base)
    }

    fn last_span(&self) -> Span {
        self.tokens[self.at - 1].1
    }

    fn simple(&mut self) -> Parsed<NodeId> {
        let start = self.span();
        match self.peek() {
            Token::Ident => {
                self.next();
                Ok(self.node(Kind::Ident, start, &[]))
            }
            Token::Int | Token::Float => {
                self.next();
                Ok(self.node(Kind::Number, start, &[]))
            }
            Token::Uri => {
                self.next();
                Ok(self.node(Kind::Uri, start, &[]))
            }
            Token::SearchPath => {
                self.next();
                Ok(self.node(Kind::SearchPath, start, &[]))
            }
            Token::StringStart => self.string(false),
            Token::IndentedStart => self.string(true),
            Token::PathText => self.path(),
            Token::Sign(b'(') => {
                self.next();
                let inner = self.expression()?;
                self.expect(sign(b')'))?;
                Ok(inner)
            }
            Token::Sign(b'[') => self.list(),
            Token::Sign(b'{') => self.set(start, false),
            Token::Rec => {
                self.next();
                self.set(start, true)
            }
            Token::Let if self.peek_at(1) == sign(b'{') => {
                self.at += 2;
                let bindings = self.deeper(|parser| parser.bindings(sign(b'}')))?;
                let end = self.expect(sign(b'}'))?;
                let id = self.node(Kind::LegacyLet(bindings), start.to(end), &[]);
                self.own(bindings, id);
                Ok(id)
            }
            _ => self.unexpected(),
        }
    }
}
