//! Who signed a commit.

use std::time::Duration;

use attestation::Time;
use sequoia_openpgp::{Cert, parse::Parse as _, serialize::SerializeInto as _, types::ReasonForRevocation};
use testkit::{TestPerson, chain::people, git::with_signatures};

use crate::story::{NOW, Story, Why, later};

/// A certificate with a revocation of all of it.
pub(crate) fn revoked(person: &TestPerson, reason: ReasonForRevocation, at: Time) -> Vec<u8> {
    let cert = Cert::from_bytes(&person.secret).unwrap();
    let mut signer = cert
        .primary_key()
        .key()
        .clone()
        .parts_into_secret()
        .unwrap()
        .into_keypair()
        .unwrap();
    let date = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.unix()).unwrap());
    let revocation = sequoia_openpgp::cert::CertRevocationBuilder::new()
        .set_reason_for_revocation(reason, b"test")
        .unwrap()
        .set_signature_creation_time(date)
        .unwrap()
        .build(&mut signer, &cert, None)
        .unwrap();
    let cert = cert.strip_secret_key_material().insert_packets(revocation).unwrap().0;
    cert.armored().to_vec().unwrap()
}

#[test]
fn commits_of_those_who_may_are_authentic() {
    let story = Story::new();
    let one = story.on(&story.introduction, "one", &["alice"]);
    let two = story.on(&one, "two", &["bob"]);
    assert_eq!(story.authentic(&two), 2);
    let report = story.judge(&two).unwrap();
    let who: Vec<_> = report
        .signers
        .iter()
        .map(|(who, count)| (who.as_str(), *count))
        .collect();
    assert_eq!(who, [("alice", 1), ("bob", 1)]);
    assert_eq!(
        story.authentic(&story.introduction),
        0,
        "the introduction is trusted as it is"
    );
}

#[test]
fn an_unsigned_commit_breaks_the_chain_of_trust_there() {
    let story = Story::new();
    let one = story.on(&story.introduction, "one", &["alice"]);
    let unsigned = story.on(&one, "unsigned", &[]);
    let above = story.on(&unsigned, "above", &["alice"]);
    assert_eq!(story.broken(&above), [(unsigned, Why::Unsigned)]);
    assert_eq!(story.authentic(&one), 1);
}

