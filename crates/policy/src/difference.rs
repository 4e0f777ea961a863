//! What a next policy changes, in words of people, and which of it asks for less than before.
//!
//! Every field is compared: the documents are taken apart without a rest, so that a field which is added to the policy
//! does not compile until it is compared here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use attestation::{
    RoleName, Seconds,
    chain::{ChannelPolicy, Freshness, Hardware, PeopleRole, Person, PolicyDocument, ReleaseRole, ReviewRule},
};
use serde::Serialize;

/// One thing that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What, as a sentence without a full stop.
    pub what: String,
    /// Whether less is asked for than before, or another is believed: to be looked at twice.
    pub weakens: bool,
}

/// What `new` changes of `old`, in the order of the document.
pub fn differences(old: &PolicyDocument, new: &PolicyDocument) -> Vec<Difference> {
    let PolicyDocument {
        format: _,
        chain: _,
        people,
        roles,
        channels,
        repository,
        rules,
        freshness,
        online_key,
        web_of_trust,
        attestation_roots,
    } = new;
    let mut out = Found(Vec::new());
    each(
        &old.people,
        people,
        |name| format!("{name} joins"),
        |name| format!("{name} leaves"),
        &mut out,
        compare_person,
    );
    each(
        &old.roles,
        roles,
        |name| format!("role {name} is new"),
        |name| format!("role {name} is gone"),
        &mut out,
        compare_role,
    );
    for (name, role) in roles.iter().filter(|(name, _)| !old.roles.contains_key(*name)) {
        out.neutral(format!("role {name}: {}", names(&role.people)));
    }
    each(
        &old.channels,
        channels,
        |name| format!("channel {name} is new"),
        |name| format!("channel {name} is gone"),
        &mut out,
        compare_channel,
    );
    match (&old.repository, repository) {
        (None, None) => {}
        (None, Some(new)) => out.neutral(format!(
            "commits to the repository are judged from {} on, by {} of role {}",
            new.introduction, new.commits.threshold, new.commits.role
        )),
        (Some(_), None) => out.weaker("commits to the repository are judged no more".to_owned()),
        (Some(before), Some(after)) => {
            out.changed(
                "repository: the introduction",
                &before.introduction,
                &after.introduction,
                true,
            );
            compare_release("commits to the repository", &before.commits, &after.commits, &mut out);
        }
    }
    compare_rules(&old.rules, rules, &mut out);
    compare_freshness(&old.freshness, freshness, &mut out);
    out.changed("the online key", &old.online_key, online_key, true);
    match (&old.web_of_trust, web_of_trust) {
        (None, None) => {}
        (None, Some(web)) => out.neutral(format!(
            "people count when {} of role {} certify their certificates",
            web.threshold, web.role
        )),
        (Some(_), None) => out.weaker("nobody has to certify people's certificates any more".to_owned()),
        (Some(before), Some(after)) => compare_release("a person's certificate", before, after, &mut out),
    }
    for root in attestation_roots.difference(&old.attestation_roots) {
        out.weaker(format!("what tokens attest counts up to maker {root}"));
    }
    for root in old.attestation_roots.difference(attestation_roots) {
        out.neutral(format!("what tokens attest up to maker {root} counts no more"));
    }
    out.0
}

struct Found(Vec<Difference>);

impl Found {
    fn neutral(&mut self, what: String) {
        self.0.push(Difference { what, weakens: false });
    }

    fn weaker(&mut self, what: String) {
        self.0.push(Difference { what, weakens: true });
    }

    fn changed<T: PartialEq + Display>(&mut self, what: &str, before: &T, after: &T, weakens: bool) {
        if before != after {
            let what = format!("{what} is {after}, was {before}");
            self.0.push(Difference { what, weakens });
        }
    }

    /// A number of which less asks for less.
    fn needed(&mut self, what: &str, before: u32, after: u32) {
        match after {
            _ if after == before => {}
            _ if after < before => self.weaker(format!("{what} takes {after} people, took {before}")),
            _ => self.neutral(format!("{what} takes {after} people, took {before}")),
        }
    }

    /// A duration of which more allows more.
    fn allowed(&mut self, what: &str, before: Seconds, after: Seconds) {
        self.changed(what, &before, &after, after > before);
    }
}

