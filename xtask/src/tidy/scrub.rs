//! Rust source with comments and literals blanked, so that a rule about code does not trip over prose.

/// The same text with the same lines, in which comments, strings and characters are spaces.
pub(super) fn code_only(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut previous = ' ';
    while let Some(character) = rest.chars().next() {
        let in_word = previous.is_alphanumeric() || previous == '_';
        let length = blank_length(rest, in_word);
        if length > 0 {
            out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
            previous = ' ';
        } else {
            out.push(character);
            rest = &rest[character.len_utf8()..];
            previous = character;
        }
    }
    out
}

/// How many bytes of `rest` are a comment or a literal that begins right here; 0 if none does.
fn blank_length(rest: &str, in_word: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return 1 + quoted(inside, '"');
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    if in_word {
        return 0;
    }
    ["r", "br", "cr"]
        .iter()
        .find_map(|prefix| raw_string(rest, prefix))
        .unwrap_or(0)
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length up to and with the closing quote.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal; a lifetime is none.
fn character(rest: &str) -> usize {
    let mut inside = rest[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => 1 + quoted(&rest[1..], '\''),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

/// `r"…"`, `r#"…"#` and so on, with this prefix.
fn raw_string(rest: &str, prefix: &str) -> Option<usize> {
    let after = rest.strip_prefix(prefix)?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let head = rest.len() - body.len();
    Some(body.find(&close).map_or(rest.len(), |at| head + at + close.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_blanked_and_code_stays() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"a("b\"c", d)"#, r"a(      , d)"),
            (r##"a(r#"b"c"#, d)"##, "a(        , d)"),
            (r"a('\'', 'b', '{')", "a(    ,    ,    )"),
            ("fn a<'b>(c: &'b str)", "fn a<'b>(c: &'b str)"),
            ("for r in br\"x\"", "for r in      "),
            ("\"//\" a", "     a"),
        ];
        for (source, code) in cases {
            assert_eq!(code_only(source), code, "{source}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = "a\n\"b\nc\"\n/*\n*/ d";
        assert_eq!(code_only(source).lines().count(), source.lines().count());
        assert!(code_only(source).ends_with(" d"));
    }
}
