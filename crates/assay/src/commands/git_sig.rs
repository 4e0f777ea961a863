//! Signatures in git notes, as git-sig makes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use attestation::{
    PersonName, RoleName, Sha256Digest,
    git::{NOTES_REF, Note, NoteBody},
};
use importer::ObjectId;
use ledger::{History, Remote, authenticate::oid};
use policy::{
    Facts, Keyring, Vouch,
    jury::{Candidate, Jury, ObjectRefusal, Work},
};
use serde_json::json;

use crate::{
    chain_state::ChainState,
    cli::Global,
    desk::Desk,
    exit::{Exit, Failure, OrExit as _, Outcome},
    history,
    keys::{self, Key},
    output,
};

/// What a reader must know of every answer here.
const BINDS: &str = "these signatures bind the SHA-1 names of commit and tree, not their content";

/// What to do with them.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Sign the names of a commit and its tree, and add the signature to the commit's note
    #[command(
        after_help = "Examples:\n  assay git-sig sign\n  assay git-sig sign --key gpg:FINGERPRINT v1.2\n\n\
        The note is exchanged with the remote of `assay init`; where there is none: git push origin refs/notes/signatures\n\
        What is signed binds SHA-1 names only."
    )]
    Sign(SignArgs),
    /// Count the people who signed a commit, in itself or in its note
    #[command(
        after_help = "Examples:\n  assay git-sig verify --threshold 2 --group committers\n  \
        assay git-sig verify --threshold 2 --keyring maintainers/ --ref v1.2\n\n\
        What is signed binds SHA-1 names only."
    )]
    Verify(VerifyArgs),
}

/// What to sign.
#[derive(clap::Args)]
pub(crate) struct SignArgs {
    /// The commit, branch or tag
    #[arg(default_value = "HEAD", value_name = "REV")]
    revision: String,
    /// The key, where this clone knows none: gpg:FINGERPRINT
    #[arg(long)]
    key: Option<String>,
}

/// What to count.
#[derive(clap::Args)]
pub(crate) struct VerifyArgs {
    /// How many distinct people must have signed
    #[arg(long, short, default_value = "1", value_name = "N")]
    threshold: u32,
    /// Only people of this role of the policy count; everybody in the policy without it
    #[arg(long, short, value_name = "ROLE")]
    group: Option<RoleName>,
    /// The commit, branch or tag
    #[arg(long = "ref", default_value = "HEAD", value_name = "REF")]
    revision: String,
    /// For a repository without a chain: each certificate file in this directory is one person of the group
    #[arg(long, value_name = "DIR", conflicts_with = "group")]
    keyring: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, command: Command) -> Outcome {
    match command {
        Command::Sign(args) => sign(global, &args),
        Command::Verify(args) => verify(global, &args),
    }
}

fn sign(global: &Global, args: &SignArgs) -> Outcome {
    let desk = Desk::open(global)?;
    let signer = match &args.key {
        Some(key) => Key::parse(key)?.open(desk.now, global.pin_fd)?,
        None => desk.signer()?,
    };
    let history = history::open(&desk)?;
    let commit = named(&history, &args.revision)?;
    let tree = history.commit(commit).or_exit(Exit::Environment)?.tree;
    let body = NoteBody {
        commit: oid(commit),
        tree: oid(tree),
    };
    output::note(&format!("signing commit {commit}, tree {tree}; {BINDS}"));
    let line = signer::sign_note(&*signer, &body).map_err(keys::sign_failure)?;
    history
        .add_note_line(commit, &line, &desk.author()?)
        .or_exit_with(Exit::Environment, || {
            "nothing was lost; check the disk and other runs, then run this again".to_owned()
        })?;
    let pushed = exchange(&desk, &history)?;
    let json = json!({"commit": commit.to_string(), "tree": tree.to_string(), "line": line, "pushed": pushed, "binds": "sha1"});
    output::result(global.format, &json, || {
        let shared = if pushed {
            "exchanged with the remote".to_owned()
        } else {
            format!("share it: git push origin {NOTES_REF}")
        };
        format!("{commit} is signed in {NOTES_REF}; {shared}\n{BINDS}")
    });
    Ok(())
}

/// Exchanges the notes with the remote of `assay init`, if there is one.
fn exchange(desk: &Desk, history: &History) -> Outcome<bool> {
    let Some(remote) = desk.remote() else { return Ok(false) };
    let remote = Remote::new(&remote).or_exit(Exit::Usage)?;
    let _working = output::working("exchanging notes");
    let exchanged = history.sync_notes(desk.git(), &remote, &desk.author()?);
    exchanged.or_exit_with(Exit::Network, || {
        format!(
            "the note is kept here; check that git push works with this remote, or later: git push {remote} {NOTES_REF}"
        )
    })?;
    Ok(true)
}

fn verify(global: &Global, args: &VerifyArgs) -> Outcome {
    if args.threshold == 0 {
        return Err(Failure::new(Exit::Usage, "a threshold of 0 is met by nobody").next("--threshold 1, or more"));
    }
    match &args.keyring {
        Some(directory) => {
            let desk = Desk::open(global)?;
            let (people, keyring) = keyring_of(directory)?;
            let jury = Jury::of_keyring(&people, &keyring, desk.now);
            let group = people.keys().cloned().collect();
            count(global, &desk, args, &jury, &group)
        }
        None => {
            let open = Desk::open_ledger(global)?;
            let chain = open.chain(&open.snapshot()?)?;
            let group = group_of(&chain, args.group.as_ref())?;
            let jury = chain.court().jury();
            count(global, &open.desk, args, &jury, &group)
        }
    }
}

