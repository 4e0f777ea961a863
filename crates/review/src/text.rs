//! Text from outside, on its way to a person's eyes.
//!
//! Characters that are not seen, or that reorder what is seen, make a reviewer approve something else than what
//! the machine reads (CVE-2021-42574, "trojan source"). They are found here, and shown as what they are.

use std::fmt::{self, Write as _};

// One list, so that what a rule finds and what is shown cannot differ.
pub use nixexpr::text::{has_deceptive, is_deceptive};

/// Bytes as text that cannot deceive: control characters but the tab, deceptive characters and bytes that are
/// not UTF-8 are named between `⟨` and `⟩`.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a [u8]);

/// Shows bytes, or text, of one line.
pub fn shown<T: AsRef<[u8]> + ?Sized>(text: &T) -> Shown<'_> {
    Shown(text.as_ref())
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c != '\t' && (c.is_control() || is_deceptive(c)) {
                    write!(f, "⟨U+{:04X}⟩", u32::from(c))?;
                } else {
                    f.write_char(c)?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "⟨byte {byte:02X}⟩")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_named() {
        for (text, expected) in [
            ("a\u{202e}b", "a⟨U+202E⟩b"),
            ("a\u{200b}b", "a⟨U+200B⟩b"),
            ("\u{1b}[2Jx", "⟨U+001B⟩[2Jx"),
            ("\u{9b}2J", "⟨U+009B⟩2J"),
            ("line\r", "line⟨U+000D⟩"),
            ("\u{e0041}", "⟨U+E0041⟩"),
            ("a\u{2028}b", "a⟨U+2028⟩b"),
        ] {
            assert_eq!(shown(text).to_string(), expected);
            assert!(
                text.chars().any(char::is_control) || has_deceptive(text.as_bytes()),
                "{text:?}"
            );
        }
        assert_eq!(shown(b"caf\xe9").to_string(), "caf⟨byte E9⟩");
    }

    #[test]
    fn what_is_honest_stays() {
        for text in ["\tbuildInputs = [ zlib ];", "maintainers.émile", "描述 — “ok”", "שלום"] {
            assert_eq!(shown(text).to_string(), text);
            assert!(!has_deceptive(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn deceptive_text_behind_broken_utf8_is_found() {
        assert!(has_deceptive(b"\xff\xe2\x80\xae"));
        assert!(!has_deceptive(b"\xff\xe2\x80"));
    }
}
