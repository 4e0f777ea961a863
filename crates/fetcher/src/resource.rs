//! The files of a channel on the web, by what they are: a path below the base URL is made here and nowhere else.

use std::fmt;

use attestation::{ChannelName, Sha256Digest};
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
    /// `targets/<channel>/<sha256>.nixexprs.tar.xz`
    Nixexprs(ChannelName, Sha256Digest),
    /// `targets/<channel>/<sha256>.derivations-<system>.txt`: what a machine with a gate may build
    Derivations(ChannelName, Sha256Digest, String),
}

impl Resource {
    /// The name under which signed metadata speaks of the channel's tarball.
    pub fn nixexprs_target(channel: &ChannelName) -> String {
        format!("{channel}/nixexprs.tar.xz")
    }

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
            Self::Nixexprs(channel, sha256) => write!(f, "targets/{channel}/{sha256}.nixexprs.tar.xz"),
            Self::Derivations(channel, sha256, system) => {
                write!(f, "targets/{channel}/{sha256}.derivations-{system}.txt")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            url(Resource::Nixexprs(channel, digest)),
            format!("https://example.org/a%20b/targets/unstable/{digest}.nixexprs.tar.xz")
        );
    }
}
