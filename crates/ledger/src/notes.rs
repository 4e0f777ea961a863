//! `refs/notes/signatures`: what git-sig and `assay git-sig` sign, beside the commits and apart from the ledger.
//!
//! A note hangs at a commit's name, in a tree that git fans out as it likes (`abcd…`, `ab/cd…`, `ab/cd/ef…`); every
//! shape is read, also several at once. Lines are only ever added, also when the notes of two clones are merged, so
//! that a junk line spoils nothing and a good one is not lost. Nothing here is verified.

use std::collections::{BTreeMap, BTreeSet};

use attestation::git::NOTES_REF;
use gix::{
    ObjectId,
    bstr::ByteSlice,
    objs::tree::EntryKind,
    refs::{Target, transaction::PreviousValue},
};

use crate::{
    ancestry::is_ancestor,
    author::Author,
    branch::set_reference,
    durable,
    git::Git,
    history::History,
    remote::{Fetched, Remote, RemoteRef},
    store::{ReadError, WriteError, reading, writing},
    sync::SyncError,
};

/// No note is longer: ten thousand signatures of RSA-4096.
const LARGEST: u64 = 16 << 20;

/// How deep a notes tree is read: git fans out as long as a directory stays large.
const DEEPEST: usize = 20;

/// How often a change is tried while others change the notes.
const ATTEMPTS: u32 = 64;

/// What an exchange of notes did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotesSynced {
    /// How many lines came.
    pub gained: usize,
    /// Whether something was pushed.
    pub pushed: bool,
}

/// The notes of one moment: a commit of the ref, or none yet.
#[derive(Debug, Clone, Copy)]
struct Place {
    commit: Option<ObjectId>,
    tree: Option<ObjectId>,
}

/// Where a note lies in the tree.
type Paths = Vec<(String, ObjectId)>;

impl History {
    /// The lines of the note at `commit`, in their order; those of several notes, where the tree has several.
    /// Empty where there is none.
    pub fn note_lines(&self, commit: ObjectId) -> Result<Vec<String>, ReadError> {
        let place = self.notes_place()?;
        self.lines_at(place, commit)
    }

    /// Every commit that has a note.
    pub fn noted(&self) -> Result<BTreeSet<ObjectId>, ReadError> {
        let mut all = BTreeMap::new();
        if let Some(tree) = self.notes_place()?.tree {
            self.collect_notes(tree, "", 0, &mut all)?;
        }
        Ok(all.into_keys().collect())
    }

    /// Appends a line to the note at `commit`, unless it is there.
    pub fn add_note_line(&self, commit: ObjectId, line: &str, author: &Author) -> Result<(), NoteWriteError> {
        let new = BTreeMap::from([(commit, vec![line.to_owned()])]);
        self.add_note_lines(&new, None, "Sign a commit", author).map(drop)
    }

    /// Fetches the notes of `remote`, adds their lines to ours, and pushes the result.
    pub fn sync_notes(&self, git: &Git, remote: &Remote, author: &Author) -> Result<NotesSynced, SyncError> {
        let exchange = RemoteRef::new(self.repository(), git, remote, NOTES_REF, "signatures");
        let (mut gained, mut round) = (0, 1);
        loop {
            let fetched = exchange.fetch()?;
            let theirs = fetched.map(|Fetched { theirs, .. }| theirs);
            if let Some(theirs) = theirs {
                gained += self.merge_notes(theirs, author).map_err(SyncError::from)?;
            }
            let ours = self.notes_place()?.commit;
            let Some(ours) = ours.filter(|ours| Some(*ours) != theirs) else {
                return Ok(NotesSynced { gained, pushed: false });
            };
            match exchange.push(ours, author)? {
                Ok(()) => return Ok(NotesSynced { gained, pushed: true }),
                // A refusal is somebody else's push only if there is something new.
                Err(refusal) if exchange.tip()? == theirs => return Err(exchange.refused(refusal)),
                Err(source) if round == ATTEMPTS => {
                    let (remote, rounds) = (remote.clone(), round);
                    return Err(SyncError::Busy { remote, rounds, source });
                }
                Err(_) => round += 1,
            }
        }
    }

    /// Adds the lines of the notes commit `theirs` that ours lack. Returns how many there were.
    pub(crate) fn merge_notes(&self, theirs: ObjectId, author: &Author) -> Result<usize, NoteWriteError> {
        let ours = self.notes_place()?;
        if ours.commit.is_none() {
            return self.take_notes(theirs, author);
        }
        if ours.commit == Some(theirs) {
            return Ok(0);
        }
        let their_place = Place {
            commit: Some(theirs),
            tree: Some(self.tree_of(theirs)?),
        };
        let mut all = BTreeMap::new();
        if let Some(tree) = their_place.tree {
            self.collect_notes(tree, "", 0, &mut all)?;
        }
        let mut new = BTreeMap::new();
        for commit in all.into_keys() {
            new.insert(commit, self.lines_at(their_place, commit)?);
        }
        self.add_note_lines(&new, Some(theirs), "Merge notes", author)
    }

