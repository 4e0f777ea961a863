//! What the ledger has, as `assay log --format json` tells it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What `assay log` prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Log {
    pub(super) root_version: Option<u64>,
    pub(super) channels: BTreeMap<String, Last>,
    pub(super) claims: Vec<Claim>,
    proposals: Vec<Proposal>,
}

/// A channel's last release.
#[derive(Debug, Deserialize)]
pub(super) struct Last {
    pub(super) sequence: u64,
    pub(super) commit: String,
}

/// What people are to state, and who did.
#[derive(Debug, Deserialize)]
pub(super) struct Claim {
    pub(super) kind: String,
    pub(super) channel: String,
    pub(super) commit: String,
    pub(super) by: Vec<String>,
}

/// Metadata that is proposed.
#[derive(Debug, Deserialize)]
pub(super) struct Proposal {
    role: String,
    version: u64,
    state: String,
    signed: Vec<String>,
}

impl Log {
    /// Whether the newest pending proposals of all roles have a person's signature, and there are any.
    pub(super) fn is_signed_by(&self, person: &str) -> bool {
        let mut newest: BTreeMap<&str, &Proposal> = BTreeMap::new();
        for proposal in self.proposals.iter().filter(|proposal| proposal.state != "past") {
            let known = newest.entry(&proposal.role).or_insert(proposal);
            if known.version <= proposal.version {
                *known = proposal;
            }
        }
        let mut pending = newest.values().peekable();
        pending.peek().is_some() && pending.all(|proposal| proposal.signed.iter().any(|name| name == person))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_pending_proposal_of_each_role_counts() {
        let log: Log = serde_json::from_str(
            r#"{"root-version": 1, "channels": {}, "claims": [], "proposals": [
                {"role": "targets", "version": 1, "state": "past", "signed": ["alice", "bob"]},
                {"role": "unstable", "version": 2, "state": "waits", "signed": ["bob"]},
                {"role": "unstable", "version": 3, "state": "waits", "signed": ["alice", "carol"]},
                {"role": "targets", "version": 2, "state": "waits", "signed": ["alice"]}]}"#,
        )
        .expect("a log");
        assert!(log.is_signed_by("alice"));
        assert!(!log.is_signed_by("bob"), "only what is past or replaced");
        assert!(!log.is_signed_by("carol"), "not the targets");
    }

    #[test]
    fn nothing_pending_is_not_signed() {
        let log = r#"{"root-version": null, "channels": {}, "claims": [], "proposals": []}"#;
        let log: Log = serde_json::from_str(log).expect("a log");
        assert!(!log.is_signed_by("alice"));
    }
}
