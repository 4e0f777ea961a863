//! Somebody else's TUF repository: what its rules ask beyond signatures, and what they let pass.

use std::collections::BTreeMap;

use attestation::{
    Sha256Digest,
    tuf::{Key, Metadata as _, RoleKeys, Root, SPEC_VERSION, Signature, Signed, TargetFile},
};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use policy::{
    TrustError, TrustedSet,
    trusted_set::{Judge, expect_target},
};

use crate::{NOW, days};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(key: &SigningKey) -> Key {
    Key {
        keytype: "ed25519".to_owned(),
        scheme: "ed25519".to_owned(),
        keyval: serde_json::json!({"public": HEXLOWER.encode(key.verifying_key().as_bytes())}),
    }
}

/// A first root: keys 1 and 2 as they are, and one of a kind that nobody knows, of which `threshold` must sign. It is
/// signed by those with these numbers.
fn root(threshold: u32, signers: &[u8]) -> Vec<u8> {
    let strange = Key {
        keytype: "sphincs".to_owned(),
        scheme: "sphincs-shake".to_owned(),
        keyval: serde_json::json!({"x": [1]}),
    };
    let id = |number: u8| format!("{number:02x}").parse().unwrap();
    let keys = BTreeMap::from([(id(1), public(&key(1))), (id(2), public(&key(2))), (id(3), strange)]);
    let role = RoleKeys {
        keyids: keys.keys().cloned().collect(),
        threshold,
    };
    let roles = ["root", "targets", "snapshot", "timestamp"];
    let claims = Root {
        type_tag: Root::TYPE.to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        consistent_snapshot: None,
        version: 1,
        expires: NOW.plus(days(1)),
        keys,
        roles: roles.map(|name| (name.parse().unwrap(), role.clone())).into(),
        policy: None,
    };
    let mut file = Signed::new(claims, Vec::new());
    file.signatures = signers
        .iter()
        .map(|number| Signature {
            keyid: id(*number),
            other_headers: None,
            sig: HEXLOWER.encode(&key(*number).sign(&file.payload).to_bytes()),
        })
        .collect();
    file.to_bytes()
}

fn trust(root: &[u8]) -> Result<TrustedSet, TrustError> {
    TrustedSet::foreign(root, Judge::Current, NOW)
}

#[test]
fn a_key_of_an_unknown_kind_is_let_pass_and_does_not_count() {
    assert!(trust(&root(2, &[1, 2])).is_ok());
    assert!(trust(&root(2, &[1, 2, 3])).is_ok(), "a signature more");
    assert!(matches!(trust(&root(2, &[1, 3])), Err(TrustError::Threshold(_))));
}

#[test]
fn a_key_id_stands_once_among_the_signatures() {
    assert!(matches!(trust(&root(1, &[1, 1])), Err(TrustError::Rule { .. })));
    assert!(matches!(trust(&root(2, &[1, 1])), Err(TrustError::Rule { .. })));
}

#[test]
fn a_target_has_its_length_and_every_digest_that_was_signed() {
    type Edit = fn(&mut TargetFile, &str);
    const BYTES: &[u8] = b"a target";
    let other = "00".repeat(64);
    let honest = TargetFile::new(BYTES.len() as u64, Sha256Digest::of(BYTES));
    assert!(expect_target("file", BYTES, &honest).is_ok());
    let flaws: [(&str, Edit); 4] = [
        ("longer", |target, _| target.length += 1),
        ("no digest", |target, _| target.hashes.clear()),
        ("a second digest of other bytes", |target, other| {
            target.hashes.insert("sha512".to_owned(), other.to_owned());
        }),
        ("an unknown algorithm", |target, other| {
            target.hashes.insert("md6".to_owned(), other.to_owned());
        }),
    ];
    for (flaw, edit) in flaws {
        let mut target = honest.clone();
        edit(&mut target, &other);
        let refused = expect_target("file", BYTES, &target);
        assert!(matches!(refused, Err(TrustError::NotTheTarget { .. })), "{flaw}");
    }
    let refused = expect_target("file", b"a targeT", &honest);
    assert!(matches!(refused, Err(TrustError::NotTheTarget { .. })), "other bytes");
}
