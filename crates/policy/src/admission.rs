//! Whether an import may become a release: each changed unit against its rule, who approved it, what is
//! missing.
//!
//! The tree that a channel has left is admitted as a whole (it was a release, or its baseline is exempted), so
//! each unit starts from an admitted content. A changed unit is covered when a path of approved deltas leads
//! from there to its new content: A -> B and B -> C cover A -> C. A path goes through no content that somebody
//! rejected or that is violated.
//!
//! What adds is judged now, what subtracts at its position ([`crate::statements::Positions`]).
//!
//! An approval is about two contents, wherever they stand, and it does not grow old. That is wrong for three kinds of
//! change ([`Bound`]): there it takes approvals of this very change that name the release from which it starts.

mod coverage;

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    Class, Delta, GitOid, PersonName, RoleName, StatementId, UnitPath,
    chain::{ChannelPolicy, Release},
    statement::{Claim, Exemption, FromTree, Import, Statement},
    unit::{FindingLevel, PARTITION_VERSION},
};
use serde::Serialize;

use self::coverage::Opinions;
use crate::{
    document::matches_unit,
    root::role,
    seal::{Verified, Vouch},
    statements::Court,
    threshold::is_met,
};

/// A changed unit, as it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedUnit {
    /// From which content to which.
    pub delta: Delta,
    /// What kind of change it is.
    pub class: Class,
    /// The highest level among its findings, if there is any.
    pub highest_finding: Option<FindingLevel>,
    /// Whether its version goes down.
    pub version_down: bool,
    /// The newest release of the channel that had its new content, if the channel had it and left it.
    pub left: Option<u64>,
}

impl ChangedUnit {
    /// Why an approval must name the release from which the change starts, if it must.
    pub const fn bound(&self) -> Option<Bound> {
        match (self.left, self.class) {
            (Some(release), _) => Some(Bound::Returns { release }),
            (None, _) if self.version_down => Some(Bound::VersionDown),
            (None, Class::Sensitive) => Some(Bound::Sensitive),
            _ => None,
        }
    }
}

/// Why old approvals, and approvals of the steps of a way, are not enough for a change: it takes approvals of this very
/// change by people who looked at it from the release that the import continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Bound {
    /// The channel had this content and left it. Who approved it then did not know why it would be left.
    Returns {
        /// The newest release that had it.
        release: u64,
    },
    /// It brings old vulnerabilities back.
    VersionDown,
    /// What it does depends on all that is built with it.
    Sensitive,
}

/// What becomes of a changed unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum UnitState {
    /// Enough people approved a way to it.
    Covered {
        /// Who approved deltas on the way.
        by: BTreeSet<PersonName>,
    },
    /// More people must approve.
    Lacking {
        /// What is missing, by role.
        missing: Vec<Missing>,
        /// Whose approvals of this very delta count so far.
        by: BTreeSet<PersonName>,
        /// Why approvals must name the release from which the change starts, if they must.
        #[serde(rename = "from-tree", skip_serializing_if = "Option::is_none")]
        bound: Option<Bound>,
        /// Who approved this very delta from elsewhere, which does not count where it must be named.
        #[serde(skip_serializing_if = "BTreeSet::is_empty")]
        elsewhere: BTreeSet<PersonName>,
    },
    /// Somebody said that its new content must not be installed.
    Rejected {
        /// Who.
        by: BTreeSet<PersonName>,
        /// Their notes.
        notes: Vec<String>,
        /// The statements of those who have left every role since. As many people as the change takes lift one of
        /// these, by taking it back each.
        #[serde(skip_serializing_if = "BTreeSet::is_empty")]
        left: BTreeSet<StatementId>,
    },
    /// Its new content is known to be bad.
    Violated {
        /// Why.
        reason: String,
    },
}

/// How many of which role are missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The role.
    pub role: RoleName,
    /// How many of it approved.
    pub have: usize,
    /// How many it takes.
    pub need: u32,
    /// Who of it could still approve.
    pub could: BTreeSet<PersonName>,
}

/// A changed unit and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedUnit {
    /// The unit.
    pub changed: ChangedUnit,
    /// What becomes of it.
    pub state: UnitState,
}

/// Every changed unit of an import, judged. Only [`admit`] makes one, and nothing changes it: [`verify_import`]
/// believes what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    from: FromTree,
    from_commit: GitOid,
    units: Vec<JudgedUnit>,
}

