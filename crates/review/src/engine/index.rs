//! Which expressions of two trees have a hash, and which read a version: found in their bytes, so that only those files
//! are parsed that matter.
//!
//! A day's import asks this of the whole tree; to parse all of it would make every day cost as much as the tree.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use importer::{Repository, TreeFile};
use nixexpr::hash::{Algorithm, Digest};

/// So many files in a row are the work of one thread.
const RUN: usize = 32;

/// What the files say, by their positions in the list that it was made of.
#[derive(Default)]
pub(super) struct Index {
    hashes: HashMap<Digest, Vec<usize>>,
    readers: HashMap<Box<str>, Vec<usize>>,
    /// What collections call a path, from the tree's root.
    called: HashMap<String, BTreeSet<String>>,
}

/// Something that a file has.
enum Seen {
    Hash(Digest),
    Reads(Box<str>),
    Calls(String, String),
}

impl Index {
    /// Looks at the bytes of all files, on all cores.
    pub(super) fn of(repository: &Repository, files: &[TreeFile]) -> Self {
        let next = AtomicUsize::new(0);
        let work = |repository: Repository| {
            let mut seen = Vec::new();
            loop {
                let from = next.fetch_add(RUN, Ordering::Relaxed);
                let run = files.get(from..files.len().min(from + RUN));
                let Some(run) = run.filter(|run| !run.is_empty()) else {
                    return seen;
                };
                for (at, file) in (from..).zip(run) {
                    // A file that cannot be read is an error where it is judged itself.
                    if let Ok(bytes) = repository.shared_blob(file.id) {
                        look(file, &bytes, |found| seen.push((at, found)));
                    }
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
        let mut seen = thread::scope(|scope| {
            let others: Vec<_> = (0..threads)
                .map(|_| {
                    let repository = repository.clone();
                    scope.spawn(|| work(repository))
                })
                .collect();
            let joined = others
                .into_iter()
                .flat_map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            joined.collect::<Vec<_>>()
        });
        // Which thread came first is chance.
        seen.sort_by_key(|(at, _)| *at);
        let mut index = Self::default();
        for (at, seen) in seen {
            match seen {
                Seen::Hash(hash) => index.hashes.entry(hash).or_default().push(at),
                Seen::Reads(name) => index.readers.entry(name).or_default().push(at),
                Seen::Calls(path, name) => drop(index.called.entry(path).or_default().insert(name)),
            }
        }
        index
    }

    /// Files in which this hash is written, in whatever spelling.
    pub(super) fn written(&self, hash: &Digest) -> impl Iterator<Item = usize> + use<'_> {
        self.hashes.get(hash).into_iter().flatten().copied()
    }

    /// Files that read the version, the name or the source of what is called so.
    pub(super) fn readers(&self, name: &str) -> impl Iterator<Item = usize> + use<'_> {
        self.readers.get(name).into_iter().flatten().copied()
    }

    /// What collections call the package at this path.
    pub(super) fn called(&self, path: &str) -> impl Iterator<Item = String> + use<'_> {
        self.called.get(path).into_iter().flatten().cloned()
    }
}

fn look(file: &TreeFile, bytes: &[u8], mut seen: impl FnMut(Seen)) {
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_digest_char(**byte)).count();
        if length >= SHORTEST {
            hashes(&bytes[at..at + length], &mut seen);
        }
        at += length;
        let rest = &bytes[at..];
        if [&b".version"[..], b".name", b".src"]
            .iter()
            .any(|read| rest.starts_with(read))
        {
            reads(last_name(&bytes[..at]), &mut seen);
        }
        at += 1;
    }
    for call in [&b"getVersion "[..], b"getName "] {
        for after in occurrences(bytes, call) {
            let is_path = |byte: &&u8| is_name_char(**byte) || **byte == b'.';
            let end = after.iter().take_while(is_path).count();
            reads(last_name(&after[..end]), &mut seen);
        }
    }
    if crate::partition::is_collection(&file.path) {
        calls(file, bytes, &mut seen);
    }
}

/// The shortest spelling of a hash: MD5 in base64 without its padding.
const SHORTEST: usize = 22;

const fn is_digest_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

const fn is_name_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'\'')
}

/// What a run of such characters may be the hash of: its length tells.
fn hashes(run: &[u8], seen: &mut impl FnMut(Seen)) {
    let Ok(text) = std::str::from_utf8(run) else { return };
    for (algorithm, lengths) in [
        (Algorithm::Md5, [32, 26, 24, 22]),
        (Algorithm::Sha1, [40, 32, 28, 27]),
        (Algorithm::Sha256, [64, 52, 44, 43]),
        (Algorithm::Sha512, [128, 103, 88, 86]),
    ] {
        if lengths.contains(&run.len())
            && let Some(digest) = Digest::parse(Some(algorithm), text)
        {
            seen(Seen::Hash(digest));
        }
    }
}

fn reads(name: &[u8], seen: &mut impl FnMut(Seen)) {
    if let Ok(name) = std::str::from_utf8(name)
        && !name.is_empty()
    {
        seen(Seen::Reads(name.into()));
    }
}

/// The name that a text ends with.
fn last_name(text: &[u8]) -> &[u8] {
    let length = text.iter().rev().take_while(|byte| is_name_char(**byte)).count();
    &text[text.len() - length..]
}

/// What follows each occurrence of a word.
fn occurrences<'a>(bytes: &'a [u8], word: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == word[0]);
    begins.filter_map(|(at, _)| bytes[at..].strip_prefix(word))
}

/// `name = callPackage ../a/path { … }`, each on a line.
fn calls(file: &TreeFile, bytes: &[u8], seen: &mut impl FnMut(Seen)) {
    let directory = file.path.parent().unwrap_or("");
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(is_name_char) {
            continue;
        }
        let words = value.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ';' | '{'));
        let mut paths = words.filter(|word| word.starts_with('.'));
        if let Some(path) = paths.find_map(|word| resolved(directory, word)) {
            seen(Seen::Calls(path, name.to_owned()));
        }
    }
}

/// A relative path from the tree's root.
fn resolved(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_in_its_directory() {
        for (directory, path, wanted) in [
            ("pkgs/top-level", "../tools/x", Some("pkgs/tools/x")),
            ("pkgs/top-level", "./a.nix", Some("pkgs/top-level/a.nix")),
            ("pkgs", "../../x", None),
        ] {
            assert_eq!(resolved(directory, path).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn every_spelling_of_a_hash_is_seen() {
        let hexadecimal = "ab".repeat(32);
        let digest = Digest::parse(Some(Algorithm::Sha256), &hexadecimal).unwrap();
        let sri = digest.to_string();
        let base64 = sri.trim_start_matches("sha256-");
        for text in [&hexadecimal, base64, base64.trim_end_matches('=')] {
            let mut found = Vec::new();
            hashes(text.as_bytes(), &mut |seen| found.push(seen));
            assert!(matches!(&found[..], [Seen::Hash(hash)] if *hash == digest), "{text}");
        }
    }
}
