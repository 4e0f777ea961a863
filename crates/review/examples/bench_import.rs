//! The importer beside git and Nix, on a real nixpkgs: `TOUCHSTONE_NIXPKGS=<git dir>`, or `-- <git dir>`.
//!
//! Each job runs in a process of its own, cold but for the page cache, so that its memory is its own; the peer does the
//! same job in the same run. `-- <git dir> REV` measures another revision than `HEAD`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends the run")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use attestation::{ChainId, Sha256Digest};
use importer::{ObjectId, Repository};
use testkit::bench::{self, Row};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, job, repository, revision] = &arguments[..]
        && flag == "--job"
    {
        let (what, seconds) = bench::time(|| run(job, Path::new(repository), revision));
        println!("{seconds} {} {what}", bench::peak_mebibytes().unwrap_or(0.0));
        return;
    }
    let repository = arguments
        .first()
        .cloned()
        .or_else(|| env::var("TOUCHSTONE_NIXPKGS").ok());
    let Some(repository) = repository else {
        eprintln!("missing: a nixpkgs to measure with (TOUCHSTONE_NIXPKGS=<git dir>)");
        bench::print(&[]);
        return;
    };
    let revision = arguments.get(1).map_or("HEAD", String::as_str);
    let bench = Bench {
        repository: PathBuf::from(repository),
        revision: revision.to_owned(),
        nix: nix(),
        checkout: tempfile::tempdir().unwrap(),
    };
    bench.check_out();
    let rows = [
        bench.diff(),
        bench.parse(),
        bench.nar(),
        bench.one_day(),
        bench.history(),
    ]
    .concat();
    bench::print(&rows);
}

/// Nix as `cargo xtask setup` unpacked it.
fn nix() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nix/bin/nix28");
    made.canonicalize().ok()
}

/// So many earlier releases are looked at.
const MOST_RELEASES: u64 = 300;

struct Bench {
    repository: PathBuf,
    revision: String,
    nix: Option<PathBuf>,
    checkout: tempfile::TempDir,
}

/// What a job of ours took, and what it said.
struct Ours {
    seconds: f64,
    mebibytes: f64,
    what: String,
}

impl Bench {
    /// Runs a job of ours so many times, each in a new process; the quickest counts, and the most memory.
    fn ours(&self, job: &str, times: usize) -> Ours {
        self.ours_of(job, times, &self.revision)
    }

    fn ours_of(&self, job: &str, times: usize, revision: &str) -> Ours {
        let runs = (0..times).map(|_| {
            let output = Command::new(env::current_exe().unwrap())
                .args(["--job", job])
                .arg(&self.repository)
                .arg(revision)
                .stderr(Stdio::inherit())
                .output()
                .unwrap();
            assert!(output.status.success(), "{job} failed");
            let text = String::from_utf8(output.stdout).unwrap();
            let mut words = text.trim().splitn(3, ' ');
            let mut number = || words.next().unwrap().parse::<f64>().unwrap();
            let (seconds, mebibytes) = (number(), number());
            Ours {
                seconds,
                mebibytes,
                what: words.next().unwrap_or_default().to_owned(),
            }
        });
        let best = runs
            .reduce(|a, b| Ours {
                seconds: a.seconds.min(b.seconds),
                mebibytes: a.mebibytes.max(b.mebibytes),
                what: b.what,
            })
            .unwrap();
        eprintln!("{job}: {:.3} s, {:.0} MiB, {}", best.seconds, best.mebibytes, best.what);
        best
    }

    fn check_out(&self) {
        let archive = self.checkout.path().join("tree.tar");
        let mut git = self.git(&["archive", "--output", archive.to_str().unwrap(), &self.revision]);
        assert!(git.status().unwrap().success());
        std::fs::create_dir(self.tree()).unwrap();
        let tar = Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(self.tree())
            .status();
        assert!(tar.unwrap().success());
    }

    fn tree(&self) -> PathBuf {
        self.checkout.path().join("tree")
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut git = Command::new("git");
        git.arg("--git-dir")
            .arg(&self.repository)
            .args(arguments)
            .stdout(Stdio::null());
        git
    }

