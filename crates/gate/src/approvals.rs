//! What is approved: a sorted file of digests, searched where it lies.
//!
//! ```text
//! header   magic (32 bytes), chain (32), release and time and count (8 each, little-endian),
//!          SHA-256 of the body (32), SHA-256 of the header so far (32)
//! body     count keys of 32 bytes, sorted, each once
//! ```
//!
//! A key is the SHA-256 of what kind of thing is approved and which ([`Fact`]). The file is made anew as a whole and put
//! in the place of the old one: nothing is ever appended, so what nobody vouches for any more is gone.
//!
//! A lookup reads some twenty keys and not the body's digest, so it does not notice every flipped bit. It need not: a
//! flipped bit makes another digest, which is nothing's. `gate check` reads all of it ([`Approvals::check`]).

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
};

use nixstore::{Sha256Digest, StorePath};
use sha2::{Digest as _, Sha256};

use crate::place::{Place, PlaceError};

const MAGIC: &[u8; 32] = b"touchstone approvals 1\n\0\0\0\0\0\0\0\0\0";
const KEY: u64 = 32;
const HEADER: usize = 32 + 32 + 3 * 8 + 32 + 32;

/// Something that can be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The derivation of that name whose file has that digest: it commits to everything that is built.
    Derivation(&'a str, Sha256Digest),
    /// What remains of a derivation of that name under `nix develop` ([`nixstore::Derivation::develop_shape`]).
    Develop(&'a str, Sha256Digest),
    /// A store object: an output of an approved derivation, or a signed tree.
    Object(&'a StorePath),
    /// A channel's tarball.
    Tarball(Sha256Digest),
}

/// Whose approvals they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The chain.
    pub chain: Sha256Digest,
    /// The newest release that is in them.
    pub release: u64,
    /// When they were made, in seconds since 1970.
    pub time: u64,
}

/// The approvals of a machine, open.
#[derive(Debug)]
pub struct Approvals {
    file: File,
    origin: Origin,
    count: u64,
    body: Sha256Digest,
}

/// Why approvals are not believed, which approves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalsError {
    /// The file is not there, or not ours.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The file is damaged.
    #[error("the approvals are damaged: expected {expected}")]
    Damaged {
        /// What should be there.
        expected: &'static str,
    },
    /// Reading failed.
    #[error("the approvals could not be read")]
    Read(#[from] io::Error),
}

impl Fact<'_> {
    fn key(&self) -> [u8; 32] {
        let digest = match self {
            Self::Derivation(name, digest) => Sha256Digest::of(format!("derivation:{name}:{digest}")),
            Self::Develop(name, digest) => Sha256Digest::of(format!("develop:{name}:{digest}")),
            Self::Object(path) => Sha256Digest::of(format!("object:{path}")),
            Self::Tarball(digest) => Sha256Digest::of(format!("tarball:{digest}")),
        };
        *digest.as_bytes()
    }
}

/// Approvals that are being made.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    keys: BTreeSet<[u8; 32]>,
}

impl Draft {
    /// Approves something.
    pub fn approve(&mut self, fact: Fact<'_>) {
        self.keys.insert(fact.key());
    }

    /// Whether it is approved so far.
    pub fn has(&self, fact: Fact<'_>) -> bool {
        self.keys.contains(&fact.key())
    }

    /// Approves a derivation: itself, `nix develop` of it, and its outputs. Gives its name.
    pub fn approve_derivation(&mut self, name: &str, derivation: &nixstore::Derivation) {
        let digest = Sha256Digest::of(derivation.to_aterm());
        self.approve(Fact::Derivation(name, digest));
        self.approve(Fact::Develop(name, derivation.develop_shape()));
        for path in derivation.output_paths() {
            self.approve(Fact::Object(path));
        }
    }

    /// Approves what the lines of a manifest name, likewise.
    pub fn approve_manifest(&mut self, manifest: &nixstore::Manifest) {
        for line in &manifest.derivations {
            self.approve(Fact::Derivation(line.name(), line.digest));
            self.approve(Fact::Develop(line.name(), line.develop_shape));
            for path in &line.outputs {
                self.approve(Fact::Object(path));
            }
        }
    }

    /// How much is approved.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Puts them in the place of what was approved so far.
    pub fn write(&self, place: &Place, origin: Origin) -> Result<(), PlaceError> {
        let mut body = Sha256::new();
        for key in &self.keys {
            body.update(key);
        }
        let mut header = MAGIC.to_vec();
        header.extend(origin.chain.as_bytes());
        for number in [origin.release, origin.time, self.keys.len() as u64] {
            header.extend(number.to_le_bytes());
        }
        header.extend(body.finalize());
        let digest = Sha256Digest::of(&header);
        header.extend(digest.as_bytes());
        place.replace(&place.approvals(), 0o644, |file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            out.write_all(&header)?;
            for key in &self.keys {
                out.write_all(key)?;
            }
            out.flush()
        })
    }
}

