//! Why a token does nothing, and what to do about it.

use std::time::Duration;

use attestation::Fingerprint;
use openpgp_card::ocard::StatusBytes;

use super::{CardIdent, Slot};

/// Why a token did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// No pcscd.
    #[error("the reader service (pcscd) does not answer: {said}")]
    NoService {
        /// Its words, or the library's.
        said: String,
    },
    /// pcscd runs, and lets us not in.
    #[error("the reader service (pcscd) does not let this user in")]
    NoPermission,
    /// Nothing is plugged in.
    #[error("no token is plugged in")]
    NoToken,
    /// Several are, and none was named.
    #[error("{} tokens are plugged in, and none was named: {}", .found.len(), list(.found))]
    WhichToken {
        /// Those that are plugged in.
        found: Vec<CardIdent>,
    },
    /// Another one is.
    #[error("token {wanted} is not plugged in; there is {}", list(.found))]
    OtherToken {
        /// The one that was asked for.
        wanted: CardIdent,
        /// Those that are plugged in.
        found: Vec<CardIdent>,
    },
    /// Another program holds the card for itself.
    #[error("the card in {reader:?} is held by another program, alone (most often gpg's scdaemon)")]
    Held {
        /// The reader.
        reader: String,
    },
    /// A card without the OpenPGP application.
    #[error("the card in {reader:?} does not answer as an OpenPGP card: {said}")]
    NotOpenPgp {
        /// The reader.
        reader: String,
        /// What it said.
        said: String,
    },
    /// There is no key.
    #[error("token {ident} has no key in its {slot} slot")]
    EmptySlot {
        /// The token.
        ident: CardIdent,
        /// The slot.
        slot: Slot,
    },
    /// There is a key already.
    #[error("token {ident} has a key in its {slot} slot already: {key}")]
    SlotTaken {
        /// The token.
        ident: CardIdent,
        /// The slot.
        slot: Slot,
        /// The key.
        key: Fingerprint,
    },
    /// The fingerprint is a note on the card that anybody with the admin PIN can write.
    #[error("token {ident} notes fingerprint {noted} for the key in its {slot} slot, whose fingerprint is {computed}")]
    NotedFingerprint {
        /// The token.
        ident: CardIdent,
        /// The slot.
        slot: Slot,
        /// What is noted.
        noted: Fingerprint,
        /// What follows from the key and its creation time.
        computed: Fingerprint,
    },
    /// It was another key when the token was opened: somebody has put another card in.
    #[error("token {ident} has another key in its {slot} slot than before: {found}, it was {expected}")]
    OtherKey {
        /// The token.
        ident: CardIdent,
        /// The slot.
        slot: Slot,
        /// The key that was there.
        expected: Fingerprint,
        /// The key that is there now.
        found: Fingerprint,
    },
    /// A key that signs nothing of ours.
    #[error(
        "token {ident} has a key that signs nothing here: {algorithm}; needed is Ed25519, RSA of 2048 to 4096 bits, or (for statements only) P-256"
    )]
    Algorithm {
        /// The token.
        ident: CardIdent,
        /// What it is.
        algorithm: String,
    },
    /// Firmware whose keys are weak.
    #[error("token {ident} has firmware {firmware}, {flaw}")]
    Firmware {
        /// The token.
        ident: CardIdent,
        /// The firmware.
        firmware: String,
        /// What is wrong with it.
        flaw: &'static str,
    },
    /// The PIN was wrong.
    #[error("wrong PIN for token {ident}: {left} tries are left")]
    WrongPin {
        /// The token.
        ident: CardIdent,
        /// How many more times it may be wrong.
        left: u8,
    },
    /// The admin PIN was wrong.
    #[error("wrong admin PIN for token {ident}: {left} tries are left")]
    WrongAdminPin {
        /// The token.
        ident: CardIdent,
        /// How many more times it may be wrong.
        left: u8,
    },
    /// The PIN was wrong too often.
    #[error("the PIN of token {ident} is blocked: it was wrong too often")]
    PinBlocked {
        /// The token.
        ident: CardIdent,
    },
    /// The admin PIN was wrong too often.
    #[error("the admin PIN of token {ident} is blocked: it was wrong too often")]
    AdminPinBlocked {
        /// The token.
        ident: CardIdent,
    },
    /// The PIN that every token leaves the factory with.
    #[error("token {ident} still has the {which} that it left the factory with")]
    FactoryPin {
        /// The token.
        ident: CardIdent,
        /// `PIN` or `admin PIN`.
        which: &'static str,
    },
    /// A new PIN that the card cannot take.
    #[error("the new {which} has {found} characters, at least {least} are needed")]
    ShortPin {
        /// `PIN` or `admin PIN`.
        which: &'static str,
        /// How many.
        found: usize,
        /// The least.
        least: usize,
    },
    /// Nobody touched it.
    #[error("token {ident} was not touched within {} seconds", .waited.as_secs())]
    NoTouch {
        /// The token.
        ident: CardIdent,
        /// How long it waited.
        waited: Duration,
    },
    /// It was pulled out, or lost its contact.
    #[error("token {ident} was removed while {doing}")]
    Removed {
        /// The token.
        ident: CardIdent,
        /// What was being done.
        doing: &'static str,
    },
    /// Neither answer nor error.
    #[error("token {ident} did not answer within {} seconds while {doing}", .limit.as_secs())]
    Hangs {
        /// The token.
        ident: CardIdent,
        /// What was being done.
        doing: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// The token has no such feature.
    #[error("token {ident} cannot do it: {what}")]
    Unsupported {
        /// The token.
        ident: CardIdent,
        /// What.
        what: String,
    },
    /// Another answer than expected.
    #[error("token {ident} failed while {doing}: {said}")]
    Failed {
        /// The token.
        ident: CardIdent,
        /// What was being done.
        doing: &'static str,
        /// Its words.
        said: String,
    },
    /// There was no PIN to be had.
    #[error(transparent)]
    Pin(#[from] crate::pin::PinError),
    /// What should have been made of the token's signatures.
    #[error("no certificate could be made: {0}")]
    Certificate(String),
}

fn list(found: &[CardIdent]) -> String {
    match found {
        [] => "none".to_owned(),
        some => some.iter().map(CardIdent::as_str).collect::<Vec<_>>().join(", "),
    }
}

impl CardError {
    /// What to do next.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoService { .. } => {
                "start it: systemctl start pcscd.socket (Debian: apt-get install pcscd; NixOS: services.pcscd.enable = true)".to_owned()
            }
            Self::NoPermission => {
                "polkit decides who may use it: log in at this machine's own seat, or allow the action \
                 org.debian.pcsc-lite.access_pcsc for this user. If its socket itself is closed to you: systemctl start \
                 pcscd.socket makes it for all users"
                    .to_owned()
            }
            Self::NoToken => "plug it in; then assay token doctor says more".to_owned(),
            Self::WhichToken { found } => format!("name one: --card {}", found.first().map_or("IDENT", CardIdent::as_str)),
            Self::OtherToken { wanted, .. } => format!(
                "plug in {wanted}, or say that you use another one: assay init --key card:IDENT (assay token list)"
            ),
            Self::Held { .. } => {
                "let it go: gpgconf --kill scdaemon; to share it for good: echo pcsc-shared >> ~/.gnupg/scdaemon.conf. \
                 Or sign through gpg: assay init --key gpg:FINGERPRINT"
                    .to_owned()
            }
            Self::NotOpenPgp { .. } => "use a token with the OpenPGP application (YubiKey 5, Nitrokey, Gnuk)".to_owned(),
            Self::EmptySlot { ident, .. } => format!("make keys on it: assay token enroll --card {ident} --name NAME"),
            Self::SlotTaken { .. } => {
                "nothing was changed. If the keys on it are yours and in use: assay token rotate makes a certificate of \
                 them. If they are of no use to anybody: enroll with --replace"
                    .to_owned()
            }
            Self::NotedFingerprint { .. } => {
                "do not use this token before you know who wrote that note; gpg --card-status shows it".to_owned()
            }
            Self::OtherKey { .. } => {
                "nothing was signed, and no PIN was given to it. Whose token is that? assay token status".to_owned()
            }
            Self::Algorithm { .. } => {
                "make another key on it: assay token enroll --algorithm ed25519 (or rsa2048, rsa3072, rsa4096)".to_owned()
            }
            Self::Firmware { .. } => "firmware of a token cannot be changed: use another one".to_owned(),
            Self::WrongPin { ident, left } => {
                format!("the counter goes back to three with the right PIN; {left} more wrong ones block it \
                         (then: assay token pin --unblock --card {ident})")
            }
            Self::WrongAdminPin { left, .. } => format!(
                "think before you try again: after {left} more the token can only be reset, which destroys its keys"
            ),
            Self::PinBlocked { ident } => format!("assay token pin --unblock --card {ident} (it asks the admin PIN)"),
            Self::AdminPinBlocked { .. } => {
                "the keys still sign with the PIN; what needs the admin PIN needs a reset, which destroys the keys. Have \
                 your other token at hand first"
                    .to_owned()
            }
            Self::FactoryPin { ident, which } => format!(
                "change it first: assay token pin --card {ident}{}",
                if *which == "PIN" { "" } else { " --admin" }
            ),
            Self::ShortPin { .. } => "choose a longer one".to_owned(),
            Self::NoTouch { .. } => "nothing was signed; run it again and touch the token when it blinks".to_owned(),
            Self::Removed { .. } => {
                "plug it in and run it again; what was signed before is kept, and nothing is signed twice".to_owned()
            }
            Self::Hangs { .. } => "pull it out and plug it in; if that does not help: systemctl restart pcscd".to_owned(),
            Self::Unsupported { .. } => "assay token status says what it has".to_owned(),
            Self::Failed { .. } => "assay token doctor".to_owned(),
            Self::Pin(error) => error.remedy().to_owned(),
            Self::Certificate(_) => "assay token doctor".to_owned(),
        }
    }

    /// A stable word for `--format json`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoService { .. } => "no-service",
            Self::NoPermission => "no-permission",
            Self::NoToken => "no-token",
            Self::WhichToken { .. } => "which-token",
            Self::OtherToken { .. } => "other-token",
            Self::Held { .. } => "held",
            Self::NotOpenPgp { .. } => "not-openpgp",
            Self::EmptySlot { .. } => "empty-slot",
            Self::SlotTaken { .. } => "slot-taken",
            Self::NotedFingerprint { .. } => "noted-fingerprint",
            Self::OtherKey { .. } => "other-key",
            Self::Algorithm { .. } => "algorithm",
            Self::Firmware { .. } => "firmware",
            Self::WrongPin { .. } => "wrong-pin",
            Self::WrongAdminPin { .. } => "wrong-admin-pin",
            Self::PinBlocked { .. } => "pin-blocked",
            Self::AdminPinBlocked { .. } => "admin-pin-blocked",
            Self::FactoryPin { .. } => "factory-pin",
            Self::ShortPin { .. } => "short-pin",
            Self::NoTouch { .. } => "no-touch",
            Self::Removed { .. } => "removed",
            Self::Hangs { .. } => "hangs",
            Self::Unsupported { .. } => "unsupported",
            Self::Failed { .. } => "failed",
            Self::Pin(_) => "no-pin",
            Self::Certificate(_) => "certificate",
        }
    }

    /// What a card's error means where nothing more is known.
    pub(crate) fn of(ident: &CardIdent, doing: &'static str, error: &openpgp_card::Error) -> Self {
        use openpgp_card::Error;
        match error {
            Error::Smartcard(_) | Error::ResponseLength(_) => Self::Removed {
                ident: ident.clone(),
                doing,
            },
            Error::CardStatus(StatusBytes::FileOrApplicationNotFound) => Self::Unsupported {
                ident: ident.clone(),
                what: error.to_string(),
            },
            _ => Self::Failed {
                ident: ident.clone(),
                doing,
                said: error.to_string(),
            },
        }
    }
}
