//! Making a person's keys on a token, and certifying them again.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use attestation::{Fingerprint, PersonName};
use serde_json::json;
use signer::{
    CardIdent,
    card::{self, Enrolled, Enrolment, Touch},
    pin::Prompt,
};

use crate::{
    cli::Global,
    commands::policy::{Entry, entry},
    desk,
    exit::{Exit, Failure, OrExit as _, Outcome},
    keys, output,
    pin::AtDesk,
    settings::write_atomically,
};

/// Make a person's keys on a token, and their certificate.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    assay token enroll --name alice --user-id 'Alice <alice@example.org>'\n  \
    assay token enroll --name alice --card 0006:22222222 --into alice.asc --with 0006:11111111\n\n\
    The keys are made on the token and never leave it. The second form makes a spare token: one more signing key of the \
    certificate whose primary key is on the token named by --with; both must be plugged in.")]
pub(crate) struct Args {
    /// The person's name in the policy
    #[arg(long)]
    name: PersonName,
    /// As 'Alice <alice@example.org>'; without it the name
    #[arg(long, value_name = "TEXT", conflicts_with = "into")]
    user_id: Option<String>,
    /// Which token (assay token list); not needed where only one is plugged in
    #[arg(long, value_name = "IDENT")]
    card: Option<CardIdent>,
    /// What kind of keys
    #[arg(long, value_enum, default_value_t = Algorithm::Ed25519)]
    algorithm: Algorithm,
    /// For how long the certificate is valid
    #[arg(long, default_value_t = 730, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// The directory for NAME.asc and NAME.revoked.asc
    #[arg(long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
    /// Add the new key to this certificate instead of making a new one
    #[arg(long, value_name = "FILE", requires = "with")]
    into: Option<PathBuf>,
    /// The token that holds that certificate's primary key
    #[arg(long, value_name = "IDENT", requires = "into")]
    with: Option<CardIdent>,
    /// Destroy keys that are on the token
    #[arg(long)]
    replace: bool,
}

/// Certify again what is on a token.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    assay token rotate --name alice --days 730                  # renews the certificate before it expires\n  \
    assay token rotate --name alice --card SPARE --lost KEY     # the other token, with the primary key, is lost\n\n\
    No other key is needed. The result goes into the policy: assay policy propose.")]
pub(crate) struct RotateArgs {
    /// The person's name in the policy
    #[arg(long)]
    name: PersonName,
    /// As 'Alice <alice@example.org>'; without it the name
    #[arg(long, value_name = "TEXT")]
    user_id: Option<String>,
    /// Which token (assay token list); not needed where only one is plugged in
    #[arg(long, value_name = "IDENT")]
    card: Option<CardIdent>,
    /// For how long the certificate is valid
    #[arg(long, default_value_t = 730, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// The directory for NAME.asc and NAME.revoked.asc
    #[arg(long, default_value = ".", value_name = "DIR")]
    out: PathBuf,
    /// A signing key that is lost: it is left out of the policy's lines
    #[arg(long, value_name = "KEY")]
    lost: Option<Fingerprint>,
}

/// What kind of keys.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Algorithm {
    /// Ed25519
    Ed25519,
    /// RSA, 2048 bits
    Rsa2048,
    /// RSA, 3072 bits
    Rsa3072,
    /// RSA, 4096 bits
    Rsa4096,
    /// ECDSA over NIST P-256: signs statements only, no root and no release
    P256,
}

impl From<Algorithm> for card::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::Rsa2048 => Self::Rsa2048,
            Algorithm::Rsa3072 => Self::Rsa3072,
            Algorithm::Rsa4096 => Self::Rsa4096,
            Algorithm::P256 => Self::P256,
        }
    }
}

