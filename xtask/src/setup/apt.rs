//! Debian packages.

use super::{Purpose, has_program};
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};

/// A program, the Debian package that has it, and from which purpose on it is needed.
const PROGRAMS: &[(&str, &str, Purpose)] = &[
    ("git", "git", Purpose::Demo),
    // What ci/nix.sh enters its unpacked systems with.
    ("unshare", "util-linux", Purpose::Demo),
    ("gpg", "gnupg", Purpose::Test),
    ("xz", "xz-utils", Purpose::Test),
    ("tar", "tar", Purpose::Test),
    ("busybox", "busybox-static", Purpose::Test),
    ("strace", "strace", Purpose::Test),
    ("faketime", "faketime", Purpose::Test),
    ("python3", "python3", Purpose::Test),
];

/// Files that are no program, likewise. The venv module is split from Debian's Python.
const FILES: &[(&str, &str, Purpose)] = &[(
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "debian-archive-keyring",
    Purpose::Demo,
)];

/// How long to wait for another apt, in seconds.
const PATIENCE: &str = "DPkg::Lock::Timeout=300";

pub(super) fn is_complete(purpose: Purpose) -> bool {
    missing(purpose).is_empty()
}

/// Installs as root or through sudo without a password; otherwise says what to type.
pub(super) fn install(purpose: Purpose, terminal: &Terminal) -> Result<()> {
    install_packages(&missing(purpose), terminal)
}

/// Likewise, for packages that somebody else found missing.
pub(super) fn install_packages(packages: &[&str], terminal: &Terminal) -> Result<()> {
    if !has_program("apt-get") {
        return Err(Failure::environment(format!(
            "there is no apt-get here; install by this system's own means what Debian calls: {}",
            packages.join(" ")
        )));
    }
    let Some(privilege) = privilege(terminal) else {
        return Err(Failure::environment(format!(
            "not root, and sudo would ask for a password; type: sudo apt-get install --no-install-recommends {}",
            packages.join(" ")
        )));
    };
    let apt = || {
        let env = [
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-qq",
            "-o",
            PATIENCE,
        ];
        let mut words = privilege.iter().chain(&env);
        Line::new(words.next().unwrap_or(&"env")).args(words)
    };
    apt().arg("update").text(terminal)?;
    apt()
        .args(["install", "-y", "--no-install-recommends"])
        .args(packages)
        .text(terminal)?;
    Ok(())
}

fn missing(purpose: Purpose) -> Vec<&'static str> {
    let programs = PROGRAMS.iter().filter(|(program, ..)| !has_program(program));
    let files = FILES.iter().filter(|(file, ..)| !std::path::Path::new(file).exists());
    let needed = programs.chain(files).filter(|(_, _, from)| *from <= purpose);
    needed.map(|(_, package, _)| *package).collect()
}

/// What to put before a command so that it runs as root, if anything does without asking.
fn privilege(terminal: &Terminal) -> Option<&'static [&'static str]> {
    let prints = |line: Line, wanted: &str| line.text(terminal).is_ok_and(|text| text.trim() == wanted);
    if prints(Line::new("id").arg("-u"), "0") {
        Some(&[])
    } else if has_program("sudo") && prints(Line::new("sudo").args(["-n", "id", "-u"]), "0") {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}
