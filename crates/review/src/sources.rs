//! The sources that a change fetches, looked at where somebody has them at hand.
//!
//! An expression says which bytes are fetched, not what is in them. Whoever keeps fetched tarballs and clones in a
//! directory can ask: is the revision one that the project published, has the tarball what its tag lacks, did files come
//! that nobody can read. The answers are for people; what is signed and counted does not depend on them.
//!
//! Entries of a set that was generated from a registry are compared with the registry's index ([`registry`]).
//!
//! A tarball is found by its hash, whatever it is called. A clone is found as `owner/repository`, or under the name of
//! the package, with or without `.git`.

mod registry;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use importer::{FileMode, ObjectId, Repository};
use nixexpr::{FileFacts, Source};
use nixstore::Sha256Digest;

use crate::{UnitChange, change::bytes, finding::is_binary};

/// No source is unpacked beyond so many bytes.
const MOST: u64 = 4 << 30;

/// So many names are given of what was found.
const NAMED: usize = 8;

/// What looking at a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The rule.
    pub code: &'static str,
    /// What it was about: a URL or a revision, as written.
    pub source: String,
    /// What was found.
    pub outcome: Outcome,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// What the rule is about is there.
    Found(String),
    /// It was looked for, and is not there.
    Clean(String),
    /// It could not be looked for: what is missing.
    Wanted(String),
}

/// Why sources could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// The directory, or something in it, cannot be read.
    #[error("{path} cannot be read")]
    Io {
        /// What.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The changed expressions cannot be read.
    #[error(transparent)]
    Object(#[from] importer::ObjectError),
}

/// A directory of tarballs and clones.
#[derive(Debug)]
pub struct Sources {
    directory: PathBuf,
    /// Plain files by the SHA-256 of their bytes.
    tarballs: BTreeMap<Sha256Digest, PathBuf>,
    /// Read when it is first asked.
    index: OnceLock<io::Result<Option<registry::Index>>>,
}

/// The files of a source by their paths, and whether nobody can read them as text.
type Contents = BTreeMap<String, Member>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    sha256: Sha256Digest,
    binary: bool,
}

/// What is known of a source on one side of a change.
struct Known {
    name: String,
    written: String,
    project: String,
    version: Option<String>,
    revision: Option<String>,
    tarball: Option<PathBuf>,
    uploaded: bool,
}

