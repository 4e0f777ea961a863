//! `setuid`

use attestation::unit::FindingLevel;

use crate::{File, paths, syntax::tree::{Kind, NodeId}, marks::{Marks, BindingSeen, ShellSeen}, Rule, rule::{AtBindings, AtShell, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "setuid",
    level: FindingLevel::B,
    fires: "a program gets rights that its caller has not: `security.wrappers`, setuid, setgid, capabilities",
    because: "a local user may become root",
    example: "+  security.wrappers.x = { source = \"${pkgs.x}/bin/x\"; setuid = true; owner = \"root\"; group = \"root\"; };",
    advice: "Ask why the program needs them, and read how it drops them; two people do.",
    look: Look {
        binding: Some(AtBindings { names: &["setuidPrograms", "setuidOwners", "setuid", "setgid", "capabilities", "AmbientCapabilities"], all_of: Some(may_wrap), hook: binding }),
        shell: Some(AtShell::with(&["chmod", "setcap", "install "], shell)),
        ..Look::ELSEWHERE
    },
};

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let file = seen.file;
    let own = match seen.name {
        "setuidPrograms" | "setuidOwners" => true,
        "setuid" | "setgid" => !file.is_false(seen.value),
        "capabilities" | "AmbientCapabilities" => true,
        _ => false,
    };
    if own || is_wrapper(seen) {
        if file.describes(seen.value) || is_option(file, seen.value) {
            return;
        }
        let items = file.list_items(seen.value);
        if seen.name.starts_with("setuid") && !items.is_empty() {
            for item in items {
                let text = file.words(item);
                marks.add_file(&RULE, file, file.tree.span(item).start, &text);
            }
            return;
        }
        let text = file.words(seen.value);
        marks.add_binding(&RULE, seen, &text);
    }
}

/// Whether a wrapper is in the file: then its name can be any.
fn may_wrap(file: &File<'_>) -> bool {
    paths::is_module(file.path()) && file.says("wrappers")
}

/// Below `security.wrappers`, whatever it is.
fn is_wrapper(seen: &BindingSeen<'_, '_>) -> bool {
    let file = seen.file;
    if !paths::is_module(file.path()) {
        return false;
    }
    let path = file.path_of(seen.value);
    path.contains("security.wrappers.") || path.ends_with("security.wrappers")
}

/// The declaration of an option, not a value.
fn is_option(file: &File<'_>, value: NodeId) -> bool {
    match file.tree.kind(value) {
        Kind::Apply { function, .. } => file.callee(function).is_some_and(|callee| callee.last == "mkOption"),
        _ => false,
    }
}

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    for (at, line) in seen.lines() {
        let gives = line.contains("setcap ") || (line.contains("chmod ") || line.contains("install ") && line.contains("-m")) && line.split_whitespace().any(is_setuid_mode);
        if gives && !line.starts_with('#') && !seen.file.describes(seen.node) {
            marks.add_file(&RULE, seen.file, at, line);
        }
    }
}

/// `u+s`, `4755`, `-m4755`; not `u-s`, which takes it away.
fn is_setuid_mode(word: &str) -> bool {
    let word = word.strip_prefix("-m").unwrap_or(word);
    let word = word.strip_prefix('0').unwrap_or(word);
    let octal = word.len() == 4 && word.bytes().all(|digit| matches!(digit, b'0'..=b'7')) && matches!(word.as_bytes()[0], b'2' | b'4' | b'6');
    let symbolic = word.split_once(['+', '=']).is_some_and(|(who, what)| who.len() <= 4 && who.bytes().all(|who| matches!(who, b'u' | b'g' | b'a' | b'o')) && what.contains('s') && what.len() <= 4);
    octal || symbolic
}
