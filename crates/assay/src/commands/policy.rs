//! The policy: what the next root will say.

use std::{fmt::Write as _, fs, path::PathBuf};

use attestation::{Fingerprint, PersonName, Sha256Digest, Time, chain::PolicyDocument, pending::Proposal};
use ledger::NewFile;
use policy::{
    Keyring,
    difference::{Difference, describe, differences},
    document, root, source,
};
use serde_json::json;

use crate::{
    cli::Global,
    desk::{self, Desk},
    exit::{Exit, Failure, OrExit as _, Outcome},
    hardware, output,
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
    /// Print the policy in force, in words
    #[command(after_help = "Example: assay policy show --format json")]
    Show,
    /// Say in words what a policy would change, and mark what asks for less than now
    #[command(after_help = "Example: assay policy diff policy.toml")]
    Diff {
        /// The policy
        file: PathBuf,
    },
    /// Propose a policy as the next root; the old and the new people of role root sign it
    #[command(after_help = "Example: assay policy propose policy.toml --certificate frank.asc")]
    Propose {
        /// The policy
        file: PathBuf,
        /// Certificates that the ledger does not have yet
        #[arg(long = "certificate")]
        certificates: Vec<PathBuf>,
        /// What tokens attest (assay token attest), for people who are attested
        #[arg(long = "evidence", value_name = "FILE")]
        evidence: Vec<PathBuf>,
    },
}

/// Runs the command.
pub(crate) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Person { name, certificate } => person(global, &name, &certificate),
        Command::Check { file } => check(global, &file),
        Command::Show => show(global),
        Command::Diff { file } => diff(global, &file),
        Command::Propose {
            file,
            certificates,
            evidence,
        } => propose(global, &file, &certificates, &evidence),
    }
}

fn person(global: &Global, name: &PersonName, path: &PathBuf) -> Outcome {
    let bytes = fs::read(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()))?;
    let entry = entry(name, &path.display().to_string(), &bytes, desk::now())?;
    output::result(global.format, &entry.json(), || entry.to_string());
    Ok(())
}

/// A person's entry in `policy.toml`, as their certificate gives it.
pub(crate) struct Entry {
    name: PersonName,
    certificate: Sha256Digest,
    keys: Vec<Fingerprint>,
    not_after: String,
    comment: String,
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
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "{origin} has no key that signs validly now{}",
                why_none(&keyring, certificate, now)
            ),
        )
        .next(
            "make keys on a token: assay token enroll; or add a signing subkey (Ed25519 or RSA): \
                     gpg --quick-add-key FINGERPRINT ed25519 sign",
        ));
    }
    let until = Time::from_unix(now.unix() + 730 * 86_400);
    Ok(Entry {
        name: name.clone(),
        certificate,
        keys,
        not_after: until.to_string()[..10].to_owned(),
        comment: keyring.user_id(certificate).unwrap_or_default(),
    })
}

/// What is wrong with each key.
fn why_none(keyring: &Keyring, certificate: Sha256Digest, now: Time) -> String {
    let keys = keyring.all_keys(certificate).into_iter();
    let reasons = keys.filter_map(|key| keyring.why_not(certificate, &key, now));
    reasons.map(|reason| format!("; {reason}")).collect()
}

impl Entry {
    /// The entry's lines in `policy.toml`.
    pub(crate) fn text(&self) -> String {
        self.to_string()
    }

    /// The same with `first` as the key that signs root, targets and releases, and without the `dropped` one.
    pub(crate) fn with_keys(mut self, first: Option<&Fingerprint>, dropped: Option<&Fingerprint>) -> Self {
        self.keys.retain(|key| Some(key) != dropped);
        self.keys.sort_by_key(|key| Some(key) != first);
        self
    }

    /// The key that signs root, targets and releases.
    pub(crate) fn first(&self) -> Option<&Fingerprint> {
        self.keys.first()
    }

    /// For programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        json!({
            "person": self.name,
            "certificate": self.certificate.to_string(),
            "keys": self.keys,
            "not-after": self.not_after,
        })
    }
}

/// As it stands in `policy.toml`.
impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quoted: Vec<_> = self.keys.iter().map(|key| format!("\"{key}\"")).collect();
        write!(
            f,
            "[people.{}]   # {}\ncertificate = \"{}\"\nkeys = [{}]\nnot-after = \"{}\"\n",
            self.name,
            output::printable(&self.comment).replace('\n', " "),
            self.certificate,
            quoted.join(", "),
            self.not_after
        )
    }
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
                in_words(&chain.policy)
            )
        },
    );
    Ok(())
}

