//! Signed git objects as bytes: whose voices in them count, and what of them is signed.

use std::num::NonZeroUsize;

use attestation::{GitOid, Time, git::OtherKind};
use data_encoding::BASE64_MIME;
use policy::{
    Facts, SignatureRefusal, Verified,
    jury::{Candidate, ObjectRefusal, Seen, Work},
    keyring::CertificateRefusal,
};
use sequoia_openpgp::{
    Packet,
    packet::signature::SignatureBuilder,
    serialize::MarshalInto as _,
    types::{HashAlgorithm, ReasonForRevocation, SignatureType},
};
use testkit::{TestChain, TestPerson};

use crate::{NOW, days, forge, statements::judged};

pub(crate) const HEAD: &str = "tree 2222222222222222222222222222222222222222\n\
                    parent 3333333333333333333333333333333333333333\n\
                    author Alice <alice@example.org> 1767225600 +0000\n\
                    committer Alice <alice@example.org> 1767225600 +0000\n";
pub(crate) const MESSAGE: &str = "\nhello: 1 -> 2\n\nIt works.\n";

pub(crate) fn oid(digit: &str) -> GitOid {
    digit.repeat(40).parse().unwrap()
}

/// A binary signature packet of the person's first key, as `change` leaves the builder.
pub(crate) fn packet(
    person: &TestPerson,
    document: &[u8],
    at: Time,
    change: impl FnOnce(SignatureBuilder) -> SignatureBuilder,
) -> Vec<u8> {
    let signature = change(forge::honest(at)).sign_message(&mut forge::pair(person, 0), document);
    Packet::from(signature.unwrap()).to_vec().unwrap()
}

pub(crate) fn armored(packets: &[u8]) -> String {
    let base64 = BASE64_MIME.encode(packets).replace('\r', "");
    format!(
        "-----BEGIN PGP SIGNATURE-----\n\n{}\n-----END PGP SIGNATURE-----\n",
        base64.trim_end()
    )
}

/// A commit with this in its header of signatures.
pub(crate) fn with_signature(head: &str, signature: &str, message: &str) -> Vec<u8> {
    let continued = signature.trim_end_matches('\n').replace('\n', "\n ");
    format!("{head}gpgsig {continued}\n{message}").into_bytes()
}

pub(crate) fn payload() -> Vec<u8> {
    format!("{HEAD}{MESSAGE}").into_bytes()
}

/// A commit that these people signed, in one block each.
pub(crate) fn signed_by(chain: &TestChain, people: &[&str]) -> Vec<u8> {
    let blocks = people
        .iter()
        .map(|name| armored(&packet(chain.person(name), &payload(), NOW, |builder| builder)));
    with_signature(HEAD, &blocks.collect::<String>(), MESSAGE)
}

pub(crate) fn one_thread(facts: &mut Facts) -> Work<'_> {
    Work {
        threads: NonZeroUsize::MIN,
        facts,
    }
}

pub(crate) fn judge(
    chain: &TestChain,
    candidate: Candidate<'_>,
    role: &str,
    needed: u32,
) -> Result<Verified<GitOid>, ObjectRefusal> {
    let set = judged(chain);
    let jury = set.court().unwrap().jury();
    let heard = jury.hear(&[candidate], &mut one_thread(&mut Facts::default()));
    heard[0].require(&role.parse().unwrap(), needed)
}

pub(crate) fn two_reviewers(chain: &TestChain, bytes: &[u8]) -> Result<Verified<GitOid>, ObjectRefusal> {
    judge(chain, Candidate::commit(oid("1"), bytes).unwrap(), "reviewers", 2)
}