impl Sources {
    /// Reads which tarballs a directory has.
    pub fn open(directory: &Path) -> Result<Self, SourcesError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SourcesError::Io { path, source }
        };
        let mut tarballs = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(failed(directory))? {
            let path = entry.map_err(failed(directory))?.path();
            if path.is_file() {
                let bytes = fs::read(&path).map_err(failed(&path))?;
                tarballs.insert(Sha256Digest::of(&bytes), path);
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            tarballs,
            index: OnceLock::new(),
        })
    }

    /// Looks at the sources that a change fetches anew.
    pub fn check(&self, repository: &Repository, change: &UnitChange) -> Result<Vec<Checked>, SourcesError> {
        let mut checked = Vec::new();
        for file in &change.files {
            let path = file.change.path.as_str();
            if !path.ends_with(".nix") {
                continue;
            }
            if let Some(part) = &file.part {
                let [old, new] = [&part.old, &part.new].map(|side| {
                    let text = side.as_ref().map(|(_, text)| text.as_slice());
                    let whole = self.read(path, text, registry::entries);
                    // A binding is no expression; a set of it alone is one.
                    let set = text.map(|binding| [b"{ ", binding, b" }"].concat());
                    [whole, self.read(path, set.as_deref(), registry::entries)].concat()
                });
                checked.extend(self.of_registry(&old, &new));
                continue;
            }
            let (old, new) = (bytes(repository, file.change.old)?, bytes(repository, file.change.new)?);
            let [old_entries, new_entries] =
                [&old, &new].map(|side| self.read(path, side.as_deref(), registry::entries));
            checked.extend(self.of_registry(&old_entries, &new_entries));
            let known = |side: &Option<Vec<u8>>| self.read(path, side.as_deref(), |facts| self.known(facts));
            let (old, new) = (known(&old), known(&new));
            for (at, source) in new.iter().enumerate() {
                if old.iter().any(|known| known.written == source.written) {
                    continue;
                }
                let before = old
                    .iter()
                    .find(|known| known.name == source.name)
                    .or_else(|| old.get(at));
                checked.extend(self.look(source, before));
            }
        }
        Ok(checked)
    }

    /// What `facts` says of a side of a change; nothing of one that is not there, or that is no expression.
    fn read<T>(&self, path: &str, side: Option<&[u8]>, facts: impl Fn(&FileFacts<'_>) -> Vec<T>) -> Vec<T> {
        let parsed = side.and_then(|text| nixexpr::parse(path, text).ok());
        parsed.map(|parsed| facts(&nixexpr::facts(&parsed))).unwrap_or_default()
    }

    fn of_registry(&self, old: &[registry::Entry], new: &[registry::Entry]) -> Option<Checked> {
        if new.is_empty() {
            return None;
        }
        let index = self.index.get_or_init(|| registry::index(&self.directory));
        let (source, outcome) = registry::compared(old, new, index)?;
        Some(Checked {
            code: "generated-set",
            source,
            outcome,
        })
    }

    fn known(&self, facts: &FileFacts<'_>) -> Vec<Known> {
        let describe = |(index, source): (usize, &Source<'_>)| {
            let of = |package: &&nixexpr::Package<'_>| package.sources.known().is_some_and(|all| all.contains(&index));
            let package = facts.packages.iter().find(of);
            let urls = source.urls.known().map(|urls| urls.join(" "));
            let revision = source.revision.known().map(ToString::to_string);
            let project = source
                .origin
                .known()
                .map(|origin| origin.project.clone())
                .unwrap_or_default();
            let hash = source.hash.known().and_then(sha256);
            Known {
                name: package
                    .and_then(|package| package.pname.known())
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                written: format!(
                    "{} {}",
                    urls.as_deref().unwrap_or(&project),
                    revision.as_deref().unwrap_or_default()
                )
                .trim()
                .to_owned(),
                version: package
                    .and_then(|package| package.version.known())
                    .map(ToString::to_string),
                tarball: hash.and_then(|hash| self.tarballs.get(&hash).cloned()),
                uploaded: urls.is_some(),
                project,
                revision,
            }
        };
        facts.sources.iter().enumerate().map(describe).collect()
    }

    fn look(&self, source: &Known, before: Option<&Known>) -> Vec<Checked> {
        let checked = |code, outcome| Checked {
            code,
            source: source.written.clone(),
            outcome,
        };
        let clone = self.clone_of(source);
        let mut all = Vec::new();
        if let Some(revision) = &source.revision
            && let Ok(id) = ObjectId::from_hex(revision.as_bytes())
        {
            all.push(checked("rev-unreachable", unreachable(clone.as_ref(), id, source)));
        }
        let tag = clone.as_ref().and_then(|clone| tree_of(clone, source));
        let tarball = source.tarball.as_deref().map(unpack);
        if source.uploaded {
            let outcome = match (&tarball, &tag) {
                (Some(Ok(tarball)), Some(tag)) => not_in_tag(tarball, tag),
                (Some(Err(error)), _) => Outcome::Wanted(format!("the tarball cannot be unpacked: {error}")),
                (None, _) => Outcome::Wanted(format!("no file of this hash in {}", self.directory.display())),
                (_, None) => Outcome::Wanted(format!("no clone of {} with a tag of this version", source.title())),
            };
            all.push(checked("tarball-not-tag", outcome));
        }
        let now = tarball.and_then(Result::ok).or(tag);
        let earlier = before.and_then(|before| {
            let unpacked = before.tarball.as_deref().and_then(|path| unpack(path).ok());
            unpacked.or_else(|| tree_of(self.clone_of(before).as_ref()?, before))
        });
        let outcome = match (&now, &earlier) {
            (Some(now), Some(earlier)) => opaque(now, earlier),
            (None, _) => Outcome::Wanted("neither tarball nor clone is at hand".to_owned()),
            (_, None) => Outcome::Wanted("nothing to compare with: the source before is not at hand".to_owned()),
        };
        all.push(checked("opaque-fixture", outcome));
        all
    }

    fn clone_of(&self, source: &Known) -> Option<Repository> {
        let names = [&source.project, &source.name].into_iter().filter(|name| {
            // Names from an expression stay below the directory.
            !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        });
        names
            .flat_map(|name| [name.clone(), format!("{name}.git")])
            .find_map(|name| Repository::open(&self.directory.join(name)).ok())
    }
}

impl Known {
    fn title(&self) -> &str {
        if self.project.is_empty() {
            &self.name
        } else {
            &self.project
        }
    }
}

fn sha256(digest: &nixexpr::hash::Digest) -> Option<Sha256Digest> {
    let bytes = <[u8; 32]>::try_from(digest.bytes.as_slice()).ok()?;
    (digest.algorithm == nixexpr::hash::Algorithm::Sha256).then(|| Sha256Digest::from_bytes(bytes))
}

fn unreachable(clone: Option<&Repository>, id: ObjectId, source: &Known) -> Outcome {
    let Some(clone) = clone else {
        return Outcome::Wanted(format!("no clone of {}", source.title()));
    };
    if clone.commit(id).is_err() {
        return Outcome::Wanted(format!("the clone of {} lacks {id}: fetch it", source.title()));
    }
    match clone.is_published(id) {
        Ok(true) => Outcome::Clean("a branch or tag contains it".to_owned()),
        Ok(false) => Outcome::Found(format!("no branch and no tag of {} contains {id}", source.title())),
        Err(error) => Outcome::Wanted(error.to_string()),
    }
}

