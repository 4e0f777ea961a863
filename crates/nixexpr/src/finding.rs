//! What a rule found.

use attestation::{FindingCode, unit::FindingLevel};

use crate::rule::Rule;

/// Something that a change does, or a tree has, and that somebody must look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static Rule,
    /// Where.
    pub place: Place,
    /// What, in one line, in the words of the file. It is data from outside: whoever shows it, shows it safely.
    pub what: String,
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub path: String,
    /// The line in the new file, from 1; `None` where it is about the whole file, or about what is no longer there.
    pub line: Option<u64>,
}

impl Finding {
    /// The rule's stable code.
    pub fn code(&self) -> FindingCode {
        self.rule.code()
    }

    /// How much it weighs by default.
    pub const fn level(&self) -> FindingLevel {
        self.rule.level
    }
}