/// Why signatures were not counted, and what could not be read.
pub(crate) fn refusals(outcome: Result<Verified<GitOid>, ObjectRefusal>) -> (Vec<SignatureRefusal>, Vec<String>) {
    match outcome {
        Err(ObjectRefusal::Threshold {
            shortfall, unreadable, ..
        }) => {
            let refused = shortfall.tally.refused.into_iter();
            (refused.map(|refused| refused.reason).collect(), unreadable)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_people_who_signed_a_commit_vouch_for_it() {
    let chain = TestChain::new(NOW);
    let verified = two_reviewers(&chain, &signed_by(&chain, &["alice", "bob"])).unwrap();
    assert_eq!(*verified.get(), oid("1"));
    let people: Vec<_> = verified
        .evidence()
        .vouches
        .iter()
        .map(|vouch| vouch.person.clone())
        .collect();
    assert_eq!(people, ["alice", "bob"].map(|name| Some(name.parse().unwrap())));
    // In one block of two packets too.
    let both = ["bob", "carol"].map(|name| packet(chain.person(name), &payload(), NOW, |builder| builder));
    let bytes = with_signature(HEAD, &armored(&both.concat()), MESSAGE);
    assert_eq!(two_reviewers(&chain, &bytes).unwrap().evidence().vouches.len(), 2);
}

#[test]
fn one_person_who_signs_twice_or_with_two_tokens_is_one() {
    let chain = TestChain::new(NOW);
    let alice = chain.person("alice");
    let first = packet(alice, &payload(), NOW, |builder| builder);
    let again = packet(alice, &payload(), NOW.minus(days(1)), |builder| builder);
    let token = forge::honest(NOW)
        .sign_message(&mut forge::pair(alice, 1), payload())
        .unwrap();
    let token = Packet::from(token).to_vec().unwrap();
    for second in [&first, &again, &token] {
        let bytes = with_signature(HEAD, &armored(&[first.clone(), second.clone()].concat()), MESSAGE);
        let (refused, unreadable) = refusals(two_reviewers(&chain, &bytes));
        assert!(refused.is_empty() && unreadable.is_empty());
        judge(&chain, Candidate::commit(oid("1"), &bytes).unwrap(), "reviewers", 1).expect("alice once");
    }
}

#[test]
fn refuses_a_signature_moved_under_a_rewritten_commit() {
    let chain = TestChain::new(NOW);
    let honest = String::from_utf8(signed_by(&chain, &["alice", "bob"])).unwrap();
    for (from, to) in [
        ("It works.", "It works!"),
        ("tree 22", "tree 23"),
        ("parent 33", "parent 34"),
        ("parent 3333333333333333333333333333333333333333\n", ""),
        ("author Alice", "author Malice"),
        ("+0000\ngpgsig", "+0100\ngpgsig"),
        ("gpgsig", "encoding UTF-7\ngpgsig"),
        (
            "-----END PGP SIGNATURE-----\n\n",
            "-----END PGP SIGNATURE-----\nencoding UTF-7\n\n",
        ),
    ] {
        let forged = honest.replacen(from, to, 1);
        assert_ne!(forged, honest, "{from}");
        let (refused, _) = refusals(two_reviewers(&chain, forged.as_bytes()));
        assert_eq!(
            refused,
            [SignatureRefusal::Bad, SignatureRefusal::Bad],
            "{from} -> {to}"
        );
    }
}

#[test]
fn takes_the_digests_that_people_set_in_their_gpg_and_refuses_weak_ones() {
    let chain = TestChain::new(NOW);
    let with = |hash| {
        let block = |name| {
            armored(&packet(chain.person(name), &payload(), NOW, |builder| {
                builder.set_hash_algo(hash)
            }))
        };
        with_signature(HEAD, &(block("alice") + &block("bob")), MESSAGE)
    };
    for hash in [HashAlgorithm::SHA256, HashAlgorithm::SHA384, HashAlgorithm::SHA512] {
        two_reviewers(&chain, &with(hash)).unwrap_or_else(|error| panic!("{hash}: {error}"));
    }
    for hash in [HashAlgorithm::SHA1, HashAlgorithm::MD5, HashAlgorithm::SHA224] {
        let (_, unreadable) = refusals(two_reviewers(&chain, &with(hash)));
        assert!(unreadable[0].contains("hash algorithm"), "{hash}: {unreadable:?}");
    }
}

#[test]
fn refuses_signatures_of_another_form() {
    let chain = TestChain::new(NOW);
    let notation = |builder: SignatureBuilder, critical| {
        let flags = sequoia_openpgp::packet::signature::subpacket::NotationDataFlags::empty();
        builder.set_notation("weak@example.org", b"1", flags, critical).unwrap()
    };
    type Change<'a> = Box<dyn Fn(SignatureBuilder) -> SignatureBuilder + 'a>;
    let flaws: [(&str, Change<'_>); 3] = [
        ("type 01", Box::new(|builder| builder.set_type(SignatureType::Text))),
        (
            "it expires",
            Box::new(|builder| {
                let year = std::time::Duration::from_secs(365 * 86_400);
                builder.set_signature_validity_period(year).unwrap()
            }),
        ),
        ("a critical notation", Box::new(move |builder| notation(builder, true))),
    ];
    let commit = |change: &dyn Fn(SignatureBuilder) -> SignatureBuilder| {
        let blocks = ["alice", "bob"].map(|name| armored(&packet(chain.person(name), &payload(), NOW, change)));
        with_signature(HEAD, &blocks.concat(), MESSAGE)
    };
    for (flaw, change) in flaws {
        let (_, unreadable) = refusals(two_reviewers(&chain, &commit(&change)));
        assert_eq!(unreadable.len(), 2, "{flaw}: {unreadable:?}");
    }
    two_reviewers(&chain, &commit(&|builder| notation(builder, false))).expect("a notation that is not critical");
}

#[test]
fn junk_beside_good_neither_counts_nor_spoils() {
    let chain = TestChain::new(NOW);
    let good = |name| armored(&packet(chain.person(name), &payload(), NOW, |builder| builder));
    let stranger = TestPerson::new("mallory", NOW.minus(days(30)));
    let strangers = armored(&packet(&stranger, &payload(), NOW, |builder| builder));
    let stale = armored(&packet(chain.person("bob"), b"an older body", NOW, |builder| builder));
    let truncated = good("bob").replace("-----END PGP SIGNATURE-----\n", "");
    let junk = [
        ("a stranger's", strangers),
        ("a stale one", stale),
        ("not base64", good("bob").replacen("\n\n", "\n\n!!!!\n", 1)),
        ("text", "signed by hand\n".to_owned()),
        (
            "an empty block",
            "-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n".to_owned(),
        ),
        ("junk packets", armored(b"\xc2\x05hello")),
        ("no packet", armored(b"hello")),
    ];
    for (flaw, junk) in junk {
        // At the end of the first block, so that it stands between two good ones.
        let bytes = with_signature(HEAD, &(good("alice") + &junk + &good("bob")), MESSAGE);
        two_reviewers(&chain, &bytes).unwrap_or_else(|error| panic!("{flaw} spoils: {error}"));
        let bytes = with_signature(HEAD, &(good("alice") + &junk), MESSAGE);
        assert!(two_reviewers(&chain, &bytes).is_err(), "{flaw} counts");
    }
    let bytes = with_signature(HEAD, &(good("alice") + &truncated), MESSAGE);
    let (_, unreadable) = refusals(two_reviewers(&chain, &bytes));
    assert!(unreadable[0].contains("does not end"), "{unreadable:?}");
}

#[test]
fn refuses_people_outside_the_role_and_says_who_could_still_sign() {
    let chain = TestChain::new(NOW);
    let Err(ObjectRefusal::Threshold { shortfall, seen, .. }) =
        two_reviewers(&chain, &signed_by(&chain, &["alice", "dave"]))
    else {
        panic!("dave counted")
    };
    assert_eq!(seen, Seen::OpenPgp);
    assert_eq!(shortfall.tally.refused[0].reason, SignatureRefusal::NotInRole);
    assert_eq!(shortfall.tally.could_still_sign, ["bob", "carol"]);
    let text = shortfall.to_string();
    assert!(
        text.contains("signed: alice") && text.contains("could still sign: bob, carol"),
        "{text}"
    );
    assert!(
        judge(
            &chain,
            Candidate::commit(oid("1"), &signed_by(&chain, &["alice"])).unwrap(),
            "nobody",
            1
        )
        .is_err()
    );
    assert!(
        judge(
            &chain,
            Candidate::commit(oid("1"), &signed_by(&chain, &["alice"])).unwrap(),
            "reviewers",
            0
        )
        .is_err(),
        "a threshold of nobody"
    );
}

#[test]
fn refuses_a_commit_by_a_key_that_is_revoked_over_or_from_the_future() {
    let chain = TestChain::new(NOW);
    let honest = signed_by(&chain, &["alice", "bob"]);
    let mut revoked = chain.clone();
    let packets = forge::revoke(chain.person("alice"), Some(0), ReasonForRevocation::KeyCompromised, NOW);
    revoked.keyring.add(&packets).unwrap();
    let (refused, _) = refusals(two_reviewers(&revoked, &honest));
    assert!(
        matches!(
            refused[..],
            [SignatureRefusal::Certificate(CertificateRefusal::Revoked { .. })]
        ),
        "{refused:?}"
    );
    let mut later = chain.clone();
    later.now = NOW.plus(days(365));
    let (refused, _) = refusals(two_reviewers(&later, &honest));
    assert!(
        matches!(refused[..], [SignatureRefusal::AfterPolicy { .. }, _]),
        "{refused:?}"
    );
    let tomorrow = |name| {
        armored(&packet(chain.person(name), &payload(), NOW.plus(days(1)), |builder| {
            builder
        }))
    };
    let future = with_signature(HEAD, &(tomorrow("alice") + &tomorrow("bob")), MESSAGE);
    let (refused, _) = refusals(two_reviewers(&chain, &future));
    assert!(
        matches!(refused[..], [SignatureRefusal::FromTheFuture { .. }, _]),
        "{refused:?}"
    );
    let old = |name| {
        armored(&packet(
            chain.person(name),
            &payload(),
            NOW.minus(days(31)),
            |builder| builder,
        ))
    };
    let (refused, _) = refusals(two_reviewers(
        &chain,
        &with_signature(HEAD, &(old("alice") + &old("bob")), MESSAGE),
    ));
    assert!(
        matches!(
            refused[..],
            [SignatureRefusal::Certificate(CertificateRefusal::NotValid { .. }), _]
        ),
        "before the keys were made: {refused:?}"
    );
}

#[test]
fn an_ssh_signature_is_seen_and_not_counted() {
    let chain = TestChain::new(NOW);
    for (marker, kind) in [
        ("SSH SIGNATURE", OtherKind::Ssh),
        ("SIGNED MESSAGE", OtherKind::X509),
        ("PGP MESSAGE", OtherKind::PgpMessage),
    ] {
        let block = format!("-----BEGIN {marker}-----\nU1NIU0lH\n-----END {marker}-----\n");
        let bytes = with_signature(HEAD, &block, MESSAGE);
        let error = two_reviewers(&chain, &bytes).unwrap_err();
        assert!(
            matches!(error, ObjectRefusal::Threshold { seen: Seen::NotCounted(found), .. } if found == kind),
            "{error:?}"
        );
        assert!(error.to_string().contains("which is not counted"), "{error}");
    }
    let error = two_reviewers(&chain, &payload()).unwrap_err();
    assert!(
        matches!(
            error,
            ObjectRefusal::Threshold {
                seen: Seen::Unsigned,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn refuses_more_signatures_than_anybody_needs() {
    let chain = TestChain::new(NOW);
    let one = packet(chain.person("dave"), &payload(), NOW, |builder| builder);
    let flood = armored(&one.repeat(100));
    let bobs = armored(&packet(chain.person("bob"), &payload(), NOW, |builder| builder));
    let bytes = with_signature(HEAD, &(flood + &bobs), MESSAGE);
    let outcome = judge(&chain, Candidate::commit(oid("1"), &bytes).unwrap(), "reviewers", 1);
    let (refused, unreadable) = refusals(outcome);
    assert_eq!(refused.len(), 64);
    assert!(unreadable[0].contains("more than 64"), "{unreadable:?}");
}

/// Who hands certificates in says who they are; that two of them hold one token, nobody sees who looks at fingerprints.
#[test]
fn one_token_in_two_certificates_of_a_keyring_is_one_person() {
    let [alice, bob] = ["alice", "bob"].map(|name| TestPerson::new(name, NOW.minus(days(30))));
    let mut key = forge::secret_key(&alice, 0);
    key.set_creation_time(forge::system_time(NOW.minus(days(20)))).unwrap();
    let wrapped = forge::add_key(&bob, key, NOW.minus(days(20)), &forge::Binding::default());
    let counted = |second: &TestPerson, key: usize| {
        let mut keyring = policy::Keyring::default();
        keyring.add(&alice.certificate).unwrap();
        keyring.add(&second.certificate).unwrap();
        let people = [&alice, second].map(|person| (person.name.clone(), person.primary));
        let jury = policy::jury::Jury::of_keyring(&people.into_iter().collect(), &keyring, NOW);
        let packets = [
            alice.sign_bytes(0, NOW, &payload()),
            second.sign_bytes(key, NOW, &payload()),
        ];
        let bytes = with_signature(HEAD, &armored(&packets.concat()), MESSAGE);
        let candidate = Candidate::commit(oid("1"), &bytes).unwrap();
        let heard = jury.hear(&[candidate], &mut one_thread(&mut Facts::default()));
        let group = [&alice, second].map(|person| person.name.clone()).into_iter().collect();
        heard[0].count(&group, 2).map(|vouches| vouches.len())
    };
    assert!(matches!(counted(&wrapped, 2), Err(ObjectRefusal::Threshold { .. })));
    assert_eq!(counted(&wrapped, 0), Ok(2), "bob's own key is bob's");
    assert_eq!(counted(&bob, 0), Ok(2));
}
