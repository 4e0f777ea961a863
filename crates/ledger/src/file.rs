//! Files of the ledger that are what their names say: checked when they are made and when they are read.

use std::num::NonZeroU64;

use attestation::{
    KeyId, RoleName, Sha256Digest, StatementId, Unverified,
    canonical::{self, JsonError},
    dsse::{Envelope, EnvelopeError},
    pending::Proposal,
    statement::{Statement, StatementError},
    tuf::{Metadata, Root, Signature, Signed, Targets},
};

use crate::path::LedgerPath;

/// A root of the chain, as it lies in the ledger.
#[derive(Debug, Clone)]
pub struct RootFile {
    /// Its version, in name and file.
    pub version: NonZeroU64,
    /// The file. The digest of version 1's names the chain.
    pub bytes: Vec<u8>,
    /// What it says.
    pub root: Unverified<Signed<Root>>,
}

/// An OpenPGP certificate, as it lies in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringFile {
    /// SHA-256 of the file.
    pub digest: Sha256Digest,
    /// The file.
    pub bytes: Unverified<Vec<u8>>,
}

/// What a token attests of a key, as it lies in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceFile {
    /// SHA-256 of the file.
    pub digest: Sha256Digest,
    /// The file.
    pub bytes: Unverified<Vec<u8>>,
}

/// A patch that a channel carries, as it lies in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchFile {
    /// SHA-256 of the file.
    pub digest: Sha256Digest,
    /// The file.
    pub bytes: Unverified<Vec<u8>>,
}

/// A statement in its envelope. Whether its author signed it, nobody has checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementFile {
    /// SHA-256 of the envelope's file: its name. Two envelopes may carry one statement.
    pub digest: Sha256Digest,
    /// SHA-256 of the payload: the statement's id.
    pub id: StatementId,
    /// The envelope.
    pub envelope: Envelope,
    /// What it says.
    pub statement: Unverified<Statement>,
}

/// Something that waits for signatures.
#[derive(Debug, Clone)]
pub struct ProposalFile {
    /// [`Proposal::payload_digest`].
    pub payload: Sha256Digest,
    /// What is proposed.
    pub proposal: Unverified<Proposal>,
}

/// A signature over the payload of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFile {
    /// SHA-256 of what it is over.
    pub payload: Sha256Digest,
    /// The signature.
    pub signature: Unverified<Signature>,
}

/// Finished targets.
#[derive(Debug, Clone)]
pub struct MetadataFile {
    /// The version, in name and file.
    pub version: NonZeroU64,
    /// The TUF role, in name and file.
    pub role: RoleName,
    /// The file.
    pub bytes: Vec<u8>,
    /// What it says.
    pub targets: Unverified<Signed<Targets>>,
}

/// Why a file is not what its name says.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The name is the digest of other bytes: somebody changed the file under its name.
    #[error("the name says {expected}, the content is {found}")]
    Digest {
        /// The digest in the name.
        expected: Sha256Digest,
        /// The digest of the content.
        found: Sha256Digest,
    },
    /// The name says another version, role or key than the file.
    #[error("the name says {member} {expected}, the file says {found}")]
    Member {
        /// What of the name.
        member: &'static str,
        /// What the name says.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// Not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not an envelope of ours.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Not a statement of ours.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// Versions count from 1.
    #[error("version 0")]
    VersionZero,
}

impl ContentError {
    /// Whether the name contradicts the content, which nobody's mistake explains well.
    pub const fn is_alarm(&self) -> bool {
        matches!(self, Self::Digest { .. } | Self::Member { .. })
    }
}

/// A file to be added to the ledger: path and bytes that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    path: LedgerPath,
    bytes: Vec<u8>,
}

impl NewFile {
    /// A complete root.
    pub fn root(root: &Signed<Root>) -> Result<Self, ContentError> {
        let version = NonZeroU64::new(root.claims.version).ok_or(ContentError::VersionZero)?;
        Ok(Self {
            path: LedgerPath::Root { version },
            bytes: root.to_bytes(),
        })
    }

    /// Complete targets of the role that their own mark names.
    pub fn metadata(role: RoleName, targets: &Signed<Targets>) -> Result<Self, ContentError> {
        let version = NonZeroU64::new(targets.claims.version).ok_or(ContentError::VersionZero)?;
        same_role(&role, &targets.claims)?;
        Ok(Self {
            path: LedgerPath::Metadata { version, role },
            bytes: targets.to_bytes(),
        })
    }

    /// An OpenPGP certificate, in whatever encoding.
    pub fn certificate(bytes: Vec<u8>) -> Self {
        Self {
            path: LedgerPath::Keyring {
                file: Sha256Digest::of(&bytes),
            },
            bytes,
        }
    }

    /// What a token attests of a key: certificates in PEM.
    pub fn evidence(bytes: Vec<u8>) -> Self {
        Self {
            path: LedgerPath::Evidence {
                file: Sha256Digest::of(&bytes),
            },
            bytes,
        }
    }

    /// A patch that a channel carries.
    pub fn patch(bytes: Vec<u8>) -> Self {
        Self {
            path: LedgerPath::Patch {
                file: Sha256Digest::of(&bytes),
            },
            bytes,
        }
    }

    /// A statement in its envelope.
    pub fn statement(envelope: &Envelope) -> Result<Self, ContentError> {
        Statement::from_exact(&envelope.payload)?;
        let bytes = envelope.to_bytes();
        Ok(Self {
            path: LedgerPath::Statement {
                envelope: Sha256Digest::of(&bytes),
            },
            bytes,
        })
    }

