//! The virtual card: a workspace of its own, since what emulates a card is no dependency of ours.

use std::fs;
use std::path::PathBuf;

use super::Purpose;
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

/// Where its sources are.
const SOURCES: &str = "crates/testkit/virtual-card";

/// Written last, with the sources that it was built from.
const STAMP: &str = "built-from.txt";

fn folder() -> PathBuf {
    workspace::made().join("virtual-card")
}

/// The program.
pub(super) fn program() -> PathBuf {
    folder().join("debug/virtual-card")
}

/// Manifest, lock file and sources, one after the other.
fn stamp() -> Result<String> {
    let sources = workspace::root().join(SOURCES);
    let mut files = vec![sources.join("Cargo.toml"), sources.join("Cargo.lock")];
    let entries = fs::read_dir(sources.join("src")).map_err(Failure::io(format_args!("list {SOURCES}")))?;
    files.extend(entries.flatten().map(|entry| entry.path()));
    files.sort();
    let texts: Result<Vec<String>> = files
        .iter()
        .map(|path| fs::read_to_string(path).map_err(Failure::io(format_args!("read {}", path.display()))))
        .collect();
    Ok(texts?.concat())
}

pub(super) fn is_complete() -> bool {
    let built = fs::read_to_string(folder().join(STAMP));
    program().is_file() && matches!((built, stamp()), (Ok(built), Ok(now)) if built == now)
}

pub(super) fn install(_: Purpose, terminal: &Terminal) -> Result<()> {
    terminal.say("setup: compiling it takes two minutes");
    Line::cargo()
        .args(["build", "--locked", "--quiet", "--target-dir"])
        .arg(folder())
        .directory(workspace::root().join(SOURCES))
        .run(terminal)?;
    let path = folder().join(STAMP);
    fs::write(&path, stamp()?).map_err(Failure::io(format_args!("write {}", path.display())))
}
