//! Small questions that rules ask about a file.

use crate::{
    Fact, File, facts,
    hash::Digest,
    names,
    syntax::tree::{Bound, Kind, NodeId, Span},
};

/// Adds code: a blank stands only where two tokens would be one without it.
pub(crate) fn push_code(out: &mut String, code: &str) {
    let apart = |c: char| matches!(c, '(' | ')' | '{' | '}' | '[' | ']' | ';' | ',' | '=' | '"');
    for word in code.split_whitespace() {
        if !out.is_empty() && !out.ends_with(apart) && !word.starts_with(apart) {
            out.push(' ');
        }
        out.push_str(word);
    }
}

/// Adds the text of a string, quotes and all.
fn push_text(out: &mut String, text: &str) {
    if out.ends_with(|c: char| !matches!(c, '(' | '{' | '[' | ';' | ',' | '=')) {
        out.push(' ');
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    out.push_str(&words.join(" "));
}

impl<'a> File<'a> {
    /// A node and all that is in it.
    pub(crate) fn subtree(&self, node: NodeId) -> impl Iterator<Item = NodeId> + use<'_, 'a> {
        let start = self.tree.span(node).start;
        let within = (0..=node.0).rev().map(NodeId);
        within.take_while(move |id| self.tree.span(*id).start >= start)
    }

    /// The text of a node, however it is laid out: white space in its strings as single blanks, between tokens only where
    /// it keeps them apart.
    pub(crate) fn words(&self, node: NodeId) -> String {
        let span = self.tree.span(node);
        let mut out = String::new();
        let mut at = span.start;
        for string in self.outer_strings(node) {
            push_code(
                &mut out,
                self.slice(Span {
                    start: at,
                    end: string.start,
                }),
            );
            push_text(&mut out, self.slice(string));
            at = string.end;
        }
        push_code(
            &mut out,
            self.slice(Span {
                start: at,
                end: span.end,
            }),
        );
        out
    }

    /// The strings in a node that stand in no other string, in the order of the text.
    pub(crate) fn outer_strings(&self, node: NodeId) -> Vec<Span> {
        let strings = self
            .subtree(node)
            .filter(|id| matches!(self.tree.kind(*id), Kind::String { .. }));
        let mut spans: Vec<Span> = strings.map(|id| self.tree.span(id)).collect();
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        let mut end = 0;
        spans.retain(|span| {
            let outer = span.start >= end;
            end = end.max(span.end);
            outer
        });
        spans
    }

    fn is_word(&self, node: NodeId, word: &str) -> bool {
        let forced = self.force(node).unwrap_or(node);
        self.tree.kind(forced) == Kind::Ident && self.slice(self.tree.span(forced)) == word
    }

    /// Whether a value is `false`, for certain.
    pub(crate) fn is_false(&self, node: NodeId) -> bool {
        self.is_word(node, "false")
    }

    /// Whether a value is `true`, for certain.
    pub(crate) fn is_true(&self, node: NodeId) -> bool {
        self.is_word(node, "true")
    }

    /// Whether a value is `null`, for certain.
    pub(crate) fn is_null(&self, node: NodeId) -> bool {
        self.is_word(node, "null")
    }

    /// Whether a value is `[ ]`.
    pub(crate) fn is_empty_list(&self, node: NodeId) -> bool {
        matches!(self.tree.kind(node), Kind::List(items) if self.tree.items(items).is_empty())
    }

    /// The items of all lists that a value is put together of (`[ a ] ++ optional c b` has `a`, and `b` stands for itself).
    pub(crate) fn list_items(&self, value: NodeId) -> Vec<NodeId> {
        let mut items = Vec::new();
        let mut open = vec![value];
        while let Some(node) = open.pop() {
            match self.tree.kind(node) {
                Kind::List(list) => items.extend(self.tree.items(list)),
                Kind::Binary { left, right, .. } => open.extend([right, left]),
                Kind::If { then, otherwise, .. } => open.extend([otherwise, then]),
                Kind::Let { body, .. } | Kind::With { body, .. } | Kind::Assert { body, .. } => open.push(body),
                // `optional c x`, `optionals c [ x ]` and what else gives a list of what it gets.
                Kind::Apply { function, argument } if self.gives_list(function) => match self.tree.kind(argument) {
                    Kind::List(_) | Kind::Binary { .. } | Kind::If { .. } | Kind::With { .. } => open.push(argument),
                    _ => items.push(argument),
                },
                // A variable of the file.
                Kind::Ident | Kind::Select { .. } => match self.force(node) {
                    Some(forced) if forced != node && matches!(self.tree.kind(forced), Kind::List(_)) => {
                        open.push(forced);
                    }
                    _ => items.push(node),
                },
                _ if node == value => {}
                _ => items.push(node),
            }
            if items.len() > 100_000 {
                break;
            }
        }
        items
    }

    fn gives_list(&self, function: NodeId) -> bool {
        match self.tree.kind(function) {
            Kind::Apply { function, .. } => self.callee(function).is_some_and(|callee| {
                matches!(
                    callee.last,
                    "optional" | "optionals" | "optionalList" | "filter" | "map" | "remove" | "subtractLists"
                )
            }),
            _ => false,
        }
    }

    /// Whether what stands here is read by people and not by a machine: a description, an example, a message.
    pub(crate) fn describes(&self, node: NodeId) -> bool {
        let mut at = node;
        while let Some((above, binding)) = self.tree.above(at) {
            if let Some(binding) = binding
                && let Bound::Value { path, .. } = self.tree.binding(binding).bound
            {
                let describes = |name: &str| {
                    matches!(
                        name,
                        "meta"
                            | "description"
                            | "longDescription"
                            | "example"
                            | "homepage"
                            | "changelog"
                            | "downloadPage"
                            | "documentation"
                            | "defaultText"
                            | "relatedPackages"
                    )
                };
                if self
                    .tree
                    .names(path)
                    .iter()
                    .any(|name| self.name(*name).is_some_and(describes))
                {
                    return true;
                }
            }
            if let Kind::Apply { function, .. } = self.tree.kind(above)
                && let Some(callee) = self.callee(function)
                && matches!(
                    callee.last,
                    "throw"
                        | "abort"
                        | "literalExpression"
                        | "literalExample"
                        | "literalMD"
                        | "mkEnableOption"
                        | "trace"
                        | "warn"
                        | "mdDoc"
                        | "mkRemovedOptionModule"
                        | "mkRenamedOptionModule"
                )
            {
                return true;
            }
            at = above;
        }
        false
    }

    /// Whether a node is in the text of a phase or a hook.
    pub(crate) fn is_in_phase(&self, node: NodeId) -> bool {
        let mut at = node;
        while let Some((above, binding)) = self.tree.above(at) {
            if let Some(binding) = binding {
                let Bound::Value { path, .. } = self.tree.binding(binding).bound else {
                    return false;
                };
                return self
                    .tree
                    .names(path)
                    .last()
                    .and_then(|name| self.name(*name))
                    .is_some_and(names::is_phase);
            }
            at = above;
        }
        false
    }

    /// Whether a string is what is expected to be long and without words: a hash, a key.
    pub(crate) fn is_hash_or_key(&self, node: NodeId) -> bool {
        let mut at = node;
        while let Some((above, binding)) = self.tree.above(at) {
            if let Some(binding) = binding {
                let Bound::Value { path, .. } = self.tree.binding(binding).bound else {
                    return false;
                };
                return self
                    .tree
                    .names(path)
                    .last()
                    .and_then(|name| self.name(*name))
                    .is_some_and(|name| {
                        names::is_hash(name)
                            || names::is_vendor_hash(name)
                            || name.to_ascii_lowercase().contains("key")
                            || name.to_ascii_lowercase().contains("hash")
                    });
            }
            at = above;
        }
        false
    }

    /// The hash that a derivation fixes for itself.
    pub(crate) fn own_hash(&self, set: NodeId) -> Option<Digest> {
        match self.attribute(set, "outputHash") {
            crate::resolve::Attribute::Is(_) => match facts::hash(self, set) {
                Fact::Known(digest) => Some(digest),
                _ => None,
            },
            _ => None,
        }
    }

    /// The hashes of what a builder fetches by a lock file, as they are written.
    pub(crate) fn vendor_hashes(&self, set: NodeId) -> Vec<(&'a str, String)> {
        let bindings = self.tree.bindings_of(set).iter();
        bindings
            .filter_map(|id| {
                let Bound::Value { path, value } = self.tree.binding(*id).bound else {
                    return None;
                };
                let name = self.name(*self.tree.names(path).first()?)?;
                let text = self
                    .text_of(value)
                    .map_or_else(|| self.words(value), std::borrow::Cow::into_owned);
                names::is_vendor_hash(name).then_some((name, text))
            })
            .collect()
    }
}
