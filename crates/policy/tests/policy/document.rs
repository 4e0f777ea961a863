//! What a policy is refused for when it is read.

use attestation::{
    chain::PolicyDocument,
    unit::{Class, FindingLevel},
};
use policy::{
    document::{self, PolicyRefusal},
    source::{self, SourceError},
};
use testkit::chain::{people, policy_toml};

use crate::NOW;

fn toml() -> String {
    let online = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    policy_toml(&people(NOW), &online, NOW)
}

fn refusal(edit: impl FnOnce(&mut PolicyDocument)) -> PolicyRefusal {
    let mut policy = source::read(&toml(), None).unwrap();
    document::check(&policy).expect("the honest twin");
    edit(&mut policy);
    document::check(&policy).expect_err("accepted")
}

fn role<'a>(policy: &'a mut PolicyDocument, name: &str) -> &'a mut attestation::chain::PeopleRole {
    policy.roles.get_mut(&name.parse().unwrap()).unwrap()
}

#[test]
fn refuses_a_threshold_of_zero_or_above_the_people() {
    for threshold in [None, Some(0), Some(4), Some(u32::MAX)] {
        let found = refusal(|policy| role(policy, "root").threshold = threshold);
        assert!(
            matches!(found, PolicyRefusal::Threshold { .. } | PolicyRefusal::MissingRole(_)),
            "{threshold:?}: {found:?}"
        );
    }
    for threshold in [0, 4] {
        let found = refusal(|policy| {
            policy
                .channels
                .get_mut(&"unstable".parse().unwrap())
                .unwrap()
                .release
                .threshold = threshold;
        });
        assert!(matches!(found, PolicyRefusal::Threshold { .. }), "{found:?}");
        let found = refusal(|policy| {
            policy.rules[2].require.insert("reviewers".parse().unwrap(), threshold);
        });
        assert!(matches!(found, PolicyRefusal::Threshold { .. }), "{found:?}");
    }
    let found = refusal(|policy| {
        let mut targets = role(policy, "root").clone();
        targets.threshold = Some(0);
        policy.roles.insert("targets".parse().unwrap(), targets);
    });
    assert!(matches!(found, PolicyRefusal::Threshold { .. }), "{found:?}");
}

/// One lost token must not end the chain.
#[test]
fn refuses_a_root_that_needs_everybody() {
    let found = refusal(|policy| role(policy, "root").threshold = Some(3));
    assert!(
        matches!(
            found,
            PolicyRefusal::Threshold {
                threshold: 3,
                people: 3,
                most: 2,
                ..
            }
        ),
        "{found:?}"
    );
}

#[test]
fn refuses_the_last_signer_removed() {
    for name in ["root", "reviewers"] {
        let found = refusal(|policy| role(policy, name).people.clear());
        assert!(matches!(found, PolicyRefusal::Threshold { people: 0, .. }), "{found:?}");
    }
}

#[test]
fn refuses_a_threshold_that_nobody_counts() {
    let found = refusal(|policy| role(policy, "reviewers").threshold = Some(2));
    assert!(matches!(found, PolicyRefusal::IdleThreshold(_)), "{found:?}");
}

#[test]
fn refuses_unknown_people_and_roles() {
    let found = refusal(|policy| {
        role(policy, "crypto").people.insert("mallory".parse().unwrap());
    });
    assert!(matches!(found, PolicyRefusal::UnknownPerson { .. }), "{found:?}");
    let found = refusal(|policy| {
        policy.roles.remove(&"crypto".parse().unwrap());
    });
    assert!(matches!(found, PolicyRefusal::MissingRole(_)), "{found:?}");
}

#[test]
fn refuses_one_key_or_certificate_of_two_people() {
    let alice = "alice".parse().unwrap();
    let found = refusal(|policy| {
        let key = policy.people[&alice].keys[1].clone();
        policy.people.get_mut(&"bob".parse().unwrap()).unwrap().keys.push(key);
    });
    assert!(matches!(found, PolicyRefusal::KeyTwice { .. }), "{found:?}");
    let found = refusal(|policy| {
        let certificate = policy.people[&alice].certificate;
        policy.people.get_mut(&"bob".parse().unwrap()).unwrap().certificate = certificate;
    });
    assert!(matches!(found, PolicyRefusal::CertificateTwice { .. }), "{found:?}");
    let found = refusal(|policy| policy.people.get_mut(&alice).unwrap().keys.clear());
    assert!(matches!(found, PolicyRefusal::NoKey(_)), "{found:?}");
}

