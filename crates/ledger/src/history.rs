//! A repository whose commits, tags and notes are read: the fork's, or a company's own.
//!
//! Neither the environment nor anybody's configuration has an influence, nor have replacement refs, grafts or a
//! commit-graph: two people with one commit read one history. A shallow clone is refused, since what is cut off cannot
//! be judged. What is read is hashed again: an object that is not what its name says is an error, whoever put it there.

mod reach;

use std::{
    collections::{BTreeSet, BinaryHeap, HashSet},
    path::{Path, PathBuf},
};

use attestation::Sha256Digest;
use gix::{
    ObjectId,
    objs::{Exists as _, Find as _},
};

use policy::Facts;

use crate::{
    author::Author,
    store::{ReadError, WriteError, open_repository, reading, writing},
};

pub use reach::{Node, Reach};

/// No commit or tag is longer: one with a thousand signatures is not.
const LARGEST: usize = 4 << 20;

/// How many tags may follow one another to a commit.
const TAGS: usize = 8;

/// A repository, opened for reading its history.
#[derive(Clone)]
pub struct History {
    repo: gix::Repository,
    /// Objects that are not in the repository yet.
    arriving: Option<gix::odb::Handle>,
}

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// No git repository, or none that can be read.
    #[error("{} is not a git repository that can be read", .path.display())]
    NoRepository {
        /// Where one was expected.
        path: PathBuf,
        /// What git's files said.
        #[source]
        source: Box<gix::Error>,
    },
    /// A clone whose history is cut off.
    #[error("{} is a shallow clone: what is cut off cannot be judged", .path.display())]
    Shallow {
        /// The repository.
        path: PathBuf,
    },
    /// Nothing has that name, or several things have.
    #[error("{revision:?} names nothing in this repository")]
    Unknown {
        /// The revision as given.
        revision: String,
        /// What gix said.
        #[source]
        source: Box<gix::Error>,
    },
    /// A tree or a blob, or tags without end.
    #[error("{revision:?} names {found}, which leads to no commit")]
    NoCommit {
        /// The revision as given.
        revision: String,
        /// The object.
        found: ObjectId,
    },
    /// An object is not there.
    #[error("object {id} is missing: this clone is damaged, or a partial one")]
    Missing {
        /// The object.
        id: ObjectId,
    },
    /// An object is there under the name of another.
    #[error("the object under the name {expected} has the digest {found}: this clone is damaged, or was tampered with")]
    OtherDigest {
        /// The name.
        expected: ObjectId,
        /// The digest of what was read.
        found: String,
    },
    /// An object was made so that another one has its name.
    #[error("object {id} was made to share its name with another one: {reason}")]
    Collision {
        /// The object.
        id: ObjectId,
        /// What the hasher said.
        reason: String,
    },
    /// An object is of another kind, too large, or not written as git writes it.
    #[error("object {id} is not what it should be: {reason}")]
    Malformed {
        /// The object.
        id: ObjectId,
        /// What is wrong.
        reason: String,
    },
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A tag object on the way to a commit, as its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagObject {
    /// Its id.
    pub id: ObjectId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a revision names: a commit, perhaps through annotated tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The tags, the outermost first.
    pub tags: Vec<TagObject>,
    /// The commit.
    pub commit: ObjectId,
}

/// A commit's own words, as far as the graph needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitHeader {
    /// The tree it records.
    pub tree: ObjectId,
    /// Its parents.
    pub parents: Vec<ObjectId>,
    /// When its committer says that it was made.
    pub committed: i64,
}

