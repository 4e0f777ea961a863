//! What mathematics said once: "this signature, by this key, over this digest, is good". True for ever, whoever asks,
//! under whatever policy; it says nothing of who may sign what.
//!
//! A fact is the SHA-256 over all four of its parts, so a cache of facts is a set of digests. A damaged or stale cache
//! holds digests of nothing and answers no question with yes; nobody can make a false one true but by writing the very
//! digest of the signature that they want believed into the file. Whoever can write another user's files has no need
//! for that. So: a cache lies where only its user writes, and is asked neither when something is signed nor by a
//! subscriber.

use std::collections::HashSet;

use attestation::openpgp::RawMaterial;
use sha2::{Digest as _, Sha256};

/// Facts that are known. The default knows none.
#[derive(Debug, Clone, Default)]
pub struct Facts(HashSet<Fact>);

/// SHA-256 over algorithm, key, digest and signature.
pub(crate) type Fact = [u8; 32];

/// What a file of facts begins with.
const MAGIC: &[u8; 16] = b"touchstone-facts";

impl Facts {
    /// Reads what [`Self::to_bytes`] wrote. Of anything else there are no facts: a cache is bypassed, not repaired.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let all = bytes.strip_prefix(MAGIC).unwrap_or_default();
        let whole = all.chunks_exact(size_of::<Fact>());
        Self(whole.filter_map(|fact| fact.try_into().ok()).collect())
    }

    /// All facts, in no order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.0.iter().flatten());
        out
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, fact: &Fact) -> bool {
        self.0.contains(fact)
    }

    pub(crate) fn learn(&mut self, facts: impl IntoIterator<Item = Fact>) {
        self.0.extend(facts);
    }
}

/// The fact that a key, as `KeyMaterial::encoding` writes it, made `signature` of `digest`.
pub(crate) fn fact(key: &[u8], digest: &[u8], signature: &RawMaterial<'_>) -> Fact {
    let (algorithm, signature): (u8, &[u8]) = match signature {
        RawMaterial::Ed25519(both) => (1, both),
        RawMaterial::P256(both) => (2, both),
        RawMaterial::Rsa(number) => (3, number),
    };
    let mut hasher = Sha256::new();
    hasher.update([algorithm]);
    for part in [key, digest, signature] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
