//! Text to tokens, as Nix's own scanner cuts them (`lexer.l` of 2.8 and 2.26).
//!
//! Comments and white space are dropped. Whatever Nix's scanner would not accept, and a few things that it accepts
//! and that hide what follows (a NUL ends its input), are errors. Time is linear in the text, whatever it is.

mod classes;
mod strings;

use self::classes::{is_ident_char, is_path_char, is_scheme_char, is_uri_char, is_word_char};
use super::{SyntaxError, tree::Span};

/// What a token is. Where the spelling matters, the span tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Ident,
    Int,
    Float,
    Uri,
    SearchPath,
    /// A piece of a path; a path is pieces and interpolations, then [`Token::PathEnd`].
    PathText,
    PathEnd,
    /// `"`, at the beginning of a string.
    StringStart,
    /// `''`, likewise.
    IndentedStart,
    /// A piece of either string between interpolations, as written.
    StringText,
    StringEnd,
    /// `${`.
    Interpolation,
    If,
    Then,
    Else,
    Assert,
    With,
    Let,
    In,
    Rec,
    Inherit,
    Or,
    Ellipsis,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    And,
    OrOr,
    Implies,
    Update,
    Concat,
    /// One of `{ } ( ) [ ] : ; , . = ? @ ! < > + - * /`.
    Sign(u8),
    End,
}

/// In what the scanner is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Code,
    String,
    Indented,
    /// In a path; whether the last piece ended with a slash.
    Path {
        slash: bool,
    },
}

/// Cuts `text` into tokens; the last one is [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, Span)>, SyntaxError> {
    let mut lexer = Lexer {
        bytes: text.as_bytes(),
        at: 0,
        modes: vec![Mode::Code],
        // Real text has a token every five bytes or fewer.
        tokens: Vec::with_capacity(text.len() / 4 + 8),
        run: Run::default(),
    };
    lexer.all()?;
    Ok(lexer.tokens)
}

/// A run of path characters that was looked at already. Every token that begins in it would look at it again, which
/// made a file of dots quadratic.
#[derive(Default)]
struct Run {
    end: usize,
    /// From here on, a token may begin whose characters up to a `:` make the scheme of a URI; asked only where that follows.
    scheme_from: Option<usize>,
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    modes: Vec<Mode>,
    tokens: Vec<(Token, Span)>,
    run: Run,
}

