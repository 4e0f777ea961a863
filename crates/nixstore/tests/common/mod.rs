//! The real Nix, asked in a store of its own.

use std::{ffi::OsStr, process::Command};

use tempfile::TempDir;

/// Nix with a store in a temporary directory. Its logical store directory stays `/nix/store`.
pub(crate) struct Nix {
    home: TempDir,
}

impl Nix {
    /// None, and a line that says so, where Nix is not installed.
    pub(crate) fn find() -> Option<Self> {
        if Command::new("nix-store").arg("--version").output().is_err() {
            println!("skipped: nix is not installed");
            return None;
        }
        Some(Self {
            home: tempfile::tempdir().unwrap(),
        })
    }

    /// Standard output of a Nix command that must succeed.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Vec<u8> {
        let output = Command::new(program)
            .args(arguments)
            .env("HOME", self.home.path())
            .env("NIX_REMOTE", self.home.path().join("store"))
            .env("NIX_CONFIG", "experimental-features = nix-command\nbuild-users-group =")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Standard output of a Nix command as a line.
    pub(crate) fn line<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> String {
        String::from_utf8(self.run(program, arguments))
            .unwrap()
            .trim_end()
            .to_owned()
    }
}
