//! P-256: good for statements, in no role of TUF.

use attestation::{
    Time,
    chain::PolicyDocument,
    dsse::Envelope,
    openpgp::{PgpFormError, PgpSignature},
};
use policy::{SignatureRefusal, keyring::CertificateRefusal, root::RootRefusal, statements::StatementRefusal};
use sequoia_openpgp::{
    Packet,
    crypto::mpi,
    packet::{Signature, signature::Signature4},
    parse::Parse as _,
    serialize::MarshalInto as _,
    types::{Curve, HashAlgorithm},
};
use testkit::{TestChain, TestPerson, chain::people};

use crate::{
    NOW, compile, days,
    forge::{self, Binding},
    refused, release_signed,
    statements::{approval, judged, statement},
};

/// The order of P-256, big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn created() -> Time {
    NOW.minus(days(30))
}

/// Alice with a key on this curve behind her others.
fn alice_with(curve: Curve) -> TestPerson {
    let key = forge::ecdsa(curve, created());
    forge::add_key(&people(NOW)[0], key, created(), &Binding::default())
}

fn chain() -> TestChain {
    let mut all = people(NOW);
    all[0] = forge::add_key(
        &all[0],
        forge::ecdsa(Curve::NistP256, created()),
        created(),
        &Binding::default(),
    );
    TestChain::with_policy(all, NOW, |_| {})
}

/// A statement of alice's by her P-256 key.
fn said(chain: &TestChain) -> Envelope {
    let payload = statement(chain, "alice", approval(None, Some("b"))).to_bytes();
    let mut envelope = Envelope {
        payload,
        keyid: chain.person("alice").keys[2].clone().into(),
        signature: Vec::new(),
    };
    let signature =
        forge::honest(NOW).sign_message(&mut forge::pair(chain.person("alice"), 2), envelope.signed_bytes());
    envelope.signature = Packet::from(signature.unwrap()).to_vec().unwrap();
    envelope
}

fn verify(chain: &TestChain, envelope: &Envelope) -> Result<(), SignatureRefusal> {
    match judged(chain).court().unwrap().verify(envelope) {
        Ok(_) => Ok(()),
        Err(StatementRefusal::Signature { source, .. }) => Err(source),
        Err(other) => panic!("{other:?}"),
    }
}

/// The same signature packet with other numbers.
fn with_numbers(envelope: &Envelope, edit: impl FnOnce([u8; 32], [u8; 32]) -> (Vec<u8>, Vec<u8>)) -> Envelope {
    let Ok(Packet::Signature(Signature::V4(old))) = Packet::from_bytes(&envelope.signature) else {
        panic!("no signature")
    };
    let old: Signature4 = old;
    let mpi::Signature::ECDSA { r, s } = old.mpis() else {
        panic!("not ECDSA")
    };
    let whole = |number: &mpi::MPI| -> [u8; 32] { number.value_padded(32).unwrap().to_vec().try_into().unwrap() };
    let (r, s) = edit(whole(r), whole(s));
    // The numbers are the packet's end.
    let old_numbers = old.mpis().to_vec().unwrap().len();
    let header = 2;
    let body = &envelope.signature[header..envelope.signature.len() - old_numbers];
    let numbers = mpi::Signature::ECDSA {
        r: mpi::MPI::new(&r),
        s: mpi::MPI::new(&s),
    };
    let mut packet = body.to_vec();
    packet.extend(numbers.to_vec().unwrap());
    let mut signature = vec![0xc2, u8::try_from(packet.len()).unwrap()];
    signature.extend(packet);
    Envelope {
        signature,
        ..envelope.clone()
    }
}

/// `a - b` for `a >= b`, big-endian.
fn minus(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut borrow = false;
    for index in (0..32).rev() {
        let (first, one) = a[index].overflowing_sub(b[index]);
        let (second, two) = first.overflowing_sub(u8::from(borrow));
        out[index] = second;
        borrow = one || two;
    }
    out
}

#[test]
fn takes_a_statement_by_a_p_256_key() {
    let chain = chain();
    let envelope = said(&chain);
    verify(&chain, &envelope).expect("a good signature");
    assert_eq!(
        PgpSignature::from_packet(&envelope.signature).unwrap().issuer(),
        &chain.person("alice").keys[2]
    );
    let same = with_numbers(&envelope, |r, s| (r.to_vec(), s.to_vec()));
    verify(&chain, &same).expect("the honest twin of every change of numbers");
    // gpg and tokens make both; it is one voice in either encoding.
    let other_sign = with_numbers(&envelope, |r, s| (r.to_vec(), minus(ORDER, s).to_vec()));
    verify(&chain, &other_sign).expect("the other sign of s");
}

