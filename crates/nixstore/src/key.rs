//! Keys of binary caches: Ed25519, each with a name, as `nix-store --generate-binary-cache-key` makes them.

use std::{fmt, str::FromStr};

use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

/// The name of a key, as `cache.example.org-1`. It is said, not proved: two keys can have one.
pub type KeyName = String;

/// A public key, as it stands in `trusted-public-keys`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: KeyName,
    key: VerifyingKey,
}

/// A private key.
#[derive(Clone)]
pub struct SecretKey {
    name: KeyName,
    key: SigningKey,
}

/// A signature, as it stands in a narinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The key that is said to have made it.
    pub name: KeyName,
    bytes: [u8; 64],
}

/// Why a text is not a key or a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} as NAME:BASE64, found {found}")]
pub struct KeyError {
    /// What was wanted.
    pub expected: &'static str,
    /// The text, without what could be secret.
    pub found: String,
}

impl PublicKey {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes that are the key. People compare these, never names.
    pub fn bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Whether the signature is this key's over `message`. The name that the signature says must be this key's.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let bytes = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        signature.name == self.name && self.key.verify_strict(message, &bytes).is_ok()
    }
}

impl SecretKey {
    /// The key of that name that follows from 32 random bytes.
    pub fn from_seed(name: impl Into<KeyName>, seed: &[u8; 32]) -> Self {
        Self {
            name: name.into(),
            key: SigningKey::from_bytes(seed),
        }
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature {
            name: self.name.clone(),
            bytes: self.key.sign(message).to_bytes(),
        }
    }

    /// As Nix keeps it in a file: the name, and seed and public key in base64.
    pub fn to_secret_text(&self) -> String {
        format!("{}:{}", self.name, BASE64.encode(&self.key.to_keypair_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (name, bytes) = named::<32>(text)?;
            let key = VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())?;
            Some(Self { name, key })
        };
        read().ok_or_else(|| KeyError {
            expected: "a public key",
            found: format!("{text:?}"),
        })
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (name, bytes) = named::<64>(text)?;
            let key = SigningKey::from_keypair_bytes(&bytes).ok()?;
            Some(Self { name, key })
        };
        read().ok_or_else(|| KeyError {
            expected: "a private key",
            found: "something else".to_owned(),
        })
    }
}

impl FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        named::<64>(text)
            .map(|(name, bytes)| Self { name, bytes })
            .ok_or_else(|| KeyError {
                expected: "a signature",
                found: format!("{text:?}"),
            })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(&self.bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the private half of {}", self.public())
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, BASE64.encode(&self.bytes))
    }
}

/// Reads `NAME:BASE64` of exactly `N` bytes.
fn named<const N: usize>(text: &str) -> Option<(KeyName, [u8; N])> {
    let (name, encoded) = text.split_once(':')?;
    let well_named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
    Some((well_named.then(|| name.to_owned())?, bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_for_its_key_its_name_and_its_bytes_only() {
        let key = SecretKey::from_seed("cache-1", &[7; 32]);
        let public: PublicKey = key.public().to_string().parse().unwrap();
        let good = key.sign(b"path");
        assert!(public.verifies(b"path", &good.to_string().parse().unwrap()));
        assert!(!public.verifies(b"other", &good));
        let renamed = Signature {
            name: "cache-2".to_owned(),
            ..good.clone()
        };
        assert!(!public.verifies(b"path", &renamed));
        let other = SecretKey::from_seed("cache-1", &[8; 32]).sign(b"path");
        assert!(!public.verifies(b"path", &other));
    }

    #[test]
    fn refuses_keys_of_small_order_and_other_lengths() {
        let weak = format!("k:{}", BASE64.encode(&[0; 32]));
        assert!(weak.parse::<PublicKey>().is_err());
        let short = format!("k:{}", BASE64.encode(&[9; 31]));
        assert!(short.parse::<PublicKey>().is_err());
        assert!("nothing".parse::<Signature>().is_err());
        let secret = SecretKey::from_seed("k", &[9; 32]).to_secret_text();
        assert!(secret.parse::<SecretKey>().is_ok());
        let error = secret[..40].parse::<SecretKey>().unwrap_err().to_string();
        assert!(!error.contains(&secret[4..30]), "{error}");
    }
}
