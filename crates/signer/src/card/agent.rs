//! A card that gpg's scdaemon holds for itself, reached through the user's gpg-agent.
//!
//! What is read from it are the same commands as over PC/SC, passed on by scdaemon. Its signatures are asked of scdaemon,
//! so that the PIN is between the user's gpg-agent and pinentry, as it always is with gpg.

use std::{os::unix::net::UnixStream, path::Path, sync::Mutex, time::Duration};

use attestation::Fingerprint;
use card_backend::{CardBackend, CardCaps, CardTransaction, PinType, SmartcardError};
use openpgp_card::{Card, state::Open};

use super::{CardError, CardIdent};
use crate::assuan::{Assuan, AssuanError};

/// A pinentry waits for its user; nothing else takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Half of what fits into a line of Assuan.
const LONGEST_COMMAND: usize = 400;

type Connection = Assuan<UnixStream, UnixStream>;

/// libgpg-error's numbers.
const CANCELLED: u32 = 99;
const BAD_PIN: u32 = 87;
const PIN_BLOCKED: u32 = 130;

fn connect(socket: &Path) -> Result<Connection, AssuanError> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Assuan::new(stream.try_clone()?, stream)
}

/// The card that scdaemon holds, if it holds an OpenPGP card. An agent that does not run is not started.
pub(super) fn open(socket: &Path) -> Option<Card<Open>> {
    let mut connection = connect(socket).ok()?;
    connection.ask("SCD SERIALNO openpgp").ok()?;
    let backend: Box<dyn CardBackend + Send + Sync> = Box::new(ScdBackend(Mutex::new(connection)));
    Card::new(backend).ok()
}

struct ScdBackend(Mutex<Connection>);

impl CardBackend for ScdBackend {
    fn limit_card_caps(&self, caps: CardCaps) -> CardCaps {
        CardCaps::new(
            false,
            caps.chaining_support(),
            255,
            255,
            caps.pw1_max_len(),
            caps.pw3_max_len(),
        )
    }

    fn transaction(
        &mut self,
        reselect: Option<&[u8]>,
    ) -> Result<Box<dyn CardTransaction + Send + Sync + '_>, SmartcardError> {
        // scdaemon may have used another application since.
        let mut transaction = ScdTransaction(&self.0);
        if let Some(application) = reselect {
            transaction.select(application)?;
        }
        Ok(Box::new(transaction))
    }
}

struct ScdTransaction<'b>(&'b Mutex<Connection>);

impl CardTransaction for ScdTransaction<'_> {
    fn transmit(&mut self, command: &[u8], _: usize) -> Result<Vec<u8>, SmartcardError> {
        let failed = |said: String| SmartcardError::Error(said);
        let mut connection = self.0.lock().map_err(|error| failed(error.to_string()))?;
        let hex = data_encoding::HEXUPPER.encode(command);
        let answer = connection
            .ask(&format!("SCD APDU {hex}"))
            .map_err(|error| failed(error.to_string()))?;
        Ok(answer.data.to_vec())
    }

    fn max_cmd_len(&self) -> Option<usize> {
        Some(LONGEST_COMMAND)
    }

    fn feature_pinpad_verify(&self) -> bool {
        false
    }

    fn feature_pinpad_modify(&self) -> bool {
        false
    }

    fn pinpad_verify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        Err(SmartcardError::Error("no pin pad".to_owned()))
    }

    fn pinpad_modify(&mut self, _: PinType, _: &Option<CardCaps>) -> Result<Vec<u8>, SmartcardError> {
        Err(SmartcardError::Error("no pin pad".to_owned()))
    }

    fn was_reset(&self) -> bool {
        false
    }
}

/// A signature by scdaemon over a SHA-256 digest, by exactly this key of exactly this card.
pub(super) fn sign(socket: &Path, ident: &CardIdent, key: &Fingerprint, digest: &[u8]) -> Result<Vec<u8>, CardError> {
    const DOING: &str = "signing through gpg-agent";
    let failed = |error: AssuanError| match error.code() {
        Some(CANCELLED) => CardError::Pin(crate::pin::PinError::Cancelled),
        Some(PIN_BLOCKED) => CardError::PinBlocked { ident: ident.clone() },
        Some(BAD_PIN) => CardError::Failed {
            ident: ident.clone(),
            doing: DOING,
            said: "wrong PIN".to_owned(),
        },
        _ => CardError::Failed {
            ident: ident.clone(),
            doing: DOING,
            said: error.to_string(),
        },
    };
    let mut agent = connect(socket).map_err(failed)?;
    let answer = agent.ask("SCD SERIALNO openpgp").map_err(failed)?;
    let serial = answer.status.iter().find_map(|line| line.strip_prefix("SERIALNO "));
    let serial = serial
        .and_then(|line| line.split_whitespace().next())
        .unwrap_or_default()
        .to_owned();
    let hex = data_encoding::HEXUPPER.encode(digest);
    agent.ask(&format!("SCD SETDATA {hex}")).map_err(failed)?;
    let answer = agent
        .ask(&format!(
            "SCD PKSIGN --hash=sha256 {serial}/{}",
            key.as_str().to_ascii_uppercase()
        ))
        .map_err(failed)?;
    Ok(answer.data.to_vec())
}
