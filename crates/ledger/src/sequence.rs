//! Whether somebody's statements are all there.
//!
//! Each statement names its place in its author's sequence and the one before it, so that a statement which
//! is withheld shows as a gap, and a second one in the same place as a fork.
//!
//! Give this only statements whose signatures are good: anybody who may push can file one in another's name.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use attestation::{PersonName, StatementId, statement::Statement};

/// A person's sequence, as far as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// The place of the author's next statement: one after the highest that is known.
    pub next: Next,
    /// What is wrong, by place.
    pub problems: Vec<SequenceProblem>,
}

/// What a person's next statement says of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// Its `seq`.
    pub seq: u64,
    /// Its `prev`.
    pub prev: Option<StatementId>,
}

/// What is wrong with a sequence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SequenceProblem {
    /// Statements that later ones presuppose are not here.
    #[error("statements {} to {} of {author} are missing", .missing.start(), .missing.end())]
    Gap {
        /// Whose.
        author: PersonName,
        /// Their places.
        missing: RangeInclusive<u64>,
    },
    /// Different statements in one place.
    #[error("{author} made {} statements with number {seq}", .ids.len())]
    Fork {
        /// Whose.
        author: PersonName,
        /// The place.
        seq: u64,
        /// The statements.
        ids: BTreeSet<StatementId>,
    },
    /// A statement follows another one than the one that is here.
    #[error("statement {seq} of {author} follows {found}, which is not here")]
    BrokenLink {
        /// Whose.
        author: PersonName,
        /// The place of the later one.
        seq: u64,
        /// What it says it follows.
        found: StatementId,
    },
}

/// The sequence of `author` among these statements; those of others are passed over. One statement may be
/// given several times.
pub fn sequence<'a>(
    author: &PersonName,
    statements: impl IntoIterator<Item = (StatementId, &'a Statement)>,
) -> Sequence {
    let mut places: BTreeMap<u64, BTreeMap<StatementId, Option<StatementId>>> = BTreeMap::new();
    for (id, statement) in statements {
        if statement.author == *author {
            places.entry(statement.seq).or_default().insert(id, statement.prev);
        }
    }
    let mut problems = Vec::new();
    let mut before: Option<(u64, &BTreeMap<StatementId, Option<StatementId>>)> = None;
    for (&seq, here) in &places {
        let expected = before.map_or(1, |(seq, _)| seq + 1);
        if seq > expected {
            problems.push(SequenceProblem::Gap {
                author: author.clone(),
                missing: expected..=seq - 1,
            });
        } else if let Some((_, previous)) = before {
            problems.extend(
                here.values()
                    .flatten()
                    .filter(|prev| !previous.contains_key(prev))
                    .map(|&found| SequenceProblem::BrokenLink {
                        author: author.clone(),
                        seq,
                        found,
                    }),
            );
        }
        if here.len() > 1 {
            problems.push(SequenceProblem::Fork {
                author: author.clone(),
                seq,
                ids: here.keys().copied().collect(),
            });
        }
        before = Some((seq, here));
    }
    let next = before.map_or(Next { seq: 1, prev: None }, |(seq, here)| Next {
        seq: seq + 1,
        prev: here.keys().next().copied(),
    });
    Sequence { next, problems }
}

#[cfg(test)]
mod tests {
    use attestation::{
        ChainId, Sha256Digest,
        statement::{Claim, Violation},
    };

    use super::*;

    fn statement(author: &str, seq: u64, prev: Option<StatementId>, reason: &str) -> Statement {
        Statement {
            chain: ChainId::from_digest(Sha256Digest::of("chain")),
            author: author.parse().unwrap(),
            seq,
            prev,
            claim: Claim::Violation(Violation {
                contents: BTreeSet::new(),
                reason: reason.to_owned(),
                trees: BTreeSet::new(),
            }),
        }
    }

    fn chain_of(length: u64) -> Vec<Statement> {
        let mut out: Vec<Statement> = Vec::new();
        for seq in 1..=length {
            let prev = out.last().map(Statement::id);
            out.push(statement("alice", seq, prev, "r"));
        }
        out
    }

    fn of(statements: &[Statement]) -> Sequence {
        let alice = "alice".parse().unwrap();
        sequence(&alice, statements.iter().map(|statement| (statement.id(), statement)))
    }

    #[test]
    fn the_first_statement_has_number_one() {
        let others = [statement("bob", 1, None, "r")];
        assert_eq!(
            of(&others),
            Sequence {
                next: Next { seq: 1, prev: None },
                problems: vec![]
            }
        );
    }

    #[test]
    fn an_unbroken_sequence_has_no_problem() {
        let all = chain_of(4);
        let found = of(&all);
        assert_eq!(found.problems, []);
        assert_eq!(
            found.next,
            Next {
                seq: 5,
                prev: Some(all[3].id())
            }
        );
        let twice: Vec<_> = all.iter().chain(&all).cloned().collect();
        assert_eq!(of(&twice), found, "a second envelope of a statement is no fork");
    }

    #[test]
    fn a_withheld_statement_shows_as_a_gap() {
        let all = chain_of(5);
        let shown = [all[0].clone(), all[3].clone(), all[4].clone()];
        let author: PersonName = "alice".parse().unwrap();
        let gap = SequenceProblem::Gap { author, missing: 2..=3 };
        assert_eq!(of(&shown).problems, [gap]);
        assert_eq!(of(&shown).next.seq, 6);
    }

    #[test]
    fn a_gap_of_nine_quadrillion_is_one_problem() {
        let far = [statement("alice", (1 << 53) - 1, Some(chain_of(1)[0].id()), "r")];
        assert_eq!(of(&far).problems.len(), 1);
    }

    #[test]
    fn two_statements_in_one_place_are_a_fork() {
        let mut all = chain_of(2);
        all.push(statement("alice", 2, all[1].prev, "another"));
        let found = of(&all);
        assert!(
            matches!(found.problems.as_slice(), [SequenceProblem::Fork { seq: 2, ids, .. }] if ids.len() == 2),
            "{:?}",
            found.problems
        );
        assert_eq!(found.next.seq, 3);
    }

    #[test]
    fn a_statement_that_follows_another_one_is_a_broken_link() {
        let mut all = chain_of(1);
        let elsewhere = statement("alice", 1, None, "withheld").id();
        all.push(statement("alice", 2, Some(elsewhere), "r"));
        let found = of(&all).problems;
        assert!(
            matches!(found.as_slice(), [SequenceProblem::BrokenLink { seq: 2, found, .. }] if *found == elsewhere),
            "{found:?}"
        );
    }
}
