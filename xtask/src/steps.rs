//! What the demo and the cycle share: three made-up people, each with a key and a clone of the fork, in a folder.
//!
//!     fork.git                 the bare repository through which they exchange the ledger
//!     channel.toml             the policy without its people
//!     policy.toml              the policy
//!     PERSON/keys              a key of the development kind, and its certificate
//!     PERSON/fork              their clone
//!     PERSON/state             what `assay` remembers on their machine
//!     publisher                the online key, and its public half
//!     site                     the published channel
//!     subscriber               the machine of somebody who installs
//!
//! Whatever appears here appears whole, by a rename: a step that was killed is done again, one that is done stays.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::call::{Call, Commands};
use crate::channel_file::{self, ChannelFile};
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::tokens::Tokens;

/// The people. The first one also publishes.
pub(crate) const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

/// The policy without its people. There once the policy is.
const CHANNEL: &str = "channel.toml";

/// How long a token takes at most from its plug to the first answer.
const PLUGGING: Duration = Duration::from_secs(10);

/// Held by a run; it stays.
const LOCK: &str = "lock";

/// The folder, and the commands that work in it.
#[derive(Debug)]
pub(crate) struct Work {
    /// The folder, absolute.
    pub(crate) folder: PathBuf,
    /// The two commands.
    pub(crate) commands: Commands,
    /// Whether nothing of the user's environment counts.
    hermetic: bool,
    /// The people's tokens, if they have any.
    tokens: Option<Tokens>,
    _lock: File,
}

/// What `assay init` prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Started {
    /// The payload of the first root.
    pub(crate) first_root: String,
}

/// What `assay import` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Imported {
    pub(crate) commits: u64,
    pub(crate) units: u64,
}

/// What `assay release` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Proposed {
    pub(crate) sequence: u64,
    pub(crate) commit: String,
}

/// What `assay sign` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Signed {
    pub(crate) signed: Vec<SignedItem>,
}

/// One thing that was signed.
#[derive(Debug, Deserialize)]
pub(crate) struct SignedItem {
    pub(crate) what: String,
}

/// What `assay publish` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Published {
    pub(crate) chain: String,
    pub(crate) finished: Vec<String>,
    pub(crate) timestamp: Option<u64>,
}

/// What `assay queue` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Queue {
    pub(crate) to: String,
    pub(crate) total: u64,
    pub(crate) open: u64,
    pub(crate) units: Vec<Unit>,
}

/// A changed unit.
#[derive(Debug, Deserialize)]
pub(crate) struct Unit {
    pub(crate) unit: String,
    pub(crate) class: String,
    pub(crate) verdict: State,
}

/// What becomes of it.
#[derive(Debug, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum State {
    Covered {},
    Lacking { missing: Vec<Missing> },
    Rejected { by: Vec<String>, notes: Vec<String> },
    Violated { reason: String },
}

impl State {
    /// In a few words.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Covered {} => "covered by reviews".to_owned(),
            Self::Lacking { missing } => {
                let needs = missing.iter().map(|m| format!("{} of {} {}", m.have, m.need, m.role));
                format!("approved by {}", needs.collect::<Vec<_>>().join(", "))
            }
            Self::Rejected { by, notes } => format!("rejected by {}: {}", by.join(", "), notes.join("; ")),
            Self::Violated { reason } => format!("known to be bad: {reason}"),
        }
    }
}

/// How many of which role are missing.
#[derive(Debug, Deserialize)]
pub(crate) struct Missing {
    role: String,
    have: u64,
    need: u64,
    /// Who could still approve it.
    pub(crate) could: Vec<String>,
}

/// What `touchstone update` prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Updated {
    pub(crate) outcome: String,
    pub(crate) generation: u64,
    pub(crate) release: Release,
    pub(crate) signed_by: Vec<String>,
}

/// A release as a subscriber sees it.
#[derive(Debug, Deserialize)]
pub(crate) struct Release {
    pub(crate) sequence: u64,
    pub(crate) commit: String,
}

impl Work {
    /// Works in `folder`; a second run there at the same time is refused. The lock goes with the process.
    pub(crate) fn open(folder: &Path, hermetic: bool, commands: Commands) -> Result<Self> {
        make(folder)?;
        let folder = folder
            .canonicalize()
            .map_err(Failure::io(format_args!("find {}", folder.display())))?;
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(Failure::io(format_args!("create {}", path.display())))?;
        lock.try_lock().map_err(|_| {
            Failure::environment(format!(
                "another run works in {}; wait for it, or name another folder",
                folder.display()
            ))
        })?;
        Ok(Self {
            folder,
            commands,
            hermetic,
            tokens: None,
            _lock: lock,
        })
    }

