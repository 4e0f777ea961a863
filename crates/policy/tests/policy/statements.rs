//! Statements: whose they are, and under which chain.

use std::{collections::BTreeSet, num::NonZeroUsize};

use attestation::{
    Content, Delta, Sha256Digest, StatementId,
    chain::{Release, StatementList},
    dsse::Envelope,
    openpgp::PgpFormError,
    statement::{Claim, DeltaVerdict, FromTree, Review, Statement, Verdict},
};
use policy::{
    Facts, SignatureRefusal, TrustedSet, Verified, jury::Work, keyring::CertificateRefusal,
    statements::StatementRefusal, trusted_set::Judge,
};
use sequoia_openpgp::{Packet, serialize::MarshalInto as _, types::ReasonForRevocation};
use testkit::TestChain;

use crate::{NOW, days, forge};

/// Where statements are judged now.
pub(crate) fn judged(chain: &TestChain) -> TrustedSet {
    chain.client(Judge::Authentic, chain.now).unwrap()
}

pub(crate) fn content(name: &str) -> Content {
    Content::from_digest(Sha256Digest::of(name))
}

pub(crate) fn delta(from: Option<&str>, to: Option<&str>) -> Delta {
    Delta {
        unit: "pkgs/hello".parse().unwrap(),
        from: from.map(content),
        to: to.map(content),
    }
}

pub(crate) fn review(verdicts: impl IntoIterator<Item = (Delta, Verdict)>) -> Claim {
    let verdicts = verdicts.into_iter();
    let mut verdicts: Vec<_> = verdicts
        .map(|(delta, verdict)| DeltaVerdict {
            delta,
            verdict,
            note: None,
        })
        .collect();
    verdicts.sort();
    Claim::Review(Review {
        criteria: "read-the-diff".to_owned(),
        verdicts,
        supersedes: BTreeSet::new(),
        from_tree: None,
    })
}

/// The review, looked at from `last`.
pub(crate) fn seen_from(last: &Release, mut claim: Claim) -> Claim {
    if let Claim::Review(review) = &mut claim {
        review.from_tree = Some(FromTree::of(last));
    }
    claim
}

/// A release of `unstable`, as what an import continues.
pub(crate) fn release(sequence: u64) -> Release {
    Release {
        channel: "unstable".parse().unwrap(),
        sequence,
        previous: (sequence > 1).then(|| Sha256Digest::of("the one before")),
        root_version: 1,
        time: NOW,
        commit: "11".repeat(20).parse().unwrap(),
        tree: "12".repeat(20).parse().unwrap(),
        patched: None,
        tree_nar: Sha256Digest::of(format!("tree {sequence}")),
        channel_nar: Sha256Digest::of("channel"),
        version_suffix: ".1".to_owned(),
        statements: StatementList::of(&BTreeSet::new()),
    }
}

pub(crate) fn approval(from: Option<&str>, to: Option<&str>) -> Claim {
    review([(delta(from, to), Verdict::Approve)])
}

pub(crate) fn statement(chain: &TestChain, author: &str, claim: Claim) -> Statement {
    Statement {
        chain: chain.id(),
        author: author.parse().unwrap(),
        seq: 1,
        prev: None,
        claim,
    }
}

/// Signed with the person's `key`th key.
pub(crate) fn envelope(chain: &TestChain, person: &str, key: usize, statement: &Statement) -> Envelope {
    signer::sign_statement(&chain.person(person).signer(key, chain.now), statement).unwrap()
}

fn verify(chain: &TestChain, envelope: &Envelope) -> Result<Verified<Statement>, StatementRefusal> {
    judged(chain).court().unwrap().verify(envelope)
}

