//! Evidence that a key lives on a token: made by the token, or stated by people who saw it.

use std::{fs, path::PathBuf, sync::Arc};

use attestation::{
    AttestationRoot, Fingerprint, PersonName,
    statement::{Claim, Witness},
};
use policy::{Keyring, hardware};
use serde_json::json;
use signer::{CardIdent, card};

use crate::{
    cli::Global,
    commands::sign,
    desk::{self, Desk},
    exit::{Exit, Failure, OrExit as _, Outcome},
    keys, output,
    pin::AtDesk,
    settings::write_atomically,
};

/// Have a YubiKey attest that it made its signing key.
#[derive(clap::Args)]
#[command(
    after_help = "Example: assay token attest --certificate alice.asc --out alice.pem --maker yubico.pem\n\n\
    Needs a YubiKey of firmware 5.2 or later. It overwrites what is in the token's certificate slot for the signing key. \
    --maker names the file with the maker's certificates above the token's own, the root last, as the maker publishes them."
)]
pub(crate) struct AttestArgs {
    /// Which token (assay token list); not needed where only one is plugged in
    #[arg(long, value_name = "IDENT")]
    card: Option<CardIdent>,
    /// The certificate of whose key it is
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The maker's certificates, the root last
    #[arg(long, value_name = "FILE")]
    maker: PathBuf,
    /// Where the chain is written
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// State that somebody's key was made on a token before your eyes.
#[derive(clap::Args)]
#[command(
    after_help = "Example: assay token witness --person bob --certificate bob.asc --key 5b1d…e0 --token FFFE:00000001 \
    --seen 'bob enrolled a Nitrokey 3 that I took out of its package'\n\n\
    What you state is your word; see docs/tokens.md for what to look at before you give it."
)]
pub(crate) struct WitnessArgs {
    /// Whose key
    #[arg(long)]
    person: PersonName,
    /// Their certificate
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The key, as assay token status shows it on the token
    #[arg(long, value_name = "FINGERPRINT")]
    key: Fingerprint,
    /// The token
    #[arg(long, value_name = "IDENT")]
    token: CardIdent,
    /// What you saw
    #[arg(long, value_name = "TEXT")]
    seen: String,
    /// Sign without being asked
    #[arg(long, short)]
    yes: bool,
}

/// Runs `attest`.
pub(super) fn attest(global: &Global, args: &AttestArgs) -> Outcome {
    let read =
        |path: &PathBuf| fs::read(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()));
    let (certificate, maker) = (read(&args.certificate)?, read(&args.maker)?);
    let keyring = Keyring::from_bytes(&certificate).or_exit(Exit::Refused)?;
    let prompt = Arc::new(AtDesk::new(global.pin_fd)?);
    let mut token = card::find(args.card.as_ref(), None).map_err(keys::card_failure)?;
    let made = card::attest(&mut token, prompt).map_err(keys::card_failure)?;
    let chain = [made.chain, maker].concat();
    let owner = keyring.certificate_with(&made.key).ok_or_else(|| {
        Failure::new(
            Exit::Refused,
            format!(
                "{} does not have the token's signing key {}",
                args.certificate.display(),
                made.key
            ),
        )
        .next("name the certificate that assay token enroll wrote")
    })?;
    let root = hardware::root_digest(&chain).or_exit(Exit::Refused)?;
    // Verified as everybody will, but for the one thing that is the policy's to say: which root.
    let roots = std::iter::once(root).collect();
    let attested = hardware::attest(&chain, &made.key, owner, &keyring, &roots, desk::now())
        .or_exit_with(Exit::Refused, || {
            "the maker's certificates must continue the token's, the root last".to_owned()
        })?;
    write_atomically(&args.out, &chain).or_exit(Exit::Environment)?;
    let [major, minor, patch] = attested.firmware;
    output::result(
        global.format,
        &json!({"key": made.key, "serial": attested.serial, "root": AttestationRoot::to_string(&root), "evidence": args.out}),
        || {
            format!(
                "token {} (serial {}, firmware {major}.{minor}.{patch}) made key {}, and using it takes a touch\n\
                 root of the chain: {root}\n\
                 for the policy: attestation-roots = [\"{root}\"], hardware = \"attested\", and\n\
                 assay policy propose policy.toml --evidence {}",
                token.ident(),
                attested.serial,
                made.key,
                args.out.display()
            )
        },
    );
    Ok(())
}

/// Runs `witness`.
pub(super) fn witness(global: &Global, args: &WitnessArgs) -> Outcome {
    let bytes = fs::read(&args.certificate)
        .or_exit_with(Exit::Usage, || format!("{} cannot be read", args.certificate.display()))?;
    let keyring = Keyring::from_bytes(&bytes).or_exit(Exit::Refused)?;
    let certificate = keyring.certificate_with(&args.key).ok_or_else(|| {
        Failure::new(
            Exit::Refused,
            format!("{} has no key {}", args.certificate.display(), args.key),
        )
        .next("read the key off the token itself: assay token status")
    })?;
    let open = Desk::open_ledger(global)?;
    if *open.desk.person()? == args.person {
        return Err(Failure::new(Exit::Refused, "nobody witnesses their own key").next("ask two others"));
    }
    let snapshot = open.snapshot()?;
    let chain = open.chain(&snapshot)?;
    let statements = chain.statements(&snapshot)?;
    let claim = Claim::Witness(Witness {
        person: args.person.clone(),
        certificate,
        key: args.key.clone(),
        token: args.token.to_string(),
        seen: args.seen.clone(),
    });
    sign::confirm(&[claim.to_string()], args.yes)?;
    let (file, id) = sign::statement(&open, &chain, &statements, claim.clone())?;
    open.add(&[file], &claim.to_string())?;
    output::result(
        open.desk.format,
        &json!({"statement": id, "claim": claim.to_string()}),
        || format!("{claim}\nstatement {id}"),
    );
    Ok(())
}
