//! One rule for Ed25519, inside certificates too.
//!
//! Sequoia verifies what binds and revokes keys with ed25519-dalek's plain `verify`: the same equation without a cofactor, S
//! below the group's order, R compared byte for byte. What it does not ask is whether R or the key is of small order. With
//! such a key a signature holds for many messages, or for all; and an R of small order, which only the key's owner can
//! make hold, is refused everywhere else here. So neither is taken here either.

use curve25519_dalek::edwards::CompressedEdwardsY;
use sequoia_openpgp::{
    Cert, Packet,
    crypto::mpi,
    packet::{Signature, key},
    types::Curve,
};

/// The certificate without the signatures that are none by the rule, if it has any.
pub(super) fn strict(cert: Cert) -> sequoia_openpgp::Result<Cert> {
    let is_good = |packet: &Packet| match packet {
        Packet::Signature(signature) => !has_small_order(signature),
        _ => true,
    };
    if cert.clone().into_packets().all(|packet| is_good(&packet)) {
        return Ok(cert);
    }
    Cert::from_packets(cert.into_packets().filter(is_good))
}

fn has_small_order(signature: &Signature) -> bool {
    let own = match signature.mpis() {
        mpi::Signature::EdDSA { r, .. } => r.value_padded(32).is_ok_and(|r| is_small_order(&r)),
        mpi::Signature::Ed25519 { s } => is_small_order(&s[..32]),
        _ => false,
    };
    own || signature.embedded_signatures().any(has_small_order)
}

/// Whether everybody can sign with the key, and not its owner alone.
pub(super) fn is_weak<R: key::KeyRole>(key: &sequoia_openpgp::packet::Key<key::PublicParts, R>) -> bool {
    match key.mpis() {
        mpi::PublicKey::EdDSA {
            curve: Curve::Ed25519,
            q,
        } => q.value().get(1..).is_none_or(is_small_order),
        mpi::PublicKey::Ed25519 { a } => is_small_order(a),
        _ => false,
    }
}

fn is_small_order(encoding: &[u8]) -> bool {
    let point = CompressedEdwardsY::from_slice(encoding)
        .ok()
        .and_then(|point| point.decompress());
    point.is_some_and(|point| point.is_small_order())
}
