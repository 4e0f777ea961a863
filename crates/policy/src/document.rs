//! What a policy is refused for when it is read, before any signature is looked at.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    ChannelName, Class, Fingerprint, PersonName, RoleName, Seconds, Time,
    chain::{PolicyDocument, ReviewRule},
    unit::{FindingLevel, UnitPath},
};

use crate::keyring::Keyring;

/// The version of the policy format that this program reads.
pub const FORMAT: u32 = 1;

/// Why a policy is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// Written by another version.
    #[error("policy format {found}, this program reads {FORMAT}")]
    Format {
        /// The format that was found.
        found: u32,
    },
    /// A role that nothing may do without.
    #[error("there is no role {0}")]
    MissingRole(RoleName),
    /// Somebody who is not among the people.
    #[error("role {role} names {person}, who is not among the people")]
    UnknownPerson {
        /// The role.
        role: RoleName,
        /// The name.
        person: PersonName,
    },
    /// A person without keys.
    #[error("{0} has no key")]
    NoKey(PersonName),
    /// One key of two people, or twice in one list.
    #[error("key {key} stands twice: with {first} and with {second}")]
    KeyTwice {
        /// The key.
        key: Fingerprint,
        /// Where it stands first.
        first: PersonName,
        /// Where it stands again.
        second: PersonName,
    },
    /// One certificate of two people.
    #[error("{first} and {second} have the same certificate")]
    CertificateTwice {
        /// One of them.
        first: PersonName,
        /// The other.
        second: PersonName,
    },
    /// A threshold that cannot be met, that is met by nobody, or that one lost token makes unreachable.
    #[error("{what}: threshold {threshold} with {people} people; needed is at least 1 and at most {most}")]
    Threshold {
        /// Where.
        what: String,
        /// The threshold.
        threshold: u32,
        /// How many people there are.
        people: usize,
        /// The largest threshold that so many people may have.
        most: usize,
    },
    /// A rule that nothing reaches, because an earlier one matches all that it matches.
    #[error("rule {0} can never match: an earlier rule already matches everything it does")]
    Unreachable(usize),
    /// Patterns of one rule (or list) of which one says nothing.
    #[error(
        "{place}: {pattern:?} adds nothing to {other:?}, or it was meant for another rule; rules are read in order, patterns of one rule are not"
    )]
    RedundantPattern {
        /// Where it stands, as `rule 2`.
        place: String,
        /// The pattern that adds nothing.
        pattern: String,
        /// The one that matches all that it does.
        other: String,
    },
    /// A rule that asks for a finding and for none.
    #[error("rule {0} can never match: it asks for findings of level H or B and for none of them (without-findings)")]
    Contradictory(usize),
    /// A threshold where it would mean nothing.
    #[error("roles.{0} has a threshold; it counts for root and targets only, a channel has its own")]
    IdleThreshold(RoleName),
    /// No rule for the rest.
    #[error("the last rule must match every change (no paths, class, finding-level or without-findings)")]
    NoCatchAll,
    /// A rule that asks for nobody.
    #[error("rule {0} requires nobody")]
    RequiresNobody(usize),
    /// A pattern that is not a relative path with `*` and `**`.
    #[error("{place}: {pattern:?} is not a pattern of unit paths")]
    Pattern {
        /// Where it stands, as `rule 2`.
        place: String,
        /// The pattern.
        pattern: String,
    },
    /// The online key is not an Ed25519 public key.
    #[error("online-key is not an Ed25519 public key of 64 lower-case hexadecimal digits")]
    OnlineKey,
    /// A duration of zero.
    #[error("{0} must be longer than zero")]
    ZeroDuration(String),
}

/// Checks everything about a policy that needs no certificate.
pub fn check(policy: &PolicyDocument) -> Result<(), PolicyRefusal> {
    if policy.format != FORMAT {
        return Err(PolicyRefusal::Format { found: policy.format });
    }
    check_people(policy)?;
    check_roles(policy)?;
    for (name, channel) in &policy.channels {
        check_channel(policy, name, &channel.release.role, channel.release.threshold)?;
        for (what, duration) in [("max-lag", channel.max_lag), ("expires", channel.expires)] {
            positive(&format!("channels.{name}.{what}"), duration)?;
        }
        check_patterns(&format!("channels.{name}.patches"), &channel.patches)?;
    }
    if let Some(repository) = &policy.repository {
        let people = members(policy, &repository.commits.role)?.len();
        threshold_within("repository.commits", repository.commits.threshold, people, people)?;
    }
    if let Some(web) = &policy.web_of_trust {
        let people = members(policy, &web.role)?.len();
        threshold_within("web-of-trust", web.threshold, people, people)?;
    }
    let freshness = &policy.freshness;
    positive("freshness.root", freshness.root)?;
    positive("freshness.targets", freshness.targets)?;
    positive("freshness.snapshot", freshness.snapshot)?;
    positive("freshness.timestamp", freshness.timestamp)?;
    check_rules(policy)
}

