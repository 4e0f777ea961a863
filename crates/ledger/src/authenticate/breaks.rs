//! Where a chain of trust breaks, and what a person needs to know to see why.

use std::{collections::BTreeMap, num::NonZeroUsize};

use gix::ObjectId;
use policy::{
    Facts,
    jury::{ObjectRefusal, Work},
};

use super::{AuthenticateError, Question, candidate, verdict};
use crate::history::{History, HistoryError, Reach};

/// A commit that nobody who might has made.
#[derive(Debug)]
pub struct Break {
    /// The commit.
    pub commit: ObjectId,
    /// The first line of its message.
    pub subject: String,
    /// The root under which it was judged.
    pub root_version: u64,
    /// Why it does not count.
    pub reason: BreakReason,
    /// Another root of this chain under which it would count.
    pub would_count_under: Option<u64>,
    /// Whether every judged commit before it counts: what is wrong begins here.
    pub is_first: bool,
}

/// Why a commit does not count.
#[derive(Debug, thiserror::Error)]
pub enum BreakReason {
    /// Too few people signed it.
    #[error(transparent)]
    Refused(#[from] ObjectRefusal),
    /// Not a commit as git writes it.
    #[error("the commit is not one that is taken")]
    Object(#[from] attestation::git::GitObjectError),
    /// The root lets nobody commit.
    #[error("root {root_version} lets nobody commit (it has no [repository])")]
    Nobody {
        /// The root.
        root_version: u64,
    },
}

/// The refused commits, the oldest first.
pub(super) fn breaks(
    history: &History,
    question: &Question<'_>,
    reach: &Reach,
    mut refused: BTreeMap<ObjectId, (u64, BreakReason)>,
) -> Result<Vec<Break>, AuthenticateError> {
    let tainted = reach.after(&refused.keys().copied().collect());
    let mut found = Vec::new();
    for node in reach.nodes().iter().rev() {
        let Some((root_version, reason)) = refused.remove(&node.id) else {
            continue;
        };
        found.push(Break {
            commit: node.id,
            subject: history.subject(node.id)?,
            would_count_under: elsewhere(history, question, node.id, root_version)?,
            is_first: !node.parents.iter().any(|parent| tainted.contains(parent)),
            root_version,
            reason,
        });
    }
    found.sort_by_key(|found| !found.is_first);
    Ok(found)
}

/// Another root under which the commit would count: what a person needs to know to see what happened.
fn elsewhere(
    history: &History,
    question: &Question<'_>,
    commit: ObjectId,
    judged: u64,
) -> Result<Option<u64>, AuthenticateError> {
    let mut bytes = Vec::new();
    history.commit_bytes(commit, &mut bytes)?;
    let lines = history.note_lines(commit).map_err(HistoryError::from)?;
    let notes = BTreeMap::from([(commit, lines)]);
    let Ok(candidate) = candidate(commit, &bytes, &notes) else {
        return Ok(None);
    };
    let candidates = [candidate];
    let others = question.positions.iter().filter(|other| other.root_version != judged);
    for other in others {
        let mut facts = Facts::default();
        let mut work = Work {
            threads: NonZeroUsize::MIN,
            facts: &mut facts,
        };
        let heard = other.jury.hear(&candidates, &mut work);
        if heard.iter().all(|heard| verdict(other, heard).is_ok()) {
            return Ok(Some(other.root_version));
        }
    }
    Ok(None)
}