#[test]
fn a_known_person_outside_the_role_does_not_commit() {
    let story = Story::new();
    let commit = story.on(&story.introduction, "by dave", &["dave"]);
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn a_stranger_does_not_commit() {
    let story = Story::new();
    let mallory = TestPerson::new("mallory", NOW);
    let commit = story
        .repo
        .commit(&[&story.introduction], "by mallory", &[&mallory], NOW);
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn two_people_are_two_and_one_person_twice_is_one() {
    let story = Story::with_threshold(2);
    let both = story.on(&story.introduction, "both", &["alice", "bob"]);
    assert_eq!(story.authentic(&both), 1);
    for twice in [["alice", "alice"], ["bob", "dave"]] {
        let commit = story.on(&story.introduction, "not two", &twice);
        assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
    }
    // With two tokens.
    let text = story.repo.commit_text(&[&story.introduction], "two tokens", NOW);
    let alice = story.chain.person("alice");
    let packets = [0, 1].map(|key| alice.sign_bytes(key, NOW, text.as_bytes()));
    let commit = story.repo.write_commit(&with_signatures(&text, &packets));
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn a_signature_replayed_from_another_commit_does_not_count() {
    let story = Story::new();
    let honest = story.repo.commit_text(&[&story.introduction], "honest", NOW);
    let packet = story.chain.person("alice").sign_bytes(0, NOW, honest.as_bytes());
    let good = story
        .repo
        .write_commit(&with_signatures(&honest, std::slice::from_ref(&packet)));
    assert_eq!(story.authentic(&good), 1);
    let evil = story.repo.commit_text(&[&story.introduction], "evil", NOW);
    let replayed = story.repo.write_commit(&with_signatures(&evil, &[packet]));
    assert_eq!(story.broken(&replayed), [(replayed, Why::TooFew)]);
}

/// Guix and sq-git call it a rebase: the same change on another parent carries no signature over it.
#[test]
fn a_rebase_that_keeps_signatures_keeps_none() {
    let story = Story::new();
    let first = story.on(&story.introduction, "first", &["bob"]);
    let text = story.repo.commit_text(&[&story.introduction], "second", NOW);
    let packet = story.chain.person("alice").sign_bytes(0, NOW, text.as_bytes());
    let rebased = text.replace(&story.introduction, &first);
    let commit = story.repo.write_commit(&with_signatures(&rebased, &[packet]));
    assert_eq!(story.broken(&commit), [(commit.clone(), Why::TooFew)]);
    // Signed again after the rebase.
    let again = story
        .repo
        .commit(&[&first], "second", &[story.chain.person("alice")], NOW);
    assert_eq!(story.authentic(&again), 2);
}

#[test]
fn junk_beside_a_good_signature_spoils_nothing() {
    let story = Story::new();
    let text = story.repo.commit_text(&[&story.introduction], "junk", NOW);
    let good = story.chain.person("alice").sign_bytes(0, NOW, text.as_bytes());
    let other = story.chain.person("bob").sign_bytes(0, NOW, b"other data");
    let commit = story
        .repo
        .write_commit(&with_signatures(&text, &[b"junk".to_vec(), other, good]));
    assert_eq!(story.authentic(&commit), 1);
}

#[test]
fn a_stolen_expired_key_cannot_backdate() {
    let short = |name: &str| TestPerson::valid_for(name, NOW, Duration::from_secs(20 * 86_400));
    let mut all = people(NOW);
    all[1] = short("bob");
    let mut story = Story::with_people(all, 1);
    let commit = story.on(&story.introduction, "while valid", &["bob"]);
    assert_eq!(story.authentic(&commit), 1);
    // The same commit, met first when the key is over: its date is its maker's word.
    story.chain.now = later(40);
    assert_eq!(story.broken(&commit), [(commit.clone(), Why::TooFew)]);
    // Its honest twin: the people of the root vouched for it while the key was good.
    story.chain.now = later(10);
    story.rotate(&commit, |_| {});
    story.chain.now = later(40);
    assert_eq!(story.authentic(&commit), 1);
    let after = story.on(&commit, "after", &["alice"]);
    assert_eq!(story.authentic(&after), 2);
}

#[test]
fn a_signature_from_the_future_does_not_count() {
    let story = Story::new();
    let commit = story.repo.commit(
        &[&story.introduction],
        "2040",
        &[story.chain.person("alice")],
        later(300),
    );
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn a_hard_revocation_takes_commits_of_any_date() {
    let mut story = Story::new();
    let old = story.on(&story.introduction, "old", &["carol"]);
    let new = story.on(&old, "new", &["alice"]);
    assert_eq!(story.authentic(&new), 2);
    // Vouched for by the next root too: the key's thief could have made it before that.
    story.rotate(&new, |_| {});
    let certificate = revoked(story.chain.person("carol"), ReasonForRevocation::KeyCompromised, NOW);
    story.chain.keyring.add(&certificate).unwrap();
    assert_eq!(story.broken(&new), [(old.clone(), Why::TooFew)]);
    // The way out is the introduction of the root that vouched.
    let report = story.judge_from(&new, &new).unwrap();
    assert!(report.breaks.is_empty());
    // And an un-revoked certificate that is served later gives nothing back.
    let served = story.chain.person("carol").certificate.clone();
    story.chain.keyring.add(&served).unwrap();
    assert_eq!(story.broken(&new), [(old, Why::TooFew)]);
}

#[test]
fn a_soft_revocation_takes_commits_after_it_only() {
    let mut story = Story::new();
    let before = story.on(&story.introduction, "before", &["bob"]);
    story.rotate(&before, |_| {});
    let certificate = revoked(story.chain.person("bob"), ReasonForRevocation::KeyRetired, later(5));
    story.chain.keyring.add(&certificate).unwrap();
    story.chain.now = later(10);
    assert_eq!(story.authentic(&before), 1);
    let retired = story.on(&before, "retired, then used", &["bob"]);
    assert_eq!(story.broken(&retired), [(retired, Why::TooFew)]);
}

#[test]
fn facts_are_learnt_and_prove_nothing_of_authority() {
    let mut story = Story::new();
    let one = story.on(&story.introduction, "one", &["bob"]);
    assert_eq!(story.authentic(&one), 1);
    assert_eq!(story.facts.borrow().len(), 1);
    assert_eq!(story.authentic(&one), 1);
    // Bob is removed: what is known of his signature helps nobody.
    let base = story.introduction.clone();
    story.rotate(&base, |policy| {
        let reviewers = policy.roles.get_mut(&"reviewers".parse().unwrap()).unwrap();
        reviewers.people.remove(&"bob".parse().unwrap());
    });
    assert_eq!(story.broken(&one), [(one, Why::TooFew)]);
}
