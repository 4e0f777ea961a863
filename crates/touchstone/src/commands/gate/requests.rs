//! Requests, evaluated against the release that is installed, and approved where their sources are known.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use attestation::{Sha256Digest, chain::Release};
use gate::{
    Place, Settings,
    approvals::Draft,
    approver::{
        self, UnknownSource,
        answer::{Evaluated, Parts},
        evaluate::{EvaluateError, Evaluator, USER, User},
        known,
        owner::{self, OwnerError},
        request::{Request, Wanted},
    },
};
use install::{Generation, verify as earn, verify::VerifyError};
use nixstore::nar;
use policy::Verified;
use serde::{Deserialize, Serialize};

use crate::output::chain;

/// What became of a request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Outcome {
    /// Its name.
    pub(crate) id: String,
    /// What was asked for.
    pub(crate) what: String,
    /// Who asked.
    pub(crate) uid: u32,
    /// How many derivations it consists of; 0 when it is refused.
    pub(crate) derivations: usize,
    /// Which of them were asked for.
    pub(crate) roots: Vec<String>,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<Trouble>,
    #[serde(skip)]
    key: Option<Sha256Digest>,
}

/// Why a request approves nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Trouble {
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) next: String,
}

impl Trouble {
    pub(crate) fn new(code: &str, reason: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            reason: reason.into(),
            next: next.into(),
        }
    }
}

/// The release that requests are evaluated against: the one that is installed, as long as it approves anything.
pub(super) type Installed<'a> = Option<(&'a Generation, &'a Verified<Release>)>;

/// Evaluates each request, and adds to `draft` what may be added. `draft` holds what signed lists say, and nothing else.
pub(super) fn approve(
    place: &Place,
    installed: Installed<'_>,
    system: &str,
    requests: &[Request],
    draft: &mut Draft,
) -> Vec<Outcome> {
    if requests.is_empty() {
        return Vec::new();
    }
    let signed = draft.clone();
    let tree = tree(installed);
    let mut outcomes = Vec::new();
    for request in requests {
        let mut outcome = Outcome {
            id: request.question.wanted.id(),
            what: request.question.wanted.in_words(),
            uid: request.client.uid,
            derivations: 0,
            roots: Vec::new(),
            trouble: None,
            key: None,
        };
        let done = tree.as_ref().map_err(Clone::clone).and_then(|(tree, nar)| {
            let (evaluated, key) = evaluated(place, request, tree, *nar, system)?;
            outcome.key = Some(key);
            let unknown = approver::unknown_sources(&evaluated, &signed, &request.question.sources);
            if unknown.is_empty() {
                return Ok(evaluated);
            }
            Err(unlisted(&unknown))
        });
        match done {
            Ok(evaluated) => {
                approver::approve(&evaluated, draft);
                outcome.derivations = evaluated.derivations.len();
                outcome.roots = evaluated
                    .roots
                    .iter()
                    .map(|path| format!("/nix/store/{path}"))
                    .collect();
            }
            Err(trouble) => outcome.trouble = Some(trouble),
        }
        outcomes.push(outcome);
    }
    known::retain(place, &outcomes.iter().filter_map(|outcome| outcome.key).collect());
    outcomes
}

/// The tree of the release that is installed, if it is what was signed.
fn tree(installed: Installed<'_>) -> Result<(PathBuf, Sha256Digest), Trouble> {
    let Some((generation, release)) = installed else {
        return Err(Trouble::new(
            "no-release",
            "no release is installed whose tree may be evaluated",
            "touchstone update; touchstone gate status says whether somebody found the installed one to be bad",
        ));
    };
    earn::tree(generation, release).map_err(|error: VerifyError| {
        let next = "touchstone update --repair, then ask again";
        Trouble::new("tree", chain(&error).join(": "), next)
    })?;
    let tree = fs::canonicalize(generation.nixexprs());
    let tree = tree.map_err(|error| Trouble::new("tree", error.to_string(), "check the disk"))?;
    Ok((tree, release.get().channel_nar))
}

fn evaluated(
    place: &Place,
    request: &Request,
    tree: &Path,
    nar: Sha256Digest,
    system: &str,
) -> Result<(Evaluated, Sha256Digest), Trouble> {
    let wanted = &request.question.wanted;
    let owners = owners(wanted)?;
    let expression = wanted.expression(tree, system);
    // A later version of this program may evaluate otherwise.
    let ours = env!("CARGO_PKG_VERSION");
    let key = known::key(&[&expression, &nar.to_string(), &owners, system, &version()?, ours]);
    if let Some(evaluated) = known::load(place, &key).and_then(|parts| parts.check().ok()) {
        return Ok((evaluated, key));
    }
    let parts = evaluate(place, wanted, expression, tree)?;
    if self::owners(wanted)? != owners {
        let next = "ask again, when it is left alone";
        let reason = "the configuration was changed while it was evaluated";
        return Err(Trouble::new("changed", reason, next));
    }
    if let Err(error) = known::store(place, &key, &parts) {
        eprintln!(
            "touchstone: what was evaluated cannot be remembered: {}",
            chain(&error).join(": ")
        );
    }
    let evaluated = parts.check().map_err(|error| of_evaluation(&error.into()))?;
    Ok((evaluated, key))
}

