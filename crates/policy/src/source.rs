//! `policy.toml`: the policy as people edit it. It compiles to the document that a root carries.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use attestation::{
    AttestationRoot, ChainId, ChannelName, Class, Fingerprint, PersonName, RoleName, Seconds, Sha256Digest, Time,
    chain::{
        ChannelPolicy, Freshness, Hardware, Lacking, PeopleRole, Person, PolicyDocument, ReleaseRole, RepositoryPolicy,
        ReviewRule,
    },
    unit::FindingLevel,
};
use serde::Deserialize;

use crate::document::FORMAT;

/// Why `policy.toml` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not the TOML it should be; the message points to the line.
    #[error("policy.toml cannot be read\n{0}")]
    Toml(#[from] toml::de::Error),
    /// A value of a wrong form.
    #[error("policy.toml: {place}: {reason}")]
    Value {
        /// Which entry.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Source {
    online_key: String,
    #[serde(default)]
    attestation_roots: BTreeSet<AttestationRoot>,
    people: BTreeMap<PersonName, SourcePerson>,
    roles: BTreeMap<RoleName, PeopleRole>,
    #[serde(default)]
    channels: BTreeMap<ChannelName, SourceChannel>,
    repository: Option<RepositoryPolicy>,
    web_of_trust: Option<ReleaseRole>,
    #[serde(default)]
    rules: Vec<SourceRule>,
    #[serde(default)]
    freshness: SourceFreshness,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SourcePerson {
    certificate: String,
    keys: Vec<Fingerprint>,
    not_after: String,
    #[serde(default = "no_hardware")]
    hardware: Hardware,
}

fn no_hardware() -> Hardware {
    Hardware::None
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SourceChannel {
    upstream: String,
    branch: String,
    release: ReleaseRole,
    max_lag: String,
    expires: String,
    lacking: Lacking,
    binary_cache_url: Option<String>,
    #[serde(default)]
    patches: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SourceRule {
    #[serde(default)]
    paths: Vec<String>,
    class: Option<Class>,
    finding_level: Option<FindingLevel>,
    #[serde(default)]
    without_findings: bool,
    require: BTreeMap<RoleName, u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SourceFreshness {
    root: String,
    targets: String,
    snapshot: String,
    timestamp: String,
}

impl Default for SourceFreshness {
    fn default() -> Self {
        Self {
            root: "365 days".to_owned(),
            targets: "365 days".to_owned(),
            snapshot: "30 days".to_owned(),
            timestamp: "2 days".to_owned(),
        }
    }
}

fn value<T: FromStr<Err: ToString>>(place: impl Into<String>, text: &str) -> Result<T, SourceError> {
    text.parse().map_err(|error: T::Err| SourceError::Value {
        place: place.into(),
        reason: error.to_string(),
    })
}

/// Reads `policy.toml`. `chain` is the chain that the next root continues; `None` for a first root. Whether the
/// policy is a good one is [`crate::document::check`]'s to say.
pub fn read(text: &str, chain: Option<ChainId>) -> Result<PolicyDocument, SourceError> {
    let source: Source = toml::from_str(text)?;
    let mut people = BTreeMap::new();
    for (name, person) in source.people {
        let place = |member| format!("people.{name}.{member}");
        let entry = Person {
            certificate: value::<Sha256Digest>(place("certificate"), &person.certificate)?,
            keys: person.keys,
            not_after: not_after(&place("not-after"), &person.not_after)?,
            hardware: person.hardware,
        };
        people.insert(name, entry);
    }
    let mut channels = BTreeMap::new();
    for (name, channel) in source.channels {
        let entry = ChannelPolicy {
            max_lag: value(format!("channels.{name}.max-lag"), &channel.max_lag)?,
            expires: value(format!("channels.{name}.expires"), &channel.expires)?,
            upstream: channel.upstream,
            branch: channel.branch,
            release: channel.release,
            lacking: channel.lacking,
            binary_cache_url: channel.binary_cache_url,
            patches: channel.patches,
        };
        channels.insert(name, entry);
    }
    let freshness = Freshness {
        root: value::<Seconds>("freshness.root", &source.freshness.root)?,
        targets: value::<Seconds>("freshness.targets", &source.freshness.targets)?,
        snapshot: value::<Seconds>("freshness.snapshot", &source.freshness.snapshot)?,
        timestamp: value::<Seconds>("freshness.timestamp", &source.freshness.timestamp)?,
    };
    let rules = source.rules.into_iter().map(|rule| ReviewRule {
        paths: rule.paths,
        class: rule.class,
        finding_level: rule.finding_level,
        without_findings: rule.without_findings,
        require: rule.require,
    });
    Ok(PolicyDocument {
        format: FORMAT,
        chain,
        people,
        roles: source.roles,
        channels,
        repository: source.repository,
        rules: rules.collect(),
        freshness,
        online_key: source.online_key,
        web_of_trust: source.web_of_trust,
        attestation_roots: source.attestation_roots,
    })
}

/// A day, `2028-01-01`, is its first second.
fn not_after(place: &str, text: &str) -> Result<Time, SourceError> {
    let full = if text.contains('T') {
        text.to_owned()
    } else {
        format!("{text}T00:00:00Z")
    };
    value(place, &full)
}
