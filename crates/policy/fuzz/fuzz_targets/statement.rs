//! Statements of people: one spelling, and everything follows from the claim.

#![no_main]

use attestation::statement::Statement;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::from_exact(bytes) {
        assert_eq!(statement.to_bytes(), bytes);
        assert!(!statement.claim.to_string().is_empty());
    }
});
