//! The layout of the ledger: every path that has a meaning in it, and no other.

use std::{fmt, num::NonZeroU64, str::FromStr};

use attestation::{KeyId, RoleName, Sha256Digest};

/// A file of the ledger. A path that is none of these is foreign: it is reported, and has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerPath {
    /// `root/N.root.json`: a link of the trust chain, complete.
    Root {
        /// The root's version.
        version: NonZeroU64,
    },
    /// `keyring/<sha256>.asc`: an OpenPGP certificate.
    Keyring {
        /// SHA-256 of the file.
        file: Sha256Digest,
    },
    /// `evidence/<sha256>.pem`: what a token attests of a key.
    Evidence {
        /// SHA-256 of the file.
        file: Sha256Digest,
    },
    /// `patches/<sha256>.patch`: a patch that a channel carries.
    Patch {
        /// SHA-256 of the file.
        file: Sha256Digest,
    },
    /// `statements/ab/cdef….dsse.json`: a signed statement.
    Statement {
        /// SHA-256 of the envelope.
        envelope: Sha256Digest,
    },
    /// `proposals/<payload sha256>.json`: what waits for signatures.
    Proposal {
        /// [`attestation::pending::Proposal::payload_digest`].
        payload: Sha256Digest,
    },
    /// `signatures/<payload sha256>/<keyid>.json`: one signature over a TUF payload.
    Signature {
        /// SHA-256 of what is signed.
        payload: Sha256Digest,
        /// The key that is said to have signed.
        key: KeyId,
    },
    /// `metadata/<N>.<role>.json`: finished targets, the top-level ones or a channel's.
    Metadata {
        /// The version; in a channel the release's sequence.
        version: NonZeroU64,
        /// `targets`, or the channel.
        role: RoleName,
    },
}

/// Why a text is not a path of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a path of the ledger")]
pub struct LedgerPathError {
    /// The text that was read.
    pub found: String,
}

impl LedgerPath {
    /// Whether two files of this path, with different bytes, are a case for people: the chain has forked, or
    /// somebody published two things under one version.
    pub const fn is_written_once(&self) -> bool {
        matches!(self, Self::Root { .. } | Self::Metadata { .. })
    }
}

impl fmt::Display for LedgerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root { version } => write!(f, "root/{version}.root.json"),
            Self::Keyring { file } => write!(f, "keyring/{file}.asc"),
            Self::Evidence { file } => write!(f, "evidence/{file}.pem"),
            Self::Patch { file } => write!(f, "patches/{file}.patch"),
            Self::Statement { envelope } => {
                let hex = envelope.to_string();
                let (directory, name) = hex.split_at(2);
                write!(f, "statements/{directory}/{name}.dsse.json")
            }
            Self::Proposal { payload } => write!(f, "proposals/{payload}.json"),
            Self::Signature { payload, key } => write!(f, "signatures/{payload}/{key}.json"),
            Self::Metadata { version, role } => write!(f, "metadata/{version}.{role}.json"),
        }
    }
}

impl FromStr for LedgerPath {
    type Err = LedgerPathError;

    fn from_str(text: &str) -> Result<Self, LedgerPathError> {
        read(text).ok_or_else(|| LedgerPathError { found: text.to_owned() })
    }
}

fn read(text: &str) -> Option<LedgerPath> {
    let (directory, rest) = text.split_once('/')?;
    let stem = |suffix| rest.strip_suffix(suffix);
    Some(match directory {
        "root" => LedgerPath::Root {
            version: version(stem(".root.json")?)?,
        },
        "keyring" => LedgerPath::Keyring {
            file: stem(".asc")?.parse().ok()?,
        },
        "evidence" => LedgerPath::Evidence {
            file: stem(".pem")?.parse().ok()?,
        },
        "patches" => LedgerPath::Patch {
            file: stem(".patch")?.parse().ok()?,
        },
        "statements" => {
            let (head, tail) = stem(".dsse.json")?.split_once('/')?;
            (head.len() == 2).then_some(())?;
            LedgerPath::Statement {
                envelope: format!("{head}{tail}").parse().ok()?,
            }
        }
        "proposals" => LedgerPath::Proposal {
            payload: stem(".json")?.parse().ok()?,
        },
        "signatures" => {
            let (payload, key) = stem(".json")?.split_once('/')?;
            LedgerPath::Signature {
                payload: payload.parse().ok()?,
                key: key.parse().ok()?,
            }
        }
        "metadata" => {
            let (number, role) = stem(".json")?.split_once('.')?;
            LedgerPath::Metadata {
                version: version(number)?,
                role: role.parse().ok()?,
            }
        }
        _ => return None,
    })
}

/// One spelling a number: no sign, no leading zero.
fn version(text: &str) -> Option<NonZeroU64> {
    let version: NonZeroU64 = text.parse().ok()?;
    (version.to_string() == text).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_reads_as_it_is_written() {
        let digest = Sha256Digest::of("x");
        let version = NonZeroU64::new(12).unwrap();
        for path in [
            LedgerPath::Root { version },
            LedgerPath::Keyring { file: digest },
            LedgerPath::Patch { file: digest },
            LedgerPath::Statement { envelope: digest },
            LedgerPath::Proposal { payload: digest },
            LedgerPath::Signature {
                payload: digest,
                key: "abcd".parse().unwrap(),
            },
            LedgerPath::Metadata {
                version,
                role: "nixos-24.05".parse().unwrap(),
            },
        ] {
            assert_eq!(path.to_string().parse(), Ok(path));
        }
    }

    #[test]
    fn refuses_other_spellings_and_other_places() {
        let hex = Sha256Digest::of("x").to_string();
        for bad in [
            "root/0.root.json".to_owned(),
            "root/01.root.json".to_owned(),
            "root/+1.root.json".to_owned(),
            "root/1.root.json/x".to_owned(),
            "root//1.root.json".to_owned(),
            "Root/1.root.json".to_owned(),
            "root/1.ROOT.json".to_owned(),
            "root/18446744073709551616.root.json".to_owned(),
            format!("keyring/{}.asc", hex.to_uppercase()),
            format!("keyring/{}.asc", &hex[1..]),
            format!("statements/{hex}.dsse.json"),
            format!("statements/{}/{}.dsse.json", &hex[..3], &hex[3..]),
            format!("proposals/{hex}"),
            format!("signatures/{hex}.json"),
            format!("signatures/{hex}/../x.json"),
            format!("signatures/{hex}/AB.json"),
            "metadata/1.json".to_owned(),
            "metadata/1.Unstable.json".to_owned(),
            "README".to_owned(),
            String::new(),
        ] {
            assert!(bad.parse::<LedgerPath>().is_err(), "{bad:?} was accepted");
        }
    }
}
