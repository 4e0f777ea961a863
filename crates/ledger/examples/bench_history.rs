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
    Time,
    chain::{PeopleRole, ReleaseRole, RepositoryPolicy},
};
use ledger::{
    Courts, History, Ledger, NewFile,
    authenticate::{Question, authenticate, object_id},
};
use policy::Facts;
use testkit::{
    Repo, TestChain, TestPerson,
    bench::{
        Row, argument, best_of,
        many::{Signers, commit_text},
        print, program, time,
    },
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
    rows.extend(ledger_rows(argument("--statements").unwrap_or(count), threads));
    rows.push(Row::cost(
        "time with twenty certificates, in times of one",
        "times",
        cold[1] / cold[0],
    ));
    print(&rows);
}

struct Bench {
    repo: Repo,
    chain: TestChain,
    signers: Signers,
    introduction: String,
    commits: Vec<String>,
}

impl Bench {
    fn new(certificates: usize, count: usize) -> Self {
        let (everybody, signers) = Signers::new(certificates, NOW);
        let repo = Repo::new();
        let tree = tree_with_policy(&repo, &signers.people);
        let introduction = repo.write_commit(&commit_text(&tree, None, "introduction"));
        let named = introduction.parse().expect("an id");
        let names = signers.people.iter().map(|person| person.name.clone()).collect();
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
        let commits = write_history(&repo, &signers, &tree, &introduction, count);
        Self {
            repo,
            chain,
            signers,
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
        for person in &self.signers.people {
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

/// A ledger of so many statements by twenty people: reading and verifying all of them, as every command does that
/// judges what people said; and `git cat-file` reading them and doing nothing else.
fn ledger_rows(count: usize, threads: NonZeroUsize) -> Vec<Row> {
    let (everybody, signers) = Signers::new(20, NOW);
    let chain = TestChain::with_policy(everybody, NOW, |_| {});
    let repo = Repo::new();
    let mut stream = b"commit refs/heads/touchstone\ncommitter A <a@example.org> 1767225600 +0000\ndata 0\n".to_vec();
    for envelope in signers.statements(chain.id(), count) {
        let file = NewFile::statement(&envelope).expect("a statement");
        let bytes = envelope.to_bytes();
        stream.extend(format!("M 100644 inline {}\ndata {}\n", file.path(), bytes.len()).bytes());
        stream.extend(bytes);
        stream.push(b'\n');
    }
    repo.git_with(&["fast-import", "--quiet", "--date-format=raw"], &stream);
    repo.git(&["repack", "-adq"]);
    let names = repo.git(&["ls-tree", "-r", "--object-only", "touchstone"]);
    let git = best_of(2, || {
        repo.git_with(&["cat-file", "--batch", "--buffer"], names.as_bytes())
            .len()
    });
    let set = chain
        .client(policy::trusted_set::Judge::Authentic, NOW)
        .expect("a chain");
    let read = || {
        let ledger = Ledger::open(&repo.path()).expect("a ledger");
        let files = ledger.snapshot().and_then(|snapshot| snapshot.statements(threads));
        let files = files.expect("statements").into_iter();
        files
            .map(|file| file.expect("a statement").envelope)
            .collect::<Vec<_>>()
    };
    let reading = best_of(3, || assert_eq!(read().len(), count));
    let verified = best_of(3, || {
        let facts = &mut Facts::default();
        let court = set.court().expect("a court");
        let judged = court
            .jury()
            .verify_all(&read(), &mut policy::jury::Work { threads, facts });
        assert_eq!(judged.iter().filter(|judged| judged.is_ok()).count(), count);
    });
    let job = |what: &str| format!("{count} statements of a ledger, {what}");
    vec![
        Row::cost(job("read"), "s", reading).against("git cat-file --batch, checking nothing", git),
        Row::cost(job("read and verified"), "s", verified),
    ]
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

/// Signs `count` commits, each by the next person, writes and packs them; their ids.
fn write_history(repo: &Repo, signers: &Signers, tree: &str, first: &str, count: usize) -> Vec<String> {
    eprintln!("signing {count} commits by {} people", signers.people.len());
    let directory = repo.beside("objects");
    fs::create_dir(&directory).expect("a directory");
    let (mut parent, mut ids, mut names) = (first.to_owned(), Vec::with_capacity(count), String::new());
    for index in 0..count {
        let text = commit_text(tree, Some(&parent), &format!("hello: 1.{index} -> 1.{}", index + 1));
        let packet = signers.sign(index, text.as_bytes());
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
