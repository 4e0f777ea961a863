//! Where the target lies, and whether this clone says the truth about it.

use std::{fs, io::Write as _};

use attestation::Time;
use ledger::{History, HistoryError, authenticate::AuthenticateError};

use crate::story::{NOW, Story, Why, id};

#[test]
fn a_target_before_the_introduction_is_refused() {
    let story = Story::new();
    let ancestor = story.repo.git(&["rev-parse", &format!("{}~", story.introduction)]);
    let found = story.judge(&ancestor).unwrap_err();
    assert!(matches!(found, AuthenticateError::Ancestor { .. }), "{found:?}");
}

#[test]
fn a_target_that_parted_before_the_introduction_is_refused() {
    let story = Story::new();
    let before = story.repo.git(&["rev-parse", &format!("{}~", story.introduction)]);
    let sibling = story.on(&before, "sibling", &["alice"]);
    let found = story.judge(&sibling).unwrap_err();
    assert!(matches!(found, AuthenticateError::Sibling { .. }), "{found:?}");
    // Merged, it counts like everything else.
    let merge = story.merge(&[&story.introduction, &sibling], "merge", &["alice"]);
    assert_eq!(story.authentic(&merge), 2);
}

#[test]
fn an_unrelated_target_is_refused() {
    let story = Story::new();
    let unrelated = story.merge(&[], "unrelated", &["alice"]);
    let found = story.judge(&unrelated).unwrap_err();
    assert!(matches!(found, AuthenticateError::Unrelated { .. }), "{found:?}");
}

#[test]
fn an_annotated_tag_leads_to_its_commit() {
    let story = Story::new();
    let commit = story.on(&story.introduction, "one", &["alice"]);
    story.repo.git(&["tag", "-a", "-m", "v1", "v1", &commit]);
    story.repo.git(&["tag", "-a", "-m", "of a tag", "nested", "v1"]);
    story.repo.git(&["tag", "light", &commit]);
    for tag in ["v1", "nested", "light"] {
        assert_eq!(story.authentic(tag), 1, "{tag}");
    }
    let history = story.history();
    assert_eq!(history.target("nested").unwrap().tags.len(), 2);
    // An authentic tag is none of an unauthentic commit.
    let bad = story.on(&commit, "bad", &[]);
    story.repo.git(&["tag", "-a", "-m", "v2", "v2", &bad]);
    assert_eq!(story.broken("v2"), [(bad, Why::Unsigned)]);
    story
        .repo
        .git(&["tag", "-a", "-m", "tree", "of-a-tree", &format!("{commit}^{{tree}}")]);
    assert!(matches!(
        history.target("of-a-tree"),
        Err(HistoryError::NoCommit { .. })
    ));
    assert!(matches!(history.target("nothing"), Err(HistoryError::Unknown { .. })));
}

#[test]
fn a_shallow_clone_is_refused() {
    let story = Story::new();
    let commit = story.on(&story.introduction, "one", &["alice"]);
    story.repo.set_branch("main", &commit);
    let url = format!("file://{}", story.repo.path().display());
    let clone = story.repo.beside("shallow");
    story
        .repo
        .git(&["clone", "--quiet", "--depth", "1", &url, clone.to_str().unwrap()]);
    assert!(matches!(History::open(&clone), Err(HistoryError::Shallow { .. })));
    let whole = story.repo.beside("whole");
    story.repo.git(&["clone", "--quiet", &url, whole.to_str().unwrap()]);
    History::open(&whole).unwrap();
}

#[test]
fn replacements_and_grafts_are_not_followed() {
    let story = Story::new();
    let unsigned = story.on(&story.introduction, "unsigned", &[]);
    let signed = story.on(&story.introduction, "signed", &["alice"]);
    let above = story.on(&unsigned, "above", &["alice"]);
    story.repo.git(&["replace", &unsigned, &signed]);
    assert_eq!(story.broken(&above), [(unsigned.clone(), Why::Unsigned)]);
    story.repo.git(&["replace", "-d", &unsigned]);
    let grafts = story.repo.path().join(".git/info/grafts");
    fs::create_dir_all(grafts.parent().unwrap()).unwrap();
    fs::write(&grafts, format!("{above} {signed}\n")).unwrap();
    assert_eq!(story.broken(&above), [(unsigned, Why::Unsigned)]);
}

/// git trusts what lies under an object's name; somebody who can write into a clone (or a cache of one) decides that.
#[test]
fn an_object_under_the_name_of_another_is_found_out() {
    let story = Story::new();
    let unsigned = story.on(&story.introduction, "unsigned", &[]);
    let signed = story.on(&story.introduction, "signed", &["alice"]);
    let loose = |id: &str| story.repo.path().join(".git/objects").join(&id[..2]).join(&id[2..]);
    let bytes = fs::read(loose(&signed)).unwrap();
    fs::remove_file(loose(&unsigned)).unwrap();
    fs::File::create(loose(&unsigned)).unwrap().write_all(&bytes).unwrap();
    let found = story.judge(&unsigned).unwrap_err();
    assert!(
        matches!(found, AuthenticateError::History(HistoryError::OtherDigest { expected, .. }) if expected == id(&unsigned)),
        "{found:?}"
    );
    assert_eq!(story.authentic(&signed), 1);
}

#[test]
fn a_missing_commit_is_an_error_and_no_end() {
    let story = Story::new();
    let one = story.on(&story.introduction, "one", &["alice"]);
    let two = story.on(&one, "two", &["alice"]);
    let loose = story.repo.path().join(".git/objects").join(&one[..2]).join(&one[2..]);
    fs::remove_file(loose).unwrap();
    let found = story.judge(&two).unwrap_err();
    assert!(
        matches!(found, AuthenticateError::History(HistoryError::Missing { .. })),
        "{found:?}"
    );
}

/// Dates are their makers' words: they decide nothing, also where the search follows them.
#[test]
fn wrong_dates_change_no_answer() {
    let mut story = Story::new();
    let alice = story.chain.person("alice").clone();
    let dated = |parents: &[&str], message: &str, at: i64| {
        let text = story.repo.commit_text(parents, message, Time::from_unix(at));
        let packet = alice.sign_bytes(0, NOW, text.as_bytes());
        story
            .repo
            .write_commit(&testkit::git::with_signatures(&text, &[packet]))
    };
    // A chain whose dates run backwards, from far in the future to long ago.
    let mut tip = story.introduction.clone();
    for step in 0..20 {
        tip = dated(&[&tip], &format!("step {step}"), 4_000_000_000 - step * 150_000_000);
    }
    assert_eq!(story.authentic(&tip), 20);
    // Unsigned commits before the introduction that pretend to be newer than everything.
    let mut before = story.repo.commit(&[], "ancient", &[], Time::from_unix(4_100_000_000));
    for step in 0..5 {
        before = story.repo.commit(
            &[&before],
            &format!("ancient {step}"),
            &[],
            Time::from_unix(4_200_000_000 + step),
        );
    }
    let introduction = story
        .repo
        .commit(&[&before], "young introduction", &[], Time::from_unix(1));
    let side = story.on(&before, "side", &["alice"]);
    let main = story.on(&introduction, "main", &["alice"]);
    let merge = story.merge(&[&main, &side], "merge", &["alice"]);
    story.introduction = introduction;
    assert_eq!(
        story.authentic(&merge),
        3,
        "what the introduction reaches is not judged"
    );
}
