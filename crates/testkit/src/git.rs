//! Real git repositories whose commits real keys sign.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use attestation::Time;
use data_encoding::BASE64;
use tempfile::TempDir;

use crate::people::TestPerson;

/// A repository in a temporary directory; git in it is hermetic.
pub struct Repo {
    path: PathBuf,
    home: PathBuf,
    _directory: Option<TempDir>,
}

impl Default for Repo {
    fn default() -> Self {
        Self::new()
    }
}

impl Repo {
    /// An empty repository.
    ///
    /// # Panics
    /// As every method here, if something that is not under test goes wrong.
    pub fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let home = directory.path().to_owned();
        let repo = Self {
            path: home.clone(),
            home: home.clone(),
            _directory: Some(directory),
        };
        repo.git(&["init", "--quiet", "--initial-branch", "main", "repo"]);
        Self {
            path: home.join("repo"),
            ..repo
        }
    }

    /// The repository that is at `path`; what lies beside it, and git's home, is below `home`.
    pub fn at(path: &Path, home: &Path) -> Self {
        Self {
            path: path.to_owned(),
            home: home.to_owned(),
            _directory: None,
        }
    }

    /// The work tree.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// A place beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// git, as [`Self::git`] runs it, in another directory.
    pub fn command(&self, directory: &Path) -> Command {
        let mut git = Command::new("git");
        git.env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("GNUPGHOME", self.home.join("gnupg"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Somebody")
            .env("GIT_AUTHOR_EMAIL", "somebody@example.org")
            .env("GIT_COMMITTER_NAME", "Somebody")
            .env("GIT_COMMITTER_EMAIL", "somebody@example.org")
            .current_dir(directory);
        git
    }

    /// Runs git in the repository; what it printed, trimmed.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_with(arguments, b"")
    }

    /// As [`Self::git`], with something on its standard input.
    pub fn git_with(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut git = self.command(&self.path());
        git.args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = git.spawn().expect("git starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        // Beside the reading of its answers, so that neither side waits for the other's full pipe.
        let writer = std::thread::spawn(move || pipe.write_all(&input));
        let output = child.wait_with_output().expect("git ends");
        writer.join().expect("a writer").expect("git reads");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// A tree of one file with this content.
    pub fn tree(&self, content: &str) -> String {
        let blob = self.git_with(&["hash-object", "-w", "--stdin"], content.as_bytes());
        self.git_with(&["mktree"], format!("100644 blob {blob}\tfile\n").as_bytes())
    }

    /// A commit object's bytes, unsigned.
    pub fn commit_text(&self, parents: &[&str], message: &str, at: Time) -> String {
        let mut text = format!("tree {}\n", self.tree(message));
        for parent in parents {
            text += &format!("parent {parent}\n");
        }
        let who = format!("Somebody <somebody@example.org> {} +0000", at.unix());
        text + &format!("author {who}\ncommitter {who}\n\n{message}\n")
    }

    /// Writes a commit that these people signed, each with their first key, dated `at`; its id.
    pub fn commit(&self, parents: &[&str], message: &str, people: &[&TestPerson], at: Time) -> String {
        let text = self.commit_text(parents, message, at);
        let packets: Vec<_> = people
            .iter()
            .map(|person| person.sign_bytes(0, at, text.as_bytes()))
            .collect();
        self.write_commit(&with_signatures(&text, &packets))
    }

    /// Writes a commit object with exactly these bytes; its id.
    pub fn write_commit(&self, text: &str) -> String {
        self.git_with(&["hash-object", "-t", "commit", "-w", "--stdin"], text.as_bytes())
    }

    /// Points a branch at a commit.
    pub fn set_branch(&self, name: &str, commit: &str) {
        self.git(&["update-ref", &format!("refs/heads/{name}"), commit]);
    }
}

/// A commit's text with these signature packets, each in a block of its own, as git's header of signatures.
pub fn with_signatures(text: &str, packets: &[Vec<u8>]) -> String {
    if packets.is_empty() {
        return text.to_owned();
    }
    let mut armor = String::new();
    for packet in packets {
        armor += "-----BEGIN PGP SIGNATURE-----\n\n";
        let base64 = BASE64.encode(packet);
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(64));
            armor += &format!("{line}\n");
            rest = more;
        }
        armor += "-----END PGP SIGNATURE-----\n";
    }
    let header = armor.trim_end().replace('\n', "\n ");
    let (head, message) = text.split_once("\n\n").expect("a commit has a message");
    format!("{head}\ngpgsig {header}\n\n{message}")
}
