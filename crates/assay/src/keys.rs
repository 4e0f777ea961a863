//! Keys as the command line names them.

use attestation::{Fingerprint, Time};
use signer::{GnupgSigner, Signer};

use crate::exit::{Exit, Failure, OrExit as _, Outcome};

/// Opens the key that `text` names: `gpg:FINGERPRINT`, or in development builds `software:FILE`. Signatures of a
/// software key are dated `now`.
pub(crate) fn open(text: &str, now: Time) -> Outcome<Box<dyn Signer>> {
    if let Some(fingerprint) = text.strip_prefix("gpg:") {
        let fingerprint: Fingerprint = fingerprint.parse().or_exit(Exit::Usage)?;
        return Ok(Box::new(GnupgSigner::new(fingerprint, None)));
    }
    if let Some(path) = text.strip_prefix("software:") {
        return software(path, now);
    }
    Err(Failure::new(Exit::Usage, format!("{text:?} names no key"))
        .next("use gpg:FINGERPRINT, the 40 lower-case hexadecimal digits of the signing (sub)key"))
}

#[cfg(feature = "software-keys")]
fn software(path: &str, now: Time) -> Outcome<Box<dyn Signer>> {
    let signer = signer::software::SoftwareSigner::open(path.as_ref(), None, now).or_exit(Exit::Environment)?;
    Ok(Box::new(signer))
}

#[cfg(not(feature = "software-keys"))]
fn software(_path: &str, _now: Time) -> Outcome<Box<dyn Signer>> {
    Err(Failure::new(Exit::Usage, "this build takes no keys from files")
        .next("import the key into gpg and use gpg:FINGERPRINT"))
}