fn diff(global: &Global, path: &PathBuf) -> Outcome {
    let open = Desk::open_ledger(global)?;
    let chain = open.chain(&open.snapshot()?)?;
    let policy = source::read(&read_policy(path)?, Some(chain.chain)).or_exit(Exit::Usage)?;
    document::check(&policy).or_exit(Exit::Refused)?;
    let changes = differences(&chain.policy, &policy);
    let mut warnings = document::warnings(&policy);
    let expires = chain.now.plus(policy.freshness.root);
    warnings.extend(document::expiring(&policy, &chain.keyring, expires));
    output::result(
        global.format,
        &json!({"root-version": chain.root.version, "changes": changes, "warnings": warnings}),
        || {
            let warnings: String = warnings.iter().map(|warning| format!("\nwarning: {warning}")).collect();
            format!(
                "against root {}:\n{}{warnings}\nto go on: assay policy propose {}",
                chain.root.version,
                listed(&changes),
                path.display()
            )
        },
    );
    Ok(())
}

/// One change a line; what asks for less than before stands out.
fn listed(changes: &[Difference]) -> String {
    if changes.is_empty() {
        return "  nothing changes".to_owned();
    }
    let line = |change: &Difference| format!("{} {}", if change.weakens { "! WEAKER:" } else { " " }, change.what);
    let mut text: Vec<_> = changes.iter().map(line).collect();
    let weaker = changes.iter().filter(|change| change.weakens).count();
    if weaker > 0 {
        text.push(format!(
            "{weaker} of {} changes (!) ask for less than before, or believe another: look twice",
            changes.len()
        ));
    }
    text.join("\n")
}

fn in_words(policy: &PolicyDocument) -> String {
    let mut text = String::new();
    for (name, person) in &policy.people {
        let roles = policy.roles.iter().filter(|(_, role)| role.people.contains(name));
        let roles: Vec<_> = roles.map(|(role, _)| role.to_string()).collect();
        let _ = writeln!(
            text,
            "  {name}: {}; {} keys until {}",
            if roles.is_empty() {
                "no role".to_owned()
            } else {
                roles.join(", ")
            },
            person.keys.len(),
            person.not_after
        );
    }
    for (name, role) in &policy.roles {
        if let Some(threshold) = role.threshold {
            let _ = writeln!(text, "  role {name}: {threshold} of {} people", role.people.len());
        }
    }
    for (name, channel) in &policy.channels {
        let _ = writeln!(
            text,
            "  channel {name}: {} of {}, released by {} of role {}; at most {} behind, current for {}",
            channel.branch,
            channel.upstream,
            channel.release.threshold,
            channel.release.role,
            channel.max_lag,
            channel.expires
        );
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        let _ = writeln!(text, "  rule {}: {}", index + 1, describe(rule));
    }
    text
}

fn propose(global: &Global, path: &PathBuf, certificates: &[PathBuf], evidence: &[PathBuf]) -> Outcome {
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
    let mut attestations = hardware::evidence(&snapshot)?;
    for bytes in hardware::read(evidence)? {
        attestations.push(bytes.clone());
        files.push(NewFile::evidence(bytes));
    }
    for warning in document::warnings(&policy) {
        output::warn(&warning);
    }
    let statements = chain.statements(&snapshot)?;
    hardware::check(
        &policy,
        Some(&chain.policy),
        &chain.keyring,
        &attestations,
        &statements.now(&chain),
        chain.now,
    )?;
    let changes = differences(&chain.policy, &policy);
    let next = root::compile(policy, chain.root.version + 1, chain.now, &chain.keyring).or_exit(Exit::Refused)?;
    for warning in next
        .policy
        .iter()
        .flat_map(|policy| document::expiring(policy, &chain.keyring, next.expires))
    {
        output::warn(&warning);
    }
    let proposal = Proposal::Root(Box::new(next));
    files.push(NewFile::proposal(&proposal));
    open.add(&files, &format!("Propose root {}", chain.root.version + 1))?;
    let payload = proposal.payload_digest();
    output::result(
        global.format,
        &json!({"proposal": payload.to_string(), "version": chain.root.version + 1, "changes": changes}),
        || {
            format!(
                "{}\nroot {} is proposed as {payload}: the old and the new people of role root run assay sign",
                listed(&changes),
                chain.root.version + 1
            )
        },
    );
    Ok(())
}
