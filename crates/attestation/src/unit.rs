//! Units, contents, deltas: what a review is about.
//!
//! A unit is what a person reviews in one go; its content is the digest of its whole listing; a delta is a
//! pair of contents. A review therefore holds on another branch where the whole unit is the same, and
//! nowhere else.

use std::{fmt, str::FromStr};

use nixstore::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::{
    canonical,
    names::{ChainId, NameError, hex_digest},
};

/// The version of the partition of trees into units. It is part of every content digest: a review made
/// under another partition covers nothing under this one.
pub const PARTITION_VERSION: u32 = 3;

/// A unit's path: a relative path with `/`, without empty, `.` or `..` components, valid UTF-8, no control
/// characters. The unit of the files that lie in no other unit of a directory is that directory's path; the
/// whole tree's root is `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitPath(String);

impl UnitPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The unit of the files that lie directly in the tree's root.
    pub fn root() -> Self {
        Self(".".to_owned())
    }
}

impl TryFrom<String> for UnitPath {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let clean = text == "."
            || text.split('/').all(|part| !matches!(part, "" | "." | "..")) && !text.chars().any(char::is_control);
        if clean {
            Ok(Self(text))
        } else {
            Err(NameError {
                expected: "a relative path of a unit",
                found: text,
            })
        }
    }
}

impl FromStr for UnitPath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<UnitPath> for String {
    fn from(path: UnitPath) -> Self {
        path.0
    }
}

impl fmt::Display for UnitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file's mode, as git and NAR tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileMode {
    /// A plain file.
    Regular,
    /// A file with the executable bit.
    Executable,
    /// A symbolic link; its content is its target.
    Symlink,
    /// A submodule; its content is the commit id it names.
    Submodule,
}

/// One line of a unit's listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ListedFile {
    /// Path from the root of the tree.
    pub path: String,
    /// Its mode.
    pub mode: FileMode,
    /// SHA-256 of its bytes (of a symlink: its target; of a submodule: the commit id in hexadecimal).
    #[serde(with = "hex_digest")]
    pub sha256: Sha256Digest,
}

/// The content of a unit: SHA-256 over (chain, partition version, unit path, whole listing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Content(#[serde(with = "hex_digest")] Sha256Digest);

impl Content {
    /// The content of `unit` in `chain` whose files are `listing`. `None` where no file is: the unit does
    /// not exist there. The order of `listing` does not matter.
    pub fn of(chain: ChainId, unit: &UnitPath, listing: &[ListedFile]) -> Option<Self> {
        #[derive(Serialize)]
        struct Preimage<'a> {
            chain: ChainId,
            partition: u32,
            unit: &'a UnitPath,
            listing: Vec<&'a ListedFile>,
        }
        if listing.is_empty() {
            return None;
        }
        let mut sorted: Vec<_> = listing.iter().collect();
        sorted.sort();
        let preimage = Preimage {
            chain,
            partition: PARTITION_VERSION,
            unit,
            listing: sorted,
        };
        Some(Self(Sha256Digest::of(canonical::to_vec(&preimage))))
    }

    /// A content known by its digest, as a statement names it.
    pub const fn from_digest(digest: Sha256Digest) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn digest(self) -> Sha256Digest {
        self.0
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A change of one unit: from one content to another. `None` where the unit does not exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// The unit that changed.
    pub unit: UnitPath,
    /// What it was; `None` for a new unit.
    pub from: Option<Content>,
    /// What it is; `None` for a removed unit.
    pub to: Option<Content>,
}

impl Delta {
    /// The delta's digest: SHA-256 of its canonical form. (Contents already name chain and partition.)
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(canonical::to_vec(self))
    }

    /// The digest of a list of deltas: SHA-256 of the canonical form of the sorted list.
    pub fn list_digest(deltas: &[Self]) -> Sha256Digest {
        let mut sorted: Vec<_> = deltas.iter().collect();
        sorted.sort();
        Sha256Digest::of(canonical::to_vec(&sorted))
    }
}

/// What kind of change a delta is. The strictest class wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Only version, revision and hash changed, from the same origin.
    Bump,
    /// The same listing under another path.
    Moved,
    /// The unit is gone.
    Removed,
    /// Anything else that was understood.
    Edit,
    /// The unit did not exist.
    New,
    /// The expression could not be read.
    Unparsed,
    /// Foundation or tier-zero, and not a bump.
    Sensitive,
}

impl Class {
    /// The class as the policy and the commands write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bump => "bump",
            Self::Moved => "moved",
            Self::Removed => "removed",
            Self::Edit => "edit",
            Self::New => "new",
            Self::Unparsed => "unparsed",
            Self::Sensitive => "sensitive",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much a finding weighs by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FindingLevel {
    /// Needs the source itself to judge.
    S,
    /// Needs one human.
    H,
    /// Blocks: two people by default.
    B,
}

/// A finding's stable code, as `origin-changed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FindingCode(crate::names::RoleName);

impl FromStr for FindingCode {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, mode: FileMode, data: &str) -> ListedFile {
        ListedFile {
            path: path.to_owned(),
            mode,
            sha256: Sha256Digest::of(data),
        }
    }

    #[test]
    fn every_part_of_a_listing_changes_the_content() {
        let chain = ChainId::from_digest(Sha256Digest::of("chain"));
        let unit: UnitPath = "pkgs/hello".parse().unwrap();
        let base = [
            file("pkgs/hello/a", FileMode::Regular, "1"),
            file("pkgs/hello/b", FileMode::Regular, "2"),
        ];
        let content = Content::of(chain, &unit, &base);
        let reversed = [base[1].clone(), base[0].clone()];
        assert_eq!(content, Content::of(chain, &unit, &reversed), "order is not content");

        let other_chain = ChainId::from_digest(Sha256Digest::of("other"));
        let mut mode = base.clone();
        mode[0].mode = FileMode::Executable;
        let mut name = base.clone();
        name[0].path = "pkgs/hello/c".to_owned();
        let mut data = base.clone();
        data[0].sha256 = Sha256Digest::of("3");
        for (other, part) in [
            (Content::of(other_chain, &unit, &base), "chain"),
            (Content::of(chain, &"pkgs/hallo".parse().unwrap(), &base), "unit"),
            (Content::of(chain, &unit, &mode), "mode"),
            (Content::of(chain, &unit, &name), "name"),
            (Content::of(chain, &unit, &data), "data"),
            (Content::of(chain, &unit, &base[..1]), "number of files"),
        ] {
            assert_ne!(content, other, "{part} does not change the content");
        }
        assert_eq!(Content::of(chain, &unit, &[]), None);
    }

    #[test]
    fn refuses_a_unit_path_that_leaves_the_tree() {
        for bad in ["", "/etc", "a//b", "../a", "a/..", "a/./b", "a/", "a\nb"] {
            assert!(bad.parse::<UnitPath>().is_err(), "{bad:?} was accepted");
        }
        for good in [".", "a", "pkgs/by-name/he/hello", "with space"] {
            assert!(good.parse::<UnitPath>().is_ok(), "{good:?} was refused");
        }
    }
}