    fn diff(&self) -> Vec<Row> {
        let ours = self.ours("diff", 3);
        let theirs = bench::best_of(3, || {
            let log = [
                "log",
                "--raw",
                "-t",
                "--diff-merges=first-parent",
                "--no-renames",
                "--format=%H",
                &self.revision,
            ];
            assert!(self.git(&log).status().unwrap().success());
        });
        vec![
            Row::cost(
                format!("every commit against its first parent: {}", ours.what),
                "s",
                ours.seconds,
            )
            .against("git log --raw -t --diff-merges=first-parent", theirs),
            Row::cost("  its memory", "MiB", ours.mebibytes),
        ]
    }

    fn parse(&self) -> Vec<Row> {
        let ours = self.ours("audit", 3);
        let row = Row::cost(
            format!("facts and findings of a whole tree: {}", ours.what),
            "s",
            ours.seconds,
        );
        let Some(nix) = &self.nix else {
            return vec![row.missing("nix-instantiate --parse", "cargo xtask setup")];
        };
        let mut files = Vec::new();
        nix_files(&self.tree(), &mut files);
        let list = self.checkout.path().join("files");
        std::fs::write(&list, files.join("\n")).unwrap();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // As many processes as we have threads; files that this Nix cannot parse are passed over.
        let script = format!(
            "xargs -P {cores} -n {} nix-instantiate --parse < {} > /dev/null 2>&1 || true",
            files.len().div_ceil(cores),
            list.display()
        );
        let run = |script: &str| {
            let mut sh = Command::new(nix);
            sh.args(["sh", "-c", script]).stdout(Stdio::null());
            assert!(sh.status().unwrap().success());
        };
        let start = bench::best_of(3, || run("nix-instantiate --version"));
        let theirs = bench::best_of(3, || run(&script)) - start;
        vec![row.against(
            format!("nix-instantiate --parse, {cores} processes, less its start"),
            theirs,
        )]
    }

    fn nar(&self) -> Vec<Row> {
        let ours = self.ours("nar", 5);
        let row = Row::cost("NAR SHA-256 of a tree, from git", "s", ours.seconds);
        let Some(nix) = &self.nix else {
            return vec![row.missing("nix hash path", "cargo xtask setup")];
        };
        let run = |arguments: &[&str]| {
            let mut nix = Command::new(nix);
            nix.args(["nix", "--extra-experimental-features", "nix-command"])
                .args(arguments);
            let output = nix.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let tree = self.tree();
        let hash = ["hash", "path", "--base16", tree.to_str().unwrap()];
        assert_eq!(
            run(&hash).trim(),
            ours.what,
            "two digests of one tree (does it use export-ignore?)"
        );
        let start = bench::best_of(5, || run(&["--version"]));
        let theirs = bench::best_of(5, || run(&hash)) - start;
        vec![row.against("nix hash path of a checkout, less its start", theirs)]
    }

    fn one_day(&self) -> Vec<Row> {
        let ours = self.ours_of("day", 3, &self.day());
        vec![
            Row::cost(
                format!("one day, from objects to queue: {}", ours.what),
                "s",
                ours.seconds,
            ),
            Row::cost("  its memory", "MiB", ours.mebibytes),
            self.returns(ours.seconds),
        ]
    }

    /// What it takes beside to look for the day's contents in earlier releases.
    fn returns(&self, day: f64) -> Row {
        let ours = self.ours_of("returns", 3, &self.day());
        Row::cost(
            format!("  and whether they come back: {}", ours.what),
            "s",
            ours.seconds - day,
        )
    }

    /// A range of about 300 commits, which is a day's: near the newest one, but not where a long branch was merged.
    fn day(&self) -> String {
        let repository = Repository::open(&self.repository).unwrap();
        let at = |back: u32| repository.resolve(&format!("{}~{back}", self.revision)).ok();
        let ranges = (0..20).flat_map(|hundreds| [50, 100, 150, 200, 250].map(|length| (hundreds * 100, length)));
        let mut days = ranges.filter_map(|(back, length)| {
            let (from, to) = (at(back + length)?, at(back)?);
            let commits = repository.commit_range(from, to).ok()?.commits;
            (270..=400).contains(&commits).then(|| format!("{from}..{to}"))
        });
        days.next().expect("a history with a day of about 300 commits")
    }

    fn history(&self) -> Vec<Row> {
        let ours = self.ours("history", 1);
        vec![
            Row::cost(
                format!("the whole history classified: {}", ours.what),
                "s",
                ours.seconds,
            ),
            Row::cost("  its memory", "MiB", ours.mebibytes),
        ]
    }
}

fn nix_files(directory: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            nix_files(&path, files);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "nix") {
            files.push(path.to_str().unwrap().to_owned());
        }
    }
}

