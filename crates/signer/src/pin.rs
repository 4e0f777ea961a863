//! Asking for a PIN and for a touch. Who asks, and where, is the caller's: [`Prompt`] is the seam.

use std::fmt;

pub use secrecy::{ExposeSecret, SecretString};

use crate::card::CardIdent;

/// Which secret is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinKind {
    /// The PIN, which signs.
    User,
    /// The admin PIN, which makes keys and unblocks.
    Admin,
    /// A new PIN.
    NewUser,
    /// A new admin PIN.
    NewAdmin,
}

impl fmt::Display for PinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "PIN",
            Self::Admin => "admin PIN",
            Self::NewUser => "new PIN",
            Self::NewAdmin => "new admin PIN",
        })
    }
}

/// A question for a PIN.
#[derive(Debug)]
pub struct PinRequest<'a> {
    /// Which.
    pub kind: PinKind,
    /// Of which token.
    pub token: &'a CardIdent,
    /// How many tries are left; `None` for a new PIN.
    pub tries: Option<u8>,
    /// What for, a line each: of a signature, everything that is going to be signed.
    pub why: &'a [String],
}

/// Why there is no PIN.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The user would not.
    #[error("no PIN was given")]
    Cancelled,
    /// There is nobody to ask.
    #[error("there is nobody to ask for the PIN: no pinentry, no terminal")]
    Nobody,
    /// The two new PINs differ.
    #[error("the two PINs differ")]
    Differ,
    /// What should have asked failed.
    #[error("{program} could not ask for the PIN: {said}")]
    Failed {
        /// The program, or where it was read from.
        program: String,
        /// What went wrong. Never what was read.
        said: String,
    },
}

impl PinError {
    /// What to do next.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Cancelled => "nothing was signed or changed; run it again",
            Self::Nobody => "run it on a terminal, install pinentry, or give the PIN by --pin-fd N",
            Self::Differ => "nothing was changed; run it again",
            Self::Failed { .. } => "try it on a terminal without pinentry, or give the PIN by --pin-fd N",
        }
    }
}

/// Who asks the user.
pub trait Prompt {
    /// Asks for a PIN. It is wiped from memory when it is dropped.
    fn pin(&self, request: &PinRequest<'_>) -> Result<SecretString, PinError>;

    /// Says that the token waits for a touch, and for how long it will.
    fn touch(&self, token: &CardIdent, seconds: u64);
}
