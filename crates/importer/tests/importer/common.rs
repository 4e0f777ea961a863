//! Repositories made by the real git, with nothing of the user's configuration.

use std::{ffi::OsStr, fs, io::Write as _, os::unix::fs::symlink, path::Path, process::Stdio};

use importer::{ObjectId, Repository};
use tempfile::TempDir;

/// A work tree with its repository, in a temporary directory.
pub(crate) struct World {
    directory: TempDir,
}

impl World {
    /// An empty repository whose branch is `main`.
    pub(crate) fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(world.work_tree()).unwrap();
        world.git(&["init", "--quiet", "--initial-branch=main"]);
        world
    }

    /// A directory beside the repository.
    pub(crate) fn beside(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn work_tree(&self) -> std::path::PathBuf {
        self.beside("repo")
    }

    pub(crate) fn open(&self) -> Repository {
        Repository::open(&self.work_tree()).unwrap()
    }

    /// Runs git in the work tree and gives its standard output as a line.
    pub(crate) fn git<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        self.git_in(&self.work_tree(), arguments, b"")
    }

    /// Runs git in a directory with this standard input.
    pub(crate) fn git_in<S: AsRef<OsStr>>(&self, directory: &Path, arguments: &[S], input: &[u8]) -> String {
        let mut child = std::process::Command::new("git")
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.directory.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|name| (name, "Somebody")))
            .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|name| (name, "somebody@example.org")))
            .envs(["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"].map(|name| (name, "1400000000 +0200")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub(crate) fn write(&self, path: &str, contents: impl AsRef<[u8]>) {
        let path = self.work_tree().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.work_tree().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// Commits everything in the work tree.
    pub(crate) fn commit(&self, message: &str) -> ObjectId {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        id(&self.git(&["rev-parse", "HEAD"]))
    }

    /// The tree of a revision.
    pub(crate) fn tree(&self, revision: &str) -> ObjectId {
        id(&self.git(&["rev-parse", &format!("{revision}^{{tree}}")]))
    }

    /// Stores a tree object of these bytes, which git itself might refuse.
    pub(crate) fn raw_tree(&self, bytes: &[u8]) -> ObjectId {
        id(&self.git_in(
            &self.work_tree(),
            &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
            bytes,
        ))
    }

    /// Stores a blob.
    pub(crate) fn blob(&self, bytes: &[u8]) -> ObjectId {
        id(&self.git_in(&self.work_tree(), &["hash-object", "-w", "--stdin"], bytes))
    }
}

/// The id that git printed.
pub(crate) fn id(hex: &str) -> ObjectId {
    ObjectId::from_hex(hex.as_bytes()).unwrap()
}

/// One entry of a tree object.
pub(crate) fn entry(mode: &str, name: &[u8], id: ObjectId) -> Vec<u8> {
    [mode.as_bytes(), b" ", name, b"\0", id.as_slice()].concat()
}
