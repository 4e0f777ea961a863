//! Merges: every side is judged, but upstream's side of an import.

use sequoia_openpgp::types::ReasonForRevocation;

use crate::{
    people::revoked,
    story::{NOW, Story, Why, id},
};

#[test]
fn a_merge_whose_one_side_is_unauthorised_breaks_there() {
    let story = Story::new();
    let ours = story.on(&story.introduction, "ours", &["alice"]);
    for (people, why) in [(&[][..], Why::Unsigned), (&["dave"], Why::TooFew)] {
        let theirs = story.on(&story.introduction, "theirs", people);
        let merge = story.merge(&[&ours, &theirs], "merge", &["alice"]);
        assert_eq!(story.broken(&merge), [(theirs.clone(), why)]);
        // Also as the first parent.
        let merge = story.merge(&[&theirs, &ours], "merge", &["alice"]);
        assert_eq!(story.broken(&merge), [(theirs, why)]);
    }
    let theirs = story.on(&story.introduction, "theirs", &["bob"]);
    let merge = story.merge(&[&ours, &theirs], "merge", &["alice"]);
    assert_eq!(story.authentic(&merge), 3);
}

#[test]
fn an_unsigned_merge_of_authorised_sides_is_unauthorised() {
    let story = Story::new();
    let sides = ["one", "two"].map(|side| story.on(&story.introduction, side, &["alice"]));
    let merge = story.merge(&[&sides[0], &sides[1]], "merge", &[]);
    assert_eq!(story.broken(&merge), [(merge, Why::Unsigned)]);
}

/// What Guix's test of an authorised merge does: the merge brings a commit of a signer that root has admitted.
#[test]
fn an_authorised_merge_brings_a_signer_that_root_admitted() {
    let mut story = Story::new();
    let base = story.on(&story.introduction, "base", &["alice"]);
    story.rotate(&base, |policy| {
        let reviewers = policy.roles.get_mut(&"reviewers".parse().unwrap()).unwrap();
        reviewers.people.insert("dave".parse().unwrap());
    });
    let branch = story.on(&base, "by dave", &["dave"]);
    let main = story.on(&base, "by alice", &["alice"]);
    let merge = story.merge(&[&main, &branch], "merge", &["alice"]);
    assert_eq!(story.authentic(&merge), 4);
}

/// What sq-git's test of a hard revocation does: a branch that forked before carol's key was revoked is merged back with
/// git's strategy `ours`, which takes nothing of its tree. The revocation stays: it is in the ledger, not in the branch.
#[test]
fn a_hard_revocation_is_not_undone_by_an_ours_merge() {
    let mut story = Story::new();
    let main = story.on(&story.introduction, "main", &["alice"]);
    let before = story.on(&story.introduction, "before it", &["carol"]);
    let honest = ours(&story, &main, &before);
    assert_eq!(story.authentic(&honest), 3, "the twin: nobody revoked anything");
    story.rotate(&main, |_| {});

    let certificate = revoked(story.chain.person("carol"), ReasonForRevocation::KeyCompromised, NOW);
    story.chain.keyring.add(&certificate).unwrap();
    assert_eq!(story.broken(&honest), [(before.clone(), Why::TooFew)]);
    let after = story.on(&before, "after it", &["carol"]);
    let merge = ours(&story, &main, &after);
    let tree = |commit: &str| story.repo.git(&["rev-parse", &format!("{commit}^{{tree}}")]);
    assert_eq!(tree(&merge), tree(&main), "nothing of the branch is in the tree");
    let mut found = story.broken(&merge);
    let mut expected = [(before, Why::TooFew), (after, Why::TooFew)];
    found.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected);
    // What carol does not sign goes on, also after the merge was dropped.
    let on = story.on(&main, "on", &["bob"]);
    assert_eq!(story.authentic(&on), 2);
    // An old certificate, which the branch could bring, gives nothing back.
    let served = story.chain.person("carol").certificate.clone();
    story.chain.keyring.add(&served).unwrap();
    assert_eq!(story.broken(&merge).len(), 2);
}

/// `git merge -s ours`, signed by alice.
fn ours(story: &Story, main: &str, branch: &str) -> String {
    let git = |arguments: &[&str]| story.repo.git(arguments);
    git(&["checkout", "--quiet", "--force", "--detach", main]);
    git(&["merge", "--quiet", "--no-edit", "--strategy", "ours", branch]);
    let made = git(&["cat-file", "commit", "HEAD"]) + "\n";
    let packet = story
        .chain
        .person("alice")
        .sign_bytes(0, story.chain.now, made.as_bytes());
    story
        .repo
        .write_commit(&testkit::git::with_signatures(&made, &[packet]))
}