    /// From now on the people sign with tokens.
    pub(crate) fn plug_in_tokens(&mut self) -> Result<()> {
        self.tokens = Some(Tokens::plug_in(&self.folder, &PEOPLE)?);
        Ok(())
    }

    /// Whether they do.
    pub(crate) fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Removes all that an earlier run has left.
    pub(crate) fn clear(&self) -> Result<()> {
        let failed = || Failure::io(format!("list {}", self.folder.display()));
        for entry in fs::read_dir(&self.folder).map_err(failed())? {
            let path = entry.map_err(failed())?.path();
            if path != self.path(LOCK) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn clone_of(&self, person: &str) -> PathBuf {
        self.path(person).join("fork")
    }

    /// A call of `assay` by a person in their clone.
    pub(crate) fn assay(&self, person: &str) -> Call {
        let call = self.keep_apart(self.commands.assay(person, &self.clone_of(person)), person);
        match self.tokens.as_ref().and_then(|tokens| tokens.pin(person)) {
            Some(pin) => call.typing(&pin),
            None => call,
        }
    }

    /// A call of `assay` by a person who has no clone yet, in their folder.
    fn assay_before(&self, person: &str) -> Call {
        self.keep_apart(self.commands.assay(person, &self.path(person)), person)
    }

    /// A call of `touchstone` by the subscriber.
    pub(crate) fn touchstone(&self) -> Call {
        let name = "subscriber";
        let call = self.commands.touchstone(name, &self.path(name));
        self.keep_apart(call, name)
    }

    fn keep_apart(&self, call: Call, who: &str) -> Call {
        let folder = self.path(who);
        let call = call.env("XDG_STATE_HOME", folder.join("state"));
        let call = match self.tokens.as_ref().and_then(|tokens| tokens.socket(who)) {
            Some(socket) => call.env("PCSCLITE_CSOCK_NAME", socket),
            None => call,
        };
        if self.hermetic {
            call.hermetic().env("HOME", folder)
        } else {
            call
        }
    }

    /// git in a folder, with nobody's configuration if this work is hermetic.
    pub(crate) fn git(&self, directory: &Path) -> Line {
        let line = Line::new("git").directory(directory);
        if self.hermetic {
            line.hermetic()
                .env("HOME", &self.folder)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_CONFIG_NOSYSTEM", "1")
        } else {
            line
        }
    }

    /// The key of a person, if they have none yet: the calls that make it.
    pub(crate) fn key(&self, person: &str, terminal: &Terminal) -> Result<Vec<Call>> {
        let folder = self.path(person);
        if folder.join("keys").exists() {
            return Ok(Vec::new());
        }
        if let Some(tokens) = &self.tokens {
            return self.enroll(tokens, person, terminal);
        }
        make(&folder)?;
        let call = |out: &str| {
            let token = ["token", "software", "--name", person, "--out", out];
            self.assay_before(person).args(token)
        };
        appear(&folder.join("keys"), |new| {
            call(&new.to_string_lossy()).run(terminal)?.text().map(drop)
        })?;
        Ok(vec![call("keys")])
    }

    /// A person's token gets PINs that are theirs, and keys.
    fn enroll(&self, tokens: &Tokens, person: &str, terminal: &Terminal) -> Result<Vec<Call>> {
        let steps: [(&str, &[&str]); 3] = [
            ("change-pin", &["token", "pin"]),
            ("change-admin-pin", &["token", "pin", "--admin"]),
            ("enroll", &["token", "enroll", "--name", person, "--out", "keys"]),
        ];
        let mut calls = Vec::new();
        for (what, args) in steps {
            let call = self.assay_before(person).args(args);
            let typed = tokens.typed(person, what).unwrap_or_default();
            // The card is plugged in while we get here; the first question waits for it.
            let wait = Instant::now();
            loop {
                let ran = call.clone().typing(&typed).run(terminal)?;
                match ran.text() {
                    Ok(_) => break,
                    Err(_) if wait.elapsed() < PLUGGING && ran.said().contains("no token is plugged in") => {}
                    Err(failure) => return Err(failure),
                }
            }
            calls.push(call);
        }
        Ok(calls)
    }

    /// The publishing machine's key, if there is none yet.
    pub(crate) fn online_key(&self, terminal: &Terminal) -> Result<Option<Call>> {
        let publisher = PEOPLE[0];
        let call = |out: &Path| {
            let token = self.assay_before(publisher).args(["token", "online", "--out"]);
            token.arg(out)
        };
        if self.path("publisher").exists() {
            return Ok(None);
        }
        appear(&self.path("publisher"), |new| {
            make(new)?;
            let ran = call(&new.join("online.key")).ask(terminal)?;
            write(&new.join("online-key.json"), ran.text()?)
        })?;
        Ok(Some(call(Path::new("../publisher/online.key"))))
    }

    /// A folder is for one policy: refuses another than the one that it was started with.
    pub(crate) fn is_for(&self, channel: &ChannelFile) -> Result<()> {
        let started = self.path(CHANNEL);
        if !started.exists() || read(&started)? == channel.text()? {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{} was started with another policy or upstream ({}); name another folder, or delete it",
            self.folder.display(),
            started.display()
        )))
    }