/// What is allowed and unwise, for people to read.
pub fn warnings(policy: &PolicyDocument) -> Vec<String> {
    let mut out = Vec::new();
    if let Some((people, threshold)) = root_role(policy)
        && people < threshold as usize + 2
    {
        out.push(format!(
            "root has {people} people for a threshold of {threshold}: when two are lost, the chain ends; \
             {} would be safer",
            threshold + 2
        ));
    }
    out
}

/// Keys for roots that are over before the root is and [`RENEWAL`] more: whom nobody reminds, the chain ends with. And
/// people who are not certified any more before the root is over: their words would end without notice.
pub fn expiring(policy: &PolicyDocument, keyring: &Keyring, root_expires: Time) -> Vec<String> {
    let until = root_expires.plus(RENEWAL);
    let uncertified = keyring.uncertified(policy, root_expires).into_iter().map(|(name, refusal)| {
        format!(
            "when the root is over, at {root_expires}, {refusal}: what {name} says counts no more from then on; let them certify \
             it anew before (gpg --quick-sign-key)"
        )
    });
    let Some(root) = policy.roles.get(&root_name()) else {
        return uncertified.collect();
    };
    let ends = root.people.iter().filter_map(|name| {
        let person = policy.people.get(name)?;
        let key = person.keys.first()?;
        let certificate = keyring.ends(person.certificate, key, until);
        let by_policy = (person.not_after < until).then_some(person.not_after);
        let (when, why) = match (certificate, by_policy) {
            (Some(certificate), Some(by_policy)) if certificate < by_policy => (certificate, "by the certificate"),
            (_, Some(by_policy)) => (by_policy, "by the policy (not-after)"),
            (Some(certificate), None) => (certificate, "by the certificate"),
            (None, None) => return None,
        };
        Some(format!(
            "{name}'s key {key} is over at {when} {why}, but the root lasts until {root_expires} and its successor \
             should be signed by {until}: renew it, or let {name} leave role root"
        ))
    });
    ends.chain(uncertified).collect()
}

/// How long before nobody of role root may sign any more the next root should be there.
pub const RENEWAL: Seconds = Seconds::days(90);

fn positive(what: &str, duration: Seconds) -> Result<(), PolicyRefusal> {
    if duration.0 == 0 {
        Err(PolicyRefusal::ZeroDuration(what.to_owned()))
    } else {
        Ok(())
    }
}

fn check_people(policy: &PolicyDocument) -> Result<(), PolicyRefusal> {
    let mut keys: BTreeMap<&Fingerprint, &PersonName> = BTreeMap::new();
    let mut certificates = BTreeMap::new();
    for (name, person) in &policy.people {
        if person.keys.is_empty() {
            return Err(PolicyRefusal::NoKey(name.clone()));
        }
        for key in &person.keys {
            if let Some(first) = keys.insert(key, name) {
                let (first, second) = (first.clone(), name.clone());
                return Err(PolicyRefusal::KeyTwice {
                    key: key.clone(),
                    first,
                    second,
                });
            }
        }
        if let Some(first) = certificates.insert(person.certificate, name) {
            return Err(PolicyRefusal::CertificateTwice {
                first: first.clone(),
                second: name.clone(),
            });
        }
    }
    Ok(())
}

fn root_role(policy: &PolicyDocument) -> Option<(usize, u32)> {
    let role = policy.roles.get(&root_name())?;
    Some((role.people.len(), role.threshold?))
}

pub(crate) fn root_name() -> RoleName {
    crate::root::role("root")
}

