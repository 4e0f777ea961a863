//! `checks-off`

use attestation::unit::FindingLevel;

use crate::{syntax::tree::Kind, marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "checks-off",
    level: FindingLevel::H,
    fires: "`doCheck` or `doInstallCheck` is newly not true, or more tests are disabled",
    because: "what would notice is silenced",
    example: "-  doCheck = true;\n+  doCheck = false;",
    advice: "Ask which test fails and why, and for an upstream report of it.",
    look: Look {
        binding: Some(AtBindings::named(NAMES, binding)),
        ..Look::ELSEWHERE
    },
};

const NAMES: &[&str] = &[
    "doCheck", "doInstallCheck", "dontCheck", "doInstallChecks", "disabledTests", "disabledTestPaths", "disabledTestMarks", "skippedTests", "checkFlags", "pytestFlags", "pytestFlagsArray",
    "checkFlagsArray",
];

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    match seen.name {
        "doCheck" | "doInstallCheck" | "dontCheck" | "doInstallChecks" => {
            let on = if seen.name == "dontCheck" { seen.file.is_false(seen.value) } else { seen.file.is_true(seen.value) };
            if !on && (seen.name == "dontCheck" || !starts_true(seen)) {
                let how = if seen.file.is_false(seen.value) { "false" } else { "not always" };
                marks.add_binding(&RULE, seen, how);
            }
        }
        "disabledTests" | "disabledTestPaths" | "disabledTestMarks" | "skippedTests" => {
            for item in seen.file.list_items(seen.value) {
                let text = seen.file.words(item);
                marks.add(&RULE, seen.file, item, &text);
            }
        }
        "checkFlags" | "pytestFlags" | "pytestFlagsArray" | "checkFlagsArray" => {
            for item in seen.file.list_items(seen.value) {
                let text = seen.file.words(item);
                if text.contains("skip") || text.contains("deselect") || text.contains("ignore") || text.contains("not ") {
                    marks.add(&RULE, seen.file, item, &text);
                }
            }
        }
        _ => {}
    }
}

/// An argument that its caller may set (`doCheck ? true`), as opposed to a condition.
fn starts_true(seen: &BindingSeen<'_, '_>) -> bool {
    // `inherit doCheck` and `doCheck = doCheck` pass on what somebody else decides.
    seen.file.tree.kind(seen.value) == Kind::Ident && seen.file.slice(seen.file.tree.span(seen.value)) == seen.name
}
