//! `patch-added`

use attestation::unit::FindingLevel;

use crate::{File, compare::Changed, resolve::Attribute, syntax::tree::{Kind, NodeId}, marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "patch-added",
    level: FindingLevel::H,
    fires: "a patch is new; a pull request, a branch or a gist as its address is named",
    because: "code that upstream has not, perhaps at an address whose content can change",
    example: "+    (fetchpatch { url = \"https://github.com/o/r/pull/7.patch\"; … })",
    advice: "Read the patch. Ask whether upstream took it, and for an address by commit.",
    look: Look {
        binding: Some(AtBindings::named(&["patches", "extraPatches", "prePatches", "postPatches", "kernelPatches", "cargoPatches", "pnpmPatches", "patch"], binding)),
        file: Some(file),
        ..Look::ELSEWHERE
    },
};

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let file = seen.file;
    if file.describes(seen.value) {
        return;
    }
    let items = file.list_items(seen.value);
    for item in &items {
        marks.add_file(&RULE, file, file.tree.span(*item).start, &identity(file, *item));
    }
    // `patches = fetchpatch { … }`, or what a function makes.
    if items.is_empty() && !file.is_empty_list(seen.value) && !file.is_null(seen.value) {
        marks.add_file(&RULE, file, file.tree.span(seen.value).start, &identity(file, seen.value));
    }
}

/// What names a patch: its address without the hash, its path, or its text.
fn identity(file: &File<'_>, item: NodeId) -> String {
    // What a variable stands for, if the file says.
    let meant = file.force(item).unwrap_or(item);
    let url = file.subtree(meant).find_map(|id| match file.tree.kind(id) {
        Kind::Apply { argument, .. } => match file.attribute(file.argument_set(argument)?, "url") {
            Attribute::Is(url) => Some(file.text_of(url).map_or_else(|| file.words(url), std::borrow::Cow::into_owned)),
            _ => None,
        },
        _ => None,
    });
    url.unwrap_or_else(|| file.words(item))
}

/// A patch is code whatever file it is in.
fn file(changed: &Changed<'_>, found: &mut Vec<Found>) {
    let is_patch = changed.path.ends_with(".patch") || changed.path.ends_with(".diff");
    if is_patch && changed.new.is_some() && changed.old.is_none() {
        found.push(changed.whole("a new patch"));
    } else if is_patch && changed.new.is_some() && changed.new.map(|new| new.bytes) != changed.old.map(|old| old.bytes) {
        found.push(changed.whole("the patch has another content"));
    }
}
