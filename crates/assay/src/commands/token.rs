//! Tokens, and keys that are none: the publishing machine's, and in development builds keys in files.

mod doctor;
mod enroll;
mod evidence;
mod pin;
mod show;

use std::{
    fs::OpenOptions,
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use channel::online::OnlineKey;
use serde_json::json;

use crate::{
    cli::Global,
    exit::{Exit, OrExit as _, Outcome},
    output,
};

/// Which key.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The tokens that are plugged in
    #[command(after_help = "Example: assay token list")]
    List,
    /// What a token says of itself: keys, tries left, touch policy, signature counter; and whose it is
    #[command(after_help = "Example: assay token status --card 0006:12345678")]
    Status(show::Args),
    /// Make a person's keys on a token, and their certificate
    Enroll(enroll::Args),
    /// Certify again what is on a token: renew its certificate, or make a spare token a certificate of its own
    Rotate(enroll::RotateArgs),
    /// Change a token's PIN, or unblock it
    Pin(pin::Args),
    /// Have a YubiKey attest that it made its signing key
    Attest(evidence::AttestArgs),
    /// State that somebody's key was made on a token before your eyes
    Witness(evidence::WitnessArgs),
    /// Find out why a token does not sign, and what to do
    #[command(after_help = "Example: assay token doctor\n\nExit code 3 if something is wrong with it.")]
    Doctor(show::Args),
    /// Make the publishing machine's key, which signs snapshots and timestamps
    #[command(after_help = "Example: assay token online --out /etc/touchstone/online.key\n\
        Its public half goes into policy.toml as online-key. Keep the file on the publishing host alone.")]
    Online {
        /// The file for the secret; it must not exist
        #[arg(long)]
        out: PathBuf,
    },
    /// Make a person's certificate with its private keys in a file (development builds only)
    #[cfg(feature = "software-keys")]
    #[command(after_help = "Example: assay token software --name alice --out keys")]
    Software {
        /// The person's name in the policy
        #[arg(long)]
        name: attestation::PersonName,
        /// The directory for NAME.secret.asc and NAME.asc
        #[arg(long)]
        out: PathBuf,
    },
}

/// Makes the key.
pub(crate) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::List => show::list(global),
        Command::Status(args) => show::status(global, &args),
        Command::Enroll(args) => enroll::run(global, &args),
        Command::Rotate(args) => enroll::rotate(global, &args),
        Command::Pin(args) => pin::run(global, &args),
        Command::Attest(args) => evidence::attest(global, &args),
        Command::Witness(args) => evidence::witness(global, &args),
        Command::Doctor(args) => doctor::run(global, &args),
        Command::Online { out } => online(global, &out),
        #[cfg(feature = "software-keys")]
        Command::Software { name, out } => software(global, &name, &out),
    }
}

fn online(global: &Global, out: &Path) -> Outcome {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut seed))
        .or_exit(Exit::Environment)?;
    let key = OnlineKey::from_seed(&seed);
    write_secret(out, key.to_file().as_bytes())?;
    output::result(global.format, &json!({"online-key": key.public(), "file": out}), || {
        format!(
            "online-key = \"{}\"   # for policy.toml; the secret is in {}",
            key.public(),
            out.display()
        )
    });
    Ok(())
}

#[cfg(feature = "software-keys")]
fn software(global: &Global, name: &attestation::PersonName, out: &Path) -> Outcome {
    let valid = std::time::Duration::from_secs(2 * 365 * 86_400);
    // A little before now, so that a clock that is slightly behind still finds the key valid.
    let created = attestation::Time::from_unix(crate::desk::now().unix() - 3600);
    let secret =
        signer::software::generate(&format!("{name} (development)"), created, valid, 1).or_exit(Exit::Environment)?;
    let certificate = signer::software::certificate(&secret).or_exit(Exit::Environment)?;
    std::fs::create_dir_all(out).or_exit(Exit::Environment)?;
    let (secret_path, path) = (out.join(format!("{name}.secret.asc")), out.join(format!("{name}.asc")));
    write_secret(&secret_path, &secret)?;
    std::fs::write(&path, certificate).or_exit(Exit::Environment)?;
    output::result(
        global.format,
        &json!({"secret": secret_path, "certificate": path}),
        || format!("{} (private) and {}", secret_path.display(), path.display()),
    );
    Ok(())
}

fn write_secret(path: &Path, bytes: &[u8]) -> Outcome {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .or_exit_with(Exit::Environment, || {
            format!("name a file that does not exist yet, not {}", path.display())
        })?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .or_exit(Exit::Environment)
}
