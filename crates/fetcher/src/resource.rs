//! The files of a channel on the web, by what they are: a path below the base URL is made here and nowhere else.

use std::{fmt, str::FromStr};

use attestation::{ChannelName, Sha256Digest, patch::PatchList};
use install::BaseUrl;
use url::Url;

/// A file of a channel. Its `Display` is its path below the base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// `metadata/<version>.root.json`
    Root(u64),
    /// `metadata/timestamp.json`, the one file that changes under its name
    Timestamp,
    /// `metadata/<version>.snapshot.json`
    Snapshot(u64),
    /// `metadata/<version>.targets.json`
    Targets(u64),
    /// `metadata/<version>.<channel>.json`
    Channel(u64, ChannelName),
    /// `metadata/<version>.violations.json`: statements, which prove themselves
    Violations(u64),
    /// `metadata/keyring.pgp`: everybody's OpenPGP certificates, which prove themselves
    Keyring,
    /// `targets/<channel>/<sha256>.derivations-<system>.txt`: what a machine with a gate may build
    Derivations(ChannelName, Sha256Digest, String),
    /// `targets/<channel>/<sha256>.<file>`: a file that the channel's targets list
    Target(ChannelName, TargetName, Sha256Digest),
}

/// A file that a channel's targets list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetName {
    /// `nixexprs.tar.xz`: the channel.
    Nixexprs,
    /// `releases.json`: every release so far.
    Releases,
    /// `patch-<NAR SHA-256>.zst`: what leads here from an earlier release's tree.
    Patch(Sha256Digest),
    /// Any other, by its name below the channel's.
    Other(PlainName),
}

/// A name of one path component: letters, digits, `-`, `_`, `+` and `.`, not first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainName(String);

impl FromStr for PlainName {
    type Err = PlainNameError;

    fn from_str(text: &str) -> Result<Self, PlainNameError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'.');
        if text.is_empty() || text.len() > 200 || text.starts_with('.') || !text.bytes().all(plain) {
            return Err(PlainNameError { found: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

/// A name that would be more than the name of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the plain name of a file, found {found:?}")]
pub struct PlainNameError {
    /// The text that was read.
    pub found: String,
}

impl TargetName {
    /// The name of the file that signed metadata of `channel` calls `listed`.
    pub fn listed(listed: &str, channel: &ChannelName) -> Result<Self, PlainNameError> {
        let file = listed
            .strip_prefix(channel.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        let file = file.ok_or_else(|| PlainNameError {
            found: listed.to_owned(),
        })?;
        Ok(Self::Other(file.parse()?))
    }

    /// The name under which signed metadata speaks of the file.
    pub fn of(&self, channel: &ChannelName) -> String {
        format!("{channel}/{self}")
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nixexprs => f.write_str("nixexprs.tar.xz"),
            Self::Releases => f.write_str("releases.json"),
            Self::Patch(from) => f.write_str(&PatchList::file_name(*from)),
            Self::Other(PlainName(name)) => f.write_str(name),
        }
    }
}

impl Resource {
    /// Where it is below `base`.
    pub fn below(&self, base: &BaseUrl) -> Url {
        let mut url = base.url().clone();
        // Names hold letters, digits, `-`, `.` and no `..`, so there is nothing to escape and nowhere to climb to.
        url.set_path(&format!("{}{self}", url.path()));
        url
    }

    /// Whether the file may change under its name, or appear: a cache on the way must not answer for it.
    pub const fn is_volatile(&self) -> bool {
        matches!(self, Self::Root(_) | Self::Timestamp | Self::Keyring)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(version) => write!(f, "metadata/{version}.root.json"),
            Self::Timestamp => f.write_str("metadata/timestamp.json"),
            Self::Snapshot(version) => write!(f, "metadata/{version}.snapshot.json"),
            Self::Targets(version) => write!(f, "metadata/{version}.targets.json"),
            Self::Channel(version, channel) => write!(f, "metadata/{version}.{channel}.json"),
            Self::Violations(version) => write!(f, "metadata/{version}.violations.json"),
            Self::Keyring => f.write_str("metadata/keyring.pgp"),
            Self::Derivations(channel, sha256, system) => {
                write!(f, "targets/{channel}/{sha256}.derivations-{system}.txt")
            }
            Self::Target(channel, file, sha256) => write!(f, "targets/{channel}/{sha256}.{file}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_name_is_one_component_below_its_channel() {
        let channel: ChannelName = "unstable".parse().unwrap();
        let name = TargetName::listed("unstable/derivations-x86_64-linux.txt", &channel).unwrap();
        assert_eq!(name.of(&channel), "unstable/derivations-x86_64-linux.txt");
        for bad in [
            "unstable",
            "unstable/",
            "stable/releases.json",
            "unstable/../stable.json",
            "unstable/.htaccess",
            "unstable/a/b",
            "unstable/a b",
            "/unstable/a",
        ] {
            assert!(TargetName::listed(bad, &channel).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_those_of_tuf_consistent_snapshots() {
        let base: BaseUrl = "https://example.org/a%20b".parse().unwrap();
        let channel: ChannelName = "unstable".parse().unwrap();
        let url = |resource: Resource| resource.below(&base).to_string();
        assert_eq!(url(Resource::Root(2)), "https://example.org/a%20b/metadata/2.root.json");
        assert_eq!(
            url(Resource::Channel(7, channel.clone())),
            "https://example.org/a%20b/metadata/7.unstable.json"
        );
        let digest = Sha256Digest::of("x");
        assert_eq!(
            url(Resource::Target(channel, TargetName::Nixexprs, digest)),
            format!("https://example.org/a%20b/targets/unstable/{digest}.nixexprs.tar.xz")
        );
    }
}
