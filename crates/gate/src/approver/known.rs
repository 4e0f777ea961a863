//! What an expression over a tree means, remembered: evaluating a system takes a minute, and the approvals are made anew often.
//!
//! The name of a file is a digest of all that the meaning depends on. What is in it is checked as if it came from the evaluator,
//! and whether it is approved is decided again each time. Nothing is lost with a file that is missing or damaged.

use std::{collections::BTreeSet, fs, io::BufReader};

use nixstore::Sha256Digest;

use super::answer::Parts;
use crate::place::{Place, PlaceError};

/// How much of a machine's time is spent on making files smaller.
const LEVEL: i32 = 3;

/// What the meaning of an expression depends on: each in turn, with its length, so that no two are alike.
pub fn key(parts: &[&str]) -> Sha256Digest {
    let text: String = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    Sha256Digest::of(text)
}

/// What is remembered of it.
pub fn load(place: &Place, key: &Sha256Digest) -> Option<Parts> {
    let file = place.open_ours(&place.evaluated().join(key.to_string())).ok()?;
    let plain = zstd::stream::read::Decoder::new(file).ok()?;
    Parts::read(BufReader::new(plain)).ok()
}

/// Remembers it.
pub fn store(place: &Place, key: &Sha256Digest, parts: &Parts) -> Result<(), PlaceError> {
    let directory = place.evaluated();
    fs::create_dir_all(&directory).map_err(PlaceError::at("make the directory", &directory))?;
    place.replace(&directory.join(key.to_string()), 0o644, |file| {
        let mut out = zstd::stream::write::Encoder::new(file, LEVEL)?;
        parts.write(&mut out)?;
        out.finish().map(drop)
    })
}

/// Forgets all but these.
pub fn retain(place: &Place, keys: &BTreeSet<Sha256Digest>) {
    let keys: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
    for entry in fs::read_dir(place.evaluated()).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_none_or(|name| !keys.contains(name)) {
            // It is only in the way.
            drop(fs::remove_file(entry.path()));
        }
    }
}
