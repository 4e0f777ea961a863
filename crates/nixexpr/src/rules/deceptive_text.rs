//! `deceptive-text`

use attestation::unit::FindingLevel;

use crate::{Rule, UnitFile, compare::Changed, rule::{Found, Look}, text};

pub(crate) static RULE: Rule = Rule {
    code: "deceptive-text",
    level: FindingLevel::B,
    fires: "a new line or name has characters that are not seen, that reorder what is seen, or that look like others; or a lone \
            carriage return, which ends a comment for Nix and not for the eye",
    because: "the reviewer sees something else than the machine",
    example: "+  # harmless\u{240d} postInstall = \"…\";",
    advice: "Refuse it, unless the text is a language that needs such characters; then have somebody read it who knows it.",
    look: Look {
        file: Some(look),
        ..Look::ELSEWHERE
    },
};

fn look(changed: &Changed<'_>, found: &mut Vec<Found>) {
    if changed.old.is_none() && text::has_deceptive(changed.path.as_bytes()) {
        found.push(changed.whole("its name has characters that are not seen"));
    }
    // Each of them has a byte that is not ASCII, or a carriage return.
    let plain = |file: UnitFile<'_>| file.bytes.is_ascii() && memchr::memchr(b'\r', file.bytes).is_none();
    if changed.new.is_none_or(plain) {
        return;
    }
    let is_nix = changed.path.ends_with(".nix");
    for (line, bytes) in changed.gained_bytes() {
        if text::has_deceptive(bytes) {
            found.push(changed.at(line, "characters that are not seen, or reorder what is seen".to_owned()));
        } else if is_nix && has_lone_return(bytes) {
            found.push(changed.at(line, "a carriage return within the line: for Nix, a comment ends there".to_owned()));
        } else if is_nix && has_confusable(bytes) {
            found.push(changed.at(line, "a word mixes letters of scripts that look alike".to_owned()));
        }
    }
}

fn has_lone_return(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.contains(&b'\r')
}

/// A word with ASCII letters and with Cyrillic or Greek ones, which look like them; or full-width forms.
fn has_confusable(line: &[u8]) -> bool {
    if line.is_ascii() {
        return false;
    }
    let text = String::from_utf8_lossy(line);
    text.split(|c: char| !c.is_alphanumeric()).any(|word| {
        let latin = word.chars().any(|c| c.is_ascii_alphabetic());
        let other = word.chars().any(|c| matches!(c, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{13a0}'..='\u{13ff}'));
        latin && other && word.chars().count() > 1 && !word.contains('μ')
    }) || text.chars().any(|c| matches!(c, '\u{ff01}'..='\u{ff5e}'))
}
