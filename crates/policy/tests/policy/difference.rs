//! What a next policy changes, in words, and what is unwise about it.

use attestation::{Class, Seconds, chain::PolicyDocument, unit::FindingLevel};
use policy::{
    difference::{describe, differences},
    document::{self, PolicyRefusal},
    source,
};
use testkit::{TestChain, chain::people, chain::policy_toml};

use crate::{NOW, days};

fn policy() -> PolicyDocument {
    let online = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    source::read(&policy_toml(&people(NOW), &online, NOW), None).unwrap()
}

/// What `edit` changes: each as `!` for weaker or a space, and the words.
fn changes(edit: impl FnOnce(&mut PolicyDocument)) -> Vec<String> {
    let old = policy();
    let mut new = old.clone();
    // Keys are made anew for each policy; the same is edited.
    edit(&mut new);
    let all = differences(&old, &new).into_iter();
    all.map(|change| format!("{}{}", if change.weakens { "!" } else { " " }, change.what))
        .collect()
}

type Edit = fn(&mut PolicyDocument);

#[test]
fn the_same_policy_changes_nothing() {
    assert_eq!(changes(|_| {}), Vec::<String>::new());
}

#[test]
fn whatever_asks_for_less_is_marked_and_its_opposite_is_not() {
    let pairs: [(&str, Edit, Edit); 7] = [
        (
            "root's threshold",
            |policy| policy.roles.get_mut(&"root".parse().unwrap()).unwrap().threshold = Some(1),
            |policy| policy.roles.get_mut(&"root".parse().unwrap()).unwrap().threshold = Some(3),
        ),
        (
            "a release's threshold",
            |policy| {
                policy
                    .channels
                    .get_mut(&"stable".parse().unwrap())
                    .unwrap()
                    .release
                    .threshold = 1;
            },
            |policy| {
                policy
                    .channels
                    .get_mut(&"stable".parse().unwrap())
                    .unwrap()
                    .release
                    .threshold = 3;
            },
        ),
        (
            "not-after",
            |policy| policy.people.get_mut(&"bob".parse().unwrap()).unwrap().not_after = NOW.plus(days(3_650)),
            |policy| policy.people.get_mut(&"bob".parse().unwrap()).unwrap().not_after = NOW.plus(days(3)),
        ),
        (
            "max-lag",
            |policy| policy.channels.get_mut(&"stable".parse().unwrap()).unwrap().max_lag = days(30),
            |policy| policy.channels.get_mut(&"stable".parse().unwrap()).unwrap().max_lag = days(1),
        ),
        (
            "freshness",
            |policy| policy.freshness.timestamp = days(300),
            |policy| policy.freshness.timestamp = Seconds(60),
        ),
        (
            "a rule's people",
            |policy| assert!(policy.rules[0].require.remove(&"crypto".parse().unwrap()).is_some()),
            |policy| assert!(policy.rules[1].require.insert("crypto".parse().unwrap(), 1).is_none()),
        ),
        (
            "a rule",
            |policy| drop(policy.rules.remove(0)),
            |policy| {
                let mut stricter = policy.rules[2].clone();
                stricter.class = Some(Class::New);
                stricter.require.insert("crypto".parse().unwrap(), 1);
                policy.rules.insert(0, stricter);
            },
        ),
    ];
    // A web of trust that was not there is neither; one that goes, or takes fewer, is less.
    let mut old = TestChain::new(NOW).policy().clone();
    old.web_of_trust = Some(attestation::chain::ReleaseRole {
        role: "reviewers".parse().unwrap(),
        threshold: 2,
    });
    for (threshold, sign) in [(None, true), (Some(1), true), (Some(3), false)] {
        let mut new = old.clone();
        match threshold {
            Some(threshold) => new.web_of_trust.as_mut().unwrap().threshold = threshold,
            None => new.web_of_trust = None,
        }
        let found = differences(&old, &new);
        assert!(found.len() == 1 && found[0].weakens == sign, "{threshold:?}: {found:?}");
    }
    for (what, weaker, stronger) in pairs {
        let found = changes(weaker);
        assert!(found.len() == 1 && found[0].starts_with('!'), "{what}: {found:?}");
        let found = changes(stronger);
        assert!(found.len() == 1 && found[0].starts_with(' '), "{what}: {found:?}");
    }
}

