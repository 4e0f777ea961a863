//! The one rule for Ed25519, on two paths that accept the same signatures because they compute the same point.
//!
//! The rule: RFC 8032 with the cofactorless equation, S below the group order, R canonical, and neither R nor the key
//! of small order; the key canonical too ([`super::KeyMaterial::refuse_weak`]). So R' = \[S\]B - \[k\]A is computed,
//! written in its one encoding, and compared with R, byte for byte.
//!
//! * [`verify`] lets dalek's `verify_strict` do that: for a few signatures.
//! * [`Multiples`] does the same with a table of multiples of A, and one of B, in which no doubling is left to do: for
//!   many signatures by one key. Batch verification would not do: it checks a random combination of many equations,
//!   accepts other signatures than the equation alone does (an R with a part of small order), and has to begin again when
//!   one of them is bad.

use std::sync::LazyLock;

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION},
    traits::Identity as _,
};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha512};

use super::SignatureRefusal;

/// By dalek's `verify_strict`.
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], raw: &[u8; 64]) -> Result<(), SignatureRefusal> {
    key.verify_strict(message, &Signature::from_bytes(raw))
        .map_err(|_| SignatureRefusal::Bad)
}

/// From how many signatures on by one key its table is worth making.
pub(crate) const TABLE_PAYS: usize = 48;

/// One row for each byte of a scalar: the byte's place times 1 to 128 times the point.
pub(crate) struct Multiples {
    table: Vec<EdwardsPoint>,
    /// The point is of small order.
    weak: bool,
}

const ROWS: usize = 32;
const ROW: usize = 128;

/// How many signatures go through a table together.
const TOGETHER: usize = 256;

static BASE: LazyLock<Multiples> = LazyLock::new(|| Multiples::of(ED25519_BASEPOINT_POINT));

/// The one encoding of each point of small order.
static SMALL: LazyLock<[[u8; 32]; 8]> = LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().to_bytes()));

impl Multiples {
    /// The table that verifies signatures by `key`.
    pub(crate) fn for_key(key: &VerifyingKey) -> Self {
        Self::of(-key.to_edwards())
    }

    fn of(point: EdwardsPoint) -> Self {
        let mut table = Vec::with_capacity(ROWS * ROW);
        let mut first = point;
        for _ in 0..ROWS {
            let mut multiple = first;
            for _ in 0..ROW {
                table.push(multiple);
                multiple += first;
            }
            // 128 times, and once more: 256.
            let last = table[table.len() - 1];
            first = last + last;
        }
        Self {
            table,
            weak: point.is_small_order(),
        }
    }

    /// Adds to each sum so many times the point. One row after the other, each for all of them, and each copied first: a
    /// row is read from far away once and in order, and is in the nearest cache while it is used. The whole table would
    /// not be, and the tables of twenty keys are in none.
    fn add_times(&self, sums: &mut [EdwardsPoint], times: &[Digits]) {
        let mut near = [EdwardsPoint::default(); ROW];
        for (place, row) in self.table.chunks_exact(ROW).enumerate() {
            near.copy_from_slice(row);
            for (sum, digits) in sums.iter_mut().zip(times) {
                match digits[place] {
                    0 => {}
                    plus @ 1.. => *sum += &near[usize::from(plus.unsigned_abs()) - 1],
                    minus => *sum -= &near[usize::from(minus.unsigned_abs()) - 1],
                }
            }
        }
    }

    /// For each message and signature whether it is the key's good one.
    pub(crate) fn verify(&self, key: &VerifyingKey, signed: &[(&[u8], &[u8; 64])]) -> Vec<bool> {
        signed
            .chunks(TOGETHER)
            .flat_map(|signed| self.verify_few(key, signed))
            .collect()
    }

    fn verify_few(&self, key: &VerifyingKey, signed: &[(&[u8], &[u8; 64])]) -> Vec<bool> {
        let (mut good, mut sums) = (vec![false; signed.len()], vec![EdwardsPoint::identity(); signed.len()]);
        let (mut of_key, mut of_base) = (Vec::with_capacity(signed.len()), Vec::with_capacity(signed.len()));
        for ((message, raw), good) in signed.iter().zip(&mut good) {
            let (r, s) = raw.split_at(32);
            let s = <[u8; 32]>::try_from(s)
                .ok()
                .and_then(|s| Option::from(Scalar::from_canonical_bytes(s)));
            *good = s.is_some() && !self.weak;
            let challenge = Sha512::new()
                .chain_update(r)
                .chain_update(key.as_bytes())
                .chain_update(message)
                .finalize();
            of_key.push(digits(&Scalar::from_bytes_mod_order_wide(&challenge.into())));
            of_base.push(digits(&s.unwrap_or(Scalar::ZERO)));
        }
        self.add_times(&mut sums, &of_key);
        BASE.add_times(&mut sums, &of_base);
        for (((_, raw), expected), good) in signed.iter().zip(sums).zip(&mut good) {
            let r = &raw[..32];
            // R is the encoding of the point that was computed, so it is of small order if it is one of those encodings.
            *good &= expected.compress().as_bytes() == r && !SMALL.iter().any(|small| small == r);
        }
        good
    }
}

