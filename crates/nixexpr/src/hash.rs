//! Hashes of what is fetched, compared decoded: hexadecimal, nix32, base64 and SRI of one digest are one hash.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use nixstore::nix32;

/// A hash algorithm, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// A digest and what made it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Algorithm {
    /// The algorithm as Nix writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The algorithm of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }

    const fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Digest {
    /// Reads a hash in any of Nix's spellings: `sha256-<base64>`, `sha256:<any>`, or one of hexadecimal, nix32 and
    /// base64 where the algorithm is known from elsewhere.
    pub fn parse(algorithm: Option<Algorithm>, text: &str) -> Option<Self> {
        if let Some((name, encoded)) = text.split_once('-')
            && let Some(named) = Algorithm::named(name)
        {
            let encoded = encoded.split_once('?').map_or(encoded, |(encoded, _)| encoded);
            return Self::decoded(named, base64(encoded)?).filter(|_| algorithm.is_none_or(|wanted| wanted == named));
        }
        let (algorithm, encoded) = match text.split_once(':') {
            Some((name, encoded)) => {
                let named = Algorithm::named(name)?;
                (
                    algorithm.is_none_or(|wanted| wanted == named).then_some(named)?,
                    encoded,
                )
            }
            None => (algorithm?, text),
        };
        let length = algorithm.length();
        let bytes = if encoded.len() == length * 2 {
            HEXLOWER_PERMISSIVE.decode(encoded.as_bytes()).ok()?
        } else if encoded.len() == (length * 8).div_ceil(5) {
            match algorithm {
                Algorithm::Md5 => nix32::decode::<16>(encoded).ok()?.to_vec(),
                Algorithm::Sha1 => nix32::decode::<20>(encoded).ok()?.to_vec(),
                Algorithm::Sha256 => nix32::decode::<32>(encoded).ok()?.to_vec(),
                Algorithm::Sha512 => nix32::decode::<64>(encoded).ok()?.to_vec(),
            }
        } else {
            base64(encoded)?
        };
        Self::decoded(algorithm, bytes)
    }

    fn decoded(algorithm: Algorithm, bytes: Vec<u8>) -> Option<Self> {
        // All zeros is what people write to be told the right one.
        let real = bytes.len() == algorithm.length() && bytes.iter().any(|byte| *byte != 0);
        real.then_some(Self { algorithm, bytes })
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let decoded = BASE64.decode(text.as_bytes());
    decoded.or_else(|_| BASE64_NOPAD.decode(text.as_bytes())).ok()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.algorithm.as_str(), BASE64.encode(&self.bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_digest_is_one_hash_however_it_is_spelled() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap();
        let nix32 = nix32::encode(&bytes);
        let base64 = BASE64.encode(&bytes);
        let wanted = Digest::parse(Some(Algorithm::Sha256), hex).unwrap();
        for (algorithm, text) in [
            (Some(Algorithm::Sha256), nix32.clone()),
            (Some(Algorithm::Sha256), base64.clone()),
            (Some(Algorithm::Sha256), hex.to_uppercase()),
            (None, format!("sha256-{base64}")),
            (Some(Algorithm::Sha256), format!("sha256-{base64}")),
            (None, format!("sha256-{}", base64.trim_end_matches('='))),
            (None, format!("sha256:{nix32}")),
            (None, format!("sha256:{hex}")),
        ] {
            assert_eq!(Digest::parse(algorithm, &text).as_ref(), Some(&wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in [
            "",
            "sha256-",
            "0000000000000000000000000000000000000000000000000000",
            "abc",
            "sha256-AAAA",
            "md5-é",
        ] {
            assert_eq!(Digest::parse(Some(Algorithm::Sha256), text), None, "{text}");
        }
        assert_eq!(Digest::parse(Some(Algorithm::Sha1), "sha256:ba7816bf"), None);
    }
}
