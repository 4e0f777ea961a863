//! `cargo xtask test`: everything that must hold, in the order in which it is cheapest to learn that it does not.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args as Arguments;

use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::setup::{self, Purpose};
use crate::{tidy, workspace};

/// The commands under test can sign with keys in files. The same in every step, so that nothing is built twice and
/// `target/debug/assay` never is one that cannot.
const FEATURES: [&str; 2] = ["--features", "assay/software-keys"];

/// Where a test that could not run says so, a line each. The name of the file is in this variable.
const SKIPPED: &str = "TOUCHSTONE_SKIPPED";

/// What is too big for CI: a skip for this reason is no failure there.
const OPTIONAL: &str = "TOUCHSTONE_NIXPKGS";

/// Run all checks and tests: setup, format, tidy, clippy, doc tests, then nextest.
#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  cargo xtask test\n  cargo xtask test -- -E 'package(policy)'\n  \
                        cargo xtask test -- refuses_signature\n\nTests that cannot run because a peer is missing are \
                        listed at the end. With CI=true one of them is a failure, unless it only lacks \
                        TOUCHSTONE_NIXPKGS (a git directory of nixpkgs)."
)]
pub(crate) struct Args {
    /// Arguments for `cargo nextest run`; given any, only the tests run, without the other checks.
    #[arg(last = true)]
    nextest: Vec<String>,
}

pub(crate) fn command(args: &Args, terminal: &Terminal) -> Result<()> {
    let everything = args.nextest.is_empty();
    peers(terminal)?;
    if everything {
        checks(terminal)?;
    }
    let skipped = workspace::made().join("skipped.txt");
    std::fs::write(&skipped, "").map_err(Failure::io(format_args!("write {}", skipped.display())))?;
    let cargo = || Line::cargo().directory(workspace::root()).env(SKIPPED, &skipped);
    if everything {
        let line = cargo().args(["test", "--doc", "--workspace", "--quiet"]).args(FEATURES);
        step("doc tests", terminal, || line.text(terminal).map(drop))?;
    }
    // All targets: end-to-end tests of any crate find both commands in target/debug, built with the same features.
    let build = cargo().args(["build", "--workspace", "--all-targets"]).args(FEATURES);
    step("build", terminal, || build.run(terminal))?;
    let tests = cargo()
        .args(["nextest", "run", "--workspace"])
        .args(FEATURES)
        .args(&args.nextest);
    let outcome = step("tests", terminal, || tests.run(terminal));
    report(&skipped, workspace::in_ci(), terminal).and(outcome)
}

/// Without a peer the other tests still say something; only CI insists.
fn peers(terminal: &Terminal) -> Result<()> {
    match setup::ensure(Purpose::Test, terminal) {
        Err(failure) if !workspace::in_ci() => {
            terminal.say(&format!(
                "warning: {failure}\nwarning: going on; tests that need it are skipped"
            ));
            Ok(())
        }
        outcome => outcome,
    }
}

fn checks(terminal: &Terminal) -> Result<()> {
    let cargo = || Line::cargo().directory(workspace::root());
    let format = cargo().args(["fmt", "--all", "--check"]);
    step("format", terminal, || format.run(terminal))?;
    step("tidy", terminal, || tidy::command(&tidy::Args {}, terminal))?;
    let clippy = cargo()
        .args(["clippy", "--workspace", "--all-targets", "--quiet"])
        .args(FEATURES)
        .args(["--", "--deny", "warnings"]);
    step("clippy", terminal, || clippy.run(terminal))
}

fn step(name: &str, terminal: &Terminal, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    terminal.step(name);
    run()?;
    terminal.say(&format!("{name}: {:.1} s", start.elapsed().as_secs_f32()));
    Ok(())
}

/// Lists what was skipped, and fails for it where nobody would read the list.
fn report(skipped: &Path, in_ci: bool, terminal: &Terminal) -> Result<()> {
    let text = std::fs::read_to_string(skipped)
        .map_err(Failure::io(format_args!("read {}", PathBuf::from(skipped).display())))?;
    let mut reasons: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    reasons.sort_unstable();
    for reason in &reasons {
        terminal.say(&format!("skipped: {}", without_prefix(reason)));
    }
    terminal.say(&format!("{} test(s) skipped because a peer is missing", reasons.len()));
    let unexcused = reasons
        .iter()
        .filter(|reason| !without_prefix(reason).starts_with(OPTIONAL))
        .count();
    if in_ci && unexcused > 0 {
        return Err(Failure::environment(format!(
            "{unexcused} test(s) were skipped; in CI every peer must be there"
        )));
    }
    Ok(())
}

fn without_prefix(line: &str) -> &str {
    line.strip_prefix("skipped: ").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(lines: &str, in_ci: bool) -> Result<()> {
        let name = format!("xtask-skipped-{}-{}", std::process::id(), lines.len());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, lines).expect("a temporary file");
        let outcome = report(&path, in_ci, &Terminal::from_environment(false));
        std::fs::remove_file(&path).expect("it was written");
        outcome
    }

    #[test]
    fn a_skipped_test_fails_ci_only() {
        assert!(reported("skipped: no Nix\n", false).is_ok());
        assert!(reported("skipped: no Nix\n", true).is_err());
        assert!(reported("", true).is_ok());
    }

    #[test]
    fn a_real_nixpkgs_is_optional_in_ci() {
        assert!(reported("skipped: TOUCHSTONE_NIXPKGS is not set\n", true).is_ok());
        assert!(reported("TOUCHSTONE_NIXPKGS is not set\nno gpg: TOUCHSTONE_NIXPKGS\n", true).is_err());
    }
}
