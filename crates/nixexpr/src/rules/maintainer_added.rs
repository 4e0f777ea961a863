//! `maintainer-added`

use attestation::unit::FindingLevel;

use crate::{syntax::tree::Kind, marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "maintainer-added",
    level: FindingLevel::H,
    fires: "`meta.maintainers` gained somebody",
    because: "a maintainer is asked for consent, and may be given rights to merge",
    example: "+  maintainers = with lib.maintainers; [ jiat75 ];",
    advice: "Ask whether that person works with upstream or with this distribution, and since when.",
    look: Look {
        binding: Some(AtBindings::named(&["maintainers", "teams"], binding)),
        ..Look::ELSEWHERE
    },
};

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if is_list_of_all(seen) {
        return;
    }
    let file = seen.file;
    let items = file.list_items(seen.value);
    for item in &items {
        let text = file.words(*item);
        let handle = text.rsplit('.').next().unwrap_or(&text);
        marks.add_once(&RULE, file, file.tree.span(*item).start, handle);
    }
    if items.is_empty() && !file.is_empty_list(seen.value) && !matches!(file.tree.kind(seen.value), Kind::Set { .. }) {
        let text = file.words(seen.value);
        marks.add_once(&RULE, file, file.tree.span(seen.value).start, &text);
    }
}

/// `maintainers = import ./maintainers.nix`: not of one package.
fn is_list_of_all(seen: &BindingSeen<'_, '_>) -> bool {
    match seen.file.tree.kind(seen.value) {
        Kind::Apply { function, .. } => seen.file.callee(function).is_some_and(|callee| matches!(callee.last, "import" | "mkOption" | "importTOML")),
        _ => false,
    }
}
