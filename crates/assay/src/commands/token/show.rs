//! What tokens say of themselves.

use std::fmt::Write as _;

use serde_json::{Value, json};
use signer::{
    CardIdent,
    card::{self, Slot, TokenStatus, Touch},
};

use crate::{cli::Global, exit::Outcome, keys, output, whose::Book};

/// Which token.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which token (assay token list); not needed where only one is plugged in
    #[arg(long, value_name = "IDENT")]
    pub card: Option<CardIdent>,
}

/// Prints the tokens that are plugged in.
pub(super) fn list(global: &Global) -> Outcome {
    let socket = keys::agent_socket();
    let plugged = card::plugged(socket.as_deref()).map_err(keys::card_failure)?;
    let book = Book::open(global);
    let (mut json, mut text) = (Vec::new(), String::new());
    for item in plugged {
        let found = item
            .token
            .and_then(|mut token| Ok((token.status()?, token.agent().is_some())));
        match found {
            Ok((status, held)) => {
                let key = status.slot(Slot::Sign).and_then(|slot| slot.key.as_ref());
                let owner = key.and_then(|key| book.owner(key));
                json.push(json!({
                    "card": status.ident.as_str(), "reader": item.reader, "maker": status.maker,
                    "firmware": status.firmware_text(), "key": key, "person": owner, "held-by-gpg": held,
                }));
                let key = key.map_or("no signing key".to_owned(), ToString::to_string);
                let owner = owner.map_or(String::new(), |owner| format!("   {owner}"));
                let held = if held { "   (held by gpg)" } else { "" };
                let _ = writeln!(text, "{}   {}   {key}{owner}{held}", status.ident, status.maker);
            }
            Err(error) => {
                json.push(json!({"reader": item.reader, "problem": error.to_string(), "next": error.remedy()}));
                let _ = writeln!(text, "{}: {error}\n  next: {}", item.reader, error.remedy());
            }
        }
    }
    output::result(global.format, &json, || {
        if json.is_empty() {
            "no token is plugged in".to_owned()
        } else {
            output::printable(&text)
        }
    });
    Ok(())
}

/// Prints what one token says of itself.
pub(super) fn status(global: &Global, args: &Args) -> Outcome {
    let socket = keys::agent_socket();
    let mut token = card::find(args.card.as_ref(), socket.as_deref()).map_err(keys::card_failure)?;
    let status = token.status().map_err(keys::card_failure)?;
    let book = Book::open(global);
    output::result(global.format, &to_json(&status, &book), || to_text(&status, &book));
    Ok(())
}

fn to_json(status: &TokenStatus, book: &Book) -> Value {
    let slots: Vec<_> = status
        .slots
        .iter()
        .map(|slot| {
            json!({
                "slot": slot.slot.name(), "key": slot.key, "created": slot.key.as_ref().and(slot.created),
                "algorithm": slot.algorithm, "touch": slot.touch.map(Touch::name),
                "person": slot.key.as_ref().and_then(|key| book.owner(key)),
            })
        })
        .collect();
    json!({
        "card": status.ident.as_str(), "reader": status.reader, "maker": status.maker, "version": status.version,
        "firmware": status.firmware_text(), "slots": slots, "pin-tries": status.pin_tries,
        "admin-pin-tries": status.admin_pin_tries, "pin-for-each-signature": status.pin_for_each,
        "signatures": status.signatures,
    })
}

fn to_text(status: &TokenStatus, book: &Book) -> String {
    let firmware = status
        .firmware_text()
        .map_or(String::new(), |text| format!(", firmware {text}"));
    let mut text = format!(
        "{}   {}, OpenPGP card {}{firmware}, in {}\n",
        status.ident, status.maker, status.version, status.reader
    );
    for slot in &status.slots {
        let touch = slot.touch.map_or("no touch button", Touch::name);
        let _ = match &slot.key {
            Some(key) => writeln!(
                text,
                "  {:<13} {key}   {}, touch {touch}{}",
                slot.slot.name(),
                slot.algorithm,
                book.owner(key).map_or(String::new(), |owner| format!(", {owner}"))
            ),
            None => writeln!(text, "  {:<13} empty", slot.slot.name()),
        };
    }
    let _ = write!(
        text,
        "  PIN: {} tries left; admin PIN: {} tries left; signatures made with this key: {}",
        status.pin_tries, status.admin_pin_tries, status.signatures
    );
    output::printable(&text)
}
