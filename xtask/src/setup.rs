//! `cargo xtask setup`: finds out what is missing on this machine and installs it.
//!
//! Everything is first looked for, which is fast; only what is missing is installed, one setup at a time. What can be
//! kept out of the system is: Python packages and Nix go below `target/`.

use std::fs::File;

use clap::{Args as Arguments, ValueEnum};

use crate::failure::{Failure, Result};
use crate::process::Terminal;
use crate::workspace;

mod apt;
mod nix;
mod python;
mod rust;
mod virtual_card;

/// Install what the demo, the tests or the benchmarks need: Debian packages, cargo-nextest, python-tuf, two versions of Nix,
/// a virtual card.
#[derive(Debug, Arguments)]
#[command(
    after_help = "Example:\n  cargo xtask setup --for demo\n\nExit codes: 0 all is there, \
                        3 something is missing and cannot be installed here (it says what, and what to type)."
)]
pub(crate) struct Args {
    /// What is going to run.
    #[arg(long = "for", value_enum, default_value_t = Purpose::Test)]
    purpose: Purpose,
}

/// What is going to run, and so what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Purpose {
    /// The whole cycle on the embedded upstream, with real Nix.
    Demo,
    /// The same with tokens: a reader service, and a virtual card.
    Token,
    /// The tests: what the demo needs, a test runner, and real peers.
    Test,
    /// The benchmarks: what the tests need, and peers that are compiled for minutes.
    Bench,
}

/// One thing that is needed: how to see that it is there, and how to get it.
struct Need {
    /// As in "setup: installing NAME".
    name: &'static str,
    /// Runs that need it: this one and those after it.
    from: Purpose,
    is_there: fn(&Terminal) -> bool,
    install: fn(Purpose, &Terminal) -> Result<()>,
}

/// In the order in which they are installed: later ones use earlier ones.
const NEEDS: &[Need] = &[
    Need {
        name: "the Debian packages of the demo",
        from: Purpose::Demo,
        is_there: |_| apt::is_complete(Purpose::Demo),
        install: apt::install,
    },
    Need {
        name: "the Debian packages of tokens",
        from: Purpose::Token,
        is_there: |_| apt::is_complete(Purpose::Token),
        install: apt::install,
    },
    Need {
        name: "the virtual card (in target/virtual-card)",
        from: Purpose::Token,
        is_there: |_| virtual_card::is_complete(),
        install: virtual_card::install,
    },
    Need {
        name: "the Debian packages of the tests",
        from: Purpose::Test,
        is_there: |_| apt::is_complete(Purpose::Test),
        install: apt::install,
    },
    Need {
        name: "rustfmt and clippy",
        from: Purpose::Test,
        is_there: rust::has_components,
        install: rust::install_components,
    },
    Need {
        name: "cargo-nextest",
        from: Purpose::Test,
        is_there: rust::has_nextest,
        install: rust::install_nextest,
    },
    Need {
        name: "python-tuf (in target/python)",
        from: Purpose::Test,
        is_there: |_| python::is_complete(),
        install: python::install,
    },
    Need {
        name: "Nix 2.8 and 2.26 (in target/nix)",
        from: Purpose::Demo,
        is_there: |_| nix::is_complete(),
        install: nix::install,
    },
    Need {
        name: "the language tests of Nix (in target/nix-language)",
        from: Purpose::Test,
        is_there: |_| nix::has_language_tests(),
        install: nix::install_language_tests,
    },
    Need {
        name: "sq-git (in target/peers)",
        from: Purpose::Bench,
        is_there: |_| rust::has_sq_git(),
        install: rust::install_sq_git,
    },
];

pub(crate) fn command(args: &Args, terminal: &Terminal) -> Result<()> {
    ensure(args.purpose, terminal)?;
    terminal.say("setup: everything is there");
    Ok(())
}

/// Where the virtual card is, once it is set up.
pub(crate) fn virtual_card() -> std::path::PathBuf {
    virtual_card::program()
}

/// Makes sure that everything that `purpose` needs is there. One failure does not hide the next: all are attempted,
/// and reported together.
pub(crate) fn ensure(purpose: Purpose, terminal: &Terminal) -> Result<()> {
    let missing = || {
        NEEDS
            .iter()
            .filter(|need| need.from <= purpose && !(need.is_there)(terminal))
    };
    if missing().next().is_none() {
        return Ok(());
    }
    let _lock = lock(terminal)?;
    let mut failures = Vec::new();
    // Lazily: what another setup has installed while we waited, or an earlier step of this one, is there by now.
    for need in missing() {
        terminal.step(&format!("setup: installing {}", need.name));
        if let Err(failure) = (need.install)(purpose, terminal) {
            failures.push(format!("{}: {failure}", need.name));
        } else if !(need.is_there)(terminal) {
            failures.push(format!(
                "{}: was installed without an error and is still not there",
                need.name
            ));
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::environment(format!(
        "this machine lacks something\n  {}",
        failures.join("\n  ")
    )))
}

/// Held while installing; given up when the process ends, however it ends.
fn lock(terminal: &Terminal) -> Result<File> {
    let path = workspace::made().join("setup.lock");
    std::fs::create_dir_all(workspace::made()).map_err(Failure::io("make the folder target"))?;
    let file = File::create(&path).map_err(Failure::io(format_args!("create {}", path.display())))?;
    if file.try_lock().is_err() {
        terminal.say("setup: waiting for another setup to finish");
        file.lock()
            .map_err(Failure::io(format_args!("lock {}", path.display())))?;
    }
    Ok(file)
}

/// Whether a program of that name is on `PATH`.
fn has_program(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_need_all_that_the_demo_needs() {
        assert!(Purpose::Demo < Purpose::Token && Purpose::Token < Purpose::Test);
    }

    #[test]
    fn a_program_is_found_on_path_only() {
        assert!(has_program("sh"));
        assert!(!has_program("no-such-program-at-all"));
    }
}
