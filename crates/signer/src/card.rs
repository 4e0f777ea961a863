//! OpenPGP cards over PC/SC: the tokens that people carry.
//!
//! A [`Token`] is one card that is plugged in. What is asked of it runs in a transaction of the reader service, first
//! makes sure that it is still the same card, and has a time limit: neither a card nor a reader service that hangs
//! makes us hang. Nothing here keeps a PIN.

mod agent;
mod attest;
mod enroll;
mod error;
mod key;
pub mod pins;
mod public;
mod signer;
mod status;
mod token;

use std::{fmt, str::FromStr};

use openpgp_card::ocard::KeyType;

pub use attest::{Attestation, attest};
pub use enroll::{Algorithm, Enrolled, Enrolment, certify, enroll};
pub use error::CardError;
pub use signer::CardSigner;
pub use status::{SlotStatus, TokenStatus, Touch};
pub use token::{Plugged, Token, find, plugged};

/// Which card: its maker's number and its serial number, `0006:12345678`. Printed on most tokens, and in
/// `assay token list`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardIdent(String);

impl CardIdent {
    pub(crate) fn new(aid: &openpgp_card::ocard::data::ApplicationIdentifier) -> Self {
        Self(aid.ident())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CardIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that names no card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no token: expected the maker's four and the serial number's eight hexadecimal digits, as 0006:12345678"
)]
pub struct IdentError(String);

impl FromStr for CardIdent {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, IdentError> {
        let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match text.split_once(':') {
            Some((maker, serial)) if hex(maker, 4) && hex(serial, 8) => Ok(Self(text.to_ascii_uppercase())),
            _ => Err(IdentError(text.to_owned())),
        }
    }
}

/// A place for a key on a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Signs documents; its signatures are counted by the card.
    Sign,
    /// Decrypts. Not used here.
    Decrypt,
    /// Authenticates. Here it holds the primary key, which certifies.
    Authenticate,
}

impl Slot {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sign, Self::Decrypt, Self::Authenticate];

    /// A word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Decrypt => "decrypt",
            Self::Authenticate => "authenticate",
        }
    }

    pub(crate) const fn key_type(self) -> KeyType {
        match self {
            Self::Sign => KeyType::Signing,
            Self::Decrypt => KeyType::Decryption,
            Self::Authenticate => KeyType::Authentication,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_named_by_maker_and_serial_number() {
        assert_eq!("0006:12ab34cd".parse::<CardIdent>().unwrap().as_str(), "0006:12AB34CD");
        for wrong in [
            "",
            "12345678",
            "0006:",
            "0006:1234567",
            "0006:123456789",
            "0006:1234567g",
            "006:12345678",
        ] {
            assert!(wrong.parse::<CardIdent>().is_err(), "{wrong}");
        }
    }
}
