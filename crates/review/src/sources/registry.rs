//! Entries of generated sets against the index of the registry that they were generated from: Hackage's `01-index.tar`, in
//! which each release of a package has a `NAME/VERSION/package.json` with the SHA-256 of what was uploaded.
//!
//! The index is a TUF repository's of its own; its signatures are not looked at here: whoever fetched it says whose it is.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read},
    path::Path,
};

use nixexpr::FileFacts;
use nixstore::Sha256Digest;
use serde::Deserialize;

use super::{Outcome, named, plain, sha256};

/// What the index is called, with whatever it is compressed by.
const INDEX: [&str; 4] = ["01-index.tar", "01-index.tar.gz", "01-index.tar.xz", "01-index.tar.zst"];

/// No description of a release is longer.
const LONGEST: u64 = 64 << 10;

/// An entry of a generated set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    name: String,
    version: Option<String>,
    sha256: Option<Sha256Digest>,
}

/// What the registry says of each release, by `name/version`.
pub(super) type Index = HashMap<String, Sha256Digest>;

/// The entries that an expression has.
pub(super) fn entries(facts: &FileFacts<'_>) -> Vec<Entry> {
    let sources = facts.sources.iter().enumerate();
    let ours = sources.filter(|(_, source)| source.fetcher == "hackage");
    ours.map(|(at, source)| {
        let of = |package: &&nixexpr::Package<'_>| package.sources.known().is_some_and(|all| all.contains(&at));
        let package = facts.packages.iter().find(of);
        let name = package.and_then(|package| package.pname.known());
        Entry {
            name: name.map(ToString::to_string).unwrap_or_default(),
            version: source.revision.known().map(ToString::to_string),
            sha256: source.hash.known().and_then(sha256),
        }
    })
    .collect()
}

/// Reads the index in a directory; `None` if there is none.
pub(super) fn index(directory: &Path) -> io::Result<Option<Index>> {
    let Some(path) = INDEX
        .iter()
        .map(|name| directory.join(name))
        .find(|path| path.is_file())
    else {
        return Ok(None);
    };
    let bytes = fs::read(path)?;
    let mut index = Index::new();
    for entry in tar::Archive::new(plain(&bytes)?).entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let Some(release) = path.strip_suffix("/package.json").map(ToOwned::to_owned) else {
            continue;
        };
        let mut text = Vec::new();
        entry.take(LONGEST).read_to_end(&mut text)?;
        if let Some(digest) = uploaded(&text, &release) {
            // The index only grows: what comes later holds.
            index.insert(release, digest);
        }
    }
    Ok(Some(index))
}

#[derive(Deserialize)]
struct Description {
    signed: Targets,
}

#[derive(Deserialize)]
struct Targets {
    targets: BTreeMap<String, Target>,
}

#[derive(Deserialize)]
struct Target {
    hashes: BTreeMap<String, String>,
}

/// The digest of the upload of `name/version`.
fn uploaded(text: &[u8], release: &str) -> Option<Sha256Digest> {
    let description: Description = serde_json::from_slice(text).ok()?;
    let (name, version) = release.split_once('/')?;
    let file = format!("/{name}-{version}.tar.gz");
    let mut targets = description.signed.targets.into_iter();
    let (_, target) = targets.find(|(path, _)| path.ends_with(&file))?;
    target.hashes.get("sha256")?.parse().ok()
}

/// Holds the entries that changed against the index; `None` if none did.
pub(super) fn compared(old: &[Entry], new: &[Entry], index: &io::Result<Option<Index>>) -> Option<(String, Outcome)> {
    let changed: Vec<_> = new.iter().filter(|entry| !old.contains(entry)).collect();
    let first = changed.first()?;
    let about = match changed.len() {
        1 => format!("{} {}", first.name, first.version.as_deref().unwrap_or("?")),
        count => format!("{count} entries"),
    };
    let outcome = match index {
        Err(error) => Outcome::Wanted(format!("the registry's index cannot be read: {error}")),
        Ok(None) => Outcome::Wanted(format!(
            "the registry's index is not at hand: put https://hackage.haskell.org/{} there",
            INDEX[1]
        )),
        Ok(Some(index)) => judged(&changed, index),
    };
    Some((about, outcome))
}

fn judged(changed: &[&Entry], index: &Index) -> Outcome {
    let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
    for entry in changed {
        let (Some(version), Some(sha256)) = (&entry.version, entry.sha256) else {
            unknown.push(entry.name.clone());
            continue;
        };
        let release = format!("{}/{version}", entry.name);
        match index.get(&release) {
            Some(found) if *found == sha256 => {}
            Some(found) => wrong.push(format!("{release} is {found} in the index, {sha256} in the set")),
            None => wrong.push(format!("{release} is not in the index")),
        }
    }
    if !wrong.is_empty() {
        Outcome::Found(named(wrong.into_iter()))
    } else if !unknown.is_empty() {
        Outcome::Wanted(format!(
            "version or hash is not written out: {}",
            named(unknown.into_iter())
        ))
    } else {
        Outcome::Clean(format!(
            "all {} that changed are as in the registry's index",
            changed.len()
        ))
    }
}
