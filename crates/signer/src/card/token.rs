//! Finding cards, and asking them things.

use std::{
    ffi::CStr,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use card_backend::SmartcardError;
use card_backend_pcsc::PcscBackend;
use openpgp_card::{
    Card,
    state::{Open, Transaction},
};
use pcsc::{Context, ReaderState, Scope, ShareMode, State};

use super::{CardError, CardIdent, agent};

/// How long a card may take that needs no finger. Generating RSA-4096 on one takes minutes.
pub(super) const QUICK: Duration = Duration::from_secs(20);

/// What is in a reader.
pub struct Plugged {
    /// The reader.
    pub reader: String,
    /// The card in it, if it is one that we can talk to.
    pub token: Result<Token, CardError>,
}

/// Every card that is plugged in, in the order of the readers. A card that gpg holds for itself is reached through the
/// gpg-agent that listens on `agent`.
pub fn plugged(agent: Option<&Path>) -> Result<Vec<Plugged>, CardError> {
    let (send, receive) = mpsc::channel();
    let agent = agent.map(Path::to_owned);
    thread::spawn(move || {
        // Nobody listens any more once the time is over.
        let _ = send.send(look(agent.as_deref()));
    });
    receive.recv_timeout(QUICK).unwrap_or_else(|_| {
        Err(CardError::NoService {
            said: format!("no answer within {} seconds", QUICK.as_secs()),
        })
    })
}

/// The token of that name; without a name the only one.
pub fn find(wanted: Option<&CardIdent>, agent: Option<&Path>) -> Result<Token, CardError> {
    let (mut tokens, mut problems) = (Vec::new(), Vec::new());
    for plugged in plugged(agent)? {
        match plugged.token {
            Ok(token) => tokens.push(token),
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(wanted) = wanted {
        if let Some(at) = tokens.iter().position(|token| token.ident() == wanted) {
            return Ok(tokens.swap_remove(at));
        }
        let held = problems
            .into_iter()
            .find(|problem| matches!(problem, CardError::Held { .. }));
        return Err(match (held, tokens.is_empty()) {
            (Some(held), _) => held,
            (None, true) => CardError::NoToken,
            (None, false) => CardError::OtherToken {
                wanted: wanted.clone(),
                found: tokens.into_iter().map(|token| token.ident).collect(),
            },
        });
    }
    match tokens.len() {
        0 => Err(problems.into_iter().next().unwrap_or(CardError::NoToken)),
        1 => Ok(tokens.swap_remove(0)),
        _ => Err(CardError::WhichToken {
            found: tokens.into_iter().map(|token| token.ident).collect(),
        }),
    }
}

fn look(agent: Option<&Path>) -> Result<Vec<Plugged>, CardError> {
    let context = Context::establish(Scope::User).map_err(|error| service(&error))?;
    let readers = match context.list_readers_owned() {
        Ok(readers) => readers,
        Err(pcsc::Error::NoReadersAvailable) => Vec::new(),
        Err(error) => return Err(service(&error)),
    };
    let mut found = Vec::new();
    for reader in readers {
        let mut states = [ReaderState::new(reader.as_c_str(), State::UNAWARE)];
        // A reader that goes away meanwhile has no card.
        if context.get_status_change(Duration::ZERO, &mut states).is_err() {
            continue;
        }
        let state = states[0].event_state();
        if state.contains(State::PRESENT) {
            let name = reader.to_string_lossy().into_owned();
            let mut token = open(&context, &reader, &name, state);
            if let (Err(CardError::Held { .. }), Some(socket)) = (&token, agent)
                && let Some(card) = agent::open(socket)
            {
                token = Token::new(card, name.clone()).map(|token| token.through(socket));
            }
            // Present a moment ago, and gone by now.
            if !matches!(token, Err(CardError::NoToken)) {
                found.push(Plugged { reader: name, token });
            }
        }
    }
    Ok(found)
}

fn open(context: &Context, reader: &CStr, name: &str, state: State) -> Result<Token, CardError> {
    let held = || CardError::Held {
        reader: name.to_owned(),
    };
    if state.contains(State::EXCLUSIVE) {
        return Err(held());
    }
    let not_openpgp = |said: String| CardError::NotOpenPgp {
        reader: name.to_owned(),
        said,
    };
    let mode = ShareMode::Shared;
    let card = context
        .connect(reader, mode, pcsc::Protocols::ANY)
        .map_err(|error| match error {
            pcsc::Error::SharingViolation => held(),
            error => not_openpgp(error.to_string()),
        })?;
    let backend = PcscBackend::from_pcsc_card(reader, mode, card).map_err(|error| not_openpgp(error.to_string()))?;
    let card = Card::<Open>::new(backend).map_err(|error| match error {
        openpgp_card::Error::Smartcard(SmartcardError::NotTransacted) => CardError::NoToken,
        error => not_openpgp(error.to_string()),
    })?;
    Token::new(card, name.to_owned())
}

fn service(error: &pcsc::Error) -> CardError {
    match error {
        pcsc::Error::SecurityViolation => CardError::NoPermission,
        error => CardError::NoService {
            said: error.to_string(),
        },
    }
}

/// A card that is plugged in.
pub struct Token {
    ident: CardIdent,
    reader: String,
    /// The gpg-agent through which it is reached, where gpg holds it.
    agent: Option<PathBuf>,
    /// Away while something is being asked, and for good when no answer came in time.
    card: Option<Card<Open>>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({})", self.ident)
    }
}

impl Token {
    fn new(mut card: Card<Open>, reader: String) -> Result<Self, CardError> {
        let ident = {
            let transaction = card.transaction();
            let aid = transaction.and_then(|transaction| transaction.application_identifier());
            CardIdent::new(&aid.map_err(|error| CardError::NotOpenPgp {
                reader: reader.clone(),
                said: error.to_string(),
            })?)
        };
        Ok(Self {
            ident,
            reader,
            agent: None,
            card: Some(card),
        })
    }

    fn through(mut self, agent: &Path) -> Self {
        self.agent = Some(agent.to_owned());
        self
    }

    /// The gpg-agent through which it is reached, where gpg holds it for itself.
    pub fn agent(&self) -> Option<&Path> {
        self.agent.as_deref()
    }

    /// Refuses what a card that gpg holds does not do for us: everything that needs a PIN but signing.
    pub(super) fn ours_alone(&self) -> Result<(), CardError> {
        match self.agent {
            None => Ok(()),
            Some(_) => Err(CardError::Held {
                reader: self.reader.clone(),
            }),
        }
    }

    /// Which it is.
    pub fn ident(&self) -> &CardIdent {
        &self.ident
    }

    /// The reader that it is in.
    pub fn reader(&self) -> &str {
        &self.reader
    }

    /// Asks something within a time limit, in one transaction, of the card that it was.
    pub(super) fn ask<T: Send + 'static>(
        &mut self,
        limit: Duration,
        doing: &'static str,
        question: impl FnOnce(&CardIdent, &mut Card<Transaction<'_>>) -> Result<T, CardError> + Send + 'static,
    ) -> Result<T, CardError> {
        let ident = self.ident.clone();
        let gone = || CardError::Removed {
            ident: ident.clone(),
            doing,
        };
        let mut card = self.card.take().ok_or_else(gone)?;
        let (send, receive) = mpsc::channel();
        let asked = ident.clone();
        thread::spawn(move || {
            let answer = in_transaction(&mut card, &asked, doing, question);
            // Nobody listens any more once the time is over.
            let _ = send.send((card, answer));
        });
        let Ok((card, answer)) = receive.recv_timeout(limit) else {
            return Err(CardError::Hangs { ident, doing, limit });
        };
        self.card = Some(card);
        answer
    }
}

fn in_transaction<T>(
    card: &mut Card<Open>,
    ident: &CardIdent,
    doing: &'static str,
    question: impl FnOnce(&CardIdent, &mut Card<Transaction<'_>>) -> Result<T, CardError>,
) -> Result<T, CardError> {
    let failed = |error: openpgp_card::Error| CardError::of(ident, doing, &error);
    let mut transaction = card.transaction().map_err(failed)?;
    // The library remembers which card it was; the reader may hold another one by now.
    let data = transaction.card().application_related_data().map_err(failed)?;
    let now = CardIdent::new(&data.application_id().map_err(failed)?);
    if now != *ident {
        return Err(CardError::OtherToken {
            wanted: ident.clone(),
            found: vec![now],
        });
    }
    question(ident, &mut transaction)
}