impl History {
    /// Opens the repository at `path` (bare, or with a work tree).
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let unreadable = |source| HistoryError::NoRepository {
            path: path.to_owned(),
            source,
        };
        let mut repo = open_repository(path).map_err(unreadable)?;
        if repo.is_shallow().map_err(|source| unreadable(Box::new(source)))? {
            return Err(HistoryError::Shallow { path: path.to_owned() });
        }
        // Each commit is read once.
        repo.object_cache_size(None);
        Ok(Self { repo, arriving: None })
    }

    /// With the objects of another directory too: what a push brings waits in one while `pre-receive` runs.
    pub fn with_arriving(mut self, objects: &Path) -> Result<Self, HistoryError> {
        let found = gix::odb::at(objects, self.repo.object_hash());
        let found = found.map_err(|error| reading(objects.display().to_string())(gix::Error::from_error(error)))?;
        self.arriving = Some(found);
        Ok(self)
    }

    pub(crate) const fn repository(&self) -> &gix::Repository {
        &self.repo
    }

    /// The directory that holds the objects and refs.
    pub fn git_dir(&self) -> &Path {
        self.repo.git_dir()
    }

    /// What a revision names: anything `git rev-parse` knows (a branch, a tag, an id, `main~3`).
    pub fn target(&self, revision: &str) -> Result<Target, HistoryError> {
        let unknown = |source| HistoryError::Unknown {
            revision: revision.to_owned(),
            source: Box::new(source),
        };
        let mut id = match ObjectId::from_hex(revision.as_bytes()) {
            Ok(id) => id,
            Err(_) => self.repo.rev_parse_single(revision).map_err(unknown)?.detach(),
        };
        let mut tags = Vec::new();
        let mut buffer = Vec::new();
        for _ in 0..=TAGS {
            match self.read(id, &mut buffer)? {
                gix::objs::Kind::Commit => return Ok(Target { tags, commit: id }),
                gix::objs::Kind::Tag => {
                    let target = gix::objs::TagRefIter::from_bytes(&buffer, id.kind()).target_id();
                    let target = target.map_err(|error| malformed(id, &error))?;
                    tags.push(TagObject {
                        id,
                        bytes: std::mem::take(&mut buffer),
                    });
                    id = target;
                }
                _ => break,
            }
        }
        Err(HistoryError::NoCommit {
            revision: revision.to_owned(),
            found: id,
        })
    }

    /// A commit's bytes, into `buffer`.
    pub fn commit_bytes(&self, id: ObjectId, buffer: &mut Vec<u8>) -> Result<(), HistoryError> {
        match self.read(id, buffer)? {
            gix::objs::Kind::Commit => Ok(()),
            kind => Err(HistoryError::Malformed {
                id,
                reason: format!("expected a commit, found a {kind}"),
            }),
        }
    }

    /// What a commit says of its place.
    pub fn commit(&self, id: ObjectId) -> Result<CommitHeader, HistoryError> {
        let mut buffer = Vec::new();
        self.commit_bytes(id, &mut buffer)?;
        header(id, &buffer)
    }

    /// Whether the object is here.
    pub fn has(&self, id: ObjectId) -> bool {
        self.repo.objects.exists(&id) || self.arriving.as_ref().is_some_and(|arriving| arriving.exists(&id))
    }

    /// The first line of a commit's message.
    pub fn subject(&self, id: ObjectId) -> Result<String, HistoryError> {
        let mut bytes = Vec::new();
        self.commit_bytes(id, &mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let message = text.split_once("\n\n").map_or("", |(_, message)| message);
        Ok(message.lines().next().unwrap_or_default().to_owned())
    }

    /// Which of `wanted` these commits reach (those that are here). It sees their whole history, if it must; the order of
    /// the search follows commit times, the answer does not.
    pub fn ancestors_among(
        &self,
        from: &[ObjectId],
        wanted: &BTreeSet<ObjectId>,
    ) -> Result<BTreeSet<ObjectId>, HistoryError> {
        self.ancestors_since(from, wanted, i64::MIN)
    }

    /// [`Self::ancestors_among`], as far as commits that are dated before `since` are not needed to find them.
    pub(crate) fn ancestors_since(
        &self,
        from: &[ObjectId],
        wanted: &BTreeSet<ObjectId>,
        since: i64,
    ) -> Result<BTreeSet<ObjectId>, HistoryError> {
        let mut found = BTreeSet::new();
        let mut seen = HashSet::new();
        let mut queue = BinaryHeap::new();
        let mut waiting: Vec<_> = from.iter().copied().filter(|id| self.has(*id)).collect();
        while found.len() < wanted.len() {
            for id in waiting.drain(..).filter(|id| seen.insert(*id)) {
                let CommitHeader { parents, committed, .. } = self.commit(id)?;
                queue.push((committed, id, parents));
            }
            let Some((_, id, parents)) = queue.pop().filter(|(committed, ..)| *committed >= since) else {
                break;
            };
            if wanted.contains(&id) {
                found.insert(id);
            }
            waiting.extend(parents);
        }
        Ok(found)
    }

    /// [`Self::ancestors_among`], where what a commit was once found to reach need not be found again. A commit names
    /// all that it reaches, so that holds for ever.
    pub fn ancestors_known(
        &self,
        from: &[ObjectId],
        wanted: &BTreeSet<ObjectId>,
        facts: &mut Facts,
    ) -> Result<BTreeSet<ObjectId>, HistoryError> {
        let under = Sha256Digest::of("what a commit reaches");
        let ids = |answer: &[u8]| {
            let text = str::from_utf8(answer).ok()?;
            let ids = text.lines().map(|line| ObjectId::from_hex(line.as_bytes()).ok());
            ids.collect::<Option<Vec<_>>>()
        };
        let known = facts.answers(under).filter_map(ids);
        let known = known.max_by_key(|ids| ids.iter().filter(|id| wanted.contains(*id)).count());
        let known = known.unwrap_or_default();
        let Some((tip, reached)) = known.split_first() else {
            let found = self.ancestors_among(from, wanted)?;
            remember_reach(under, from, &found, facts);
            return Ok(found);
        };
        let reached: BTreeSet<_> = reached.iter().copied().collect();
        let mut rest: BTreeSet<_> = wanted.difference(&reached).copied().collect();
        rest.insert(*tip);
        let mut found = self.ancestors_among(from, &rest)?;
        if found.contains(tip) {
            found.extend(reached.intersection(wanted));
        } else {
            found = self.ancestors_among(from, wanted)?;
        }
        found.retain(|id| wanted.contains(id));
        remember_reach(under, from, &found, facts);
        Ok(found)
    }

    /// Whether two commits have any history in common.
    pub(crate) fn has_common_ancestor(&self, one: ObjectId, other: ObjectId) -> Result<bool, HistoryError> {
        let (mut of_one, mut queue) = (HashSet::from([one]), vec![one]);
        while let Some(id) = queue.pop() {
            queue.extend(
                self.commit(id)?
                    .parents
                    .into_iter()
                    .filter(|parent| of_one.insert(*parent)),
            );
        }
        let (mut seen, mut queue) = (HashSet::from([other]), vec![other]);
        while let Some(id) = queue.pop() {
            if of_one.contains(&id) {
                return Ok(true);
            }
            queue.extend(
                self.commit(id)?
                    .parents
                    .into_iter()
                    .filter(|parent| seen.insert(*parent)),
            );
        }
        Ok(false)
    }

    /// Whether `descendant` is `ancestor` or descends from it. A "no" has seen the whole history of `descendant`.
    pub fn descends_from(&self, descendant: ObjectId, ancestor: ObjectId) -> Result<bool, HistoryError> {
        let mut seen = HashSet::from([descendant]);
        let mut queue = vec![descendant];
        while let Some(id) = queue.pop() {
            if id == ancestor {
                return Ok(true);
            }
            queue.extend(
                self.commit(id)?
                    .parents
                    .into_iter()
                    .filter(|parent| seen.insert(*parent)),
            );
        }
        Ok(false)
    }

    /// Reads an object and hashes it again.
    fn read(&self, id: ObjectId, buffer: &mut Vec<u8>) -> Result<gix::objs::Kind, HistoryError> {
        buffer.clear();
        let failed = |source| reading(format!("object {id}"))(source);
        let mut found = self
            .repo
            .objects
            .try_find(&id, buffer)
            .map_err(failed)?
            .map(|data| data.kind);
        if let (None, Some(arriving)) = (found, &self.arriving) {
            found = arriving.try_find(&id, buffer).map_err(failed)?.map(|data| data.kind);
        }
        let kind = found.ok_or(HistoryError::Missing { id })?;
        if buffer.len() > LARGEST {
            return Err(HistoryError::Malformed {
                id,
                reason: format!("{} bytes, at most {LARGEST} are read", buffer.len()),
            });
        }
        is_named(id, gix::objs::compute_hash(id.kind(), kind, buffer))?;
        Ok(kind)
    }

    pub(crate) fn tree_of(&self, commit: ObjectId) -> Result<ObjectId, ReadError> {
        self.repo
            .find_commit(commit)
            .and_then(|commit| Ok(commit.tree_id()?.detach()))
            .map_err(reading(format!("commit {commit}")))
    }

    pub(crate) fn write_commit(
        &self,
        tree: ObjectId,
        parents: &[ObjectId],
        message: &str,
        author: &Author,
    ) -> Result<ObjectId, WriteError> {
        let commit = gix::objs::Commit {
            tree,
            parents: parents.iter().copied().collect(),
            author: author.signature(),
            committer: author.signature(),
            encoding: None,
            message: message.into(),
            extra_headers: Vec::new(),
        };
        let id = self.repo.write_object(&commit).map_err(writing("a commit"))?.detach();
        crate::durable::flush_objects(&self.repo, &[id]).map_err(WriteError::Flush)?;
        Ok(id)
    }
}

