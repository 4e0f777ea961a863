//! Strict JSON: what is read is written in one form, which reads as the same.

use attestation::canonical;

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(value) = canonical::parse(bytes) {
        let written = canonical::to_vec(&value);
        // Canonical JSON leaves control characters in texts as they are (OLPC), which no JSON reader takes back.
        if let Ok(again) = canonical::parse(&written) {
            assert_eq!(value, again);
            assert_eq!(written, canonical::to_vec(&again));
        }
    }
}