    fn take_notes(&self, theirs: ObjectId, author: &Author) -> Result<usize, NoteWriteError> {
        set_reference(
            self.repository(),
            NOTES_REF,
            theirs,
            PreviousValue::MustNotExist,
            author,
        )
        .map_err(|source| writing(NOTES_REF)(*source))?;
        Ok(self.noted()?.len())
    }

    /// Adds lines to notes, in one commit; `merged` is its second parent. Begins anew when somebody else was faster.
    fn add_note_lines(
        &self,
        new: &BTreeMap<ObjectId, Vec<String>>,
        merged: Option<ObjectId>,
        message: &str,
        author: &Author,
    ) -> Result<usize, NoteWriteError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let place = self.notes_place()?;
            let (tree, added) = self.with_lines(place, new)?;
            let has_merged = |other: ObjectId| match place.commit {
                Some(ours) => is_ancestor(self.repository(), other, ours),
                None => Ok(false),
            };
            let already = match merged {
                Some(other) => has_merged(other)?,
                None => true,
            };
            if added == 0 && already {
                return Ok(0);
            }
            let parents: Vec<_> = place.commit.into_iter().chain(merged).collect();
            let commit = self.write_commit(tree, &parents, message, author)?;
            let expected = place.commit.map_or(PreviousValue::MustNotExist, |commit| {
                PreviousValue::MustExistAndMatch(Target::Object(commit))
            });
            match set_reference(self.repository(), NOTES_REF, commit, expected, author) {
                Ok(()) => {
                    durable::flush_ref(self.repository(), NOTES_REF).map_err(WriteError::Flush)?;
                    return Ok(added);
                }
                Err(source) => last = Some(source),
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        match last {
            Some(source) => Err(WriteError::Busy {
                attempts: ATTEMPTS,
                source,
            }
            .into()),
            None => Ok(0),
        }
    }

    /// The tree of `place` with these lines, and how many of them were new.
    fn with_lines(
        &self,
        place: Place,
        new: &BTreeMap<ObjectId, Vec<String>>,
    ) -> Result<(ObjectId, usize), NoteWriteError> {
        let repo = self.repository();
        let tree = match place.tree {
            Some(tree) => repo.find_tree(tree).map_err(reading(NOTES_REF))?,
            None => repo.empty_tree(),
        };
        let mut editor = tree.edit().map_err(reading(NOTES_REF))?;
        let (mut added, mut written) = (0, Vec::new());
        for (commit, lines) in new {
            let paths = match place.tree {
                Some(tree) => self.note_paths(tree, *commit)?,
                None => Vec::new(),
            };
            let mut here: Vec<String> = Vec::new();
            for (_, blob) in &paths {
                here.extend(self.note_blob(*blob)?);
            }
            let mut fresh: Vec<&String> = Vec::new();
            for line in lines {
                if !here.contains(line) && !fresh.contains(&line) {
                    fresh.push(line);
                }
            }
            if fresh.is_empty() {
                continue;
            }
            added += fresh.len();
            // What is there stays byte for byte, also what is no line of ours.
            let mut bytes = match paths.first() {
                Some((_, blob)) => repo.find_blob(*blob).map_err(reading(NOTES_REF))?.take_data(),
                None => Vec::new(),
            };
            if !bytes.is_empty() && !bytes.ends_with(b"\n") {
                bytes.push(b'\n');
            }
            for line in fresh {
                bytes.extend(line.as_bytes());
                bytes.push(b'\n');
            }
            let blob = repo.write_blob(&bytes).map_err(writing("a note"))?.detach();
            written.push(blob);
            let path = match paths.into_iter().next() {
                Some((path, _)) => path,
                None => self.path_for(place.tree, *commit)?,
            };
            editor.upsert(path, EntryKind::Blob, blob).map_err(reading(NOTES_REF))?;
        }
        let tree = editor
            .detach()
            .write(|tree| -> gix::Result<ObjectId> {
                let id = repo.write_object(tree)?.detach();
                written.push(id);
                Ok(id)
            })
            .map_err(writing("a tree"))?;
        durable::flush_objects(repo, &written).map_err(WriteError::Flush)?;
        Ok((tree, added))
    }

