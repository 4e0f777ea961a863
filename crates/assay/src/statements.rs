//! The statements of the ledger that count.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    num::NonZeroUsize,
};

use attestation::{
    PersonName, StatementId,
    chain::Release,
    dsse::Envelope,
    statement::{Claim, Statement},
};
use ledger::{
    Snapshot, StatementFile,
    sequence::{Sequence, sequence},
};
use policy::{Facts, TrustedSet, Verified, jury::Work, statements::Positions};

use crate::{
    chain_state::ChainState,
    derive,
    exit::{Exit, Failure, OrExit as _, Outcome},
};

impl ChainState {
    /// Every statement of the ledger whose author signed it. Others are passed over with a warning.
    pub(crate) fn statements(&self, snapshot: &Snapshot) -> Outcome<Statements> {
        let (mut names, mut envelopes) = (Vec::new(), Vec::new());
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        for file in snapshot.statements(threads).or_exit(Exit::Environment)? {
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
            threads,
            facts: &mut Facts::default(),
        };
        let judged = jury.verify_all(&envelopes, &mut work);
        let (mut verified, mut ids, mut by_id) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        let mut refused = Vec::new();
        for (((digest, id), judged), envelope) in names.into_iter().zip(judged).zip(envelopes) {
            by_id.entry(id).or_insert_with(|| envelope.clone());
            match judged {
                Ok(statement) if ids.insert(id) => verified.push(statement),
                Ok(_) => {}
                Err(error) => refused.push((digest, id, envelope, error)),
            }
        }
        // Few, or none: those whose author left or got another key since, and junk.
        let listed = (!refused.is_empty()).then(|| Listed::of(self, snapshot));
        let positions = match &listed {
            Some(Ok(listed)) => listed.positions(),
            _ => Ok(Positions::default()),
        };
        // Without the lists a reject could go missing with its author: nothing is released then.
        let lists_lacking = match (&listed, &positions) {
            (Some(Err(failure)), _) | (_, Err(failure)) => Some(failure.to_string()),
            _ => None,
        };
        let positions = positions.unwrap_or_default();
        let mut placed = Vec::new();
        for (digest, id, envelope, now) in refused {
            match positions.verify(id, &envelope) {
                Some(Ok(statement)) if ids.insert(id) => verified.push(statement),
                Some(Ok(_)) => {}
                Some(Err(then)) => {
                    crate::output::warn(&format!(
                        "statement file {digest} does not count, although a release lists it: {then}"
                    ));
                    // The list names its payload, so it is what its author said; its key was revoked since.
                    placed.extend(Statement::from_exact(&envelope.payload).ok().map(|said| (id, said)));
                }
                None => crate::output::warn(&format!("statement file {digest} does not count: {now}")),
            }
        }
        Ok(Statements {
            verified,
            ids,
            envelopes: by_id,
            placed,
            lists_lacking,
        })
    }
}

/// What every release listed, and the roots that they were made under.
struct Listed {
    releases: Vec<(Release, BTreeSet<StatementId>)>,
    roots: BTreeMap<u64, TrustedSet>,
}

impl Listed {
    fn of(chain: &ChainState, snapshot: &Snapshot) -> Outcome<Self> {
        let (mut releases, mut roots) = (Vec::new(), BTreeMap::new());
        for channel in chain.policy.channels.keys() {
            let last = chain.last_release(snapshot, channel)?;
            for (release, payload) in derive::releases_before(snapshot, channel, last.as_ref())? {
                let listed = derive::listed_by(snapshot, &release, payload)?;
                if let Entry::Vacant(place) = roots.entry(release.root_version) {
                    place.insert(chain.at_root(release.root_version)?);
                }
                releases.push((release, listed));
            }
        }
        Ok(Self { releases, roots })
    }

    fn positions(&self) -> Outcome<Positions<'_>> {
        let mut positions = Positions::default();
        for (release, listed) in &self.releases {
            let court = self.roots[&release.root_version].court().or_exit(Exit::Refused)?;
            positions.add(court, release, listed.clone()).or_exit(Exit::Refused)?;
        }
        Ok(positions)
    }
}

