//! `evil-merge`

use attestation::unit::FindingLevel;

use crate::{Rule, rule::Look};

pub(crate) static RULE: Rule = Rule {
    code: "evil-merge",
    level: FindingLevel::B,
    fires: "a merge's tree is not what merging its parents gives",
    because: "content came in that no diff of a commit shows",
    example: "a merge commit whose tree has a line that neither parent has",
    advice: "Read the difference between the merge and what merging again gives; ask who made it, and why it is in no commit of its own.",
    look: Look::ELSEWHERE,
};
