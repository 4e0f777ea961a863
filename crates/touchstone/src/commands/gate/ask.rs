//! What the clients of the approver have in common: evaluate as a user, see what is not approved, ask for it.

use std::{
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use gate::{
    Place,
    approver::request::{self, Question, Wanted},
    client::Client,
    judge::Judge,
    store::Store,
};
use install::State;
use nixstore::{StoreDir, StorePath};

use super::{
    approver::{self, Reply},
    environment, nix,
    requests::{self, Trouble},
    why,
};
use crate::{
    failure::{Failure, Kind},
    output::Output,
};

/// How long an answer is waited for: as long as an evaluation may take, and a little.
const PATIENCE: Duration = Duration::from_secs(330);

/// The longest answer.
const ANSWER: u64 = 1 << 20;

/// A machine with a gate, and the tree of the release that is installed.
pub(crate) struct Prepared {
    state: PathBuf,
    place: Place,
    tree: PathBuf,
    system: String,
}

/// What may be built.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The derivations that were asked for.
    pub(crate) derivations: Vec<StorePath>,
    /// How many derivations the approver approved for this; `None` when it was not asked, since all was approved.
    pub(crate) approved: Option<usize>,
}

impl Prepared {
    pub(crate) fn new(state: &Path) -> Result<Self, Failure> {
        let place = Place::new(state.join("gate"));
        if !super::was_on(&place) {
            let next = "touchstone gate on, as root; without the gate: nix-build, nix-shell, nixos-rebuild";
            return Err(Failure::new(Kind::Environment, "no-gate", NoGate, next));
        }
        let current = State::open(state)?.current()?;
        let Some(generation) = current else {
            return Err(Failure::new(
                Kind::Environment,
                "nothing-installed",
                NoRelease,
                "touchstone update, as root",
            ));
        };
        let tree = generation.nixexprs().canonicalize();
        Ok(Self {
            state: state.to_owned(),
            place,
            tree: tree.map_err(|error| environment(error, "touchstone verify"))?,
            system: nix::configuration()?.remove("system").unwrap_or_default(),
        })
    }

    /// The package set.
    pub(crate) fn tree(&self) -> &Path {
        &self.tree
    }

    /// Makes sure that all of it may be built: what is approved already needs nobody, and for the rest the approver is asked.
    pub(crate) fn ask(&self, question: Question, output: Output) -> Result<Asked, Failure> {
        if let Err(error) = question.check() {
            let next = "name attributes as hello or python3Packages.requests, and files by absolute paths";
            return Err(Failure::new(Kind::Usage, "question", error, next));
        }
        if rustix::process::geteuid().is_root() {
            // Root evaluates nothing that somebody else wrote.
            requests::check_owner(&question.wanted).map_err(not_approved)?;
        }
        let derivations = self.instantiate(&question.wanted)?;
        if self.passes(&derivations)? {
            return Ok(Asked {
                derivations,
                approved: None,
            });
        }
        output.note(&format!(
            "asking for {}: not all of it is in a signed list",
            question.wanted.in_words()
        ));
        match self.reply(question, output)? {
            Reply::Refused(trouble) => Err(not_approved(trouble)),
            Reply::Approved { derivations: count, .. } if self.passes(&derivations)? => Ok(Asked {
                derivations,
                approved: Some(count),
            }),
            Reply::Approved { .. } => {
                let next =
                    "does it look at the time, at the environment or at files of yours? touchstone gate why DERIVATION";
                Err(Failure::new(Kind::Refused, "other-derivations", Other, next))
            }
        }
    }

    /// Evaluates it with the user's Nix, as the approver does with its own.
    fn instantiate(&self, wanted: &Wanted) -> Result<Vec<StorePath>, Failure> {
        let mut command = self.command("nix-instantiate");
        command.args(request::options(&wanted.search_path(&self.tree)));
        command.arg("-E").arg(wanted.expression(&self.tree, &self.system));
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|error| environment(error, "put Nix on PATH"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let at = said.rfind("error:").unwrap_or(0);
            let next = "only the signed release and the directory of the file may be read, nothing may be fetched, and nothing \
                        built while it is evaluated";
            return Err(Failure::new(
                Kind::Usage,
                "evaluation",
                Said(said[at..].trim().to_owned()),
                next,
            ));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let paths = text.lines().filter_map(|line| line.split('!').next());
        let paths: Result<Vec<_>, _> = paths
            .map(|path| StorePath::parse_in(&StoreDir::default(), path))
            .collect();
        let mut paths =
            paths.map_err(|error| environment(error, "nix-instantiate printed something else than paths"))?;
        paths.dedup();
        Ok(paths)
    }

    fn passes(&self, derivations: &[StorePath]) -> Result<bool, Failure> {
        let judge = Judge::open(&self.place, Store::default()).map_err(|refusal| {
            let next = refusal.next();
            Failure::new(Kind::Environment, refusal.code(), refusal, next)
        })?;
        Ok(derivations.iter().all(|path| why::passes(&judge, path)))
    }

    /// Root needs no service between itself and its files.
    fn reply(&self, question: Question, output: Output) -> Result<Reply, Failure> {
        let socket = self.place.socket();
        match UnixStream::connect(&socket) {
            Ok(stream) => converse(&stream, &question).map_err(|error| {
                let next = "touchstone gate requests says what is approved on request; ask again";
                environment(error, next)
            }),
            Err(_) if rustix::process::geteuid().is_root() => {
                let root = Client { uid: 0, gid: 0 };
                Ok(approver::answer(question, root, &self.state, &self.place, output))
            }
            Err(error) => {
                let next = "as root: touchstone gate approver (a service: systemctl start touchstone-approver.socket)";
                Err(environment(error, next))
            }
        }
    }

    /// A program of Nix, which looks at no package set or configuration but the signed one.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("NIX_PATH", "");
        for variable in ["NIXPKGS_CONFIG", "NIXOS_CONFIG", "NIXPKGS_ALLOW_UNFREE"] {
            command.env_remove(variable);
        }
        command
    }

    /// Builds what may be built, with stock `nix-build`, whose output is the user's.
    pub(crate) fn build(&self, asked: &Asked, more: &[OsString]) -> Result<ExitStatus, Failure> {
        let mut command = self.command("nix-build");
        let paths = asked
            .derivations
            .iter()
            .map(|path| format!("{}/{path}", StoreDir::default()));
        command.args(paths).args(more);
        command.status().map_err(|error| environment(error, "put Nix on PATH"))
    }
}

fn not_approved(trouble: Trouble) -> Failure {
    Failure::new(Kind::Refused, "not-approved", Refused(trouble.reason), trouble.next)
}

fn converse(mut stream: &UnixStream, question: &Question) -> io::Result<Reply> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(question)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(ANSWER)).read_until(b'\n', &mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

#[derive(Debug, thiserror::Error)]
#[error("the gate was never switched on here")]
struct NoGate;

#[derive(Debug, thiserror::Error)]
#[error("no release is installed")]
struct NoRelease;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

#[derive(Debug, thiserror::Error)]
#[error("it was approved, and means other derivations here than where it was approved")]
struct Other;
