//! `touchstone build`: builds packages, and has approved first what no release lists.

use std::{ffi::OsString, path::Path, path::PathBuf, process::ExitCode};

use clap::Args;
use gate::approver::request::{Attribute, Question, Source, Wanted};

use super::gate::{Asked, Prepared};
use crate::{
    failure::{Failure, Kind},
    output::Output,
};

/// Build packages of the installed release, or of an expression of yours that root has approved
#[derive(Debug, Args)]
#[command(after_help = "\
What a signed list has is built without asking anybody. For the rest the approver of the gate is asked; only root may have an
expression of its own approved, from files that nobody else can change. Such a file may be a function of pkgs, lib, nixpkgs
(the path of the package set) and system.

Examples:
  touchstone build hello
  sudo touchstone build --file /etc/touchstone/packages.nix our-hello")]
pub(crate) struct Arguments {
    /// Attributes, as hello or python3Packages.requests
    #[arg(value_name = "ATTRIBUTE", required_unless_present = "file")]
    attributes: Vec<Attribute>,

    /// An expression of the owner's; the attributes are its
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Take this source although no signed list has it (may be given again; as root)
    #[arg(long = "source", value_name = "PATH")]
    sources: Vec<Source>,

    /// The link to what was built
    #[arg(long, short, value_name = "LINK", default_value = "result")]
    out_link: PathBuf,

    /// Make no link
    #[arg(long, conflicts_with = "out_link")]
    no_out_link: bool,
}

pub(crate) fn run(arguments: &Arguments, state: &Path, output: Output) -> Result<ExitCode, Failure> {
    let prepared = Prepared::new(state)?;
    let attributes = arguments.attributes.clone();
    let wanted = match &arguments.file {
        Some(file) => Wanted::Expression {
            file: absolute(file)?,
            attributes,
        },
        None => Wanted::Packages { attributes },
    };
    let question = Question::new(wanted, arguments.sources.iter().cloned().collect());
    let asked = prepared.ask(question, output)?;
    say(&asked, output);
    let link: Vec<OsString> = if arguments.no_out_link {
        vec!["--no-out-link".into()]
    } else {
        vec!["--out-link".into(), arguments.out_link.clone().into()]
    };
    let status = prepared.build(&asked, &link)?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

pub(super) fn say(asked: &Asked, output: Output) {
    if let Some(count) = asked.approved {
        output.note(&format!(
            "approved on request: {count} derivations; touchstone gate requests lists what is"
        ));
    }
}

/// A file as the approver can find it, wherever this was typed.
pub(super) fn absolute(file: &Path) -> Result<PathBuf, Failure> {
    file.canonicalize().map_err(|source| {
        let path = file.to_owned();
        Failure::new(
            Kind::Usage,
            "no-file",
            NoFile { path, source },
            "name a file that is there",
        )
    })
}

#[derive(Debug, thiserror::Error)]
#[error("cannot find {}", path.display())]
struct NoFile {
    path: PathBuf,
    source: std::io::Error,
}
