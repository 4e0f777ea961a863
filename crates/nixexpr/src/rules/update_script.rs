//! `update-script`

use attestation::unit::FindingLevel;

use crate::{compare::Changed, marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "update-script",
    level: FindingLevel::H,
    fires: "`updateScript` changed, or a script of that name",
    because: "it runs on the machines that write updates, with their rights",
    example: "-  passthru.updateScript = nix-update-script { };\n+  passthru.updateScript = ./update.sh;",
    advice: "Read it as a program that runs beside the token of a bot.",
    look: Look {
        binding: Some(AtBindings::named(&["updateScript"], binding)),
        file: Some(file),
        ..Look::ELSEWHERE
    },
};

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if !seen.file.is_null(seen.value) {
        let text = seen.file.words(seen.value);
        marks.add_binding(&RULE, seen, &text);
    }
}

fn file(changed: &Changed<'_>, found: &mut Vec<Found>) {
    let name = changed.path.rsplit('/').next().unwrap_or("");
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let script = matches!(extension, "sh" | "py" | "pl" | "rb" | "js" | "mjs" | "ts" | "nu" | "bash" | "") && (stem == "update" || stem.starts_with("update-") || stem.starts_with("update_") || stem.ends_with("-update"));
    if script && changed.new.is_some() && changed.path.starts_with("pkgs/") {
        found.push(changed.whole("a script that updates"));
    }
}
