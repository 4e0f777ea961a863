//! What this machine has seen, so that nobody can show it something older. Floors only rise.

use std::collections::BTreeMap;

use attestation::{ChannelName, Time};
use serde::{Deserialize, Serialize};

/// The highest of everything that was ever accepted of a chain, as kept in its `floors.json`. The versions of
/// timestamp, snapshot and targets have their floor in the signed files themselves, which are kept beside it
/// ([`crate::MetadataDir`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floors {
    /// The highest version of the root.
    pub root: u64,
    /// The newest time that enough people signed: a clock that is behind it is wrong.
    pub time: Time,
    /// The highest sequence of an installed release, by channel.
    pub releases: BTreeMap<ChannelName, u64>,
}

impl Floors {
    /// Before anything was seen.
    pub fn none() -> Self {
        Self {
            root: 0,
            time: Time::from_unix(0),
            releases: BTreeMap::new(),
        }
    }

    /// The highest sequence of an installed release of `channel`; 0 before the first.
    pub fn release(&self, channel: &ChannelName) -> u64 {
        self.releases.get(channel).copied().unwrap_or(0)
    }

    /// These floors after `release` of `channel`, dated `time`, was seen under root `root`.
    #[must_use]
    pub fn raised(mut self, root: u64, time: Time, channel: &ChannelName, release: u64) -> Self {
        self.root = self.root.max(root);
        self.time = self.time.max(time);
        let highest = self.release(channel).max(release);
        self.releases.insert(channel.clone(), highest);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_never_sink() {
        let channel: ChannelName = "unstable".parse().unwrap();
        let high = Floors::none().raised(3, Time::from_unix(70), &channel, 5);
        assert_eq!(high.clone().raised(1, Time::from_unix(60), &channel, 4), high);
        let other = high.raised(4, Time::from_unix(60), &"stable".parse().unwrap(), 1);
        assert_eq!(
            (other.root, other.time, other.release(&channel)),
            (4, Time::from_unix(70), 5)
        );
    }
}
