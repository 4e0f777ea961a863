//! `impure-eval`

use attestation::unit::FindingLevel;

use crate::{marks::{Marks, NameSeen}, Rule, rule::{AtNames, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "impure-eval",
    level: FindingLevel::H,
    fires: "an input that the text does not name: `getEnv`, `currentTime`, `currentSystem`, `<nixpkgs>`, `unsafeDiscardStringContext`, `builtins.exec`",
    because: "two people who evaluate it get two results",
    example: "+  home = builtins.getEnv \"HOME\";",
    advice: "Ask for the value to be an argument.",
    look: Look {
        name: Some(AtNames { names: &NAMES, search_paths: true, hook: name }),
        ..Look::ELSEWHERE
    },
};

const NAMES: [&str; 8] = ["getEnv", "currentTime", "currentSystem", "unsafeDiscardStringContext", "unsafeDiscardOutputDependency", "importNative", "exec", "nixPath"];

fn name<'a>(seen: &NameSeen<'_, 'a>, marks: &mut Marks<'a>) {
    // Words that mean something else elsewhere.
    let common = matches!(seen.name, "exec" | "nixPath");
    if common && seen.file.root_name(seen.node) != Some("builtins") || seen.file.describes(seen.node) {
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
