//! One thing has one encoding: respelled signatures, malleable ones, JSON with two readings, flipped bits.

use attestation::{
    canonical,
    openpgp::{PgpFormError, PgpSignature},
    tuf::{Signature, Signed},
};
use data_encoding::HEXLOWER;
use policy::{SignatureRefusal, TrustError, document::PolicyRefusal, root::RootRefusal, trusted_set::Judge};
use sha2::{Digest as _, Sha512};
use signer::Document;
use testkit::TestChain;

use crate::{NOW, compile, forge, refused, signatures::refusal_of};

/// Each byte of the file matters: its members, its digests, its signatures and their headers. (The online key
/// signs the changed file anew, as thieves of it would.)
#[test]
fn refuses_one_bit_flipped_in_each_field() {
    let mut chain = TestChain::new(NOW);
    chain.release("unstable", &[("nixexprs.tar.xz", b"bytes")]);
    let honest = chain.files["metadata/1.unstable.json"].clone();
    let mut accepted = Vec::new();
    for index in (0..honest.len()).step_by(5) {
        let mut flipped = honest.clone();
        flipped[index] ^= 1 << (index % 8);
        let mut hostile = chain.clone();
        hostile.place_target_bytes("unstable", 1, flipped);
        hostile.publish();
        if hostile.visit("unstable").is_ok() {
            accepted.push(index);
        }
    }
    assert!(accepted.is_empty(), "a flipped bit was accepted at {accepted:?}");
    chain.place_target_bytes("unstable", 1, honest);
    chain.publish();
    chain.visit("unstable").map(|_| ()).expect("the honest twin");
}

#[test]
fn refuses_another_spelling_of_a_signature() {
    let respell = |change: fn(&mut Signature)| {
        refusal_of(|chain, payload| {
            let mut signature = forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload);
            change(&mut signature);
            signature
        })
    };
    for refusal in [
        respell(|signature| signature.sig = signature.sig.to_uppercase()),
        respell(|signature| signature.other_headers = signature.other_headers.as_ref().map(|h| h.to_uppercase())),
        respell(|signature| signature.other_headers = None),
        respell(|signature| signature.sig.push_str("00")),
        respell(|signature| signature.sig.clear()),
    ] {
        assert!(
            matches!(refusal, SignatureRefusal::Form(PgpFormError::Malformed(_))),
            "{refusal:?}"
        );
    }
}

#[test]
fn refuses_a_signature_of_version_3() {
    let refusal = refusal_of(|chain, payload| {
        let mut signature = forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload);
        signature.other_headers = signature.other_headers.map(|headers| headers.replacen("04", "03", 1));
        signature
    });
    assert!(
        matches!(refusal, SignatureRefusal::Form(PgpFormError::Field { found: 3, .. })),
        "{refusal:?}"
    );
    // As PGP 5 wrote them: the time and a 64-bit key id, of which five bytes were hashed.
    let head = [&[3, 5, 0][..], &[0x69, 0x55, 0xb9, 0], &[7; 8], &[22, 8, 0, 0]].concat();
    let body = [head, [&[1, 0][..], &[0x80; 32]].concat().repeat(2)].concat();
    let packet = [&[0xc2, u8::try_from(body.len()).unwrap()][..], &body].concat();
    let error = PgpSignature::from_packet(&packet).unwrap_err();
    assert!(matches!(error, PgpFormError::Field { found: 3, .. }), "{error:?}");
}

/// The order of Ed25519's base point, little-endian: S and S + L satisfy the same equation.
const GROUP_ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn refuses_the_second_encoding_of_an_ed25519_signature() {
    let refusal = refusal_of(|chain, payload| {
        let mut signature = forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload);
        let mut raw = HEXLOWER.decode(signature.sig.as_bytes()).unwrap();
        let mut carry = 0u16;
        for (byte, order) in raw[32..].iter_mut().zip(GROUP_ORDER) {
            carry += u16::from(*byte) + u16::from(order);
            [*byte, _] = carry.to_le_bytes();
            carry >>= 8;
        }
        signature.sig = HEXLOWER.encode(&raw);
        signature
    });
    assert_eq!(refusal, SignatureRefusal::Bad);
}

