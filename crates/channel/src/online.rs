//! The online key: a plain Ed25519 key on the publishing machine that signs snapshots and timestamps. Whoever
//! has it can make a channel stale or lock it, never false.

use attestation::{KeyId, canonical, tuf};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};

/// The online key.
pub struct OnlineKey {
    key: SigningKey,
}

/// Why a file is not an online key.
#[derive(Debug, thiserror::Error)]
#[error("not an online key: expected one line of 64 hexadecimal digits")]
pub struct OnlineKeyError;

impl OnlineKey {
    /// The key with this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            key: SigningKey::from_bytes(seed),
        }
    }

    /// Reads what [`Self::to_file`] writes.
    pub fn from_file(text: &str) -> Result<Self, OnlineKeyError> {
        let seed: [u8; 32] = HEXLOWER
            .decode(text.trim_end().as_bytes())
            .ok()
            .and_then(|raw| raw.try_into().ok())
            .ok_or(OnlineKeyError)?;
        Ok(Self::from_seed(&seed))
    }

    /// The secret seed, one line of hexadecimal digits. It belongs into a file that only its owner reads.
    pub fn to_file(&self) -> String {
        format!("{}\n", HEXLOWER.encode(&self.key.to_bytes()))
    }

    /// The public key as the policy names it.
    pub fn public(&self) -> String {
        HEXLOWER.encode(self.key.verifying_key().as_bytes())
    }

    /// Signs metadata. `keyid` is the id under which the root names this key.
    pub fn sign<T: tuf::Metadata>(&self, claims: T, keyid: KeyId) -> tuf::Signed<T> {
        let sig = HEXLOWER.encode(&self.key.sign(&canonical::to_vec(&claims)).to_bytes());
        tuf::Signed::new(
            claims,
            vec![tuf::Signature {
                keyid,
                other_headers: None,
                sig,
            }],
        )
    }
}
