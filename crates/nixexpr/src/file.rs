//! A file that was read, and why one was not.

use std::cell::OnceCell;

use crate::{
    resolve::Lookups,
    syntax::{
        self, SyntaxError,
        tree::{Span, Tree},
    },
};

/// The longest text that is read, in bytes. The largest file of nixpkgs has 20 MB.
pub const LONGEST: usize = 64 << 20;

/// The text of a Nix file, and its tree. All of the text was understood.
#[derive(Debug)]
pub struct File<'a> {
    path: &'a str,
    text: &'a str,
    pub(crate) tree: Tree,
    pub(crate) lookups: Lookups,
    lines: OnceCell<Vec<u32>>,
}

/// Why a file could not be read. Such a file is never read in part: it takes people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unparsed {
    /// It is longer than [`LONGEST`].
    #[error("it has {length} bytes; at most {LONGEST} are read")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It is not UTF-8.
    #[error("line {line}: not UTF-8")]
    NotUtf8 {
        /// The line, from 1.
        line: u64,
    },
    /// It has a NUL character, at which Nix stops reading.
    #[error("line {line}: a NUL character, at which Nix stops reading")]
    Nul {
        /// The line, from 1.
        line: u64,
    },
    /// Its expressions are nested too deep.
    #[error("line {line}: nested too deep")]
    TooDeep {
        /// The line, from 1.
        line: u64,
    },
    /// To find out what it says takes more steps than a file of its length may ([`File::exhausted`]).
    #[error("its definitions are too involved to follow")]
    TooInvolved,
    /// It is not Nix.
    #[error("line {line}: {what}")]
    Syntax {
        /// The line, from 1.
        line: u64,
        /// What was found.
        what: &'static str,
    },
}

/// Reads the file at `path` (which only names it) whose content is `bytes`.
///
/// What this accepts Nix may still refuse (an attribute that is bound twice, a variable that nothing binds): that
/// errs towards comparing what nobody can evaluate. What Nix accepts and this refuses is [`Unparsed`], and takes
/// people.
pub fn parse<'a>(path: &'a str, bytes: &'a [u8]) -> Result<File<'a>, Unparsed> {
    if bytes.len() > LONGEST {
        return Err(Unparsed::TooLong { length: bytes.len() });
    }
    let line = |at: usize| line_of(bytes, at);
    let text = std::str::from_utf8(bytes).map_err(|error| Unparsed::NotUtf8 {
        line: line(error.valid_up_to()),
    })?;
    if let Some(at) = memchr::memchr(0, bytes) {
        return Err(Unparsed::Nul { line: line(at) });
    }
    let tree = syntax::parse(text).map_err(|SyntaxError { at, what }| match what {
        syntax::TOO_DEEP => Unparsed::TooDeep { line: line(at) },
        what => Unparsed::Syntax { line: line(at), what },
    })?;
    Ok(File {
        path,
        text,
        tree,
        lookups: Lookups::default(),
        lines: OnceCell::new(),
    })
}

fn line_of(bytes: &[u8], at: usize) -> u64 {
    let before = &bytes[..at.min(bytes.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl<'a> File<'a> {
    /// The path it was given.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// Its text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Whether the word is anywhere in its text.
    pub(crate) fn says(&self, word: &str) -> bool {
        memchr::memmem::find(self.text.as_bytes(), word.as_bytes()).is_some()
    }

    pub(crate) fn slice(&self, span: Span) -> &'a str {
        &self.text[span.range()]
    }

    /// The line, from 1, of a byte of the text.
    pub fn line(&self, at: u32) -> u64 {
        let starts = self.lines.get_or_init(|| {
            let newlines = memchr::memchr_iter(b'\n', self.text.as_bytes());
            newlines.map(|at| Span::new(at, at).start).collect()
        });
        starts.partition_point(|newline| *newline < at) as u64 + 1
    }
}
