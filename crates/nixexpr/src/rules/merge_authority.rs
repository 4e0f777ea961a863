//! `merge-authority`

use attestation::unit::FindingLevel;

use crate::{Rule, compare::Changed, paths, rule::{Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "merge-authority",
    level: FindingLevel::B,
    fires: "a file changed that decides who and what may merge: `.github/`, `ci/`, CODEOWNERS; an action that is not pinned is named",
    because: "it is the way code is let in",
    example: "-      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8\n+      - uses: actions/checkout@main",
    advice: "Ask who may merge after this that could not before, and what runs with their rights. Actions are named by a full commit id.",
    look: Look {
        file: Some(look),
        ..Look::ELSEWHERE
    },
};

fn look(changed: &Changed<'_>, found: &mut Vec<Found>) {
    if !paths::is_merge_authority(changed.path) {
        return;
    }
    found.push(changed.whole("decides who and what may merge"));
    for (line, text) in changed.gained_lines() {
        if is_unpinned(text) {
            found.push(changed.at(line, format!("an action that is not pinned: {}", text.trim())));
        }
    }
}

/// `uses: owner/action@ref` where the reference is no commit id.
fn is_unpinned(line: &str) -> bool {
    let line = line.trim().trim_start_matches("- ");
    let Some(rest) = line.strip_prefix("uses:") else {
        return false;
    };
    let action = rest.trim().trim_matches(['"', '\'']);
    let action = action.split_whitespace().next().unwrap_or("");
    if action.starts_with("./") {
        return false;
    }
    let reference = action.rsplit_once('@').map_or("", |(_, reference)| reference);
    let digest = reference.strip_prefix("sha256:").unwrap_or(reference);
    !(matches!(digest.len(), 40 | 64) && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
