//! What our chains say beyond TUF: the member `x-touchstone` in `signed`.
//!
//! In root it is the policy ([`PolicyDocument`]), in a channel's targets it describes the release
//! ([`Release`]), and everywhere it names chain and role, since TUF itself does not name the role: without
//! it the online key could serve one channel's signed file as another's.

use std::collections::{BTreeMap, BTreeSet};

use nixstore::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::{
    names::{AttestationRoot, ChainId, ChannelName, Fingerprint, GitOid, PersonName, RoleName, hex_digest},
    series::Patched,
    time::{Seconds, Time},
    unit::{Class, FindingLevel},
};

/// The policy, as root carries it. `policy.toml` compiles to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// The version of this format: 1.
    pub format: u32,
    /// The chain this root continues; absent in version 1, whose digest names the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainId>,
    /// Who there is.
    pub people: BTreeMap<PersonName, Person>,
    /// Who may do what. `root` is always there.
    pub roles: BTreeMap<RoleName, PeopleRole>,
    /// What is published; nothing for a chain that only says who commits to a repository.
    pub channels: BTreeMap<ChannelName, ChannelPolicy>,
    /// Who commits to the repository that the ledger lies in; absent where nobody's commits are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryPolicy>,
    /// What a change needs; the first rule that matches decides, the last one matches everything.
    pub rules: Vec<ReviewRule>,
    /// How long what the online key signs, and the top-level targets, stay current.
    pub freshness: Freshness,
    /// The Ed25519 public key that signs snapshots and timestamps on the publishing machine: 64 hexadecimal
    /// digits. It can make a channel stale or lock it, never false.
    #[serde(rename = "online-key")]
    pub online_key: String,
    /// Who certifies the others' certificates, and how many of them it takes; absent where the root's pins are enough.
    #[serde(rename = "web-of-trust", default, skip_serializing_if = "Option::is_none")]
    pub web_of_trust: Option<ReleaseRole>,
    /// Makers of tokens whose attestations count. Needed by whoever is [`Hardware::Attested`].
    #[serde(rename = "attestation-roots", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub attestation_roots: BTreeSet<AttestationRoot>,
}

/// A person and the keys that are theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// SHA-256 of the primary key packet's body of the person's OpenPGP certificate.
    #[serde(with = "hex_digest")]
    pub certificate: Sha256Digest,
    /// Signing keys. The first enters TUF roles; all of them sign statements.
    pub keys: Vec<Fingerprint>,
    /// From then on nothing that these keys sign counts, whatever the certificate says.
    #[serde(rename = "not-after")]
    pub not_after: Time,
    /// What is known about where the key lives.
    pub hardware: Hardware,
}

/// What is known about where a person's key lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hardware {
    /// The token attested that it made the key.
    Attested,
    /// Two others of the role saw it being made.
    Witnessed,
    /// Nothing.
    None,
}

/// A role of people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeopleRole {
    /// Who has the role.
    pub people: BTreeSet<PersonName>,
    /// How many of them it takes, for a role that signs metadata as a whole (`root`, `targets`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
}

/// A channel and who releases it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelPolicy {
    /// The upstream repository: a URL or an absolute path.
    pub upstream: String,
    /// Its branch.
    pub branch: String,
    /// Who signs a release.
    pub release: ReleaseRole,
    /// How far a release may lie behind upstream.
    #[serde(rename = "max-lag")]
    pub max_lag: Seconds,
    /// How long a release stays current.
    pub expires: Seconds,
    /// What becomes of a unit that lacks reviews.
    pub lacking: Lacking,
    /// The binary cache that the channel names to Nix; none is named without it.
    #[serde(rename = "binary-cache-url", default, skip_serializing_if = "Option::is_none")]
    pub binary_cache_url: Option<String>,
    /// Patterns of the units in which the channel may differ from upstream, by patches of its own. Nothing: it is upstream's
    /// tree, byte for byte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<String>,
}

/// A repository's own history: from where on it is judged, and who may add to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryPolicy {
    /// The commit up to which the people who sign this root vouch for the history. In the first root nothing before it
    /// is looked at; in a later one it also ends what the root before governs.
    pub introduction: GitOid,
    /// Who signs each commit since, and how many of them.
    pub commits: ReleaseRole,
}

