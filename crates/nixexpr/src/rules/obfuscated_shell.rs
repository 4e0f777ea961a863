//! `obfuscated-shell`

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use attestation::unit::FindingLevel;

use crate::{compare::{Changed, lines}, marks::{Marks, ShellSeen}, Rule, rule::{AtShell, Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "obfuscated-shell",
    level: FindingLevel::B,
    fires: "new shell text decodes something and may run it: `base64 -d`, `eval`, `xxd -r`, quotes that split words, escapes or long runs of digits",
    because: "honest code has no need to hide what it does",
    example: "+  postInstall = \"echo Y3VybA== | base64 -d | sh\";",
    advice: "Decode it yourself, elsewhere. Ask for it to be written in plain words.",
    look: Look {
        shell: Some(AtShell { words: &SUSPICIOUS, long: LONG_RUN, hook: shell }),
        file: Some(file),
        ..Look::ELSEWHERE
    },
};

/// Texts without any of these, unless they are long, are not looked at: what [`hidden`] asks for, and any backslash.
const SUSPICIOUS: [&str; HINTS.len() + 1] = {
    let mut all = ["\\"; HINTS.len() + 1];
    let mut at = 0;
    while at < HINTS.len() {
        all[at] = HINTS[at];
        at += 1;
    }
    all
};

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    for (at, line) in seen.lines() {
        if let Some(why) = obfuscated(line)
            && !seen.file.describes(seen.node)
            && !(why == LONG && seen.file.is_hash_or_key(seen.node))
        {
            marks.add_file(&RULE, seen.file, at, line);
        }
    }
}

/// Scripts, patches of scripts and the like, that are no Nix.
fn file(changed: &Changed<'_>, found: &mut Vec<Found>) {
    if changed.path.ends_with(".nix") || changed.path.ends_with(".lock") || changed.path.ends_with(".json") || changed.path.ends_with(".md") {
        return;
    }
    let script = changed.path.ends_with(".sh") || changed.path.ends_with(".bash") || changed.new.is_some_and(|new| new.bytes.starts_with(b"#!"));
    let suspects = changed.new.map(|new| suspects(new.bytes)).unwrap_or_default();
    if suspects.is_empty() {
        return;
    }
    for (line, text) in changed.gained_lines().filter(|(line, _)| suspects.binary_search(line).is_ok()) {
        if let Some(why) = obfuscated(text)
            && (script || why != EVAL)
            && (script || why != LONG)
        {
            found.push(changed.at(line, format!("{why}: {}", text.trim().chars().take(120).collect::<String>())));
        }
    }
}

/// A quick look: nearly all text has none of it.
const EVAL: &str = "eval";
const LONG: &str = "a long run of digits";
const LONG_RUN: usize = 120;

/// Why a line of shell hides something, if it does.
/// [`hidden`] says nothing of a line that is short, has none of these, and fewer backslashes than it counts.
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(HINTS).expect("a few short words"));

const HINTS: [&str; 18] = [
    "base64", "openssl", "basenc", "base32", "xxd", "uudecode", "fromhex", "b64decode", "eval", "IFS", "''", "\"\"", "| sh", "|sh", "| bash", "|bash", "| ${stdenv.shell}", "rev",
];

fn has_backslashes(line: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', line).nth(2).is_some()
}

/// The numbers of the lines of which [`hidden`] may say something. Most files have few: they are found by going through
/// the file once, and not line by line.
fn suspects(bytes: &[u8]) -> Vec<u64> {
    let mut words = WORDS.find_iter(bytes).map(|word| word.start()).peekable();
    let backslashes = has_backslashes(bytes);
    let mut suspects = Vec::new();
    let mut end = 0;
    for (number, line) in (1..).zip(lines(bytes)) {
        end += line.len() + 1;
        // No word has a newline, so each is within a line; of two that overlap, both are within one.
        let mut says = false;
        while words.next_if(|at| *at < end).is_some() {
            says = true;
        }
        if says || line.len() >= LONG_RUN || backslashes && has_backslashes(line) {
            suspects.push(number);
        }
    }
    suspects
}

fn obfuscated(line: &str) -> Option<&'static str> {
    if line.len() < LONG_RUN && !WORDS.is_match(line) && !has_backslashes(line.as_bytes()) {
        return None;
    }
    hidden(line)
}

