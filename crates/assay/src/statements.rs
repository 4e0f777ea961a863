//! The statements of the ledger that count.

use std::{collections::BTreeSet, num::NonZeroUsize};

use attestation::{
    StatementId,
    dsse::Envelope,
    statement::{Claim, Statement},
};
use ledger::{Snapshot, StatementFile};
use policy::{Facts, Verified, jury::Work};

use crate::{
    chain_state::ChainState,
    exit::{Exit, Failure, OrExit as _, Outcome},
};

impl ChainState {
    /// Every statement of the ledger whose author signed it. Others are passed over with a warning.
    pub(crate) fn statements(&self, snapshot: &Snapshot) -> Outcome<Statements> {
        let (mut names, mut envelopes) = (Vec::new(), Vec::new());
        for file in snapshot.statements().or_exit(Exit::Environment)? {
            match file {
                Ok(StatementFile {
                    digest, id, envelope, ..
                }) => {
                    names.push((digest, id));
                    envelopes.push(envelope);
                }
                Err(problem) => crate::output::warn(&format!("the ledger: {problem}")),
            }
        }
        let jury = self.court().jury();
        // Known facts are not asked: what is signed rests on this.
        let mut work = Work {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            facts: &mut Facts::default(),
        };
        let judged = jury.verify_all(&envelopes, &mut work);
        let (mut verified, mut ids) = (Vec::new(), BTreeSet::new());
        for ((digest, id), judged) in names.into_iter().zip(judged) {
            match judged {
                Ok(statement) if ids.insert(id) => verified.push(statement),
                Ok(_) => {}
                Err(error) => crate::output::warn(&format!("statement file {digest} does not count: {error}")),
            }
        }
        Ok(Statements { verified, ids })
    }
}

impl ChainState {
    /// Every violation that counts, as its author signed it.
    pub(crate) fn violations(&self, snapshot: &Snapshot) -> Outcome<Vec<Envelope>> {
        let court = self.court();
        let files = snapshot.statements().or_exit(Exit::Environment)?;
        let envelopes = files.into_iter().filter_map(|file| Some(file.ok()?.envelope));
        let is_violation = |envelope: &Envelope| {
            let said = court.verify(envelope);
            said.is_ok_and(|said| matches!(said.get().claim, Claim::Violation(_)))
        };
        Ok(envelopes.filter(is_violation).collect())
    }
}

/// The statements that count, and the ids of all of them.
pub(crate) struct Statements {
    /// Each with the evidence that its author made it.
    pub verified: Vec<Verified<Statement>>,
    /// Their ids.
    pub ids: BTreeSet<StatementId>,
}

impl Statements {
    /// Those among them with these ids.
    pub(crate) fn only(&self, ids: &BTreeSet<StatementId>) -> Self {
        let verified = self
            .verified
            .iter()
            .filter(|statement| ids.contains(&statement.get().id()));
        Self {
            verified: verified.cloned().collect(),
            ids: self.ids.intersection(ids).copied().collect(),
        }
    }

    /// Whether each author's statements are all there: a withheld one shows as a gap.
    pub(crate) fn require_complete_sequences(&self) -> Outcome {
        let authors: BTreeSet<_> = self.verified.iter().map(|statement| &statement.get().author).collect();
        for author in authors {
            let all = self
                .verified
                .iter()
                .map(|statement| (statement.get().id(), statement.get()));
            if let Some(problem) = ledger::sequence::sequence(author, all).problems.into_iter().next() {
                return Err(Failure::new(Exit::Refused, problem)
                    .next("fetch the ledger from where its author pushes, or ask the author; until then nothing that rests on these statements is signed"));
            }
        }
        Ok(())
    }
}
