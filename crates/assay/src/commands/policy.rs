//! The policy: what the next root will say.

use std::{fmt::Write as _, fs, path::PathBuf};

use attestation::{Fingerprint, PersonName, Sha256Digest, Time, pending::Proposal};
use ledger::NewFile;
use policy::{Keyring, document, root, source};
use serde_json::json;

use crate::{
    cli::Global,
    desk::{self, Desk},
    exit::{Exit, Failure, OrExit as _, Outcome},
    output,
};

/// What to do with it.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Print the lines of policy.toml for a person's certificate
    #[command(after_help = "Example: assay policy person alice alice.asc >> policy.toml")]
    Person {
        /// The person's name
        name: PersonName,
        /// The person's OpenPGP certificate
        certificate: PathBuf,
    },
    /// Read a policy and say what is wrong with it
    #[command(after_help = "Example: assay policy check policy.toml")]
    Check {
        /// The policy
        file: PathBuf,
    },
    /// Print the policy in force
    #[command(after_help = "Example: assay policy show --format json")]
    Show,
    /// Propose a policy as the next root; the old and the new people of role root sign it
    #[command(after_help = "Example: assay policy propose policy.toml --certificate frank.asc")]
    Propose {
        /// The policy
        file: PathBuf,
        /// Certificates that the ledger does not have yet
        #[arg(long = "certificate")]
        certificates: Vec<PathBuf>,
    },
}

/// Runs the command.
pub(crate) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Person { name, certificate } => person(global, &name, &certificate),
        Command::Check { file } => check(global, &file),
        Command::Show => show(global),
        Command::Propose { file, certificates } => propose(global, &file, &certificates),
    }
}

/// A person as the policy has them.
pub(crate) struct Entry {
    name: PersonName,
    comment: String,
    certificate: Sha256Digest,
    keys: Vec<Fingerprint>,
    day: String,
}

/// The entry of a person's certificate; `origin` is what messages call it.
pub(crate) fn entry(name: &PersonName, origin: &str, bytes: &[u8], now: Time) -> Outcome<Entry> {
    let keyring = Keyring::from_bytes(bytes).or_exit(Exit::Refused)?;
    let pinned: Vec<_> = keyring.digests().collect();
    let [certificate] = pinned[..] else {
        return Err(Failure::new(
            Exit::Usage,
            format!("{origin} has {} certificates, expected one", pinned.len()),
        ));
    };
    let keys = keyring.signing_keys(certificate, now);
    if keys.is_empty() {
        return Err(
            Failure::new(Exit::Refused, format!("{origin} has no key that signs validly now"))
                .next("add a signing subkey (Ed25519 or RSA): gpg --quick-add-key FINGERPRINT ed25519 sign"),
        );
    }
    let until = Time::from_unix(now.unix() + 730 * 86_400);
    Ok(Entry {
        name: name.clone(),
        comment: keyring.user_id(certificate).unwrap_or_default(),
        certificate,
        keys,
        day: until.to_string()[..10].to_owned(),
    })
}

impl Entry {
    /// The entry's lines in `policy.toml`.
    pub(crate) fn text(&self) -> String {
        let Self {
            name,
            comment,
            certificate,
            keys,
            day,
        } = self;
        let quoted: Vec<_> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        format!(
            "[people.{name}]   # {}\ncertificate = \"{certificate}\"\nkeys = [{}]\nnot-after = \"{day}\"\n",
            output::printable(comment).replace('\n', " "),
            quoted.join(", ")
        )
    }
}

fn person(global: &Global, name: &PersonName, path: &PathBuf) -> Outcome {
    let bytes = fs::read(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()))?;
    let entry = entry(name, &path.display().to_string(), &bytes, desk::now())?;
    output::result(
        global.format,
        &json!({"person": name, "certificate": entry.certificate.to_string(), "keys": entry.keys, "not-after": entry.day}),
        || entry.text(),
    );
    Ok(())
}

fn read_policy(path: &PathBuf) -> Outcome<String> {
    fs::read_to_string(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()))
}

fn check(global: &Global, path: &PathBuf) -> Outcome {
    let policy = source::read(&read_policy(path)?, None).or_exit(Exit::Usage)?;
    document::check(&policy).or_exit(Exit::Refused)?;
    let warnings = document::warnings(&policy);
    output::result(global.format, &json!({"warnings": warnings}), || {
        let mut text = String::from("the policy is one that a root can carry");
        for warning in &warnings {
            let _ = write!(text, "\nwarning: {warning}");
        }
        text
    });
    Ok(())
}

fn show(global: &Global) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let chain = open.chain(&open.snapshot()?)?;
    output::result(
        global.format,
        &json!({"chain": chain.chain, "root-version": chain.root.version, "expires": chain.root.expires, "policy": chain.policy}),
        || {
            format!(
                "chain {}\nroot version {}, expires {}\n{}",
                chain.chain,
                chain.root.version,
                chain.root.expires,
                serde_json::to_string_pretty(&chain.policy).unwrap_or_default()
            )
        },
    );
    Ok(())
}

fn propose(global: &Global, path: &PathBuf, certificates: &[PathBuf]) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let snapshot = open.snapshot()?;
    let mut chain = open.chain(&snapshot)?;
    let policy = source::read(&read_policy(path)?, Some(chain.chain)).or_exit(Exit::Usage)?;
    let mut files = Vec::new();
    for certificate in certificates {
        let bytes =
            fs::read(certificate).or_exit_with(Exit::Usage, || format!("{} cannot be read", certificate.display()))?;
        chain.keyring.add(&bytes).or_exit(Exit::Refused)?;
        files.push(NewFile::certificate(bytes));
    }
    for warning in document::warnings(&policy) {
        output::warn(&warning);
    }
    let next = root::compile(policy, chain.root.version + 1, chain.now, &chain.keyring).or_exit(Exit::Refused)?;
    let proposal = Proposal::Root(Box::new(next));
    files.push(NewFile::proposal(&proposal));
    open.add(&files, &format!("Propose root {}", chain.root.version + 1))?;
    let payload = proposal.payload_digest();
    output::result(
        global.format,
        &json!({"proposal": payload.to_string(), "version": chain.root.version + 1}),
        || {
            format!(
                "root {} is proposed as {payload}: the old and the new people of role root run assay sign",
                chain.root.version + 1
            )
        },
    );
    Ok(())
}