    fn lines_at(&self, place: Place, commit: ObjectId) -> Result<Vec<String>, ReadError> {
        let mut lines = Vec::new();
        if let Some(tree) = place.tree {
            for (_, blob) in self.note_paths(tree, commit)? {
                lines.extend(self.note_blob(blob)?);
            }
        }
        Ok(lines)
    }

    fn notes_place(&self) -> Result<Place, ReadError> {
        let found = self
            .repository()
            .try_find_reference(NOTES_REF)
            .map_err(reading(NOTES_REF))?;
        let Some(mut reference) = found else {
            return Ok(Place {
                commit: None,
                tree: None,
            });
        };
        let commit = reference.peel_to_commit().map_err(reading(NOTES_REF))?.id;
        Ok(Place {
            commit: Some(commit),
            tree: Some(self.tree_of(commit)?),
        })
    }

    /// Where the notes of `commit` lie: at its full name, and behind its first two digits as a directory.
    fn note_paths(&self, tree: ObjectId, commit: ObjectId) -> Result<Paths, ReadError> {
        let (hex, mut found) = (commit.to_hex().to_string(), Vec::new());
        let (mut here, mut done) = (tree, 0);
        for _ in 0..DEEPEST {
            let tree = self.repository().find_tree(here).map_err(reading(NOTES_REF))?;
            let entry = |name: &str| tree.find_entry(name).map(|entry| (entry.mode(), entry.object_id()));
            let path = |rest: &str| fanned_out(&hex[..done], rest);
            if let Some((mode, blob)) = entry(&hex[done..])
                && mode.is_blob()
            {
                found.push((path(&hex[done..]), blob));
            }
            match entry(&hex[done..done + 2]) {
                Some((mode, below)) if mode.is_tree() && done + 2 < hex.len() => (here, done) = (below, done + 2),
                _ => break,
            }
        }
        Ok(found)
    }

    /// Where git would look for a new note: as deep as the tree is fanned out there.
    fn path_for(&self, tree: Option<ObjectId>, commit: ObjectId) -> Result<String, ReadError> {
        let (hex, mut done) = (commit.to_hex().to_string(), 0);
        let Some(mut here) = tree else { return Ok(hex) };
        for _ in 0..DEEPEST {
            let tree = self.repository().find_tree(here).map_err(reading(NOTES_REF))?;
            let fans = tree
                .iter()
                .filter_map(Result::ok)
                .any(|entry| entry.mode().is_tree() && entry.filename().len() == 2);
            if !fans {
                break;
            }
            let below = tree
                .find_entry(&hex[done..done + 2])
                .filter(|entry| entry.mode().is_tree());
            done += 2;
            match below {
                Some(below) => here = below.object_id(),
                None => break,
            }
        }
        Ok(fanned_out(&hex[..done], &hex[done..]))
    }

    fn collect_notes(
        &self,
        tree: ObjectId,
        prefix: &str,
        depth: usize,
        found: &mut BTreeMap<ObjectId, ()>,
    ) -> Result<(), ReadError> {
        let tree = self.repository().find_tree(tree).map_err(reading(NOTES_REF))?;
        for entry in tree.iter() {
            let entry = entry.map_err(reading(NOTES_REF))?;
            let Ok(name) = entry.filename().to_str() else { continue };
            let name = format!("{prefix}{name}");
            if entry.mode().is_tree() && name.len() == prefix.len() + 2 && depth < DEEPEST {
                self.collect_notes(entry.object_id(), &name, depth + 1, found)?;
            } else if entry.mode().is_blob()
                && let Ok(commit) = ObjectId::from_hex(name.as_bytes())
            {
                found.insert(commit, ());
            }
        }
        Ok(())
    }

    /// The lines of a note; none of one that is too long to be one.
    fn note_blob(&self, blob: ObjectId) -> Result<Vec<String>, ReadError> {
        let header = self.repository().find_header(blob).map_err(reading(NOTES_REF))?;
        if header.size() > LARGEST {
            return Ok(Vec::new());
        }
        let blob = self.repository().find_blob(blob).map_err(reading(NOTES_REF))?;
        Ok(String::from_utf8_lossy(&blob.data)
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect())
    }
}

/// `ab/cd/rest` for the digits `abcd` and `rest`.
fn fanned_out(digits: &str, rest: &str) -> String {
    let mut path = String::new();
    for pair in digits.as_bytes().chunks(2) {
        path += &String::from_utf8_lossy(pair);
        path.push('/');
    }
    path + rest
}

/// Why a note was not written.
#[derive(Debug, thiserror::Error)]
pub enum NoteWriteError {
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<NoteWriteError> for SyncError {
    fn from(error: NoteWriteError) -> Self {
        match error {
            NoteWriteError::Read(error) => Self::Read(error),
            NoteWriteError::Write(error) => Self::Write(error),
        }
    }
}
