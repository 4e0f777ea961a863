//! What a token says of itself, without a PIN.

use attestation::{Fingerprint, Time};
use openpgp_card::ocard::data::{TouchPolicy, UserInteractionFlag};

use super::{CardError, CardIdent, Slot, Token, public, token::QUICK};

/// What a token says of itself.
#[derive(Debug, Clone)]
pub struct TokenStatus {
    /// Which it is.
    pub ident: CardIdent,
    /// The reader that it is in.
    pub reader: String,
    /// Who made it.
    pub maker: &'static str,
    /// The version of the OpenPGP card specification, as `3.4`.
    pub version: String,
    /// The firmware, where the token tells (YubiKeys do).
    pub firmware: Option<[u8; 3]>,
    /// Its slots, in the order of [`Slot::ALL`].
    pub slots: Vec<SlotStatus>,
    /// How many times the PIN may still be wrong.
    pub pin_tries: u8,
    /// The same for the admin PIN.
    pub admin_pin_tries: u8,
    /// Whether each signature needs the PIN anew.
    pub pin_for_each: bool,
    /// How many signatures the key in the sign slot has made.
    pub signatures: u32,
}

/// What a token says of one slot.
#[derive(Debug, Clone)]
pub struct SlotStatus {
    /// Which.
    pub slot: Slot,
    /// The key in it.
    pub key: Option<Fingerprint>,
    /// When the key was made, as its maker said.
    pub created: Option<Time>,
    /// What kind of key it has or would make.
    pub algorithm: String,
    /// Whether it asks for a touch; `None` where the token has no such thing.
    pub touch: Option<Touch>,
}

/// Whether a slot asks for a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Never.
    Off,
    /// For each use; the admin PIN can switch it off.
    On,
    /// For each use; only a reset, which destroys the key, switches it off.
    Fixed,
    /// For the first use within fifteen seconds; the admin PIN can switch it off.
    Cached,
    /// For the first use within fifteen seconds, until a reset.
    CachedFixed,
    /// A value that we do not know.
    Unknown(u8),
}

impl Touch {
    /// Whether the token waits for a touch.
    pub fn is_required(self) -> bool {
        self != Self::Off
    }

    /// A word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Fixed => "fixed",
            Self::Cached => "cached",
            Self::CachedFixed => "cached-fixed",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl From<UserInteractionFlag> for Touch {
    fn from(flag: UserInteractionFlag) -> Self {
        match flag.touch_policy() {
            TouchPolicy::Off => Self::Off,
            TouchPolicy::On => Self::On,
            TouchPolicy::Fixed => Self::Fixed,
            TouchPolicy::Cached => Self::Cached,
            TouchPolicy::CachedFixed => Self::CachedFixed,
            TouchPolicy::Unknown(value) => Self::Unknown(value),
        }
    }
}

/// YubiKeys answer when they are asked for their firmware; others may take it amiss and are not asked.
const YUBICO: u16 = 0x0006;

impl Token {
    /// What the token says of itself.
    pub fn status(&mut self) -> Result<TokenStatus, CardError> {
        const DOING: &str = "reading its status";
        let reader = self.reader().to_owned();
        self.ask(QUICK, DOING, move |ident, card| {
            let failed = |error: openpgp_card::Error| CardError::of(ident, DOING, &error);
            let aid = card.application_identifier().map_err(failed)?;
            let mut slots = Vec::new();
            for slot in Slot::ALL {
                let key_type = slot.key_type();
                let key = card.fingerprint(key_type).map_err(failed)?;
                let created = card.key_generation_time(key_type).map_err(failed)?;
                slots.push(SlotStatus {
                    slot,
                    key: key.and_then(|key| public::hex_fingerprint(key.as_bytes())),
                    created: created.map(|created| Time::from_unix(created.get().into())),
                    algorithm: card.algorithm_attributes(key_type).map_err(failed)?.to_string(),
                    touch: card.user_interaction_flag(key_type).map_err(failed)?.map(Touch::from),
                });
            }
            let pins = card.pw_status_bytes().map_err(failed)?;
            let firmware = if aid.manufacturer() == YUBICO {
                card.firmware_version().ok().and_then(|version| version.try_into().ok())
            } else {
                None
            };
            Ok(TokenStatus {
                ident: ident.clone(),
                reader,
                maker: aid.manufacturer_name(),
                version: format!("{}.{}", aid.version() >> 8, aid.version() & 0xff),
                firmware,
                slots,
                pin_tries: pins.err_count_pw1(),
                admin_pin_tries: pins.err_count_pw3(),
                pin_for_each: pins.pw1_cds_valid_once(),
                signatures: card.digital_signature_count().map_err(failed)?,
            })
        })
    }
}

impl TokenStatus {
    /// A slot.
    pub fn slot(&self, slot: Slot) -> Option<&SlotStatus> {
        self.slots.iter().find(|status| status.slot == slot)
    }

    /// Why this token's firmware must not be trusted with a key, if so.
    pub fn flaw(&self) -> Option<CardError> {
        let version = self.firmware?;
        // CVE-2017-15361 ("ROCA"): RSA keys made on it can be factored. It has no Ed25519 either.
        let flaw = ((4, 2, 6)..(4, 3, 5)).contains(&version.into()).then_some(
            "whose RSA keys can be computed from their public halves (CVE-2017-15361), and which has no Ed25519",
        )?;
        Some(CardError::Firmware {
            ident: self.ident.clone(),
            firmware: dotted(version),
            flaw,
        })
    }

    /// The firmware as people write it.
    pub fn firmware_text(&self) -> Option<String> {
        self.firmware.map(dotted)
    }
}

fn dotted([major, minor, patch]: [u8; 3]) -> String {
    format!("{major}.{minor}.{patch}")
}