#[test]
fn refuses_p_256_numbers_that_are_zero_too_large_or_anothers() {
    let chain = chain();
    let envelope = said(&chain);
    type Edit = fn([u8; 32], [u8; 32]) -> (Vec<u8>, Vec<u8>);
    let flaws: [(&str, Edit); 5] = [
        ("r is zero", |_, s| (Vec::new(), s.to_vec())),
        ("s is zero", |r, _| (r.to_vec(), Vec::new())),
        ("s is the order", |r, _| (r.to_vec(), ORDER.to_vec())),
        ("r is the order", |_, s| (ORDER.to_vec(), s.to_vec())),
        ("r and s are exchanged", |r, s| (s.to_vec(), r.to_vec())),
    ];
    for (flaw, edit) in flaws {
        assert_eq!(
            verify(&chain, &with_numbers(&envelope, edit)),
            Err(SignatureRefusal::Bad),
            "{flaw}"
        );
    }
    let long = with_numbers(&envelope, |r, s| ([&[1], &r[..]].concat(), s.to_vec()));
    let refusal = verify(&chain, &long).unwrap_err();
    assert!(
        matches!(refusal, SignatureRefusal::Form(PgpFormError::Malformed(_))),
        "{refusal:?}"
    );
    let mut other = envelope.clone();
    other.payload = statement(&chain, "alice", approval(None, Some("c"))).to_bytes();
    assert_eq!(verify(&chain, &other), Err(SignatureRefusal::Bad), "another statement");
    let refusal = {
        let signature = forge::honest(NOW)
            .set_hash_algo(HashAlgorithm::SHA512)
            .sign_message(&mut forge::pair(chain.person("alice"), 2), envelope.signed_bytes());
        let signature = Packet::from(signature.unwrap()).to_vec().unwrap();
        verify(&chain, &Envelope { signature, ..envelope }).unwrap_err()
    };
    assert!(
        matches!(refusal, SignatureRefusal::Form(PgpFormError::Field { .. })),
        "{refusal:?}"
    );
}

/// Of somebody in no role of TUF, P-256 may be the only kind; who signs roots or releases has another first key.
#[test]
fn refuses_a_p_256_key_in_a_root_or_a_release() {
    let p256 = |name: &str| {
        forge::person(
            name,
            created(),
            forge::ecdsa(Curve::NistP256, created()),
            &Binding::default(),
        )
    };
    let with = |index: usize, edit: &dyn Fn(&mut PolicyDocument)| {
        let mut all = people(NOW);
        all[index] = p256(all[index].name.clone().as_str());
        compile(&all, |policy| edit(policy)).map(|_| ())
    };
    with(3, &|_| {}).expect("dave signs statements only");
    let dave = || "dave".parse().unwrap();
    let in_role = |role: &'static str| {
        move |policy: &mut PolicyDocument| {
            let people = &mut policy.roles.get_mut(&role.parse().unwrap()).unwrap().people;
            people.insert(dave());
        }
    };
    let with_targets = |policy: &mut PolicyDocument| {
        let mut targets = policy.roles[&"root".parse().unwrap()].clone();
        targets.people.insert(dave());
        policy.roles.insert("targets".parse().unwrap(), targets);
    };
    for (place, refusal) in [
        ("root", with(3, &in_role("root"))),
        ("a channel", with(3, &in_role("reviewers"))),
        ("targets", with(3, &with_targets)),
        ("everything", with(1, &|_| {})),
    ] {
        assert!(
            matches!(
                refusal,
                Err(RootRefusal::Key {
                    source: CertificateRefusal::StatementsOnly { .. },
                    ..
                })
            ),
            "{place}: {refusal:?}"
        );
    }
}

#[test]
fn refuses_a_p_256_signature_on_a_release() {
    let chain = chain();
    let signed = |index| {
        release_signed(&chain, |payload| {
            vec![
                forge::sign(forge::honest(NOW), chain.person("alice"), index, payload),
                forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload),
            ]
        })
    };
    signed(0).map(|_| ()).expect("the honest twin");
    let refusals = refused(signed(2));
    assert!(matches!(refusals[..], [SignatureRefusal::NotInRole]), "{refusals:?}");
    // Under the key id of her first key.
    let lent = release_signed(&chain, |payload| {
        let mut lent = forge::sign(forge::honest(NOW), chain.person("alice"), 2, payload);
        lent.keyid = chain.person("alice").keys[0].clone().into();
        vec![lent, forge::sign(forge::honest(NOW), chain.person("bob"), 0, payload)]
    });
    let refusals = refused(lent);
    assert!(
        matches!(refusals[..], [SignatureRefusal::Form(PgpFormError::Field { .. })]),
        "{refusals:?}"
    );
}

#[test]
fn refuses_curves_that_nobody_verifies() {
    let of = |curve| {
        let mut all = people(NOW);
        all[0] = alice_with(curve);
        compile(&all, |_| {}).map(|_| ())
    };
    of(Curve::NistP256).expect("the honest twin");
    for curve in [Curve::NistP384, Curve::NistP521] {
        let refusal = of(curve.clone());
        assert!(
            matches!(
                refusal,
                Err(RootRefusal::Key {
                    source: CertificateRefusal::Algorithm { .. },
                    ..
                })
            ),
            "{curve}: {refusal:?}"
        );
    }
}

#[test]
fn refuses_one_p_256_token_as_two_people() {
    let mut all = people(NOW);
    let key = forge::ecdsa(Curve::NistP256, created());
    let mut again = key.clone();
    again
        .set_creation_time(forge::system_time(NOW.minus(days(20))))
        .unwrap();
    all[0] = forge::add_key(&all[0], key, created(), &Binding::default());
    compile(&all, |_| {}).map(|_| ()).expect("the honest twin");
    all[3] = forge::add_key(&all[3], again, NOW.minus(days(20)), &Binding::default());
    let refusal = compile(&all, |_| {}).map(|_| ());
    assert!(matches!(refusal, Err(RootRefusal::SameMaterial { .. })), "{refusal:?}");
}
