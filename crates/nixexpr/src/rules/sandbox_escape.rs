//! `sandbox-escape`

use attestation::unit::FindingLevel;

use crate::{marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "sandbox-escape",
    level: FindingLevel::B,
    fires: "a derivation asks to leave the sandbox: `__noChroot`, `__impure`, `__impureHostDeps`, `sandboxProfile`",
    because: "it may read and change the machine that builds it",
    example: "+  __noChroot = true;",
    advice: "Refuse it. Nothing that is distributed needs it.",
    look: Look {
        binding: Some(AtBindings::named(&["__noChroot", "__impure", "__impureHostDeps", "__propagatedImpureHostDeps", "__sandboxProfile", "sandboxProfile", "propagatedSandboxProfile"], binding)),
        ..Look::ELSEWHERE
    },
};

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if !seen.file.is_false(seen.value) {
        let text = seen.file.words(seen.value);
        marks.add_binding(&RULE, seen, &text);
    }
}
