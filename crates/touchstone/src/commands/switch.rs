//! `touchstone switch`: a system from a configuration, approved, built, and switched to.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::{Args, ValueEnum};
use gate::approver::request::{Question, Source, Wanted};
use nixstore::StoreDir;
use serde::Serialize;

use super::{
    build,
    gate::{Asked, Prepared},
};
use crate::{
    failure::{Failure, Kind},
    output::Output,
};

/// Build a system from its configuration and the installed release, and switch to it
#[derive(Debug, Args)]
#[command(after_help = "\
The configuration is root's: neither it, nor what lies beside or below it, nor a directory above it may be writable by others.
It reads the installed release (as <nixpkgs>) and its own directory. What it downloads must be in a signed list, or be named
with --source.

Example:
  sudo touchstone switch --configuration /etc/nixos/configuration.nix")]
pub(crate) struct Arguments {
    /// What to do with the system
    #[arg(value_enum, default_value_t = Action::Switch)]
    action: Action,

    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/nixos/configuration.nix")]
    configuration: PathBuf,

    /// Take this source although no signed list has it (may be given again)
    #[arg(long = "source", value_name = "PATH")]
    sources: Vec<Source>,

    /// The profile of the system
    #[arg(long, value_name = "PROFILE", default_value = "/nix/var/nix/profiles/system")]
    profile: PathBuf,
}

/// What to do with a system, as nixos-rebuild has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Make it the system, now and at the next start
    Switch,
    /// Make it the system at the next start
    Boot,
    /// Make it the system until the next start
    Test,
    /// Say what switching would do
    DryActivate,
    /// Build it, and do nothing with it
    Build,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Switched {
    system: PathBuf,
    /// The profile, where it was set.
    profile: Option<PathBuf>,
    /// Whether the system's own program was run.
    activated: bool,
}

pub(crate) fn run(arguments: &Arguments, state: &Path, output: Output) -> Result<ExitCode, Failure> {
    let action = arguments.action;
    if action != Action::Build && !rustix::process::geteuid().is_root() {
        return Err(Failure::new(
            Kind::Environment,
            "not-root",
            NotRoot,
            "sudo touchstone switch",
        ));
    }
    let prepared = Prepared::new(state)?;
    let configuration = build::absolute(&arguments.configuration)?;
    let sources: BTreeSet<Source> = arguments.sources.iter().cloned().collect();
    let question = Question::new(Wanted::System { configuration }, sources);
    let asked = prepared.ask(question, output)?;
    build::say(&asked, output);
    let system = realise(&prepared, &asked)?;
    let mut switched = Switched {
        system,
        profile: None,
        activated: false,
    };
    if matches!(action, Action::Switch | Action::Boot) {
        let mut set = prepared.command("nix-env");
        set.arg("--profile")
            .arg(&arguments.profile)
            .arg("--set")
            .arg(&switched.system);
        done(set.stdout(Stdio::null()), "nix-env --set")?;
        switched.profile = Some(arguments.profile.clone());
    }
    let program = switched.system.join("bin/switch-to-configuration");
    if let Some(word) = action.word()
        && program.exists()
    {
        // What it prints is for people, and standard output is for the result.
        done(
            Command::new(program).arg(word).stdout(Stdio::inherit()),
            "switch-to-configuration",
        )?;
        switched.activated = true;
    }
    output.result(&switched, |switched| in_words(switched, action));
    Ok(ExitCode::SUCCESS)
}

impl Action {
    /// What the system's own program is told.
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::Switch => Some("switch"),
            Self::Boot => Some("boot"),
            Self::Test => Some("test"),
            Self::DryActivate => Some("dry-activate"),
            Self::Build => None,
        }
    }
}

/// Builds the system; where it is.
fn realise(prepared: &Prepared, asked: &Asked) -> Result<PathBuf, Failure> {
    let mut command = prepared.command("nix-build");
    let paths = asked
        .derivations
        .iter()
        .map(|path| format!("{}/{path}", StoreDir::default()));
    command.arg("--no-out-link").args(paths).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| failed("nix-build", error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match text.lines().collect::<Vec<_>>().as_slice() {
        [path] if output.status.success() => Ok(PathBuf::from(path)),
        _ => Err(failed(
            "nix-build",
            std::io::Error::other(format!("it ended with {}", output.status)),
        )),
    }
}

fn done(command: &mut Command, program: &'static str) -> Result<(), Failure> {
    let status = command.status().map_err(|error| failed(program, error))?;
    if status.success() {
        return Ok(());
    }
    Err(failed(
        program,
        std::io::Error::other(format!("it ended with {status}")),
    ))
}

fn failed(program: &'static str, source: std::io::Error) -> Failure {
    let next = "what it said is above; touchstone gate status has what was refused";
    Failure::new(Kind::Environment, "nix", Failed { program, source }, next)
}

fn in_words(switched: &Switched, action: Action) -> String {
    let system = switched.system.display();
    let mut text = switched.profile.as_ref().map_or_else(
        || format!("the system is {system}"),
        |profile| format!("{} is now {system}", profile.display()),
    );
    if !switched.activated && action.word().is_some() {
        text += "\nit has no bin/switch-to-configuration: nothing was activated";
    }
    text
}

#[derive(Debug, thiserror::Error)]
#[error("only root may switch the system")]
struct NotRoot;

#[derive(Debug, thiserror::Error)]
#[error("{program} failed")]
struct Failed {
    program: &'static str,
    source: std::io::Error,
}
