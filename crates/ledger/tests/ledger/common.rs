//! People with clones of one bare repository, and real git.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use attestation::{
    ChainId, Sha256Digest, StatementId, Time,
    chain::ReleaseMark,
    dsse::Envelope,
    statement::{Claim, Statement, Violation},
    tuf::{Key, Root, SPEC_VERSION, Signature, Signed, Targets},
};
use ledger::{Author, Ledger, NewFile, Remote, Resolutions, git::Git};

pub(crate) struct World {
    directory: tempfile::TempDir,
}

impl World {
    /// A bare repository and nobody yet.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let world = Self { directory };
        world.git(&world.path(""), &["init", "--quiet", "--bare", "shared.git"]);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn shared(&self) -> PathBuf {
        self.path("shared.git")
    }

    /// A person's empty clone, with the bare repository as `origin`.
    pub(crate) fn person(&self, name: &str) -> Person<'_> {
        let path = self.path(name);
        self.git(&self.path(""), &["init", "--quiet", name]);
        self.git(&path, &["remote", "add", "origin", "../shared.git"]);
        Person { world: self, path }
    }

    pub(crate) fn environment(&self) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        vec![
            ("PATH".into(), path),
            ("HOME".into(), self.path("home").into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
            ("GIT_AUTHOR_NAME".into(), "Somebody".into()),
            ("GIT_AUTHOR_EMAIL".into(), "somebody@localhost".into()),
            ("GIT_COMMITTER_NAME".into(), "Somebody".into()),
            ("GIT_COMMITTER_EMAIL".into(), "somebody@localhost".into()),
        ]
    }

    pub(crate) fn process(&self) -> Git {
        Git::new(self.environment())
    }

    /// Runs git as somebody would by hand.
    pub(crate) fn git(&self, directory: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .env_clear()
            .envs(self.environment())
            .current_dir(directory)
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits to the shared ledger by hand: files to write (path, content) and paths to remove.
    pub(crate) fn vandalise(&self, write: &[(&str, &str)], remove: &[&str]) {
        let checkout = self.path("vandal");
        if checkout.exists() {
            std::fs::remove_dir_all(&checkout).unwrap();
        }
        let shared = self.shared();
        let shared = shared.to_str().unwrap();
        self.git(
            &self.path(""),
            &["clone", "--quiet", "--branch", "touchstone", shared, "vandal"],
        );
        for (path, content) in write {
            let path = checkout.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        for path in remove {
            self.git(&checkout, &["rm", "--quiet", "-r", path]);
        }
        self.git(&checkout, &["add", "--all"]);
        self.git(&checkout, &["commit", "--quiet", "-m", "vandalism"]);
        self.git(&checkout, &["push", "--quiet", "origin", "touchstone"]);
    }
}

pub(crate) struct Person<'w> {
    pub(crate) world: &'w World,
    pub(crate) path: PathBuf,
}

impl Person<'_> {
    pub(crate) fn create(&self) -> Ledger {
        Ledger::create(&self.path, &author()).unwrap()
    }

    pub(crate) fn join(&self) -> Ledger {
        Ledger::join(&self.path, &self.world.process(), &origin(), &author()).unwrap()
    }

    pub(crate) fn sync(&self, ledger: &Ledger) -> Result<ledger::Synced, ledger::SyncError> {
        ledger.sync(&self.world.process(), &origin(), &author(), &Resolutions::new())
    }
}

pub(crate) fn origin() -> Remote {
    Remote::new("origin").unwrap()
}

pub(crate) fn author() -> Author {
    Author::new("Alice", "alice@localhost", Time::from_unix(1_700_000_000)).unwrap()
}

pub(crate) fn statement(author: &str, seq: u64, prev: Option<StatementId>, reason: &str) -> Envelope {
    let statement = Statement {
        chain: ChainId::from_digest(Sha256Digest::of("chain")),
        author: author.parse().unwrap(),
        seq,
        prev,
        claim: Claim::Violation(Violation {
            contents: BTreeSet::new(),
            reason: reason.to_owned(),
            trees: BTreeSet::new(),
        }),
    };
    Envelope {
        payload: statement.to_bytes(),
        keyid: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
        signature: b"not checked here".to_vec(),
    }
}

/// A statement of `author` as a file.
pub(crate) fn said(author: &str, seq: u64, reason: &str) -> NewFile {
    let prev = (seq > 1).then(|| StatementId::from_digest(Sha256Digest::of(format!("{author} {}", seq - 1))));
    NewFile::statement(&statement(author, seq, prev, reason)).unwrap()
}

/// A root of this version; the expiry tells two of one version apart.
pub(crate) fn root(version: u64, expires: i64) -> Signed<Root> {
    let key = Key {
        keytype: "ed25519".to_owned(),
        scheme: "ed25519".to_owned(),
        keyval: attestation::canonical::parse(b"{\"public\":\"00\"}").unwrap(),
    };
    let root = Root {
        type_tag: "root".to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        consistent_snapshot: Some(true),
        version,
        expires: Time::from_unix(expires),
        keys: [("ab".parse().unwrap(), key)].into(),
        roles: [].into(),
        policy: None,
    };
    Signed::new(root, vec![])
}

pub(crate) fn signature(key: &str, sig: &str) -> Signature {
    Signature {
        keyid: key.parse().unwrap(),
        other_headers: Some("04001608".to_owned()),
        sig: sig.to_owned(),
    }
}

/// Finished targets of a role.
pub(crate) fn targets(version: u64, role: &str) -> Signed<Targets> {
    let targets = Targets {
        type_tag: "targets".to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        version,
        expires: Time::from_unix(0),
        targets: [].into(),
        delegations: None,
        mark: Some(ReleaseMark {
            chain: ChainId::from_digest(Sha256Digest::of("chain")),
            role: role.parse().unwrap(),
            release: None,
        }),
    };
    Signed::new(targets, vec![])
}
