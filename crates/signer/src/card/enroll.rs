//! Making a person's keys on a card, and an OpenPGP certificate of them.
//!
//! The primary key, which only certifies, is made in the card's authentication slot; the key that signs, its subkey, in
//! the signature slot. Both are made on the card and cannot leave it: there is no moment at which a private key lies on a
//! computer. What that costs is said in docs/tokens.md: a lost token takes its primary key along, so there should be a
//! second token, and a person is changed in the policy by the other people of role `root`, without any lost key.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, SystemTime},
};

use attestation::{Fingerprint, Time};
use openpgp_card::ocard::{
    algorithm::AlgoSimple,
    crypto::PublicKeyMaterial,
    data::{Fingerprint as CardFingerprint, KeyGenerationTime, TouchPolicy},
};
use secrecy::SecretString;
use sequoia_openpgp::{
    Cert, Packet,
    cert::CertRevocationBuilder,
    crypto::Signer as _,
    packet::{
        Key, UserID,
        key::{PublicParts, SubordinateRole},
        signature::SignatureBuilder,
    },
    parse::Parse as _,
    serialize::SerializeInto as _,
    types::{HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType},
};

use super::{
    CardError, Slot, Token, Touch,
    key::{Asks, CardKey, Secret, verify},
    pins, public,
    token::QUICK,
};
use crate::pin::{PinKind, Prompt};

/// A card makes an RSA-4096 key in minutes.
const GENERATING: Duration = Duration::from_secs(900);

/// What kind of key is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    Ed25519,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
    /// ECDSA over NIST P-256: statements only.
    P256,
}

impl Algorithm {
    const fn on_card(self) -> AlgoSimple {
        match self {
            Self::Ed25519 => AlgoSimple::Curve25519,
            Self::Rsa2048 => AlgoSimple::RSA2k,
            Self::Rsa3072 => AlgoSimple::RSA3k,
            Self::Rsa4096 => AlgoSimple::RSA4k,
            Self::P256 => AlgoSimple::NIST256,
        }
    }
}

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// As `Alice <alice@example.org>`.
    pub user_id: String,
    /// For how long, from `at`.
    pub valid: Duration,
    /// Now.
    pub at: Time,
    /// What kind of keys.
    pub algorithm: Algorithm,
    /// Whether keys that are on the card may be destroyed.
    pub replace: bool,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The certificate, in ASCII armor.
    pub certificate: Vec<u8>,
    /// The same with a revocation of its primary key. Whoever has this file can end the certificate for good.
    pub revoked: Vec<u8>,
    /// The primary key.
    pub primary: Fingerprint,
    /// The key that signs.
    pub signing: Fingerprint,
    /// How the signing key asks for a touch now; `None` where the token cannot.
    pub touch: Option<Touch>,
}

/// Makes keys on `new`, and a certificate of them.
///
/// With `base` (a certificate, and the token that holds its primary key) the new signing key becomes one more subkey of
/// that certificate: a second token of the same person.
pub fn enroll(
    new: &RefCell<Token>,
    base: Option<(&RefCell<Token>, &[u8])>,
    enrolment: &Enrolment,
    prompt: &Arc<dyn Prompt + Send + Sync>,
) -> Result<Enrolled, CardError> {
    let (admin, pin) = {
        let token = &mut *new.borrow_mut();
        is_ready(token, enrolment)?;
        let why = ["To make new keys on it.".to_owned()];
        let admin = pins::ask(token, Secret::Admin, &**prompt, &why)?;
        pins::refuse_factory(token, PinKind::Admin, &admin)?;
        let pin = pins::ask(token, Secret::User, &**prompt, &why)?;
        pins::refuse_factory(token, PinKind::User, &pin)?;
        pins::present(token, Secret::Admin, &admin)?;
        pins::present(token, Secret::User, &pin)?;
        (admin, pin)
    };
    let primary_pin = base
        .map(|(holder, _)| {
            let why = ["To take the new token into the certificate.".to_owned()];
            let pin = pins::ask(&mut holder.borrow_mut(), Secret::User, &**prompt, &why)?;
            pins::present(&mut holder.borrow_mut(), Secret::User, &pin)?;
            Ok::<_, CardError>(pin)
        })
        .transpose()?;
    generate(&mut new.borrow_mut(), enrolment.algorithm, &admin)?;
    let made = match (base, primary_pin) {
        (Some((holder, certificate)), Some(primary_pin)) => {
            make((holder, primary_pin), (new, pin), Some(certificate), enrolment, prompt)?
        }
        _ => make((new, pin.clone()), (new, pin), None, enrolment, prompt)?,
    };
    pin_for_each_signature(&mut new.borrow_mut(), &admin)?;
    // Last: it cannot be undone, and until here every key would have wanted a finger.
    let touch = fix_touch(&mut new.borrow_mut(), &admin)?;
    Ok(Enrolled { touch, ..made })
}

