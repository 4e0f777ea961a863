//! `tier-zero`

use attestation::unit::FindingLevel;

use crate::{Rule, compare::Changed, paths, rule::{Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "tier-zero",
    level: FindingLevel::B,
    fires: "a file of a package changed whose compromise is the worst case: Nix, kernel, glibc, gcc, openssl, xz, systemd, bash, coreutils",
    because: "whoever controls one of them controls every machine",
    example: "--- pkgs/tools/compression/xz/default.nix\n+++ pkgs/tools/compression/xz/default.nix",
    advice: "Compare the source itself with upstream's tag, not only the expression; two people do.",
    look: Look {
        file: Some(look),
        ..Look::ELSEWHERE
    },
};

fn look(changed: &Changed<'_>, found: &mut Vec<Found>) {
    if paths::is_tier_zero(changed.path) {
        found.push(changed.whole("a package that everything trusts"));
    }
}
