//! `new-phase-shell`

use std::collections::BTreeMap;

use attestation::unit::FindingLevel;

use crate::{File, compare::{Changed, View}, names, query::push_code, resolve::Binder, syntax::tree::{Bound, Kind, Name, NodeId, Operator, Span}, compare::Comparison, Rule, rule::{Look, Found}};

pub(crate) static RULE: Rule = Rule {
    code: "new-phase-shell",
    level: FindingLevel::H,
    fires: "a phase or a hook has a line that it had not",
    because: "it is where payloads sit: a shell runs it at build time",
    example: "+  postInstall = \"cp ${./helper} $out/bin/helper\";",
    advice: "Read it as a program. Ask what each line needs to do there, and whether it reads anything but the source.",
    look: Look {
        facts: Some(facts),
        file: Some(file),
        ..Look::ELSEWHERE
    },
};

fn facts(comparison: &Comparison<'_>, found: &mut Vec<Found>) {
    let Some(new) = comparison.new else {
        return;
    };
    let before = comparison.old.map(|old| phases(old, usize::MAX)).unwrap_or_default();
    // Where there is nothing to hold them against, the first line is what is said.
    let enough = if comparison.old.is_some() { usize::MAX } else { 1 };
    for (path, lines) in phases(new, enough) {
        let old = before.get(&path).map_or(&[][..], |lines| lines);
        // What is left of the old lines, in their order, is a mere removal.
        let mut rest = old.iter();
        for (at, line) in &lines {
            if !rest.by_ref().any(|(_, old)| old == line) {
                let name = path.rsplit('.').next().unwrap_or(&path);
                found.push(comparison.found(*at, format!("{name}: {}", line.chars().take(120).collect::<String>())));
                break;
            }
        }
    }
}

/// The lines of each phase, hook and builder's script, with where they begin, by the names they are bound to. Of each, so many
/// lines are enough.
fn phases(view: View<'_>, enough: usize) -> BTreeMap<String, Vec<(u32, String)>> {
    let file = view.file();
    let mut phases: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
    for binding in &file.tree.bindings {
        let Bound::Value { path, value } = binding.bound else {
            continue;
        };
        let named = match file.tree.names(path).last() {
            Some(Name::Dynamic(code)) => file.text_of(*code).is_some_and(|name| names::is_phase(&name)),
            Some(name) => file.name(*name).is_some_and(names::is_phase),
            None => false,
        };
        if named && view.has(binding.span.start) {
            add(&mut phases, file, value, enough);
        }
    }
    for id in file.tree.ids() {
        let Kind::Apply { function, argument } = file.tree.kind(id) else {
            continue;
        };
        if view.has(file.tree.span(id).start) && is_script_argument(file, function) {
            add(&mut phases, file, argument, enough);
        }
    }
    phases
}

/// `runCommand name env script`, `fullDepEntry script dependencies`.
fn is_script_argument(file: &File<'_>, function: NodeId) -> bool {
    let mut at = function;
    let mut arguments = 0;
    while let Kind::Apply { function, .. } = file.tree.kind(at) {
        at = function;
        arguments += 1;
        if arguments > 3 {
            return false;
        }
    }
    let Some(callee) = file.callee(at) else {
        return false;
    };
    match callee.last {
        "runCommand" | "runCommandCC" | "runCommandLocal" | "runCommandNoCC" | "runCommandWith" => arguments == 2,
        "fullDepEntry" | "noDepEntry" | "FullDepEntry" | "textClosure" => arguments == 0,
        _ => false,
    }
}

/// The lines of a value, and of the strings that it takes from variables.
fn add(phases: &mut BTreeMap<String, Vec<(u32, String)>>, file: &File<'_>, value: NodeId, enough: usize) {
    let mut lines = Vec::new();
    add_lines(&mut lines, file, value, enough, 8);
    phases.entry(file.path_of(value)).or_default().extend(lines);
}

fn add_lines(lines: &mut Vec<(u32, String)>, file: &File<'_>, value: NodeId, enough: usize, far: u32) {
    // Lines of its scripts as the shell has them; what stands around them, however it is laid out.
    let span = file.tree.span(value);
    let mut at = span.start;
    for string in file.outer_strings(value) {
        add_code(lines, file, at, string.start);
        let mut start = string.start;
        for line in file.slice(string).split_inclusive('\n') {
            if lines.len() >= enough {
                return;
            }
            let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
            // Where the quotes stand says nothing.
            if !matches!(&*words, "" | "''" | "\"") {
                lines.push((start, words));
            }
            start += u32::try_from(line.len()).unwrap_or(0);
        }
        at = string.end;
    }
    add_code(lines, file, at, span.end);
    if far == 0 || lines.len() > 10_000 || lines.len() >= enough {
        return;
    }
    for id in file.subtree(value) {
        if file.tree.kind(id) == Kind::Ident
            && let Binder::Value(bound) = file.lookup(file.slice(file.tree.span(id)), id)
            && is_text(file, bound)
            && !span.contains(file.tree.span(bound))
        {
            add_lines(lines, file, bound, enough, far - 1);
        }
    }
}

fn add_code(lines: &mut Vec<(u32, String)>, file: &File<'_>, start: u32, end: u32) {
    let mut code = String::new();
    push_code(&mut code, file.slice(Span { start, end }));
    if code.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        lines.push((start, code));
    }
}

/// A string of several lines, or put together of some: a piece of a script. A plain word is none.
fn is_text(file: &File<'_>, node: NodeId) -> bool {
    match file.tree.kind(node) {
        Kind::String { indented, .. } => indented || file.slice(file.tree.span(node)).contains(' '),
        Kind::Binary { operator: Operator::Add, left, right } => is_text(file, left) || is_text(file, right),
        Kind::If { then, otherwise, .. } => is_text(file, then) || is_text(file, otherwise),
        Kind::Apply { function, argument } => {
            file.callee(function).is_none_or(|callee| callee.last != "callPackage") && (is_text(file, argument) || matches!(file.tree.kind(function), Kind::Apply { argument, .. } if is_text(file, argument)))
        }
        _ => false,
    }
}

/// The unit's builder script is run like a phase.
fn file(changed: &Changed<'_>, found: &mut Vec<Found>) {
    let name = changed.path.rsplit('/').next().unwrap_or("");
    let script = name.ends_with(".sh") || name.ends_with(".bash") || matches!(name, "builder" | "install" | "configure");
    if !script || name.contains("setup-hook") || name.starts_with("update") || !changed.path.starts_with("pkgs/") {
        return;
    }
    let mut new = changed.gained_lines();
    if let Some((line, text)) = new.find(|(_, text)| !text.trim().is_empty() && !text.trim_start().starts_with('#')) {
        found.push(changed.at(line, text.trim().chars().take(120).collect()));
    }
}