/// The digest of what is the owner's, once it is shown to be.
fn owners(wanted: &Wanted) -> Result<String, Trouble> {
    check_owner(wanted)?;
    let Some(file) = wanted.file() else {
        return Ok(String::new());
    };
    let directory = file.parent().unwrap_or(Path::new("/"));
    nar::hash_path(directory)
        .map(|digest| digest.sha256.to_string())
        .map_err(|error| {
            Trouble::new(
                "not-the-owners",
                chain(&error).join(": "),
                "put it into a directory of its own",
            )
        })
}

/// Whether what is asked about is the owner's.
pub(super) fn check_owner(wanted: &Wanted) -> Result<(), Trouble> {
    let Some(file) = wanted.file() else { return Ok(()) };
    owner::check(file).map_err(|error| {
        let next = match &error {
            OwnerError::Foreign { path, .. } => format!(
                "what is evaluated for everybody must be root's alone: chown root {0}; chmod go-w {0}; or put it into a \
                 directory of its own, as /etc/nixos",
                path.display()
            ),
            OwnerError::Elsewhere { found, .. } => format!("name it as {}", found.display()),
            OwnerError::Read { .. } => "name a file that is there".to_owned(),
            OwnerError::TooMany { .. } => "put it into a directory of its own, as /etc/nixos".to_owned(),
        };
        Trouble::new("not-the-owners", chain(&error).join(": "), next)
    })
}

/// Which Nix evaluates: another may mean other derivations.
fn version() -> Result<String, Trouble> {
    let output = Command::new("nix-instantiate").arg("--version").output();
    let output = output.map_err(|error| {
        let next = "put Nix on PATH (as root it is often in /nix/var/nix/profiles/default/bin)";
        Trouble::new("nix", format!("cannot run nix-instantiate: {error}"), next)
    })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn evaluate(place: &Place, wanted: &Wanted, expression: String, tree: &Path) -> Result<Parts, Trouble> {
    let Some(user) = User::find(USER, Path::new("/etc")) else {
        return Err(Trouble::new(
            "no-user",
            format!("there is no user {USER}, who evaluates and does nothing else"),
            format!("as root: useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {USER}"),
        ));
    };
    let io =
        |error: std::io::Error| Trouble::new("evaluator", error.to_string(), "check the disk and the state directory");
    fs::create_dir_all(place.evaluation()).map_err(io)?;
    let program = env::current_exe().map_err(io)?;
    let settings = Settings::read(place).map_err(|error| {
        Trouble::new(
            "settings",
            chain(&error).join(": "),
            "touchstone gate on writes them anew",
        )
    })?;
    let evaluator = Evaluator {
        program: vec![program, "gate".into(), "evaluate".into()],
        work: fs::canonicalize(place.evaluation()).map_err(io)?,
        user,
        limits: settings.evaluation,
    };
    evaluator
        .evaluate(expression, wanted.search_path(tree))
        .map_err(|error| of_evaluation(&error))
}

fn of_evaluation(error: &EvaluateError) -> Trouble {
    let (code, next) = match error {
        EvaluateError::Start(_) | EvaluateError::Stage { .. } => (
            "evaluator",
            "the approver needs root and namespaces; in a container it must be privileged",
        ),
        EvaluateError::TooLong { .. } => (
            "too-long",
            "ask for less, or allow more: touchstone gate on --evaluation-seconds N --evaluation-memory MIB",
        ),
        EvaluateError::Answer(approver::answer::AnswerError::Failed { .. }) => (
            "evaluation",
            "only the signed release and the directory of the configuration may be read, nothing may be fetched, and nothing \
             built while it is evaluated",
        ),
        EvaluateError::Answer(_) => ("answer", "ask for help: this should not happen"),
    };
    Trouble::new(code, chain(error).join(": "), next)
}

fn unlisted(unknown: &[UnknownSource]) -> Trouble {
    let each = unknown.iter().map(|source| {
        let url = source
            .url
            .as_ref()
            .map_or_else(String::new, |url| format!(" from {url}"));
        format!("{}{url} ({})", source.path, source.algorithm)
    });
    let reason = format!(
        "{} that it downloads {} in no signed list: {}",
        if unknown.len() == 1 { "a source" } else { "sources" },
        if unknown.len() == 1 { "is" } else { "are" },
        each.collect::<Vec<_>>().join("; ")
    );
    if let Some(broken) = unknown.iter().find(|source| source.broken) {
        let next = format!(
            "give {} a SHA-256: what a broken hash fixes can be exchanged",
            broken.path
        );
        return Trouble::new("unlisted-source", reason, next);
    }
    let named: Vec<_> = unknown
        .iter()
        .map(|source| format!("--source {}", source.path))
        .collect();
    let next = format!(
        "look at them; who takes them all the same asks again, as root, with {}",
        named.join(" ")
    );
    Trouble::new("unlisted-source", reason, next)
}

/// As a person reads it.
pub(super) fn in_words(outcome: &Outcome) -> String {
    match &outcome.trouble {
        None => format!(
            "on request {}: {} ({} derivations)",
            outcome.id, outcome.what, outcome.derivations
        ),
        Some(trouble) => format!(
            "request {} ({}) approves nothing: {}\nnext: {}",
            outcome.id, outcome.what, trouble.reason, trouble.next
        ),
    }
}
