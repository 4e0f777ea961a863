//! A second opinion before anybody is spared: rnix reads both texts too, to their end, and sees nothing differ but the
//! strings that are known to.
//!
//! Two readers that were written apart do not err alike. Where they disagree (rnix takes a lone carriage return for part of
//! a comment, for one), nothing is certified.

use rnix::SyntaxKind;

use crate::{
    compare::View,
    syntax::tree::{Parent, Tree},
};

/// Longer texts are no bumps: rnix reads some of them in quadratic time.
const LONGEST: usize = 1 << 20;

/// So are texts with a longer run of the characters that paths are made of, which rnix looks at again from each of them.
const LONGEST_RUN: usize = 1 << 12;

/// Or deeper trees, which rnix drops by recursion. A chain of operators is as deep as it is long.
const DEEPEST: u32 = 400;

/// Whether rnix reads both states, and sees exactly `changed` differ, in that order.
pub(crate) fn agrees(old: View<'_>, new: View<'_>, changed: &[(&str, &str)]) -> Result<(), String> {
    let doubt = |what: &str| Err(format!("a second reader of Nix disagrees: {what}"));
    for view in [old, new] {
        if view.file().text().len() > LONGEST
            || longest_run(view.file().text()) > LONGEST_RUN
            || depth(&view.file().tree) > DEEPEST
        {
            return doubt("the text is too long or too deep for it");
        }
        if rnix::Root::parse(view.file().text()).ok().is_err() {
            return doubt("it cannot read the text");
        }
    }
    let (mut before, mut after) = (tokens(old.text()), tokens(new.text()));
    let mut changed = changed.iter();
    loop {
        match (before.next(), after.next()) {
            (None, None) => break,
            (Some(old), Some(new)) if old == new => {}
            (Some((old_kind, old)), Some((new_kind, new))) => {
                let string = matches!(old_kind, SyntaxKind::TOKEN_STRING_CONTENT | SyntaxKind::TOKEN_URI);
                if !string || old_kind != new_kind || changed.next() != Some(&(old, new)) {
                    return doubt("it sees something else differ");
                }
            }
            _ => return doubt("it sees more on one side"),
        }
    }
    if changed.next().is_some() {
        doubt("it does not see all that differs")
    } else {
        Ok(())
    }
}

fn tokens(text: &str) -> impl Iterator<Item = (SyntaxKind, &str)> {
    rnix::tokenize(text).filter(|(kind, _)| !matches!(kind, SyntaxKind::TOKEN_WHITESPACE | SyntaxKind::TOKEN_COMMENT))
}

fn longest_run(text: &str) -> usize {
    let other = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b'/'));
    text.as_bytes().split(other).map(<[u8]>::len).max().unwrap_or(0)
}

fn depth(tree: &Tree) -> u32 {
    let mut depths = vec![0_u32; tree.nodes.len()];
    // Parents come after their children.
    for (index, node) in tree.nodes.iter().enumerate().rev() {
        let above = match node.parent {
            Parent::None => None,
            Parent::Node(parent) => Some(parent),
            Parent::Binding(binding) => Some(tree.binding(binding).owner),
        };
        if let Some(above) = above {
            depths[index] = depths[above.0 as usize] + 1;
        }
    }
    depths.into_iter().max().unwrap_or(0)
}