fn each<K: Ord + Display, V: PartialEq>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    joins: impl Fn(&K) -> String,
    leaves: impl Fn(&K) -> String,
    out: &mut Found,
    compare: impl Fn(&K, &V, &V, &mut Found),
) {
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        out.neutral(leaves(key));
    }
    for (key, after) in new {
        match old.get(key) {
            None => out.neutral(joins(key)),
            Some(before) if before != after => compare(key, before, after, out),
            Some(_) => {}
        }
    }
}

fn names<T: Display>(names: &BTreeSet<T>) -> String {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn compare_person(name: &impl Display, before: &Person, after: &Person, out: &mut Found) {
    let Person {
        certificate,
        keys,
        not_after,
        hardware,
    } = after;
    let another = format!("{name}'s certificate");
    out.changed(&another, &before.certificate, certificate, true);
    for key in before.keys.iter().filter(|key| !keys.contains(key)) {
        out.neutral(format!("{name} signs no more with {key}"));
    }
    for key in keys.iter().filter(|key| !before.keys.contains(key)) {
        out.neutral(format!("{name} also signs with {key}"));
    }
    if let (Some(first), Some(was)) = (keys.first(), before.keys.first()) {
        out.changed(&format!("{name}'s key for roots and releases"), was, first, false);
    }
    let longer = *not_after > before.not_after;
    out.changed(
        &format!("the end of {name}'s keys"),
        &before.not_after,
        not_after,
        longer,
    );
    if *hardware != before.hardware {
        let weakens = strength(*hardware) < strength(before.hardware);
        let what = format!(
            "{name}'s keys are {}, were {}",
            hardware_name(*hardware),
            hardware_name(before.hardware)
        );
        out.0.push(Difference { what, weakens });
    }
}

const fn strength(hardware: Hardware) -> u8 {
    match hardware {
        Hardware::None => 0,
        Hardware::Witnessed => 1,
        Hardware::Attested => 2,
    }
}

const fn hardware_name(hardware: Hardware) -> &'static str {
    match hardware {
        Hardware::None => "on hardware that nobody vouches for",
        Hardware::Witnessed => "witnessed on hardware",
        Hardware::Attested => "attested by their hardware",
    }
}

fn compare_role(name: &RoleName, before: &PeopleRole, after: &PeopleRole, out: &mut Found) {
    let PeopleRole { people, threshold } = after;
    let joined: BTreeSet<_> = people.difference(&before.people).collect();
    let left: BTreeSet<_> = before.people.difference(people).collect();
    if !joined.is_empty() {
        out.neutral(format!("role {name}: {} joined", names(&joined)));
    }
    if !left.is_empty() {
        out.neutral(format!("role {name}: {} left", names(&left)));
    }
    match (before.threshold, threshold) {
        (Some(before), Some(after)) => out.needed(&format!("role {name}"), before, *after),
        (None, Some(after)) => out.neutral(format!("role {name} has a threshold of its own: {after}")),
        (Some(before), None) => out.weaker(format!(
            "role {name} has no threshold of its own any more, had {before}"
        )),
        (None, None) => {}
    }
}

fn compare_release(what: &str, before: &ReleaseRole, after: &ReleaseRole, out: &mut Found) {
    let ReleaseRole { role, threshold } = after;
    if before.role != *role {
        out.weaker(format!("{what}: role {role} signs, before it was {}", before.role));
    }
    out.needed(what, before.threshold, *threshold);
}

fn compare_channel(name: &impl Display, before: &ChannelPolicy, after: &ChannelPolicy, out: &mut Found) {
    let ChannelPolicy {
        upstream,
        branch,
        release,
        max_lag,
        expires,
        lacking,
        binary_cache_url,
        patches,
    } = after;
    let what = |member: &str| format!("channel {name}: {member}");
    out.changed(&what("upstream"), &before.upstream, upstream, true);
    out.changed(&what("upstream's branch"), &before.branch, branch, true);
    compare_release(&what("a release"), &before.release, release, out);
    out.allowed(
        &what("the lag behind upstream that is allowed"),
        before.max_lag,
        *max_lag,
    );
    out.allowed(&what("how long a release stays current"), before.expires, *expires);
    if before.lacking != *lacking {
        out.weaker(what("what becomes of a unit that lacks reviews is another"));
    }
    let shown = |url: &Option<String>| url.clone().unwrap_or_else(|| "none".to_owned());
    let cache = what("the binary cache that it names");
    out.changed(&cache, &shown(&before.binary_cache_url), &shown(binary_cache_url), true);
    for pattern in patches.iter().filter(|pattern| !before.patches.contains(pattern)) {
        out.weaker(what(&format!("its people may patch {pattern}")));
    }
    for pattern in before.patches.iter().filter(|pattern| !patches.contains(pattern)) {
        out.neutral(what(&format!("its people may not patch {pattern} any more")));
    }
}

