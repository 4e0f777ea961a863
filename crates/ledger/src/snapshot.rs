//! One commit of the ledger, read lazily: names first, contents where they are asked for.

use std::{collections::BTreeMap, fmt, num::NonZeroUsize, thread};

use attestation::{RoleName, Sha256Digest};
use gix::{ObjectId, bstr::ByteSlice, objs::tree::EntryMode};

use crate::{
    file::{
        self, ContentError, EvidenceFile, KeyringFile, MetadataFile, PatchFile, ProposalFile, RootFile, SignatureFile,
        StatementFile,
    },
    pack_order,
    path::LedgerPath,
    store::{ReadError, reading},
};

/// The largest file of the ledger that is read, in bytes: a review of some 50,000 changes.
const LARGEST: u64 = 64 << 20;

/// So few statements are not worth another thread.
const FEW: usize = 1_000;

/// The ledger as one commit has it.
#[derive(Clone)]
pub struct Snapshot {
    repo: gix::Repository,
    commit: ObjectId,
    tree: ObjectId,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("commit", &self.commit)
            .finish_non_exhaustive()
    }
}

/// Files of one kind: those that are what their names say, and what is wrong with the others.
#[derive(Debug)]
pub struct Listing<T> {
    /// The good ones, in the order of their names (roots and metadata: of their versions).
    pub files: Vec<T>,
    /// The others.
    pub problems: Vec<Problem>,
}

/// Something in the ledger that has no meaning. It is passed over, never removed, and never fatal.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Not a path of the ledger.
    #[error("{path} does not belong into a ledger")]
    Foreign {
        /// The path; a directory is named, not its files.
        path: String,
    },
    /// The file is not what its name says.
    #[error("{path} is not what its name says")]
    Content {
        /// The file.
        path: LedgerPath,
        /// What is wrong.
        #[source]
        source: Box<ContentError>,
    },
    /// The file is larger than any that we write.
    #[error("{path} has {size} bytes, at most {LARGEST} are read")]
    TooLarge {
        /// The file.
        path: LedgerPath,
        /// Its size in bytes.
        size: u64,
    },
    /// The repository is damaged.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: LedgerPath,
        /// What git's files said.
        #[source]
        source: Box<gix::Error>,
    },
    /// A root is here whose predecessor is not.
    #[error("root {found} is here, root {missing} is not")]
    RootGap {
        /// The version that is here.
        found: u64,
        /// The version that is missing.
        missing: u64,
    },
}

impl Problem {
    /// Whether nobody's mistake explains it well: a name that contradicts its content.
    pub const fn is_alarm(&self) -> bool {
        matches!(self, Self::Content { source, .. } if source.is_alarm())
    }
}

/// An entry of the ledger's tree.
enum Entry {
    File(LedgerPath, ObjectId),
    Foreign(String),
}

impl Snapshot {
    pub(crate) fn at(repo: gix::Repository, commit: ObjectId) -> Result<Self, ReadError> {
        let tree = repo
            .find_commit(commit)
            .and_then(|commit| Ok(commit.tree_id()?.detach()))
            .map_err(reading(format!("commit {commit}")))?;
        Ok(Self { repo, commit, tree })
    }

    /// The commit.
    pub const fn commit(&self) -> ObjectId {
        self.commit
    }

    /// The roots, in order, as far as they follow each other from version 1 without a gap.
    pub fn roots(&self) -> Result<Listing<RootFile>, ReadError> {
        let mut listing = self.listing("root", |path, bytes| match path {
            LedgerPath::Root { version } => file::read_root(*version, bytes).map(Some),
            _ => Ok(None),
        })?;
        listing.files.sort_by_key(|root| root.version);
        let follow = listing
            .files
            .iter()
            .zip(1..)
            .take_while(|(root, version)| root.version.get() == *version)
            .count();
        if let Some(beyond) = listing.files.get(follow) {
            listing.problems.push(Problem::RootGap {
                found: beyond.version.get(),
                missing: follow as u64 + 1,
            });
        }
        listing.files.truncate(follow);
        Ok(listing)
    }