#[test]
fn refuses_json_that_has_two_readings() {
    let mut chain = TestChain::new(NOW);
    chain.release("unstable", &[("nixexprs.tar.xz", b"bytes")]);
    let honest = String::from_utf8(chain.files["metadata/1.unstable.json"].clone()).unwrap();
    let version = "\"version\":1,\"x-touchstone\"";
    for (from, to, flaw) in [
        (
            version,
            "\"version\":1,\"version\":1,\"x-touchstone\"",
            "duplicate member",
        ),
        ("{\"signatures\"", "{\"signed\":{},\"signatures\"", "a second signed"),
        (version, "\"version\":1.0,\"x-touchstone\"", "float"),
        (version, "\"version\":1e0,\"x-touchstone\"", "exponent"),
        (version, "\"version\":9007199254740992,\"x-touchstone\"", "2^53"),
        (version, "\"version\":-1,\"x-touchstone\"", "negative version"),
        (version, "\"version\":1,\"x-more\":1,\"x-touchstone\"", "unknown member"),
        (version, "\"version\":\"1\",\"x-touchstone\"", "text for a number"),
        ("\".1.test\"", "\"\\ud800\"", "lone surrogate"),
        (
            "\".1.test\"",
            "\".1\\u002etest\"",
            "an escape that canonical JSON does not write",
        ),
        ("{\"signatures\"", "{ \"signatures\"", "white space"),
        (
            "{\"signatures\"",
            "{\"more\":1,\"signatures\"",
            "unknown member of the file",
        ),
        ("\"_type\":\"targets\"", "\"_type\":[\"targets\"]", "list for a text"),
        (
            "\"_type\":\"targets\"",
            "\"_type\":\"targets\",\"delegations\":null",
            "null for an absent member",
        ),
    ] {
        let text = honest.replacen(from, to, 1);
        assert_ne!(text, honest, "{flaw} was not made");
        let mut hostile = chain.clone();
        hostile.place_target_bytes("unstable", 1, text.into_bytes());
        hostile.publish();
        let error = hostile.visit("unstable").map(|_| ()).expect_err(flaw);
        assert!(matches!(error, TrustError::Format { .. }), "{flaw}: {error:?}");
    }
    chain.visit("unstable").map(|_| ()).expect("the honest twin");
}

#[test]
fn a_signature_of_ours_is_the_honest_form() {
    let mut chain = TestChain::new(NOW);
    let targets = chain.draft_release("unstable", &[]);
    let ours = chain.sign_with(&Document::Targets(&targets), "alice", 0);
    let forged = forge::sign(
        forge::honest(NOW),
        chain.person("alice"),
        0,
        &canonical::to_vec(&targets),
    );
    assert_eq!(
        ours.other_headers.map(|h| h[..8].to_owned()),
        Some("04001608".to_owned())
    );
    assert_eq!(
        forged.other_headers.map(|h| h[..8].to_owned()),
        Some("04001608".to_owned())
    );
}

/// The y coordinates below 19 have a second encoding, beyond the field's prime; some of the points are of small
/// order, for which a signature over anything is easily found.
#[test]
fn refuses_points_of_small_order_and_in_a_second_encoding() {
    let people = testkit::chain::people(NOW);
    let takes = |point: [u8; 32]| {
        let outcome = compile(&people, |policy| policy.online_key = HEXLOWER.encode(&point));
        match outcome {
            Ok(_) => true,
            Err(RootRefusal::Policy(PolicyRefusal::OnlineKey)) => false,
            Err(other) => panic!("{other:?}"),
        }
    };
    let mut taken = 0;
    for y in 0..19_u8 {
        for sign in [0, 0x80] {
            let mut canonical = [0; 32];
            canonical[0] = y;
            canonical[31] |= sign;
            taken += usize::from(takes(canonical));
            let mut second = [0xff; 32];
            second[0] = 0xed + y;
            second[31] = 0x7f | sign;
            assert!(!takes(second), "the second encoding of y = {y}");
        }
    }
    assert!(taken > 0, "some of the points are good ones");
    // Orders 1, 2 and 4: y = 1, -1 and 0.
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let one = std::array::from_fn(|index| u8::from(index == 0));
    for small in [one, minus_one, [0; 32]] {
        assert!(!takes(small), "{small:?}");
    }
}

/// R of small order: the equation holds, and whoever holds the key has many such signatures over one text. Strict
/// verification refuses it; a rule that takes it would differ from a batched one.
#[test]
fn refuses_an_ed25519_signature_whose_r_is_of_small_order() {
    let mut chain = TestChain::new(NOW);
    let claims = chain.draft_timestamp();
    let payload = canonical::to_vec(&claims);
    // R is the neutral element; S = k * a, with k = SHA-512(R, A, M).
    let r: [u8; 32] = std::array::from_fn(|index| u8::from(index == 0));
    let hasher = Sha512::new_with_prefix(r).chain_update(chain.online.verifying_key().as_bytes());
    let k = hasher.chain_update(&payload).finalize();
    let a = chain.online.to_scalar();
    let bits = k
        .iter()
        .rev()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let s = bits.fold(a - a, |sum, bit| if bit == 1 { sum + sum + a } else { sum + sum });
    let raw = [r, s.to_bytes()].concat();
    let key = chain.online.verifying_key();
    let lax = ed25519_dalek::Signature::from_slice(&raw).unwrap();
    ed25519_dalek::Verifier::verify(&key, &payload, &lax).expect("the equation holds");
    let honest = chain.sign_online(claims.clone());
    let mut signature = honest.signatures[0].clone();
    signature.sig = HEXLOWER.encode(&raw);
    chain.place_timestamp(&Signed::new(claims, vec![signature]));
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    let error = set.update_timestamp(&chain.files["metadata/timestamp.json"]);
    assert_eq!(refused(error.map(|_| set)), [SignatureRefusal::Bad]);
    chain.place_timestamp(&honest);
    let mut set = chain.client(Judge::Current, NOW).unwrap();
    set.update_timestamp(&chain.files["metadata/timestamp.json"])
        .expect("the honest twin");
}
