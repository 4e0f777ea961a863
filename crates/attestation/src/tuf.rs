//! TUF 1.0 metadata (the specification's section 4), with OpenPGP keys as `securesystemslib` encodes them.
//!
//! A file is read in two ways. [`Signed::from_foreign`] follows TUF: unknown members are kept in the signed
//! bytes and ignored. [`Signed::from_exact`] is for our own chains: the file is the canonical form of exactly
//! what was understood, byte for byte, so a member that this version does not know is refused.

use std::{collections::BTreeMap, fmt::Debug};

use nixstore::Sha256Digest;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    canonical::{self, JsonError},
    chain::{ChainMark, PolicyDocument, ReleaseMark},
    names::{KeyId, RoleName},
    time::Time,
};

/// The version of the TUF specification that our metadata names.
pub const SPEC_VERSION: &str = "1.0.31";

/// One of the four kinds of metadata.
pub trait Metadata: Serialize + DeserializeOwned + Clone + Debug {
    /// TUF's `_type`.
    const TYPE: &'static str;
    /// What the file says its type is.
    fn type_tag(&self) -> &str;
    /// TUF's `spec_version`.
    fn spec_version(&self) -> &str;
    /// The version of this file.
    fn version(&self) -> u64;
    /// When it stops being current.
    fn expires(&self) -> Time;
    /// When people were asked to sign it, as its dates imply under `policy`: nobody honest signed it long before.
    /// `None` for what no person signs.
    fn proposed_at(&self, policy: &PolicyDocument) -> Option<Time>;
}

macro_rules! metadata {
    ($name:ident, $tag:literal, $proposed_at:expr) => {
        impl Metadata for $name {
            const TYPE: &'static str = $tag;
            fn type_tag(&self) -> &str {
                &self.type_tag
            }
            fn spec_version(&self) -> &str {
                &self.spec_version
            }
            fn version(&self) -> u64 {
                self.version
            }
            fn expires(&self) -> Time {
                self.expires
            }
            fn proposed_at(&self, policy: &PolicyDocument) -> Option<Time> {
                let proposed_at: fn(&Self, &PolicyDocument) -> Option<Time> = $proposed_at;
                proposed_at(self, policy)
            }
        }
    };
}

/// A public key: TUF's encoding, not yet interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// `eddsa`, `rsa`, `ed25519`, `ecdsa`, …
    pub keytype: String,
    /// `pgp+eddsa-ed25519`, `pgp+rsa-pkcsv1.5`, `ed25519`, …
    pub scheme: String,
    /// The key material, of a shape that depends on the scheme.
    pub keyval: Value,
}

/// The keys of a role, and how many distinct ones it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Who may sign.
    pub keyids: Vec<KeyId>,
    /// How many of them it takes.
    pub threshold: u32,
}

/// `root`: keys and thresholds of the top-level roles; on our chains also the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Always `root`.
    #[serde(rename = "_type")]
    pub type_tag: String,
    /// The version of the specification this follows.
    pub spec_version: String,
    /// Whether metadata and targets carry version or digest in their file names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistent_snapshot: Option<bool>,
    /// Counts up by one from 1.
    pub version: u64,
    /// When this root must have been replaced.
    pub expires: Time,
    /// Every key that a top-level role names.
    pub keys: BTreeMap<KeyId, Key>,
    /// `root`, `targets`, `snapshot`, `timestamp`, perhaps `mirrors`.
    pub roles: BTreeMap<RoleName, RoleKeys>,
    /// The policy, on our chains.
    #[serde(rename = "x-touchstone", default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyDocument>,
}

