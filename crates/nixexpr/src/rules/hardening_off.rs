//! `hardening-off`

use attestation::unit::FindingLevel;

use crate::{marks::{Marks, BindingSeen, ShellSeen}, Rule, rule::{AtBindings, AtShell, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "hardening-off",
    level: FindingLevel::H,
    fires: "a mitigation is disabled: `hardeningDisable`, compiler or linker flags that take one away",
    because: "an attack on the running program gets easier",
    example: "+  hardeningDisable = [ \"fortify\" ];",
    advice: "Ask which flag breaks what, and whether it is one file only.",
    look: Look {
        binding: Some(AtBindings::named(&["hardeningDisable", "stackProtector", "hardeningEnable", "NIX_HARDENING_ENABLE"], binding)),
        shell: Some(AtShell::with(&WEAK, shell)),
        ..Look::ELSEWHERE
    },
};

const WEAK: [&str; 14] = [
    "-fno-stack-protector", "-D_FORTIFY_SOURCE=0", "-U_FORTIFY_SOURCE", "-Wp,-U_FORTIFY_SOURCE", "execstack", "-no-pie", "-fno-pie", "-fno-PIE", "norelro", "-fcf-protection=none",
    "-fno-stack-clash-protection", "-mno-stack-protector", "--disable-hardening", "-fno-strict-overflow",
];

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    match seen.name {
        "hardeningDisable" => {
            for item in seen.file.list_items(seen.value) {
                let text = seen.file.words(item);
                marks.add(&RULE, seen.file, item, &text);
            }
            if seen.file.list_items(seen.value).is_empty() && !seen.file.is_empty_list(seen.value) {
                let text = seen.file.words(seen.value);
                marks.add_binding(&RULE, seen, &text);
            }
        }
        "stackProtector" | "hardeningEnable" | "NIX_HARDENING_ENABLE" => {
            let text = seen.file.words(seen.value);
            marks.protect(&RULE, seen.file, seen.value, &text);
        }
        _ => {}
    }
}

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    for weak in WEAK {
        if seen.text.contains(weak) && weak != "-fno-strict-overflow" && !seen.file.describes(seen.node) {
            marks.add_file(&RULE, seen.file, seen.span.start, weak);
        }
    }
}