/// What a commit's bytes say of its place.
/// Whether what was read has the digest that is its name. The hasher, git's own, refuses what was made to collide.
fn is_named(id: ObjectId, hashed: Result<ObjectId, gix::Error>) -> Result<(), HistoryError> {
    match hashed {
        Ok(found) if found == id => Ok(()),
        Ok(found) => Err(HistoryError::OtherDigest {
            expected: id,
            found: found.to_string(),
        }),
        Err(error) => Err(HistoryError::Collision {
            id,
            reason: error.to_string(),
        }),
    }
}

pub(crate) fn header(id: ObjectId, bytes: &[u8]) -> Result<CommitHeader, HistoryError> {
    let commit = || gix::objs::CommitRefIter::from_bytes(bytes, id.kind());
    let read = || -> Result<CommitHeader, gix::Error> {
        Ok(CommitHeader {
            tree: commit().tree_id()?,
            parents: commit().parent_ids().collect(),
            committed: commit().committer()?.seconds(),
        })
    };
    read().map_err(|error| malformed(id, &error))
}

/// An answer of [`History::ancestors_known`]: a commit, and what it reaches.
fn remember_reach(under: Sha256Digest, from: &[ObjectId], found: &BTreeSet<ObjectId>, facts: &mut Facts) {
    if let ([tip], false) = (from, found.is_empty()) {
        let lines: Vec<_> = std::iter::once(tip).chain(found).map(ToString::to_string).collect();
        facts.remember(under, lines.join("\n").into_bytes());
    }
}