/// The statements that count, now or at their position, and the ids of all of them.
pub(crate) struct Statements {
    /// Each with the evidence that its author made it.
    pub verified: Vec<Verified<Statement>>,
    /// Their ids.
    pub ids: BTreeSet<StatementId>,
    /// Every envelope of the ledger by the id of its statement, also of those that do not count; of two for one
    /// statement the first by name.
    pub envelopes: BTreeMap<StatementId, Envelope>,
    /// Statements that a release lists and that count no more, since their key was revoked for good. They say nothing; but
    /// they are there, so what follows them in their author's sequence is not taken for what somebody withheld.
    placed: Vec<(StatementId, Statement)>,
    /// Why it is not known what releases listed, where that matters.
    lists_lacking: Option<String>,
}

impl Statements {
    /// Those that count now.
    pub(crate) fn now(&self, chain: &ChainState) -> Vec<Verified<Statement>> {
        let court = chain.court();
        let now = self.verified.iter().filter(|statement| court.judged(statement));
        now.cloned().collect()
    }

    /// Every violation that counts now, as its author signed it.
    pub(crate) fn violations(&self, chain: &ChainState) -> Vec<Envelope> {
        let now = self.now(chain);
        let violations = now
            .iter()
            .map(Verified::get)
            .filter(|said| matches!(said.claim, Claim::Violation(_)));
        violations
            .filter_map(|said| self.envelopes.get(&said.id()).cloned())
            .collect()
    }

    /// The envelopes of these statements, in the order of their ids: what a channel ships of them.
    pub(crate) fn bundle(&self, ids: impl IntoIterator<Item = StatementId>) -> Outcome<Vec<Envelope>> {
        let missing = |id| {
            Failure::new(
                Exit::Refused,
                format!("statement {id}, which a release lists, is missing from the ledger"),
            )
            .next("exchange the ledger with somebody who has it: assay sync")
        };
        let envelope = |id| self.envelopes.get(&id).cloned().ok_or_else(|| missing(id));
        ids.into_iter().map(envelope).collect()
    }

    /// Those among them with these ids.
    pub(crate) fn only(&self, ids: &BTreeSet<StatementId>) -> Self {
        let verified = self
            .verified
            .iter()
            .filter(|statement| ids.contains(&statement.get().id()));
        Self {
            verified: verified.cloned().collect(),
            envelopes: self.envelopes.clone(),
            ids: self.ids.intersection(ids).copied().collect(),
            placed: self.placed.iter().filter(|(id, _)| ids.contains(id)).cloned().collect(),
            lists_lacking: self.lists_lacking.clone(),
        }
    }

    /// The sequence of an author's statements: those that count, and those that did when a release listed them.
    pub(crate) fn sequence(&self, author: &PersonName) -> Sequence {
        let counted = self
            .verified
            .iter()
            .map(|statement| (statement.get().id(), statement.get()));
        let placed = self.placed.iter().map(|(id, statement)| (*id, statement));
        sequence(author, counted.chain(placed))
    }

    /// Whether each author's statements are all there: a withheld one shows as a gap.
    pub(crate) fn require_complete_sequences(&self) -> Outcome {
        if let Some(why) = &self.lists_lacking {
            return Err(Failure::new(
                Exit::Refused,
                format!("a statement does not count now, and whether a release listed it is not known: {why}"),
            )
            .next("exchange the ledger with somebody who has all of it: assay sync"));
        }
        let authors: BTreeSet<_> = self.verified.iter().map(|statement| &statement.get().author).collect();
        for author in authors {
            if let Some(problem) = self.sequence(author).problems.into_iter().next() {
                return Err(Failure::new(Exit::Refused, problem)
                    .next("fetch the ledger from where its author pushes, or ask the author; until then nothing that rests on these statements is signed"));
            }
        }
        Ok(())
    }
}