/// Certifies the keys that are on a token, with no other key's help: makes a certificate of its own for a spare token, or
/// renews the one that it has.
pub fn certify(
    token: &RefCell<Token>,
    enrolment: &Enrolment,
    prompt: &Arc<dyn Prompt + Send + Sync>,
) -> Result<Enrolled, CardError> {
    let why = ["To certify the keys on it.".to_owned()];
    let pin = pins::ask(&mut token.borrow_mut(), Secret::User, &**prompt, &why)?;
    let made = make((token, pin.clone()), (token, pin), None, enrolment, prompt)?;
    let status = token.borrow_mut().status()?;
    let touch = status.slot(Slot::Sign).and_then(|slot| slot.touch);
    Ok(Enrolled { touch, ..made })
}

fn is_ready(token: &mut Token, enrolment: &Enrolment) -> Result<(), CardError> {
    let status = token.status()?;
    if let Some(flaw) = status.flaw() {
        return Err(flaw);
    }
    for slot in [Slot::Sign, Slot::Authenticate] {
        if let Some(key) = status.slot(slot).and_then(|slot| slot.key.clone())
            && !enrolment.replace
        {
            return Err(CardError::SlotTaken {
                ident: status.ident,
                slot,
                key,
            });
        }
    }
    Ok(())
}

/// The primary key first: no subkey is older than its primary key.
fn generate(token: &mut Token, algorithm: Algorithm, admin: &SecretString) -> Result<(), CardError> {
    const DOING: &str = "making keys";
    for slot in [Slot::Authenticate, Slot::Sign] {
        let admin = admin.clone();
        token.ask(GENERATING, DOING, move |ident, card| {
            let failed = |error: openpgp_card::Error| CardError::of(ident, DOING, &error);
            verify(ident, card, Secret::Admin, admin)?;
            let mut card = card.as_admin_card(None).map_err(failed)?;
            card.set_algorithm(slot.key_type(), algorithm.on_card())
                .map_err(|error| CardError::Unsupported {
                    ident: ident.clone(),
                    what: format!("{algorithm:?} keys: {error}"),
                })?;
            card.generate_key(noted_fingerprint, slot.key_type()).map_err(failed)?;
            Ok(())
        })?;
    }
    Ok(())
}

fn noted_fingerprint(
    material: &PublicKeyMaterial,
    created: KeyGenerationTime,
    _: openpgp_card::ocard::KeyType,
) -> Result<CardFingerprint, openpgp_card::Error> {
    let unsupported = || openpgp_card::Error::UnsupportedAlgo("the card made another kind of key".to_owned());
    let key = public::from_material(material, created.get()).ok_or_else(unsupported)?;
    key.fingerprint().as_bytes().try_into()
}

/// Has the card forget the PIN after each signature, so that none is made by whoever talks to it next. What we sign presents
/// the PIN each time anyway.
fn pin_for_each_signature(token: &mut Token, admin: &SecretString) -> Result<(), CardError> {
    const DOING: &str = "having it ask the PIN for each signature";
    let admin = admin.clone();
    token.ask(QUICK, DOING, move |ident, card| {
        let failed = |error: openpgp_card::Error| CardError::of(ident, DOING, &error);
        if card.pw_status_bytes().map_err(failed)?.pw1_cds_valid_once() {
            return Ok(());
        }
        verify(ident, card, Secret::Admin, admin)?;
        let mut admin_card = card.as_admin_card(None).map_err(failed)?;
        admin_card.set_user_pin_signing_validity(true).map_err(failed)?;
        card.invalidate_cache().map_err(failed)
    })
}

fn fix_touch(token: &mut Token, admin: &SecretString) -> Result<Option<Touch>, CardError> {
    const DOING: &str = "making touches necessary";
    let admin = admin.clone();
    token.ask(QUICK, DOING, move |ident, card| {
        let failed = |error: openpgp_card::Error| CardError::of(ident, DOING, &error);
        if card
            .user_interaction_flag(Slot::Sign.key_type())
            .map_err(failed)?
            .is_none()
        {
            return Ok(None);
        }
        verify(ident, card, Secret::Admin, admin)?;
        let mut admin_card = card.as_admin_card(None).map_err(failed)?;
        for slot in [Slot::Sign, Slot::Authenticate] {
            // What is fixed already cannot be set, not even to the same.
            let flag = admin_card
                .as_transaction()
                .user_interaction_flag(slot.key_type())
                .map_err(failed)?;
            if flag.is_some_and(|flag| flag.touch_policy() == TouchPolicy::Fixed) {
                continue;
            }
            admin_card
                .set_touch_policy(slot.key_type(), TouchPolicy::Fixed)
                .map_err(failed)?;
        }
        card.invalidate_cache().map_err(failed)?;
        // What the card says, not what it was told.
        let flag = card.user_interaction_flag(Slot::Sign.key_type()).map_err(failed)?;
        Ok(flag.map(Touch::from))
    })
}

type Holder<'t> = (&'t RefCell<Token>, SecretString);