/// Runs `enroll`.
pub(super) fn run(global: &Global, args: &Args) -> Outcome {
    let prompt: Arc<dyn Prompt + Send + Sync> = Arc::new(AtDesk::new(global.pin_fd)?);
    let files = Files::new(&args.out, &args.name);
    let base = match (&args.into, &args.with) {
        (Some(path), Some(holder)) => {
            if args.card.as_ref() == Some(holder) {
                return Err(Failure::new(Exit::Usage, "--card and --with name one token")
                    .next("--card is the new token, --with the one that is enrolled already"));
            }
            let bytes = fs::read(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()))?;
            let token = card::find(Some(holder), None).map_err(keys::card_failure)?;
            Some((RefCell::new(token), bytes))
        }
        _ => {
            files.must_be_new()?;
            None
        }
    };
    let new = RefCell::new(card::find(args.card.as_ref(), None).map_err(keys::card_failure)?);
    let enrolment = Enrolment {
        user_id: args.user_id.clone().unwrap_or_else(|| args.name.to_string()),
        valid: days(args.days),
        at: desk::now(),
        algorithm: args.algorithm.into(),
        replace: args.replace,
    };
    let base = base.as_ref().map(|(holder, bytes)| (holder, bytes.as_slice()));
    let enrolled = card::enroll(&new, base, &enrolment, &prompt).map_err(keys::card_failure)?;
    if enrolled.touch.is_none() {
        output::warn("this token has no touch button: whoever has its PIN and your computer can sign with it");
    }
    let ident = new.borrow().ident().clone();
    // The key that signs roots and releases stays the one that it was.
    let first = base
        .map(|(_, bytes)| entry(&args.name, "the certificate", bytes, desk::now()))
        .transpose()?
        .and_then(|known| known.first().cloned());
    finish(global, &files, &args.name, &ident, &enrolled, |entry| {
        entry.with_keys(first.as_ref(), None)
    })
}

/// Runs `rotate`.
pub(super) fn rotate(global: &Global, args: &RotateArgs) -> Outcome {
    let prompt: Arc<dyn Prompt + Send + Sync> = Arc::new(AtDesk::new(global.pin_fd)?);
    let files = Files::new(&args.out, &args.name);
    files.must_be_new()?;
    let token = RefCell::new(card::find(args.card.as_ref(), None).map_err(keys::card_failure)?);
    let enrolment = Enrolment {
        user_id: args.user_id.clone().unwrap_or_else(|| args.name.to_string()),
        valid: days(args.days),
        at: desk::now(),
        algorithm: card::Algorithm::Ed25519,
        replace: false,
    };
    let made = card::certify(&token, &enrolment, &prompt).map_err(keys::card_failure)?;
    let ident = token.borrow().ident().clone();
    finish(global, &files, &args.name, &ident, &made, |entry| {
        entry.with_keys(None, args.lost.as_ref())
    })
}

/// Writes the certificate, and says what goes into the policy.
fn finish(
    global: &Global,
    files: &Files,
    name: &PersonName,
    ident: &CardIdent,
    made: &Enrolled,
    keys: impl FnOnce(Entry) -> Entry,
) -> Outcome {
    write_atomically(&files.certificate, &made.certificate).or_exit(Exit::Environment)?;
    write_atomically(&files.revoked, &made.revoked).or_exit(Exit::Environment)?;
    let (certificate, revoked) = (files.certificate.display(), files.revoked.display());
    // What people are told to put into the policy is what the policy takes.
    let entry = keys(entry(name, &certificate.to_string(), &made.certificate, desk::now())?);
    let json = json!({
        "card": ident.as_str(), "person": entry.json(), "primary": made.primary, "key": made.signing,
        "touch": made.touch.map(Touch::name), "certificate": files.certificate, "revoked": files.revoked,
    });
    output::result(global.format, &json, || {
        format!(
            "{certificate} is the certificate; give it to everybody\n\
             {revoked} ends it for good: keep it where you find it when the token is lost, and nobody else does\n\
             \n\
             for policy.toml, which somebody of role root proposes: assay policy propose policy.toml --certificate \
             {certificate}\n\n{entry}\n\
             in your clone: assay init --as {name} --key card:{ident}"
        )
    });
    Ok(())
}

/// The files that an enrolment writes.
struct Files {
    certificate: PathBuf,
    revoked: PathBuf,
}

impl Files {
    fn new(out: &Path, name: &PersonName) -> Self {
        Self {
            certificate: out.join(format!("{name}.asc")),
            revoked: out.join(format!("{name}.revoked.asc")),
        }
    }

    /// Before a key is made: an older certificate is not lost.
    fn must_be_new(&self) -> Outcome {
        match [&self.certificate, &self.revoked]
            .into_iter()
            .find(|path| path.exists())
        {
            None => Ok(()),
            Some(path) => Err(
                Failure::new(Exit::Usage, format!("{} is there already", path.display()))
                    .next("name another directory with --out DIR, or move it away"),
            ),
        }
    }
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}
