//! Keys as the command line names them.

use std::{env, io, os::unix::net::UnixStream, path::PathBuf, process::Command, rc::Rc, sync::Arc};

use attestation::{Fingerprint, Time};
use signer::{CardError, CardIdent, CardSigner, GnupgSigner, SignError, Signer};

use crate::{
    exit::{Exit, Failure, OrExit as _, Outcome},
    pin::AtDesk,
};

/// Where pcscd listens, unless its own variable says otherwise.
const PCSCD: &str = "/run/pcscd/pcscd.comm";

/// What `--key` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// `card:IDENT`, or `card:` for the only one that is plugged in.
    Card(Option<CardIdent>),
    /// `gpg:FINGERPRINT`.
    Gnupg(Fingerprint),
    /// `software:FILE`, in development builds.
    Software(PathBuf),
}

impl Key {
    /// Reads it.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        if let Some(ident) = text.strip_prefix("card:") {
            let ident = (!ident.is_empty()).then(|| ident.parse()).transpose();
            return Ok(Self::Card(ident.or_exit_with(Exit::Usage, || {
                "assay token list says the names of the tokens that are plugged in".to_owned()
            })?));
        }
        if let Some(fingerprint) = text.strip_prefix("gpg:") {
            return Ok(Self::Gnupg(fingerprint.parse().or_exit(Exit::Usage)?));
        }
        match text.strip_prefix("software:") {
            Some(path) if cfg!(feature = "software-keys") => Ok(Self::Software(path.into())),
            Some(_) => Err(Failure::new(Exit::Usage, "this build takes no keys from files")
                .next("make a key on a token (assay token enroll), or import it into gpg and use gpg:FINGERPRINT")),
            None => Err(Failure::new(Exit::Usage, format!("{text:?} names no key")).next(
                "use card:IDENT (assay token list), or gpg:FINGERPRINT, the 40 lower-case hexadecimal digits of the \
                 signing (sub)key",
            )),
        }
    }

    /// Opens it. Signatures of ours are dated `now`.
    pub(crate) fn open(&self, now: Time, pin_fd: Option<u32>) -> Outcome<Rc<dyn Signer>> {
        Ok(match self {
            Self::Card(ident) => {
                let prompt = Arc::new(AtDesk::new(pin_fd)?);
                let socket = agent_socket();
                let signer = CardSigner::open(ident.as_ref(), socket.as_deref(), now, prompt);
                Rc::new(signer.map_err(card_failure)?)
            }
            Self::Gnupg(fingerprint) => Rc::new(GnupgSigner::new(fingerprint.clone(), None)),
            Self::Software(path) => software(path, now)?,
        })
    }
}

/// Where the user's gpg-agent listens, if there is a gpg. Whether it runs is another question.
pub(crate) fn agent_socket() -> Option<PathBuf> {
    let output = Command::new("gpgconf")
        .args(["--list-dirs", "agent-socket"])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let path = PathBuf::from(path.trim());
    path.is_absolute().then_some(path)
}

/// The library that talks to the reader service says of a socket that it may not open what it says of one that nobody
/// listens at; what to do about it is another thing.
pub(crate) fn told_apart(error: CardError) -> CardError {
    let socket = env::var_os("PCSCLITE_CSOCK_NAME").map_or_else(|| PathBuf::from(PCSCD), PathBuf::from);
    let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    match error {
        CardError::NoService { .. } if UnixStream::connect(socket).is_err_and(|error| denied(&error)) => {
            CardError::NoPermission
        }
        error => error,
    }
}

/// What a token would not do.
pub(crate) fn card_failure(error: CardError) -> Failure {
    let error = told_apart(error);
    let (remedy, code) = (error.remedy(), error.code());
    Failure::new(Exit::Environment, error).next(remedy).code_word(code)
}

/// Why there is no signature.
pub(crate) fn sign_failure(error: SignError) -> Failure {
    match error {
        SignError::Card(error) => card_failure(error),
        other => Failure::new(Exit::Environment, other),
    }
}

#[cfg(feature = "software-keys")]
fn software(path: &std::path::Path, now: Time) -> Outcome<Rc<dyn Signer>> {
    let signer = signer::software::SoftwareSigner::open(path, None, now).or_exit(Exit::Environment)?;
    Ok(Rc::new(signer))
}

#[cfg(not(feature = "software-keys"))]
fn software(path: &std::path::Path, _now: Time) -> Outcome<Rc<dyn Signer>> {
    Err(Failure::new(
        Exit::Usage,
        format!("{}: this build takes no keys from files", path.display()),
    ))
}
