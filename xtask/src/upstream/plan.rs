//! What is released from the embedded history, and what becomes of it: `plan.json`.

use serde::Deserialize;

use super::{read, source};
use crate::failure::{Failure, Result};

/// The plan.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    /// The branch that channels follow.
    pub(crate) branch: String,
    /// The package whose version shows which release is installed.
    pub(crate) package: String,
    /// Where the channel starts.
    pub(crate) baseline: Baseline,
    /// What upstream publishes after that, in order.
    pub(crate) ranges: Vec<Range>,
}

/// The first release, trusted unreviewed.
#[derive(Debug, Deserialize)]
pub(crate) struct Baseline {
    /// A folder of the history.
    pub(crate) commit: String,
    /// What the package prints.
    pub(crate) version: String,
}

/// Commits that are imported together.
#[derive(Debug, Deserialize)]
pub(crate) struct Range {
    /// The folder of the last one.
    pub(crate) to: String,
    /// What the package prints after the release; none where nothing is released.
    pub(crate) version: Option<String>,
    /// What people say of some units; the others are approved.
    pub(crate) notes: Vec<Note>,
}

/// What somebody says of a unit.
#[derive(Debug, Deserialize)]
pub(crate) struct Note {
    /// The unit.
    pub(crate) unit: String,
    /// What they say.
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) note: String,
}

/// As in `assay review`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Approve,
    Reject,
}

impl Plan {
    pub(crate) fn read() -> Result<Self> {
        let path = source().join("plan.json");
        serde_json::from_str(&read(&path)?)
            .map_err(|error| Failure::environment(format!("{} is no plan: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_names_commits_of_the_history() {
        let plan = Plan::read().expect("it is there");
        let history = source().join("history");
        let ends = plan.ranges.iter().map(|range| &range.to);
        for name in ends.chain([&plan.baseline.commit]) {
            assert!(history.join(name).is_dir(), "{name}");
        }
    }
}
