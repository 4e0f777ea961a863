//! Changing and unblocking PINs.

use serde_json::json;
use signer::{
    CardIdent,
    card::{self, pins},
};

use crate::{cli::Global, exit::Outcome, keys, output, pin::AtDesk};

/// Change the PIN of a token, or unblock it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  assay token pin\n  assay token pin --admin\n  assay token pin --unblock\n\n\
    Tokens leave the factory with PIN 123456 and admin PIN 12345678."
)]
pub(crate) struct Args {
    /// Which token (assay token list); not needed where only one is plugged in
    #[arg(long, value_name = "IDENT")]
    card: Option<CardIdent>,
    /// Change the admin PIN
    #[arg(long, conflicts_with = "unblock")]
    admin: bool,
    /// Give a blocked PIN a new value, by the admin PIN
    #[arg(long)]
    unblock: bool,
}

/// Runs it.
pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let mut token = card::find(args.card.as_ref(), None).map_err(keys::card_failure)?;
    let prompt = AtDesk::new(global.pin_fd)?;
    let changed = if args.unblock {
        pins::unblock(&mut token, &prompt)
    } else {
        pins::change(&mut token, args.admin, &prompt)
    };
    changed.map_err(keys::card_failure)?;
    let what = if args.admin { "admin PIN" } else { "PIN" };
    output::result(
        global.format,
        &json!({"card": token.ident().as_str(), "changed": what}),
        || format!("the {what} of token {} is changed", token.ident()),
    );
    Ok(())
}
