//! Two versions of Nix, by `ci/nix.sh`.

use std::path::PathBuf;

use super::Purpose;
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

const SCRIPT: &str = "ci/nix.sh";

/// The wrappers, each of which runs a command with one version.
const WRAPPERS: &[&str] = &["nix28", "nix226"];

/// Written last, with the script that made the folder and where it made it.
const STAMP: &str = ".made-by";

/// Where the wrappers `nix28` and `nix226` are.
fn folder() -> PathBuf {
    workspace::made().join("nix")
}

/// The wrappers hold absolute paths, so a checkout that was moved is not complete.
fn stamp() -> Result<String> {
    let script =
        std::fs::read_to_string(workspace::root().join(SCRIPT)).map_err(Failure::io(format_args!("read {SCRIPT}")))?;
    Ok(format!("# in {}\n{script}", folder().display()))
}

pub(super) fn is_complete() -> bool {
    let made = std::fs::read_to_string(folder().join(STAMP));
    WRAPPERS.iter().all(|wrapper| folder().join(wrapper).is_file())
        && matches!((made, stamp()), (Ok(made), Ok(now)) if made == now)
}

pub(super) fn install(_: Purpose, terminal: &Terminal) -> Result<()> {
    let line = Line::new(workspace::root().join(SCRIPT)).arg(folder());
    let output = line.outcome(terminal)?;
    if !output.status.success() {
        // The script's last words name what this machine lacks, or which server did not answer.
        return Err(Failure::environment(output.stderr.trim().to_owned()));
    }
    let path = folder().join(STAMP);
    std::fs::write(&path, stamp()?).map_err(Failure::io(format_args!("write {}", path.display())))
}

/// Fetches the language tests of the same versions.
const LANGUAGE: &str = "ci/nix-language.sh";

fn language_folder() -> PathBuf {
    workspace::made().join("nix-language")
}

/// Presence of a folder means that it is whole: it is unpacked elsewhere and renamed.
pub(super) fn has_language_tests() -> bool {
    ["2.8", "2.26"]
        .iter()
        .all(|version| language_folder().join(version).is_dir())
}

pub(super) fn install_language_tests(_: Purpose, terminal: &Terminal) -> Result<()> {
    let output = Line::new(workspace::root().join(LANGUAGE))
        .arg(language_folder())
        .outcome(terminal)?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::environment(output.stderr.trim().to_owned()))
}
