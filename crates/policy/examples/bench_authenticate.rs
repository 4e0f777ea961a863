//! `cargo xtask bench authenticate [-- --commits N]`: how many signed commits and statements are judged a second, by
//! one certificate and by twenty, at first and again, beside `sq-git log` and `git log` with gpg.
//!
//! The commits are one history, as bytes in memory; reading a repository is measured by another benchmark. The peers
//! verify the first commits of the very same history.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has no result")]

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    num::NonZeroUsize,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use attestation::{GitOid, RoleName, Sha256Digest, Time, chain::PeopleRole, dsse::Envelope};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer as _, SigningKey, verify_batch};
use policy::{Facts, jury::Work, trusted_set::Judge};
use sequoia_openpgp::types::HashAlgorithm;
use testkit::{
    TestChain,
    bench::{
        Row, argument, best_of,
        many::{Signers, commit_text},
        print, program, time,
    },
    git::with_signatures,
};

const NOW: Time = Time::JAN_2026;
const ROLE: &str = "committers";

fn main() {
    let count = argument("--commits").unwrap_or(100_000);
    let sample = argument("--sample").unwrap_or(1_000).min(count);
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    eprintln!("{count} commits and statements, {threads} threads");
    let mut rows = Vec::new();
    let mut cold = Vec::new();
    for certificates in [1, 20] {
        let bench = Bench::new(certificates);
        let dir = tempfile::tempdir().expect("a directory");
        let tree = repository(dir.path(), &bench);
        let commits = bench.commits(count, &tree);
        let (at_first, again) = bench.judge_commits(&commits, threads);
        cold.push(at_first);
        let rate = |seconds: f64| count as f64 / seconds;
        let job = |when: &str| format!("{count} signed commits, {certificates} certificates, {when}");
        let row = || Row::rate(job("at first"), "commits/s", rate(at_first));
        let limit = rate(batches(count, threads));
        write_objects(dir.path(), &commits[..sample]);
        rows.push(match sq_git(dir.path(), &commits[..sample]) {
            Some(per_second) => row().against(format!("sq-git 0.6, {sample} commits"), per_second),
            None => row().missing("sq-git", "cargo xtask setup --for bench"),
        });
        rows.push(match git_and_gpg(dir.path(), &bench, sample.min(60)) {
            Some(per_second) => row().against(format!("git and gpg, {} commits", sample.min(60)), per_second),
            None => row().missing("gpg", "apt install gpg"),
        });
        rows.push(Row::rate(job("of dalek's batches"), "commits/s", rate(at_first)).limit(limit));
        rows.push(Row::cost(job("again, nothing new"), "ms", again * 1_000.0));
        let envelopes = bench.signers.statements(bench.chain.id(), count);
        let (at_first, again) = bench.judge_statements(&envelopes, threads);
        rows.push(Row::cost(
            format!("{count} statements, {certificates} certificates, at first"),
            "s",
            at_first,
        ));
        rows.push(Row::cost(
            format!("{count} statements, {certificates} certificates, nothing new"),
            "ms",
            again * 1_000.0,
        ));
    }
    rows.push(Row::cost(
        "time with twenty certificates, in times of one",
        "times",
        cold[1] / cold[0],
    ));
    print(&rows);
}

/// People who commit, and a chain that says so.
struct Bench {
    chain: TestChain,
    signers: Signers,
}

impl Bench {
    fn new(certificates: usize) -> Self {
        let (everybody, signers) = Signers::new(certificates, NOW);
        let chain = TestChain::with_policy(everybody, NOW, |policy| {
            let people = signers.people.iter().map(|person| person.name.clone()).collect();
            policy.roles.insert(
                role(),
                PeopleRole {
                    people,
                    threshold: None,
                },
            );
        });
        Self { chain, signers }
    }

    /// One history, each commit signed by the next person.
    fn commits(&self, count: usize, tree: &str) -> Vec<(GitOid, Vec<u8>)> {
        eprintln!("signing {count} commits by {} people", self.signers.people.len());
        let mut out: Vec<(GitOid, Vec<u8>)> = Vec::with_capacity(count);
        for index in 0..count {
            let parent = out.last().map(|(id, _)| id.as_str());
            let text = commit_text(tree, parent, &format!("hello: 1.{index} -> 1.{}", index + 1));
            let commit = with_signatures(&text, &[self.signers.sign(index, text.as_bytes())]);
            out.push((oid(commit.as_bytes()), commit.into_bytes()));
        }
        out
    }

    /// Seconds from bytes to proof, with every key and table to be prepared; and with all facts known.
    fn judge_commits(&self, commits: &[(GitOid, Vec<u8>)], threads: usize) -> (f64, f64) {
        let set = self.chain.client(Judge::Authentic, NOW).expect("a chain");
        let court = set.court().expect("a court");
        let judge = |facts: &mut Facts| {
            let threads = NonZeroUsize::new(threads).expect("a thread");
            let judged = court
                .jury()
                .authenticate(commits, &role(), 1, &mut Work { threads, facts });
            assert_eq!(judged.iter().filter(|judged| judged.is_ok()).count(), commits.len());
        };
        let cold = best_of(3, || judge(&mut Facts::default()));
        let mut facts = Facts::default();
        judge(&mut facts);
        assert_eq!(facts.len(), commits.len());
        (cold, best_of(5, || judge(&mut facts)))
    }

