//! A key in a slot as sequoia's signer: every signature that a card makes for us goes through here.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, Instant},
};

use openpgp_card::{
    Card,
    ocard::{StatusBytes, crypto::SigningAlgo},
    state::Transaction,
};
use secrecy::SecretString;
use sequoia_openpgp::{
    crypto::{self, mpi},
    packet::{
        Key,
        key::{PublicParts, UnspecifiedRole},
    },
    types::HashAlgorithm,
};

use super::{
    CardError, CardIdent, Slot, Token,
    public::{self, PublicKey},
    token::QUICK,
};
use crate::pin::Prompt;

/// What tokens give a finger.
pub(super) const TOUCH_SECONDS: u64 = 15;

/// How long a signature may take: a token that waits for a touch gives up by itself.
const SIGNING: Duration = Duration::from_secs(60);

/// A refusal that comes sooner than this is not one for want of a touch.
const NO_FINGER_IS_SO_FAST: Duration = Duration::from_secs(1);

/// A prompt that several threads may use.
pub(super) type Asks = Arc<dyn Prompt + Send + Sync>;

/// A key in a slot, unlocked by a PIN.
pub(super) struct CardKey<'t> {
    token: &'t RefCell<Token>,
    slot: Slot,
    public: PublicKey,
    touch: bool,
    pin: SecretString,
    prompt: Asks,
    failure: Option<CardError>,
}

impl<'t> CardKey<'t> {
    /// The key in `slot`. The PIN is tried with the first signature.
    pub(super) fn new(
        token: &'t RefCell<Token>,
        slot: Slot,
        pin: SecretString,
        prompt: Asks,
    ) -> Result<Self, CardError> {
        const DOING: &str = "reading its public key";
        let (public, touch) = token.borrow_mut().ask(QUICK, DOING, move |ident, card| {
            let key = public::read(ident, card, slot)?;
            let flag = card.user_interaction_flag(slot.key_type());
            let flag = flag.map_err(|error| CardError::of(ident, DOING, &error))?;
            Ok((key, flag.is_some_and(|flag| flag.touch_policy().touch_required())))
        })?;
        Ok(Self {
            token,
            slot,
            public,
            touch,
            pin,
            prompt,
            failure: None,
        })
    }

    /// The key in `slot`, which must be the one that was read before: another one signs nothing, and gets no PIN.
    pub(super) fn of(
        token: &'t RefCell<Token>,
        slot: Slot,
        public: PublicKey,
        pin: SecretString,
        prompt: Asks,
    ) -> Result<Self, CardError> {
        let key = Self::new(token, slot, pin, prompt)?;
        Ok(Self { public, ..key })
    }

    /// Why the last signature failed: sequoia passes on words only. `otherwise` is its words.
    pub(super) fn failure(&mut self, otherwise: &sequoia_openpgp::anyhow::Error) -> CardError {
        self.failure
            .take()
            .unwrap_or_else(|| CardError::Certificate(otherwise.to_string()))
    }

    fn sign(&self, hash: HashAlgorithm, digest: &[u8]) -> Result<mpi::Signature, CardError> {
        let mut token = self.token.borrow_mut();
        let ident = token.ident().clone();
        let unsuitable = || CardError::Algorithm {
            ident: ident.clone(),
            algorithm: format!("{} with a digest of {} bits", self.public.pk_algo(), digest.len() * 8),
        };
        let (algorithm, data) = public::to_sign(&self.public, hash, digest).ok_or_else(unsuitable)?;
        let (slot, touch, pin, prompt) = (self.slot, self.touch, self.pin.clone(), Arc::clone(&self.prompt));
        let expected = self.public.clone();
        let raw = token.ask(SIGNING, "signing", move |ident, card| {
            // Another card with that name may be in the reader by now: it gets no PIN.
            is_still(ident, card, slot, &expected)?;
            verify(ident, card, Secret::of(slot), pin)?;
            if touch {
                prompt.touch(ident, TOUCH_SECONDS);
            }
            compute(ident, card, slot, algorithm, &data, touch)
        })?;
        public::signature(&self.public, &raw).ok_or_else(unsuitable)
    }
}

impl crypto::Signer for CardKey<'_> {
    fn public(&self) -> &Key<PublicParts, UnspecifiedRole> {
        &self.public
    }

    fn sign(&mut self, hash: HashAlgorithm, digest: &[u8]) -> sequoia_openpgp::Result<mpi::Signature> {
        CardKey::sign(self, hash, digest).map_err(|failure| {
            let words = failure.to_string();
            self.failure = Some(failure);
            sequoia_openpgp::anyhow::anyhow!(words)
        })
    }
}