    /// Puts the people into the policy and writes it, if there is none yet.
    pub(crate) fn policy(&self, channel: &ChannelFile, terminal: &Terminal) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Online {
            online_key: String,
        }
        if self.path(CHANNEL).exists() {
            return Ok(());
        }
        let mut people = Vec::new();
        for person in PEOPLE {
            let certificate = format!("keys/{person}.asc");
            let call = self
                .assay_before(person)
                .args(["policy", "person", person, &certificate]);
            people.push(call.ask(terminal)?.json::<channel_file::Person>()?);
        }
        let json = read(&self.path("publisher/online-key.json"))?;
        let online: Online = serde_json::from_str(&json)
            .map_err(|error| Failure::environment(format!("the online key's public half cannot be read: {error}")))?;
        let policy = channel.policy(&people, &online.online_key)?;
        for (name, text) in [("policy.toml", policy), (CHANNEL, channel.text()?)] {
            appear(&self.path(name), |new| write(new, &text))?;
        }
        Ok(())
    }

    /// A person's clone of the fork, if they have none yet.
    pub(crate) fn clone_fork(&self, person: &str, with_files: bool, terminal: &Terminal) -> Result<()> {
        let clone = self.clone_of(person);
        if clone.exists() {
            return Ok(());
        }
        appear(&clone, |new| {
            let files: &[&str] = if with_files { &[] } else { &["--no-checkout"] };
            let line = self.git(&self.folder).args(["clone", "--quiet"]).args(files);
            let line = line.arg(self.path("fork.git")).arg(new);
            line.text(terminal).map(drop)
        })
    }

    /// The call that starts the chain, by the first person.
    pub(crate) fn start(&self) -> Call {
        let me = PEOPLE[0];
        let mut call = self.assay(me).args(["init", "--policy", "../../policy.toml"]);
        for person in PEOPLE {
            call = call.arg("--certificate");
            call = call.arg(format!("../../{person}/keys/{person}.asc"));
        }
        self.identity(call, me)
    }

    /// The call by which another person joins a chain whose first root is still to be signed.
    pub(crate) fn join(&self, person: &str, first_root: &str) -> Call {
        let call = self.assay(person).args(["init", "--join", "--first-root", first_root]);
        self.identity(call, person)
    }

    fn identity(&self, call: Call, person: &str) -> Call {
        let key = if self.has_tokens() {
            "card:".to_owned()
        } else {
            format!("software:../keys/{person}.secret.asc")
        };
        call.args(["--as", person, "--key", &key, "--remote", "origin"])
    }

    /// The call that publishes the channel.
    pub(crate) fn publish(&self) -> Call {
        let to = [
            "publish",
            "--to",
            "../../site",
            "--online-key",
            "../../publisher/online.key",
        ];
        self.assay(PEOPLE[0]).args(to)
    }
}

/// Makes a folder with those above it.
pub(crate) fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Failure::io(format_args!("make {}", folder.display())))
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Failure::io(format_args!("read {}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Failure::io(format_args!("write {}", path.display())))
}

/// Removes what is there, if anything is.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
    removed.map_err(Failure::io(format_args!("remove {}", path.display())))
}

/// Makes a file or folder under another name and renames it, so that it is there whole or not at all.
pub(crate) fn appear(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    remove(&new)?;
    fill(&new)?;
    fs::rename(&new, path).map_err(Failure::io(format_args!("make {}", path.display())))
}