impl Approvals {
    /// Opens the approvals, if they are root's and whole.
    pub fn open(place: &Place) -> Result<Self, ApprovalsError> {
        let file = place.open_ours(&place.approvals())?;
        let damaged = |expected| ApprovalsError::Damaged { expected };
        let length = file.metadata()?.len();
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)
            .map_err(|_| damaged("a header of 184 bytes"))?;
        let (signed, digest) = header.split_at(HEADER - 32);
        if &signed[..32] != MAGIC {
            return Err(damaged("the first line \"touchstone approvals 1\""));
        }
        if Sha256Digest::of(signed).as_bytes() != digest {
            return Err(damaged("a header with its own digest"));
        }
        let number = |at: usize| u64::from_le_bytes(array(&signed[at..at + 8]));
        let count = number(80);
        if count.checked_mul(KEY).and_then(|body| body.checked_add(HEADER as u64)) != Some(length) {
            return Err(damaged("as many bytes as the header says"));
        }
        Ok(Self {
            file,
            origin: Origin {
                chain: Sha256Digest::from_bytes(array(&signed[32..64])),
                release: number(64),
                time: number(72),
            },
            count,
            body: Sha256Digest::from_bytes(array(&signed[88..120])),
        })
    }

    /// Whose they are.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// How much is approved.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether it is approved.
    pub fn has(&self, fact: Fact<'_>) -> Result<bool, ApprovalsError> {
        let wanted = fact.key();
        let (mut low, mut high) = (0, self.count);
        let (mut least, mut most) = ([0; 32], [0xff; 32]);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut key = [0; 32];
            self.file.read_exact_at(&mut key, HEADER as u64 + middle * KEY)?;
            if key < least || key > most {
                return Err(ApprovalsError::Damaged {
                    expected: "sorted keys",
                });
            }
            match key.cmp(&wanted) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => (low, least) = (middle + 1, key),
                std::cmp::Ordering::Greater => (high, most) = (middle, key),
            }
        }
        Ok(false)
    }

    /// Reads all of them: every key is sorted and the whole is what was written.
    pub fn check(&self) -> Result<(), ApprovalsError> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(HEADER as u64))?;
        let mut body = BufReader::with_capacity(1 << 20, file.take(self.count * KEY));
        let (mut hasher, mut last) = (Sha256::new(), None);
        for _ in 0..self.count {
            let mut key = [0; 32];
            body.read_exact(&mut key)?;
            if last.is_some_and(|last| last >= key) {
                return Err(ApprovalsError::Damaged {
                    expected: "sorted keys",
                });
            }
            hasher.update(key);
            last = Some(key);
        }
        if Sha256Digest::from(hasher) == self.body {
            return Ok(());
        }
        Err(ApprovalsError::Damaged {
            expected: "a body with the digest that the header says",
        })
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ORIGIN: Origin = Origin {
        chain: Sha256Digest::from_bytes([3; 32]),
        release: 7,
        time: 1_700_000_000,
    };

    fn tarball(number: u32) -> Sha256Digest {
        Sha256Digest::of(number.to_le_bytes())
    }

    fn written(count: u32) -> (tempfile::TempDir, Place) {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        let mut draft = Draft::default();
        for number in 0..count {
            draft.approve(Fact::Tarball(tarball(number)));
        }
        draft.write(&place, ORIGIN).unwrap();
        (directory, place)
    }

    #[test]
    fn what_was_approved_is_found_and_nothing_else_is() {
        for count in [0, 1, 2, 3, 1000] {
            let (_directory, place) = written(count);
            let approvals = Approvals::open(&place).unwrap();
            assert_eq!((approvals.origin(), approvals.count()), (ORIGIN, u64::from(count)));
            approvals.check().unwrap();
            for number in 0..count + 50 {
                let found = approvals.has(Fact::Tarball(tarball(number))).unwrap();
                assert_eq!(found, number < count, "{number} of {count}");
                assert!(!approvals.has(Fact::Derivation("x", tarball(number))).unwrap());
                assert!(!approvals.has(Fact::Develop("x", tarball(number))).unwrap());
            }
        }
    }

    #[test]
    fn what_is_no_longer_vouched_for_is_gone() {
        let (_directory, place) = written(10);
        let mut draft = Draft::default();
        draft.approve(Fact::Tarball(tarball(3)));
        let old = Approvals::open(&place).unwrap();
        draft.write(&place, ORIGIN).unwrap();
        let new = Approvals::open(&place).unwrap();
        assert!(new.has(Fact::Tarball(tarball(3))).unwrap());
        assert!(!new.has(Fact::Tarball(tarball(4))).unwrap());
        // Who had the old ones open goes on with them, whole.
        assert!(old.has(Fact::Tarball(tarball(4))).unwrap());
    }

    #[test]
    fn refuses_approvals_that_are_cut_lengthened_or_changed_in_the_header() {
        let (_directory, place) = written(100);
        let good = fs::read(place.approvals()).unwrap();
        let damaged = |bytes: &[u8]| {
            fs::write(place.approvals(), bytes).unwrap();
            matches!(Approvals::open(&place), Err(ApprovalsError::Damaged { .. }))
        };
        for cut in [0, 1, HEADER - 1, HEADER, good.len() - 32, good.len() - 1] {
            assert!(damaged(&good[..cut]), "cut at {cut}");
        }
        assert!(damaged(&[&good[..], &[0; 32]].concat()));
        for at in 0..HEADER {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert!(damaged(&bytes), "byte {at} of the header");
        }
        fs::write(place.approvals(), &good).unwrap();
        Approvals::open(&place).unwrap().check().unwrap();
    }

    #[test]
    fn check_finds_one_flipped_bit_and_two_swapped_keys() {
        let (_directory, place) = written(100);
        let good = fs::read(place.approvals()).unwrap();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let mut swapped = good;
        let (left, right) = swapped[HEADER..].split_at_mut(32);
        left.swap_with_slice(&mut right[..32]);
        for bytes in [flipped, swapped] {
            fs::write(place.approvals(), bytes).unwrap();
            let approvals = Approvals::open(&place).unwrap();
            assert!(matches!(approvals.check(), Err(ApprovalsError::Damaged { .. })));
        }
    }
}
