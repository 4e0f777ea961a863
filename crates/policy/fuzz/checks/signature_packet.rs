//! OpenPGP signatures in both encodings, one and many.

use attestation::{
    openpgp::{DocumentHash, PgpSignature, packets},
    tuf,
};

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    let mut count = 0;
    for packet in packets(bytes) {
        count += 1;
        assert!(count <= bytes.len());
        if let Ok(packet) = packet {
            let mut digest = [0; 64];
            assert!(matches!(packet.digest(&[bytes], &mut digest).len(), 32 | 48 | 64));
        }
    }
    if let Ok(signature) = PgpSignature::from_packet(bytes) {
        // What is read alone is read in a row too.
        let first = packets(bytes).next().and_then(Result::ok).expect("the same packet");
        assert_eq!(
            (count, first.hash(), first.created()),
            (1, DocumentHash::Sha256, signature.created())
        );
        let again = PgpSignature::from_tuf(&signature.to_tuf());
        assert!(again.is_err() || again == Ok(signature));
    }
    if let Ok(signature) = serde_json::from_slice::<tuf::Signature>(bytes)
        && let Ok(read) = PgpSignature::from_tuf(&signature)
    {
        assert_eq!(read.to_tuf(), signature);
    }
}
