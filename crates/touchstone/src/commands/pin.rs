//! `touchstone pin`: the installed release in the Nix store, under the path that flakes look for.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output as Ran},
};

use attestation::chain::Release;
use clap::Args;
use install::{Generation, GenerationNumber, State, archive::Tree, verify as earn};
use nixstore::{StoreDir, source_store_path};
use policy::Verified;
use serde::Serialize;
use serde_json::Value;

use super::verify;
use crate::{
    failure::{Failure, Kind},
    output::{Output, Vouched},
    pins,
};

/// Put the installed release into the Nix store, so that flakes which lock it need no network, and print the lines
/// that point Nix at it.
#[derive(Debug, Args)]
#[command(after_help = "\
Upstream's tree gets the store path that Nix computes from its narHash, so every flake.lock that names it resolves without
asking anybody. The path stays as long as the generation does.

Example:
  touchstone update && touchstone pin")]
pub(crate) struct Arguments {
    /// The generation [default: the current one]
    generation: Option<GenerationNumber>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Pinned {
    generation: GenerationNumber,
    store_path: PathBuf,
    nar_hash: String,
    nix_path: String,
    registry: Value,
    #[serde(flatten)]
    vouched: Vouched,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let generation = verify::find(&state, arguments.generation)?;
    let release = verify::authenticate(&state, &state.subscription()?, &generation)?;
    let store_path = place(&generation, &release)?;
    let pinned = Pinned {
        generation: generation.number(),
        nar_hash: Tree::Source.nar(release.get()).to_sri(),
        nix_path: pins::nix_path(&state),
        registry: pins::registry(&store_path, release.get()),
        store_path,
        vouched: Vouched::new(&release),
    };
    output.result(&pinned, |pinned| {
        format!(
            "{} is {}\n\n{}",
            pinned.vouched.in_words(),
            pinned.store_path.display(),
            pins::in_words(&pinned.nix_path, Some(&pinned.registry))
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// Puts the tree of a release into the store, as upstream has it, for as long as the generation is there.
pub(crate) fn place(generation: &Generation, release: &Verified<Release>) -> Result<PathBuf, Failure> {
    earn::tree(generation, release)?;
    let nar = Tree::Source.nar(release.get());
    let expected = source_store_path(&StoreDir::default(), "source", &nar);
    let expected = expected.expect("`source` is a name").in_dir(&StoreDir::default());

    let tree = generation
        .nixexprs()
        .canonicalize()
        .map_err(|source| failed("find", source))?;
    let text = run_nix(
        "nix-instantiate",
        &[
            "--eval",
            "--read-write-mode",
            "--option",
            "restrict-eval",
            "false",
            "--expr",
            &expression(&tree, &nar.to_sri()),
        ],
    )?;
    let found: PathBuf = serde_json::from_str(text.trim()).unwrap_or_default();
    if found != expected {
        return Err(Failure::new(
            Kind::Refused,
            "other-store-path",
            OtherPath { expected, found },
            "report this, with the version of Nix",
        ));
    }
    let link = std::path::absolute(generation.store_link()).map_err(|source| failed("find", source))?;
    let (link, path) = (link.display().to_string(), expected.display().to_string());
    run_nix("nix-store", &["--add-root", &link, "--indirect", "--realise", &path])?;
    Ok(expected)
}

/// Nix itself copies upstream's part of the tree, and compares its hash with what was signed.
fn expression(tree: &Path, sri: &str) -> String {
    let tree = nix_string(&tree.display().to_string());
    let left_out: Vec<_> = Tree::Source.left_out().iter().map(|name| nix_string(name)).collect();
    format!(
        "\"${{builtins.path {{ path = {tree}; name = \"source\"; sha256 = {}; filter = path: type: \
         !(dirOf path == {tree} && builtins.elem (baseNameOf path) [ {} ]); }}}}\"",
        nix_string(sri),
        left_out.join(" ")
    )
}

fn nix_string(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${")
    )
}

fn run_nix(program: &'static str, arguments: &[&str]) -> Result<String, Failure> {
    let ran: Ran = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|source| failed(program, source))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        return Err(Failure::new(
            Kind::Environment,
            "nix",
            NixFailed { program, said },
            "check that Nix works here: nix-store --version; touchstone verify says whether the generation is whole",
        ));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

fn failed(program: &'static str, source: io::Error) -> Failure {
    Failure::new(
        Kind::Environment,
        "nix",
        NotRun { program, source },
        "install Nix, or run this where it is on PATH",
    )
}

#[derive(Debug, thiserror::Error)]
#[error("cannot run {program}")]
struct NotRun {
    program: &'static str,
    source: io::Error,
}

#[derive(Debug, thiserror::Error)]
#[error("{program} failed: {said}")]
struct NixFailed {
    program: &'static str,
    said: String,
}

#[derive(Debug, thiserror::Error)]
#[error("Nix put the tree at {}, expected {}", found.display(), expected.display())]
struct OtherPath {
    expected: PathBuf,
    found: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_become_an_expression() {
        assert_eq!(nix_string("a\"b\\c${d}"), r#""a\"b\\c\${d}""#);
        let text = expression(Path::new("/x/${builtins.abort \"y\"}"), "sha256-AAAA");
        assert!(!text.contains("path = \"/x/${"), "{text}");
    }
}
