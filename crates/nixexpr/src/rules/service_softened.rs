//! `service-softened`

use attestation::unit::FindingLevel;

use crate::{marks::{Marks, BindingSeen}, Rule, rule::{AtBindings, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "service-softened",
    level: FindingLevel::H,
    fires: "an option that hardens a service is gone or changed, or its user is",
    because: "the service can do more when it is taken over",
    example: "-      serviceConfig.PrivateTmp = true;",
    advice: "Ask what breaks with it, and whether a narrower exception would do.",
    look: Look {
        binding: Some(AtBindings::named(&HARDENING, binding)),
        ..Look::ELSEWHERE
    },
};

const HARDENING: [&str; 40] = [
    "CapabilityBoundingSet", "DevicePolicy", "DynamicUser", "Group", "IPAddressAllow", "IPAddressDeny", "InaccessiblePaths", "KeyringMode", "LockPersonality", "MemoryDenyWriteExecute",
    "NoExecPaths", "NoNewPrivileges", "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateNetwork", "PrivateTmp", "PrivateUsers", "ProcSubset", "ProtectClock",
    "ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "ReadOnlyPaths", "RemoveIPC",
    "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "RootDirectory", "SystemCallArchitectures", "SystemCallFilter", "TemporaryFileSystem", "UMask", "User",
];

fn binding<'a>(seen: &BindingSeen<'_, 'a>, marks: &mut Marks<'a>) {
    if seen.file.is_false(seen.value) || seen.file.describes(seen.value) {
        return;
    }
    let text = seen.file.words(seen.value);
    let off = matches!(text.as_str(), "\"\"" | "\"no\"" | "\"false\"" | "null" | "[ ]" | "[]");
    if !off {
        // A list that grew takes more away, or less: it is a change that somebody reads.
        marks.protect(&RULE, seen.file, seen.value, &text);
    }
}