#[test]
fn says_who_joins_and_who_leaves() {
    let found = changes(|policy| {
        policy.people.remove(&"dave".parse().unwrap());
        let crypto = policy.roles.get_mut(&"crypto".parse().unwrap()).unwrap();
        crypto.people = ["carol".parse().unwrap(), "alice".parse().unwrap()].into();
    });
    assert_eq!(
        found,
        [" dave leaves", " role crypto: alice joined", " role crypto: dave left"]
    );
}

#[test]
fn another_upstream_certificate_key_or_order_of_rules_is_marked() {
    let edits: [(Edit, &str); 5] = [
        (
            |policy| {
                policy.channels.get_mut(&"stable".parse().unwrap()).unwrap().upstream =
                    "https://evil.example".to_owned();
            },
            "upstream is https://evil.example",
        ),
        (
            |policy| {
                let dave = policy.people[&"dave".parse().unwrap()].certificate;
                policy.people.get_mut(&"bob".parse().unwrap()).unwrap().certificate = dave;
            },
            "bob's certificate",
        ),
        (|policy| policy.online_key = "00".repeat(32), "the online key"),
        (|policy| policy.rules.swap(0, 1), "another order"),
        (
            |policy| {
                policy
                    .channels
                    .get_mut(&"stable".parse().unwrap())
                    .unwrap()
                    .binary_cache_url = Some("https://c".to_owned());
            },
            "binary cache",
        ),
    ];
    for (edit, words) in edits {
        let found = changes(edit);
        assert!(
            found.len() == 1 && found[0].starts_with('!') && found[0].contains(words),
            "{found:?}"
        );
    }
}

#[test]
fn a_rule_reads_as_a_sentence() {
    let mut rule = policy().rules[0].clone();
    assert_eq!(
        describe(&rule),
        "changes below lib/** take 1 of crypto and 2 of reviewers"
    );
    rule.finding_level = Some(FindingLevel::H);
    rule.class = Some(Class::Edit);
    assert_eq!(
        describe(&rule),
        "changes below lib/**, of class edit, with a finding of level H or higher take 1 of crypto and 2 of reviewers"
    );
    assert_eq!(describe(&policy().rules[2]), "every other change take 2 of reviewers");
}

#[test]
fn refuses_patterns_of_one_rule_of_which_one_says_nothing() {
    let refusal = |paths: &[&str]| {
        let mut policy = policy();
        policy.rules[0].paths = paths.iter().map(ToString::to_string).collect();
        document::check(&policy)
    };
    refusal(&["lib/**", "pkgs/stdenv/**"]).expect("the honest twin");
    for paths in [["lib/**", "lib/**"], ["lib/**", "lib/systems"], ["lib/a*", "lib/*"]] {
        let found = refusal(&paths).unwrap_err();
        assert!(
            matches!(found, PolicyRefusal::RedundantPattern { .. }),
            "{paths:?}: {found:?}"
        );
    }
}

#[test]
fn warns_of_keys_that_are_over_before_the_root_and_ninety_days() {
    let chain = TestChain::new(NOW);
    let policy = chain.policy().clone();
    let warned = |policy: &PolicyDocument, expires| document::expiring(policy, &chain.keyring, expires);
    // Certificates end in 700 days, the policy ends everybody's keys in 365.
    let all = warned(&policy, NOW.plus(days(365)));
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(
        all[0].contains("alice's key") && all[0].contains("by the policy"),
        "{all:?}"
    );
    let mut longer = policy.clone();
    for person in longer.people.values_mut() {
        person.not_after = NOW.plus(days(3_650));
    }
    assert_eq!(
        warned(&longer, NOW.plus(days(365))),
        Vec::<String>::new(),
        "the honest twin"
    );
    let late = warned(&longer, NOW.plus(days(650)));
    assert!(late.len() == 3 && late[0].contains("by the certificate"), "{late:?}");
    assert!(late[0].contains(&NOW.plus(days(700)).to_string()), "{late:?}");
}
