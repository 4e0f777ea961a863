//! `channel-patch`

use attestation::unit::FindingLevel;

use crate::{Rule, rule::Look};

pub(crate) static RULE: Rule = Rule {
    code: "channel-patch",
    level: FindingLevel::B,
    fires: "the unit has the channel's own patches on top of upstream's text, or had them before",
    because: "nobody upstream has seen what it says now, and no binary cache has built it",
    example: "01-harden.patch of the channel changes pkgs/by-name/op/openssl/package.nix",
    advice: "Read the unit as it is with the patch, not upstream's change alone: ask whether the patch still does what it is for, and where it is gone, what it was for.",
    look: Look::ELSEWHERE,
};
