//! Answers that stand, and what makes them fall. [`Story::judge`] holds each against one that nobody remembers.

use std::collections::BTreeSet;

use attestation::{Seconds, chain::PolicyDocument};
use ledger::Courts;
use policy::Facts;
use sequoia_openpgp::types::ReasonForRevocation;
use testkit::{TestPerson, chain::people};

use crate::{
    people::revoked,
    roots::admit,
    story::{NOW, Story, Why, id, later},
};

/// Judged: how many commits, and how many of them stood from before.
#[track_caller]
fn counts(story: &Story, target: &str) -> (usize, usize) {
    let report = story.judge(target).unwrap();
    assert!(report.breaks.is_empty(), "{:?}", report.breaks);
    (report.commits, report.before)
}

#[test]
fn a_history_that_was_judged_is_not_judged_again() {
    let story = Story::new();
    let one = story.on(&story.introduction, "one", &["alice"]);
    let two = story.on(&one, "two", &["bob"]);
    assert_eq!(counts(&story, &two), (2, 0));
    assert_eq!(counts(&story, &two), (2, 2));
    let three = story.on(&two, "three", &["alice", "carol"]);
    assert_eq!(counts(&story, &three), (3, 2));
    let report = story.judge(&three).unwrap();
    let signers: Vec<_> = report
        .signers
        .iter()
        .map(|(who, count)| (who.as_str(), *count))
        .collect();
    assert_eq!(signers, [("alice", 2), ("bob", 1), ("carol", 1)]);
    // What is older than the newest answer is judged by itself, as is what parted from it.
    assert_eq!(counts(&story, &one), (1, 0));
    let beside = story.on(&one, "beside", &["bob"]);
    assert_eq!(counts(&story, &beside), (2, 1));
    let merge = story.merge(&[&three, &beside], "merge", &["alice"]);
    assert_eq!(counts(&story, &merge).0, 5);
}

#[test]
fn what_is_new_is_judged_whatever_stands() {
    let story = Story::new();
    let good = story.on(&story.introduction, "good", &["alice"]);
    assert_eq!(counts(&story, &good), (1, 0));
    let unsigned = story.on(&good, "unsigned", &[]);
    let above = story.on(&unsigned, "above", &["alice"]);
    for _ in 0..2 {
        // Refused each time: no answer with a break is kept.
        assert_eq!(story.broken(&above), [(unsigned.clone(), Why::Unsigned)]);
    }
    // A branch from before the answer, too.
    let aside = story.on(&story.introduction, "aside", &[]);
    let merge = story.merge(&[&good, &aside], "merge", &["bob"]);
    assert_eq!(story.broken(&merge), [(aside, Why::Unsigned)]);
}

