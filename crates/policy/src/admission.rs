//! Whether an import may become a release: each changed unit against its rule, who approved it, what is
//! missing.
//!
//! The tree that a channel has left is admitted as a whole (it was a release, or its baseline is exempted), so
//! each unit starts from an admitted content. A changed unit is covered when a path of approved deltas leads
//! from there to its new content: A -> B and B -> C cover A -> C. A path goes through no content that somebody
//! rejected or that is violated.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use attestation::{
    Class, Content, Delta, PersonName, RoleName, StatementId, UnitPath,
    chain::ChannelPolicy,
    statement::{Claim, Exemption, Import, Review, Statement, Verdict},
    unit::{FindingLevel, PARTITION_VERSION},
};
use serde::Serialize;

use crate::{
    document::rule_for,
    root::role,
    seal::{Verified, Vouch},
    statements::{Court, has_a_role},
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
        /// Who approved this very delta so far.
        by: BTreeSet<PersonName>,
    },
    /// Somebody said that its new content must not be installed.
    Rejected {
        /// Who.
        by: BTreeSet<PersonName>,
        /// Their notes.
        notes: Vec<String>,
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
    /// Nobody of the channel's people made the import statement.
    #[error("nobody of role {role} has made this import's statement")]
    NoStatement {
        /// The channel's role.
        role: RoleName,
    },
}

/// A unit's content, or that there is none of it.
type Place<'a> = (&'a UnitPath, Option<Content>);
/// Somebody's reject, with a note perhaps.
type Reject<'a> = (&'a PersonName, Option<&'a str>);

/// What reviews and violations say, in the shape that judging asks for.
struct Opinions<'a> {
    approvals: BTreeMap<&'a Delta, BTreeSet<&'a PersonName>>,
    rejected: BTreeMap<Place<'a>, Vec<Reject<'a>>>,
    violated: BTreeMap<(&'a UnitPath, Content), &'a str>,
}

/// Judges every changed unit under the court's policy.
pub fn admit(court: &Court<'_>, changes: Vec<ChangedUnit>, statements: &[Verified<Statement>]) -> Admission {
    let opinions = Opinions::collect(court, statements);
    let units = changes
        .into_iter()
        .map(|changed| {
            let state = opinions.judge(court, &changed);
            JudgedUnit { changed, state }
        })
        .collect();
    Admission { units }
}

impl Admission {
    /// Every changed unit, in the order in which the changes came.
    pub fn units(&self) -> &[JudgedUnit] {
        &self.units
    }

    /// The units that are not covered.
    pub fn open(&self) -> impl Iterator<Item = &JudgedUnit> {
        self.units
            .iter()
            .filter(|unit| !matches!(unit.state, UnitState::Covered { .. }))
    }
}

/// Seals an import whose changes are all covered and whose statement somebody of the channel's role made.
pub fn verify_import(
    court: &Court<'_>,
    import: &Import,
    admission: &Admission,
    statements: &[Verified<Statement>],
) -> Result<Verified<Import>, AdmissionRefusal> {
    let channel = channel_of(court, import)?;
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
        if statement.get().chain == court.chain()
            && statement.get().claim == *claim
            && members.people.contains(author)
            && let Some(vouch) = statement.evidence().vouches.first()
        {
            by_person.entry(author).or_insert_with(|| vouch.clone());
        }
    }
    by_person.into_values().collect()
}

/// Ids of reviews that their own author took back.
fn superseded(statements: &[Verified<Statement>]) -> BTreeSet<(&PersonName, StatementId)> {
    let mut out = BTreeSet::new();
    for statement in statements {
        if let Claim::Review(review) = &statement.get().claim {
            out.extend(review.supersedes.iter().map(|id| (&statement.get().author, *id)));
        }
    }
    out
}

impl<'a> Opinions<'a> {
    fn collect(court: &Court<'_>, statements: &'a [Verified<Statement>]) -> Self {
        let lifted = superseded(statements);
        let mut opinions = Self {
            approvals: BTreeMap::new(),
            rejected: BTreeMap::new(),
            violated: BTreeMap::new(),
        };
        for statement in statements {
            let Statement { author, claim, .. } = statement.get();
            // Of another chain, by somebody who has the same name there.
            if statement.get().chain != court.chain() {
                continue;
            }
            // Somebody who was removed from every role says nothing any more.
            if !has_a_role(court.policy, author) {
                continue;
            }
            match claim {
                Claim::Review(review) if !lifted.contains(&(author, statement.get().id())) => {
                    opinions.add_review(author, review);
                }
                Claim::Violation(violation) => {
                    for bad in &violation.contents {
                        opinions.violated.insert((&bad.unit, bad.content), &violation.reason);
                    }
                }
                _ => {}
            }
        }
        opinions
    }

