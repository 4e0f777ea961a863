//! `attributes-rewrite`

use attestation::unit::FindingLevel;

use crate::{Rule, rule::Look};

pub(crate) static RULE: Rule = Rule {
    code: "attributes-rewrite",
    level: FindingLevel::H,
    fires: "`.gitattributes` gained export-ignore, export-subst, ident, eol, filter or working-tree-encoding",
    because: "what is checked out or archived is then not what was reviewed",
    example: "+pkgs/tools/x/default.nix export-subst",
    advice: "Ask what needs it. Digests here are those of git's objects; a tarball that a forge makes has other bytes.",
    look: Look::ELSEWHERE,
};
