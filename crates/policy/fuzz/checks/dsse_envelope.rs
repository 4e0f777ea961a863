//! Envelopes: one spelling.

use attestation::dsse::Envelope;

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::from_exact(bytes) {
        assert_eq!(envelope.to_bytes(), bytes);
    }
}
