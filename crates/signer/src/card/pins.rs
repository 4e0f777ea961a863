//! Asking for PINs, and changing them.

use secrecy::{ExposeSecret as _, SecretString};

use super::{
    CardError, Token,
    key::{Secret, tries, verify, wrong},
    token::QUICK,
};
use crate::pin::{PinError, PinKind, PinRequest, Prompt};

/// What every token leaves the factory with (OpenPGP card 3.4, section 4.2).
const FACTORY: [(PinKind, &str); 2] = [(PinKind::User, "123456"), (PinKind::Admin, "12345678")];

/// The least that the specification has for a PIN and an admin PIN.
const LEAST: [usize; 2] = [6, 8];

/// Asks for a PIN, unless it is blocked. `why` is what is shown with the question.
pub(super) fn ask(
    token: &mut Token,
    secret: Secret,
    prompt: &dyn Prompt,
    why: &[String],
) -> Result<SecretString, CardError> {
    token.ours_alone()?;
    let left = token.ask(QUICK, "reading its PIN counters", move |ident, card| {
        tries(ident, card, secret)
    })?;
    if left == 0 {
        return Err(wrong(token.ident(), secret, left));
    }
    Ok(prompt.pin(&PinRequest {
        kind: if secret == Secret::Admin {
            PinKind::Admin
        } else {
            PinKind::User
        },
        token: token.ident(),
        tries: Some(left),
        why,
    })?)
}

/// Refuses a PIN that everybody knows.
pub(super) fn refuse_factory(token: &Token, kind: PinKind, pin: &SecretString) -> Result<(), CardError> {
    let known = FACTORY
        .iter()
        .any(|(of, text)| *of == kind && *text == pin.expose_secret());
    if !known {
        return Ok(());
    }
    Err(CardError::FactoryPin {
        ident: token.ident().clone(),
        which: if kind == PinKind::Admin { "admin PIN" } else { "PIN" },
    })
}

/// Presents a PIN and nothing else: a wrong one is found out before anything is changed.
pub(super) fn present(token: &mut Token, secret: Secret, pin: &SecretString) -> Result<(), CardError> {
    let pin = pin.clone();
    token.ask(QUICK, "presenting the PIN", move |ident, card| {
        verify(ident, card, secret, pin)
    })
}

/// Changes the PIN, or the admin PIN.
pub fn change(token: &mut Token, admin: bool, prompt: &dyn Prompt) -> Result<(), CardError> {
    const DOING: &str = "changing the PIN";
    let (secret, new) = if admin {
        (Secret::Admin, PinKind::NewAdmin)
    } else {
        (Secret::User, PinKind::NewUser)
    };
    let why = [format!("To change the {}.", if admin { "admin PIN" } else { "PIN" })];
    let old = ask(token, secret, prompt, &why)?;
    present(token, secret, &old)?;
    let new = new_pin(token, new, prompt)?;
    token.ask(QUICK, DOING, move |ident, card| {
        let changed = if admin {
            card.change_admin_pin(old, new)
        } else {
            card.change_user_pin(old, new)
        };
        changed.map_err(|error| CardError::of(ident, DOING, &error))
    })
}

/// Gives a blocked PIN a new value, by the admin PIN.
pub fn unblock(token: &mut Token, prompt: &dyn Prompt) -> Result<(), CardError> {
    const DOING: &str = "unblocking the PIN";
    let admin = ask(token, Secret::Admin, prompt, &["To unblock the PIN.".to_owned()])?;
    present(token, Secret::Admin, &admin)?;
    let new = new_pin(token, PinKind::NewUser, prompt)?;
    token.ask(QUICK, DOING, move |ident, card| {
        verify(ident, card, Secret::Admin, admin)?;
        let mut card = card
            .as_admin_card(None)
            .map_err(|error| CardError::of(ident, DOING, &error))?;
        card.reset_user_pin(new)
            .map_err(|error| CardError::of(ident, DOING, &error))
    })
}

fn new_pin(token: &Token, kind: PinKind, prompt: &dyn Prompt) -> Result<SecretString, CardError> {
    let ask = |why: &str| {
        prompt.pin(&PinRequest {
            kind,
            token: token.ident(),
            tries: None,
            why: &[why.to_owned()],
        })
    };
    let is_admin = kind == PinKind::NewAdmin;
    let least = LEAST[usize::from(is_admin)];
    let first = ask(&format!("At least {least} characters."))?;
    let found = first.expose_secret().chars().count();
    let which = if is_admin { "admin PIN" } else { "PIN" };
    if found < least {
        return Err(CardError::ShortPin { which, found, least });
    }
    refuse_factory(token, if is_admin { PinKind::Admin } else { PinKind::User }, &first)?;
    let second = ask("Once more.")?;
    if first.expose_secret() != second.expose_secret() {
        return Err(PinError::Differ.into());
    }
    Ok(first)
}