    fn add_review(&mut self, author: &'a PersonName, review: &'a Review) {
        for verdict in &review.verdicts {
            match verdict.verdict {
                Verdict::Approve => {
                    self.approvals.entry(&verdict.delta).or_default().insert(author);
                }
                Verdict::Reject => {
                    let place = (&verdict.delta.unit, verdict.delta.to);
                    self.rejected
                        .entry(place)
                        .or_default()
                        .push((author, verdict.note.as_deref()));
                }
            }
        }
    }

    fn judge(&self, court: &Court<'_>, changed: &ChangedUnit) -> UnitState {
        let Delta { unit, to, .. } = &changed.delta;
        if let Some(reason) = to.and_then(|content| self.violated.get(&(unit, content))) {
            return UnitState::Violated {
                reason: (*reason).to_owned(),
            };
        }
        if let Some(rejects) = self.rejected.get(&(unit, *to)) {
            return UnitState::Rejected {
                by: rejects.iter().map(|(author, _)| (*author).clone()).collect(),
                notes: rejects.iter().filter_map(|(_, note)| note.map(str::to_owned)).collect(),
            };
        }
        let rule = rule_for(court.policy, unit, changed.class, changed.highest_finding);
        // A policy without a rule for the rest is refused when it is read; should one be met all the same, the
        // strictest rule is that nothing passes.
        let require = rule.map(|rule| &rule.require);
        let path = require.and_then(|require| self.path(court, require, &changed.delta));
        match path {
            Some(by) => UnitState::Covered { by },
            None => self.lacking(court, require, &changed.delta),
        }
    }

    /// Who approved the deltas of a path from the delta's old content to its new one, each by as many people
    /// as are required.
    fn path(
        &self,
        court: &Court<'_>,
        require: &BTreeMap<RoleName, u32>,
        delta: &Delta,
    ) -> Option<BTreeSet<PersonName>> {
        let open = |place: Option<Content>| {
            !self.rejected.contains_key(&(&delta.unit, place))
                && place.is_none_or(|content| !self.violated.contains_key(&(&delta.unit, content)))
        };
        let edges: Vec<_> = self
            .approvals
            .iter()
            .filter(|(edge, by)| edge.unit == delta.unit && open(edge.to) && satisfies(court, require, by))
            .collect();
        let mut reached: BTreeMap<Option<Content>, BTreeSet<PersonName>> =
            BTreeMap::from([(delta.from, BTreeSet::new())]);
        let mut queue = VecDeque::from([delta.from]);
        while let Some(place) = queue.pop_front() {
            for (edge, by) in edges.iter().filter(|(edge, _)| edge.from == place) {
                if !reached.contains_key(&edge.to) {
                    let mut people = reached[&place].clone();
                    people.extend(by.iter().map(|person| (*person).clone()));
                    reached.insert(edge.to, people);
                    queue.push_back(edge.to);
                }
            }
        }
        reached.remove(&delta.to).filter(|_| delta.from != delta.to)
    }

    fn lacking(&self, court: &Court<'_>, require: Option<&BTreeMap<RoleName, u32>>, delta: &Delta) -> UnitState {
        let nobody = BTreeSet::new();
        let by = self.approvals.get(delta).unwrap_or(&nobody);
        let missing = require.into_iter().flatten().filter_map(|(role, need)| {
            let members = &court.policy.roles.get(role)?.people;
            let have = members.iter().filter(|member| by.contains(member)).count();
            let could = members.iter().filter(|member| !by.contains(member)).cloned().collect();
            (!is_met(have, *need)).then(|| Missing {
                role: role.clone(),
                have,
                need: *need,
                could,
            })
        });
        UnitState::Lacking {
            missing: missing.collect(),
            by: by.iter().map(|person| (*person).clone()).collect(),
        }
    }
}

fn satisfies(court: &Court<'_>, require: &BTreeMap<RoleName, u32>, by: &BTreeSet<&PersonName>) -> bool {
    !require.is_empty()
        && require.iter().all(|(role, need)| {
            court
                .policy
                .roles
                .get(role)
                .is_some_and(|role| is_met(role.people.iter().filter(|person| by.contains(person)).count(), *need))
        })
}
