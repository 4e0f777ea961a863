//! `nix-trust-root`

use attestation::unit::FindingLevel;

use crate::{syntax::tree::Kind, marks::{Marks, BindingSeen, ShellSeen}, Rule, rule::{AtBindings, AtShell, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "nix-trust-root",
    level: FindingLevel::B,
    fires: "Nix is told to trust somebody else: substituters, keys, trusted users, the sandbox, hooks; also in `nixConfig` of a flake",
    because: "whoever is trusted there decides what this machine runs",
    example: "+  nix.settings.trusted-public-keys = [ \"cache.example.org-1:…\" ];",
    advice: "Ask whose key it is and who may sign with it; two people do.",
    look: Look {
        binding: Some(AtBindings::named(&SETTINGS, binding)),
        shell: Some(AtShell::with(&WORDS, shell)),
        ..Look::ELSEWHERE
    },
};

const SETTINGS: [&str; 32] = [
    "substituters", "trusted-substituters", "extra-substituters", "extra-trusted-substituters", "trusted-public-keys", "extra-trusted-public-keys", "trusted-users", "extra-trusted-users",
    "allowed-users", "require-sigs", "accept-flake-config", "post-build-hook", "pre-build-hook", "diff-hook", "build-hook", "plugin-files", "sandbox-fallback", "sandbox-paths",
    "extra-sandbox-paths", "binaryCaches", "binaryCachePublicKeys", "trustedBinaryCaches", "trustedUsers", "requireSignedBinaryCaches", "useSandbox", "useChroot", "chrootDirs", "secret-key-files",
    "sandbox", "builders", "allowed-uris", "filter-syscalls",
];

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let file = seen.file;
    // Names that mean something else elsewhere.
    let common = matches!(seen.name, "sandbox" | "builders" | "allowed-uris" | "filter-syscalls");
    if common && !below_nix(seen) || file.describes(seen.value) || is_option_set(seen) {
        return;
    }
    let items = file.list_items(seen.value);
    for item in &items {
        let text = file.words(*item);
        marks.add(&RULE, file, *item, &text);
    }
    if items.is_empty() && !file.is_empty_list(seen.value) {
        let text = file.words(seen.value);
        marks.add_binding(&RULE, seen, &text);
    }
}

fn below_nix(seen: &BindingSeen<'_, '_>) -> bool {
    seen.file.names_around(seen.value).flat_map(|names| names.split('.')).any(|name| matches!(name, "nix" | "nixConfig"))
}

/// The declaration of the option: only what is its default trusts anybody, and that is bound to `default`.
fn is_option_set(seen: &BindingSeen<'_, '_>) -> bool {
    let Kind::Apply { function, argument } = seen.file.tree.kind(seen.value) else {
        return false;
    };
    let option = seen.file.callee(function).is_some_and(|callee| callee.last == "mkOption");
    option && !matches!(seen.file.attribute(argument, "default"), crate::resolve::Attribute::Is(_))
}

const WORDS: [&str; 5] = ["trusted-public-keys", "trusted-substituters", "binary-cache-public-keys", "--option substituters", "trusted-users"];

fn shell<'a>(seen: &ShellSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if seen.text.len() < 20 {
        return;
    }
    for (at, line) in seen.lines() {
        if WORDS.iter().any(|word| line.contains(word)) && (line.contains('=') || line.contains("--option")) && !seen.file.describes(seen.node) {
            marks.add_file(&RULE, seen.file, at, line);
        }
    }
}
