//! The patches that a channel carries on top of upstream: an ordered list of names and digests.
//!
//! What is signed names each patch by its SHA-256; the bytes lie in the ledger. The order is that of the names, so that a set
//! of patches has one series and one spelling of it.

use std::fmt;

use nixstore::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::names::{GitOid, PatchName, hex_digest};

/// More patches than this are a fork, and nobody's to review day by day.
pub const MOST_PATCHES: usize = 64;

/// A patch of more bytes than this is no patch that people read.
pub const LARGEST_PATCH: usize = 1024 * 1024;

/// What a channel's commit has on top of upstream's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patched {
    /// Upstream's commit: the only parent of the patched one.
    pub upstream: GitOid,
    /// What is applied to its tree, in order.
    pub patches: PatchSeries,
}

/// For people, before they sign: from which commit it departs, and by what.
impl fmt::Display for Patched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upstream's {} with {}", self.upstream, self.patches.names())
    }
}

/// The patches of a channel, in the order in which they are applied: at least one, sorted by name, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<SeriesPatch>", into = "Vec<SeriesPatch>")]
pub struct PatchSeries(Vec<SeriesPatch>);

/// One patch of a series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesPatch {
    /// Its file name, which is its place in the order.
    pub name: PatchName,
    /// SHA-256 of the file.
    #[serde(with = "hex_digest")]
    pub sha256: Sha256Digest,
}

/// Why patches are no series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// No patch at all: a channel without patches says nothing of them.
    #[error("a series of no patches")]
    Empty,
    /// More than [`MOST_PATCHES`].
    #[error("{found} patches, at most {MOST_PATCHES}")]
    Long {
        /// How many there are.
        found: usize,
    },
    /// A name that does not follow the one before, or is it again.
    #[error("patch {name} does not stand in the order of the names, each once")]
    Order {
        /// The patch that is out of place.
        name: PatchName,
    },
}

impl PatchSeries {
    /// The series of these patches, whatever order they come in.
    pub fn new(mut patches: Vec<SeriesPatch>) -> Result<Self, SeriesError> {
        patches.sort();
        Self::try_from(patches)
    }

    /// The patches, in order.
    pub fn patches(&self) -> &[SeriesPatch] {
        &self.0
    }

    /// Their names, in order, for people.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|patch| patch.name.as_str()).collect();
        names.join(", ")
    }
}

impl TryFrom<Vec<SeriesPatch>> for PatchSeries {
    type Error = SeriesError;

    fn try_from(patches: Vec<SeriesPatch>) -> Result<Self, SeriesError> {
        if patches.is_empty() {
            return Err(SeriesError::Empty);
        }
        if patches.len() > MOST_PATCHES {
            return Err(SeriesError::Long { found: patches.len() });
        }
        match patches.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            Some(pair) => Err(SeriesError::Order {
                name: pair[1].name.clone(),
            }),
            None => Ok(Self(patches)),
        }
    }
}

impl From<PatchSeries> for Vec<SeriesPatch> {
    fn from(series: PatchSeries) -> Self {
        series.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(name: &str) -> SeriesPatch {
        SeriesPatch {
            name: name.parse().unwrap(),
            sha256: Sha256Digest::of(name),
        }
    }

    #[test]
    fn a_set_of_patches_has_one_spelling() {
        let series = PatchSeries::new(vec![patch("02-b.patch"), patch("01-a.patch")]).unwrap();
        assert_eq!(series.names(), "01-a.patch, 02-b.patch");
        let text = serde_json::to_string(&series).unwrap();
        assert_eq!(serde_json::from_str::<PatchSeries>(&text).unwrap(), series);
        let swapped = serde_json::to_string(&[patch("02-b.patch"), patch("01-a.patch")]).unwrap();
        assert!(serde_json::from_str::<PatchSeries>(&swapped).is_err());
        assert!(serde_json::from_str::<PatchSeries>("[]").is_err());
        let again = vec![patch("01-a.patch"), patch("01-a.patch")];
        assert!(matches!(PatchSeries::new(again), Err(SeriesError::Order { .. })));
        let many = (0..=MOST_PATCHES).map(|at| patch(&format!("{at:03}.patch"))).collect();
        assert!(matches!(PatchSeries::new(many), Err(SeriesError::Long { .. })));
    }

    #[test]
    fn a_patch_is_called_by_a_plain_name() {
        for good in ["01-fix.patch", "a.patch", "CVE-2024-3094.patch", "x_y+z.patch"] {
            assert!(good.parse::<PatchName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".patch",
            "-x.patch",
            "x.diff",
            "a/b.patch",
            "../x.patch",
            "a b.patch",
            "é.patch",
            "a\n.patch",
            ".x.patch",
        ] {
            assert!(bad.parse::<PatchName>().is_err(), "{bad:?}");
        }
    }
}
