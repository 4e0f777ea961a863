//! Having a token attest that it made its signing key (YubiKey 5.2 and later).

use std::sync::Arc;

use attestation::Fingerprint;
use data_encoding::BASE64;

use super::{
    CardError, Slot, Token,
    key::{Secret, TOUCH_SECONDS, verify},
    pins, public,
    token::QUICK,
};
use crate::pin::Prompt;

/// What the token attests.
#[derive(Debug, Clone)]
pub struct Attestation {
    /// The signing key.
    pub key: Fingerprint,
    /// The token's statement and the certificate of the key that signed it, in PEM. The maker's certificates are not on
    /// the token.
    pub chain: Vec<u8>,
}

/// The certificate slots of a card are numbered the other way round (OpenPGP card 3.4, section 4.2.6.2).
const CERTIFICATE_OF_SIGNING_KEY: u8 = 2;
const CARDHOLDER_CERTIFICATE: [u8; 2] = [0x7f, 0x21];

/// Has the token attest its signing key. Overwrites what is in the certificate slot of that key.
pub fn attest(token: &mut Token, prompt: Arc<dyn Prompt + Send + Sync>) -> Result<Attestation, CardError> {
    const DOING: &str = "attesting its signing key";
    let status = token.status()?;
    // Asked before a PIN is: an instruction of one maker's.
    if status.firmware.is_none_or(|version| version < [5, 2, 0]) {
        return Err(CardError::Unsupported {
            ident: status.ident,
            what: "it has no attestation (YubiKeys of firmware 5.2 and later have); let two others witness the key: assay \
                   token witness"
                .to_owned(),
        });
    }
    let pin = pins::ask(
        token,
        Secret::Sign,
        &*prompt,
        &["To have it attest its signing key.".to_owned()],
    )?;
    let (key, certificates) = token.ask(QUICK * 3, DOING, move |ident, card| {
        let failed = |error: openpgp_card::Error| CardError::of(ident, DOING, &error);
        let key = public::read(ident, card, Slot::Sign)?;
        verify(ident, card, Secret::Sign, pin)?;
        prompt.touch(ident, TOUCH_SECONDS);
        card.card()
            .generate_attestation(Slot::Sign.key_type())
            .map_err(failed)?;
        card.select_data(CERTIFICATE_OF_SIGNING_KEY, &CARDHOLDER_CERTIFICATE)
            .map_err(failed)?;
        let statement = card.cardholder_certificate().map_err(failed)?;
        let own = card.attestation_certificate().map_err(failed)?;
        Ok((public::fingerprint(&key), [statement, own]))
    })?;
    let key = key.ok_or_else(|| CardError::Certificate("not a version 4 key".to_owned()))?;
    Ok(Attestation {
        key,
        chain: certificates.iter().map(|der| pem(der)).collect::<String>().into_bytes(),
    })
}

fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + "-----END CERTIFICATE-----\n"
}
