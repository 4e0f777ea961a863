//! Programs of others that tests run. One that is missing is said to be missing, never passed over in silence.

use std::{
    env,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Says that a test could not run and why: on standard error, and in the file named by `TOUCHSTONE_SKIPPED`,
/// which `cargo xtask test` lists at its end (and fails for, in CI).
pub fn missing(reason: &str) {
    let line = format!("skipped: {reason}\n");
    eprint!("{line}");
    if let Some(path) = env::var_os("TOUCHSTONE_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("failed to note a skipped test");
    }
}

/// Whether `program` can be run from `PATH`; [`missing`] is told if not.
pub fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        missing(&format!("{program} is not installed"));
    }
    found
}

/// A Python that has `tuf`: `TOUCHSTONE_PYTHON`, else the one that `cargo xtask setup` made; [`missing`] is told
/// if there is none.
pub fn python() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python");
    let python = env::var_os("TOUCHSTONE_PYTHON").map_or(made, PathBuf::from);
    let works = Command::new(&python)
        .args(["-c", "import tuf.ngclient"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if works {
        return Some(python);
    }
    missing(&format!(
        "no Python with tuf at {} (cargo xtask setup makes it)",
        python.display()
    ));
    None
}