#[test]
fn an_octopus_is_judged_arm_by_arm() {
    let story = Story::new();
    let arms = ["one", "two", "three"].map(|arm| story.on(&story.introduction, arm, &["bob"]));
    let good = story.merge(&[&arms[0], &arms[1], &arms[2]], "octopus", &["alice"]);
    assert_eq!(story.authentic(&good), 4);
    let bad = story.on(&story.introduction, "bad", &["dave"]);
    let evil = story.merge(&[&arms[0], &arms[1], &arms[2], &bad], "octopus", &["alice"]);
    assert_eq!(story.broken(&evil), [(bad, Why::TooFew)]);
}

#[test]
fn unrelated_history_counts_where_those_who_may_signed_it() {
    let story = Story::new();
    let ours = story.on(&story.introduction, "ours", &["alice"]);
    let signed = story.merge(&[], "elsewhere, signed", &["bob"]);
    let merge = story.merge(&[&ours, &signed], "merge", &["alice"]);
    assert_eq!(story.authentic(&merge), 3);
    let unsigned = story.merge(&[], "elsewhere, unsigned", &[]);
    let merge = story.merge(&[&ours, &unsigned], "merge", &["alice"]);
    assert_eq!(story.broken(&merge), [(unsigned, Why::Unsigned)]);
}

/// What Guix cannot do (its bug 75552): upstream's commits are unsigned, and merging them is authorised.
#[test]
fn upstreams_side_of_an_import_may_be_unsigned() {
    let mut story = Story::new();
    let old = story.merge(&[], "upstream 1", &[]);
    let upstream = story.on(&old, "upstream 2", &[]);
    let patch = story.on(&story.introduction, "our patch", &["bob"]);
    let merge = story.merge(&[&patch, &upstream], "Import upstream 2", &["alice"]);
    // Nobody said that it was imported.
    let found = story.broken(&merge);
    assert_eq!(
        found.iter().map(|(_, why)| *why).collect::<Vec<_>>(),
        [Why::Unsigned; 2]
    );
    assert_eq!(found[0].0, old, "what breaks first comes first");

    story.imported.insert(id(&upstream));
    assert_eq!(story.authentic(&merge), 2);
    let report = story.judge(&merge).unwrap();
    assert_eq!(report.imports.into_iter().collect::<Vec<_>>(), [id(&upstream)]);

    // The merge itself is made here, and so is signed.
    let unsigned = story.merge(&[&patch, &upstream], "Import upstream 2, unsigned", &[]);
    assert_eq!(story.broken(&unsigned), [(unsigned, Why::Unsigned)]);
    // What upstream did since was not imported.
    let newer = story.on(&upstream, "upstream 3", &[]);
    let merge = story.merge(&[&patch, &newer], "Merge what nobody imported", &["alice"]);
    assert_eq!(story.broken(&merge), [(newer, Why::Unsigned)]);
}

#[test]
fn an_import_that_was_never_fetched_changes_nothing() {
    let mut story = Story::new();
    story.imported.insert(id(&"1".repeat(40)));
    let commit = story.on(&story.introduction, "one", &["alice"]);
    assert_eq!(story.authentic(&commit), 1);
    let unsigned = story.on(&commit, "two", &[]);
    assert_eq!(story.broken(&unsigned), [(unsigned, Why::Unsigned)]);
}

/// An import is no way around: whoever names a commit of the fork itself as imported still brings what is above it.
#[test]
fn a_branch_on_top_of_an_import_is_judged() {
    let mut story = Story::new();
    let upstream = story.merge(&[], "upstream", &[]);
    story.imported.insert(id(&upstream));
    let smuggled = story.on(&upstream, "on top of upstream", &[]);
    let merge = story.merge(&[&story.introduction, &smuggled], "merge", &["alice"]);
    assert_eq!(story.broken(&merge), [(smuggled, Why::Unsigned)]);
}

/// The history merges what an imported commit descends from, and not that commit: it rests on the import all the same.
#[test]
fn an_import_that_is_not_met_itself_is_named() {
    let mut story = Story::new();
    let parent = story.merge(&[], "upstream 1", &[]);
    let import = story.on(&parent, "upstream 2", &[]);
    story.imported.insert(id(&import));
    // Beside one on which nothing rests.
    story.imported.insert(id(&story.merge(&[], "elsewhere", &[])));
    let merge = story.merge(&[&story.introduction, &parent], "merge its parent", &["alice"]);
    let report = story.judge(&merge).unwrap();
    assert!(report.breaks.is_empty(), "{:?}", report.breaks);
    assert_eq!(report.imports.into_iter().collect::<Vec<_>>(), [id(&import)]);
}
