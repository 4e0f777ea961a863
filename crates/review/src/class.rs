//! What kind of change it is: from paths, from listings, and from what the expression engine read.

use attestation::Class;
use importer::TreePath;

/// Whether a unit was and is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Existence {
    pub(crate) was: bool,
    pub(crate) is: bool,
    /// Its whole listing is the one of a unit that went, or came.
    pub(crate) moved: bool,
}

/// What a path says of whatever lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Sensitivity {
    #[default]
    None,
    /// A package whose compromise is the worst case. A mere bump of it stays one.
    TierZero,
    /// What reaches everything, or decides who and what may merge.
    Foundation,
}

/// What the expression engine made of the files of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A file could not be read.
    Unread,
    /// All were read.
    Read,
    /// All were read, and only version, revision and hash changed, from the same origin.
    Bump,
}

pub(crate) fn sensitivity(path: &TreePath) -> Sensitivity {
    if nixexpr::paths::is_foundation(path.as_str()) || nixexpr::paths::is_merge_authority(path.as_str()) {
        Sensitivity::Foundation
    } else if nixexpr::paths::is_tier_zero(path.as_str()) {
        Sensitivity::TierZero
    } else {
        Sensitivity::None
    }
}

/// The class of a change: the strictest that fits.
pub(crate) const fn of(existence: Existence, sensitivity: Sensitivity, reading: Reading) -> Class {
    let edited = existence.was && existence.is;
    match (sensitivity, reading) {
        (Sensitivity::None | Sensitivity::TierZero, Reading::Bump) if edited => Class::Bump,
        (Sensitivity::Foundation | Sensitivity::TierZero, _) => Class::Sensitive,
        (Sensitivity::None, Reading::Unread) if existence.is => Class::Unparsed,
        _ if existence.moved => Class::Moved,
        _ => match (existence.was, existence.is) {
            (true, false) => Class::Removed,
            (false, true) => Class::New,
            _ => Class::Edit,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_merge_is_as_sensitive_as_what_reaches_everything() {
        let sensitivity = |path: &str| sensitivity(&TreePath::parse(path).unwrap());
        for path in [
            ".github/workflows/ci.yml",
            ".github/CODEOWNERS",
            "ci/OWNERS",
            "CODEOWNERS",
            "pkgs/x/CODEOWNERS",
        ] {
            assert_eq!(sensitivity(path), Sensitivity::Foundation, "{path}");
        }
        for path in ["pkgs/ci/default.nix", "circuits/x", "doc/ci.md", ".gitignore"] {
            assert_eq!(sensitivity(path), Sensitivity::None, "{path}");
        }
    }

    #[test]
    fn the_strictest_class_wins() {
        use Reading::{Bump, Read, Unread};
        use Sensitivity::{Foundation, TierZero};
        let class = |was, is, moved, sensitivity, reading| of(Existence { was, is, moved }, sensitivity, reading);
        let none = Sensitivity::None;
        for reading in [Unread, Read, Bump] {
            assert_eq!(class(true, true, false, Foundation, reading), Class::Sensitive);
            assert_eq!(class(false, true, true, TierZero, reading), Class::Sensitive);
        }
        assert_eq!(class(true, true, false, TierZero, Read), Class::Sensitive);
        assert_eq!(
            class(true, true, false, TierZero, Bump),
            Class::Bump,
            "with its finding"
        );
        assert_eq!(class(true, true, false, none, Bump), Class::Bump);
        assert_eq!(
            class(false, true, false, none, Bump),
            Class::New,
            "nothing to bump from"
        );
        assert_eq!(class(true, true, false, none, Unread), Class::Unparsed);
        assert_eq!(class(false, true, true, none, Unread), Class::Unparsed);
        assert_eq!(class(true, false, false, none, Unread), Class::Removed);
        assert_eq!(class(false, true, true, none, Read), Class::Moved);
        assert_eq!(class(false, true, false, none, Read), Class::New);
        assert_eq!(class(true, false, false, none, Read), Class::Removed);
        assert_eq!(class(true, true, false, none, Read), Class::Edit);
    }
}
