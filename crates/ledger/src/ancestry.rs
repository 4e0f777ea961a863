//! Whether one commit descends from another, also where many have the same date.
//!
//! gix's merge base orders commits by date, and among commits of one second may miss that one of two is the other's
//! ancestor: then two clones would merge each other's merges for ever (`crowd.rs` plays it). So that question is asked
//! of the graph itself.

use std::collections::HashSet;

use gix::ObjectId;

use crate::store::{ReadError, reading};

/// By how much people's clocks differ, in seconds. A descendant dated earlier than its ancestor by more is not found,
/// which costs a merge commit that nobody needed.
const SKEW: i64 = 86_400;

/// Whether `descendant` is `ancestor` or descends from it.
pub(crate) fn is_ancestor(repo: &gix::Repository, ancestor: ObjectId, descendant: ObjectId) -> Result<bool, ReadError> {
    let failed = |id: ObjectId| reading(format!("commit {id}"));
    let read = |id: ObjectId| -> Result<(i64, Vec<ObjectId>), ReadError> {
        let commit = repo.find_commit(id).map_err(failed(id))?;
        let seconds = commit.time().map_err(failed(id))?.seconds;
        Ok((seconds, commit.parent_ids().map(gix::Id::detach).collect()))
    };
    let (since, _) = read(ancestor)?;
    let (mut seen, mut stack) = (HashSet::from([descendant]), vec![descendant]);
    while let Some(id) = stack.pop() {
        if id == ancestor {
            return Ok(true);
        }
        let (date, parents) = read(id)?;
        if date >= since.saturating_sub(SKEW) {
            stack.extend(parents.into_iter().filter(|parent| seen.insert(*parent)));
        }
    }
    Ok(false)
}