    fn judge_statements(&self, envelopes: &[Envelope], threads: usize) -> (f64, f64) {
        let set = self.chain.client(Judge::Authentic, NOW).expect("a chain");
        let court = set.court().expect("a court");
        let judge = |facts: &mut Facts| {
            let threads = NonZeroUsize::new(threads).expect("a thread");
            let judged = court.jury().verify_all(envelopes, &mut Work { threads, facts });
            assert_eq!(judged.iter().filter(|judged| judged.is_ok()).count(), envelopes.len());
        };
        let cold = best_of(2, || judge(&mut Facts::default()));
        let mut facts = Facts::default();
        judge(&mut facts);
        (cold, best_of(3, || judge(&mut facts)))
    }
}

fn role() -> RoleName {
    ROLE.parse().expect("a role")
}

fn oid(content: &[u8]) -> GitOid {
    let mut hasher = HashAlgorithm::SHA1.context().expect("SHA-1 for names").for_digest();
    hasher.update(format!("commit {}\0", content.len()).as_bytes());
    hasher.update(content);
    let mut digest = [0; 20];
    hasher.digest(&mut digest).expect("20 bytes");
    HEXLOWER.encode(&digest).parse().expect("an id")
}

/// Seconds for dalek's batches over as many signatures: what a bare loop of the library does, with a looser rule.
fn batches(count: usize, threads: usize) -> f64 {
    const BATCH: usize = 256;
    let key = SigningKey::from_bytes(&[7; 32]);
    let messages: Vec<[u8; 32]> = (0..BATCH as u64)
        .map(|index| Sha256Digest::of(index.to_string()).as_bytes().to_owned())
        .collect();
    let messages: Vec<&[u8]> = messages.iter().map(<[u8; 32]>::as_slice).collect();
    let signatures: Vec<Signature> = messages.iter().map(|message| key.sign(message)).collect();
    let keys = vec![key.verifying_key(); BATCH];
    let rounds = count.div_ceil(BATCH * threads);
    let run = || {
        for _ in 0..rounds {
            verify_batch(&messages, &signatures, &keys).expect("honest signatures");
        }
    };
    let all = || {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(run);
            }
        });
    };
    best_of(2, all)
}

/// A repository whose one tree has the policy of sq-git; the tree's id.
fn repository(dir: &Path, bench: &Bench) -> String {
    git(dir, &["init", "--quiet"], None);
    for person in &bench.signers.people {
        let file = dir.join(".git").join(format!("{}.asc", person.name));
        fs::write(&file, &person.certificate).expect("a certificate");
        if let Some(program) = program("sq-git") {
            let mut line = Command::new(program);
            line.current_dir(dir)
                .env("HOME", dir.join(".git"))
                .args(["policy", "authorize", "--sign-commit"]);
            let file = file.to_str().expect("a path");
            line.args(["--cert-file", file, person.name.as_str()])
                .stdout(Stdio::null());
            assert!(line.status().expect("sq-git runs").success(), "sq-git policy authorize");
        }
    }
    git(dir, &["add", "."], None);
    git(dir, &["write-tree"], None)
}

fn git(dir: &Path, arguments: &[&str], input: Option<&str>) -> String {
    let mut line = Command::new("git");
    line.current_dir(dir)
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    line.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = line.spawn().expect("git runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(input.unwrap_or_default().as_bytes()).expect("git reads");
    drop(pipe);
    let output = child.wait_with_output().expect("git ends");
    assert!(output.status.success(), "git {arguments:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Puts commits into the repository; the last one becomes its head.
fn write_objects(dir: &Path, commits: &[(GitOid, Vec<u8>)]) {
    let mut names = String::new();
    for (id, content) in commits {
        let path = dir.join(".git").join(format!("object-{id}"));
        fs::write(&path, content).expect("an object");
        let _ = writeln!(names, "{}", path.display());
    }
    let written = git(
        dir,
        &["hash-object", "-t", "commit", "-w", "--stdin-paths"],
        Some(&names),
    );
    let head = commits.last().expect("a commit").0.as_str();
    assert!(written.ends_with(head), "git names the last commit as we do");
    git(dir, &["update-ref", "HEAD", head], None);
    git(dir, &["repack", "-adq"], None);
}

/// Commits a second, from the first commit to the head, with a home that knows nothing yet.
fn sq_git(dir: &Path, commits: &[(GitOid, Vec<u8>)]) -> Option<f64> {
    let program = program("sq-git")?;
    eprintln!("sq-git log of {} commits", commits.len());
    let home = tempfile::tempdir().expect("a home");
    let mut line = Command::new(program);
    line.current_dir(dir)
        .env("HOME", home.path())
        .env("RUST_BACKTRACE", "0");
    line.args(["log", "--trust-root", commits[0].0.as_str()])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let (status, seconds) = time(|| line.status());
    assert!(status.expect("sq-git runs").success(), "sq-git refuses the history");
    Some(commits.len() as f64 / seconds)
}

fn git_and_gpg(dir: &Path, bench: &Bench, sample: usize) -> Option<f64> {
    program("gpg")?;
    let home = tempfile::tempdir().expect("a home");
    fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("gpg's permissions");
    for person in &bench.signers.people {
        let file = dir.join(".git").join(format!("{}.asc", person.name));
        let mut line = Command::new("gpg");
        line.arg("--homedir")
            .arg(home.path())
            .args(["--batch", "--quiet", "--import"])
            .arg(file);
        assert!(line.status().expect("gpg runs").success());
    }
    let mut line = Command::new("git");
    line.current_dir(dir)
        .env("GNUPGHOME", home.path())
        .args(["log", "--format=%G?", &format!("-{sample}")]);
    let (output, seconds) = time(|| line.output());
    let output = String::from_utf8_lossy(&output.expect("git runs").stdout).into_owned();
    assert_eq!(
        output.lines().filter(|line| matches!(*line, "G" | "U")).count(),
        sample,
        "{output}"
    );
    Some(sample as f64 / seconds)
}