fn check_roles(policy: &PolicyDocument) -> Result<(), PolicyRefusal> {
    for (name, role) in &policy.roles {
        if let Some(person) = role.people.iter().find(|person| !policy.people.contains_key(*person)) {
            return Err(PolicyRefusal::UnknownPerson {
                role: name.clone(),
                person: person.clone(),
            });
        }
        // Somebody would take it for a rule that holds.
        if role.threshold.is_some() && !matches!(name.as_str(), "root" | "targets") {
            return Err(PolicyRefusal::IdleThreshold(name.clone()));
        }
    }
    let Some((people, threshold)) = root_role(policy) else {
        return Err(PolicyRefusal::MissingRole(root_name()));
    };
    // One more than the threshold, or one lost token ends the chain.
    threshold_within("roles.root", threshold, people, people.saturating_sub(1))?;
    if let Some(targets) = policy.roles.get(&crate::root::role("targets")) {
        let people = targets.people.len();
        threshold_within("roles.targets", targets.threshold.unwrap_or(0), people, people)?;
    }
    Ok(())
}

fn threshold_within(what: &str, threshold: u32, people: usize, most: usize) -> Result<(), PolicyRefusal> {
    if (1..=most).contains(&(threshold as usize)) {
        Ok(())
    } else {
        Err(PolicyRefusal::Threshold {
            what: what.to_owned(),
            threshold,
            people,
            most,
        })
    }
}

fn check_channel(
    policy: &PolicyDocument,
    name: &ChannelName,
    role: &RoleName,
    threshold: u32,
) -> Result<(), PolicyRefusal> {
    let people = members(policy, role)?.len();
    threshold_within(&format!("channels.{name}.release"), threshold, people, people)
}

fn members<'a>(policy: &'a PolicyDocument, role: &RoleName) -> Result<&'a BTreeSet<PersonName>, PolicyRefusal> {
    policy
        .roles
        .get(role)
        .map(|role| &role.people)
        .ok_or_else(|| PolicyRefusal::MissingRole(role.clone()))
}

fn check_rules(policy: &PolicyDocument) -> Result<(), PolicyRefusal> {
    for (index, rule) in policy.rules.iter().enumerate() {
        let number = index + 1;
        if rule.require.is_empty() {
            return Err(PolicyRefusal::RequiresNobody(number));
        }
        for (role, count) in &rule.require {
            let people = members(policy, role)?.len();
            threshold_within(&format!("rule {number}, role {role}"), *count, people, people)?;
        }
        check_patterns(&format!("rule {number}"), &rule.paths)?;
        // A finding of level S is no finding here, so S with nothing above it is a rule that can match.
        if rule.finding_level.is_some_and(|level| level >= FindingLevel::H) && rule.without_findings {
            return Err(PolicyRefusal::Contradictory(number));
        }
        if policy.rules[..index].iter().any(|earlier| covers(earlier, rule)) {
            return Err(PolicyRefusal::Unreachable(number));
        }
    }
    match policy.rules.last() {
        // Rules are about what channels import.
        None if policy.channels.is_empty() => Ok(()),
        Some(last) if matches_everything(last) => Ok(()),
        _ => Err(PolicyRefusal::NoCatchAll),
    }
}

/// Whether each is a pattern of unit paths, and says something that no other of them does.
fn check_patterns(place: &str, patterns: &[String]) -> Result<(), PolicyRefusal> {
    for pattern in patterns {
        let bare = pattern.replace('*', "x");
        if bare.parse::<UnitPath>().is_err() || pattern.contains("***") {
            return Err(PolicyRefusal::Pattern {
                place: place.to_owned(),
                pattern: pattern.clone(),
            });
        }
    }
    for (at, pattern) in patterns.iter().enumerate() {
        let mut others = patterns.iter().enumerate().filter(|(other, _)| *other != at);
        if let Some((_, other)) = others.find(|(_, other)| glob_covers(other, pattern)) {
            return Err(PolicyRefusal::RedundantPattern {
                place: place.to_owned(),
                pattern: pattern.clone(),
                other: other.clone(),
            });
        }
    }
    Ok(())
}

/// Whether one of these patterns of unit paths matches a unit.
pub(crate) fn matches_unit(patterns: &[String], unit: &UnitPath) -> bool {
    patterns.iter().any(|pattern| glob(pattern, unit.as_str()))
}

fn matches_everything(rule: &ReviewRule) -> bool {
    rule.paths.is_empty() && rule.class.is_none() && rule.finding_level.is_none() && !rule.without_findings
}