/// Who signs a release (or a commit), and how many of them it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRole {
    /// The role of people.
    pub role: RoleName,
    /// How many of them.
    pub threshold: u32,
}

/// What becomes of a unit that lacks reviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lacking {
    /// The whole import waits.
    Block,
}

/// What changes it speaks of, and what they need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewRule {
    /// Patterns of unit paths (`*` within a component, `**` across); empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The class of the change; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// A finding of at least this level; absent: any or none.
    #[serde(rename = "finding-level", default, skip_serializing_if = "Option::is_none")]
    pub finding_level: Option<FindingLevel>,
    /// Only changes without a finding of level H or B: those of level S only say that the source should be looked at.
    #[serde(rename = "without-findings", default, skip_serializing_if = "std::ops::Not::not")]
    pub without_findings: bool,
    /// How many people of which role must have approved.
    pub require: BTreeMap<RoleName, u32>,
}

/// How long metadata stays current. The channel's own `expires` governs releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// The root.
    pub root: Seconds,
    /// The top-level targets.
    pub targets: Seconds,
    /// Snapshots, signed by the online key.
    pub snapshot: Seconds,
    /// Timestamps, signed by the online key.
    pub timestamp: Seconds,
}

/// Which chain and TUF role a file belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainMark {
    /// The chain.
    pub chain: ChainId,
    /// The TUF role.
    pub role: RoleName,
}

/// Which chain and TUF role a targets file belongs to and, in a channel's, the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseMark {
    /// The chain.
    pub chain: ChainId,
    /// The TUF role.
    pub role: RoleName,
    /// The release; absent in the top-level targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}

/// What a release says of itself. Every field is re-derived by each signer; none is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The channel.
    pub channel: ChannelName,
    /// Counts up by one from 1. The version of the targets file may be higher: a proposal that was withdrawn
    /// after somebody signed it leaves its version unused.
    pub sequence: u64,
    /// SHA-256 of the previous release's payload; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_digest")]
    pub previous: Option<Sha256Digest>,
    /// The root in force when it was made.
    #[serde(rename = "root-version")]
    pub root_version: u64,
    /// When it was proposed; a signer refuses one that is more than a day off.
    pub time: Time,
    /// The commit: upstream's, or the one that follows from it and the channel's patches.
    pub commit: GitOid,
    /// Its tree.
    pub tree: GitOid,
    /// What it has on top of upstream's; absent where it is upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patched: Option<Patched>,
    /// NAR SHA-256 of the git tree: what a flake's `narHash` and a store path named `source` are made of.
    #[serde(rename = "tree-nar", with = "hex_digest")]
    pub tree_nar: Sha256Digest,
    /// NAR SHA-256 of the unpacked channel: the tree and `.git-revision`, `.version-suffix`, `nixpkgs -> .`.
    #[serde(rename = "channel-nar", with = "hex_digest")]
    pub channel_nar: Sha256Digest,
    /// The one line of `.version-suffix`.
    #[serde(rename = "version-suffix")]
    pub version_suffix: String,
    /// The statements that this release rests on.
    pub statements: StatementList,
}

impl Release {
    /// Upstream's commit.
    pub fn upstream_commit(&self) -> &GitOid {
        self.patched.as_ref().map_or(&self.commit, |patched| &patched.upstream)
    }
}

/// The sorted list of all statement ids so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementList {
    /// How many.
    pub count: u64,
    /// SHA-256 of the list: one id a line, sorted.
    #[serde(with = "hex_digest")]
    pub sha256: Sha256Digest,
}

impl StatementList {
    /// The list of these ids.
    pub fn of(ids: &BTreeSet<crate::StatementId>) -> Self {
        Self {
            count: ids.len() as u64,
            sha256: Sha256Digest::of(Self::text(ids)),
        }
    }

    /// The list as text: one id a line, sorted.
    pub fn text(ids: &BTreeSet<crate::StatementId>) -> String {
        ids.iter().map(|id| format!("{id}\n")).collect()
    }
}

mod optional_digest {
    use nixstore::Sha256Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "the shape serde asks of a serializer")]
    pub(super) fn serialize<S: Serializer>(digest: &Option<Sha256Digest>, serializer: S) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => serializer.collect_str(digest),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Sha256Digest>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}
