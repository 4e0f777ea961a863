//! `exposed`

use attestation::unit::FindingLevel;

use crate::{File, paths, syntax::tree::{Kind, NodeId}, marks::{Marks, BindingSeen, ShellSeen}, Rule, rule::{AtBindings, AtShell, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "exposed",
    level: FindingLevel::H,
    fires: "a port is opened, or a service listens on all addresses, without being asked",
    because: "the network reaches what it did not",
    example: "-  default = \"127.0.0.1\";\n+  default = \"0.0.0.0\";",
    advice: "Ask for an option that is off by default.",
    look: Look {
        binding: Some(AtBindings::named(NAMES, binding)),
        shell: Some(AtShell::with(&["0.0.0.0", "::"], shell)),
        ..Look::ELSEWHERE
    },
};

const NAMES: &[&str] = &["default", "openFirewall", "allowedTCPPorts", "allowedUDPPorts", "allowedTCPPortRanges", "allowedUDPPortRanges", "enable"];

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let file = seen.file;
    match seen.name {
        // `openFirewall = mkOption { default = true; … }`
        "default" => {
            let mut around = file.names_around(seen.value);
            let opens = around.any(|name| name.contains("openFirewall") || name.contains("openPorts") || name.contains("open_firewall"));
            if opens && !file.is_false(seen.value) {
                marks.add_binding(&RULE, seen, &file.words(seen.value));
            }
        }
        "openFirewall" if file.is_true(seen.value) => marks.add_binding(&RULE, seen, "true"),
        "allowedTCPPorts" | "allowedUDPPorts" | "allowedTCPPortRanges" | "allowedUDPPortRanges"
            if is_unconditional(file, seen.value) && !file.describes(seen.value) =>
        {
            for item in file.list_items(seen.value) {
                let text = file.words(item);
                marks.add(&RULE, file, item, &text);
            }
        }
        "enable" if file.is_false(seen.value) && file.names_around(seen.value).any(|name| name.contains("firewall")) => {
            marks.add_binding(&RULE, seen, "false");
        }
        _ => {}
    }
}

/// Whether nobody has to ask for it: no `mkIf`, `optional` or `if` about a firewall's option stands around or in it.
fn is_unconditional(file: &File<'_>, value: NodeId) -> bool {
    let mut at = value;
    let mut text = file.words(value);
    while let Some((above, _)) = file.tree.above(at) {
        if let Kind::Apply { function, .. } = file.tree.kind(above)
            && let Kind::Apply { function: name, argument } = file.tree.kind(function)
            && file.callee(name).is_some_and(|callee| matches!(callee.last, "mkIf" | "optional" | "optionals" | "optionalAttrs"))
        {
            text.push_str(&file.words(argument));
        }
        at = above;
    }
    !text.to_ascii_lowercase().contains("firewall") && !matches!(file.tree.kind(value), Kind::Apply { .. } if text.starts_with("mkOption"))
}

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if matches!(seen.text, "0.0.0.0" | "::" | "[::]" | "0.0.0.0/0" | "::/0") && paths::is_module(seen.file.path()) && !seen.file.describes(seen.node) {
        marks.add_file(&RULE, seen.file, seen.span.start, seen.text);
    }
}
