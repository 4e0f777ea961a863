//! `impure-eval`

use attestation::unit::FindingLevel;

use crate::{marks::{Marks, NameSeen}, Rule, rule::{Look}};

pub(crate) static RULE: Rule = Rule {
    code: "impure-eval",
    level: FindingLevel::H,
    fires: "an input that the text does not name: `getEnv`, `currentTime`, `currentSystem`, `<nixpkgs>`, `unsafeDiscardStringContext`, `builtins.exec`",
    because: "two people who evaluate it get two results",
    example: "+  home = builtins.getEnv \"HOME\";",
    advice: "Ask for the value to be an argument.",
    look: Look {
        name: Some(name),
        ..Look::ELSEWHERE
    },
};

fn name<'a>(seen: &NameSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let impure = matches!(
        seen.name,
        "getEnv" | "currentTime" | "currentSystem" | "unsafeDiscardStringContext" | "unsafeDiscardOutputDependency" | "importNative"
    ) || matches!(seen.name, "exec" | "nixPath") && seen.file.root_name(seen.node) == Some("builtins")
        || seen.name.starts_with('<');
    if !impure || seen.file.describes(seen.node) {
        return;
    }
    // What Nix brings along itself is no hidden input.
    if seen.name.starts_with("<nix/") {
        return;
    }
    marks.add_file(&RULE, seen.file, seen.file.tree.span(seen.node).start, &with_argument(seen));
}

/// The name and, of a function, what it gets: reading another variable is another input.
fn with_argument(seen: &NameSeen<'_, '_>) -> String {
    let file = seen.file;
    match file.tree.above(seen.node) {
        Some((above, None)) if seen.name == "getEnv" => file.words(above),
        _ => seen.name.to_owned(),
    }
}
