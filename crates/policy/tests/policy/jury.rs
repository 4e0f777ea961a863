//! Many at once, notes about commits, people without a chain, and what is remembered.

use std::{collections::BTreeSet, num::NonZeroUsize};

use attestation::git::Note;
use data_encoding::BASE64;
use policy::{
    Facts,
    jury::{Candidate, ObjectRefusal, Work},
};
use sequoia_openpgp::types::ReasonForRevocation;
use testkit::TestChain;

use crate::{
    NOW, forge,
    git::{HEAD, armored, judge, oid, one_thread, packet, payload, signed_by, with_signature},
    statements::judged,
};

fn note(chain: &TestChain, person: &str, commit: &str, tree: &str) -> String {
    let payload = format!("sig:v0:{}:{}:null:pgp", commit.repeat(40), tree.repeat(40));
    let packet = packet(chain.person(person), payload.as_bytes(), NOW, |builder| builder);
    format!("{payload}:{}", BASE64.encode(&packet))
}

#[test]
fn a_note_counts_beside_a_signature_in_the_commit_and_never_alone() {
    let chain = TestChain::new(NOW);
    let judge_with = |bytes: &[u8], notes: &[String]| {
        let notes = notes.iter().map(|line| Note::parse(line.as_bytes()).unwrap());
        let candidate = Candidate::commit(oid("1"), bytes).unwrap().with_notes(notes);
        judge(&chain, candidate, "reviewers", 2)
    };
    let bobs = note(&chain, "bob", "1", "2");
    let by_alice = signed_by(&chain, &["alice"]);
    judge_with(&by_alice, std::slice::from_ref(&bobs)).expect("alice in the commit, bob in a note");
    let error = judge_with(&payload(), &[bobs.clone(), note(&chain, "carol", "1", "2")]).unwrap_err();
    assert!(
        matches!(error, ObjectRefusal::NotesAlone(ref vouches) if vouches.len() == 2),
        "{error:?}"
    );
    // dave signed the commit, who is none of the role.
    let error = judge_with(
        &signed_by(&chain, &["dave"]),
        &[bobs.clone(), note(&chain, "carol", "1", "2")],
    );
    assert!(matches!(error, Err(ObjectRefusal::NotesAlone(_))), "{error:?}");
    for (flaw, other) in [
        ("of another commit", note(&chain, "bob", "9", "2")),
        ("of another tree", note(&chain, "bob", "1", "9")),
        (
            "moved to this commit",
            note(&chain, "bob", "9", "2").replacen(&"9".repeat(40), &"1".repeat(40), 1),
        ),
        ("alice's again", note(&chain, "alice", "1", "2")),
    ] {
        assert!(judge_with(&by_alice, &[other]).is_err(), "{flaw}");
    }
    for bad in [
        bobs.replacen("v0", "v1", 1),
        bobs.replacen("null", "nil", 1),
        bobs.replacen("pgp", "ssh", 1),
        bobs.replacen(&"2".repeat(40), "2", 1),
        bobs.clone() + "!",
        bobs.clone() + ":",
        String::new(),
    ] {
        assert!(Note::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn people_of_a_keyring_are_counted_and_prove_nothing() {
    let chain = TestChain::new(NOW);
    let people = chain
        .people
        .iter()
        .map(|person| (person.name.clone(), person.primary))
        .collect();
    let jury = policy::jury::Jury::of_keyring(&people, &chain.keyring, NOW);
    let bytes = signed_by(&chain, &["alice", "bob"]);
    let candidate = Candidate::commit(oid("1"), &bytes).unwrap();
    let heard = &jury.hear(&[candidate], &mut one_thread(&mut Facts::default()))[0];
    let group: BTreeSet<_> = people.keys().cloned().collect();
    assert_eq!(heard.count(&group, 2).unwrap().len(), 2);
    assert!(heard.count(&group, 3).is_err());
    let error = heard.require(&"reviewers".parse().unwrap(), 2).unwrap_err();
    assert_eq!(error, ObjectRefusal::NoChain);
}

/// Many commits, of several keys, on several threads, with and without tables and facts: as one by one.
#[test]
fn many_at_once_are_judged_as_each_alone() {
    let chain = TestChain::new(NOW);
    let all: Vec<Vec<u8>> = (0..160)
        .map(|index: usize| {
            let message = format!("\ncommit {index}\n");
            let payload = format!("{HEAD}{message}");
            let person = chain.person(["alice", "bob"][index % 2]);
            let mut signature = packet(person, payload.as_bytes(), NOW, |builder| builder);
            if index.is_multiple_of(7) {
                *signature.last_mut().unwrap() ^= 1;
            }
            with_signature(HEAD, &armored(&signature), &message)
        })
        .collect();
    let candidates: Vec<_> = all
        .iter()
        .map(|bytes| Candidate::commit(oid("1"), bytes).unwrap())
        .collect();
    let set = judged(&chain);
    let jury = set.court().unwrap().jury();
    let role = "reviewers".parse().unwrap();
    let mut facts = Facts::default();
    for round in 0..2 {
        let mut work = Work {
            threads: NonZeroUsize::new(2).unwrap(),
            facts: &mut facts,
        };
        let heard = jury.hear(&candidates, &mut work);
        for (index, heard) in heard.iter().enumerate() {
            assert_eq!(
                heard.require(&role, 1).is_ok(),
                !index.is_multiple_of(7),
                "round {round}, commit {index}"
            );
            let alone = court_alone(&chain, &all[index]);
            assert_eq!(
                alone,
                heard.require(&role, 1).map(|_| ()),
                "round {round}, commit {index}"
            );
        }
        assert_eq!(facts.len(), 160 - 160_usize.div_ceil(7));
        facts = Facts::from_bytes(&facts.to_bytes());
    }
}

fn court_alone(chain: &TestChain, bytes: &[u8]) -> Result<(), ObjectRefusal> {
    judge(chain, Candidate::commit(oid("1"), bytes).unwrap(), "reviewers", 1).map(|_| ())
}

/// What a cache may and may not do.
#[test]
fn a_hostile_or_damaged_cache_of_facts_makes_nothing_true() {
    let chain = TestChain::new(NOW);
    let honest = signed_by(&chain, &["alice", "bob"]);
    let forged = String::from_utf8(honest.clone()).unwrap().replacen("works", "bites", 1);
    let set = judged(&chain);
    let jury = set.court().unwrap().jury();
    let mut learnt = Facts::default();
    let hear = |bytes: &[u8], facts: &mut Facts| {
        let candidate = Candidate::commit(oid("1"), bytes).unwrap();
        let heard = jury.hear(&[candidate], &mut one_thread(facts));
        heard[0].require(&"reviewers".parse().unwrap(), 2).map(|_| ())
    };
    hear(&honest, &mut learnt).expect("the honest twin");
    assert_eq!(learnt.len(), 2);
    hear(&honest, &mut learnt.clone()).expect("with its facts");
    // Facts about other bytes, and files of anything.
    assert!(hear(forged.as_bytes(), &mut learnt.clone()).is_err());
    let file = learnt.to_bytes();
    for damaged in [&[][..], &file[..20], &file[1..], b"touchstone-facts", &[0xff; 4_096]] {
        let mut facts = Facts::from_bytes(damaged);
        assert!(hear(forged.as_bytes(), &mut facts).is_err());
        hear(&honest, &mut facts).expect("a damaged cache is bypassed");
    }
    // A fact outlives the right to sign, and does not give it back.
    let mut revoked = chain.clone();
    let packets = forge::revoke(chain.person("alice"), Some(0), ReasonForRevocation::KeyCompromised, NOW);
    revoked.keyring.add(&packets).unwrap();
    let set = judged(&revoked);
    let jury = set.court().unwrap().jury();
    let candidate = Candidate::commit(oid("1"), &honest).unwrap();
    let heard = jury.hear(&[candidate], &mut one_thread(&mut learnt));
    assert!(heard[0].require(&"reviewers".parse().unwrap(), 2).is_err());
}