/// A job of ours; says what it did.
fn run(job: &str, path: &Path, revision: &str) -> String {
    let repository = Repository::open(path).unwrap();
    // One commit, or a range of them.
    let (from, to) = match revision.split_once("..") {
        Some((from, to)) => (Some(repository.resolve(from).unwrap()), repository.resolve(to).unwrap()),
        None => (None, repository.resolve(revision).unwrap()),
    };
    match job {
        "diff" => diff(&repository, to),
        "audit" => {
            let tree = repository.commit(to).unwrap().tree;
            let audit = review::audit(&repository, tree, "").unwrap();
            format!("{} files, {} findings", audit.files, audit.findings.len())
        }
        "nar" => {
            let tree = repository.commit(to).unwrap().tree;
            repository.tree_nar(tree, &[]).unwrap().sha256.to_string()
        }
        "returns" => {
            let (from, to) = (
                repository.commit(from.expect("a range")).unwrap(),
                repository.commit(to).unwrap(),
            );
            let chain = ChainId::from_digest(Sha256Digest::of("bench"));
            let mut found = review::changes_of_range(&repository, chain, &from, &to).unwrap();
            // A release every hundred commits of the main line, as far as that goes.
            let back = (1..=MOST_RELEASES)
                .map_while(|release| repository.resolve(&format!("{}~{}", from.id, release * 100)).ok());
            let earlier: Vec<_> = back
                .map(|id| repository.commit(id).unwrap().tree)
                .zip((1..=MOST_RELEASES).rev())
                .map(|(tree, sequence)| (sequence, tree))
                .collect();
            review::mark_returns(&repository, from.tree, to.tree, &earlier, &mut found).unwrap();
            let returned = found.iter().filter(|change| change.left.is_some()).count();
            format!("{returned} of {} units, in {} releases", found.len(), earlier.len())
        }
        "day" => {
            let from = from.expect("a range");
            let commits = repository.commit_range(from, to).unwrap().commits;
            let (from, to) = (repository.commit(from).unwrap(), repository.commit(to).unwrap());
            let chain = ChainId::from_digest(Sha256Digest::of("bench"));
            let found = review::changes_of_range(&repository, chain, &from, &to).unwrap();
            format!("{commits} commits, {} units", found.len())
        }
        "history" => {
            let forest = repository.forest();
            let commits = forest.reached(to).unwrap();
            let units = AtomicUsize::new(0);
            review::history(&repository, &forest, &commits, |_, _| {
                units.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
            format!("{} commits, {} units", commits.len(), units.into_inner())
        }
        other => panic!("no job is called {other}"),
    }
}

fn diff(repository: &Repository, to: ObjectId) -> String {
    let forest = repository.forest();
    let commits = forest.reached(to).unwrap();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut changes = 0;
        while let Some(run) = commits.chunks(256).nth(next.fetch_add(1, Ordering::Relaxed)) {
            for commit in run {
                let parent = commit.parents.first().and_then(|parent| forest.commit(*parent));
                let old = parent.map_or_else(|| ObjectId::empty_tree(commit.tree.kind()), |parent| parent.tree);
                let set = forest.change_set(old, commit.tree).unwrap();
                changes += set.changes().len();
            }
        }
        changes
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let changes: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    format!("{} commits, {changes} changes", commits.len())
}
