//! What reviews and violations say of a changed unit: a graph of contents, whose edges are approved changes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use attestation::{
    Content, Delta, PersonName, RoleName, StatementId, UnitPath,
    statement::{Claim, FromTree, Review, Statement, Verdict},
};

use super::{Bound, ChangedUnit, Missing, UnitState};
use crate::{
    document::rule_for,
    seal::Verified,
    statements::{Court, has_a_role},
    threshold::is_met,
};

/// A unit's content, or that there is none of it.
type Place<'a> = (&'a UnitPath, Option<Content>);

/// Somebody's reject.
struct Reject<'a> {
    author: &'a PersonName,
    note: Option<&'a str>,
    statement: StatementId,
    /// Whether its author has left every role, so that nobody can take it back alone.
    orphaned: bool,
}
type Approvals<'a> = BTreeMap<&'a Delta, BTreeSet<&'a PersonName>>;
type Require = BTreeMap<RoleName, u32>;

/// Whose review it is, and how it counts.
struct Said<'a> {
    author: &'a PersonName,
    id: StatementId,
    /// Judged now, and not at its position only.
    now: bool,
    orphaned: bool,
}

/// What reviews and violations say, in the shape that judging asks for.
pub(super) struct Opinions<'a> {
    /// Every approval, from wherever it was given.
    approvals: Approvals<'a>,
    /// Those that name the release from which the changes start.
    named: Approvals<'a>,
    rejected: BTreeMap<Place<'a>, Vec<Reject<'a>>>,
    /// Who took back a statement of somebody else.
    taken_back: BTreeMap<StatementId, BTreeSet<&'a PersonName>>,
    violated: BTreeMap<(&'a UnitPath, Content), &'a str>,
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
    /// Sorts out what counts of `statements` for changes that start from `from`.
    pub(super) fn collect(court: &Court<'_>, from: &FromTree, statements: &'a [Verified<Statement>]) -> Self {
        let lifted = superseded(statements);
        let mut opinions = Self {
            approvals: BTreeMap::new(),
            named: BTreeMap::new(),
            rejected: BTreeMap::new(),
            taken_back: BTreeMap::new(),
            violated: BTreeMap::new(),
        };
        for statement in statements {
            let Statement { author, claim, .. } = statement.get();
            // Of another chain, by somebody who has the same name there.
            if statement.get().chain != court.chain() {
                continue;
            }
            match claim {
                Claim::Review(review) => {
                    let id = statement.get().id();
                    if !lifted.contains(&(author, id)) {
                        let said = Said {
                            author,
                            id,
                            now: court.judged(statement),
                            orphaned: !has_a_role(court.policy, author),
                        };
                        opinions.add_review(&said, review, from);
                    }
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

    fn add_review(&mut self, said: &Said<'a>, review: &'a Review, from: &FromTree) {
        let named = review.from_tree.as_ref() == Some(from);
        for verdict in &review.verdicts {
            match verdict.verdict {
                // What adds is judged now.
                Verdict::Approve if !said.now => {}
                Verdict::Approve => {
                    self.approvals.entry(&verdict.delta).or_default().insert(said.author);
                    if named {
                        self.named.entry(&verdict.delta).or_default().insert(said.author);
                    }
                }
                Verdict::Reject => {
                    let place = (&verdict.delta.unit, verdict.delta.to);
                    self.rejected.entry(place).or_default().push(Reject {
                        author: said.author,
                        note: verdict.note.as_deref(),
                        statement: said.id,
                        orphaned: said.orphaned,
                    });
                }
            }
        }
        for id in review.supersedes.iter().filter(|_| said.now) {
            self.taken_back.entry(*id).or_default().insert(said.author);
        }
    }

    /// The rejects of a content that stand. That of somebody who has left every role stands until as many people as the
    /// change takes have each taken it back.
    fn standing<'s>(&'s self, court: &Court<'_>, require: Option<&Require>, place: &Place<'s>) -> Vec<&'s Reject<'s>> {
        let lifted = |reject: &&Reject<'_>| {
            let by = self.taken_back.get(&reject.statement);
            reject.orphaned
                && require
                    .zip(by)
                    .is_some_and(|(require, by)| satisfies(court, require, by))
        };
        let all = self.rejected.get(place).into_iter().flatten();
        all.filter(|reject| !lifted(reject)).collect()
    }

    pub(super) fn judge(&self, court: &Court<'_>, changed: &ChangedUnit) -> UnitState {
        let Delta { unit, to, .. } = &changed.delta;
        if let Some(reason) = to.and_then(|content| self.violated.get(&(unit, content))) {
            return UnitState::Violated {
                reason: (*reason).to_owned(),
            };
        }
        let rule = rule_for(court.policy, unit, changed.class, changed.highest_finding);
        // A policy without a rule for the rest is refused when it is read; should one be met all the same, the
        // strictest rule is that nothing passes.
        let require = rule.map(|rule| &rule.require);
        let rejects = self.standing(court, require, &(unit, *to));
        if !rejects.is_empty() {
            return UnitState::Rejected {
                by: rejects.iter().map(|reject| reject.author.clone()).collect(),
                notes: rejects
                    .iter()
                    .filter_map(|reject| reject.note.map(str::to_owned))
                    .collect(),
                left: rejects
                    .iter()
                    .filter(|reject| reject.orphaned)
                    .map(|reject| reject.statement)
                    .collect(),
            };
        }
        let bound = changed.bound();
        let covered = require.and_then(|require| match bound {
            None => self.path(court, require, &changed.delta),
            Some(_) => self.direct(court, require, &changed.delta),
        });
        match covered {
            Some(by) => UnitState::Covered { by },
            None => self.lacking(court, require, &changed.delta, bound),
        }
    }

    /// Who approved exactly this delta, from the release from which it starts, if they are enough.
    fn direct(&self, court: &Court<'_>, require: &Require, delta: &Delta) -> Option<BTreeSet<PersonName>> {
        let by = self.named.get(delta)?;
        (delta.from != delta.to && satisfies(court, require, by)).then(|| owned(by))
    }

    /// Who approved the deltas of a path from the delta's old content to its new one, each by as many people
    /// as are required.
    fn path(&self, court: &Court<'_>, require: &Require, delta: &Delta) -> Option<BTreeSet<PersonName>> {
        let open = |place: Option<Content>| {
            self.standing(court, Some(require), &(&delta.unit, place)).is_empty()
                && place.is_none_or(|content| !self.violated.contains_key(&(&delta.unit, content)))
        };
        // Deltas are sorted by unit first.
        let first = Delta {
            unit: delta.unit.clone(),
            from: None,
            to: None,
        };
        let edges: Vec<_> = self
            .approvals
            .range::<&Delta, _>(&first..)
            .take_while(|(edge, _)| edge.unit == delta.unit)
            .filter(|(edge, by)| open(edge.to) && satisfies(court, require, by))
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

    fn lacking(&self, court: &Court<'_>, require: Option<&Require>, delta: &Delta, bound: Option<Bound>) -> UnitState {
        let nobody = BTreeSet::new();
        let anywhere = self.approvals.get(delta).unwrap_or(&nobody);
        let by = match bound {
            None => anywhere,
            Some(_) => self.named.get(delta).unwrap_or(&nobody),
        };
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
            by: owned(by),
            bound,
            elsewhere: anywhere.difference(by).map(|person| (*person).clone()).collect(),
        }
    }
}

fn owned(people: &BTreeSet<&PersonName>) -> BTreeSet<PersonName> {
    people.iter().map(|person| (*person).clone()).collect()
}

fn satisfies(court: &Court<'_>, require: &Require, by: &BTreeSet<&PersonName>) -> bool {
    !require.is_empty()
        && require.iter().all(|(role, need)| {
            court
                .policy
                .roles
                .get(role)
                .is_some_and(|role| is_met(role.people.iter().filter(|person| by.contains(person)).count(), *need))
        })
}
