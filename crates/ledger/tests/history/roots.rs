//! Under which root a commit is judged.

use policy::{TrustError, document::PolicyRefusal};

use crate::story::{NOW, Story, Why, id, later};

pub(crate) fn remove(policy: &mut attestation::chain::PolicyDocument, name: &str) {
    let reviewers = policy.roles.get_mut(&"reviewers".parse().unwrap()).unwrap();
    assert!(reviewers.people.remove(&name.parse().unwrap()));
}

pub(crate) fn admit(policy: &mut attestation::chain::PolicyDocument, name: &str) {
    let reviewers = policy.roles.get_mut(&"reviewers".parse().unwrap()).unwrap();
    reviewers.people.insert(name.parse().unwrap());
}

#[test]
fn a_key_that_was_retired_and_then_used_does_not_count() {
    let mut story = Story::new();
    let before = story.on(&story.introduction, "before", &["bob"]);
    story.rotate(&before, |policy| remove(policy, "bob"));
    assert_eq!(story.authentic(&before), 1, "what root vouched for stays");
    let after = story.on(&before, "after", &["bob"]);
    assert_eq!(story.broken(&after), [(after.clone(), Why::TooFew)]);
    let report = story.judge(&after).unwrap();
    assert_eq!(report.breaks[0].would_count_under, Some(1));
    assert_eq!(report.breaks[0].root_version, 2);
    let honest = story.on(&before, "honest", &["alice"]);
    assert_eq!(story.authentic(&honest), 2);
}

#[test]
fn a_key_that_is_added_and_used_in_one_change_does_not_count() {
    let mut story = Story::new();
    let early = story.on(&story.introduction, "too early", &["dave"]);
    // The root that admits dave also closes the stretch in which he was nobody.
    story.rotate(&early, |policy| admit(policy, "dave"));
    assert_eq!(story.broken(&early), [(early.clone(), Why::TooFew)]);
    assert_eq!(story.judge(&early).unwrap().breaks[0].would_count_under, Some(2));
    // Its honest twin: first admitted, then used.
    let mut story = Story::new();
    let base = story.on(&story.introduction, "base", &["alice"]);
    story.rotate(&base, |policy| admit(policy, "dave"));
    let late = story.on(&base, "in time", &["dave"]);
    assert_eq!(story.authentic(&late), 2);
}

/// A hard case of sq-git: the branch that forked before is merged with strategy "ours", so no diff shows it.
#[test]
fn a_branch_forked_before_a_removal_and_merged_with_ours_does_not_count() {
    let mut story = Story::new();
    let fork_point = story.on(&story.introduction, "fork point", &["alice"]);
    let main = story.on(&fork_point, "main", &["alice"]);
    story.rotate(&main, |policy| remove(policy, "bob"));
    let stale = story.on(&fork_point, "stale branch", &["bob"]);
    let tree = story.repo.git(&["rev-parse", &format!("{main}^{{tree}}")]);
    let text = story
        .repo
        .commit_text(&[&main, &stale], "Merge branch 'stale' with ours", NOW);
    let text = text.replacen(&text[5..45], &tree, 1);
    let packet = story.chain.person("alice").sign_bytes(0, NOW, text.as_bytes());
    let merge = story
        .repo
        .write_commit(&testkit::git::with_signatures(&text, &[packet]));
    assert_eq!(story.broken(&merge), [(stale, Why::TooFew)]);
    // Its honest twin: the branch is alice's.
    let branch = story.on(&fork_point, "another branch", &["alice"]);
    let merge = story.merge(&[&main, &branch], "merge", &["alice"]);
    assert_eq!(story.authentic(&merge), 4);
}

#[test]
fn a_root_that_lets_nobody_commit_lets_nobody_commit() {
    let mut story = Story::new();
    let before = story.on(&story.introduction, "before", &["alice"]);
    story.rotate(&before, |policy| policy.repository = None);
    let after = story.on(&before, "after", &["alice"]);
    let found = story.broken(&after);
    assert!(found.contains(&(after, Why::Nobody)), "{found:?}");
}

