//! The user's own gpg: any key that their gpg-agent can use, on a card or not.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use attestation::Fingerprint;

use crate::{Document, SignError, Signer};

/// Signs by running `gpg --detach-sign`. The PIN or passphrase is between gpg-agent and the user's pinentry.
#[derive(Debug, Clone)]
pub struct GnupgSigner {
    fingerprint: Fingerprint,
    home: Option<PathBuf>,
}

impl GnupgSigner {
    /// Signs with exactly this key or subkey, from gpg's home directory `home` or the user's usual one.
    pub fn new(fingerprint: Fingerprint, home: Option<PathBuf>) -> Self {
        Self { fingerprint, home }
    }
}

impl Signer for GnupgSigner {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn sign_packet(&self, document: &Document<'_>) -> Result<Vec<u8>, SignError> {
        let mut gpg = Command::new("gpg");
        if let Some(home) = &self.home {
            gpg.arg("--homedir").arg(home);
        }
        // `!`: this very (sub)key, not the one gpg would rather use. No options from the user's gpg.conf that
        // would change the signature's form.
        gpg.args([
            "--no-options",
            "--quiet",
            "--no-armor",
            "--digest-algo",
            "SHA256",
            "--local-user",
        ])
        .arg(format!("{}!", self.fingerprint))
        .args(["--output", "-", "--detach-sign"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
        let run = |source| SignError::Run { program: "gpg", source };
        let mut child = gpg.spawn().map_err(run)?;
        let bytes = document.bytes();
        let stdin = child.stdin.take();
        // Written beside the reading of its answers, so that neither side waits for the other's full pipe.
        let writer = thread::spawn(move || stdin.map_or(Ok(()), |mut pipe| pipe.write_all(&bytes)));
        let output = child.wait_with_output().map_err(run)?;
        // A pipe that gpg closed early shows in gpg's own exit status and words.
        let _ = writer.join();
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(SignError::Refused {
                program: "gpg",
                key: self.fingerprint.clone(),
                said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            })
        }
    }
}
