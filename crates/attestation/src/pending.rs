//! What waits for signatures: the files `proposals/<payload sha256>.json` of the ledger.
//!
//! A proposal is data from an untrusted place. Whoever signs it re-derives it first.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Sha256Digest, StatementId,
    canonical::{self, JsonError},
    statement::{Claim, Exemption, Import},
    tuf::{Root, Targets},
};

/// Something that waits for signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "proposal", content = "payload", rename_all = "lowercase")]
pub enum Proposal {
    /// The next root.
    Root(Box<Root>),
    /// The top-level targets.
    Targets(Box<Targets>),
    /// A release: the channel's targets, and the list of statements that they name by digest.
    Release {
        /// What is signed.
        targets: Box<Targets>,
        /// The statements that the release rests on.
        statements: BTreeSet<StatementId>,
    },
    /// A tree to trust unreviewed; each signer makes a statement of it.
    Exemption(Exemption),
    /// Upstream commits to import; each signer makes a statement of it.
    Import(Import),
}

impl Proposal {
    /// Reads exactly what [`Self::to_bytes`] writes.
    pub fn from_exact(bytes: &[u8]) -> Result<Self, JsonError> {
        canonical::from_exact(bytes, "proposal")
    }

    /// The proposal as a file: canonical JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }

    /// What names it: SHA-256 of the bytes that TUF signatures are over, or of the claim that statements make.
    pub fn payload_digest(&self) -> Sha256Digest {
        match self {
            Self::Root(root) => Sha256Digest::of(canonical::to_vec(root)),
            Self::Targets(targets) | Self::Release { targets, .. } => Sha256Digest::of(canonical::to_vec(targets)),
            Self::Exemption(exemption) => Claim::Exemption(exemption.clone()).digest(),
            Self::Import(import) => Claim::Import(import.clone()).digest(),
        }
    }
}
