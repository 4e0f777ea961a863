//! `import-from-derivation`

use attestation::unit::FindingLevel;

use crate::{File, names, syntax::tree::{Kind, NodeId, Operator, Part}, marks::{Marks, BindingSeen, CallSeen}, Rule, rule::{AtBindings, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "import-from-derivation",
    level: FindingLevel::B,
    fires: "`import`, `readFile` and their like read what a derivation makes",
    because: "evaluating then builds: a build's output decides what else is built",
    example: "+  config = import (fetchFromGitHub { … });",
    advice: "Ask for the file to be part of the tree.",
    look: Look {
        call: Some(call),
        binding: Some(AtBindings::named(&LOCKS, binding)),
        ..Look::ELSEWHERE
    },
};

const READERS: [&str; 14] = [
    "import", "readFile", "readDir", "scopedImport", "importJSON", "importTOML", "callPackage", "callPackages", "readFileType", "fileContents", "hashFile", "filterSource", "pathExists", "path",
];

fn call<'a>(seen: &CallSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if READERS.contains(&seen.function) && is_built(seen.file, seen.argument, 12) {
        marks.add_file(&RULE, seen.file, seen.file.tree.span(seen.node).start, seen.function);
    }
}

const LOCKS: [&str; 5] = ["lockFile", "gemdir", "gemset", "lockfile", "cargoLock"];

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if is_built(seen.file, seen.value, 12) {
        marks.add_file(&RULE, seen.file, seen.file.tree.span(seen.value).start, seen.name);
    }
}

/// Whether a value is, or lies in, what a derivation makes.
fn is_built(file: &File<'_>, node: NodeId, far: u32) -> bool {
    if far == 0 {
        return false;
    }
    match file.tree.kind(node) {
        Kind::Apply { .. } => {
            let mut function = node;
            while let Kind::Apply { function: next, .. } = file.tree.kind(function) {
                function = next;
            }
            file.callee(function).is_some_and(|callee| {
                let at_evaluation = file.root_name(function) == Some("builtins") || matches!(callee.last, "fetchTarball" | "fetchGit" | "fetchTree" | "fetchMercurial");
                !at_evaluation
                    && (names::fetcher(callee.last).is_some()
                        || names::is_builder(callee.last)
                        || callee.last.starts_with("runCommand")
                        || matches!(callee.last, "writeText" | "writeScript" | "applyPatches" | "symlinkJoin" | "writeTextFile"))
            })
        }
        Kind::String { parts, .. } | Kind::Path(parts) => file.tree.parts(parts).iter().any(|part| matches!(part, Part::Code(code) if is_built(file, *code, far - 1))),
        Kind::Binary { operator: Operator::Add, left, right } => is_built(file, left, far - 1) || is_built(file, right, far - 1),
        Kind::If { then, otherwise, .. } => is_built(file, then, far - 1) || is_built(file, otherwise, far - 1),
        Kind::Ident | Kind::Select { .. } => match file.force(node) {
            Some(forced) if forced != node => is_built(file, forced, far - 1),
            _ => file.tree.kind(node) != Kind::Ident && file.callee(node).is_some_and(|callee| (matches!(callee.last, "src" | "out" | "outPath" | "drvPath" | "package") || file.root_name(node) == Some("pkgs") && !matches!(callee.last, "path" | "lib"))) && file.root_name(node) != Some("inputs"),
        },
        Kind::Let { body, .. } | Kind::With { body, .. } | Kind::Assert { body, .. } => is_built(file, body, far - 1),
        _ => false,
    }
}
