//! `releases.json`, a target of every release of a channel: all its releases so far, so that whoever has a tree or a lock can
//! hold it against what was released, without git.
//!
//! A line of an older release is vouched for by whoever signed the newest: each of them wrote the list again from the signed
//! targets of all releases.

use nixstore::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::{
    canonical::{self, JsonError},
    chain::Release,
    names::{ChainId, ChannelName, GitOid, hex_digest},
    time::Time,
};

/// The releases of a channel, from the first one on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseList {
    /// The chain.
    pub chain: ChainId,
    /// The channel.
    pub channel: ChannelName,
    /// One line a release, in order.
    pub releases: Vec<ReleaseLine>,
}

/// One release of a [`ReleaseList`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReleaseLine {
    /// The sequence.
    pub sequence: u64,
    /// The upstream commit.
    pub commit: GitOid,
    /// When it was proposed.
    pub time: Time,
    /// `narHash` of the tree, as SRI.
    #[serde(with = "sri_digest")]
    pub tree_nar: Sha256Digest,
    /// `narHash` of the channel, as SRI.
    #[serde(with = "sri_digest")]
    pub channel_nar: Sha256Digest,
    /// SHA-256 of the list of statements.
    #[serde(with = "hex_digest")]
    pub statements: Sha256Digest,
}

impl From<&Release> for ReleaseLine {
    fn from(release: &Release) -> Self {
        Self {
            sequence: release.sequence,
            commit: release.commit.clone(),
            time: release.time,
            tree_nar: release.tree_nar,
            channel_nar: release.channel_nar,
            statements: release.statements.sha256,
        }
    }
}

impl ReleaseList {
    /// What the canonical form is called in errors.
    const NAME: &'static str = "list of releases";

    /// Reads the one spelling of the list of that channel.
    pub fn from_exact(bytes: &[u8], chain: ChainId, channel: &ChannelName) -> Result<Self, JsonError> {
        let read: Self = canonical::from_exact(bytes, Self::NAME)?;
        let in_order = (1_u64..).zip(&read.releases).all(|(at, line)| line.sequence == at);
        if read.chain == chain && read.channel == *channel && in_order {
            Ok(read)
        } else {
            Err(JsonError::NotCanonical { expected: Self::NAME })
        }
    }

    /// The file: canonical JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }
}

mod sri_digest {
    use nixstore::Sha256Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(digest: &Sha256Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&digest.to_sri())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256Digest, D::Error> {
        Sha256Digest::from_sri(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> ReleaseList {
        let line = |sequence: u64| ReleaseLine {
            sequence,
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            time: Time::from_unix(1_795_300_000),
            tree_nar: Sha256Digest::of("tree"),
            channel_nar: Sha256Digest::of("channel"),
            statements: Sha256Digest::of("statements"),
        };
        ReleaseList {
            chain: ChainId::from_digest(Sha256Digest::of("chain")),
            channel: "unstable".parse().unwrap(),
            releases: (1..=3).map(line).collect(),
        }
    }

    #[test]
    fn a_list_has_one_spelling_one_chain_one_channel_and_no_gap() {
        let list = list();
        let (bytes, chain, channel) = (list.to_bytes(), list.chain, list.channel.clone());
        assert_eq!(ReleaseList::from_exact(&bytes, chain, &channel).unwrap(), list);
        let other = ChainId::from_digest(Sha256Digest::of("another chain"));
        assert!(ReleaseList::from_exact(&bytes, other, &channel).is_err());
        assert!(ReleaseList::from_exact(&bytes, chain, &"stable".parse().unwrap()).is_err());
        assert!(ReleaseList::from_exact(&[&bytes[..], b"\n"].concat(), chain, &channel).is_err());
        let mut gap = list;
        gap.releases.remove(1);
        assert!(ReleaseList::from_exact(&gap.to_bytes(), chain, &channel).is_err());
    }
}