impl Lexer<'_> {
    fn byte(&self, offset: usize) -> u8 {
        // NUL is refused before, so it can stand for the end.
        self.bytes.get(self.at + offset).copied().unwrap_or(0)
    }

    fn push(&mut self, token: Token, start: usize) {
        self.tokens.push((token, Span::new(start, self.at)));
    }

    fn error<T>(&self, what: &'static str) -> Result<T, SyntaxError> {
        Err(SyntaxError { at: self.at, what })
    }

    fn take(&mut self, is: impl Fn(u8) -> bool) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|byte| !is(*byte)).unwrap_or(rest.len());
    }

    /// Goes to the next byte that `find` finds in what is left, else to the end.
    fn go_to(&mut self, find: impl Fn(&[u8]) -> Option<usize>) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += find(rest).unwrap_or(rest.len());
    }

    fn all(&mut self) -> Result<(), SyntaxError> {
        loop {
            match self.modes.last().copied() {
                None => return self.error("a `}` that closes nothing"),
                Some(Mode::Code) => {
                    self.skip_trivia()?;
                    if self.at >= self.bytes.len() {
                        if self.modes.len() > 1 {
                            return self.error("the text ends within a brace");
                        }
                        self.push(Token::End, self.at);
                        return Ok(());
                    }
                    self.code()?;
                }
                Some(Mode::String) => self.string()?,
                Some(Mode::Indented) => self.indented()?,
                Some(Mode::Path { slash }) => self.path_rest(slash)?,
            }
        }
    }

    fn skip_trivia(&mut self) -> Result<(), SyntaxError> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (b' ' | b'\t' | b'\r' | b'\n', _) => self.take(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')),
                // A lone carriage return ends a comment, which other readers of Nix do not know.
                (b'#', _) => self.go_to(|rest| memchr::memchr2(b'\r', b'\n', rest)),
                (b'/', b'*') => {
                    self.at += 2;
                    loop {
                        self.go_to(|rest| memchr::memchr(b'*', rest));
                        if self.at >= self.bytes.len() {
                            return self.error("a comment that does not end");
                        }
                        self.at += 1;
                        if self.byte(0) == b'/' {
                            self.at += 1;
                            break;
                        }
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn code(&mut self) -> Result<(), SyntaxError> {
        let (start, first) = (self.at, self.byte(0));
        if (first.is_ascii_alphabetic() || first == b'_') && self.plain_word() {
            return Ok(());
        }
        if (is_path_char(first) || first == b'/') && self.path_or_uri() {
            return Ok(());
        }
        match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                self.take(is_ident_char);
                let token = keyword(&self.bytes[start..self.at]);
                self.push(token, start);
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1) == b'.' && self.byte(2) == b'.' => self.sign(3, Token::Ellipsis),
            b'.' if self.byte(1).is_ascii_digit() => self.number(),
            b'"' => {
                self.sign(1, Token::StringStart);
                self.modes.push(Mode::String);
            }
            b'\'' if self.byte(1) == b'\'' => {
                self.sign(2, Token::IndentedStart);
                self.modes.push(Mode::Indented);
            }
            b'$' if self.byte(1) == b'{' => self.interpolation(),
            b'~' => return self.home_path(),
            b'<' if self.search_path() => {}
            b'{' => {
                self.sign(1, Token::Sign(first));
                self.modes.push(Mode::Code);
            }
            b'}' => {
                self.sign(1, Token::Sign(first));
                self.modes.pop();
            }
            _ => return self.operator(first),
        }
        Ok(())
    }

    /// A name, if what comes after it can make it nothing else: what most tokens are.
    fn plain_word(&mut self) -> bool {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|byte| !is_word_char(*byte)).unwrap_or(rest.len());
        if matches!(rest.get(length), Some(b'.' | b'+' | b'/' | b':' | b'\'')) {
            return false;
        }
        self.at += length;
        self.push(keyword(&rest[..length]), start);
        true
    }

    fn sign(&mut self, length: usize, token: Token) {
        let start = self.at;
        self.at += length;
        self.push(token, start);
    }

    fn interpolation(&mut self) {
        self.sign(2, Token::Interpolation);
        self.modes.push(Mode::Code);
    }

    fn operator(&mut self, first: u8) -> Result<(), SyntaxError> {
        let two = match (first, self.byte(1)) {
            (b'=', b'=') => Token::Equal,
            (b'!', b'=') => Token::NotEqual,
            (b'<', b'=') => Token::LessOrEqual,
            (b'>', b'=') => Token::GreaterOrEqual,
            (b'&', b'&') => Token::And,
            (b'|', b'|') => Token::OrOr,
            (b'-', b'>') => Token::Implies,
            (b'/', b'/') => Token::Update,
            (b'+', b'+') => Token::Concat,
            (
                b'(' | b')' | b'[' | b']' | b':' | b';' | b',' | b'.' | b'=' | b'?' | b'@' | b'!' | b'<' | b'>' | b'+'
                | b'-' | b'*' | b'/',
                _,
            ) => {
                self.sign(1, Token::Sign(first));
                return Ok(());
            }
            _ => return self.error("a character that is no Nix"),
        };
        self.sign(2, two);
        Ok(())
    }

    /// `FLOAT  (([1-9][0-9]*\.[0-9]*)|(0?\.[0-9]+))([Ee][+-]?[0-9]+)?`, else `INT`.
    fn number(&mut self) {
        let start = self.at;
        self.take(|byte| byte.is_ascii_digit());
        let whole = &self.bytes[start..self.at];
        let fraction = self.byte(0) == b'.'
            && match whole {
                [b'1'..=b'9', ..] => true,
                [] | [b'0'] => self.byte(1).is_ascii_digit(),
                _ => false,
            };
        if !fraction {
            return self.push(Token::Int, start);
        }
        self.at += 1;
        self.take(|byte| byte.is_ascii_digit());
        if matches!(self.byte(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if self.byte(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                self.take(|byte| byte.is_ascii_digit());
            }
        }
        self.push(Token::Float, start);
    }

    /// A path or a URI, if one begins here. The run of path characters from here decides it: a `/` after it makes a
    /// path, a `:` a URI.
    fn path_or_uri(&mut self) -> bool {
        let start = self.at;
        if start >= self.run.end {
            let rest = &self.bytes[start..];
            let length = rest.iter().position(|byte| !is_path_char(*byte)).unwrap_or(rest.len());
            self.run = Run {
                end: start + length,
                scheme_from: None,
            };
        }
        let end = self.run.end;
        let after = |offset: usize| self.bytes.get(end + offset).copied().unwrap_or(0);
        match after(0) {
            b'/' if is_path_char(after(1)) => {
                self.path_text();
                true
            }
            b'/' if after(1) == b'$' && after(2) == b'{' => {
                self.at = end + 1;
                self.push(Token::PathText, start);
                self.modes.push(Mode::Path { slash: true });
                true
            }
            b':' if self.bytes[start].is_ascii_alphabetic() && is_uri_char(after(1)) && start >= self.scheme_from() => {
                self.at = end + 1;
                self.take(is_uri_char);
                self.push(Token::Uri, start);
                true
            }
            _ => false,
        }
    }

    /// Where, in the run that was looked at, what may be a scheme begins at the earliest.
    fn scheme_from(&mut self) -> usize {
        let (start, end) = (self.at, self.run.end);
        *self.run.scheme_from.get_or_insert_with(|| {
            let run = &self.bytes[start..end];
            let last = run.iter().rposition(|byte| !is_scheme_char(*byte));
            last.map_or(start, |last| start + last + 1)
        })
    }

    /// `{PATH_CHAR}*(\/{PATH_CHAR}+)+\/?`, known to match here; the mode after it.
    fn path_text(&mut self) {
        let start = self.at;
        self.take(is_path_char);
        while self.byte(0) == b'/' && is_path_char(self.byte(1)) {
            self.at += 1;
            self.take(is_path_char);
        }
        let slash = self.byte(0) == b'/';
        self.at += usize::from(slash);
        self.push(Token::PathText, start);
        self.modes.push(Mode::Path { slash });
    }

    fn home_path(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        if self.byte(1) == b'/' && is_path_char(self.byte(2)) {
            self.at += 1;
            self.path_text();
            if let Some((_, span)) = self.tokens.last_mut() {
                *span = Span::new(start, self.at);
            }
            return Ok(());
        }
        if self.byte(1) == b'/' && self.byte(2) == b'$' && self.byte(3) == b'{' {
            self.sign(2, Token::PathText);
            self.modes.push(Mode::Path { slash: true });
            return Ok(());
        }
        self.error("a `~` that begins no path")
    }

    /// What goes on after a piece of a path: an interpolation, another piece, or the path's end.
    fn path_rest(&mut self, slash: bool) -> Result<(), SyntaxError> {
        let start = self.at;
        if self.byte(0) == b'$' && self.byte(1) == b'{' {
            self.set_mode(Mode::Path { slash: false });
            self.interpolation();
            return Ok(());
        }
        self.take(is_path_char);
        while self.byte(0) == b'/' && is_path_char(self.byte(1)) {
            self.at += 1;
            self.take(is_path_char);
        }
        // A slash belongs to the path where a piece or an interpolation is around it, as Nix's longest match has it.
        let ends = self.byte(0) == b'/' && (self.at > start || !slash);
        self.at += usize::from(ends);
        if self.at > start {
            self.push(Token::PathText, start);
            self.set_mode(Mode::Path { slash: ends });
            return Ok(());
        }
        if slash {
            return self.error("a path that ends with a slash");
        }
        self.modes.pop();
        self.push(Token::PathEnd, start);
        Ok(())
    }

    fn set_mode(&mut self, mode: Mode) {
        if let Some(last) = self.modes.last_mut() {
            *last = mode;
        }
    }

    /// `\<{PATH_CHAR}+(\/{PATH_CHAR}+)*\>`
    fn search_path(&mut self) -> bool {
        let mut offset = 1;
        loop {
            let begin = offset;
            while is_path_char(self.byte(offset)) {
                offset += 1;
            }
            if offset == begin {
                return false;
            }
            match self.byte(offset) {
                b'/' => offset += 1,
                b'>' => break,
                _ => return false,
            }
        }
        self.sign(offset + 1, Token::SearchPath);
        true
    }
}

fn keyword(word: &[u8]) -> Token {
    match word {
        b"if" => Token::If,
        b"then" => Token::Then,
        b"else" => Token::Else,
        b"assert" => Token::Assert,
        b"with" => Token::With,
        b"let" => Token::Let,
        b"in" => Token::In,
        b"rec" => Token::Rec,
        b"inherit" => Token::Inherit,
        b"or" => Token::Or,
        _ => Token::Ident,
    }
}
