//! `auth-root`

use attestation::unit::FindingLevel;

use crate::{File, compare::Changed, paths, syntax::tree::Kind, marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "auth-root",
    level: FindingLevel::B,
    fires: "how people are authenticated changed: PAM, sudo, sshd, polkit, root's keys and passwords, the CA bundle",
    because: "whoever weakens it comes in",
    example: "+  security.sudo.wheelNeedsPassword = false;",
    advice: "Ask who can log in, or become root, after this that could not before; two people do.",
    look: Look {
        binding: Some(AtBindings { names: &[], all_of: Some(may_set), hook: binding }),
        file: Some(file),
        ..Look::ELSEWHERE
    },
};

const MODULES: [&str; 11] = [
    "security/pam", "security/sudo", "security/polkit", "security/doas", "security/ca", "services/networking/ssh/sshd", "security/google_oslogin", "security/rtkit",
    "security/please", "security/run0", "security/isolate",
];

const OPTIONS: [&str; 12] = [
    "security.pam.", "security.sudo", "security.polkit", "security.doas", "security.pki", "services.openssh", "users.users.root", "users.extraUsers.root", "users.mutableUsers", "environment.etc.pam.d",
    "environment.etc.sudoers", "environment.etc.ssh/sshd",
];

fn file(changed: &Changed<'_>, found: &mut Vec<Found>) {
    let Some((_, module)) = changed.path.split_once("modules/") else {
        let bundle = changed.path.starts_with("pkgs/") && changed.path.split('/').any(|part| part == "cacert");
        if bundle && changed.new.is_some() {
            found.push(changed.whole("the bundle of certificates that everything trusts"));
        }
        return;
    };
    if changed.path.starts_with("nixos/") && changed.new.is_some() && MODULES.iter().any(|name| module.starts_with(name)) && changed.gained_bytes().any(|(_, line)| !line.trim_ascii().is_empty()) {
        found.push(changed.whole("how people are authenticated"));
    }
}

/// Whether an option of these can be set in the file: it is a module, and has a part of its name.
fn may_set(file: &File<'_>) -> bool {
    const PARTS: [&str; 9] = ["pam", "sudo", "polkit", "doas", "pki", "openssh", "root", "mutableUsers", "sshd"];
    paths::is_module(file.path()) && PARTS.iter().any(|part| file.says(part))
}

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    let file = seen.file;
    if matches!(seen.name, "description" | "example" | "type") {
        return;
    }
    // Leaves only: what is in a set is asked by itself.
    if matches!(file.tree.kind(seen.value), Kind::Set { .. }) {
        return;
    }
    let path = file.path_of(seen.value);
    let path = path.strip_prefix("config.").unwrap_or(&path);
    if OPTIONS.iter().any(|option| path.starts_with(option)) && !file.describes(seen.value) {
        let text = file.words(seen.value);
        marks.add_binding(&RULE, seen, &text);
    }
}
