//! Certificates from anywhere, and what is asked of them.

use attestation::Time;
use policy::Keyring;

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(keyring) = Keyring::from_bytes(bytes) {
        for digest in keyring.digests() {
            let _ = keyring.user_id(digest);
            let _ = keyring.signing_keys(digest, Time::JAN_2026);
        }
        let again = Keyring::from_bytes(&keyring.to_bytes()).expect("what was written is read");
        assert!(again.digests().eq(keyring.digests()));
    }
}
