//! The card as bytes in and bytes out: command chaining, GET RESPONSE (ISO 7816-4), and what is made up.

use std::{collections::VecDeque, time::Instant};

use iso7816::{Command, Instruction, Status};
use opcard::Card;

/// Room for the longest command and answer (a certificate, an RSA-4096 key).
const ROOM: usize = 7609;

/// Yubico's own instruction that asks for the firmware.
const GET_VERSION: u8 = 0xf1;

/// PERFORM SECURITY OPERATION: COMPUTE DIGITAL SIGNATURE.
const SIGN: [u8; 3] = [0x2a, 0x9e, 0x9a];

/// Yubico's own instruction that has a key attested, with its class.
const ATTEST: [u8; 2] = [0x80, 0xfb];

/// SELECT DATA: which of three certificates is meant. YubiKeys up to 5.4.3 want a form of it that opcard refuses.
const SELECT_DATA: u8 = 0xa5;

/// GET DATA of the cardholder's certificate, where the token puts its statement, and of the certificate that signed it.
const GET_STATEMENT: [u8; 4] = [0x00, 0xca, 0x7f, 0x21];
const GET_DEVICE: [u8; 4] = [0x00, 0xca, 0x00, 0xfc];

/// A card that says it is a YubiKey.
#[derive(Debug, Clone)]
pub(crate) struct Disguise {
    /// The firmware.
    pub(crate) version: [u8; 3],
    /// What it attests of its signing key: the statement, and the certificate of the key that signed it, in DER. They are
    /// somebody's who knows the card's key; opcard has no attestation of its own.
    pub(crate) attestation: Option<[Vec<u8>; 2]>,
}

/// opcard behind the transport layer.
pub(crate) struct VirtualCard<T: opcard::Client> {
    card: Card<T>,
    disguise: Option<Disguise>,
    trace: bool,
    /// Of a chain of commands, what came so far.
    pending: Option<Command<ROOM>>,
    /// Of an answer, what was not fetched yet.
    rest: VecDeque<u8>,
    /// Whether it was asked to attest its key since it was plugged in.
    attested: bool,
}

impl<T: opcard::Client> VirtualCard<T> {
    pub(crate) fn new(card: Card<T>, disguise: Option<Disguise>, trace: bool) -> Self {
        Self {
            card,
            disguise,
            trace,
            pending: None,
            rest: VecDeque::new(),
            attested: false,
        }
    }

    /// Whether these bytes ask for a signature.
    pub(crate) fn is_signature(command: &[u8]) -> bool {
        command.get(1..4) == Some(&SIGN)
    }

    pub(crate) fn reset(&mut self) {
        self.pending = None;
        self.rest.clear();
        self.card.reset();
    }

    /// The answer to a command, with its status.
    pub(crate) fn execute(&mut self, command: &[u8]) -> Vec<u8> {
        let start = Instant::now();
        let answer = self.answer(command).unwrap_or_else(|status| {
            let status: [u8; 2] = status.into();
            status.to_vec()
        });
        if self.trace {
            // The header only: what follows may be a PIN.
            eprintln!(
                "virtual-card: {:02x?} ({} bytes) -> {:02x?} ({} bytes), {:?}",
                &command[..command.len().min(4)],
                command.len(),
                &answer[answer.len().saturating_sub(2)..],
                answer.len(),
                start.elapsed()
            );
        }
        answer
    }

    fn answer(&mut self, raw: &[u8]) -> Result<Vec<u8>, Status> {
        if let (Some(disguise), Some(&GET_VERSION)) = (&self.disguise, raw.get(1)) {
            return Ok([&disguise.version[..], &[0x90, 0x00]].concat());
        }
        let made_up = self.attestation(raw);
        let command = Command::<ROOM>::try_from(raw).map_err(|_| Status::WrongLength)?;
        let wanted = command.expected();
        if command.instruction() != Instruction::GetResponse {
            let is_last = command.class().chain().last_or_only();
            let whole = match self.pending.take() {
                Some(mut begun) => {
                    begun.extend_from_command(&command).map_err(|_| Status::WrongLength)?;
                    begun
                }
                None => command,
            };
            if !is_last {
                self.pending = Some(whole);
                return Ok(vec![0x90, 0x00]);
            }
            self.rest.clear();
            if let Some(made_up) = made_up {
                self.rest.extend(made_up);
            } else {
                let mut answer: heapless::Vec<u8, ROOM> = heapless::Vec::new();
                self.card.handle(whole.as_view(), &mut answer)?;
                self.rest.extend(answer.iter());
            }
        }
        let now = wanted.min(self.rest.len());
        let mut answer: Vec<u8> = self.rest.drain(..now).collect();
        answer.extend(match self.rest.len() {
            0 => [0x90, 0x00],
            more => [0x61, u8::try_from(more).unwrap_or(u8::MAX)],
        });
        Ok(answer)
    }

    /// What a token with attestation answers, where it is not what opcard does.
    fn attestation(&mut self, raw: &[u8]) -> Option<Vec<u8>> {
        let [statement, device] = self.disguise.as_ref()?.attestation.as_ref()?;
        if raw.starts_with(&ATTEST) {
            self.attested = true;
            return Some(Vec::new());
        }
        if raw.get(1) == Some(&SELECT_DATA) {
            return Some(Vec::new());
        }
        match raw.get(..4)? {
            head if head == GET_STATEMENT && self.attested => Some(statement.clone()),
            head if head == GET_DEVICE => Some(device.clone()),
            _ => None,
        }
    }
}
