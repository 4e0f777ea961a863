//! What need not be calculated again: facts, and answers.
//!
//! A *fact* is "this signature, by this key, over this digest, is good": true for ever, whoever asks, under whatever
//! policy; it says nothing of who may sign what. It is kept as the SHA-256 over all four of its parts. Another kind is
//! "the git tree of this name has this NAR digest".
//!
//! An *answer* is what somebody who judges made of a question once, under the digest of everything that decided it: the
//! same question is known by the same digest. Here it is bytes; who asks says what they mean.
//!
//! A damaged or stale cache holds digests of nothing and answers no question with yes; nobody can make a false one true
//! but by writing the very digest of what they want believed into the file. Whoever can write another user's files has
//! no need for that. So: a cache lies where only its user writes, and is asked neither when something is signed nor by a
//! subscriber.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use attestation::{GitOid, Sha256Digest, openpgp::RawMaterial};
use sha2::{Digest as _, Sha256};

/// What is known. The default knows nothing.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    signatures: HashSet<Fact, BuildHasherDefault<FirstBytes>>,
    /// The newest first.
    answers: Vec<(Sha256Digest, Vec<u8>)>,
    grown: bool,
}

/// SHA-256 over algorithm, key, digest and signature.
pub(crate) type Fact = [u8; 32];

/// What a file of facts begins with.
const MAGIC: &[u8; 16] = b"touchstone-fact2";

/// How many answers are kept.
const ANSWERS: usize = 64;

/// No answer may be longer.
const LARGEST_ANSWER: usize = 1 << 20;

/// Digests are spread already: their first bytes are a hash.
#[derive(Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    // The length of an array, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Facts {
    /// Reads what [`Self::to_bytes`] wrote. Of anything else nothing is known: a cache is bypassed, not repaired.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut answers = Vec::new();
        for _ in 0..take::<1>(&mut rest)?[0] {
            let digest = Sha256Digest::from_bytes(*take(&mut rest)?);
            let checksum: &[u8; 32] = take(&mut rest)?;
            let length = usize::try_from(u32::from_be_bytes(*take(&mut rest)?)).ok()?;
            let (answer, after) = rest.split_at_checked(length)?;
            rest = after;
            if *checksum == sum(&digest, answer) {
                answers.push((digest, answer.to_vec()));
            }
        }
        let signatures = rest.as_chunks().0.iter().copied().collect();
        Some(Self {
            signatures,
            answers,
            grown: false,
        })
    }

    /// Everything, in no order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(u8::try_from(self.answers.len()).unwrap_or(0));
        for (digest, answer) in &self.answers {
            out.extend(digest.as_bytes());
            out.extend(sum(digest, answer));
            out.extend(u32::try_from(answer.len()).unwrap_or(0).to_be_bytes());
            out.extend(answer);
        }
        out.extend(self.signatures.iter().flatten());
        out
    }

    /// How many facts there are.
    pub fn len(&self) -> usize {
        self.signatures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.signatures.is_empty()
    }

    /// Whether more is known than was read.
    pub const fn has_grown(&self) -> bool {
        self.grown
    }

    /// The answers that were given under this digest, the newest first.
    pub fn answers(&self, under: Sha256Digest) -> impl Iterator<Item = &[u8]> {
        let of = self.answers.iter().filter(move |(digest, _)| *digest == under);
        of.map(|(_, answer)| answer.as_slice())
    }

    /// Keeps an answer, in place of an older one of the same words, or of the oldest if there are many.
    pub fn remember(&mut self, under: Sha256Digest, answer: Vec<u8>) {
        if answer.len() > LARGEST_ANSWER {
            return;
        }
        let entry = (under, answer);
        if self.answers.first() == Some(&entry) {
            return;
        }
        self.answers.retain(|known| *known != entry);
        self.grown = true;
        self.answers.insert(0, entry);
        self.answers.truncate(ANSWERS);
    }

    /// Whether it is known that the git tree of this name has this NAR digest.
    pub fn has_tree_nar(&self, tree: &GitOid, nar: Sha256Digest) -> bool {
        self.contains(&tree_nar(tree, nar))
    }

    /// Notes that the git tree of this name has this NAR digest: whoever says so has derived it.
    pub fn learn_tree_nar(&mut self, tree: &GitOid, nar: Sha256Digest) {
        self.learn([tree_nar(tree, nar)]);
    }

    pub(crate) fn contains(&self, fact: &Fact) -> bool {
        self.signatures.contains(fact)
    }

    pub(crate) fn learn(&mut self, facts: impl IntoIterator<Item = Fact>) {
        let before = self.signatures.len();
        self.signatures.extend(facts);
        self.grown |= self.signatures.len() > before;
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

fn sum(digest: &Sha256Digest, answer: &[u8]) -> Fact {
    Sha256::new()
        .chain_update(digest.as_bytes())
        .chain_update(answer)
        .finalize()
        .into()
}

/// Begins as no fact about a signature does: those begin with a number of an algorithm.
fn tree_nar(tree: &GitOid, nar: Sha256Digest) -> Fact {
    Sha256Digest::of(format!("tree {tree} has NAR {nar}"))
        .as_bytes()
        .to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Facts {
        let mut facts = Facts::default();
        facts.learn([[1; 32], [2; 32]]);
        facts.remember(Sha256Digest::of("one"), b"first".to_vec());
        facts.remember(Sha256Digest::of("one"), b"second".to_vec());
        facts.remember(Sha256Digest::of("two"), b"other".to_vec());
        facts
    }

    fn said(facts: &Facts, under: &str) -> Vec<String> {
        let answers = facts.answers(Sha256Digest::of(under));
        answers
            .map(|answer| String::from_utf8_lossy(answer).into_owned())
            .collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let facts = Facts::from_bytes(&known().to_bytes());
        assert!(facts.contains(&[1; 32]) && facts.contains(&[2; 32]) && facts.len() == 2);
        assert_eq!(said(&facts, "one"), ["second", "first"]);
        assert_eq!(said(&facts, "two"), ["other"]);
        assert!(!facts.has_grown() && known().has_grown());
    }

    /// Whatever happens to the file: nothing is known that was not, and no answer is another.
    #[test]
    fn damage_makes_no_fact_and_no_answer() {
        let whole = known().to_bytes();
        let honest = |facts: &Facts| {
            let answers = facts.answers.iter();
            answers.clone().all(|answer| known().answers.contains(answer))
        };
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(honest(&Facts::from_bytes(&bytes)), "byte {at}");
            assert!(honest(&Facts::from_bytes(&whole[..at])), "cut at {at}");
        }
        assert!(Facts::from_bytes(b"touchstone-facts").is_empty());
    }

    #[test]
    fn old_answers_make_room_and_a_long_one_is_not_kept() {
        let mut facts = known();
        for index in 0..200 {
            facts.remember(Sha256Digest::of("one"), format!("{index}").into_bytes());
        }
        assert_eq!(said(&facts, "one").len(), ANSWERS);
        assert_eq!(said(&facts, "one")[0], "199");
        facts.remember(Sha256Digest::of("three"), vec![0; LARGEST_ANSWER + 1]);
        assert!(said(&facts, "three").is_empty());
        assert_eq!(said(&Facts::from_bytes(&facts.to_bytes()), "one").len(), ANSWERS);
    }
}
