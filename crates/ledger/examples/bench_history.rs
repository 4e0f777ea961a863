//! `cargo xtask bench history [-- --commits N --sample N]`: a real repository whose every commit is signed, judged from
//! its introduction to its tip, reading included; by one certificate and by twenty, at first and again, beside
//! `sq-git log` and `git log --show-signature` on the first commits of the same history.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has no result")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    num::NonZeroUsize,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use attestation::{
    Seconds, Time,
    chain::{PeopleRole, ReleaseRole, RepositoryPolicy},
};
use ledger::{
    Courts, History,
    authenticate::{Question, authenticate, object_id},
};
use policy::Facts;
use sequoia_openpgp::{
    Cert, Packet,
    crypto::KeyPair,
    packet::signature::SignatureBuilder,
    parse::Parse as _,
    serialize::MarshalInto as _,
    types::{HashAlgorithm, SignatureType},
};
use testkit::{
    Repo, TestChain, TestPerson,
    bench::{Row, best_of, print, program, time},
    git::with_signatures,
};

const NOW: Time = Time::JAN_2026;

fn main() {
    let count = argument("--commits").unwrap_or(100_000);
    let sample = argument("--sample").unwrap_or(1_000).min(count);
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    eprintln!("{count} commits, {threads} threads");
    let mut rows = Vec::new();
    let mut cold = Vec::new();
    for certificates in [1, 20] {
        let bench = Bench::new(certificates, count);
        let (at_first, again) = bench.judge(threads);
        cold.push(at_first);
        let job = |when: &str| format!("{count} commits of a repository, {certificates} certificates, {when}");
        let rate = |seconds: f64| count as f64 / seconds;
        let row = || Row::rate(job("at first"), "commits/s", rate(at_first)).limit(rate(bench.read()));
        rows.push(match bench.sq_git(sample) {
            Some(per_second) => row().against(format!("sq-git 0.6 log, {sample} commits"), per_second),
            None => row().missing("sq-git", "cargo xtask setup --for bench"),
        });
        let few = sample.min(100);
        rows.push(match bench.git_and_gpg(few) {
            Some(per_second) => row().against(format!("git log --show-signature, {few} commits"), per_second),
            None => row().missing("gpg", "apt install gpg"),
        });
        rows.push(Row::cost(job("at first"), "s", at_first));
        rows.push(Row::cost(job("again, nothing new"), "ms", again * 1_000.0));
    }
    rows.push(Row::cost(
        "time with twenty certificates, in times of one",
        "times",
        cold[1] / cold[0],
    ));
    print(&rows);
}

fn argument(name: &str) -> Option<usize> {
    let mut all = std::env::args().skip_while(|argument| argument != name);
    all.nth(1)?.parse().ok()
}

struct Bench {
    repo: Repo,
    chain: TestChain,
    people: Vec<TestPerson>,
    introduction: String,
    commits: Vec<String>,
}

impl Bench {
    fn new(certificates: usize, count: usize) -> Self {
        let created = NOW.minus(Seconds::days(30));
        let mut everybody = testkit::chain::people(NOW);
        let more = everybody.len()..certificates;
        everybody.extend(more.map(|index| TestPerson::new(&format!("person-{index}"), created)));
        let people: Vec<TestPerson> = everybody[..certificates].to_vec();
        let repo = Repo::new();
        let tree = tree_with_policy(&repo, &people);
        let introduction = repo.write_commit(&commit_text(&tree, None, "introduction"));
        let named = introduction.parse().expect("an id");
        let names = people.iter().map(|person| person.name.clone()).collect();
        let chain = TestChain::with_policy(everybody, NOW, |policy| {
            let role: attestation::RoleName = "committers".parse().expect("a role");
            let committers = PeopleRole {
                people: names,
                threshold: None,
            };
            policy.roles.insert(role.clone(), committers);
            policy.repository = Some(RepositoryPolicy {
                introduction: named,
                commits: ReleaseRole { role, threshold: 1 },
            });
        });
        let commits = write_history(&repo, &people, &tree, &introduction, count);
        Self {
            repo,
            chain,
            people,
            introduction,
            commits,
        }
    }

    fn tip(&self) -> &str {
        self.commits.last().expect("a commit")
    }

    /// Seconds from opening the repository to the answer, with nothing known; and with all facts known.
    fn judge(&self, threads: NonZeroUsize) -> (f64, f64) {
        let roots = vec![self.chain.files["metadata/1.root.json"].clone()];
        let judge = |facts: &mut Facts| {
            let courts = Courts::of(self.chain.id(), &roots, &self.chain.keyring, NOW).expect("a chain");
            let positions = courts.positions().expect("a court");
            let history = History::open(&self.repo.path()).expect("a repository");
            let question = Question {
                introduction: object_id(&self.introduction.parse().expect("an id")),
                target: object_id(&self.tip().parse().expect("an id")),
                positions: &positions,
                imported: &BTreeSet::new(),
                under: Some(courts.digest("bench").expect("a digest")),
                threads,
            };
            let report = authenticate(&history, &question, facts).expect("an answer");
            assert_eq!((report.commits, report.breaks.len()), (self.commits.len(), 0));
        };
        let cold = best_of(3, || judge(&mut Facts::default()));
        let mut facts = Facts::default();
        judge(&mut facts);
        (cold, best_of(3, || judge(&mut facts)))
    }

