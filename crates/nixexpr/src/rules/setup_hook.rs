//! `setup-hook`

use attestation::unit::FindingLevel;

use crate::{compare::Changed, marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "setup-hook",
    level: FindingLevel::B,
    fires: "a setup hook changed, or `propagated*Inputs` gained one",
    because: "it runs in every build that depends on this one",
    example: "+  setupHook = ./setup-hook.sh;",
    advice: "Read it with all its dependents in mind; two people do.",
    look: Look {
        binding: Some(AtBindings::named(NAMES, binding)),
        file: Some(file),
        ..Look::ELSEWHERE
    },
};

const NAMES: &[&str] = &[
    "setupHook", "setupHooks", "propagatedBuildInputs", "propagatedNativeBuildInputs", "propagatedUserEnvPkgs", "propagatedHostDeps", "depsBuildBuildPropagated", "depsTargetTargetPropagated",
    "depsHostHostPropagated", "depsBuildTargetPropagated", "depsBuildHostPropagated", "depsHostTargetPropagated",
];

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    match seen.name {
        "setupHook" | "setupHooks" => {
            let text = seen.file.words(seen.value);
            marks.add_binding(&RULE, seen, &text);
        }
        _ => {
            let items = seen.file.list_items(seen.value);
            for item in &items {
                let text = seen.file.words(*item);
                marks.add(&RULE, seen.file, *item, &text);
            }
            if items.is_empty() && !seen.file.is_empty_list(seen.value) {
                let text = seen.file.words(seen.value);
                marks.add_binding(&RULE, seen, &text);
            }
        }
    }
}

fn file(changed: &Changed<'_>, found: &mut Vec<Found>) {
    let name = changed.path.rsplit('/').next().unwrap_or("");
    if (name.contains("setup-hook") || name.contains("setupHook")) && changed.new.is_some() {
        found.push(changed.whole("a setup hook"));
    }
}