/// Refuses another key than the one that the card had.
fn is_still(
    ident: &CardIdent,
    card: &mut Card<Transaction<'_>>,
    slot: Slot,
    expected: &PublicKey,
) -> Result<(), CardError> {
    let found = public::read(ident, card, slot)?;
    if found == *expected {
        return Ok(());
    }
    let name = |key: &PublicKey| public::fingerprint(key);
    match (name(expected), name(&found)) {
        (Some(expected), Some(found)) => Err(CardError::OtherKey {
            ident: ident.clone(),
            slot,
            expected,
            found,
        }),
        _ => Err(CardError::Certificate("not a version 4 key".to_owned())),
    }
}

fn compute(
    ident: &CardIdent,
    card: &mut Card<Transaction<'_>>,
    slot: Slot,
    algorithm: SigningAlgo,
    data: &[u8],
    touch: bool,
) -> Result<Vec<u8>, CardError> {
    let start = Instant::now();
    let made = match slot {
        Slot::Authenticate => card.card().authenticate_for_hash(algorithm, data),
        Slot::Sign | Slot::Decrypt => card.card().signature_for_hash(algorithm, data),
    };
    made.map_err(|error| {
        let waited = start.elapsed();
        match error {
            // The same answer as to a missing PIN, but the PIN was just taken, and this took as long as a finger does.
            openpgp_card::Error::CardStatus(
                StatusBytes::SecurityStatusNotSatisfied
                | StatusBytes::ConditionOfUseNotSatisfied
                | StatusBytes::SecurityRelatedIssues,
            ) if touch && waited >= NO_FINGER_IS_SO_FAST => CardError::NoTouch {
                ident: ident.clone(),
                waited,
            },
            error => CardError::of(ident, "signing", &error),
        }
    })
}

/// Which of a card's secrets, and for what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secret {
    /// The PIN, to sign.
    Sign,
    /// The PIN, for everything else.
    User,
    /// The admin PIN.
    Admin,
}

impl Secret {
    fn of(slot: Slot) -> Self {
        match slot {
            Slot::Sign => Self::Sign,
            Slot::Decrypt | Slot::Authenticate => Self::User,
        }
    }
}

/// Presents a PIN, once: a wrong one is never tried again by itself.
pub(super) fn verify(
    ident: &CardIdent,
    card: &mut Card<Transaction<'_>>,
    secret: Secret,
    pin: SecretString,
) -> Result<(), CardError> {
    let tried = match secret {
        Secret::Sign => card.verify_user_signing_pin(pin),
        Secret::User => card.verify_user_pin(pin),
        Secret::Admin => card.verify_admin_pin(pin),
    };
    let Err(error) = tried else { return Ok(()) };
    match error {
        openpgp_card::Error::CardStatus(
            StatusBytes::PasswordNotChecked(_)
            | StatusBytes::AuthenticationMethodBlocked
            // So say some cards when the PIN is wrong, or of a length that no PIN of theirs has.
            | StatusBytes::SecurityStatusNotSatisfied
            | StatusBytes::IncorrectParametersCommandDataField,
        ) => Err(wrong(ident, secret, tries(ident, card, secret)?)),
        error => Err(CardError::of(ident, "presenting the PIN", &error)),
    }
}

/// How many tries are left, as the card has it now.
pub(super) fn tries(ident: &CardIdent, card: &mut Card<Transaction<'_>>, secret: Secret) -> Result<u8, CardError> {
    let failed = |error: openpgp_card::Error| CardError::of(ident, "reading its PIN counters", &error);
    let data = card.card().application_related_data().map_err(failed)?;
    let pins = data.pw_status_bytes().map_err(failed)?;
    Ok(match secret {
        Secret::Admin => pins.err_count_pw3(),
        Secret::Sign | Secret::User => pins.err_count_pw1(),
    })
}

/// What it means that a PIN was not taken, or is not worth asking for.
pub(super) fn wrong(ident: &CardIdent, secret: Secret, left: u8) -> CardError {
    let ident = ident.clone();
    match (secret, left) {
        (Secret::Admin, 0) => CardError::AdminPinBlocked { ident },
        (Secret::Admin, left) => CardError::WrongAdminPin { ident, left },
        (_, 0) => CardError::PinBlocked { ident },
        (_, left) => CardError::WrongPin { ident, left },
    }
}