    /// Seconds to read and hash every commit and do nothing with it: what no judge of it beats.
    fn read(&self) -> f64 {
        let (tip, introduction) = (self.tip().parse(), self.introduction.parse());
        let (tip, introduction) = (
            object_id(&tip.expect("an id")),
            object_id(&introduction.expect("an id")),
        );
        best_of(2, || {
            let history = History::open(&self.repo.path()).expect("a repository");
            history.reach(tip, &[introduction], |_, _| {}).expect("a history")
        })
    }

    fn sq_git(&self, sample: usize) -> Option<f64> {
        let program = program("sq-git")?;
        eprintln!("sq-git log of {sample} commits");
        let home = tempfile::tempdir().expect("a home");
        let mut line = Command::new(program);
        line.current_dir(self.repo.path())
            .env("HOME", home.path())
            .env("RUST_BACKTRACE", "0")
            .args(["log", "--trust-root", &self.commits[0], &self.commits[sample - 1]])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let (status, seconds) = time(|| line.status());
        assert!(status.expect("sq-git runs").success(), "sq-git refuses the history");
        Some(sample as f64 / seconds)
    }

    fn git_and_gpg(&self, sample: usize) -> Option<f64> {
        program("gpg")?;
        eprintln!("git log --show-signature of {sample} commits");
        let home = tempfile::tempdir().expect("a home");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(home.path(), mode).expect("gpg's permissions");
        for person in &self.people {
            let file = self.repo.beside("certificate.asc");
            fs::write(&file, &person.certificate).expect("a file");
            let mut line = Command::new("gpg");
            line.arg("--homedir")
                .arg(home.path())
                .args(["--batch", "--quiet", "--import"])
                .arg(file);
            assert!(line.status().expect("gpg runs").success());
        }
        let mut line = self.repo.command(&self.repo.path());
        line.env("GNUPGHOME", home.path()).args([
            "log",
            "--show-signature",
            "--format=%G?",
            &format!("-{sample}"),
            &self.commits[sample - 1],
        ]);
        let (output, seconds) = time(|| line.output());
        let said = String::from_utf8_lossy(&output.expect("git runs").stdout).into_owned();
        let good = said.lines().filter(|line| matches!(*line, "G" | "U")).count();
        assert_eq!(good, sample, "{said}");
        Some(sample as f64 / seconds)
    }
}

fn commit_text(tree: &str, parent: Option<&str>, message: &str) -> String {
    let parent = parent.map_or_else(String::new, |parent| format!("parent {parent}\n"));
    format!(
        "tree {tree}\n{parent}author A <a@example.org> 1767225600 +0000\ncommitter A <a@example.org> 1767225600 +0000\n\n\
         {message}\n\nA message of the usual length, more or less.\n"
    )
}

/// A tree that has the policy of sq-git, where that is installed.
fn tree_with_policy(repo: &Repo, people: &[TestPerson]) -> String {
    for person in people {
        let Some(program) = program("sq-git") else { break };
        let file = repo.beside(&format!("{}.asc", person.name));
        fs::write(&file, &person.certificate).expect("a file");
        let mut line = Command::new(program);
        line.current_dir(repo.path())
            .env("HOME", repo.beside("home"))
            .args(["policy", "authorize", "--sign-commit", "--cert-file"])
            .arg(file)
            .arg(person.name.as_str())
            .stdout(Stdio::null());
        assert!(line.status().expect("sq-git runs").success(), "sq-git policy authorize");
    }
    repo.git(&["add", "."]);
    repo.git(&["write-tree"])
}

fn key_pair(person: &TestPerson) -> KeyPair {
    let cert = Cert::from_bytes(&person.secret).expect("a certificate");
    let wanted = person.keys[0].as_str();
    let mut keys = cert.keys().subkeys().secret();
    let key = keys.find(|key| key.key().fingerprint().to_hex().to_lowercase() == wanted);
    let key = key.expect("a signing key").key().clone();
    key.into_keypair().expect("a key pair")
}

/// Signs `count` commits, each by the next person, writes and packs them; their ids.
fn write_history(repo: &Repo, people: &[TestPerson], tree: &str, first: &str, count: usize) -> Vec<String> {
    eprintln!("signing {count} commits by {} people", people.len());
    let mut pairs: Vec<_> = people.iter().map(key_pair).collect();
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOW.unix().unsigned_abs());
    let directory = repo.beside("objects");
    fs::create_dir(&directory).expect("a directory");
    let (mut parent, mut ids, mut names) = (first.to_owned(), Vec::with_capacity(count), String::new());
    for index in 0..count {
        let text = commit_text(tree, Some(&parent), &format!("hello: 1.{index} -> 1.{}", index + 1));
        let signer = index % pairs.len();
        let signature = SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA256)
            .set_signature_creation_time(at)
            .and_then(|builder| builder.sign_message(&mut pairs[signer], text.as_bytes()));
        let packet = Packet::from(signature.expect("a signature"))
            .to_vec()
            .expect("a packet");
        let signed = with_signatures(&text, &[packet]);
        parent = name(&signed);
        let path = directory.join(&parent);
        fs::write(&path, &signed).expect("a file");
        let _ = writeln!(names, "{}", path.display());
        ids.push(parent.clone());
    }
    let written = repo.git_with(
        &["hash-object", "-t", "commit", "-w", "--stdin-paths"],
        names.as_bytes(),
    );
    assert!(written.ends_with(&parent), "git names the last commit as we do");
    repo.set_branch("main", &parent);
    repo.git(&["repack", "-adq"]);
    remove(&directory);
    ids
}

fn remove(directory: &Path) {
    fs::remove_dir_all(directory).expect("a directory that can go");
}

/// The SHA-1 name of a commit with this content.
fn name(content: &str) -> String {
    let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Commit, content.as_bytes());
    id.expect("a hash").to_string()
}
