//! What people found to be bad after it was released. One person with a role is enough, and can only subtract.
//!
//! A violation reaches subscribers as its author's own statement, in a file beside TUF's (`violations.json`): a list of
//! envelopes that only grows, so nobody has to sign the list, nobody can leave out what another said, and nothing has
//! to be signed again when somebody leaves. The snapshot lists it by version (how many there are), length and digest, so
//! that a mirror cannot withhold what was once shown. An envelope that does not count spoils none beside it.

use std::collections::BTreeMap;

use attestation::{
    PersonName, Sha256Digest, StatementId,
    chain::Release,
    dsse::{self, Envelope},
    statement::{Claim, Statement},
    tuf::MetaFile,
};
use serde::Serialize;

use super::{TrustError, TrustedSet, judge::Standing, read::expect_listed};
use crate::{
    seal::Verified,
    statements::{StatementRefusal, has_a_role},
};

/// What a snapshot calls it.
pub(super) const FILE: &str = "violations.json";
const NAME: &str = "violations";

/// What somebody said of a released tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violated {
    /// Who.
    pub by: PersonName,
    /// Why.
    pub reason: String,
    /// Their statement.
    pub statement: StatementId,
}

/// Violations that are known, from this snapshot and from before.
#[derive(Clone, Default)]
pub(super) struct Violations {
    counted: BTreeMap<StatementId, Verified<Statement>>,
    /// Whether those that the snapshot lists are among them.
    complete: bool,
}

impl Violations {
    pub(super) fn forget_listed(&mut self) {
        self.complete = false;
    }
}

impl TrustedSet {
    /// Length, version and digest of the list of violations; `None` where nobody ever said one.
    pub fn violations_listing(&self) -> Result<Option<&MetaFile>, TrustError> {
        let snapshot = self.snapshot.as_ref().ok_or(TrustError::Order("a snapshot"))?;
        Ok(snapshot.claims.meta.get(FILE))
    }

    /// The list of violations that the snapshot lists. What of it does not count, and why, comes back.
    pub fn update_violations(&mut self, bytes: &[u8]) -> Result<Vec<StatementRefusal>, TrustError> {
        self.final_snapshot()?;
        let listing = self.listed_violations()?;
        expect_listed(NAME, bytes, listing)?;
        let expected = listing.version;
        let envelopes = read(bytes)?;
        let found = envelopes.len() as u64;
        if found != expected {
            let role = NAME.to_owned();
            return Err(TrustError::Version { role, found, expected });
        }
        self.count_listed(envelopes)
    }

    /// As [`Self::update_violations`], of a list that was accepted before: the snapshot that lists it may have expired, and
    /// need not be the one that the timestamp lists. A longer list than the listed one will do: it is kept before the
    /// snapshot that lists it, so that a run which is cut off between the two knows more, and not less. A list only grows.
    pub fn load_violations(&mut self, bytes: &[u8]) -> Result<Vec<StatementRefusal>, TrustError> {
        let listing = self.listed_violations()?;
        let envelopes = read(bytes)?;
        if envelopes.len() as u64 <= listing.version {
            expect_listed(NAME, bytes, listing)?;
        }
        self.count_listed(envelopes)
    }

    fn listed_violations(&self) -> Result<&MetaFile, TrustError> {
        self.violations_listing()?.ok_or(TrustError::NotListed {
            listing: "snapshot",
            name: NAME.to_owned(),
        })
    }

    fn count_listed(&mut self, envelopes: Vec<Envelope>) -> Result<Vec<StatementRefusal>, TrustError> {
        let refused = self.count(envelopes)?;
        self.violations.complete = true;
        Ok(refused)
    }

    /// A list of violations that was met before: what it says stays said, whatever a snapshot lists by now.
    pub fn remember_violations(&mut self, bytes: &[u8]) -> Result<Vec<StatementRefusal>, TrustError> {
        self.count(read(bytes)?)
    }

    /// What people said of a release, by the tree that it brings.
    pub fn violated(&self, tree_nar: Sha256Digest) -> Vec<Violated> {
        let counted = self.violations.counted.iter();
        let said = counted.filter_map(|(id, statement)| match &statement.get().claim {
            Claim::Violation(violation) if violation.trees.iter().any(|tree| tree.0 == tree_nar) => Some(Violated {
                by: statement.get().author.clone(),
                reason: violation.reason.clone(),
                statement: *id,
            }),
            _ => None,
        });
        said.collect()
    }

    /// Every violation that counts.
    pub fn violations(&self) -> impl Iterator<Item = &Verified<Statement>> {
        self.violations.counted.values()
    }

    pub(super) fn refuse_violated(&self, release: &Release) -> Result<(), TrustError> {
        if self.violations_listing()?.is_some() && !self.violations.complete {
            return Err(TrustError::Order("the list of violations"));
        }
        let by = self.violated(release.tree_nar);
        if by.is_empty() {
            return Ok(());
        }
        Err(TrustError::Violated {
            channel: release.channel.clone(),
            sequence: release.sequence,
            by,
        })
    }

    /// Each is judged at its own date: whoever has a role and a key that was good may subtract, also after the key is
    /// over. (A found key of somebody with a role can withhold releases, until a root takes the person out.)
    fn count(&mut self, envelopes: Vec<Envelope>) -> Result<Vec<StatementRefusal>, TrustError> {
        let mut refused = Vec::new();
        for envelope in envelopes {
            let court = self.court()?;
            match court.verify_standing(&envelope, Standing::Then) {
                Ok(statement) if !has_a_role(court.policy(), &statement.get().author) => {
                    refused.push(StatementRefusal::NoRole(statement.get().author.clone()));
                }
                Ok(statement) if matches!(statement.get().claim, Claim::Violation(_)) => {
                    self.violations.counted.insert(statement.get().id(), statement);
                }
                Ok(_) => refused.push(StatementRefusal::NoViolation),
                Err(refusal) => refused.push(refusal),
            }
        }
        Ok(refused)
    }
}

/// Envelopes in the order of their digests, each once.
fn read(bytes: &[u8]) -> Result<Vec<Envelope>, TrustError> {
    let rule = |rule: String| TrustError::Rule {
        role: NAME.to_owned(),
        rule,
    };
    let envelopes = dsse::bundle_from_exact(bytes).map_err(|error| rule(error.to_string()))?;
    let digests: Vec<_> = envelopes
        .iter()
        .map(|envelope| Sha256Digest::of(envelope.to_bytes()))
        .collect();
    if digests.is_sorted_by(|a, b| a < b) {
        Ok(envelopes)
    } else {
        Err(rule(
            "not in the order of the envelopes' digests, or one stands twice".to_owned(),
        ))
    }
}

/// The list of these envelopes and of those in `before`: what a publisher writes, and its version.
pub fn violations_file(
    before: Option<&[u8]>,
    envelopes: impl IntoIterator<Item = Envelope>,
) -> Result<(u64, Vec<u8>), TrustError> {
    let before = before.map(read).transpose()?.unwrap_or_default();
    let all: BTreeMap<_, _> = before
        .into_iter()
        .chain(envelopes)
        .map(|envelope| (Sha256Digest::of(envelope.to_bytes()), envelope))
        .collect();
    let all: Vec<_> = all.into_values().collect();
    Ok((all.len() as u64, dsse::bundle_to_bytes(&all)))
}