/// The same, of a line that has what it takes.
fn hidden(line: &str) -> Option<&'static str> {
    // In an indented string, three quotes are two.
    let line = line.trim();
    let without;
    let line = if line.contains("''") {
        without = line.replace("'''", "''").replace("''$", "$");
        without.as_str()
    } else {
        line
    };
    if line.starts_with('#') {
        return None;
    }
    let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '(' | ')' | '`')).filter(|word| !word.is_empty()).collect();
    let after = |name: &str, options: &[&str]| {
        line.contains(name)
            && words.iter().enumerate().any(|(at, word)| {
                let named = word.strip_suffix(name).is_some_and(|directory| directory.is_empty() || directory.ends_with('/'));
                named && words[at + 1..].iter().take(4).any(|option| options.iter().any(|wanted| option.starts_with(wanted)))
            })
    };
    if after("base64", &["-d", "-D", "--d", "-id", "-di"]) || after("openssl", &["base64", "enc"]) || after("basenc", &["-d", "--d"]) || after("base32", &["-d", "--d"]) {
        return Some("decodes base64");
    }
    if after("xxd", &["-r", "-p -r", "-ps"]) || words.iter().any(|word| matches!(*word, "uudecode")) || line.contains("fromhex") || line.contains("b64decode") {
        return Some("decodes");
    }
    // `nix eval` and an option of that name are no eval of the shell.
    let evals = words.iter().enumerate().any(|(at, word)| *word == "eval" && (at == 0 || !matches!(words[at - 1], "nix" | "nix-instantiate" | "-m")));
    if evals {
        return Some(EVAL);
    }
    if line.contains("${IFS") || line.contains("$IFS") && !line.contains("IFS=") {
        return Some("spaces that are hidden in IFS");
    }
    if escapes(line) >= 4 {
        return Some("escapes instead of letters");
    }
    if splits_quotes(line) {
        return Some("quotes that split words");
    }
    let piped = line.contains("| sh") || line.contains("|sh") || line.contains("| bash") || line.contains("|bash") || line.contains("| ${stdenv.shell}");
    if piped && (words.contains(&"rev") || words.contains(&"tr") || words.contains(&"gunzip") || line.contains("curl") || line.contains("wget")) {
        return Some("what is piped to a shell");
    }
    if words.contains(&"rev") && line.contains('|') && line.contains("$(") {
        return Some("reversed text");
    }
    longest_run(line).then_some(LONG)
}

/// How many characters are written as escapes, `\x41` or `\101`.
fn escapes(line: &str) -> usize {
    if !line.contains('\\') {
        return 0;
    }
    let hex = line.match_indices("\\x").filter(|(at, _)| line[at + 2..].starts_with(|c: char| c.is_ascii_hexdigit())).count();
    let octal = line
        .match_indices('\\')
        .filter(|(at, _)| line.get(at + 1..at + 4).is_some_and(|digits| digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'))))
        .count();
    hex.max(octal)
}

/// `'b''u''n'`, `"b""u""n"`, `c\u\r\l`: three short pieces of one word, or more, in quotes of their own.
fn splits_quotes(line: &str) -> bool {
    ["''", "\"\""].iter().filter(|seam| line.contains(**seam)).any(|seam| {
        let pieces: Vec<&str> = line.split(seam).collect();
        let short = |piece: &&str| !piece.is_empty() && piece.len() <= 3 && piece.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'.'));
        pieces.len() >= 3 && pieces[1..pieces.len() - 1].iter().all(short) && pieces.len() > 2
    }) || line
        .split_whitespace()
        .any(|word| word.matches('\\').count() >= 3 && word.split('\\').skip(1).all(|piece| piece.len() <= 2 && piece.starts_with(|c: char| c.is_ascii_lowercase() && !matches!(c, 'n' | 't' | 'r' | 'x' | 's' | 'w' | 'd' | 'b'))))
}

/// A run of digits and letters with no word in it.
fn longest_run(line: &str) -> bool {
    let run = |part: &str| {
        part.len() >= LONG_RUN && part.bytes().filter(u8::is_ascii_digit).count() * 12 >= part.len() && !part.contains("/nix/store") && !part.contains("//")
    };
    line.len() >= LONG_RUN && line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='))).any(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_that_hides_something_is_passed_over() {
        let long = format!("x = {}", "0123456789abcdef".repeat(9));
        let lines = [
            "echo Y3VybA== | base64 -d",
            "openssl enc -d",
            "basenc --d x",
            "/usr/bin/base32 -d",
            "xxd -r -p",
            "uudecode x",
            "bytes.fromhex(x)",
            "base64.b64decode(x)",
            "eval $x",
            "cat${IFS}x",
            "cat$IFS/x",
            "cat''$IFS/x",
            "\\x63\\x75\\x72\\x6c",
            "\\143\\165\\162\\154",
            "c''u''r''l",
            "c\"\"u\"\"r\"\"l",
            "c'''u'''r'''l",
            "\\c\\u\\l",
            "tr a-z n-za-m | sh",
            "rev x |sh",
            "gunzip x | bash",
            "curl x |bash",
            "wget x | ${stdenv.shell}",
            "wget x | ''${stdenv.shell}",
            "x=$(echo lruc | rev)",
            &long,
        ];
        for line in lines {
            assert!(hidden(line).is_some(), "{line}");
            assert_eq!(obfuscated(line), hidden(line), "{line}");
            let is_looked_at = line.len() >= LONG_RUN || SUSPICIOUS.iter().any(|word| line.contains(word));
            assert!(is_looked_at, "{line}, as a string of Nix");
            assert_eq!(suspects(format!("first\n{line}\nlast").as_bytes()), [2], "{line}");
        }
        assert!(suspects(b"all\nis\nwell").is_empty());
        assert_eq!(suspects(lines.join("\n").as_bytes()).len(), lines.len());
    }
}
