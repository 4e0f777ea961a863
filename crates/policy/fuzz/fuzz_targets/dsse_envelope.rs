//! Envelopes: one spelling.

#![no_main]

use attestation::dsse::Envelope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::from_exact(bytes) {
        assert_eq!(envelope.to_bytes(), bytes);
    }
});
