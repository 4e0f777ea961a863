//! Statements of people: one spelling, and everything follows from the claim.

use attestation::statement::Statement;

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(statement) = Statement::from_exact(bytes) {
        assert_eq!(statement.to_bytes(), bytes);
        assert!(!statement.claim.to_string().is_empty());
    }
}
