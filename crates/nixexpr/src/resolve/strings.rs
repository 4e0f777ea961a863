//! Strings that the text determines.

use std::borrow::Cow;

use super::{FURTHEST, LONGEST_STRING};
use crate::{
    File,
    syntax::tree::{Kind, NodeId, Operator, Part},
};

impl<'a> File<'a> {
    /// A string that the text determines.
    pub(crate) fn text_of(&self, node: NodeId) -> Option<Cow<'a, str>> {
        self.text_in(node, FURTHEST)
    }

    fn text_in(&self, node: NodeId, far: u32) -> Option<Cow<'a, str>> {
        if let Some(literal) = self.literal(node) {
            return Some(Cow::Borrowed(literal));
        }
        self.step()?;
        let far = far.checked_sub(1)?;
        match self.tree.kind(node) {
            Kind::String { parts, indented } => {
                let mut text = String::new();
                for part in self.tree.parts(parts) {
                    match part {
                        Part::Text(span) => unescape(self.slice(*span), indented, &mut text)?,
                        Part::Code(code) => text.push_str(&self.text_in(*code, far)?),
                    }
                    if text.len() > LONGEST_STRING {
                        return None;
                    }
                }
                Some(Cow::Owned(text))
            }
            Kind::Number => Some(Cow::Borrowed(self.slice(self.tree.span(node)))).filter(|text| !text.contains('.')),
            Kind::Binary {
                operator: Operator::Add,
                left,
                right,
            } => {
                // A path plus a string is a path, and numbers add up: one side must be seen to be a string.
                let stringy = |node: NodeId| {
                    self.force_in(node, far)
                        .is_some_and(|node| matches!(self.tree.kind(node), Kind::String { .. }))
                };
                if !stringy(left) && !stringy(right) {
                    return None;
                }
                let mut text = self.text_in(left, far)?.into_owned();
                text.push_str(&self.text_in(right, far)?);
                (text.len() <= LONGEST_STRING).then_some(Cow::Owned(text))
            }
            Kind::Apply { .. } => self.call_of_string(node, far),
            _ => {
                let forced = self.force_in(node, far)?;
                if forced == node {
                    None
                } else {
                    self.text_in(forced, far)
                }
            }
        }
    }

    /// Functions of strings that nixpkgs uses in versions and URLs.
    fn call_of_string(&self, node: NodeId, far: u32) -> Option<Cow<'a, str>> {
        let mut arguments = Vec::new();
        let mut function = node;
        while let Kind::Apply {
            function: next,
            argument,
        } = self.tree.kind(function)
        {
            arguments.push(argument);
            function = next;
            self.step()?;
        }
        arguments.reverse();
        let callee = self.callee(function)?;
        if self.tree.kind(callee.head) != Kind::Ident && self.callee(callee.head).is_none() {
            return None;
        }
        let root = self.root_name(function)?;
        if !self.is_given(root, function) {
            return None;
        }
        let text = |index: usize| self.text_in(*arguments.get(index)?, far);
        let list = |index: usize| -> Option<Vec<Cow<'a, str>>> {
            let list = self.force_in(*arguments.get(index)?, far)?;
            let Kind::List(items) = self.tree.kind(list) else {
                return None;
            };
            let items = self.tree.items(items);
            (items.len() <= 64).then_some(())?;
            items.iter().map(|item| self.text_in(*item, far)).collect()
        };
        let made = match (callee.last, arguments.len()) {
            ("majorMinor", 1) => parts(&text(0)?, 0..2)?,
            ("major", 1) => parts(&text(0)?, 0..1)?,
            ("minor", 1) => parts(&text(0)?, 1..2)?,
            ("patch", 1) => parts(&text(0)?, 2..3)?,
            ("replaceStrings" | "replaceChars", 3) => replace(&list(0)?, &list(1)?, &text(2)?)?,
            ("removePrefix", 2) => {
                let (prefix, whole) = (text(0)?, text(1)?);
                whole.strip_prefix(&*prefix).unwrap_or(&whole).to_owned()
            }
            ("removeSuffix", 2) => {
                let (suffix, whole) = (text(0)?, text(1)?);
                whole.strip_suffix(&*suffix).unwrap_or(&whole).to_owned()
            }
            ("concatStrings", 1) => list(0)?.concat(),
            ("concatStringsSep", 2) => list(1)?.join(&*text(0)?),
            ("toLower", 1) => text(0)?.to_ascii_lowercase(),
            ("toUpper", 1) => text(0)?.to_ascii_uppercase(),
            ("toString", 1) => return text(0),
            ("substring", 3) => {
                let (start, length): (usize, usize) = (text(0)?.parse().ok()?, text(1)?.parse().ok()?);
                let whole = text(2)?;
                let end = start.saturating_add(length).min(whole.len());
                whole.get(start.min(end)..end)?.to_owned()
            }
            _ => return None,
        };
        (made.len() <= LONGEST_STRING).then_some(Cow::Owned(made))
    }
}

/// Adds what a piece of a string means. `None` for indented text of several lines, whose indentation Nix takes away.
fn unescape(raw: &str, indented: bool, out: &mut String) -> Option<()> {
    if indented {
        if raw.contains(['\n', '\r', '\'', '$']) || raw.starts_with(' ') && out.is_empty() {
            return None;
        }
        out.push_str(raw);
        return Some(());
    }
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                other => out.push(other),
            },
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push('\n');
            }
            other => out.push(other),
        }
    }
    Some(())
}

fn parts(version: &str, wanted: std::ops::Range<usize>) -> Option<String> {
    let parts: Vec<&str> = version.split('.').collect();
    let plain =
        version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && parts.iter().all(|part| !part.is_empty());
    // `splitVersion` also cuts between letters and digits; what has letters is not asked.
    plain.then(|| parts.get(wanted).map(|parts| parts.join(".")))?
}

/// `builtins.replaceStrings`.
fn replace(from: &[Cow<'_, str>], to: &[Cow<'_, str>], text: &str) -> Option<String> {
    if from.len() != to.len() || from.iter().any(|from| from.is_empty()) {
        return None;
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((from, to)) = from.iter().zip(to).find(|(from, _)| rest.starts_with(&***from)) {
            out.push_str(to);
            rest = &rest[from.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
        if out.len() > LONGEST_STRING {
            return None;
        }
    }
    Some(out)
}
