//! `unpinned-fetch`

use attestation::unit::FindingLevel;

use crate::{File, resolve::{Attribute, Binder}, syntax::tree::{Kind, NodeId}, marks::{Marks, NameSeen}, Rule, rule::{AtNames, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "unpinned-fetch",
    level: FindingLevel::B,
    fires: "`builtins.fetchTarball`, `fetchurl`, `fetchGit`, `fetchTree` or `fetchMercurial` without a hash or a revision",
    because: "code that others can change is evaluated",
    example: "+  nixpkgs = import (builtins.fetchTarball \"https://example.org/x.tar.gz\") { };",
    advice: "Ask for a hash (`sha256`, `narHash`) or a full revision.",
    look: Look {
        name: Some(AtNames { names: &["fetchTarball", "fetchGit", "fetchTree", "fetchMercurial", "fetchurl"], search_paths: false, hook: name }),
        ..Look::ELSEWHERE
    },
};

fn name<'a>(seen: &NameSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let own = matches!(seen.name, "fetchTarball" | "fetchGit" | "fetchTree" | "fetchMercurial");
    let builtin = seen.name == "fetchurl" && seen.file.root_name(seen.node) == Some("builtins");
    if !(own || builtin) || is_formal(seen) {
        return;
    }
    let file = seen.file;
    if let Some((above, None)) = file.tree.above(seen.node)
        && let Kind::Apply { function, argument } = file.tree.kind(above)
        && function == seen.node
        && is_pinned(file, seen.name, argument)
    {
        return;
    }
    marks.add(&RULE, file, seen.node, seen.name);
}

/// `fetchTarball` of an argument of the file is nixpkgs' own.
fn is_formal(seen: &NameSeen<'_, '_>) -> bool {
    seen.file.tree.kind(seen.node) == Kind::Ident && matches!(seen.file.lookup(seen.name, seen.node), Binder::Formal(_))
}

fn is_pinned(file: &File<'_>, name: &str, argument: NodeId) -> bool {
    let Some(set) = file.argument_set(argument) else {
        return false;
    };
    let pins: &[&str] = match name {
        "fetchGit" | "fetchMercurial" => &["rev", "narHash"],
        "fetchTree" => &["rev", "narHash"],
        _ => &["sha256", "hash", "narHash"],
    };
    pins.iter().any(|pin| match file.attribute(set, pin) {
        Attribute::Is(node) => file.text_of(node).is_none_or(|text| !text.is_empty()),
        Attribute::Absent | Attribute::Unknown => false,
    })
}
