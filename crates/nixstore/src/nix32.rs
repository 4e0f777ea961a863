//! Nix's base 32: the spelling of hashes in store paths and of `nix-prefetch-url`.
//!
//! It is not RFC 4648: the alphabet lacks `e`, `o`, `t` and `u`, digits come most significant first, and the
//! bits are taken from the end of the input. Source: `printHash32` and `parseHash32`, `libutil/hash.cc` of Nix.

/// The digits, by value.
const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// Why a string is not the nix32 spelling of so many bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Nix32Error {
    /// Too many or too few digits.
    #[error("expected {expected} nix32 digits, found {found} bytes")]
    Length {
        /// How many digits the wanted number of bytes has.
        expected: usize,
        /// How many bytes the string has.
        found: usize,
    },
    /// A character outside the alphabet.
    #[error("expected a nix32 digit (0-9 and a-z without e, o, t, u), found {found:?}")]
    Digit {
        /// The character that was read.
        found: char,
    },
    /// The unused high bits of the first digit are set: a second spelling of other bytes.
    #[error("expected unused bits to be zero in nix32 string {found:?}")]
    Padding {
        /// The string that was read.
        found: String,
    },
}

/// How many digits `bytes` bytes have.
const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// The nix32 spelling of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    (0..encoded_len(bytes.len()))
        .rev()
        .map(|digit| {
            let (byte, shift) = (digit * 5 / 8, digit * 5 % 8);
            let low = u16::from(bytes[byte]);
            let high = bytes.get(byte + 1).copied().map_or(0, u16::from);
            let value = (low | high << 8) >> shift & 0x1f;
            char::from(ALPHABET[usize::from(value)])
        })
        .collect()
}

/// Reads the nix32 spelling of exactly `N` bytes. Every value has one spelling: lower case, unused bits zero.
pub fn decode<const N: usize>(text: &str) -> Result<[u8; N], Nix32Error> {
    let expected = encoded_len(N);
    if text.len() != expected {
        return Err(Nix32Error::Length {
            expected,
            found: text.len(),
        });
    }
    let mut bytes = [0_u8; N];
    for (digit, found) in text.chars().rev().enumerate() {
        let value = ALPHABET
            .iter()
            .position(|&letter| char::from(letter) == found)
            .and_then(|position| u16::try_from(position).ok())
            .ok_or(Nix32Error::Digit { found })?;
        let (byte, shift) = (digit * 5 / 8, digit * 5 % 8);
        let [low, high] = (value << shift).to_le_bytes();
        bytes[byte] |= low;
        match bytes.get_mut(byte + 1) {
            Some(next) => *next |= high,
            None if high != 0 => return Err(Nix32Error::Padding { found: text.to_owned() }),
            None => {}
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Sha256Digest;

    #[test]
    fn encodes_as_nix_hash_does() {
        // `nix-hash --type sha256 --to-base32` of the digest of the empty string.
        let digest = Sha256Digest::of("");
        assert_eq!(
            encode(digest.as_bytes()),
            "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
        );
    }

    #[test]
    fn refuses_second_spellings() {
        let good = encode(&[0xff; 32]);
        assert_eq!(decode::<32>(&good), Ok([0xff; 32]));
        assert!(matches!(
            decode::<32>(&good.to_uppercase()),
            Err(Nix32Error::Digit { found: 'Z' })
        ));
        assert!(matches!(
            decode::<32>(&good.replacen('1', "2", 1)),
            Err(Nix32Error::Padding { .. })
        ));
        assert!(matches!(
            decode::<32>(&format!("0{good}")),
            Err(Nix32Error::Length {
                expected: 52,
                found: 53
            })
        ));
        for letter in ["e", "o", "t", "u", "é"] {
            let found = decode::<20>(&format!("{}{letter}", "0".repeat(32 - letter.len())));
            assert!(
                matches!(found, Err(Nix32Error::Digit { .. } | Nix32Error::Length { .. })),
                "{letter}"
            );
        }
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(bytes: [u8; 20]) {
            prop_assert_eq!(decode::<20>(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn what_decodes_has_no_other_spelling(text in "[0-9a-z]{52}") {
            if let Ok(bytes) = decode::<32>(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