    /// The certificates.
    pub fn keyring(&self) -> Result<Listing<KeyringFile>, ReadError> {
        self.listing("keyring", |path, bytes| match path {
            LedgerPath::Keyring { file } => file::read_certificate(*file, bytes).map(Some),
            _ => Ok(None),
        })
    }

    /// What tokens attest of keys.
    pub fn evidence(&self) -> Result<Listing<EvidenceFile>, ReadError> {
        self.listing("evidence", |path, bytes| match path {
            LedgerPath::Evidence { file } => file::read_evidence(*file, bytes).map(Some),
            _ => Ok(None),
        })
    }

    /// What waits for signatures, or has waited.
    pub fn proposals(&self) -> Result<Listing<ProposalFile>, ReadError> {
        self.listing("proposals", |path, bytes| match path {
            LedgerPath::Proposal { payload } => file::read_proposal(*payload, &bytes).map(Some),
            _ => Ok(None),
        })
    }

    /// One proposal.
    pub fn proposal(&self, payload: Sha256Digest) -> Result<Option<Result<ProposalFile, Problem>>, ReadError> {
        let path = LedgerPath::Proposal { payload };
        let found = self.entry(&path)?;
        Ok(found.map(|blob| self.read(path, blob, |bytes| file::read_proposal(payload, &bytes))))
    }

    /// One patch.
    pub fn patch(&self, digest: Sha256Digest) -> Result<Option<Result<PatchFile, Problem>>, ReadError> {
        let path = LedgerPath::Patch { file: digest };
        let found = self.entry(&path)?;
        Ok(found.map(|blob| self.read(path, blob, |bytes| file::read_patch(digest, bytes))))
    }

    /// The signatures over the payload with this digest.
    pub fn signatures(&self, payload: Sha256Digest) -> Result<Listing<SignatureFile>, ReadError> {
        self.listing(&format!("signatures/{payload}"), |path, bytes| match path {
            LedgerPath::Signature { payload, key } => file::read_signature(*payload, key, &bytes).map(Some),
            _ => Ok(None),
        })
    }

    /// Finished targets of all roles.
    pub fn metadata(&self) -> Result<Listing<MetadataFile>, ReadError> {
        let mut listing = self.listing("metadata", |path, bytes| match path {
            LedgerPath::Metadata { version, role } => file::read_metadata(*version, role.clone(), bytes).map(Some),
            _ => Ok(None),
        })?;
        listing
            .files
            .sort_by(|a, b| (&a.role, a.version).cmp(&(&b.role, b.version)));
        Ok(listing)
    }

    /// The finished targets of `role` with the highest version, unless there are none.
    pub fn newest_metadata(&self, role: &RoleName) -> Result<Option<Result<MetadataFile, Problem>>, ReadError> {
        let mut versions = BTreeMap::new();
        for entry in self.entries("metadata")? {
            match entry {
                Entry::File(LedgerPath::Metadata { version, role: of }, blob) if of == *role => {
                    versions.insert(version, blob);
                }
                _ => {}
            }
        }
        Ok(versions.pop_last().map(|(version, blob)| {
            let role = role.clone();
            let path = LedgerPath::Metadata {
                version,
                role: role.clone(),
            };
            self.read(path, blob, |bytes| file::read_metadata(version, role, bytes))
        }))
    }