#[test]
fn an_answer_falls_with_a_revocation() {
    let mut story = Story::new();
    let commit = story.on(&story.introduction, "by carol", &["carol"]);
    assert_eq!(counts(&story, &commit), (1, 0));
    let certificate = revoked(story.chain.person("carol"), ReasonForRevocation::KeyCompromised, NOW);
    story.chain.keyring.add(&certificate).unwrap();
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn an_answer_falls_when_a_key_ends() {
    let mut all = people(NOW);
    all[1] = TestPerson::valid_for("bob", NOW, std::time::Duration::from_secs(20 * 86_400));
    let mut story = Story::with_people(all, 1);
    let commit = story.on(&story.introduction, "while valid", &["bob"]);
    assert_eq!(counts(&story, &commit), (1, 0));
    story.chain.now = later(19);
    assert_eq!(counts(&story, &commit), (1, 1), "nothing that decides has changed");
    story.chain.now = later(21);
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn an_answer_falls_with_a_new_root() {
    let mut story = Story::new();
    let commit = story.on(&story.introduction, "by bob", &["bob"]);
    assert_eq!(counts(&story, &commit), (1, 0));
    let base = story.introduction.clone();
    story.rotate(&base, |policy| crate::roots::remove(policy, "bob"));
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

#[test]
fn an_answer_falls_when_its_import_is_no_longer_stated() {
    let mut story = Story::new();
    let upstream = story.merge(&[], "upstream", &[]);
    let merge = story.merge(&[&story.introduction, &upstream], "import", &["alice"]);
    story.imported.insert(id(&upstream));
    assert_eq!(counts(&story, &merge), (1, 0));
    // Another import beside it changes nothing.
    story.imported.insert(id(&story.merge(&[], "elsewhere", &[])));
    assert_eq!(counts(&story, &merge), (1, 1));
    story.imported.remove(&id(&upstream));
    assert_eq!(story.broken(&merge), [(upstream, Why::Unsigned)]);
}

#[test]
fn an_answer_from_another_introduction_says_nothing() {
    let story = Story::new();
    let unsigned = story.on(&story.introduction, "unsigned", &[]);
    let above = story.on(&unsigned, "above", &["alice"]);
    for _ in 0..2 {
        let report = story.judge_from(&unsigned, &above).unwrap();
        assert!(report.breaks.is_empty());
        assert_eq!(story.broken(&above), [(unsigned.clone(), Why::Unsigned)]);
    }
}

/// Judged alone, a commit may belong to the newest root; below a later end it belongs to an older one.
#[test]
fn an_answer_says_nothing_where_a_position_ends_later() {
    let mut story = Story::new();
    let early = story.on(&story.introduction, "by dave, too early", &["dave"]);
    let end = story.on(&early, "end", &["alice"]);
    story.rotate(&end, |policy| admit(policy, "dave"));
    let above = story.on(&end, "above", &["dave"]);
    assert_eq!(counts(&story, &early), (1, 0));
    assert_eq!(story.broken(&above), [(early, Why::TooFew)]);
}

#[test]
fn a_clock_that_goes_back_finds_no_answer() {
    let mut story = Story::new();
    story.chain.now = later(1);
    let commit = story.on(&story.introduction, "one", &["alice"]);
    assert_eq!(counts(&story, &commit), (1, 0));
    story.chain.now = NOW;
    assert_eq!(story.broken(&commit), [(commit, Why::TooFew)]);
}

/// Its key is judged once more when its date has come, so what counts today is not remembered.
#[test]
fn a_signature_that_is_dated_ahead_is_not_remembered() {
    let story = Story::new();
    let ahead = NOW.plus(Seconds(300));
    let commit = story
        .repo
        .commit(&[&story.introduction], "ahead", &[story.chain.person("alice")], ahead);
    assert_eq!(counts(&story, &commit), (1, 0));
    assert_eq!(counts(&story, &commit), (1, 0));
}

#[test]
fn who_judges_is_part_of_the_question() {
    let courts = Story::new().courts();
    assert_ne!(courts.digest("1.0").unwrap(), courts.digest("1.1").unwrap());
    assert_eq!(courts.digest("1.0").unwrap(), courts.digest("1.0").unwrap());
}

/// Two second roots of one chain, and certificates that know more: each is another question.
#[test]
fn what_decides_is_part_of_the_question() {
    let mut story = Story::new();
    let digest = |story: &Story, roots: &[Vec<u8>]| {
        let courts = Courts::of(story.chain.id(), roots, &story.chain.keyring, story.chain.now).unwrap();
        courts.digest("tests").unwrap()
    };
    let second = |edit: fn(&mut PolicyDocument)| {
        let root = story.chain.draft_root(edit);
        let signed = story.chain.signed_root(root, &["alice", "bob", "carol"]);
        [story.roots(), vec![signed.to_bytes()]].concat()
    };
    let (one, other) = (
        second(|policy| admit(policy, "dave")),
        second(|policy| policy.freshness.snapshot = Seconds::days(2)),
    );
    assert_ne!(digest(&story, &one), digest(&story, &other));
    assert_ne!(digest(&story, &one), digest(&story, &story.roots()));
    let before = digest(&story, &story.roots());
    let stranger = TestPerson::new("stranger", NOW);
    story.chain.keyring.add(&stranger.certificate).unwrap();
    assert_ne!(digest(&story, &story.roots()), before);
}

/// A push that was refused is judged before it is, and what it brought is gone afterwards.
#[test]
fn an_answer_about_a_commit_that_is_gone_is_passed_over() {
    let story = Story::new();
    let kept = story.on(&story.introduction, "kept", &["alice"]);
    let gone = story.on(&kept, "gone", &["bob"]);
    assert_eq!(counts(&story, &gone), (2, 0));
    let object = format!(".git/objects/{}/{}", &gone[..2], &gone[2..]);
    std::fs::remove_file(story.repo.path().join(object)).unwrap();
    assert_eq!(counts(&story, &kept), (1, 0));
    let other = story.on(&kept, "another", &["carol"]);
    assert_eq!(counts(&story, &other), (2, 1));
}

/// An upstream that moves on, and one that is rewritten: what the old tip reached is not what the new one reaches.
#[test]
fn what_a_commit_reaches_is_known_of_that_commit_only() {
    let story = Story::new();
    let mut line = vec![story.merge(&[], "upstream 0", &[])];
    for number in 1..6 {
        line.push(story.on(&line[number - 1], &format!("upstream {number}"), &[]));
    }
    let rewritten = story.on(&line[1], "another upstream 2", &[]);
    let history = story.history();
    let mut facts = Facts::default();
    let ids = |names: &[&String]| names.iter().map(|name| id(name)).collect::<BTreeSet<_>>();
    let mut ask = |tip: &String, wanted: &[&String]| {
        let wanted = ids(wanted);
        let found = history.ancestors_known(&[id(tip)], &wanted, &mut facts).unwrap();
        assert_eq!(found, history.ancestors_among(&[id(tip)], &wanted).unwrap());
        found
    };
    for _ in 0..2 {
        assert_eq!(ask(&line[3], &[&line[0], &line[2]]), ids(&[&line[0], &line[2]]));
        assert_eq!(ask(&line[5], &[&line[0], &line[2], &line[4]]).len(), 3);
        assert_eq!(ask(&rewritten, &[&line[0], &line[2], &line[4]]), ids(&[&line[0]]));
        assert_eq!(ask(&line[2], &[&line[5], &line[2]]), ids(&[&line[2]]));
    }
    assert_eq!(
        history.ancestors_known(&[], &ids(&[&line[0]]), &mut facts).unwrap(),
        ids(&[])
    );
}
