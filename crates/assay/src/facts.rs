//! The cache of what mathematics said ("this signature, by this key, over this digest, is good"; never who may), and of
//! answers about histories, each under the digest of all that decided it.
//!
//! One file in the user's cache directory, replaced whole. Where it is missing, damaged or cannot be written, the work is
//! done again. (A database would make a lock of it, and of a lock a failure; the file of 100,000 facts is read in
//! milliseconds.) Nothing that is signed rests on it.

use std::{env, fs, path::PathBuf};

use policy::Facts;

use crate::{output, settings::write_atomically};

/// The facts of this user's machine.
pub(crate) struct FactFile {
    path: Option<PathBuf>,
    /// What is known; add to it.
    pub facts: Facts,
}

/// No file is read that is larger: four million facts.
const LARGEST: u64 = 128 << 20;

impl FactFile {
    /// Reads what is known; nothing if `ask` is false.
    pub(crate) fn open(ask: bool) -> Self {
        let path = cache_directory().filter(|_| ask).map(|cache| cache.join("assay/facts"));
        let small = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
        let bytes = path
            .as_ref()
            .filter(|path| small(path))
            .and_then(|path| fs::read(path).ok());
        let facts = Facts::from_bytes(&bytes.unwrap_or_default());
        Self { path, facts }
    }

    /// Writes what was learnt. A cache that cannot be written is one that is not there.
    pub(crate) fn close(self) {
        let Some(path) = self.path.filter(|_| self.facts.has_grown()) else {
            return;
        };
        if let Err(error) = write_atomically(&path, &self.facts.to_bytes()) {
            output::note(&format!("what was calculated is not remembered: {error}"));
        }
    }
}

/// Who judges: an answer of another program, perhaps an older one with another rule, is not this one's.
pub(crate) fn judge() -> String {
    let file = env::current_exe().and_then(|path| Ok((fs::metadata(&path)?, path)));
    match file {
        Ok((file, path)) => format!(
            "{} {path:?} {} {:?}",
            env!("CARGO_PKG_VERSION"),
            file.len(),
            file.modified().ok()
        ),
        Err(_) => format!("{} {:?}", env!("CARGO_PKG_VERSION"), std::time::SystemTime::now()),
    }
}

fn cache_directory() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
}
