//! Starting a chain, or joining one.

mod repository;

use std::{fs, path::PathBuf};

use attestation::{ChainId, PersonName, Sha256Digest, pending::Proposal};
use ledger::{Ledger, NewFile, Remote};
use policy::{Keyring, document, root, source};
use serde_json::json;

use crate::{
    chain_state::ChainState,
    cli::Global,
    desk::{Desk, OpenDesk},
    exit::{Exit, Failure, OrExit as _, Outcome},
    hardware,
    keys::Key,
    output,
};

/// Start a chain with `--policy`, join one with `--join`, or change who you are in this clone.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    assay init --policy policy.toml --certificate alice.asc --certificate bob.asc --as alice --key gpg:FPR --remote origin\n  \
    assay init --join --remote origin --chain CHAIN --as carol --key gpg:FPR\n  \
    assay init --repository --certificate alice.asc --certificate bob.asc --as alice --key gpg:FPR --remote origin")]
pub(crate) struct Args {
    /// Start a chain with this policy as its first root
    #[arg(long, value_name = "FILE", conflicts_with = "join")]
    policy: Option<PathBuf>,
    /// Start a chain that says who commits to this repository, and publishes nothing: everybody whose certificate is
    /// given commits, a majority of them changes that
    #[arg(long, conflicts_with_all = ["policy", "join"], requires = "certificates")]
    repository: bool,
    /// With --repository: the commit from which on every commit must be signed
    #[arg(long, default_value = "HEAD", requires = "repository", value_name = "REV")]
    introduction: String,
    /// With --repository: how many people sign each commit
    #[arg(long, default_value_t = 1, requires = "repository", value_name = "N")]
    threshold: u32,
    /// The people's OpenPGP certificates; with --repository the file's name is the person's, as alice.asc
    #[arg(long = "certificate", value_name = "FILE")]
    certificates: Vec<PathBuf>,
    /// What tokens attest (assay token attest), for people who are attested
    #[arg(long = "evidence", value_name = "FILE", requires = "policy")]
    evidence: Vec<PathBuf>,
    /// Join the chain whose ledger the remote has
    #[arg(long, requires = "remote")]
    join: bool,
    /// The chain to join: SHA-256 of its 1.root.json, from somebody you trust
    #[arg(long, requires = "join")]
    chain: Option<ChainId>,
    /// For a chain that is just being started: the payload of the first root, from its maker
    #[arg(long, requires = "join", value_name = "SHA256", conflicts_with = "chain")]
    first_root: Option<Sha256Digest>,
    /// The git remote with which the ledger is exchanged
    #[arg(long)]
    remote: Option<String>,
    /// Who you are in the policy
    #[arg(long = "as", value_name = "NAME")]
    person: Option<PersonName>,
    /// Your key: card:IDENT (assay token list), or gpg:FINGERPRINT
    #[arg(long)]
    key: Option<String>,
}

/// Runs it.
pub(crate) fn run(global: &Global, args: Args) -> Outcome {
    let mut desk = Desk::open(global)?;
    if let Some(key) = &args.key {
        Key::parse(key)?;
    }
    let settings = &mut desk.settings;
    settings.person = args.person.or(settings.person.take());
    settings.key = args.key.or(settings.key.take());
    settings.remote = args.remote.or(settings.remote.take());
    if args.repository {
        let text = repository::policy(&desk, &args.certificates, &args.introduction, args.threshold)?;
        return start(desk, &text, "the policy", &args.certificates, &[]);
    }
    match (args.policy, args.join) {
        (Some(policy), _) => {
            let text = fs::read_to_string(&policy)
                .or_exit_with(Exit::Usage, || format!("{} cannot be read", policy.display()))?;
            start(
                desk,
                &text,
                &policy.display().to_string(),
                &args.certificates,
                &args.evidence,
            )
        }
        (None, true) => join(desk, args.chain, args.first_root),
        (None, false) => {
            desk.settings.write(desk.repository.git_dir())?;
            output::result(desk.format, &json!({"settings": desk.settings}), || {
                "the clone's settings are kept".to_owned()
            });
            Ok(())
        }
    }
}

