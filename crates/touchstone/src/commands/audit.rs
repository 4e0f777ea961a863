//! `touchstone audit`: whether the nixpkgs that a flake locks is one that people signed.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use attestation::{Sha256Digest, canonical};
use clap::Args;
use install::State;
use serde::{Deserialize, Serialize};

use crate::{
    failure::{Failure, Kind},
    known::{Found, Known},
    mirrors::NetworkArguments,
    output::{self, Output, WARNING},
};

/// Hold the nixpkgs inputs of flake.lock files against the releases of the channel.
#[derive(Debug, Args)]
#[command(after_help = "\
An input counts by its narHash alone: what it is called, and which rev it says, proves nothing. Judged are inputs that look like
nixpkgs (by name, repository or address), those that lock what a release has, and those that --input names; the others are named
and not judged. Exit code 1 when one that is judged is of no release, or of one that people have said to be bad.

Examples:
  touchstone audit                     # ./flake.lock
  touchstone audit ~/src/*/flake.lock --format json
  touchstone audit --input pkgs-stable")]
pub(crate) struct Arguments {
    /// The lock files, or directories that have one
    #[arg(default_value = "flake.lock")]
    locks: Vec<PathBuf>,

    /// Judge this input too, whatever it looks like
    #[arg(long = "input", value_name = "NAME")]
    inputs: Vec<String>,

    /// Ask no mirror: know only the releases that are installed
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    network: NetworkArguments,
}

/// No lock is longer.
const LONGEST: u64 = 16 << 20;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Audit {
    channel: String,
    /// The newest release that is known, and so as of which this holds.
    newest: u64,
    good: bool,
    inputs: Vec<Input>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Input {
    lock: PathBuf,
    input: String,
    nar_hash: Option<String>,
    verdict: Verdict,
    /// The release that has what is locked.
    release: Option<Found>,
    /// How many releases are newer.
    behind: Option<u64>,
    /// What is wrong, and what to do about it.
    wrong: Option<String>,
    next: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// What is locked is a tree that people signed.
    Released,
    /// It is, and people have said since that it is bad.
    Violated,
    /// No release has it.
    Unknown,
    /// The lock has no digest to hold against anything.
    NoDigest,
    /// It does not look like nixpkgs, and was not judged.
    NotJudged,
}

/// What is read of a flake.lock; the rest is Nix's.
#[derive(Deserialize)]
struct Lock {
    nodes: BTreeMap<String, Node>,
    root: String,
    version: u64,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    locked: Option<Reference>,
    #[serde(default)]
    original: Option<Reference>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Reference {
    nar_hash: Option<String>,
    rev: Option<String>,
    repo: Option<String>,
    url: Option<String>,
    id: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let mut read = Vec::new();
    for path in &arguments.locks {
        read.push(read_lock(path)?);
    }
    let known = Known::installed(State::open(directory)?, output)?;
    let mut auditor = Auditor { arguments, known };
    let (mut inputs, mut named) = (Vec::new(), Vec::new());
    for (path, lock) in read {
        for (name, node) in lock.nodes.iter().filter(|(name, _)| **name != lock.root) {
            if arguments.inputs.contains(name) {
                named.push(name.clone());
            }
            inputs.push(auditor.input(&path, name, node)?);
        }
    }
    if let Some(missing) = arguments.inputs.iter().find(|name| !named.contains(name)) {
        let error = NoSuchInput { name: missing.clone() };
        let next = "name an input as the lock does: jq '.nodes | keys' flake.lock";
        return Err(Failure::new(Kind::Usage, "no-such-input", error, next));
    }
    let judged = |input: &&Input| input.verdict != Verdict::NotJudged;
    if inputs.iter().filter(judged).count() == 0 {
        let next = "name the inputs that must be of a release: touchstone audit --input NAME";
        return Err(Failure::new(Kind::Refused, "nothing-judged", NothingJudged, next));
    }
    let audit = Audit {
        channel: auditor.known.subscription().channel.to_string(),
        newest: auditor.known.newest(),
        good: inputs
            .iter()
            .filter(judged)
            .all(|input| input.verdict == Verdict::Released),
        inputs,
    };
    output.result(&audit, in_words);
    Ok(if audit.good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn read_lock(path: &Path) -> Result<(PathBuf, Lock), Failure> {
    let path = if path.is_dir() {
        path.join("flake.lock")
    } else {
        path.to_owned()
    };
    let next = "name a flake.lock, or a directory that has one: touchstone audit PATH";
    let text = read_bounded(&path).map_err(|source| {
        let path = path.clone();
        Failure::new(Kind::Usage, "no-lock", Unreadable { path, source }, next)
    })?;
    let malformed = |found: String| {
        let path = path.clone();
        Failure::new(Kind::Usage, "no-lock", Malformed { path, found }, next)
    };
    // Strictly: what two readers could read in two ways is no lock.
    let strict = canonical::parse(&text).and_then(|value| canonical::from_value(value, "lock"));
    let lock: Lock = strict.map_err(|error| malformed(output::chain(&error).join(": ")))?;
    if !(5..=7).contains(&lock.version) {
        return Err(malformed(format!("version {}, known are 5 to 7", lock.version)));
    }
    Ok((path, lock))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    fs::read(path)
}

struct Auditor<'a> {
    arguments: &'a Arguments,
    known: Known,
}

impl Auditor<'_> {
    fn input(&mut self, path: &Path, name: &str, node: &Node) -> Result<Input, Failure> {
        let nothing = Reference::default();
        let locked = node.locked.as_ref().unwrap_or(&nothing);
        let mut input = Input {
            lock: path.to_owned(),
            input: name.to_owned(),
            nar_hash: locked.nar_hash.clone(),
            verdict: Verdict::NotJudged,
            release: None,
            behind: None,
            wrong: None,
            next: None,
        };
        let digest = locked.nar_hash.as_deref().map(Sha256Digest::from_sri);
        let mut found = digest
            .as_ref()
            .and_then(|digest| self.known.with_nar(*digest.as_ref().ok()?));
        let wanted = self.arguments.inputs.iter().any(|wanted| wanted == name);
        if !wanted && found.is_none() && !looks_like_nixpkgs(name, node) {
            return Ok(input);
        }
        let Some(Ok(digest)) = digest else {
            input.verdict = Verdict::NoDigest;
            input.wrong = Some("the lock has no narHash in SHA-256, so it binds nothing".to_owned());
            input.next = Some(format!("lock it again: nix flake lock --update-input {name}"));
            return Ok(input);
        };
        if found.is_none() && !self.arguments.offline {
            self.known.fetch_list(&self.arguments.network)?;
            found = self.known.with_nar(digest);
        }
        let Some(found) = found else {
            input.verdict = Verdict::Unknown;
            input.wrong = Some(self.why_unknown(locked));
            input.next = Some(self.what_next(name));
            return Ok(input);
        };
        input.behind = Some(self.known.newest().saturating_sub(found.sequence));
        input.verdict = Verdict::Released;
        if let Some(said) = found.violation() {
            input.verdict = Verdict::Violated;
            input.wrong = Some(said);
            input.next = Some(format!(
                "touchstone update, then lock what replaces it: nix flake lock --update-input {name}"
            ));
        }
        input.release = Some(found);
        Ok(input)
    }

    /// The commit's release, where the lock says the commit and has another tree: that is not a different version but a
    /// different content under its name.
    fn why_unknown(&self, locked: &Reference) -> String {
        let of_commit = locked.rev.as_deref().and_then(|rev| self.known.of_commit(rev));
        match of_commit {
            Some(release) => format!(
                "it says commit {:.12}, which is release {}, and locks another content than the signed one ({} for a tree)",
                release.commit.as_str(),
                release.sequence,
                release.nar_hash
            ),
            None if self.arguments.offline => "no installed release has it, and no mirror was asked".to_owned(),
            None => format!("none of the {} releases has it", self.known.newest()),
        }
    }

    fn what_next(&self, name: &str) -> String {
        if self.arguments.offline {
            return "run it without --offline".to_owned();
        }
        format!(
            "lock a release: touchstone serve, and inputs.{name}.url = \"http://127.0.0.1:7448/{}/source.tar\"; or, if the release is \
             newer than what this machine has seen: touchstone update",
            self.known.subscription().channel
        )
    }
}

fn looks_like_nixpkgs(name: &str, node: &Node) -> bool {
    let says = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default().to_ascii_lowercase();
        ["nixpkgs", "nixexprs", "channels.nixos.org", "/nixos-"]
            .iter()
            .any(|word| text.contains(word))
    };
    let references = [&node.locked, &node.original];
    name.to_ascii_lowercase().contains("nixpkgs")
        || references
            .into_iter()
            .flatten()
            .any(|reference| says(&reference.repo) || says(&reference.url) || says(&reference.id))
}

fn in_words(audit: &Audit) -> String {
    let mut lines = Vec::new();
    for input in &audit.inputs {
        let name = format!("{}: {:?}", input.lock.display(), input.input);
        lines.push(match (input.verdict, &input.release, &input.wrong) {
            (Verdict::NotJudged, ..) => format!("{name} does not look like nixpkgs and was not judged"),
            (Verdict::Released, Some(release), _) => {
                let behind = match input.behind {
                    Some(0) | None => "the newest that is known".to_owned(),
                    Some(behind) => format!("{behind} behind the newest that is known"),
                };
                format!("{name} is {}; {behind}", release.in_words())
            }
            (_, release, wrong) => {
                let release = release
                    .as_ref()
                    .map_or(String::new(), |release| format!(" is {}, and", release.in_words()));
                let (wrong, next) = (
                    wrong.as_deref().unwrap_or_default(),
                    input.next.as_deref().unwrap_or_default(),
                );
                format!("{WARNING}{name}{release} is refused:{WARNING:#} {wrong}\n  next: {next}")
            }
        });
    }
    lines.push(format!("as of release {} of {}", audit.newest, audit.channel));
    lines.join("\n")
}

#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
struct Unreadable {
    path: PathBuf,
    source: io::Error,
}

#[derive(Debug, thiserror::Error)]
#[error("{} is no flake.lock: {found}", path.display())]
struct Malformed {
    path: PathBuf,
    found: String,
}

#[derive(Debug, thiserror::Error)]
#[error("no lock has an input {name:?}")]
struct NoSuchInput {
    name: String,
}

#[derive(Debug, thiserror::Error)]
#[error("no input looks like nixpkgs, so nothing was judged")]
struct NothingJudged;