/// A scalar as one digit for each row of a table, from -128 to 127, so that half a row is enough. A scalar is below the
/// group order, hence below 2^253, and nothing is left to carry at the end.
type Digits = [i16; ROWS];

fn digits(scalar: &Scalar) -> Digits {
    let mut carry = 0;
    scalar.to_bytes().map(|byte| {
        let digit = i16::from(byte) + carry;
        carry = i16::from(digit >= 128);
        digit - 256 * carry
    })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::verify_batch;
    use proptest::prelude::*;

    use super::*;

    /// The group's order, little-endian: what may be added to S without changing \[S\]B.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    fn scalar(seed: &str) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&Sha512::digest(seed).into())
    }

    fn key(secret: &Scalar, torsion: usize) -> VerifyingKey {
        VerifyingKey::from(EdwardsPoint::mul_base(secret) + EIGHT_TORSION[torsion])
    }

    fn challenge(r: &[u8; 32], key: &VerifyingKey, message: &[u8]) -> Scalar {
        let digest = Sha512::new().chain_update(r).chain_update(key.as_bytes());
        Scalar::from_bytes_mod_order_wide(&digest.chain_update(message).finalize().into())
    }

    /// A signature whose R and key have these parts of small order; whether it satisfies the equation is chance.
    fn sign(secret: &Scalar, key: &VerifyingKey, message: &[u8], torsion_of_r: usize) -> [u8; 64] {
        let nonce = scalar(&format!("nonce {message:?} {torsion_of_r}"));
        let r = (EdwardsPoint::mul_base(&nonce) + EIGHT_TORSION[torsion_of_r]).compress();
        let s = nonce + challenge(r.as_bytes(), key, message) * secret;
        [r.to_bytes(), s.to_bytes()].concat().try_into().unwrap()
    }

    /// What both paths say.
    fn both(key: &VerifyingKey, message: &[u8], raw: &[u8; 64]) -> bool {
        let by_table = Multiples::for_key(key).verify(key, &[(message, raw)]) == [true];
        assert_eq!(verify(key, message, raw).is_ok(), by_table, "{key:?} {raw:?}");
        by_table
    }

    #[test]
    fn both_paths_take_honest_signatures() {
        for index in 0..8 {
            let secret = scalar(&format!("honest {index}"));
            let key = key(&secret, 0);
            let mut raw = sign(&secret, &key, b"message", 0);
            assert!(both(&key, b"message", &raw));
            assert!(!both(&key, b"another", &raw));
            raw[index * 8] ^= 1;
            assert!(!both(&key, b"message", &raw));
        }
    }

    /// Good and bad ones in any order, more than go together at once: each has its own answer.
    #[test]
    fn many_together_are_judged_one_by_one() {
        let secret = scalar("together");
        let key = key(&secret, 0);
        let messages: Vec<[u8; 2]> = (0..600_u16).map(u16::to_be_bytes).collect();
        let raws: Vec<[u8; 64]> = messages.iter().map(|message| sign(&secret, &key, message, 0)).collect();
        let spoil = |index: usize, raw: &[u8; 64]| {
            let mut raw = *raw;
            match index % 7 {
                2 => raw[0] ^= 1,
                3 => raw[63] = 0xff,
                5 => raw[40] ^= 4,
                _ => {}
            }
            raw
        };
        let raws: Vec<_> = raws.iter().enumerate().map(|(index, raw)| spoil(index, raw)).collect();
        let signed: Vec<(&[u8], &[u8; 64])> = messages.iter().map(|message| &message[..]).zip(&raws).collect();
        let found = Multiples::for_key(&key).verify(&key, &signed);
        let expected: Vec<bool> = signed
            .iter()
            .map(|(message, raw)| verify(&key, message, raw).is_ok())
            .collect();
        assert_eq!(found, expected);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(index, good)| *good == !matches!(index % 7, 2 | 3 | 5))
        );
    }

    /// Every pair of parts of small order in R and in the key, with many messages: some satisfy the equation, and
    /// those alone are taken, on both paths.
    #[test]
    fn both_paths_agree_on_points_of_mixed_order() {
        let secret = scalar("mixed");
        let (mut taken, mut refused) = (0, 0);
        for (of_key, point) in EIGHT_TORSION.iter().enumerate() {
            let key = key(&secret, of_key);
            let table = Multiples::for_key(&key);
            for (of_r, torsion_of_r) in EIGHT_TORSION.iter().enumerate() {
                for message in 0..24_u8 {
                    let raw = sign(&secret, &key, &[message], of_r);
                    let k = challenge(raw[..32].try_into().unwrap(), &key, &[message]);
                    let holds = -(point * k) == *torsion_of_r;
                    assert_eq!(
                        verify(&key, &[message], &raw).is_ok(),
                        holds,
                        "{of_key} {of_r} {message}"
                    );
                    assert_eq!(
                        table.verify(&key, &[(&[message], &raw)]) == [true],
                        holds,
                        "{of_key} {of_r} {message}"
                    );
                    *if holds { &mut taken } else { &mut refused } += 1;
                }
            }
        }
        assert!(taken > 100 && refused > 1_000, "{taken} taken, {refused} refused");
    }

    /// R or key of small order: an equation that holds for many messages, or for all.
    #[test]
    fn refuses_points_of_small_order() {
        let secret = scalar("small");
        for torsion in EIGHT_TORSION {
            let weak = VerifyingKey::from(torsion);
            let honest = key(&secret, 0);
            let r = torsion.compress();
            let mut holds = 0;
            for message in 0..64_u8 {
                // S = 0, R and key of small order.
                let raw: [u8; 64] = [r.to_bytes(), [0; 32]].concat().try_into().unwrap();
                assert!(!both(&weak, &[message], &raw));
                // A key of small order alone: for one of eight messages, or for all, S and R = [S]B satisfy the equation.
                let of_base = EdwardsPoint::mul_base(&secret).compress();
                let raw: [u8; 64] = [of_base.to_bytes(), secret.to_bytes()].concat().try_into().unwrap();
                assert!(!both(&weak, &[message], &raw));
                // R of small order, S made for it by the key's owner: the equation holds.
                let s = challenge(r.as_bytes(), &honest, &[message]) * secret;
                let raw: [u8; 64] = [r.to_bytes(), s.to_bytes()].concat().try_into().unwrap();
                let signature = Signature::from_bytes(&raw);
                holds += usize::from(ed25519_dalek::Verifier::verify(&honest, &[message], &signature).is_ok());
                assert!(!both(&honest, &[message], &raw));
            }
            assert_eq!(
                holds > 0,
                torsion == EdwardsPoint::identity(),
                "the vectors test something"
            );
        }
    }

    /// Encodings beside the one: S and the group's order, coordinates beyond the field's prime, the sign of zero.
    #[test]
    fn refuses_encodings_that_are_not_canonical() {
        let secret = scalar("canonical");
        let key = key(&secret, 0);
        let honest = sign(&secret, &key, b"message", 0);
        assert!(both(&key, b"message", &honest));
        let mut raw = honest;
        let mut carry = 0;
        for (byte, more) in raw[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(more) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(!both(&key, b"message", &raw), "S and the order");
        // Coordinates from the prime (2^255 - 19) on: each is a second name of a small number.
        for low in 0xed..=0xff_u8 {
            for sign_bit in [0x7f, 0xff] {
                let mut r = [0xff; 32];
                (r[0], r[31]) = (low, sign_bit);
                let mut raw = honest;
                raw[..32].copy_from_slice(&r);
                assert!(!both(&key, b"message", &raw), "R {low:x}");
                if let Ok(other) = VerifyingKey::from_bytes(&r) {
                    let material = super::super::KeyMaterial::PgpEd25519(other);
                    assert!(material.refuse_weak().is_err(), "key {low:x} {sign_bit:x}");
                }
            }
        }
    }

    /// Why there is no batch: it takes signatures that the equation refuses.
    #[test]
    fn a_batch_takes_what_the_rule_refuses() {
        let secret = scalar("batch");
        let key = key(&secret, 0);
        // 4: the point of order two.
        let by_batch = (0..64_u8).filter(|message| {
            let raw = sign(&secret, &key, &[*message], 4);
            assert!(!both(&key, &[*message], &raw));
            verify_batch(&[&[*message]], &[Signature::from_bytes(&raw)], &[key]).is_ok()
        });
        assert!(by_batch.count() > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_table_multiplies(bytes in any::<[u8; 64]>(), point in any::<[u8; 64]>()) {
            let (times, point) = (Scalar::from_bytes_mod_order_wide(&bytes), Scalar::from_bytes_mod_order_wide(&point));
            let point = EdwardsPoint::mul_base(&point);
            let mut found = [EdwardsPoint::identity(), point];
            Multiples::of(point).add_times(&mut found, &[digits(&times), digits(&times)]);
            prop_assert_eq!(found, [point * times, point * (times + Scalar::ONE)]);
        }

        #[test]
        fn both_paths_agree_on_noise(mut raw in any::<[u8; 64]>(), honest in any::<bool>(), at in 0..64_usize, bit in 0..8_u8) {
            let secret = scalar("noise");
            let key = key(&secret, 0);
            if honest {
                raw = sign(&secret, &key, b"message", 0);
                raw[at] ^= 1 << bit;
            }
            prop_assert!(!both(&key, b"message", &raw));
        }
    }
}
