//! `root-script`

use attestation::unit::FindingLevel;

use crate::{File, paths, syntax::tree::{BindingId, Bound, Kind}, marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "root-script",
    level: FindingLevel::H,
    fires: "a script that root runs at every switch or start changed: activation scripts, `preStart` and `ExecStartPre` of a service without a user",
    because: "it runs as root on every machine",
    example: "+  system.activationScripts.x = \"curl … | sh\";",
    advice: "Read it as a program that root runs.",
    look: Look {
        binding: Some(AtBindings { names: NAMES, all_of: Some(may_activate), hook: binding }),
        ..Look::ELSEWHERE
    },
};

const NAMES: &[&str] = &["preStart", "ExecStartPre", "ExecStartPost", "postStart", "activationScripts", "userActivationScripts", "activation"];

/// Whether what is in a set of activation scripts is in the file: then its name can be any.
fn may_activate(file: &File<'_>) -> bool {
    paths::is_module(file.path()) && (file.says("ctivationScripts") || file.says("activation"))
}

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let file = seen.file;
    if !paths::is_module(file.path()) || file.describes(seen.value) {
        return;
    }
    let path = || file.path_of(seen.value);
    let script = match seen.name {
        "preStart" | "ExecStartPre" | "ExecStartPost" | "postStart" => is_root_service(file, seen, &path()),
        "activationScripts" | "userActivationScripts" | "activation" => !matches!(file.tree.kind(seen.value), Kind::Set { .. }),
        _ => {
            let path = path();
            let within = path.contains("activationScripts.") || path.contains("userActivationScripts.") || path.contains("home.activation.");
            within && !matches!(file.tree.kind(seen.value), Kind::Set { .. }) && seen.name != "deps"
        }
    };
    if script {
        let text = file.words(seen.value);
        marks.add_binding(&RULE, seen, &text);
    }
}

/// A service of the system for which no user is set; users' own services are another matter.
fn is_root_service(file: &File<'_>, seen: &BindingSeen<'_, '_>, path: &str) -> bool {
    if path.contains("user.services") || path.contains("systemd.user") {
        return false;
    }
    let option = matches!(file.tree.kind(seen.value), Kind::Apply { function, .. } if file.callee(function).is_some_and(|callee| callee.last == "mkOption"));
    if option || file.is_null(seen.value) {
        return false;
    }
    // The set of the service, or of its `serviceConfig`, has a `User` or `DynamicUser`.
    let mut at = seen.value;
    for _ in 0..3 {
        let Some((above, _)) = file.tree.above(at) else {
            break;
        };
        if file.tree.bindings_of(above).iter().any(|id| names_user(file, *id)) {
            return false;
        }
        at = above;
    }
    true
}

fn names_user(file: &File<'_>, id: BindingId) -> bool {
    let Bound::Value { path, value } = file.tree.binding(id).bound else {
        return false;
    };
    let names = file.tree.names(path);
    let last = names.last().and_then(|name| file.name(*name));
    if matches!(last, Some("User" | "DynamicUser")) {
        return file.text_of(value).is_none_or(|user| user != "root");
    }
    last == Some("serviceConfig") && file.tree.bindings_of(value).iter().any(|inner| names_user(file, *inner))
}
