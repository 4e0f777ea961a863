//! What people say: in-toto statements (<https://in-toto.io/Statement/v1>) of a closed set of kinds.
//!
//! A statement names its chain and author, and its place in the author's sequence: `seq` counts from 1 and
//! `prev` is the id of the author's previous statement, so a withheld one shows as a gap. Its id is the SHA-256
//! of its payload.

use std::{collections::BTreeSet, fmt};

use nixstore::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::{
    canonical::{self, JsonError},
    chain::Release,
    names::{ChainId, ChannelName, Fingerprint, GitOid, PersonName, StatementId, hex_digest},
    series::Patched,
    time::Time,
    unit::{Content, Delta, UnitPath},
};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The chain under whose policy it speaks.
    pub chain: ChainId,
    /// Who speaks.
    pub author: PersonName,
    /// The how-manieth of its author's statements it is, from 1.
    pub seq: u64,
    /// The author's previous statement; `None` for the first.
    pub prev: Option<StatementId>,
    /// What is said.
    pub claim: Claim,
}

/// What is said: a closed set; a signer signs nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Claim {
    /// These upstream commits, with these changes.
    Import(Import),
    /// These changes are good, or not.
    Review(Review),
    /// This content is bad.
    Violation(Violation),
    /// This tree is trusted unreviewed.
    Exemption(Exemption),
    /// This key was made on a token, before my eyes.
    Witness(Witness),
}

/// An import of upstream commits into a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The channel.
    pub channel: ChannelName,
    /// The upstream repository, as the policy names it.
    pub upstream: String,
    /// Its branch.
    pub branch: String,
    /// The commit of the last release.
    pub from: GitOid,
    /// The commit that is imported: upstream's, or the one that follows from it and the channel's patches.
    pub to: GitOid,
    /// Its tree.
    #[serde(rename = "to-tree")]
    pub to_tree: GitOid,
    /// What it has on top of upstream's; absent where it is upstream's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patched: Option<Patched>,
    /// The tree's NAR SHA-256.
    #[serde(rename = "tree-nar", with = "hex_digest")]
    pub tree_nar: Sha256Digest,
    /// The version of the partition.
    pub partition: u32,
    /// How many units changed.
    #[serde(rename = "delta-count")]
    pub delta_count: u64,
    /// [`Delta::list_digest`] of the changed units.
    #[serde(with = "hex_digest")]
    pub deltas: Sha256Digest,
}

impl Import {
    /// Upstream's commit.
    pub fn upstream_commit(&self) -> &GitOid {
        self.patched.as_ref().map_or(&self.to, |patched| &patched.upstream)
    }
}

/// A person's verdicts on changes. One signature may cover thousands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// What the reviewer looked for, as `read-the-diff`.
    pub criteria: String,
    /// The verdicts, sorted by delta, each delta once.
    pub verdicts: Vec<DeltaVerdict>,
    /// Statements of the same author that this one takes back.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub supersedes: BTreeSet<StatementId>,
    /// The release from which the reviewer saw the changes start. Without it the approvals count for ordinary
    /// changes only.
    #[serde(rename = "from-tree", default, skip_serializing_if = "Option::is_none")]
    pub from_tree: Option<FromTree>,
}

/// A release of a channel, as the tree on which changes were looked at: which release, and which tree that is. Two
/// releases of one tree are two places, since a channel may come back to a tree; so are those of two channels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FromTree {
    /// The channel.
    pub channel: ChannelName,
    /// Which of its releases.
    pub sequence: u64,
    /// NAR SHA-256 of its tree.
    #[serde(rename = "tree-nar", with = "hex_digest")]
    pub tree_nar: Sha256Digest,
}

impl FromTree {
    /// The tree of a release.
    pub fn of(release: &Release) -> Self {
        Self {
            channel: release.channel.clone(),
            sequence: release.sequence,
            tree_nar: release.tree_nar,
        }
    }
}

impl fmt::Display for FromTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "release {} of {}", self.sequence, self.channel)
    }
}

/// One verdict.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaVerdict {
    /// The change.
    pub delta: Delta,
    /// Good or not.
    pub verdict: Verdict,
    /// What the reviewer wants others to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Good or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// I looked, and would install it.
    Approve,
    /// This must not be installed.
    Reject,
}

/// Content that is bad, whatever anybody approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// The units and their bad contents, sorted.
    pub contents: BTreeSet<ViolatedContent>,
    /// Why.
    pub reason: String,
    /// NAR SHA-256 of released trees that have it: what a subscriber, who knows no units, can tell it by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub trees: BTreeSet<TreeNar>,
}

/// NAR SHA-256 of a git tree, as a release has it in `tree-nar`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TreeNar(#[serde(with = "hex_digest")] pub Sha256Digest);

/// A unit's bad content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViolatedContent {
    /// The unit.
    pub unit: UnitPath,
    /// Its content.
    pub content: Content,
}

/// A tree that is trusted unreviewed: the point from which a channel starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exemption {
    /// The channel that starts from it.
    pub channel: ChannelName,
    /// The upstream commit.
    pub commit: GitOid,
    /// Its tree.
    pub tree: GitOid,
    /// The tree's NAR SHA-256: the exact contents that are trusted.
    #[serde(rename = "tree-nar", with = "hex_digest")]
    pub tree_nar: Sha256Digest,
    /// Why.
    pub reason: String,
    /// From then on it exempts nothing new.
    pub until: Time,
}

