//! `generated-set`

use attestation::unit::FindingLevel;

use crate::{Rule, rule::Look};

pub(crate) static RULE: Rule = Rule {
    code: "generated-set",
    level: FindingLevel::S,
    fires: "an entry of a generated set changed, and the registry's index is not at hand to compare",
    because: "a needle in a bulk diff",
    example: "-    sha256 = \"1aa…\";\n+    sha256 = \"1bb…\";",
    advice: "Generate the file again from the registry and compare, or run with --sources. Source check wanted.",
    look: Look::ELSEWHERE,
};
