//! python-tuf in a virtual environment: the peer that reads our channels unmodified.

use std::path::PathBuf;

use super::{Purpose, apt};
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

/// What pip installs, exactly.
const REQUIREMENTS: &str = "ci/requirements.txt";

/// Written last, with the requirements that were installed: its absence or another content means "not complete".
const STAMP: &str = "installed.txt";

fn folder() -> PathBuf {
    workspace::made().join("python")
}

fn requirements() -> Result<String> {
    std::fs::read_to_string(workspace::root().join(REQUIREMENTS))
        .map_err(Failure::io(format_args!("read {REQUIREMENTS}")))
}

pub(super) fn is_complete() -> bool {
    let installed = std::fs::read_to_string(folder().join(STAMP));
    // A dangling interpreter (its Python was upgraded away) is no file.
    folder().join("bin/python").is_file() && matches!((installed, requirements()), (Ok(has), Ok(needs)) if has == needs)
}

pub(super) fn install(_: Purpose, terminal: &Terminal) -> Result<()> {
    let folder = folder();
    // Debian splits what `venv` needs from Python itself; only trying tells.
    if Line::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .text(terminal)
        .is_err()
    {
        apt::install_packages(&["python3-venv"], terminal)?;
    }
    Line::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder)
        .text(terminal)?;
    Line::new(folder.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "-r",
        ])
        .arg(workspace::root().join(REQUIREMENTS))
        .text(terminal)?;
    let stamp = folder.join(STAMP);
    std::fs::write(&stamp, requirements()?).map_err(Failure::io(format_args!("write {}", stamp.display())))
}