#[test]
fn the_last_signer_is_not_removed() {
    let story = Story::new();
    let refusal = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        story.chain.draft_root(|policy| {
            for name in ["alice", "bob", "carol"] {
                remove(policy, name);
            }
        })
    }));
    assert!(refusal.is_err(), "a root whose committers are nobody was made");
    let mut policy = story.chain.policy().clone();
    policy.channels.clear();
    policy.rules.clear();
    policy::document::check(&policy).unwrap();
    for name in ["alice", "bob", "carol"] {
        remove(&mut policy, name);
    }
    let found = policy::document::check(&policy).unwrap_err();
    assert!(
        matches!(&found, PolicyRefusal::Threshold { what, people: 0, .. } if what == "repository.commits"),
        "{found:?}"
    );
}

#[test]
fn a_policy_weakened_without_the_threshold_and_used_in_one_push_is_not_followed() {
    let mut story = Story::new();
    let weak = story.chain.draft_root(|policy| admit(policy, "dave"));
    let signed = story.chain.signed_root(weak, &["alice"]);
    story.chain.place_root(&signed);
    let found = ledger::Courts::of(story.chain.id(), &story.roots(), &story.chain.keyring, NOW);
    assert!(matches!(found, Err(TrustError::Threshold { .. })), "{:?}", found.err());
}

/// The policy is not in the tree, so nothing that is committed or merged there changes it.
#[test]
fn a_policy_smuggled_into_the_tree_changes_nothing() {
    let story = Story::new();
    let smuggled = story.chain.draft_root(|policy| admit(policy, "dave"));
    let smuggled = story.chain.signed_root(smuggled, &["alice", "bob"]);
    let blob = story
        .repo
        .git_with(&["hash-object", "-w", "--stdin"], &smuggled.to_bytes());
    let root = story
        .repo
        .git_with(&["mktree"], format!("100644 blob {blob}\t2.root.json\n").as_bytes());
    let tree = story
        .repo
        .git_with(&["mktree"], format!("040000 tree {root}\troot\n").as_bytes());
    let text = story.repo.commit_text(&[&story.introduction], "smuggle", NOW);
    let text = text.replacen(&text[5..45], &tree, 1);
    let packet = story.chain.person("alice").sign_bytes(0, NOW, text.as_bytes());
    let smuggle = story
        .repo
        .write_commit(&testkit::git::with_signatures(&text, &[packet]));
    assert_eq!(story.authentic(&smuggle), 1, "alice may commit any file");
    let used = story.on(&smuggle, "used", &["dave"]);
    assert_eq!(story.broken(&used), [(used, Why::TooFew)]);
}

#[test]
fn every_stretch_is_judged_under_its_own_root() {
    let mut story = Story::new();
    let one = story.on(&story.introduction, "one", &["carol"]);
    story.rotate(&one, |policy| {
        remove(policy, "carol");
        admit(policy, "dave");
    });
    let two = story.on(&one, "two", &["dave"]);
    story.chain.now = later(3);
    story.rotate(&two, |policy| {
        remove(policy, "dave");
        admit(policy, "carol");
    });
    let three = story.on(&two, "three", &["carol"]);
    assert_eq!(story.authentic(&three), 3);
    let report = story.judge(&three).unwrap();
    assert_eq!(report.roots.into_iter().collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 1)]);
    // Each under another's root is refused.
    for (parent, who) in [(&one, "carol"), (&two, "dave")] {
        let wrong = story.on(parent, "wrong time", &[who]);
        let tip = if parent == &two {
            wrong.clone()
        } else {
            story.merge(&[&three, &wrong], "merge", &["alice"])
        };
        assert!(story.judge(&tip).unwrap().breaks.len() <= 1);
    }
    let late = story.on(&three, "late", &["dave"]);
    assert_eq!(story.broken(&late), [(late, Why::TooFew)]);
}

/// sq-git's `via`: from a commit that one trusts, whatever was before it.
#[test]
fn a_later_introduction_leaves_what_is_before_it_alone() {
    let story = Story::new();
    let unsigned = story.on(&story.introduction, "unsigned", &[]);
    let via = story.on(&unsigned, "via", &["alice"]);
    let tip = story.on(&via, "tip", &["bob"]);
    assert_eq!(story.broken(&tip), [(unsigned, Why::Unsigned)]);
    let report = story.judge_from(&via, &tip).unwrap();
    assert!(report.breaks.is_empty() && report.commits == 1);
    // It must be on the way.
    let beside = story.on(&story.introduction, "beside", &["alice"]);
    assert!(story.judge_from(&via, &beside).is_err());
    assert_ne!(id(&beside), id(&via));
}
