//! Three people, a bare repository, and a chain that says that they commit to it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use attestation::Time;
use tempfile::TempDir;
use testkit::{Repo, TestPerson, world, world::Output};

pub(crate) struct Company {
    directory: TempDir,
    pub(crate) people: Vec<TestPerson>,
    pub(crate) introduction: String,
    pub(crate) chain: String,
}

pub(crate) const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

impl Company {
    /// `company.git` and a clone of each; the chain's first root is complete.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(init: &[&str]) -> Self {
        let directory = TempDir::new().unwrap();
        let created = Time::from_unix(world::now().unix() - 86_400);
        let mut company = Self {
            directory,
            people: PEOPLE.iter().map(|name| TestPerson::new(name, created)).collect(),
            introduction: String::new(),
            chain: String::new(),
        };
        fs::create_dir(company.path("keys")).unwrap();
        for person in &company.people {
            fs::write(company.path(&format!("keys/{}.asc", person.name)), &person.certificate).unwrap();
            fs::write(company.path(&format!("keys/{}.secret", person.name)), &person.secret).unwrap();
        }
        company.git(
            ".",
            &["init", "--quiet", "--bare", "--initial-branch", "main", "company.git"],
        );
        company.git(".", &["init", "--quiet", "--initial-branch", "main", "alice"]);
        let alice = company.repo("alice");
        company.introduction = alice.commit(&[], "long ago", &[], created);
        alice.set_branch("main", &company.introduction);
        company.git("alice", &["remote", "add", "origin", "../company.git"]);
        company.git("alice", &["push", "--quiet", "origin", "main"]);
        for person in &PEOPLE[1..] {
            company.git(".", &["clone", "--quiet", "company.git", person]);
        }
        company.start(init);
        company
    }

    fn start(&mut self, init: &[&str]) {
        let mut arguments = vec![
            "init",
            "--repository",
            "--as",
            "alice",
            "--remote",
            "origin",
            "--key",
            "software:keys/alice.secret",
        ];
        for certificate in ["keys/alice.asc", "keys/bob.asc", "keys/carol.asc"] {
            arguments.extend(["--certificate", certificate]);
        }
        arguments.extend(init);
        let json = self.assay("alice", &arguments).ok();
        let first_root = json["first-root"].as_str().unwrap().to_owned();
        for person in &PEOPLE[1..] {
            let key = format!("software:keys/{person}.secret");
            let join = [
                "init",
                "--join",
                "--remote",
                "origin",
                "--first-root",
                &first_root,
                "--as",
                person,
                "--key",
                &key,
            ];
            self.assay(person, &join).ok();
        }
        for person in &PEOPLE[..2] {
            self.assay(person, &["sign", "--yes"]).ok();
        }
        let json = self.assay("alice", &["publish"]).ok();
        self.chain = json["chain"].as_str().unwrap().to_owned();
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub(crate) fn repo(&self, name: &str) -> Repo {
        Repo::at(&self.path(name), self.directory.path())
    }

    pub(crate) fn person(&self, name: &str) -> &TestPerson {
        self.people.iter().find(|person| person.name.as_str() == name).unwrap()
    }

    pub(crate) fn git(&self, directory: &str, arguments: &[&str]) -> String {
        let output = self.git_output(directory, arguments);
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn git_output(&self, directory: &str, arguments: &[&str]) -> std::process::Output {
        let mut git = self.repo(directory).command(&self.path(directory));
        git.env("ASSAY", world::binary("assay"))
            .args(arguments)
            .stdin(Stdio::null());
        git.output().unwrap()
    }

    /// A commit by these people on top of `parent`, in somebody's clone.
    pub(crate) fn commit(&self, clone: &str, parent: &str, message: &str, people: &[&str]) -> String {
        let people: Vec<_> = people.iter().map(|name| self.person(name)).collect();
        self.repo(clone).commit(&[parent], message, &people, world::now())
    }

    pub(crate) fn assay(&self, person: &str, arguments: &[&str]) -> Output {
        Output::run(&mut self.assay_command(person, arguments))
    }

    pub(crate) fn assay_command(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(world::binary("assay"));
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.directory.path())
            .env("GNUPGHOME", self.path("gnupg"))
            .env("XDG_STATE_HOME", self.path("state").join(person))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("NO_COLOR", "1")
            .args(["--format", "json", "--repo", person])
            .args(arguments);
        command
    }
}

/// A file of the project, as it is handed out.
pub(crate) fn project_file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap()
}