fn signature_refusal(outcome: Result<Verified<Statement>, StatementRefusal>) -> SignatureRefusal {
    match outcome {
        Err(StatementRefusal::Signature { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

fn honest(chain: &TestChain) -> (Statement, Envelope) {
    let said = statement(chain, "alice", approval(None, Some("b")));
    let envelope = envelope(chain, "alice", 0, &said);
    verify(chain, &envelope).expect("the honest twin");
    (said, envelope)
}

#[test]
fn takes_a_statement_by_each_of_its_authors_keys() {
    let chain = TestChain::new(NOW);
    for key in [0, 1] {
        let said = statement(&chain, "alice", approval(None, Some("b")));
        let verified = verify(&chain, &envelope(&chain, "alice", key, &said)).unwrap();
        assert_eq!(*verified.get(), said);
        let vouches = &verified.evidence().vouches;
        assert_eq!(vouches[0].person.as_ref(), Some(&said.author));
    }
}

#[test]
fn refuses_a_statement_of_another_chain() {
    let (chain, other) = (TestChain::new(NOW), TestChain::new(NOW));
    let mut said = statement(&chain, "alice", approval(None, Some("b")));
    said.chain = other.id();
    let outcome = verify(&chain, &envelope(&chain, "alice", 0, &said));
    assert!(matches!(outcome, Err(StatementRefusal::Chain { .. })), "{outcome:?}");
}

#[test]
fn refuses_a_statement_by_nobody_or_in_another_persons_name() {
    let chain = TestChain::new(NOW);
    let said = statement(&chain, "mallory", approval(None, Some("b")));
    let outcome = verify(&chain, &envelope(&chain, "alice", 0, &said));
    assert!(
        matches!(outcome, Err(StatementRefusal::UnknownAuthor(_))),
        "{outcome:?}"
    );
    let said = statement(&chain, "bob", approval(None, Some("b")));
    for key in [0, 1] {
        let outcome = verify(&chain, &envelope(&chain, "alice", key, &said));
        assert!(
            matches!(outcome, Err(StatementRefusal::NotTheAuthors { .. })),
            "{outcome:?}"
        );
    }
    // Alice's signature with bob's key id beside it, and bob's under alice's.
    let mut lent = envelope(&chain, "alice", 0, &said);
    lent.keyid = chain.person("bob").keys[0].clone().into();
    let refusal = signature_refusal(verify(&chain, &lent));
    assert!(
        matches!(refusal, SignatureRefusal::Form(PgpFormError::OtherIssuer { .. })),
        "{refusal:?}"
    );
}

/// The primary key certifies; it is not one of the person's signing keys.
#[test]
fn refuses_a_statement_by_the_primary_key() {
    let chain = TestChain::new(NOW);
    let (said, mut envelope) = honest(&chain);
    let alice = chain.person("alice");
    let mut primary = forge::primary(alice);
    let signature = forge::honest(NOW)
        .sign_message(&mut primary, envelope.signed_bytes())
        .unwrap();
    envelope.signature = Packet::from(signature).to_vec().unwrap();
    envelope.keyid = primary.public().fingerprint().to_hex().to_lowercase().parse().unwrap();
    assert_eq!(envelope.payload, said.to_bytes());
    let outcome = verify(&chain, &envelope);
    assert!(
        matches!(outcome, Err(StatementRefusal::NotTheAuthors { .. })),
        "{outcome:?}"
    );
}

#[test]
fn refuses_a_signature_replayed_under_another_statement() {
    let chain = TestChain::new(NOW);
    let (_, first) = honest(&chain);
    let other = statement(&chain, "alice", approval(None, Some("c")));
    let replayed = Envelope {
        payload: other.to_bytes(),
        ..first
    };
    assert_eq!(signature_refusal(verify(&chain, &replayed)), SignatureRefusal::Bad);
}

/// The type is part of what is signed: a signature over the bare payload is none over the statement.
#[test]
fn refuses_a_signature_over_the_bare_payload() {
    let chain = TestChain::new(NOW);
    let (said, mut envelope) = honest(&chain);
    let mut pair = forge::pair(chain.person("alice"), 0);
    let bare = forge::honest(NOW).sign_message(&mut pair, said.to_bytes()).unwrap();
    envelope.signature = Packet::from(bare).to_vec().unwrap();
    assert_eq!(signature_refusal(verify(&chain, &envelope)), SignatureRefusal::Bad);
    let right = forge::honest(NOW)
        .sign_message(&mut pair, envelope.signed_bytes())
        .unwrap();
    envelope.signature = Packet::from(right).to_vec().unwrap();
    verify(&chain, &envelope).expect("the honest twin");
}

#[test]
fn refuses_one_bit_flipped_in_payload_or_signature() {
    let chain = TestChain::new(NOW);
    let (_, honest) = honest(&chain);
    let set = judged(&chain);
    let court = set.court().unwrap();
    for index in (0..honest.payload.len()).step_by(3) {
        let mut flipped = honest.clone();
        flipped.payload[index] ^= 1 << (index % 8);
        assert!(court.verify(&flipped).is_err(), "payload byte {index}");
    }
    // Of the packet: the header is framing, the unhashed area and the digest's two first bytes prove nothing and
    // are not read. All else is signed, or the signature.
    let mut unread = BTreeSet::new();
    for index in 0..honest.signature.len() {
        let mut flipped = honest.clone();
        flipped.signature[index] ^= 1 << (index % 8);
        if court.verify(&flipped).is_ok() {
            unread.insert(index);
        }
    }
    let hashed_length = usize::from(u16::from_be_bytes([honest.signature[6], honest.signature[7]]));
    let hashed = 2..8 + hashed_length;
    let numbers = honest.signature.len() - 64..honest.signature.len();
    assert!(
        unread
            .iter()
            .all(|index| !hashed.contains(index) && !numbers.contains(index)),
        "{unread:?}"
    );
}

#[test]
fn refuses_bytes_after_the_signature_packet() {
    let chain = TestChain::new(NOW);
    let (_, honest) = honest(&chain);
    let mut two = honest.clone();
    two.signature.extend(&honest.signature);
    let refusal = signature_refusal(verify(&chain, &two));
    assert!(
        matches!(refusal, SignatureRefusal::Form(PgpFormError::Malformed(_))),
        "{refusal:?}"
    );
}

#[test]
fn refuses_a_statement_by_a_key_that_is_revoked_retired_or_over() {
    let mut chain = TestChain::new(NOW);
    let (_, envelope) = honest(&chain);
    let mut revoked = chain.clone();
    let packets = forge::revoke(chain.person("alice"), Some(0), ReasonForRevocation::KeyCompromised, NOW);
    revoked.keyring.add(&packets).unwrap();
    let refusal = signature_refusal(verify(&revoked, &envelope));
    assert!(
        matches!(
            refusal,
            SignatureRefusal::Certificate(CertificateRefusal::Revoked { .. })
        ),
        "{refusal:?}"
    );
    let mut retired = chain.clone();
    let packets = forge::revoke(
        chain.person("alice"),
        Some(0),
        ReasonForRevocation::KeyRetired,
        NOW.plus(days(1)),
    );
    retired.keyring.add(&packets).unwrap();
    verify(&retired, &envelope).expect("tomorrow is not yet");
    // A statement that is new is judged now: its date is what its maker says.
    retired.now = NOW.plus(days(2));
    assert!(matches!(
        signature_refusal(verify(&retired, &envelope)),
        SignatureRefusal::Certificate(CertificateRefusal::Revoked { .. })
    ));
    chain.now = NOW.plus(days(365));
    assert!(matches!(
        signature_refusal(verify(&chain, &envelope)),
        SignatureRefusal::AfterPolicy { .. }
    ));
    chain.now = NOW.plus(days(364));
    verify(&chain, &envelope).expect("a day before the policy ends alice's keys");
}

#[test]
fn refuses_a_statement_of_another_form() {
    let chain = TestChain::new(NOW);
    let (said, honest) = honest(&chain);
    let text = String::from_utf8(said.to_bytes()).unwrap();
    for (from, to, flaw) in [
        ("\"seq\":1", "\"seq\":1,\"seq\":1", "duplicate member"),
        ("\"seq\":1", "\"seq\":1.0", "float"),
        ("\"seq\":1", "\"seq\":0", "sequence 0"),
        ("\"seq\":1", "\"seq\":2", "a second without a first"),
        (
            "\"kind\":\"review\"",
            "\"kind\":\"wish\"",
            "a kind outside the closed set",
        ),
        (":review:v1", ":import:v1", "another predicate type"),
        ("{\"_type\"", "{ \"_type\"", "white space"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{flaw} was not made");
        // Signed as it is: the signature is good, the payload is none of ours.
        let mut envelope = Envelope {
            payload: other.into_bytes(),
            ..honest.clone()
        };
        let mut pair = forge::pair(chain.person("alice"), 0);
        let signature = forge::honest(NOW)
            .sign_message(&mut pair, envelope.signed_bytes())
            .unwrap();
        envelope.signature = Packet::from(signature).to_vec().unwrap();
        let outcome = verify(&chain, &envelope);
        assert!(
            matches!(outcome, Err(StatementRefusal::Payload(_))),
            "{flaw}: {outcome:?}"
        );
    }
}

#[test]
fn a_statement_is_judged_at_its_position_too() {
    // Alice's key is over today; what a release of back then lists is judged as of back then.
    let mut chain = TestChain::new(NOW);
    let (_, envelope) = honest(&chain);
    chain.now = NOW.plus(days(400));
    assert!(verify(&chain, &envelope).is_err());
    let position = chain.client(Judge::Authentic, NOW.plus(days(1))).unwrap();
    position.court().unwrap().verify(&envelope).expect("at its position");
}

#[test]
fn a_statement_id_is_its_payloads_digest() {
    let chain = TestChain::new(NOW);
    let (said, envelope) = honest(&chain);
    assert_eq!(said.id(), StatementId::from_digest(Sha256Digest::of(&envelope.payload)));
}

/// Many at once, on two threads, with prepared keys and with what is known already: each as if judged alone.
#[test]
fn many_statements_at_once_are_judged_as_each_alone() {
    let chain = TestChain::new(NOW);
    let set = judged(&chain);
    let court = set.court().unwrap();
    let envelopes: Vec<_> = (0..150)
        .map(|index: usize| {
            let author = ["alice", "bob", "dave"][index % 3];
            let said = statement(&chain, author, approval(None, Some(&format!("content {index}"))));
            let mut envelope = envelope(&chain, author, index % 2, &said);
            match index % 10 {
                0 => *envelope.signature.last_mut().unwrap() ^= 1,
                1 => envelope.payload[40] ^= 1,
                2 => envelope.keyid = chain.person("carol").keys[0].clone().into(),
                _ => {}
            }
            envelope
        })
        .collect();
    let mut facts = Facts::default();
    for _ in 0..2 {
        let mut work = Work {
            threads: NonZeroUsize::new(2).unwrap(),
            facts: &mut facts,
        };
        let all = court.jury().verify_all(&envelopes, &mut work);
        for (index, (together, envelope)) in all.iter().zip(&envelopes).enumerate() {
            let alone = court.verify(envelope);
            assert_eq!(together.is_ok(), index % 10 > 2, "{index}");
            match (together, alone) {
                (Ok(together), Ok(alone)) => assert_eq!(*together, alone),
                (Err(together), Err(alone)) => assert_eq!(together.to_string(), alone.to_string()),
                (together, alone) => panic!("{index}: {together:?} together, {alone:?} alone"),
            }
        }
        assert_eq!(facts.len(), 105);
    }
}
