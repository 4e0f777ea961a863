//! `obfuscated-shell`

use attestation::unit::FindingLevel;

use crate::{compare::Changed, marks::{Marks, ShellSeen}, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "obfuscated-shell",
    level: FindingLevel::B,
    fires: "new shell text decodes something and may run it: `base64 -d`, `eval`, `xxd -r`, quotes that split words, escapes or long runs of digits",
    because: "honest code has no need to hide what it does",
    example: "+  postInstall = \"echo Y3VybA== | base64 -d | sh\";",
    advice: "Decode it yourself, elsewhere. Ask for it to be written in plain words.",
    look: Look {
        shell: Some(shell),
        file: Some(file),
        ..Look::ELSEWHERE
    },
};

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if !suspicious(seen.text) {
        return;
    }
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
    for (line, text) in changed.gained_lines() {
        if let Some(why) = obfuscated(text)
            && (script || why != EVAL)
            && (script || why != LONG)
        {
            found.push(changed.at(line, format!("{why}: {}", text.trim().chars().take(120).collect::<String>())));
        }
    }
}

/// A quick look: nearly all text has none of it.
fn suspicious(text: &str) -> bool {
    text.contains("base64")
        || text.contains("eval")
        || text.contains("xxd")
        || text.contains("uudecode")
        || text.contains("\\x")
        || text.contains("\\0")
        || text.contains("IFS")
        || text.contains("openssl")
        || text.contains("fromhex")
        || text.contains("rev")
        || text.contains("tr ")
        || text.contains("''")
        || text.contains("'\"'")
        || text.contains("\\\"")
        || text.len() >= LONG_RUN
}

const EVAL: &str = "eval";
const LONG: &str = "a long run of digits";
const LONG_RUN: usize = 120;

/// Why a line of shell hides something, if it does.
fn obfuscated(line: &str) -> Option<&'static str> {
    // In an indented string, three quotes are two.
    let line = line.trim().replace("'''", "''").replace("''$", "$");
    let line = line.as_str();
    if line.starts_with('#') {
        return None;
    }
    let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '&' | '(' | ')' | '`')).filter(|word| !word.is_empty()).collect();
    let after = |name: &str, options: &[&str]| {
        words.iter().enumerate().any(|(at, word)| {
            word.rsplit('/').next() == Some(name) && words[at + 1..].iter().take(4).any(|option| options.iter().any(|wanted| option.starts_with(wanted)))
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
    let hex = line.match_indices("\\x").filter(|(at, _)| line[at + 2..].starts_with(|c: char| c.is_ascii_hexdigit())).count();
    let octal = line
        .match_indices('\\')
        .filter(|(at, _)| line.get(at + 1..at + 4).is_some_and(|digits| digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'))))
        .count();
    hex.max(octal)
}

/// `'b''u''n'`, `"b""u""n"`, `c\u\r\l`: three short pieces of one word, or more, in quotes of their own.
fn splits_quotes(line: &str) -> bool {
    ["'", "\""].iter().any(|quote| {
        let seam = format!("{quote}{quote}");
        let pieces: Vec<&str> = line.split(seam.as_str()).collect();
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
