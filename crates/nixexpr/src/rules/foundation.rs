//! `foundation`

use attestation::unit::FindingLevel;

use crate::{Rule, compare::Changed, paths, rule::{Found, Look}};

pub(crate) static RULE: Rule = Rule {
    code: "foundation",
    level: FindingLevel::B,
    fires: "a file of stdenv, the fetchers, `lib`, the bootstrap files or `pkgs/top-level` changed, or one that Nix evaluates first; in a collection, a line that is more than one package",
    because: "it reaches every package and every machine",
    example: "--- pkgs/stdenv/generic/setup.sh\n+++ pkgs/stdenv/generic/setup.sh",
    advice: "Read every changed line, as somebody who knows what is built with it; two people do.",
    look: Look {
        file: Some(look),
        ..Look::ELSEWHERE
    },
};

fn look(changed: &Changed<'_>, found: &mut Vec<Found>) {
    if paths::is_foundation(changed.path) {
        found.push(changed.whole("reaches every package"));
    }
}
