//! What a holder of a token wants to know of the keyring, without a signature at hand.

use attestation::{Fingerprint, Sha256Digest, Time};

use crate::keyring::{CertificateRefusal, Keyring};

impl Keyring {
    /// The certificate that has this key, whether or not the key is valid.
    pub fn certificate_with(&self, key: &Fingerprint) -> Option<Sha256Digest> {
        let has = |digest: &Sha256Digest| {
            !matches!(
                self.key_material(*digest, key),
                Err(CertificateRefusal::NoSuchKey { .. })
            )
        };
        self.digests().find(has)
    }

    /// Whether this key of a certificate signs validly at `at`, and if not, why. A signature is judged by its own date.
    pub fn judge(&self, pinned: Sha256Digest, key: &Fingerprint, at: Time) -> Result<(), CertificateRefusal> {
        self.signing_key(pinned, key, at).map(drop)
    }
}

impl CertificateRefusal {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCertificate { .. } => "not-in-keyring",
            Self::NoSuchKey { .. } => "no-such-key",
            Self::NotValid { .. } => "not-valid",
            Self::Revoked { .. } => "revoked",
            Self::Algorithm { .. } => "algorithm",
            Self::StatementsOnly { .. } => "statements-only",
            Self::WeakPrimary { .. } => "weak-primary",
            Self::NotCertified(_) => "not-certified",
        }
    }
}