    /// The digests of all statements' envelopes, sorted: their names, without reading them.
    pub fn statement_names(&self) -> Result<Vec<Sha256Digest>, ReadError> {
        let entries = self.entries("statements")?;
        Ok(entries
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::File(LedgerPath::Statement { envelope }, _) => Some(envelope),
                _ => None,
            })
            .collect())
    }

    /// Every statement, in the order of the names. `threads` read them: of 100,000, each is found, hashed and parsed.
    pub fn statements(&self, threads: NonZeroUsize) -> Result<Vec<Result<StatementFile, Problem>>, ReadError> {
        let entries = self.entries("statements")?;
        let share = entries.len().div_ceil(threads.get()).max(FEW);
        let near = pack_order::sorted(&self.repo, &entries, |entry| match entry {
            Entry::File(_, blob) => Some(*blob),
            Entry::Foreign(_) => None,
        });
        let mut all = Vec::with_capacity(entries.len());
        thread::scope(|scope| {
            let readers: Vec<_> = near
                .chunks(share)
                .map(|piece| {
                    let snapshot = self.clone();
                    let read = move |(place, entry): &(usize, &Entry)| (*place, snapshot.statement_of(entry));
                    scope.spawn(move || piece.iter().map(read).collect::<Vec<_>>())
                })
                .collect();
            for reader in readers {
                all.extend(reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        all.sort_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, read)| read).collect())
    }

    fn statement_of(&self, entry: &Entry) -> Result<StatementFile, Problem> {
        match entry {
            Entry::File(path @ LedgerPath::Statement { envelope }, blob) => {
                self.read(path.clone(), *blob, |bytes| file::read_statement(*envelope, &bytes))
            }
            Entry::File(path, _) => Err(Problem::Foreign { path: path.to_string() }),
            Entry::Foreign(path) => Err(Problem::Foreign { path: path.clone() }),
        }
    }

    /// The statement whose envelope has this digest.
    pub fn statement(&self, envelope: Sha256Digest) -> Result<Option<Result<StatementFile, Problem>>, ReadError> {
        let path = LedgerPath::Statement { envelope };
        let found = self.entry(&path)?;
        Ok(found.map(|blob| self.read(path, blob, |bytes| file::read_statement(envelope, &bytes))))
    }

    /// The bytes of a file, unchecked.
    pub fn get(&self, path: &LedgerPath) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(blob) = self.entry(path)? else {
            return Ok(None);
        };
        let mut object = self.repo.find_blob(blob).map_err(reading(path.to_string()))?;
        Ok(Some(object.take_data()))
    }

    /// Every path of the ledger that is here, sorted.
    pub fn paths(&self) -> Result<Vec<LedgerPath>, ReadError> {
        let entries = self.entries("")?;
        let mut paths: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::File(path, _) => Some(path),
                Entry::Foreign(_) => None,
            })
            .collect();
        paths.sort();
        Ok(paths)
    }

    /// What is wrong anywhere in the ledger: foreign files, and files that are not what their names say.
    /// This reads everything.
    pub fn problems(&self) -> Result<Vec<Problem>, ReadError> {
        let mut problems = self.roots()?.problems;
        problems.retain(|problem| matches!(problem, Problem::RootGap { .. }));
        for entry in self.entries("")? {
            match entry {
                Entry::Foreign(path) => problems.push(Problem::Foreign { path }),
                Entry::File(path, blob) => {
                    let checked = self.read(path.clone(), blob, |bytes| file::check(&path, bytes));
                    problems.extend(checked.err());
                }
            }
        }
        Ok(problems)
    }

    fn listing<T>(
        &self,
        directory: &str,
        parse: impl Fn(&LedgerPath, Vec<u8>) -> Result<Option<T>, ContentError>,
    ) -> Result<Listing<T>, ReadError> {
        let mut listing = Listing {
            files: Vec::new(),
            problems: Vec::new(),
        };
        for entry in self.entries(directory)? {
            match entry {
                Entry::Foreign(path) => listing.problems.push(Problem::Foreign { path }),
                Entry::File(path, blob) => match self.read(path.clone(), blob, |bytes| parse(&path, bytes)) {
                    Ok(file) => listing.files.extend(file),
                    Err(problem) => listing.problems.push(problem),
                },
            }
        }
        Ok(listing)
    }

    fn read<T>(
        &self,
        path: LedgerPath,
        blob: ObjectId,
        parse: impl FnOnce(Vec<u8>) -> Result<T, ContentError>,
    ) -> Result<T, Problem> {
        // Asking for the size first would walk the same chain of deltas twice; the repository's limit bounds what is read.
        let loaded = self.repo.find_blob(blob).map(|mut blob| match blob.data.len() as u64 {
            size if size > LARGEST => Err(size),
            _ => Ok(blob.take_data()),
        });
        match loaded {
            Ok(Ok(bytes)) => parse(bytes).map_err(|source| Problem::Content {
                path,
                source: Box::new(source),
            }),
            Ok(Err(size)) => Err(Problem::TooLarge { path, size }),
            Err(source) => Err(Problem::Unreadable {
                path,
                source: Box::new(source),
            }),
        }
    }

    fn entry(&self, path: &LedgerPath) -> Result<Option<ObjectId>, ReadError> {
        let found = self
            .repo
            .find_tree(self.tree)
            .and_then(|tree| tree.lookup_entry_by_path(path.to_string()))
            .map_err(reading(path.to_string()))?;
        Ok(found
            .filter(|entry| entry.mode().is_blob())
            .map(|entry| entry.object_id()))
    }

    /// The entries below `directory` (empty: everywhere), in git's order.
    fn entries(&self, directory: &str) -> Result<Vec<Entry>, ReadError> {
        let tree = self
            .repo
            .find_tree(self.tree)
            .map_err(reading(format!("commit {}", self.commit)))?;
        let mut found = Vec::new();
        if directory.is_empty() {
            self.collect(self.tree, "", &mut found)?;
        } else if let Some(entry) = tree
            .lookup_entry_by_path(directory)
            .map_err(reading(directory.to_owned()))?
        {
            if entry.mode().is_tree() {
                self.collect(entry.object_id(), directory, &mut found)?;
            } else {
                found.push(Entry::Foreign(directory.to_owned()));
            }
        }
        Ok(found)
    }

    fn collect(&self, tree: ObjectId, prefix: &str, found: &mut Vec<Entry>) -> Result<(), ReadError> {
        let tree = self.repo.find_tree(tree).map_err(reading(prefix.to_owned()))?;
        for entry in tree.iter() {
            let entry = entry.map_err(reading(prefix.to_owned()))?;
            let name = entry.filename();
            let path = joined(prefix, &name.to_str_lossy());
            match kind(&path, entry.mode()) {
                _ if name.to_str().is_err() => found.push(Entry::Foreign(path)),
                Kind::Directory => self.collect(entry.object_id(), &path, found)?,
                Kind::File(known) => found.push(Entry::File(known, entry.object_id())),
                Kind::Foreign => found.push(Entry::Foreign(path)),
            }
        }
        Ok(())
    }
}

/// What an entry of the tree is.
pub(crate) enum Kind {
    /// A directory of the layout.
    Directory,
    /// A file of the layout.
    File(LedgerPath),
    /// Neither.
    Foreign,
}

pub(crate) fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    }
}

/// What `path` is. The directories of the layout are at most two deep, so no hostile tree makes us recurse.
pub(crate) fn kind(path: &str, mode: EntryMode) -> Kind {
    if mode.is_tree() && is_directory(path) {
        Kind::Directory
    } else if mode.is_blob() {
        path.parse().map_or(Kind::Foreign, Kind::File)
    } else {
        Kind::Foreign
    }
}

/// Whether the layout has a directory of this path.
pub(crate) fn is_directory(path: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match path.split_once('/') {
        None => matches!(
            path,
            "root" | "keyring" | "evidence" | "patches" | "statements" | "proposals" | "signatures" | "metadata"
        ),
        Some(("statements", rest)) => rest.len() == 2 && hex(rest),
        Some(("signatures", rest)) => rest.parse::<Sha256Digest>().is_ok(),
        Some(_) => false,
    }
}