fn malformed(id: ObjectId, error: &dyn std::fmt::Display) -> HistoryError {
    HistoryError::Malformed {
        id,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use testkit::shattered;

    use super::*;

    fn hashed(bytes: &[u8]) -> Result<ObjectId, gix::Error> {
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        hasher.update(bytes);
        hasher.try_finalize()
    }

    /// The published pair has one SHA-1 as it is, without git's header; so the hasher is asked that every object goes
    /// through.
    #[test]
    fn an_object_made_to_collide_is_refused_as_what_it_is() {
        let id = ObjectId::from_hex(shattered::SHA1.as_bytes()).expect("an id");
        for bytes in [shattered::FIRST, shattered::SECOND] {
            let refused = is_named(id, hashed(&bytes)).expect_err("it was made to collide");
            assert!(
                matches!(&refused, HistoryError::Collision { reason, .. } if reason.contains(shattered::SHA1)),
                "{refused:?}"
            );
            // Whatever follows the two blocks, as in the published documents.
            let whole = [&bytes[..], b"the rest of a document"].concat();
            assert!(matches!(
                is_named(id, hashed(&whole)),
                Err(HistoryError::Collision { .. })
            ));
        }
        // The honest twins: bytes of the same length of which nothing collides, and the pair behind git's header, which
        // takes its meaning from it.
        let mut honest = shattered::FIRST;
        honest[200] ^= 1;
        let name = hashed(&honest).expect("no collision");
        is_named(name, hashed(&honest)).expect("it is what it is called");
        assert!(matches!(
            is_named(id, hashed(&honest)),
            Err(HistoryError::OtherDigest { .. })
        ));
        let blob = |bytes: &[u8]| gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, bytes);
        let (first, second) = (blob(&shattered::FIRST), blob(&shattered::SECOND));
        assert_ne!(first.expect("no collision"), second.expect("no collision"));
    }
}
