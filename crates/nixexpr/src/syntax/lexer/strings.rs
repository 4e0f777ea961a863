//! Within strings: what is an escape, what ends them, what is interpolated.

use super::{Lexer, SyntaxError, Token};

impl Lexer<'_> {
    pub(super) fn string(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        loop {
            self.go_to(|rest| memchr::memchr3(b'"', b'\\', b'$', rest));
            match (self.byte(0), self.byte(1)) {
                (b'"', _) => {
                    self.text_since(start);
                    self.sign(1, Token::StringEnd);
                    self.modes.pop();
                    return Ok(());
                }
                (b'$', b'{') => {
                    self.text_since(start);
                    self.interpolation();
                    return Ok(());
                }
                // Both are taken together, so that the second begins nothing.
                (b'$', b'"' | b'\\') => self.at += 1,
                (b'$', 0) if self.at + 1 >= self.bytes.len() => return self.error("a string that does not end"),
                (b'\\', 0) if self.at + 1 >= self.bytes.len() => return self.error("a string that does not end"),
                (b'$' | b'\\', _) => self.at += 2,
                _ => return self.error("a string that does not end"),
            }
        }
    }

    pub(super) fn indented(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        loop {
            self.go_to(|rest| memchr::memchr2(b'\'', b'$', rest));
            match (self.byte(0), self.byte(1), self.byte(2)) {
                // `''$`, `'''`, and `''\` with whatever follows.
                (b'\'', b'\'', b'$' | b'\'') => self.at += 3,
                (b'\'', b'\'', b'\\') => {
                    self.at += 3;
                    if self.at >= self.bytes.len() {
                        return self.error("a string that does not end");
                    }
                    self.at += 1;
                }
                (b'\'', b'\'', _) => {
                    self.text_since(start);
                    self.sign(2, Token::StringEnd);
                    self.modes.pop();
                    return Ok(());
                }
                (b'$', b'{', _) => {
                    self.text_since(start);
                    self.interpolation();
                    return Ok(());
                }
                (b'$', b'\'', _) | (b'\'', b'$', _) => self.at += 1,
                (b'$' | b'\'', 0, _) => return self.error("a string that does not end"),
                (b'$' | b'\'', _, _) => self.at += 2,
                _ => return self.error("a string that does not end"),
            }
        }
    }

    fn text_since(&mut self, start: usize) {
        if self.at > start {
            self.push(Token::StringText, start);
        }
    }
}
