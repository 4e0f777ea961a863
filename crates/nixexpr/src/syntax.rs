//! Nix's syntax: text to tokens to a tree.

mod lexer;
mod parser;
pub(crate) mod tree;

pub(crate) use parser::{TOO_DEEP, parse};

/// Where text stops being Nix, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The byte.
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}