fn group_of(chain: &ChainState, role: Option<&RoleName>) -> Outcome<BTreeSet<PersonName>> {
    let Some(role) = role else {
        return Ok(chain.policy.people.keys().cloned().collect());
    };
    let found = chain.policy.roles.get(role).map(|role| role.people.clone());
    found.ok_or_else(|| {
        let known: Vec<_> = chain.policy.roles.keys().map(RoleName::as_str).collect();
        Failure::new(Exit::Usage, format!("the policy has no role {role}"))
            .next(format!("--group with one of: {}", known.join(", ")))
    })
}

/// One person a file: `alice.asc` is alice.
fn keyring_of(directory: &Path) -> Outcome<(BTreeMap<PersonName, Sha256Digest>, Keyring)> {
    let mut people = BTreeMap::new();
    let mut keyring = Keyring::default();
    let usage = || {
        format!(
            "a directory of certificate files, one a person, as alice.asc: {}",
            directory.display()
        )
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).or_exit_with(Exit::Usage, usage)? {
        let path = entry.or_exit(Exit::Environment)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let refuse = |why: String| Failure::new(Exit::Refused, format!("{}: {why}", path.display()));
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let name: PersonName = stem.parse().map_err(|error: attestation::names::NameError| {
            refuse(error.to_string()).next("name the file after its person, as alice.asc")
        })?;
        let bytes = fs::read(&path).or_exit(Exit::Environment)?;
        let read: BTreeSet<_> = keyring
            .add(&bytes)
            .map_err(|error| refuse(error.to_string()))?
            .into_iter()
            .collect();
        let [pinned] = read.iter().copied().collect::<Vec<_>>()[..] else {
            return Err(refuse(format!("{} certificates, a person has one", read.len())).next("one file a person"));
        };
        if let Some((other, _)) = people.iter().find(|(_, known)| **known == pinned) {
            return Err(refuse(format!("the same certificate as {other}'s")).next("one file a person"));
        }
        if people.insert(name.clone(), pinned).is_some() {
            return Err(refuse(format!("a second file of {name}")).next("one file a person"));
        }
    }
    if people.is_empty() {
        return Err(Failure::new(Exit::Usage, format!("{} has no certificate", directory.display())).next(usage()));
    }
    Ok((people, keyring))
}

fn count(global: &Global, desk: &Desk, args: &VerifyArgs, jury: &Jury<'_>, group: &BTreeSet<PersonName>) -> Outcome {
    let history = history::open(desk)?;
    let commit = named(&history, &args.revision)?;
    let mut bytes = Vec::new();
    history.commit_bytes(commit, &mut bytes).or_exit(Exit::Environment)?;
    let lines = history.note_lines(commit).or_exit(Exit::Environment)?;
    let (mut notes, mut junk) = (Vec::new(), Vec::new());
    for line in &lines {
        match Note::parse(line.as_bytes()) {
            Ok(note) => notes.push(note),
            Err(error) => junk.push(error.to_string()),
        }
    }
    let candidate = Candidate::commit(oid(commit), &bytes).or_exit(Exit::Refused)?;
    let candidates = [candidate.with_notes(notes)];
    let mut facts = Facts::default();
    let mut work = Work {
        threads: NonZeroUsize::MIN,
        facts: &mut facts,
    };
    let heard = jury.hear(&candidates, &mut work);
    let outcome = heard[0].count(group, args.threshold);
    let details = json!({"commit": commit.to_string(), "threshold": args.threshold, "group": args.group,
        "lines": lines.len(), "lines-passed-over": junk, "binds": "sha1"});
    for reason in &junk {
        output::warn(&format!("a line of the note is passed over: {reason}"));
    }
    match outcome {
        Ok(vouches) => {
            let mut json = details;
            json["verified"] = json!(true);
            json["counted"] = json!(vouches);
            output::result(global.format, &json, || text(commit, args.threshold, &vouches));
            Ok(())
        }
        Err(refusal) => {
            let next = match &refusal {
                ObjectRefusal::Threshold { shortfall, .. } => format!(
                    "fetch the notes: git fetch origin {NOTES_REF}:{NOTES_REF}; or one of {} runs: assay git-sig sign {commit}",
                    shortfall.tally.could_still_sign.join(", ")
                ),
                _ => "assay git-sig sign".to_owned(),
            };
            Err(Failure::new(Exit::Refused, refusal)
                .next(format!("{next} ({BINDS})"))
                .details(details))
        }
    }
}

fn text(commit: ObjectId, threshold: u32, vouches: &[Vouch]) -> String {
    let mut text = format!(
        "{commit} is signed by {} people, needed are {threshold}\n",
        vouches.len()
    );
    for vouch in vouches {
        let who = vouch
            .person
            .as_ref()
            .map_or_else(|| vouch.key.to_string(), ToString::to_string);
        let when = vouch.signed_at.map(|at| at.to_string()).unwrap_or_default();
        let _ = writeln!(text, "  {who}  key {}  {when}", vouch.key);
    }
    text + BINDS
}

fn named(history: &History, revision: &str) -> Outcome<ObjectId> {
    let target = history
        .target(revision)
        .or_exit_with(Exit::Usage, || "name a commit, branch or tag of this clone".to_owned())?;
    Ok(target.commit)
}
