//! Metadata of every role, ours and other people's, and the state machine that begins with a root.

use attestation::{
    ChainId, Sha256Digest, Time,
    pending::Proposal,
    tuf::{Metadata, Root, Signed, Snapshot, Targets, Timestamp},
};
use policy::{Keyring, TrustedSet, trusted_set::Judge};

fn both<T: Metadata + PartialEq>(bytes: &[u8]) {
    if let Ok(file) = Signed::<T>::from_exact(bytes) {
        assert_eq!(file.to_bytes(), bytes);
    }
    let _ = Signed::<T>::from_foreign(bytes);
}

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    both::<Root>(bytes);
    both::<Timestamp>(bytes);
    both::<Snapshot>(bytes);
    both::<Targets>(bytes);
    if let Ok(proposal) = Proposal::from_exact(bytes) {
        assert_eq!(proposal.to_bytes(), bytes);
    }
    let now = Time::JAN_2026;
    let chain = ChainId::from_digest(Sha256Digest::of(bytes));
    assert!(TrustedSet::pinned(chain, bytes, Keyring::default(), Judge::Current, now).is_err());
    if let Ok(set) = TrustedSet::foreign(bytes, Judge::Current, now) {
        assert!(set.court().is_err(), "a foreign repository has no people");
    }
}
