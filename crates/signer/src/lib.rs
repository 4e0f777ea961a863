//! The [`Signer`] seam: who makes an OpenPGP signature, and over what.
//!
//! A signer is handed a [`Document`]: one of the closed set of things that people sign, as a value. What is
//! shown before a key is used and what is signed both come from that value, so they cannot differ.

mod assuan;
pub mod card;
mod gnupg;
pub mod pin;
pub mod pinentry;
#[cfg(feature = "software")]
pub mod software;

use std::fmt;

use attestation::{
    Fingerprint, Sha256Digest, canonical, dsse,
    git::NoteBody,
    openpgp::{PgpFormError, PgpSignature},
    statement::Statement,
    tuf,
};

pub use card::{CardError, CardIdent, CardSigner};
pub use gnupg::GnupgSigner;

/// Everything that is ever signed by a person.
#[derive(Debug, Clone, Copy)]
pub enum Document<'a> {
    /// The next root of a chain.
    Root(&'a tuf::Root),
    /// Top-level targets, or a release.
    Targets(&'a tuf::Targets),
    /// A statement.
    Statement(&'a Statement),
    /// The names of a commit and its tree, for git-sig's notes.
    Note(&'a NoteBody),
}

impl Document<'_> {
    /// The exact bytes that are signed.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Root(root) => canonical::to_vec(root),
            Self::Targets(targets) => canonical::to_vec(targets),
            Self::Statement(statement) => dsse::pre_authentication_encoding(dsse::IN_TOTO, &statement.to_bytes()),
            Self::Note(body) => body.to_bytes(),
        }
    }

    /// SHA-256 of [`Self::bytes`].
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.bytes())
    }
}

/// What is shown of documents before a key is used, a line each: what they say, and the digest of the bytes that are
/// signed.
pub fn shown(documents: &[Document<'_>]) -> Vec<String> {
    let line = |document: &Document<'_>| format!("{document} (SHA-256 {})", document.digest());
    documents.iter().map(line).collect()
}

/// What is shown before the key is used: one line.
impl fmt::Display for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => write!(f, "root version {}, expires {}", root.version, root.expires),
            Self::Targets(targets) => match targets.mark.as_ref().and_then(|mark| mark.release.as_ref()) {
                Some(release) => {
                    let (sequence, channel, commit) = (release.sequence, &release.channel, &release.commit);
                    write!(f, "release {sequence} of {channel}: commit {commit}")?;
                    if let Some(patched) = &release.patched {
                        write!(f, " ({patched})")?;
                    }
                    write!(f, ", channel {}", release.channel_nar)
                }
                None => write!(
                    f,
                    "top-level targets version {}, expires {}",
                    targets.version, targets.expires
                ),
            },
            Self::Statement(statement) => write!(f, "{}, as {}", statement.claim, statement.author),
            Self::Note(body) => write!(f, "commit {}, tree {} (SHA-1 names)", body.commit, body.tree),
        }
    }
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The token did not sign.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The program that holds the key could not be run.
    #[error("failed to run {program}")]
    Run {
        /// The program.
        program: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The program that holds the key did not sign.
    #[error("{program} did not sign with {key}: {said}")]
    Refused {
        /// The program.
        program: &'static str,
        /// The key it was asked for.
        key: Fingerprint,
        /// Its own words.
        said: String,
    },
    /// What came back is not a signature of the form that we publish.
    #[error("the signature made is not of the form that a channel takes")]
    Form(#[from] PgpFormError),
    /// Another key signed than the one that was asked for.
    #[error("expected a signature by {expected}, found one by {found}")]
    OtherKey {
        /// The key that was asked for.
        expected: Fingerprint,
        /// The key that signed.
        found: Fingerprint,
    },
    /// A key file cannot be used.
    #[error("key file {path}: {reason}")]
    KeyFile {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Somebody who signs with one OpenPGP key.
pub trait Signer {
    /// The fingerprint of the key that signs (a subkey's, where a subkey signs).
    fn fingerprint(&self) -> &Fingerprint;

    /// Says what is going to be signed, all of it at once: a signer that asks a secret asks it once for all of these,
    /// and shows them with the question.
    fn announce(&self, documents: &[Document<'_>]) -> Result<(), SignError> {
        let _ = documents;
        Ok(())
    }

    /// One binary v4 signature packet over `document`'s bytes, SHA-256.
    fn sign_packet(&self, document: &Document<'_>) -> Result<Vec<u8>, SignError>;
}

/// A signature over root or targets metadata, in TUF's encoding.
pub fn sign_metadata(signer: &dyn Signer, document: &Document<'_>) -> Result<tuf::Signature, SignError> {
    let signature = signed_packet(signer, document)?.1.to_tuf();
    // A P-256 key signs statements only: its signature here would be one that nobody can read.
    PgpSignature::from_tuf(&signature)?;
    Ok(signature)
}

/// A statement in its envelope.
pub fn sign_statement(signer: &dyn Signer, statement: &Statement) -> Result<dsse::Envelope, SignError> {
    let (signature, parsed) = signed_packet(signer, &Document::Statement(statement))?;
    Ok(dsse::Envelope {
        payload: statement.to_bytes(),
        keyid: parsed.issuer().clone().into(),
        signature,
    })
}

/// A line of git-sig's notes.
pub fn sign_note(signer: &dyn Signer, body: &NoteBody) -> Result<String, SignError> {
    Ok(body.to_line(&signed_packet(signer, &Document::Note(body))?.0))
}

fn signed_packet(signer: &dyn Signer, document: &Document<'_>) -> Result<(Vec<u8>, PgpSignature), SignError> {
    let packet = signer.sign_packet(document)?;
    let parsed = PgpSignature::from_packet(&packet)?;
    if parsed.issuer() == signer.fingerprint() {
        Ok((packet, parsed))
    } else {
        Err(SignError::OtherKey {
            expected: signer.fingerprint().clone(),
            found: parsed.issuer().clone(),
        })
    }
}
