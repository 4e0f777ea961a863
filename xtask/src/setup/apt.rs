//! Debian packages.

use super::{Purpose, has_program};
use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};

/// A program, the Debian package that has it, and from which purpose on it is needed.
const PROGRAMS: &[(&str, &str, Purpose)] = &[
    ("git", "git", Purpose::Demo),
    // What ci/nix.sh enters its unpacked systems with.
    ("unshare", "util-linux", Purpose::Demo),
    // What a program that talks to tokens is built with.
    ("pkg-config", "pkg-config", Purpose::Demo),
    ("pcscd", "pcscd", Purpose::Token),
    // To build a card that is none.
    ("clang", "clang", Purpose::Token),
    ("script", "bsdutils", Purpose::Test),
    ("gpg", "gnupg", Purpose::Test),
    ("xz", "xz-utils", Purpose::Test),
    ("tar", "tar", Purpose::Test),
    ("busybox", "busybox-static", Purpose::Test),
    ("ssh-keygen", "openssh-client", Purpose::Test),
    ("strace", "strace", Purpose::Test),
    ("faketime", "faketime", Purpose::Test),
    ("python3", "python3", Purpose::Test),
];

/// Files that are no program, likewise. The venv module is split from Debian's Python.
const FILES: &[(&str, &str, Purpose)] = &[
    (
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
        Purpose::Demo,
    ),
    ("/usr/include/PCSC/winscard.h", "libpcsclite-dev", Purpose::Demo),
    (
        "/usr/lib/pcsc/drivers/serial/libifdvpcd.so",
        "vsmartcard-vpcd",
        Purpose::Token,
    ),
    ("/usr/lib/gnupg/scdaemon", "scdaemon", Purpose::Token),
];

/// Debian puts each version of LLVM into a folder of its own.
const LIBCLANG: (&str, Purpose) = ("libclang-dev", Purpose::Token);

fn has_libclang() -> bool {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut llvm = folders.filter(|folder| folder.file_name().to_string_lossy().starts_with("llvm-"));
    llvm.any(|folder| folder.path().join("lib/libclang.so").exists())
}

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
    let libclang = (LIBCLANG.1 <= purpose && !has_libclang()).then_some(LIBCLANG.0);
    needed.map(|(_, package, _)| *package).chain(libclang).collect()
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
