//! What people edit, and what it compiles to.

use attestation::{canonical, chain::PolicyDocument};
use policy::{document, source};

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(policy) = source::read(text, None) {
        let _ = document::check(&policy);
        let _ = document::warnings(&policy);
        let written = canonical::to_vec(&policy);
        if let Ok(again) = canonical::from_exact::<PolicyDocument>(&written, "policy") {
            assert_eq!(policy, again);
        }
    }
}