/// Why an import is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionRefusal {
    /// Units that nobody, or too few, approved, or that somebody rejected.
    #[error("{open} of {total} changed units are not covered by reviews, among them {first}")]
    Open {
        /// How many are not covered.
        open: usize,
        /// How many changed.
        total: usize,
        /// One of them.
        first: UnitPath,
    },
    /// The changes are not those that the import names.
    #[error("the import names other changes than those that were judged")]
    OtherDeltas,
    /// The changes were judged as what follows another release.
    #[error("the import starts from {found}, the changes were judged from {expected}")]
    OtherStart {
        /// From where the changes were judged.
        expected: String,
        /// From where the import starts.
        found: String,
    },
    /// The import is of something else than the policy's channel.
    #[error("the import's {member} is {found:?}, the policy's is {expected:?}")]
    NotThePolicys {
        /// Which member.
        member: &'static str,
        /// What the policy says; empty where it says nothing.
        expected: String,
        /// What the import says.
        found: String,
    },
    /// The channel differs from upstream where the policy does not let it.
    #[error("the channel's patches change {unit}; {}", permitted(.allowed))]
    NotPatchable {
        /// A unit that differs from upstream.
        unit: UnitPath,
        /// The patterns of the units that may.
        allowed: Vec<String>,
    },
    /// Patches that the import does not name, or names in vain.
    #[error("the import {}, and its tree differs from upstream's in {found} units", if *.stated { "names patches" } else { "names no patches" })]
    PatchesUnstated {
        /// Whether it names patches.
        stated: bool,
        /// In how many units the tree differs from upstream's.
        found: usize,
    },
    /// Nobody of the channel's people made the import statement.
    #[error("nobody of role {role} has made this import's statement")]
    NoStatement {
        /// The channel's role.
        role: RoleName,
    },
}

fn permitted(allowed: &[String]) -> String {
    if allowed.is_empty() {
        "the policy lets this channel carry no patches".to_owned()
    } else {
        format!("the policy lets it patch {}", allowed.join(", "))
    }
}

/// Whether a channel may differ from upstream in these units, changed by this import or before.
pub fn patchable<'a>(
    channel: &ChannelPolicy,
    units: impl IntoIterator<Item = &'a UnitPath>,
) -> Result<(), AdmissionRefusal> {
    match units.into_iter().find(|unit| !matches_unit(&channel.patches, unit)) {
        None => Ok(()),
        Some(unit) => Err(AdmissionRefusal::NotPatchable {
            unit: unit.clone(),
            allowed: channel.patches.clone(),
        }),
    }
}

/// Judges every changed unit under the court's policy, as what follows the release `last` of its channel.
pub fn admit(
    court: &Court<'_>,
    last: &Release,
    changes: Vec<ChangedUnit>,
    statements: &[Verified<Statement>],
) -> Admission {
    let from = FromTree::of(last);
    let opinions = Opinions::collect(court, &from, statements);
    let units = changes
        .into_iter()
        .map(|changed| {
            let state = opinions.judge(court, &changed);
            JudgedUnit { changed, state }
        })
        .collect();
    Admission {
        from,
        from_commit: last.commit.clone(),
        units,
    }
}

impl Admission {
    /// Every changed unit, in the order in which the changes came.
    pub fn units(&self) -> &[JudgedUnit] {
        &self.units
    }

    /// The release from which the changes start.
    pub const fn from_tree(&self) -> &FromTree {
        &self.from
    }

    /// Whether an import starts where these changes do.
    fn starts(&self, import: &Import) -> Result<(), AdmissionRefusal> {
        if import.channel == self.from.channel && import.from == self.from_commit {
            return Ok(());
        }
        Err(AdmissionRefusal::OtherStart {
            expected: format!("{} ({})", self.from_commit, self.from),
            found: format!("{} in {}", import.from, import.channel),
        })
    }

    /// The units that are not covered.
    pub fn open(&self) -> impl Iterator<Item = &JudgedUnit> {
        self.units
            .iter()
            .filter(|unit| !matches!(unit.state, UnitState::Covered { .. }))
    }
}

