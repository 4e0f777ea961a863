//! Which bytes are a commit or a tag, and what of them is signed.

use attestation::git::{Commit, GitObjectError, Note, Tag};
use policy::jury::Candidate;
use proptest::prelude::*;
use testkit::TestChain;

use crate::{
    NOW,
    git::{HEAD, MESSAGE, armored, judge, oid, packet, payload, refusals, signed_by, two_reviewers, with_signature},
};

#[test]
fn refuses_commits_that_can_be_read_in_two_ways() {
    let chain = TestChain::new(NOW);
    let honest = String::from_utf8(signed_by(&chain, &["alice"])).unwrap();
    Commit::parse(honest.as_bytes()).expect("the honest twin");
    let block = armored(&packet(chain.person("alice"), &payload(), NOW, |builder| builder));
    let continued = block.trim_end().replace('\n', "\n ");
    let twice = honest.replacen("\n\nhello", &format!("\ngpgsig {continued}\n\nhello"), 1);
    for (flaw, bytes, expected) in [
        ("two headers of signatures", twice, "twice"),
        (
            "a header for signatures that nothing signs",
            honest.replacen("gpgsig", "gpgsig-sha256 smuggled\ngpgsig", 1),
            "gpgsig-sha256",
        ),
        (
            "a second tree",
            honest.replacen("gpgsig", "tree 44\ngpgsig", 1),
            "twice",
        ),
        (
            "a parent after the author",
            honest.replacen("gpgsig", "parent 44\ngpgsig", 1),
            "twice",
        ),
        ("no tree", honest.replacen("tree ", "twig ", 1), "tree"),
        ("an upper-case id", honest.replacen("tree 22", "tree AA", 1), "tree"),
        ("a short id", honest.replacen("tree 22", "tree 2", 1), "tree"),
        (
            "the author behind the committer",
            honest.replacen("author", "committer", 1),
            "author",
        ),
        ("no author", honest.replacen("author ", "auteur ", 1), "author"),
        (
            "an end within the headers",
            honest.split("\n\n").next().unwrap().to_owned(),
            "ends",
        ),
        (
            "a NUL in the message",
            honest.replacen("It works", "It\0works", 1),
            "NUL",
        ),
        (
            "a header without a value",
            honest.replacen("gpgsig", "oops\ngpgsig", 1),
            "keyword",
        ),
    ] {
        let error = Commit::parse(bytes.as_bytes()).expect_err(flaw).to_string();
        assert!(error.contains(expected), "{flaw}: {error}");
    }
}

#[test]
fn a_merged_tag_is_part_of_what_is_signed() {
    let chain = TestChain::new(NOW);
    let tag = format!(
        "mergetag object {}\n type commit\n tag v1\n tagger Bob <bob@example.org> 1 +0000\n \n release\n {}",
        "4".repeat(40),
        armored(b"whatever").trim_end().replace('\n', "\n ")
    );
    let head = format!("{HEAD}{tag}\n");
    let payload = format!("{head}{MESSAGE}");
    let block = |name| armored(&packet(chain.person(name), payload.as_bytes(), NOW, |builder| builder));
    let bytes = with_signature(&head, &(block("alice") + &block("bob")), MESSAGE);
    two_reviewers(&chain, &bytes).expect("the merged tag is signed as it stands");
    let forged = String::from_utf8(bytes).unwrap().replacen(" tag v1", " tag v2", 1);
    assert!(two_reviewers(&chain, forged.as_bytes()).is_err());
}

fn tag_payload(name: &str) -> String {
    format!(
        "object {}\ntype commit\ntag {name}\ntagger Alice <a@example.org> 1767225600 +0000\n\nrelease\n",
        "5".repeat(40)
    )
}

#[test]
fn people_vouch_for_a_tag_under_its_own_name() {
    let chain = TestChain::new(NOW);
    let block = |person, payload: &str| armored(&packet(chain.person(person), payload.as_bytes(), NOW, |b| b));
    let payload = tag_payload("v1");
    let bytes = payload.clone() + &block("alice", &payload) + &block("bob", &payload);
    let candidate = Candidate::tag(oid("1"), bytes.as_bytes()).unwrap();
    let tag = candidate.as_tag().unwrap();
    assert_eq!((tag.name(), tag.target(), tag.object()), ("v1", "commit", oid("5")));
    judge(&chain, candidate, "reviewers", 2).expect("the honest twin");
    let renamed = bytes.replacen("tag v1", "tag v2", 1);
    assert!(
        judge(
            &chain,
            Candidate::tag(oid("1"), renamed.as_bytes()).unwrap(),
            "reviewers",
            1
        )
        .is_err()
    );
    // What stands behind the first block is signed by nobody.
    let trailing = bytes.clone() + "and a word more\n";
    let heard = judge(
        &chain,
        Candidate::tag(oid("1"), trailing.as_bytes()).unwrap(),
        "reviewers",
        3,
    );
    let (_, unreadable) = refusals(heard);
    assert!(unreadable[0].contains("outside of a block"), "{unreadable:?}");
    for (flaw, bytes) in [
        (
            "a header that nothing signs",
            bytes.replacen("\n\nrelease", "\ngpgsig-sha256 x\n\nrelease", 1),
        ),
        (
            "an unknown header",
            bytes.replacen("\n\nrelease", "\nmore x\n\nrelease", 1),
        ),
        ("no name", bytes.replacen("tag v1", "tag ", 1)),
        ("another object", bytes.replacen("object 55", "object 5", 1)),
    ] {
        let error = Tag::parse(bytes.as_bytes()).expect_err(flaw);
        assert!(!matches!(error, GitObjectError::Nul), "{flaw}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Git's own words for it: what is signed and what signs, put together, is the object; and nothing panics.
    #[test]
    fn any_bytes_are_read_or_refused(noise in prop::collection::vec(any::<u8>(), 0..200), at in 0..400_usize, honest in any::<bool>()) {
        let mut bytes = if honest { payload() } else { Vec::new() };
        let at = at.min(bytes.len());
        bytes.splice(at..at, noise);
        if let Ok(commit) = Commit::parse(&bytes) {
            let [before, after] = commit.signed().payload();
            prop_assert!(bytes.starts_with(before) && bytes.ends_with(after));
        }
        let _ = Tag::parse(&bytes);
        let _ = Note::parse(&bytes);
    }
}
