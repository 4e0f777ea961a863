//! Forged, altered and malformed signatures on a release.

use attestation::{
    Time, canonical,
    openpgp::PgpFormError,
    tuf::{Signature, Signed, Targets},
};
use data_encoding::HEXLOWER;
use policy::SignatureRefusal;
use sequoia_openpgp::{
    packet::signature::{
        SignatureBuilder,
        subpacket::{NotationDataFlags, Subpacket, SubpacketTag, SubpacketValue},
    },
    types::{HashAlgorithm, SignatureType},
};
use testkit::TestChain;

use crate::{NOW, forge, refused, release_signed};

fn alice(chain: &TestChain, payload: &[u8]) -> Signature {
    forge::sign(forge::honest(NOW), chain.person("alice"), 0, payload)
}

/// What becomes of bob's signature, made as `flaw` says, beside a good one of alice's. The same without the flaw
/// is accepted.
fn refusal_of_bobs(flaw: impl FnOnce(SignatureBuilder) -> SignatureBuilder) -> SignatureRefusal {
    refusal_of(|chain, payload| forge::sign(flaw(forge::honest(NOW)), chain.person("bob"), 0, payload))
}

pub(crate) fn refusal_of(second: impl FnOnce(&TestChain, &[u8]) -> Signature) -> SignatureRefusal {
    let chain = TestChain::new(NOW);
    release_signed(&chain, |payload| {
        let honest = forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload);
        vec![alice(&chain, payload), honest]
    })
    .map(|_| ())
    .expect("the honest twin");
    let outcome = release_signed(&chain, |payload| vec![alice(&chain, payload), second(&chain, payload)]);
    let [refusal] = <[SignatureRefusal; 1]>::try_from(refused(outcome)).expect("alice's signature counts");
    refusal
}

#[test]
fn refuses_a_good_signature_over_other_data() {
    let refusal = refusal_of(|chain, payload| {
        let other = [payload, b" "].concat();
        forge::sign(forge::honest(NOW), chain.person("bob"), 0, &other)
    });
    assert_eq!(refusal, SignatureRefusal::Bad);
}

#[test]
fn refuses_signatures_moved_under_a_rewritten_body() {
    let mut chain = TestChain::new(NOW);
    let targets = chain.draft_release("unstable", &[("nixexprs.tar.xz", b"honest")]);
    let signed = chain.signed_targets(targets, &["alice", "bob"]);
    let mut rewritten = chain.draft_release("unstable", &[("nixexprs.tar.xz", b"hostile")]);
    rewritten.expires = signed.claims.expires;
    let mut hostile = chain.clone();
    hostile.place_targets("unstable", &Signed::new(rewritten, signed.signatures.clone()));
    hostile.publish();
    assert_eq!(
        refused(hostile.visit("unstable")),
        [SignatureRefusal::Bad, SignatureRefusal::Bad]
    );
    chain.place_targets("unstable", &signed);
    chain.publish();
    chain.visit("unstable").map(|_| ()).expect("the honest twin");
}

#[test]
fn refuses_altered_other_headers() {
    let alter = |change: fn(&mut Vec<u8>)| {
        refusal_of(|chain, payload| {
            let mut signature = forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload);
            let mut headers = HEXLOWER.decode(signature.other_headers.unwrap().as_bytes()).unwrap();
            change(&mut headers);
            signature.other_headers = Some(HEXLOWER.encode(&headers));
            signature
        })
    };
    // The creation time is one of the hashed subpackets; one second less is another signature.
    let other_time = alter(|headers| {
        let created = u32::try_from(NOW.unix()).unwrap().to_be_bytes();
        let at = headers.windows(4).position(|window| window == created).unwrap();
        headers[at + 3] ^= 1;
    });
    assert_eq!(other_time, SignatureRefusal::Bad);
    let longer = alter(|headers| headers.push(0));
    assert!(
        matches!(longer, SignatureRefusal::Form(PgpFormError::Malformed(_))),
        "{longer:?}"
    );
    let cut = alter(|headers| headers.truncate(9));
    assert!(
        matches!(cut, SignatureRefusal::Form(PgpFormError::Malformed(_))),
        "{cut:?}"
    );
    let version_3 = alter(|headers| headers[0] = 3);
    assert!(
        matches!(
            &version_3,
            SignatureRefusal::Form(PgpFormError::Field {
                field: "version",
                found: 3,
                ..
            })
        ),
        "{version_3:?}"
    );
    let version_6 = alter(|headers| headers[0] = 6);
    assert!(
        matches!(
            &version_6,
            SignatureRefusal::Form(PgpFormError::Field {
                field: "version",
                found: 6,
                ..
            })
        ),
        "{version_6:?}"
    );
    let certification = alter(|headers| headers[1] = 0x13);
    assert!(
        matches!(
            &certification,
            SignatureRefusal::Form(PgpFormError::Field {
                field: "type",
                found: 0x13,
                ..
            })
        ),
        "{certification:?}"
    );
    let algorithm = alter(|headers| headers[2] = 27);
    assert!(
        matches!(
            &algorithm,
            SignatureRefusal::Form(PgpFormError::Field {
                field: "public-key algorithm",
                ..
            })
        ),
        "{algorithm:?}"
    );
}