    /// Something that waits for signatures.
    pub fn proposal(proposal: &Proposal) -> Self {
        Self {
            path: LedgerPath::Proposal {
                payload: proposal.payload_digest(),
            },
            bytes: proposal.to_bytes(),
        }
    }

    /// A signature over the payload with this digest.
    pub fn signature(payload: Sha256Digest, signature: &Signature) -> Self {
        Self {
            path: LedgerPath::Signature {
                payload,
                key: signature.keyid.clone(),
            },
            bytes: canonical::to_vec(signature),
        }
    }

    /// Where it goes.
    pub const fn path(&self) -> &LedgerPath {
        &self.path
    }

    /// What it is.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

pub(crate) fn read_root(version: NonZeroU64, bytes: Vec<u8>) -> Result<RootFile, ContentError> {
    let root = Signed::<Root>::from_exact(&bytes)?;
    same_version(version, &root.claims)?;
    Ok(RootFile {
        version,
        bytes,
        root: Unverified::new(root),
    })
}

pub(crate) fn read_certificate(digest: Sha256Digest, bytes: Vec<u8>) -> Result<KeyringFile, ContentError> {
    same_digest(digest, Sha256Digest::of(&bytes))?;
    Ok(KeyringFile {
        digest,
        bytes: Unverified::new(bytes),
    })
}

pub(crate) fn read_evidence(digest: Sha256Digest, bytes: Vec<u8>) -> Result<EvidenceFile, ContentError> {
    same_digest(digest, Sha256Digest::of(&bytes))?;
    Ok(EvidenceFile {
        digest,
        bytes: Unverified::new(bytes),
    })
}

pub(crate) fn read_patch(digest: Sha256Digest, bytes: Vec<u8>) -> Result<PatchFile, ContentError> {
    same_digest(digest, Sha256Digest::of(&bytes))?;
    Ok(PatchFile {
        digest,
        bytes: Unverified::new(bytes),
    })
}

pub(crate) fn read_statement(digest: Sha256Digest, bytes: &[u8]) -> Result<StatementFile, ContentError> {
    same_digest(digest, Sha256Digest::of(bytes))?;
    let envelope = Envelope::from_exact(bytes)?;
    let statement = Statement::from_exact(&envelope.payload)?;
    Ok(StatementFile {
        digest,
        id: StatementId::from_digest(Sha256Digest::of(&envelope.payload)),
        envelope,
        statement: Unverified::new(statement),
    })
}

pub(crate) fn read_proposal(payload: Sha256Digest, bytes: &[u8]) -> Result<ProposalFile, ContentError> {
    let proposal = Proposal::from_exact(bytes)?;
    same_digest(payload, proposal.payload_digest())?;
    Ok(ProposalFile {
        payload,
        proposal: Unverified::new(proposal),
    })
}

pub(crate) fn read_signature(payload: Sha256Digest, key: &KeyId, bytes: &[u8]) -> Result<SignatureFile, ContentError> {
    let signature: Signature = canonical::from_exact(bytes, "signature")?;
    same_member("key", key, &signature.keyid)?;
    Ok(SignatureFile {
        payload,
        signature: Unverified::new(signature),
    })
}

pub(crate) fn read_metadata(version: NonZeroU64, role: RoleName, bytes: Vec<u8>) -> Result<MetadataFile, ContentError> {
    let targets = Signed::<Targets>::from_exact(&bytes)?;
    same_version(version, &targets.claims)?;
    same_role(&role, &targets.claims)?;
    Ok(MetadataFile {
        version,
        role,
        bytes,
        targets: Unverified::new(targets),
    })
}

/// Whether `bytes` are what `path` says.
pub(crate) fn check(path: &LedgerPath, bytes: Vec<u8>) -> Result<(), ContentError> {
    match path {
        LedgerPath::Root { version } => read_root(*version, bytes).map(drop),
        LedgerPath::Keyring { file } => read_certificate(*file, bytes).map(drop),
        LedgerPath::Evidence { file } => read_evidence(*file, bytes).map(drop),
        LedgerPath::Patch { file } => read_patch(*file, bytes).map(drop),
        LedgerPath::Statement { envelope } => read_statement(*envelope, &bytes).map(drop),
        LedgerPath::Proposal { payload } => read_proposal(*payload, &bytes).map(drop),
        LedgerPath::Signature { payload, key } => read_signature(*payload, key, &bytes).map(drop),
        LedgerPath::Metadata { version, role } => read_metadata(*version, role.clone(), bytes).map(drop),
    }
}

fn same_digest(expected: Sha256Digest, found: Sha256Digest) -> Result<(), ContentError> {
    if expected == found {
        Ok(())
    } else {
        Err(ContentError::Digest { expected, found })
    }
}

fn same_member<T: PartialEq + ToString>(member: &'static str, expected: &T, found: &T) -> Result<(), ContentError> {
    if expected == found {
        Ok(())
    } else {
        Err(ContentError::Member {
            member,
            expected: expected.to_string(),
            found: found.to_string(),
        })
    }
}

fn same_version(expected: NonZeroU64, claims: &impl Metadata) -> Result<(), ContentError> {
    same_member("version", &expected.get(), &claims.version())
}

fn same_role(expected: &RoleName, claims: &Targets) -> Result<(), ContentError> {
    let found = claims.mark.as_ref().map_or("none", |mark| mark.role.as_str());
    same_member("role", &expected.as_str(), &found)
}