fn start(mut desk: Desk, text: &str, origin: &str, certificates: &[PathBuf], evidence: &[PathBuf]) -> Outcome {
    let policy = source::read(text, None).or_exit(Exit::Usage)?;
    let mut keyring = Keyring::default();
    let mut files = Vec::new();
    for path in certificates {
        let bytes = fs::read(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()))?;
        keyring
            .add(&bytes)
            .map_err(|error| Failure::new(Exit::Refused, format!("{}: {error}", path.display())))?;
        files.push(NewFile::certificate(bytes));
    }
    let evidence = hardware::read(evidence)?;
    hardware::check(&policy, None, &keyring, &evidence, &[], desk.now)?;
    files.extend(evidence.into_iter().map(NewFile::evidence));
    for warning in document::warnings(&policy) {
        output::warn(&warning);
    }
    let first = root::compile(policy, 1, desk.now, &keyring).or_exit_with(Exit::Refused, || {
        format!("mend {origin} and run this again; nothing was written")
    })?;
    let proposal = Proposal::Root(Box::new(first));
    let payload = proposal.payload_digest();
    files.push(NewFile::proposal(&proposal));
    let ledger = Ledger::create(desk.path(), &desk.author()?).or_exit_with(Exit::Environment, || {
        "a clone has one chain; use another clone for another chain".to_owned()
    })?;
    desk.settings.first_root = Some(payload);
    desk.settings.write(desk.repository.git_dir())?;
    let format = desk.format;
    let open = OpenDesk { desk, ledger };
    open.add(&files, "Propose the first root")?;
    output::result(
        format,
        &json!({"first-root": payload.to_string(), "policy": text}),
        || {
            format!(
                "the first root is proposed; its payload is\n  {payload}\nTell the others this digest on a way that they \
             trust. They run: assay init --join --remote REMOTE --first-root {payload} --as NAME --key KEY; then \
             everybody of role root runs assay sign"
            )
        },
    );
    Ok(())
}

fn join(mut desk: Desk, chain: Option<ChainId>, first_root: Option<Sha256Digest>) -> Outcome {
    if chain.is_none() && first_root.is_none() {
        return Err(Failure::new(Exit::Usage, "which chain? There is no trust on first use")
            .next("ask somebody you trust for the chain's id: assay init --join --remote REMOTE --chain ID"));
    }
    for (what, pinned, given) in [
        (
            "chain",
            desk.settings.chain.map(|chain| chain.to_string()),
            chain.map(|chain| chain.to_string()),
        ),
        (
            "first root",
            desk.settings.first_root.map(|d| d.to_string()),
            first_root.map(|d| d.to_string()),
        ),
    ] {
        if let (Some(pinned), Some(given)) = (&pinned, &given)
            && pinned != given
        {
            return Err(
                Failure::new(Exit::Refused, format!("this clone pins {what} {pinned}, not {given}"))
                    .next("use another clone for another chain"),
            );
        }
    }
    desk.settings.chain = chain.or(desk.settings.chain);
    desk.settings.first_root = first_root.or(desk.settings.first_root);
    let name = desk.settings.remote.clone().unwrap_or_default();
    let remote = Remote::new(&name).or_exit(Exit::Usage)?;
    let ledger = Ledger::join(desk.path(), desk.git(), &remote, &desk.author()?).or_exit_with(Exit::Network, || {
        format!("check that git fetch {name} touchstone works")
    })?;
    let format = desk.format;
    let mut open = OpenDesk { desk, ledger };
    let snapshot = open.snapshot()?;
    // Before anything is kept: the ledger's roots must be the pinned chain's.
    let loaded = ChainState::load(&snapshot, &open.desk)?;
    open.desk.settings.write(open.desk.repository.git_dir())?;
    if let Some(loaded) = &loaded {
        open.pin_chain(loaded)?;
    }
    let version = loaded.map(|loaded| loaded.root.version);
    output::result(
        format,
        &json!({"chain": open.desk.settings.chain, "root-version": version}),
        || match version {
            Some(version) => format!("joined the chain at root version {version}"),
            None => "joined a chain whose first root still waits for signatures: assay sign".to_owned(),
        },
    );
    Ok(())
}