#[test]
fn refuses_a_text_signature_and_so_a_clearsigned_text() {
    let refusal = refusal_of_bobs(|builder| builder.set_type(SignatureType::Text));
    assert!(
        matches!(
            refusal,
            SignatureRefusal::Form(PgpFormError::Field {
                field: "type",
                found: 1,
                ..
            })
        ),
        "{refusal:?}"
    );
}

#[test]
fn refuses_a_hash_other_than_sha_256() {
    for (hash, number) in [
        (HashAlgorithm::SHA512, 10),
        (HashAlgorithm::SHA384, 9),
        (HashAlgorithm::SHA1, 2),
        (HashAlgorithm::MD5, 1),
    ] {
        let refusal = refusal_of_bobs(|builder| builder.set_hash_algo(hash));
        assert!(
            matches!(
                refusal,
                SignatureRefusal::Form(PgpFormError::Field { field: "hash algorithm", found, .. }) if found == number
            ),
            "{hash}: {refusal:?}"
        );
    }
}

#[test]
fn refuses_a_signature_dated_2040() {
    let future: Time = "2040-01-01T00:00:00Z".parse().unwrap();
    let refusal = refusal_of_bobs(|builder| builder.set_signature_creation_time(forge::system_time(future)).unwrap());
    assert!(
        matches!(refusal, SignatureRefusal::FromTheFuture { found, .. } if found == future),
        "{refusal:?}"
    );
}

#[test]
fn refuses_a_signature_that_expires() {
    let refusal = refusal_of_bobs(|builder| {
        builder
            .set_signature_validity_period(std::time::Duration::from_secs(3600))
            .unwrap()
    });
    assert!(
        matches!(refusal, SignatureRefusal::Form(PgpFormError::Subpacket(_))),
        "{refusal:?}"
    );
}

#[test]
fn refuses_a_critical_notation() {
    let notation = |critical| {
        move |builder: SignatureBuilder| {
            builder
                .add_notation(
                    "purpose@example.org",
                    b"games only",
                    NotationDataFlags::empty(),
                    critical,
                )
                .unwrap()
        }
    };
    let refusal = refusal_of_bobs(notation(true));
    assert!(
        matches!(refusal, SignatureRefusal::Form(PgpFormError::Subpacket(_))),
        "{refusal:?}"
    );
    // One that is not critical says nothing to us.
    let chain = TestChain::new(NOW);
    let twin = release_signed(&chain, |payload| {
        let bob = forge::sign(notation(false)(forge::honest(NOW)), chain.person("bob"), 0, payload);
        vec![alice(&chain, payload), bob]
    });
    twin.map(|_| ()).expect("a notation that is not critical");
}

#[test]
fn refuses_an_unknown_critical_subpacket() {
    let refusal = refusal_of_bobs(|builder| {
        let value = SubpacketValue::Unknown {
            tag: SubpacketTag::Private(100),
            body: vec![1],
        };
        builder
            .modify_hashed_area(|mut area| {
                area.add(Subpacket::new(value, true)?)?;
                Ok(area)
            })
            .unwrap()
    });
    assert_eq!(refusal, SignatureRefusal::Form(PgpFormError::UnknownCritical(100)));
}

