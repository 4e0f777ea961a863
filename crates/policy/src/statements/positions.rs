//! The position of a statement: the first release that lists it.
//!
//! There its author had a role and a valid key, and as many people as a release takes signed the list. So what
//! *subtracts*, once listed, stays said when its author leaves or gets another token: a reject or a violation does not
//! vanish with the person who had reason for it. What *adds* is judged now, at the cost of being asked for again: an
//! approval by somebody whom root's people took out, or by a key that is over, covers nothing new. Until a release lists
//! it, everything is judged now, so no date that a key gives itself makes anything older.
//!
//! A hard revocation takes a key's statements at every position: that is the way out when a key was stolen.

use std::collections::BTreeSet;

use attestation::{
    StatementId,
    chain::{Release, StatementList},
    dsse::Envelope,
    statement::Statement,
};

use super::{Court, StatementRefusal};
use crate::seal::Verified;

/// A list that is not the one that a release names, or a court that is not the one that it was made under.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongList {
    /// Another list than the people of the release signed.
    #[error("release {sequence} lists {expected:?}, not these {found} statements")]
    List {
        /// The release.
        sequence: u64,
        /// What it names.
        expected: StatementList,
        /// How many statements there are.
        found: usize,
    },
    /// Another root.
    #[error("release {sequence} was made under root {expected}, not under root {found}")]
    Root {
        /// The release.
        sequence: u64,
        /// The root that it names.
        expected: u64,
        /// The court's.
        found: u64,
    },
}

/// What releases listed, each with the court of its position.
#[derive(Default)]
pub struct Positions<'a> {
    places: Vec<(Court<'a>, BTreeSet<StatementId>)>,
}

impl<'a> Positions<'a> {
    /// Adds a release whose signatures were verified, and the list of statements that it names. `court` is that of the
    /// root that it was made under, at any time: it is judged at the release's.
    pub fn add(&mut self, court: Court<'a>, release: &Release, listed: BTreeSet<StatementId>) -> Result<(), WrongList> {
        if court.root_version != release.root_version {
            return Err(WrongList::Root {
                sequence: release.sequence,
                expected: release.root_version,
                found: court.root_version,
            });
        }
        if StatementList::of(&listed) != release.statements {
            return Err(WrongList::List {
                sequence: release.sequence,
                expected: release.statements.clone(),
                found: listed.len(),
            });
        }
        let place = (court.earlier(release.time), listed);
        let at = |place: &(Court<'_>, _)| (place.0.root_version, place.0.now);
        let after = self.places.partition_point(|other| at(other) <= at(&place));
        self.places.insert(after, place);
        Ok(())
    }

    /// Whether the statement in `envelope` counted at its position; `None` if no release lists it.
    pub fn verify(
        &self,
        id: StatementId,
        envelope: &Envelope,
    ) -> Option<Result<Verified<Statement>, StatementRefusal>> {
        let (court, _) = self.places.iter().find(|(_, listed)| listed.contains(&id))?;
        let judged = court.verify(envelope);
        // The list names payloads: another one under this id would be another statement.
        Some(judged.and_then(|statement| {
            if statement.get().id() == id {
                Ok(statement)
            } else {
                Err(StatementRefusal::OtherId { expected: id })
            }
        }))
    }
}
