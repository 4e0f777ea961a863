//! Moving the branch: by compare and swap, so that of two writers at once one begins anew and none is lost.

use std::{thread, time::Duration};

use gix::{
    ObjectId,
    refs::{
        Target,
        file::transaction::prepare::{MustNotExist, ReferenceOutOfDate},
        transaction::{PreviousValue, RefEdit},
    },
};

use crate::{
    author::Author,
    durable,
    store::{BRANCH, Ledger, ReadError, WriteError, writing},
};

/// How often a change is tried when others change the ledger at the same time. Each loser had a winner, so
/// this is reached only where something is wrong.
const ATTEMPTS: u32 = 64;

/// How often the branch may be found locked, each time for the 0.1 s that gix waits. It takes a writer far less;
/// this is reached where a crash left its lock behind.
const LOCKED_ATTEMPTS: u32 = 20;

/// How long a loser waits before it tries again.
const PATIENCE: Duration = Duration::from_millis(5);

/// What is to become of the ledger.
pub(crate) enum Change<T> {
    /// Nothing; this is the outcome.
    None(T),
    /// The branch moves.
    Commit {
        /// From what the change was made.
        from: ObjectId,
        /// What it made.
        to: ObjectId,
        /// What to say when it did.
        outcome: T,
    },
}

/// Whether the branch moved.
pub(crate) enum Moved {
    Yes,
    No {
        /// Where the branch was instead; `None` if it was locked.
        found: Option<ObjectId>,
        source: Box<gix::Error>,
    },
}

impl Ledger {
    /// Makes a change on top of the newest commit; begins anew when somebody else was faster.
    pub(crate) fn change<T, E: From<ReadError> + From<WriteError>>(
        &self,
        author: &Author,
        mut make: impl FnMut(ObjectId) -> Result<Change<T>, E>,
    ) -> Result<T, E> {
        let (mut attempts, mut locked) = (0, 0);
        loop {
            let (from, to, outcome) = match make(self.head()?)? {
                Change::None(outcome) => return Ok(outcome),
                Change::Commit { from, to, outcome } => (from, to, outcome),
            };
            match self.move_branch(Some(from), to, author)? {
                Moved::Yes => return Ok(outcome),
                Moved::No { found, source } => {
                    attempts += 1;
                    locked += u32::from(found.is_none());
                    if attempts == ATTEMPTS || locked == LOCKED_ATTEMPTS {
                        return Err(WriteError::Busy { attempts, source }.into());
                    }
                    thread::sleep(PATIENCE);
                }
            }
        }
    }

    /// Moves the branch from `from` (`None`: it does not exist) to `to`, if it is still there.
    pub(crate) fn move_branch(
        &self,
        from: Option<ObjectId>,
        to: ObjectId,
        author: &Author,
    ) -> Result<Moved, WriteError> {
        let expected = from.map_or(PreviousValue::MustNotExist, |from| {
            PreviousValue::MustExistAndMatch(Target::Object(from))
        });
        match set_reference(&self.repo, BRANCH, to, expected, author) {
            Ok(()) => {
                durable::flush_ref(&self.repo, BRANCH).map_err(WriteError::Flush)?;
                Ok(Moved::Yes)
            }
            Err(source) => {
                let found = source
                    .downcast_any_ref::<ReferenceOutOfDate>()
                    .map(|error| &error.actual)
                    .or_else(|| source.downcast_any_ref::<MustNotExist>().map(|error| &error.actual));
                let found = found.and_then(|target| target.try_id()).map(ToOwned::to_owned);
                let locked = source.is_conflict() || source.is_retryable();
                if found.is_none() && !locked {
                    return Err(writing(BRANCH)(*source));
                }
                Ok(Moved::No { source, found })
            }
        }
    }
}

pub(crate) fn set_reference(
    repo: &gix::Repository,
    name: &str,
    to: ObjectId,
    expected: PreviousValue,
    author: &Author,
) -> Result<(), Box<gix::Error>> {
    let name: gix::refs::FullName = name
        .try_into()
        .map_err(|error: gix::validate::reference::name::Error| gix::Error::from_error(error))?;
    let edit = RefEdit::update(name, to, expected, "touchstone");
    let committer = author.signature();
    let mut buffer = gix::date::parse::TimeBuf::default();
    repo.edit_references_as([edit], Some(committer.to_ref(&mut buffer)))?;
    Ok(())
}
