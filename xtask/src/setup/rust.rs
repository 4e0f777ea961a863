//! Tools of the Rust toolchain.

use std::path::{Path, PathBuf};

use super::{Purpose, has_program};
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

/// The test runner: any of this series will do, this one is installed.
const NEXTEST_SERIES: &str = "cargo-nextest 0.9.";
const NEXTEST: &str = "0.9.143";

/// rustup puts a launcher on `PATH` for components that are not installed, so the toolchain's own folder counts.
pub(super) fn has_components(terminal: &Terminal) -> bool {
    let of_rustup = |sysroot: String| {
        let programs = Path::new(sysroot.trim()).join("bin");
        programs.join("rustfmt").is_file() && programs.join("cargo-clippy").is_file()
    };
    if has_program("rustup") {
        Line::new("rustc")
            .args(["--print", "sysroot"])
            .text(terminal)
            .is_ok_and(of_rustup)
    } else {
        has_program("rustfmt") && has_program("cargo-clippy")
    }
}

pub(super) fn install_components(_: Purpose, terminal: &Terminal) -> Result<()> {
    if !has_program("rustup") {
        return Err(Failure::environment(
            "rustfmt or clippy is missing and rustup is not here; install them beside rustc",
        ));
    }
    Line::new("rustup")
        .args(["component", "add", "rustfmt", "clippy"])
        .text(terminal)
        .map(drop)
}

pub(super) fn has_nextest(terminal: &Terminal) -> bool {
    Line::cargo()
        .args(["nextest", "--version"])
        .text(terminal)
        .is_ok_and(|text| text.starts_with(NEXTEST_SERIES))
}

pub(super) fn install_nextest(_: Purpose, terminal: &Terminal) -> Result<()> {
    terminal.say("setup: compiling it takes some minutes");
    Line::cargo()
        .args(["install", "--locked", "cargo-nextest", "--version", NEXTEST])
        .run(terminal)
}

/// The peer of `cargo xtask bench authenticate`.
const SQ_GIT: &str = "0.6.0";

fn peers() -> PathBuf {
    workspace::made().join("peers")
}

pub(super) fn has_sq_git() -> bool {
    peers().join("bin/sq-git").is_file()
}

pub(super) fn install_sq_git(_: Purpose, terminal: &Terminal) -> Result<()> {
    terminal.say("setup: compiling it takes seven minutes of a processor");
    Line::cargo()
        .args(["install", "--locked", "sequoia-git", "--version", SQ_GIT, "--root"])
        .arg(peers())
        .run(terminal)
}
