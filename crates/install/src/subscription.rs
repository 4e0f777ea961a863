//! What a machine follows: where from, which chain, which channel, and how old is too old.
//!
//! All of it is said by the machine's owner. There is no trust on first use: the chain is the digest of its first
//! root, and the floor is what the owner knows to exist already.

use std::{fmt, str::FromStr};

use attestation::{ChainId, ChannelName};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A subscription, as kept in `subscription.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The chain: SHA-256 of its `1.root.json`.
    pub chain: ChainId,
    /// The channel of that chain.
    pub channel: ChannelName,
    /// Where to fetch from, the preferred mirror first. Never empty.
    pub urls: Vec<BaseUrl>,
    /// What must not be undercut.
    pub floor: Floor,
    /// Hosts to which a mirror may redirect. None by default: a mirror is what its owner named.
    #[serde(default)]
    pub redirects: Vec<HostName>,
}

/// The name or address of a host, in its one spelling: lower case, no port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// Why a text is not the name of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a host such as cdn.example.org, without scheme, port or path, found {found:?}")]
pub struct HostNameError {
    /// The text that was read.
    pub found: String,
}

/// The oldest state of the channel that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// The lowest version of the root.
    pub root: u64,
    /// The lowest sequence of the release.
    pub release: u64,
}

/// The address below which a channel's files lie: `https://`, `http://` or `file://`, with a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(Url);

/// Why a text is not a base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// Not an absolute URL.
    #[error("expected a URL, found {found:?}")]
    NotUrl {
        /// The text that was read.
        found: String,
    },
    /// Another scheme.
    #[error("expected an https, http or file URL, found scheme {found:?}")]
    Scheme {
        /// The scheme that was read.
        found: String,
    },
    /// A part that a base cannot have. A password would end up in logs; a query or fragment cannot be appended to.
    #[error("expected a URL without {part}")]
    Part {
        /// The part that is there.
        part: &'static str,
    },
}

impl HostName {
    /// The host as URLs have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let host = Host::parse(text).ok().map(|host| host.to_string());
        match host {
            // As URLs have it, which take more than names of hosts.
            Some(host) if host == text && host.bytes().all(in_host) => Ok(Self(host)),
            _ => Err(HostNameError { found: text.to_owned() }),
        }
    }
}

const fn in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(text: String) -> Result<Self, HostNameError> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(host: HostName) -> Self {
        host.0
    }
}

impl BaseUrl {
    /// The URL; its path ends with a slash.
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let mut url = Url::parse(text).map_err(|_| BaseUrlError::NotUrl { found: text.to_owned() })?;
        if !matches!(url.scheme(), "https" | "http" | "file") {
            return Err(BaseUrlError::Scheme {
                found: url.scheme().to_owned(),
            });
        }
        for (present, part) in [
            (
                !url.username().is_empty() || url.password().is_some(),
                "a user or a password",
            ),
            (url.query().is_some(), "a query"),
            (url.fragment().is_some(), "a fragment"),
            (
                url.scheme() == "file" && url.host().is_some(),
                "a host (a file URL has three slashes)",
            ),
        ] {
            if present {
                return Err(BaseUrlError::Part { part });
            }
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self(url))
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = BaseUrlError;

    fn try_from(text: String) -> Result<Self, BaseUrlError> {
        text.parse()
    }
}

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_urls_that_cannot_be_a_base() {
        for bad in [
            "example.org/channel",
            "ftp://example.org/",
            "https://alice:secret@example.org/",
            "https://example.org/?token=1",
            "https://example.org/#top",
            "file://host/channel",
            "",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn refuses_hosts_that_are_more_or_less_than_a_host() {
        for bad in [
            "",
            "CDN.example.org",
            "cdn.example.org:443",
            "https://cdn.example.org",
            "a/b",
            "*",
            "a b",
            "u@h",
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad} was accepted");
        }
        for good in ["cdn.example.org", "127.0.0.1", "[::1]"] {
            assert_eq!(good.parse::<HostName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_base_ends_with_a_slash() {
        for good in ["https://example.org/touchstone", "https://example.org/touchstone/"] {
            assert_eq!(
                good.parse::<BaseUrl>().unwrap().to_string(),
                "https://example.org/touchstone/"
            );
        }
        assert_eq!(
            "file:///srv/x".parse::<BaseUrl>().unwrap().to_string(),
            "file:///srv/x/"
        );
    }
}
