//! DSSE envelopes: a payload and detached signatures over its type and bytes.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::{
    base64,
    canonical::{self, JsonError},
    names::KeyId,
};

/// The payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// DSSE's pre-authentication encoding: what is signed instead of the bare payload, so that bytes signed as
/// one type are never read as another (<https://github.com/secure-systems-lab/dsse>, protocol.md).
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = encoding_prefix(payload_type, payload.len()).into_bytes();
    out.extend(payload);
    out
}

/// What stands before a payload of so many bytes in its [`pre_authentication_encoding`].
pub fn encoding_prefix(payload_type: &str, length: usize) -> String {
    format!("DSSEv1 {} {payload_type} {length} ", payload_type.len())
}

/// An envelope as received. Nobody has checked its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The bytes that were signed, as they are.
    pub payload: Vec<u8>,
    /// The key that is said to have signed.
    pub keyid: KeyId,
    /// One binary OpenPGP signature packet over the payload's encoding.
    pub signature: Vec<u8>,
}

/// Why bytes are not an envelope of ours.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another payload type.
    #[error("expected payload type {IN_TOTO}, found {found:?}")]
    PayloadType {
        /// The type that was read.
        found: String,
    },
    /// Payload or signature is not padded base64.
    #[error("{member} is not padded base64")]
    Base64 {
        /// Which member.
        member: &'static str,
    },
    /// A statement of ours has one author, hence one signature.
    #[error("expected one signature, found {found}")]
    SignatureCount {
        /// How many there are.
        found: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<FileSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSignature {
    keyid: KeyId,
    sig: String,
}

/// Reads exactly what [`bundle_to_bytes`] writes: several envelopes in one file.
pub fn bundle_from_exact(bytes: &[u8]) -> Result<Vec<Envelope>, EnvelopeError> {
    let files: Vec<File> = canonical::from_exact(bytes, "list of DSSE envelopes")?;
    files.into_iter().map(Envelope::from_file).collect()
}

/// Several envelopes as one file: the canonical form of their list.
pub fn bundle_to_bytes(envelopes: &[Envelope]) -> Vec<u8> {
    canonical::to_vec(&envelopes.iter().map(Envelope::to_file).collect::<Vec<_>>())
}

impl Envelope {
    /// Reads exactly what [`Self::to_bytes`] writes.
    pub fn from_exact(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Self::from_file(canonical::from_exact(bytes, "DSSE envelope")?)
    }

    fn from_file(file: File) -> Result<Self, EnvelopeError> {
        if file.payload_type != IN_TOTO {
            return Err(EnvelopeError::PayloadType {
                found: file.payload_type,
            });
        }
        let [signature] = <[FileSignature; 1]>::try_from(file.signatures)
            .map_err(|found| EnvelopeError::SignatureCount { found: found.len() })?;
        let decode = |text: &str, member| base64::decode(text.as_bytes()).ok_or(EnvelopeError::Base64 { member });
        Ok(Self {
            payload: decode(&file.payload, "payload")?,
            signature: decode(&signature.sig, "sig")?,
            keyid: signature.keyid,
        })
    }

    /// The envelope as a file: canonical JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical::to_vec(&self.to_file())
    }

    fn to_file(&self) -> File {
        File {
            payload: BASE64.encode(&self.payload),
            payload_type: IN_TOTO.to_owned(),
            signatures: vec![FileSignature {
                keyid: self.keyid.clone(),
                sig: BASE64.encode(&self.signature),
            }],
        }
    }

    /// The bytes that the signature is over.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(IN_TOTO, &self.payload)
    }
}