/// A 64-bit key id can be made to collide: only a fingerprint names a key, and it must be the key id.
#[test]
fn refuses_a_key_named_by_its_64_bit_id_alone() {
    let headers_without_fingerprint = refusal_of(|chain, payload| {
        let mut signature = forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload);
        let created = u32::try_from(NOW.unix()).unwrap().to_be_bytes();
        // Version 4, type 0, algorithm 22, SHA-256; creation time and 64-bit issuer only.
        let mut area = vec![5, 2];
        area.extend(created);
        area.extend([9, 16]);
        area.extend(
            HEXLOWER
                .decode(&chain.person("bob").keys[0].as_str().as_bytes()[24..])
                .unwrap(),
        );
        let mut headers = vec![4, 0, 22, 8, 0, u8::try_from(area.len()).unwrap()];
        headers.extend(area);
        signature.other_headers = Some(HEXLOWER.encode(&headers));
        signature
    });
    assert!(
        matches!(
            headers_without_fingerprint,
            SignatureRefusal::Form(PgpFormError::Subpacket(_))
        ),
        "{headers_without_fingerprint:?}"
    );
}

#[test]
fn refuses_a_signature_under_another_persons_key_id() {
    let refusal = refusal_of(|chain, payload| {
        let mut signature = forge::sign(forge::honest(NOW), chain.person("alice"), 0, payload);
        signature.keyid = chain.person("bob").keys[0].clone().into();
        signature
    });
    assert!(
        matches!(refusal, SignatureRefusal::Form(PgpFormError::OtherIssuer { .. })),
        "{refusal:?}"
    );
}

#[test]
fn counts_one_person_who_signs_twice_once() {
    let chain = TestChain::new(NOW);
    let earlier = Time::from_unix(NOW.unix() - 60);
    let outcome = release_signed(&chain, |payload| {
        let again = forge::sign(forge::honest(earlier), chain.person("alice"), 0, payload);
        vec![alice(&chain, payload), again, alice(&chain, payload)]
    });
    assert!(refused(outcome).is_empty(), "all are good, and one voice");
    let twin = release_signed(&chain, |payload| {
        let again = forge::sign(forge::honest(earlier), chain.person("alice"), 0, payload);
        let bob = forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload);
        vec![alice(&chain, payload), again, bob]
    });
    let vouches = twin
        .expect("the honest twin")
        .release(&"unstable".parse().unwrap())
        .unwrap();
    assert_eq!(vouches.evidence().vouches.len(), 2, "evidence names people");
}

#[test]
fn refuses_one_person_with_two_tokens_as_two() {
    let refusal = refusal_of(|chain, payload| forge::sign(forge::honest(NOW), chain.person("alice"), 1, payload));
    assert_eq!(refusal, SignatureRefusal::NotInRole);
}

#[test]
fn refuses_unknown_key_and_known_person_outside_the_role() {
    let dave = refusal_of(|chain, payload| forge::sign(forge::honest(NOW), chain.person("dave"), 0, payload));
    assert_eq!(dave, SignatureRefusal::NotInRole);
    let mallory = testkit::TestPerson::new("mallory", Time::from_unix(NOW.unix() - 86_400));
    let unknown = refusal_of(|_, payload| forge::sign(forge::honest(NOW), &mallory, 0, payload));
    assert_eq!(unknown, SignatureRefusal::NotInRole);
    let online = refusal_of(|chain, payload| {
        let release: Targets = canonical::from_value(canonical::parse(payload).unwrap(), "targets").unwrap();
        chain.sign_online(release).signatures.remove(0)
    });
    assert_eq!(online, SignatureRefusal::NotInRole);
}

#[test]
fn junk_beside_good_neither_counts_nor_spoils() {
    let chain = TestChain::new(NOW);
    let junk = |payload: &[u8]| {
        let mut cut = alice(&chain, payload);
        cut.other_headers = Some("04".to_owned());
        let mut empty = alice(&chain, payload);
        empty.sig.clear();
        let mut bare = alice(&chain, payload);
        bare.other_headers = None;
        let stale = forge::sign(forge::honest(NOW), chain.person("carol"), 0, b"another file");
        let outside = forge::sign(forge::honest(NOW), chain.person("dave"), 0, payload);
        vec![cut, empty, bare, stale, outside]
    };
    let outcome = release_signed(&chain, |payload| [junk(payload), vec![alice(&chain, payload)]].concat());
    assert_eq!(refused(outcome).len(), 5);
    let bob = |payload: &[u8]| forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload);
    let twin = release_signed(&chain, |payload| {
        [junk(payload), vec![alice(&chain, payload), bob(payload)]].concat()
    });
    let release = twin
        .expect("two good ones")
        .release(&"unstable".parse().unwrap())
        .unwrap();
    assert_eq!(release.evidence().vouches.len(), 2);
}