/// The files at the revision, or the tag of the version.
fn tree_of(clone: &Repository, source: &Known) -> Option<Contents> {
    let version = source.version.as_deref().unwrap_or_default();
    let tags = ["", "v", "V", "release-", "rel-"].map(|prefix| format!("refs/tags/{prefix}{version}"));
    let named = [format!("refs/tags/{}-{version}", source.name)];
    let revision = source
        .revision
        .iter()
        .flat_map(|revision| [revision.clone(), format!("refs/tags/{revision}")]);
    let commit = revision
        .chain(tags)
        .chain(named)
        .find_map(|name| clone.resolve(&name).ok())?;
    let listing = clone.listing(clone.commit(commit).ok()?.tree).ok()?;
    let files = listing.files().iter().filter(|file| file.mode != FileMode::Submodule);
    files
        .map(|file| {
            let bytes = clone.blob(file.id).ok()?;
            Some((file.path.to_string(), Member::of(&bytes)))
        })
        .collect()
}

impl Member {
    fn of(bytes: &[u8]) -> Self {
        Self {
            sha256: Sha256Digest::of(bytes),
            binary: is_binary(bytes),
        }
    }
}

/// The files of a tarball, without its top directory.
fn unpack(path: &Path) -> io::Result<Contents> {
    let bytes = fs::read(path)?;
    let mut contents = Contents::new();
    for entry in tar::Archive::new(plain(&bytes)?).entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_string_lossy().into_owned();
        let inner = path
            .trim_start_matches("./")
            .split_once('/')
            .map_or(path.as_str(), |(_, inner)| inner);
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        contents.insert(inner.to_owned(), Member::of(&bytes));
    }
    if contents.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no tar archive with files in it",
        ));
    }
    Ok(contents)
}

/// The bytes of a file, whatever it is compressed by.
fn plain(bytes: &[u8]) -> io::Result<impl Read> {
    let reader: Box<dyn Read> = match bytes.get(..6) {
        Some([0x1f, 0x8b, ..]) => Box::new(io::Cursor::new(gunzip(bytes)?)),
        Some([0xfd, b'7', b'z', b'X', b'Z', 0]) => Box::new(liblzma::read::XzDecoder::new(bytes)),
        Some([0x28, 0xb5, 0x2f, 0xfd, ..]) => Box::new(zstd::Decoder::new(bytes)?),
        _ => Box::new(bytes),
    };
    Ok(reader.take(MOST))
}

fn gunzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    importer::gunzip(bytes, MOST).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not gzip, or too large"))
}

/// Files of a tarball that its tag lacks, or has otherwise: where the trigger of the xz attack was.
fn not_in_tag(tarball: &Contents, tag: &Contents) -> Outcome {
    let odd = tarball.iter().filter_map(|(path, member)| match tag.get(path) {
        Some(known) if known.sha256 == member.sha256 => None,
        Some(_) => Some((path, "differs")),
        None => Some((path, "added")),
    });
    let mut odd: Vec<_> = odd.collect();
    // What runs when it is built comes first.
    odd.sort_by_key(|(path, _)| (!runs_at_build(path), *path));
    match odd.len() {
        0 => Outcome::Clean(format!("all {} files of the tarball are the tag's", tarball.len())),
        count => Outcome::Found(format!(
            "{count} of {} files are not the tag's: {}",
            tarball.len(),
            named(odd.iter().map(|(path, how)| format!("{path} ({how})")))
        )),
    }
}

/// Files that came with this source and that nobody can read: where the payload of the xz attack was.
fn opaque(now: &Contents, earlier: &Contents) -> Outcome {
    let new = now.iter().filter(|(path, _)| !earlier.contains_key(*path));
    let odd: Vec<_> = new
        .filter(|(path, member)| member.binary || is_generated(path))
        .map(|(path, _)| path.clone())
        .collect();
    match odd.len() {
        0 => Outcome::Clean("no binary and no generated file came with it".to_owned()),
        count => Outcome::Found(format!(
            "{count} files came that are binary or generated: {}",
            named(odd.into_iter())
        )),
    }
}

fn named(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut text = names.take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn runs_at_build(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    is_generated(path)
        || name.starts_with("Makefile")
        || [".m4", ".sh", ".ac", ".am", ".cmake", ".py"]
            .iter()
            .any(|end| name.ends_with(end))
}

fn is_generated(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "configure" || name.ends_with(".m4") || name.ends_with("Makefile.in")
}