#[test]
fn refuses_a_rule_that_can_never_match() {
    for (paths, class) in [
        (vec!["lib/strings/**"], None),
        (vec!["lib/*"], Some(Class::Edit)),
        (vec!["lib/**"], None),
    ] {
        let found = refusal(|policy| {
            let mut rule = policy.rules[0].clone();
            rule.paths = paths.into_iter().map(str::to_owned).collect();
            rule.class = class;
            policy.rules.insert(1, rule);
        });
        assert_eq!(found, PolicyRefusal::Unreachable(2));
    }
    let found = refusal(|policy| {
        let last = policy.rules[2].clone();
        policy.rules.insert(0, last);
    });
    assert_eq!(found, PolicyRefusal::Unreachable(2), "everything is matched before");
    for level in [FindingLevel::H, FindingLevel::B] {
        let found = refusal(|policy| policy.rules[1].finding_level = Some(level));
        assert_eq!(found, PolicyRefusal::Contradictory(2));
    }
    // Level S, and nothing above it.
    let mut only_s = source::read(&toml(), None).unwrap();
    only_s.rules[1].finding_level = Some(FindingLevel::S);
    document::check(&only_s).expect("the honest twin");
}

#[test]
fn refuses_rules_without_a_last_one_for_the_rest() {
    assert_eq!(refusal(|policy| policy.rules.clear()), PolicyRefusal::NoCatchAll);
    let found = refusal(|policy| {
        policy.rules.pop();
    });
    assert_eq!(found, PolicyRefusal::NoCatchAll);
    assert_eq!(
        refusal(|policy| policy.rules[2].require.clear()),
        PolicyRefusal::RequiresNobody(3)
    );
}

#[test]
fn refuses_a_pattern_that_leaves_the_tree() {
    for bad in ["/lib", "lib/", "../x", "a//b", "a/***"] {
        let found = refusal(|policy| policy.rules[0].paths = vec![bad.to_owned()]);
        assert!(matches!(found, PolicyRefusal::Pattern { .. }), "{bad}: {found:?}");
    }
}

#[test]
fn refuses_a_duration_of_zero_and_another_format() {
    let found = refusal(|policy| policy.freshness.timestamp.0 = 0);
    assert!(matches!(found, PolicyRefusal::ZeroDuration(_)), "{found:?}");
    assert_eq!(refusal(|policy| policy.format = 2), PolicyRefusal::Format { found: 2 });
}

fn read_error(from: &str, to: &str) -> SourceError {
    let text = toml();
    let changed = text.replacen(from, to, 1);
    assert_ne!(changed, text, "{from} is not there");
    source::read(&changed, None).expect_err("accepted")
}

#[test]
fn refuses_a_fingerprint_as_prefix_or_in_upper_case() {
    // With letters in it, so that upper case is another spelling.
    let key = "0123456789abcdef0123456789abcdef01234567";
    let with_key = |spelling: &str| {
        let text = toml();
        let listed = text.split('"').find(|part| part.len() == 40).unwrap().to_owned();
        source::read(&text.replacen(&listed, spelling, 1), None)
    };
    for bad in [&key[..39], &key[24..], &key.to_uppercase(), &format!("0x{key}")] {
        let error = with_key(bad).expect_err("accepted");
        assert!(matches!(error, SourceError::Toml(_)), "{bad}: {error}");
    }
    with_key(key).map(|_| ()).expect("the honest twin");
}

#[test]
fn refuses_unknown_members_channels_and_values() {
    assert!(matches!(
        read_error("lacking =", "surplus = 1\nlacking ="),
        SourceError::Toml(_)
    ));
    assert!(matches!(
        read_error("[channels.unstable]", "[channels.root]"),
        SourceError::Toml(_)
    ));
    assert!(matches!(
        read_error("[channels.unstable]", "[channels.\"*\"]"),
        SourceError::Toml(_)
    ));
    assert!(matches!(
        read_error("\"7 days\"", "\"7 weeks\""),
        SourceError::Value { .. }
    ));
    assert!(matches!(
        read_error("threshold = 2\n", "threshold = -2\n"),
        SourceError::Toml(_)
    ));
    source::read(&toml(), None).map(|_| ()).expect("the honest twin");
}
