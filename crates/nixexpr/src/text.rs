//! Characters that make a reviewer approve something else than what the machine reads (CVE-2021-42574, "trojan
//! source").

/// Whether a character deceives the reader: it is not seen, or moves what is seen. Bidirectional controls,
/// zero-width characters, fillers, variation selectors and tags (Unicode's `Default_Ignorable_Code_Point`, and
/// what Unicode Technical Report 36 and CVE-2021-42574 name besides).
pub const fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether bytes have a character that [`is_deceptive`]. What is not UTF-8 is passed over.
pub fn has_deceptive(bytes: &[u8]) -> bool {
    // All of them are beyond ASCII.
    !bytes.is_ascii() && bytes.utf8_chunks().any(|chunk| chunk.valid().contains(is_deceptive))
}

/// Whether nobody can read it as text: it has a NUL byte.
pub fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_some()
}