/// Somebody saw a person's key being made on a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Whose key.
    pub person: PersonName,
    /// SHA-256 of the primary key packet's body of their certificate.
    #[serde(with = "hex_digest")]
    pub certificate: Sha256Digest,
    /// The key.
    pub key: Fingerprint,
    /// The token, as its maker and serial number name it.
    pub token: String,
    /// What was seen.
    pub seen: String,
}

impl Claim {
    /// The kind's name, as in the predicate type.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
            Self::Review(_) => "review",
            Self::Violation(_) => "violation",
            Self::Exemption(_) => "exemption",
            Self::Witness(_) => "witness",
        }
    }

    /// What is said, regardless of who says it: SHA-256 of the canonical form. Two people who say the same
    /// thing make two statements with one claim digest.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(canonical::to_vec(self))
    }

    fn predicate_type(&self) -> String {
        format!("urn:x-touchstone:{}:v1", self.kind())
    }

    fn subjects(&self) -> Vec<Subject> {
        match self {
            Self::Import(import) => vec![Subject::new("tree", import.tree_nar)],
            Self::Exemption(exemption) => vec![Subject::new("tree", exemption.tree_nar)],
            Self::Witness(witness) => vec![Subject::new(witness.key.as_str(), witness.certificate)],
            Self::Review(review) => review
                .verdicts
                .iter()
                .map(|v| Subject::new(v.delta.unit.as_str(), v.delta.digest()))
                .collect(),
            Self::Violation(violation) => violation
                .contents
                .iter()
                .map(|v| Subject::new(v.unit.as_str(), v.content.digest()))
                .chain(violation.trees.iter().map(|tree| Subject::new("tree", tree.0)))
                .collect(),
        }
    }
}

/// A one-line description for people: what is signed is what is shown.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Import(import) => {
                write!(
                    f,
                    "import of {} into {}: {} changed units, tree {}",
                    import.to, import.channel, import.delta_count, import.tree_nar
                )?;
                match &import.patched {
                    Some(patched) => write!(f, ", {patched}"),
                    None => Ok(()),
                }
            }
            Self::Review(review) => {
                let rejected = review.verdicts.iter().filter(|v| v.verdict == Verdict::Reject).count();
                let approved = review.verdicts.len() - rejected;
                write!(
                    f,
                    "review: {approved} changes approved, {rejected} rejected ({})",
                    review.criteria
                )?;
                match &review.from_tree {
                    Some(from) => write!(f, ", from {from}, tree {}", from.tree_nar),
                    None => Ok(()),
                }
            }
            Self::Violation(violation) => {
                write!(
                    f,
                    "violation: {} contents are bad, and {} released trees that have them: {}",
                    violation.contents.len(),
                    violation.trees.len(),
                    violation.reason
                )
            }
            Self::Witness(witness) => write!(
                f,
                "witness: key {} of {} was made on token {}: {}",
                witness.key, witness.person, witness.token, witness.seen
            ),
            Self::Exemption(exemption) => write!(
                f,
                "exemption of {} for {}: trusted unreviewed, tree {}",
                exemption.commit, exemption.channel, exemption.tree_nar
            ),
        }
    }
}

/// Why a payload is not a statement of ours.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another `_type`, or a predicate type, subject or order that is not what the claim makes it.
    #[error("{member} is not what the claim makes it")]
    Inconsistent {
        /// Which member.
        member: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "_type")]
    type_tag: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct SubjectDigest {
    #[serde(with = "hex_digest")]
    sha256: Sha256Digest,
}

impl Subject {
    fn new(name: &str, sha256: Sha256Digest) -> Self {
        Self {
            name: name.to_owned(),
            digest: SubjectDigest { sha256 },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    chain: ChainId,
    author: PersonName,
    seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prev: Option<StatementId>,
    claim: Claim,
}

impl Statement {
    /// Reads exactly what [`Self::to_bytes`] writes.
    pub fn from_exact(payload: &[u8]) -> Result<Self, StatementError> {
        let File {
            type_tag,
            subject,
            predicate_type,
            predicate,
        } = canonical::from_exact(payload, "statement")?;
        let Predicate {
            chain,
            author,
            seq,
            prev,
            claim,
        } = predicate;
        let check = |good, member| {
            if good {
                Ok(())
            } else {
                Err(StatementError::Inconsistent { member })
            }
        };
        check(type_tag == STATEMENT_TYPE, "_type")?;
        check(predicate_type == claim.predicate_type(), "predicateType")?;
        check(subject == claim.subjects(), "subject")?;
        check(seq >= 1 && (seq == 1) == prev.is_none(), "seq")?;
        if let Claim::Review(review) = &claim {
            check(review.verdicts.is_sorted_by(|a, b| a.delta < b.delta), "verdicts")?;
        }
        Ok(Self {
            chain,
            author,
            seq,
            prev,
            claim,
        })
    }

    /// The payload: canonical JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_vec(&File {
            type_tag: STATEMENT_TYPE.to_owned(),
            subject: self.claim.subjects(),
            predicate_type: self.claim.predicate_type(),
            predicate: Predicate {
                chain: self.chain,
                author: self.author.clone(),
                seq: self.seq,
                prev: self.prev,
                claim: self.claim.clone(),
            },
        })
    }

    /// The statement's id: SHA-256 of its payload.
    pub fn id(&self) -> StatementId {
        StatementId::from_digest(Sha256Digest::of(self.to_bytes()))
    }
}

#[cfg(test)]
mod tests;