/// Seals an import whose changes are all covered and whose statement somebody of the channel's role made. `patched` are
/// the units in which its tree differs from upstream's: what the channel's patches change, also where an earlier import
/// brought it.
pub fn verify_import(
    court: &Court<'_>,
    import: &Import,
    patched: &BTreeSet<UnitPath>,
    admission: &Admission,
    statements: &[Verified<Statement>],
) -> Result<Verified<Import>, AdmissionRefusal> {
    let channel = channel_of(court, import)?;
    admission.starts(import)?;
    if import.patched.is_none() != patched.is_empty() {
        return Err(AdmissionRefusal::PatchesUnstated {
            stated: import.patched.is_some(),
            found: patched.len(),
        });
    }
    patchable(channel, patched)?;
    let deltas: Vec<Delta> = admission.units.iter().map(|unit| unit.changed.delta.clone()).collect();
    if Delta::list_digest(&deltas) != import.deltas || deltas.len() as u64 != import.delta_count {
        return Err(AdmissionRefusal::OtherDeltas);
    }
    if let Some(first) = admission.open().next() {
        let (open, total) = (admission.open().count(), admission.units.len());
        return Err(AdmissionRefusal::Open {
            open,
            total,
            first: first.changed.delta.unit.clone(),
        });
    }
    let role_name = channel.release.role.clone();
    let vouches = vouches_of_claim(court, &Claim::Import(import.clone()), &role_name, statements);
    if vouches.is_empty() {
        return Err(AdmissionRefusal::NoStatement { role: role_name });
    }
    Ok(Verified::new(import.clone(), court.evidence(role_name, 1, vouches)))
}

/// The policy's entry for the import's channel, if everything that the import says of it is what the policy says.
fn channel_of<'a>(court: &Court<'a>, import: &Import) -> Result<&'a ChannelPolicy, AdmissionRefusal> {
    let same = |member, found: &str, expected: &str| {
        if found == expected {
            Ok(())
        } else {
            Err(AdmissionRefusal::NotThePolicys {
                member,
                expected: expected.to_owned(),
                found: found.to_owned(),
            })
        }
    };
    let Some(channel) = court.policy.channels.get(&import.channel) else {
        return Err(AdmissionRefusal::NotThePolicys {
            member: "channel",
            expected: String::new(),
            found: import.channel.to_string(),
        });
    };
    same("upstream", &import.upstream, &channel.upstream)?;
    same("branch", &import.branch, &channel.branch)?;
    same(
        "partition",
        &import.partition.to_string(),
        &PARTITION_VERSION.to_string(),
    )?;
    Ok(channel)
}

/// The exemptions that root's threshold of people made, for channels of the policy, that still exempt something:
/// each sealed.
pub fn exemptions(court: &Court<'_>, statements: &[Verified<Statement>]) -> Vec<Verified<Exemption>> {
    let root = role("root");
    let needed = court
        .policy
        .roles
        .get(&root)
        .and_then(|root| root.threshold)
        .unwrap_or(0);
    let mut distinct: BTreeMap<_, &Exemption> = BTreeMap::new();
    for statement in statements {
        if let Claim::Exemption(exemption) = &statement.get().claim
            && exemption.until > court.now
            && court.policy.channels.contains_key(&exemption.channel)
        {
            distinct.insert(statement.get().claim.digest(), exemption);
        }
    }
    let mut out = Vec::new();
    for exemption in distinct.into_values() {
        let vouches = vouches_of_claim(court, &Claim::Exemption(exemption.clone()), &root, statements);
        if is_met(vouches.len(), needed) {
            out.push(Verified::new(
                exemption.clone(),
                court.evidence(root.clone(), needed, vouches),
            ));
        }
    }
    out
}

/// One vouch for each distinct person of `role` who made exactly this claim.
pub fn vouches_of_claim(
    court: &Court<'_>,
    claim: &Claim,
    role: &RoleName,
    statements: &[Verified<Statement>],
) -> Vec<Vouch> {
    let Some(members) = court.policy.roles.get(role) else {
        return Vec::new();
    };
    let mut by_person: BTreeMap<&PersonName, Vouch> = BTreeMap::new();
    for statement in statements {
        let author = &statement.get().author;
        if court.judged(statement)
            && statement.get().claim == *claim
            && members.people.contains(author)
            && let Some(vouch) = statement.evidence().vouches.first()
        {
            by_person.entry(author).or_insert_with(|| vouch.clone());
        }
    }
    by_person.into_values().collect()
}