/// Whether `earlier` certainly matches whatever `later` matches.
fn covers(earlier: &ReviewRule, later: &ReviewRule) -> bool {
    let paths = earlier.paths.is_empty()
        || !later.paths.is_empty()
            && later
                .paths
                .iter()
                .all(|path| earlier.paths.iter().any(|pattern| glob_covers(pattern, path)));
    let class = earlier.class.is_none() || earlier.class == later.class;
    let level = match (earlier.finding_level, later.finding_level) {
        (None, _) => true,
        (Some(low), Some(high)) => low <= high,
        (Some(_), None) => false,
    };
    let findings = !earlier.without_findings || later.without_findings;
    paths && class && level && findings
}

/// The first rule that matches a change; the last rule matches everything.
///
/// `without-findings` asks for none of level H or B. A finding of level S says that somebody should look at the source as
/// well; every new source deserves it, so nearly every bump has one, and none would be left.
pub fn rule_for<'a>(
    policy: &'a PolicyDocument,
    unit: &UnitPath,
    class: Class,
    highest_finding: Option<FindingLevel>,
) -> Option<&'a ReviewRule> {
    policy.rules.iter().find(|rule| {
        (rule.paths.is_empty() || rule.paths.iter().any(|pattern| glob(pattern, unit.as_str())))
            && rule.class.is_none_or(|wanted| wanted == class)
            && rule
                .finding_level
                .is_none_or(|level| highest_finding.is_some_and(|found| found >= level))
            && (!rule.without_findings || highest_finding.is_none_or(|found| found < FindingLevel::H))
    })
}

/// `*` matches within a component, a component `**` matches any number of components.
fn glob(pattern: &str, path: &str) -> bool {
    let pattern: Vec<_> = pattern.split('/').collect();
    let path: Vec<_> = path.split('/').collect();
    glob_components(&pattern, &path)
}

/// Whether `pattern` certainly matches whatever the pattern `other` matches.
fn glob_covers(pattern: &str, other: &str) -> bool {
    let pattern: Vec<_> = pattern.split('/').collect();
    let other: Vec<_> = other.split('/').collect();
    components_cover(&pattern, &other)
}

fn components_cover(pattern: &[&str], other: &[&str]) -> bool {
    match (pattern, other) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=other.len()).any(|skip| components_cover(rest, &other[skip..])),
        // It stands for any number of components; no other pattern does.
        (_, ["**", ..]) => false,
        // Read as text, `*` is matched by `*` only.
        ([first, rest @ ..], [component, others @ ..]) => {
            glob_component(first.as_bytes(), component.as_bytes()) && components_cover(rest, others)
        }
        _ => false,
    }
}

fn glob_components(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=path.len()).any(|skip| glob_components(rest, &path[skip..])),
        ([first, rest @ ..], [component, others @ ..]) => {
            glob_component(first.as_bytes(), component.as_bytes()) && glob_components(rest, others)
        }
        _ => false,
    }
}

fn glob_component(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| glob_component(rest, &text[skip..])),
        ([first, rest @ ..], [byte, others @ ..]) => first == byte && glob_component(rest, others),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_matches_more_of() {
        for (pattern, other, expected) in [
            ("lib/**", "lib/foo", true),
            ("lib/**", "lib/*/x", true),
            ("lib/**", "lib/**", true),
            ("**", "a/**/b", true),
            ("**/xz", "pkgs/**/xz", true),
            ("pkgs/*", "pkgs/a*", true),
            ("pkgs/*", "pkgs/**", false),
            ("pkgs/a*", "pkgs/*", false),
            ("lib/foo", "lib/**", false),
        ] {
            assert_eq!(glob_covers(pattern, other), expected, "{pattern} over {other}");
        }
    }

    #[test]
    fn a_pattern_matches_within_and_across_components() {
        for (pattern, path, expected) in [
            ("lib/**", "lib", true),
            ("lib/**", "lib/a/b", true),
            ("lib/**", "libx", false),
            ("pkgs/*/foo", "pkgs/a/foo", true),
            ("pkgs/*/foo", "pkgs/a/b/foo", false),
            ("**", "anything/at/all", true),
            ("pkgs/**/default*", "pkgs/a/b/default.nix", true),
            ("**/xz", "pkgs/tools/xz", true),
            ("**/xz", "pkgs/tools/xzz", false),
        ] {
            assert_eq!(glob(pattern, path), expected, "{pattern} on {path}");
        }
    }
}
