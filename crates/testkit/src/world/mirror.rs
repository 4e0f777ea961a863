//! The site in the hands of whoever serves it, who may have stolen the online key as well.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use attestation::tuf::{MetaFile, Metadata, Signature, Signed, Snapshot, Targets, Timestamp};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};

use super::World;

/// A served directory.
pub struct Mirror {
    root: PathBuf,
    online: SigningKey,
}

impl World {
    /// The site, and the online key.
    pub fn mirror(&self) -> Mirror {
        let text = fs::read_to_string(self.path("online.key")).expect("a key");
        let seed = HEXLOWER.decode(text.trim().as_bytes()).expect("a seed");
        Mirror {
            root: self.path("site"),
            online: SigningKey::from_bytes(&seed.try_into().expect("32 bytes")),
        }
    }

    /// The files below a directory of the world, by their paths in it.
    pub fn files(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.path(directory);
        let mut found = Vec::new();
        collect(&root, &mut found);
        let read = |path: PathBuf| {
            let name = path.strip_prefix(&root).expect("a path below").display().to_string();
            (name, fs::read(path).expect("a file"))
        };
        found.into_iter().map(read).collect()
    }

    /// Copies a directory of the world, replacing the copy.
    pub fn copy(&self, from: &str, to: &str) {
        let _ = fs::remove_dir_all(self.path(to));
        let mut cp = Command::new("cp");
        let status = cp.arg("-a").arg("-T").arg(self.path(from)).arg(self.path(to)).status();
        assert!(status.is_ok_and(|status| status.success()), "failed to copy {from}");
    }
}

impl Mirror {
    /// A file.
    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Replaces a file.
    pub fn write(&self, path: &str, bytes: &[u8]) {
        fs::write(self.root.join(path), bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// The files below a directory of the site, sorted, by their paths in the site.
    pub fn files(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.root.join(below), &mut found);
        let relative = |path: &PathBuf| path.strip_prefix(&self.root).map(|path| path.display().to_string());
        let mut names: Vec<String> = found.iter().filter_map(|path| relative(path).ok()).collect();
        names.sort();
        names
    }

    /// Does something with one byte of a file flipped, at this many per cent of its length, and puts it back.
    pub fn with_flipped_byte(&self, path: &str, percent: usize, act: impl FnOnce()) {
        let honest = self.read(path);
        let mut bytes = honest.clone();
        let at = (bytes.len() - 1) * percent / 100;
        bytes[at] ^= 0x01;
        self.write(path, &bytes);
        act();
        self.write(path, &honest);
    }

    /// A signed file.
    pub fn metadata<T: Metadata>(&self, path: &str) -> Signed<T> {
        Signed::from_exact(&self.read(&format!("metadata/{path}"))).expect("metadata")
    }

    /// The timestamp that is announced.
    pub fn timestamp(&self) -> Signed<Timestamp> {
        self.metadata("timestamp.json")
    }

    /// The snapshot that is announced.
    pub fn snapshot(&self) -> Signed<Snapshot> {
        let version = self.timestamp().claims.meta["snapshot.json"].version;
        self.metadata(&format!("{version}.snapshot.json"))
    }

    /// A role's targets that are announced.
    pub fn targets(&self, role: &str) -> Signed<Targets> {
        let version = self.snapshot().claims.meta[&format!("{role}.json")].version;
        self.metadata(&format!("{version}.{role}.json"))
    }

    /// Puts other bytes in the place of a role's targets, under `version`, and announces them with the online key.
    pub fn announce_targets(&self, role: &str, version: u64, bytes: &[u8]) {
        self.write(&format!("metadata/{version}.{role}.json"), bytes);
        self.announce(|snapshot| {
            snapshot
                .meta
                .insert(format!("{role}.json"), MetaFile::of(version, bytes));
        });
    }

    /// The next snapshot, changed, and the next timestamp, with the online key.
    pub fn announce(&self, edit: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = self.snapshot();
        let mut timestamp = self.timestamp();
        snapshot.claims.version += 1;
        edit(&mut snapshot.claims);
        let signed = self.sign(&snapshot);
        let version = signed.claims.version;
        let bytes = signed.to_bytes();
        self.write(&format!("metadata/{version}.snapshot.json"), &bytes);
        timestamp.claims.version += 1;
        timestamp
            .claims
            .meta
            .insert("snapshot.json".to_owned(), MetaFile::of(version, &bytes));
        self.write("metadata/timestamp.json", &self.sign(&timestamp).to_bytes());
    }

    /// The claims of a file, signed by the online key under the id that signed it before.
    fn sign<T: Metadata + Clone>(&self, file: &Signed<T>) -> Signed<T> {
        let payload = attestation::canonical::to_vec(&file.claims);
        let signature = Signature {
            keyid: file.signatures[0].keyid.clone(),
            other_headers: None,
            sig: HEXLOWER.encode(&self.online.sign(&payload).to_bytes()),
        };
        Signed::new(file.claims.clone(), vec![signature])
    }
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}