/// Length and digests of a file that other metadata names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// The version it must have.
    pub version: u64,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests by algorithm; ours have `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<BTreeMap<String, String>>,
}

/// `timestamp`: which snapshot is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Always `timestamp`.
    #[serde(rename = "_type")]
    pub type_tag: String,
    /// The version of the specification this follows.
    pub spec_version: String,
    /// Counts up.
    pub version: u64,
    /// When it stops being current.
    pub expires: Time,
    /// `snapshot.json` alone.
    pub meta: BTreeMap<String, MetaFile>,
    /// Which chain it belongs to, on our chains.
    #[serde(rename = "x-touchstone", default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<ChainMark>,
}

/// `snapshot`: which versions of all targets files belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Always `snapshot`.
    #[serde(rename = "_type")]
    pub type_tag: String,
    /// The version of the specification this follows.
    pub spec_version: String,
    /// Counts up.
    pub version: u64,
    /// When it stops being current.
    pub expires: Time,
    /// `targets.json` and one file a delegated role.
    pub meta: BTreeMap<String, MetaFile>,
    /// Which chain it belongs to, on our chains.
    #[serde(rename = "x-touchstone", default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<ChainMark>,
}

/// A file that clients may download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests by algorithm; ours have `sha256`.
    pub hashes: BTreeMap<String, String>,
    /// Anything an application wants to say of it; ours say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
}

/// Roles to which a targets file hands a part of the target names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    /// The keys of the delegated roles.
    pub keys: BTreeMap<KeyId, Key>,
    /// In the order in which they are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<DelegatedRole>>,
    /// TUF's hash bins (TAP 15); never on our chains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succinct_roles: Option<SuccinctRoles>,
}

/// One delegated role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// Its name; its file is `<version>.<name>.json`.
    pub name: String,
    /// Who may sign.
    pub keyids: Vec<KeyId>,
    /// How many of them it takes.
    pub threshold: u32,
    /// Whether a name that matches and is not found here is not searched further.
    pub terminating: bool,
    /// Shell patterns of target names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Prefixes of the SHA-256 of target names; never on our chains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
}

/// Many delegated roles by prefix of the digest of the target name (TAP 15).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccinctRoles {
    /// Who may sign.
    pub keyids: Vec<KeyId>,
    /// How many of them it takes.
    pub threshold: u32,
    /// How many bits of the digest choose the bin.
    pub bit_length: u32,
    /// What the names of the bins begin with.
    pub name_prefix: String,
}

/// `targets`: the top-level one, or a delegated one such as a channel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Always `targets`.
    #[serde(rename = "_type")]
    pub type_tag: String,
    /// The version of the specification this follows.
    pub spec_version: String,
    /// Counts up; in a channel not always by one (see [`crate::chain::Release::sequence`]).
    pub version: u64,
    /// When it stops being current.
    pub expires: Time,
    /// The files, by name.
    pub targets: BTreeMap<String, TargetFile>,
    /// Who else may say something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// Which chain and role it belongs to, and what a release says of itself, on our chains.
    #[serde(rename = "x-touchstone", default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<ReleaseMark>,
}

metadata!(Root, "root", |root, _| {
    let own = root.policy.as_ref()?;
    Some(root.expires.minus(own.freshness.root))
});
metadata!(Timestamp, "timestamp", |_, _| None);
metadata!(Snapshot, "snapshot", |_, _| None);
metadata!(Targets, "targets", |targets, policy| {
    let release = targets.mark.as_ref().and_then(|mark| mark.release.as_ref());
    Some(release.map_or_else(
        || targets.expires.minus(policy.freshness.targets),
        |release| release.time,
    ))
});

impl TargetFile {
    /// A file of this length and digest.
    pub fn new(length: u64, sha256: Sha256Digest) -> Self {
        Self {
            length,
            hashes: sha256_hashes(sha256),
            custom: None,
        }
    }

    /// The SHA-256 it names, if it names one.
    pub fn sha256(&self) -> Option<Sha256Digest> {
        self.hashes.get("sha256")?.parse().ok()
    }
}

impl MetaFile {
    /// The file with these bytes, in this version.
    pub fn of(version: u64, bytes: &[u8]) -> Self {
        Self {
            version,
            length: Some(bytes.len() as u64),
            hashes: Some(sha256_hashes(Sha256Digest::of(bytes))),
        }
    }

    /// The SHA-256 it names, if it names one.
    pub fn sha256(&self) -> Option<Sha256Digest> {
        self.hashes.as_ref()?.get("sha256")?.parse().ok()
    }
}

fn sha256_hashes(sha256: Sha256Digest) -> BTreeMap<String, String> {
    BTreeMap::from([("sha256".to_owned(), sha256.to_string())])
}

/// A signature over the canonical form of `signed`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature {
    /// The key that is said to have made it.
    pub keyid: KeyId,
    /// OpenPGP: the hashed part of the signature packet, hexadecimal (`04 00 <algorithm> 08 <length> …`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_headers: Option<String>,
    /// The signature in hexadecimal.
    pub sig: String,
}

/// A metadata file as received: what it says, the exact bytes that its signatures are over, the signatures.
/// Nobody has checked them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    /// What it says.
    pub claims: T,
    /// The canonical form of `signed`.
    pub payload: Vec<u8>,
    /// What claims to be signatures over `payload`.
    pub signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct RawFile {
    signatures: Vec<Value>,
    signed: Value,
}

impl<T: Metadata> Signed<T> {
    /// A file with these claims and signatures.
    pub fn new(claims: T, signatures: Vec<Signature>) -> Self {
        let payload = canonical::to_vec(&claims);
        Self {
            claims,
            payload,
            signatures,
        }
    }

    /// Reads a file of somebody else's TUF repository. A signature that is not even shaped like one is
    /// dropped: it can only be one that does not count.
    pub fn from_foreign(bytes: &[u8]) -> Result<Self, JsonError> {
        let raw: RawFile = canonical::from_value(canonical::parse(bytes)?, T::TYPE)?;
        let payload = canonical::to_vec(&raw.signed);
        let claims: T = canonical::from_value(raw.signed, T::TYPE)?;
        let signatures = raw
            .signatures
            .into_iter()
            .filter_map(|value| serde_json::from_value(value).ok())
            .collect();
        Ok(Self {
            claims,
            payload,
            signatures,
        })
    }

    /// Reads a file of one of our chains: exactly the bytes that [`Self::to_bytes`] writes.
    pub fn from_exact(bytes: &[u8]) -> Result<Self, JsonError> {
        let raw: RawFile = canonical::from_value(canonical::parse(bytes)?, T::TYPE)?;
        let claims: T = canonical::from_value(raw.signed, T::TYPE)?;
        let signatures = canonical::from_value(Value::Array(raw.signatures), T::TYPE)?;
        let read = Self::new(claims, signatures);
        if read.to_bytes() == bytes {
            Ok(read)
        } else {
            Err(JsonError::NotCanonical { expected: T::TYPE })
        }
    }

    /// The file: canonical JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct File<'a, T> {
            signatures: &'a [Signature],
            signed: &'a T,
        }
        canonical::to_vec(&File {
            signatures: &self.signatures,
            signed: &self.claims,
        })
    }
}
