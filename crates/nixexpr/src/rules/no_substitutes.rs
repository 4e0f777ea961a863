//! `no-substitutes`

use attestation::unit::FindingLevel;

use crate::{marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "no-substitutes",
    level: FindingLevel::H,
    fires: "`allowSubstitutes = false` or `preferLocalBuild` is newly set",
    because: "the result is not compared with anybody else's",
    example: "+  allowSubstitutes = false;",
    advice: "Ask why. Trivial builders have a reason (it is slower to ask); packages have none.",
    look: Look {
        binding: Some(AtBindings::named(&["allowSubstitutes", "preferLocalBuild"], binding)),
        ..Look::ELSEWHERE
    },
};

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let avoids = match seen.name {
        "allowSubstitutes" => !seen.file.is_true(seen.value),
        "preferLocalBuild" => !seen.file.is_false(seen.value),
        _ => false,
    };
    if avoids {
        marks.add_binding(&RULE, seen, seen.name);
    }
}
