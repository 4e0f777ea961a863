//! `binary-in-tree`

use attestation::unit::{FileMode, FindingLevel};

use crate::{Rule, compare::Changed, marks::{Marks, NameSeen}, rule::{AtNames, Found, Look}, text};

pub(crate) static RULE: Rule = Rule {
    code: "binary-in-tree",
    level: FindingLevel::B,
    fires: "a file that nobody can read as text was added or replaced, a submodule was, or a package now says that it is made of binaries",
    because: "nobody can review it",
    example: "+  meta.sourceProvenance = [ lib.sourceTypes.binaryNativeCode ];",
    advice: "Ask for the source, and how the binary is made of it. What cannot be rebuilt is only as good as who made it.",
    look: Look {
        file: Some(look),
        name: Some(AtNames { names: &["binaryNativeCode", "binaryFirmware"], search_paths: false, hook: name }),
        ..Look::ELSEWHERE
    },
};

fn look(changed: &Changed<'_>, found: &mut Vec<Found>) {
    let Some(new) = changed.new else {
        return;
    };
    if changed.old.is_some_and(|old| old.bytes == new.bytes && old.mode == new.mode) {
        return;
    }
    if new.mode == FileMode::Submodule {
        found.push(changed.whole("a submodule: its content is elsewhere"));
    } else if text::is_binary(new.bytes) && changed.old.is_none_or(|old| old.bytes != new.bytes) {
        found.push(changed.whole("a file that cannot be read as text"));
    }
}

fn name<'a>(seen: &NameSeen<'_, 'a>, marks: &mut Marks<'a>) {
    marks.add(&RULE, seen.file, seen.node, seen.name);
}