fn compare_freshness(before: &Freshness, after: &Freshness, out: &mut Found) {
    let Freshness {
        root,
        targets,
        snapshot,
        timestamp,
    } = after;
    out.allowed("how long a root stays current", before.root, *root);
    out.allowed("how long the top-level targets stay current", before.targets, *targets);
    out.allowed("how long a snapshot stays current", before.snapshot, *snapshot);
    out.allowed("how long a timestamp stays current", before.timestamp, *timestamp);
}

/// Rules are ordered, and the first that matches decides. A rule is known again by what it matches; whatever happens to
/// one but that it asks for more is marked, since it may take changes away from a stricter one.
fn compare_rules(before: &[ReviewRule], after: &[ReviewRule], out: &mut Found) {
    let known = |rules: &[ReviewRule], rule: &ReviewRule| rules.iter().position(|other| matches_same(other, rule));
    for (index, rule) in before.iter().enumerate() {
        if known(after, rule).is_none() {
            out.weaker(format!("rule {} is gone: {}", index + 1, describe(rule)));
        }
    }
    for (index, rule) in after.iter().enumerate() {
        let Some(was) = known(before, rule).map(|at| &before[at]) else {
            let rest = after.last().filter(|last| !matches_same(last, rule));
            let weakens = rest.is_none_or(|rest| !asks_as_much(rule, rest));
            let what = format!("rule {} is new: {}", index + 1, describe(rule));
            out.0.push(Difference { what, weakens });
            continue;
        };
        if was.require != rule.require {
            let weakens = !asks_as_much(rule, was);
            let what = format!(
                "rule {} asks for {}, asked for {}: {}",
                index + 1,
                people(rule),
                people(was),
                selector(rule)
            );
            out.0.push(Difference { what, weakens });
        }
    }
    let kept = |rules: &[ReviewRule], others: &[ReviewRule]| -> Vec<String> {
        let kept = rules.iter().filter(|rule| known(others, rule).is_some());
        kept.map(selector).collect()
    };
    if kept(before, after) != kept(after, before) {
        out.weaker("the rules stand in another order, and the first that matches decides".to_owned());
    }
}

fn matches_same(a: &ReviewRule, b: &ReviewRule) -> bool {
    let ReviewRule {
        paths,
        class,
        finding_level,
        without_findings,
        require: _,
    } = a;
    let paths_of = |paths: &[String]| paths.iter().cloned().collect::<BTreeSet<_>>();
    paths_of(paths) == paths_of(&b.paths)
        && *class == b.class
        && *finding_level == b.finding_level
        && *without_findings == b.without_findings
}

/// Whether `rule` asks for at least as many people of each role that `other` asks for.
fn asks_as_much(rule: &ReviewRule, other: &ReviewRule) -> bool {
    let enough = |(role, count): (&RoleName, &u32)| rule.require.get(role).is_some_and(|asked| asked >= count);
    other.require.iter().all(enough)
}

fn people(rule: &ReviewRule) -> String {
    let each: Vec<_> = rule
        .require
        .iter()
        .map(|(role, count)| format!("{count} of {role}"))
        .collect();
    each.join(" and ")
}

fn selector(rule: &ReviewRule) -> String {
    let mut parts = Vec::new();
    if !rule.paths.is_empty() {
        parts.push(format!("below {}", rule.paths.join(", ")));
    }
    parts.extend(rule.class.map(|class| format!("of class {class}")));
    parts.extend(
        rule.finding_level
            .map(|level| format!("with a finding of level {level:?} or higher")),
    );
    if rule.without_findings {
        parts.push("without findings of level H or B".to_owned());
    }
    if parts.is_empty() {
        return "every other change".to_owned();
    }
    format!("changes {}", parts.join(", "))
}

/// A rule as a sentence.
pub fn describe(rule: &ReviewRule) -> String {
    format!("{} take {}", selector(rule), people(rule))
}
