//! Nix's pre-build hook: `touchstone-hook DERIVATION [SANDBOX]`. Exit code 0 lets the build pass, anything else refuses it.
//!
//! Nix reads settings for the sandbox from standard output, so nothing is written there; a chained hook may.

use std::{
    env,
    error::Error,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    time::{SystemTime, UNIX_EPOCH},
};

use gate::{
    Pass, Place, client,
    judge::Judge,
    refusals::{self, Entry},
    store::Store,
};

const USAGE: &str = "\
usage: touchstone-hook DERIVATION [SANDBOX]

Nix runs this before each build in the sandbox (setting pre-build-hook). Exit codes: 0 the build may go on, 1 it is refused.
Example: touchstone-hook /nix/store/xw5w6c0dwrllq3d21c1ndaibbk5jwcpa-nixpkgs.drv";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let derivation = match arguments.as_slice() {
        [derivation] | [derivation, _] if derivation != "--help" => derivation.to_string_lossy().into_owned(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let place = match env::current_exe() {
        Ok(executable) => Place::of_hook(&executable),
        Err(error) => {
            eprintln!("touchstone: refused, since this program cannot find itself: {error}");
            return ExitCode::FAILURE;
        }
    };
    let client = client::of_parent();
    let judged = Judge::open(&place, Store::default()).and_then(|judge| {
        let pass = judge.build(&derivation, client)?;
        Ok((judge, pass))
    });
    match judged {
        Ok((judge, pass)) => {
            if matches!(pass, Pass::Channel | Pass::Environment) {
                remember(&judge, &derivation);
            }
            go_on(&judge, &arguments)
        }
        Err(refusal) => {
            let reason = messages(&refusal).join(": ");
            eprintln!("touchstone: refused to build: {reason}\n  next: {}", refusal.next());
            let entry = Entry {
                time: SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| since.as_secs()),
                derivation,
                code: refusal.code().to_owned(),
                reason,
                client,
            };
            if let Err(error) = refusals::note(&place, &entry) {
                eprintln!("touchstone: the refusal could not be noted: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// A hint that is not written costs the user a refusal later, so it is said.
fn remember(judge: &Judge, derivation: &str) {
    let path = derivation.rsplit('/').next().unwrap_or_default().parse();
    if let Ok(Err(error)) = path.map(|path| judge.remember(&path)) {
        eprintln!("touchstone: what passed could not be remembered: {error}");
    }
}

/// Lets the build pass, or becomes the hook that the machine had before.
fn go_on(judge: &Judge, arguments: &[OsString]) -> ExitCode {
    let Some(chained) = &judge.settings().chained_hook else {
        return ExitCode::SUCCESS;
    };
    let error = Command::new(chained).args(arguments).exec();
    eprintln!(
        "touchstone: refused, since the chained hook {} does not run: {error}",
        chained.display()
    );
    ExitCode::FAILURE
}

fn messages(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        messages.push(error.to_string());
        source = error.source();
    }
    messages.dedup();
    messages
}
