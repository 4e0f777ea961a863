//! Names and identifiers. Each is checked when it is made, and has one spelling.

use std::{fmt, str::FromStr};

use nixstore::Sha256Digest;
use serde::{Deserialize, Serialize};

/// Why a text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct NameError {
    /// The rule for such a name.
    pub expected: &'static str,
    /// The text that was read.
    pub found: String,
}

fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Lower-case letters, digits, `-` and `.`, beginning with a letter or digit, at most 64 bytes: safe as a
/// file name, in a URL and in a glob pattern.
fn is_plain_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        && !text.contains("..")
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(NameError { expected: $expected, found: text }) }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A person in the policy, as `alice`. People are what thresholds count.
    PersonName,
    "a person's name (lower-case letters, digits, '-', '.')",
    is_plain_name
);
name!(
    /// A role of people in the policy, as `reviewers`, or a TUF role.
    RoleName,
    "a role's name (lower-case letters, digits, '-', '.')",
    is_plain_name
);
name!(
    /// A channel, as `unstable`. It is also the name of the channel's delegated TUF role, so TUF's own role
    /// names are not channels, nor is `violations`, the other file that a snapshot lists.
    ChannelName,
    "a channel's name (lower-case letters, digits, '-', '.'; not a TUF role's name)",
    |text| is_plain_name(text) && !matches!(text, "root" | "targets" | "snapshot" | "timestamp" | "mirrors" | "violations")
);
name!(
    /// A v4 OpenPGP fingerprint: 40 lower-case hexadecimal digits (RFC 4880 section 12.2).
    Fingerprint,
    "an OpenPGP v4 fingerprint of 40 lower-case hexadecimal digits",
    |text| is_lower_hex(text, 40)
);
name!(
    /// A TUF key id. For OpenPGP keys it is the fingerprint of the signing key; for plain keys the
    /// SHA-256 of the key's canonical form.
    KeyId,
    "a key id of 1 to 128 lower-case hexadecimal digits",
    |text| (1..=128).contains(&text.len()) && is_lower_hex(text, text.len())
);
name!(
    /// The file name of a channel's patch, as `01-harden-sshd.patch`.
    PatchName,
    "a patch's file name (letters, digits, '-', '_', '+', '.'; beginning with a letter or digit, ending in .patch, at most 128)",
    |text| {
        text.len() <= 128
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.strip_suffix(".patch").is_some_and(|stem| {
                stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'.'))
            })
    }
);
name!(
    /// A git object id: 40 lower-case hexadecimal digits. It names an object; it proves nothing (SHA-1).
    GitOid,
    "a git object id of 40 lower-case hexadecimal digits",
    |text| is_lower_hex(text, 40)
);

impl From<Fingerprint> for KeyId {
    fn from(fingerprint: Fingerprint) -> Self {
        Self(fingerprint.0)
    }
}

impl From<ChannelName> for RoleName {
    fn from(channel: ChannelName) -> Self {
        Self(channel.0)
    }
}

macro_rules! digest_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Sha256Digest);

        impl $name {
            /// The identifier with this digest.
            pub const fn from_digest(digest: Sha256Digest) -> Self {
                Self(digest)
            }

            /// The digest behind the identifier.
            pub const fn digest(self) -> Sha256Digest {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = nixstore::hash::ParseDigestError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = nixstore::hash::ParseDigestError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

digest_name!(
    /// A trust chain: the SHA-256 of its `1.root.json`. This is what a subscriber pins.
    ChainId
);
digest_name!(
    /// A maker of tokens: the SHA-256 of the X.509 certificate (DER) at the root of its attestations.
    AttestationRoot
);
digest_name!(
    /// A statement: the SHA-256 of its payload.
    StatementId
);

/// `Sha256Digest` as a 64-digit string in serde, for fields of our formats.
pub mod hex_digest {
    use nixstore::Sha256Digest;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes 64 lower-case hexadecimal digits.
    pub fn serialize<S: Serializer>(digest: &Sha256Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling() {
        for bad in [
            "",
            "Alice",
            "a/b",
            "../x",
            "a..b",
            "-x",
            ".x",
            "a b",
            "é",
            &"a".repeat(65),
            "*",
            "a\n",
        ] {
            assert!(bad.parse::<PersonName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["alice", "nixos-24.05", "0x", "a"] {
            assert!(good.parse::<PersonName>().is_ok(), "{good:?} was refused");
        }
        for reserved in ["root", "targets", "snapshot", "timestamp", "violations"] {
            assert!(reserved.parse::<ChannelName>().is_err(), "{reserved} became a channel");
        }
    }

    #[test]
    fn refuses_fingerprint_as_prefix_or_upper_case() {
        let good = "0123456789abcdef0123456789abcdef01234567";
        assert!(good.parse::<Fingerprint>().is_ok());
        for bad in [
            &good[..39],
            &good[24..],
            &good.to_uppercase(),
            &format!("{good}0"),
            &format!("0x{}", &good[2..]),
        ] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad} was accepted");
        }
    }
}