fn make(
    (holder, holder_pin): Holder<'_>,
    (signer, signer_pin): Holder<'_>,
    base: Option<&[u8]>,
    enrolment: &Enrolment,
    prompt: &Asks,
) -> Result<Enrolled, CardError> {
    let mut primary = CardKey::new(holder, Slot::Authenticate, holder_pin, Arc::clone(prompt))?;
    let mut signing = CardKey::new(signer, Slot::Sign, signer_pin, Arc::clone(prompt))?;
    let primary_key = primary.public().clone().role_into_primary();
    let subkey = signing.public().clone().role_into_subordinate();
    let unnamed = || CardError::Certificate("not a version 4 key".to_owned());
    let (primary_name, signing_name) = (
        public::fingerprint(primary.public()).ok_or_else(unnamed)?,
        public::fingerprint(signing.public()).ok_or_else(unnamed)?,
    );
    let words = |error: sequoia_openpgp::anyhow::Error| CardError::Certificate(error.to_string());
    let known = base.map(Cert::from_bytes).transpose().map_err(words)?;
    if let Some(known) = &known
        && known.fingerprint() != primary_key.fingerprint()
    {
        return Err(CardError::Certificate(format!(
            "token {} holds primary key {primary_name}, the certificate's is {}",
            holder.borrow().ident(),
            known.fingerprint().to_hex().to_lowercase()
        )));
    }
    let dates = Dates::new(enrolment, [primary_key.creation_time(), subkey.creation_time()]);
    let is_new = known.is_none();
    let mut cert = match known {
        Some(known) => known,
        None => Cert::from_packets(std::iter::once(Packet::from(primary_key.clone()))).map_err(words)?,
    };
    if is_new {
        let user_id = UserID::from(enrolment.user_id.as_str());
        let binding = dates
            .builder(SignatureType::PositiveCertification)
            .and_then(|builder| builder.set_key_flags(KeyFlags::empty().set_certification()))
            .and_then(|builder| builder.set_primary_userid(true))
            .and_then(|builder| builder.set_key_validity_period(dates.since(primary_key.creation_time())))
            .and_then(|builder| builder.sign_userid_binding(&mut primary, None, &user_id));
        let binding = binding.map_err(|error| primary.failure(&error))?;
        let packets = [Packet::from(user_id), Packet::from(binding)];
        cert = cert.insert_packets(packets).map_err(words)?.0;
    }
    let binding = bind(&mut primary, &mut signing, &cert, &subkey, &dates)?;
    let packets = [Packet::from(subkey), binding];
    let cert = cert.insert_packets(packets).map_err(words)?.0;
    let revocation = CertRevocationBuilder::new()
        .set_signature_creation_time(dates.now)
        .and_then(|builder| builder.set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"token lost"))
        .and_then(|builder| builder.build(&mut primary, &cert, HashAlgorithm::SHA256));
    let revocation = revocation.map_err(|error| primary.failure(&error))?;
    let revoked = cert.clone().insert_packets(revocation).map_err(words)?.0;
    Ok(Enrolled {
        certificate: cert.armored().to_vec().map_err(words)?,
        revoked: revoked.armored().to_vec().map_err(words)?,
        primary: primary_name,
        signing: signing_name,
        touch: None,
    })
}

/// Each of the two keys says that it belongs to the other.
fn bind(
    primary: &mut CardKey<'_>,
    signing: &mut CardKey<'_>,
    cert: &Cert,
    subkey: &Key<PublicParts, SubordinateRole>,
    dates: &Dates,
) -> Result<Packet, CardError> {
    let primary_key = cert.primary_key().key();
    let back = dates
        .builder(SignatureType::PrimaryKeyBinding)
        .and_then(|builder| builder.sign_primary_key_binding(signing, primary_key, subkey));
    let back = back.map_err(|error| signing.failure(&error))?;
    let binding = dates
        .builder(SignatureType::SubkeyBinding)
        .and_then(|builder| builder.set_key_flags(KeyFlags::empty().set_signing()))
        .and_then(|builder| builder.set_key_validity_period(dates.since(subkey.creation_time())))
        .and_then(|builder| builder.set_embedded_signature(back))
        .and_then(|builder| builder.sign_subkey_binding(primary, None, subkey));
    Ok(binding.map_err(|error| primary.failure(&error))?.into())
}

/// The dates of a certificate's signatures: not before its keys were made.
struct Dates {
    now: SystemTime,
    until: SystemTime,
}

impl Dates {
    fn new(enrolment: &Enrolment, keys: [SystemTime; 2]) -> Self {
        let at = public::system_time(enrolment.at);
        let now = keys.into_iter().fold(at, SystemTime::max);
        Self {
            now,
            until: at + enrolment.valid,
        }
    }

    /// A key's validity counts from its creation.
    fn since(&self, created: SystemTime) -> Duration {
        self.until.duration_since(created).unwrap_or(Duration::from_secs(1))
    }

    fn builder(&self, kind: SignatureType) -> sequoia_openpgp::Result<SignatureBuilder> {
        SignatureBuilder::new(kind)
            .set_hash_algo(HashAlgorithm::SHA256)
            .set_signature_creation_time(self.now)
    }
}
