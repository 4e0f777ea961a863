//! `cargo xtask bench channel`: packing a channel and its patch; the first, the weekly and the empty update of a
//! subscriber, beside both versions of `nix-channel` and a shallow `git fetch`, all from one server on loopback.
//!
//! `TOUCHSTONE_NIXPKGS=<git dir>` names a real nixpkgs: its newest commit, and the one a week before. Without it the tree
//! is made up, and the rows say so.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    num::NonZero,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use attestation::{ChannelName, Sha256Digest, Time, chain::Release};
use channel::release::{Derived, Inputs, derive};
use fetcher::{HttpTransport, Options, Pace, Silent, Update};
use importer::{ObjectId, Repository};
use install::{Floor, State, Subscription};
use tempfile::TempDir;
use testkit::{
    TestChain,
    bench::{self, Row},
};

/// The day that the channel is signed on.
const NOW: i64 = 1_795_300_000;

fn main() {
    let source = Source::new();
    eprintln!("packing {} and {}", source.old, source.new);
    let mut rows = Vec::new();
    let made = Channel::make(&source, &mut rows);
    let server = Server::start(made.first.clone());

    let ours = Ours::new(&made.chain, &server.url);
    let (first, first_seconds) = bench::time(|| ours.update());
    let first_bytes = server.take();
    let noop = ours.measure_noop(&server);
    server.serve(made.second.clone());
    let (weekly, weekly_seconds) = bench::time(|| ours.update());
    let weekly_bytes = server.take();
    eprintln!(
        "first: {:?}; weekly: {:?}, {} requests",
        first.fetched, weekly.fetched, weekly.requests
    );

    let label = |what: &str| format!("{what} of a subscriber, {}", source.name);
    let add = |rows: &mut Vec<Row>, peer: &str, measured: Option<Measured>, how: &str| {
        let pairs = [
            ("first update", first_seconds, first_bytes),
            ("weekly update", weekly_seconds, weekly_bytes),
            ("empty update", noop.seconds, noop.bytes),
        ];
        for (at, (what, seconds, bytes)) in pairs.into_iter().enumerate() {
            let (time, size) = (
                Row::cost(label(what), "s", seconds),
                Row::cost(label(what), "bytes", bytes),
            );
            let (time, size) = match &measured {
                None => (time.missing(peer, how), size),
                Some(measured) => {
                    let (seconds, bytes) = measured.0[at];
                    (time.against(peer, seconds), size.against(peer, bytes))
                }
            };
            rows.push(time);
            if measured.is_some() {
                rows.push(size);
            }
        }
    };
    for (wrapper, name) in [("nix28", "nix-channel 2.8"), ("nix226", "nix-channel 2.26")] {
        let measured = nix_channel(wrapper, &server, &made);
        add(&mut rows, name, measured, "cargo xtask setup");
    }
    add(
        &mut rows,
        "git fetch --depth 1, file://",
        git_fetch(&source),
        "apt install git",
    );
    bench::print(&rows);
}

/// Seconds and bytes of a first, a weekly and an empty update.
struct Measured([(f64, f64); 3]);

/// Where the trees come from.
struct Source {
    git: PathBuf,
    old: String,
    new: String,
    name: &'static str,
    _made: Option<TempDir>,
}

impl Source {
    fn new() -> Self {
        let Some(git) = env::var_os("TOUCHSTONE_NIXPKGS").map(PathBuf::from) else {
            return Self::made_up();
        };
        let new = run(&git, &["rev-parse", "HEAD"]);
        let date: i64 = run(&git, &["show", "-s", "--format=%ct", &new]).parse().unwrap();
        let before = format!("--before={}", date - 7 * 86_400);
        let old = run(&git, &["rev-list", "-1", "--first-parent", &before, &new]);
        let name = "real nixpkgs, a week apart";
        let made = None;
        Self {
            git,
            old,
            new,
            name,
            _made: made,
        }
    }

    /// 2,000 packages, 60 of which change.
    fn made_up() -> Self {
        let made = tempfile::tempdir().unwrap();
        let git = made.path().join("repository");
        fs::create_dir(&git).unwrap();
        run(&git, &["init", "--quiet"]);
        let write = |at: u32, version: u32| {
            let directory = git.join(format!("pkgs/{:02}/package-{at}", at % 40));
            fs::create_dir_all(&directory).unwrap();
            let hash = Sha256Digest::of(format!("{at} {version}"));
            let text = format!(
                "{{ stdenv, fetchurl }}:\nstdenv.mkDerivation {{\n  pname = \"package-{at}\";\n  version = \"{version}\";\n  \
                 src = fetchurl {{ url = \"mirror://{at}-{version}.tar\"; sha256 = \"{hash}\"; }};\n}}\n"
            );
            fs::write(directory.join("default.nix"), text.repeat(3)).unwrap();
        };
        (0..2_000).for_each(|at| write(at, 1));
        let commit = || {
            run(&git, &["add", "--all"]);
            run(
                &git,
                &[
                    "-c",
                    "user.name=b",
                    "-c",
                    "user.email=b@example.org",
                    "commit",
                    "--quiet",
                    "--message=c",
                ],
            );
            run(&git, &["rev-parse", "HEAD"])
        };
        let old = commit();
        (0..2_000).step_by(33).for_each(|at| write(at, 2));
        let new = commit();
        Self {
            git: git.join(".git"),
            old,
            new,
            name: "a made-up tree of 2,000 packages",
            _made: Some(made),
        }
    }
}

fn run(directory: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    let output = git
        .arg("-C")
        .arg(directory)
        .args(arguments)
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "uploadpack.allowAnySHA1InWant")
        .env("GIT_CONFIG_VALUE_0", "true")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

type Files = BTreeMap<String, Vec<u8>>;

/// Two releases, as they are served one after the other.
struct Channel {
    chain: TestChain,
    first: Arc<Files>,
    second: Arc<Files>,
}

impl Channel {
    fn make(source: &Source, rows: &mut Vec<Row>) -> Self {
        let repository = Repository::open(&source.git).unwrap();
        let mut chain = TestChain::new(Time::from_unix(NOW));
        let channel: ChannelName = "unstable".parse().unwrap();
        let mut before: Vec<(Release, Sha256Digest)> = Vec::new();
        let mut served = Vec::new();
        for commit in [&source.old, &source.new] {
            let policy = chain.policy().channels[&channel].clone();
            let statements = std::collections::BTreeSet::new();
            let inputs = Inputs {
                chain: chain.id(),
                root_version: 1,
                channel: &channel,
                policy: &policy,
                before: &before,
                version: before.len() as u64 + 1,
                commit: ObjectId::from_hex(commit.as_bytes()).unwrap(),
                patched: None,
                time: chain.now,
                statements: &statements,
                manifests: BTreeMap::new(),
            };
            let mut tarball = Vec::new();
            let threads = NonZero::new(2).unwrap();
            let (derived, seconds) = bench::time(|| derive(&repository, &inputs, threads, &mut tarball).unwrap());
            if before.is_empty() {
                let job = format!("derive and pack a release, {}", source.name);
                rows.push(xz(&tarball, Row::cost(job, "s", seconds)));
            } else {
                eprintln!("derived with a patch in {seconds:.2} s");
            }
            let release = derived.targets.mark.clone().unwrap().release.unwrap();
            let signed = chain.signed_targets(derived.targets.clone(), &["alice", "bob"]);
            chain.place_targets("unstable", &signed);
            place(&mut chain, &derived, &tarball);
            chain.publish();
            before.push((release, Sha256Digest::of(&signed.payload)));
            let mut files = chain.files.clone();
            files.insert("channels/unstable/nixexprs.tar.xz".to_owned(), tarball);
            files.insert("channels/unstable".to_owned(), b"a page".to_vec());
            served.push(Arc::new(files));
        }
        let second = served.pop().unwrap();
        let first = served.pop().unwrap();
        Self { chain, first, second }
    }
}

fn place(chain: &mut TestChain, derived: &Derived, tarball: &[u8]) {
    let mut files: Vec<(&str, &[u8])> = vec![
        ("nixexprs.tar.xz", tarball),
        ("releases.json", &derived.releases),
        ("statements.txt", &derived.statements),
    ];
    for (name, bytes) in &derived.patches {
        eprintln!("a patch of {} bytes beside a tarball of {}", bytes.len(), tarball.len());
        files.push((name, bytes));
    }
    for (name, bytes) in files {
        let path = format!("targets/unstable/{}.{name}", Sha256Digest::of(bytes));
        chain.files.insert(path, bytes.to_vec());
    }
}

/// What `xz -6` takes for the same tar file.
fn xz(tarball: &[u8], row: Row) -> Row {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("channel.tar.xz");
    fs::write(&file, tarball).unwrap();
    let unpacked = Command::new("xz").arg("-d").arg(&file).status();
    if !unpacked.is_ok_and(|status| status.success()) {
        return row.missing("xz -6", "apt install xz-utils");
    }
    let tar = directory.path().join("channel.tar");
    let (_, seconds) = bench::time(|| Command::new("xz").args(["-6", "-T1", "-k"]).arg(&tar).status().unwrap());
    row.against("xz -6 of the finished tar file alone", seconds)
}

/// A web server on loopback that counts what it sends, and knows `If-None-Match`.
struct Server {
    url: String,
    files: Arc<Mutex<Arc<Files>>>,
    sent: Arc<AtomicU64>,
}

impl Server {
    fn start(files: Arc<Files>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (files, sent) = (Arc::new(Mutex::new(files)), Arc::new(AtomicU64::new(0)));
        let shared = (Arc::clone(&files), Arc::clone(&sent));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, sent) = (Arc::clone(&shared.0.lock().unwrap()), Arc::clone(&shared.1));
                thread::spawn(move || answer(stream.unwrap(), &files, &sent));
            }
        });
        Self { url, files, sent }
    }

    fn serve(&self, files: Arc<Files>) {
        *self.files.lock().unwrap() = files;
    }

    fn take(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a measured size")]
        let bytes = self.sent.swap(0, Ordering::SeqCst) as f64;
        bytes
    }
}

fn answer(mut stream: TcpStream, files: &Files, sent: &AtomicU64) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head
        .split(' ')
        .nth(1)
        .unwrap_or_default()
        .trim_matches('/')
        .replace("//", "/");
    let answer = match files.get(&path) {
        None => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        Some(bytes) => {
            let tag = format!(
                "\"{}-{}\"",
                bytes.len(),
                bytes.iter().step_by(997).map(|b| u64::from(*b)).sum::<u64>()
            );
            if head.contains(&tag) {
                format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\nConnection: close\r\n\r\n").into_bytes()
            } else {
                let length = bytes.len();
                let mut answer =
                    format!("HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
                        .into_bytes();
                if !head.starts_with("HEAD") {
                    answer.extend(bytes);
                }
                answer
            }
        }
    };
    sent.fetch_add(answer.len() as u64, Ordering::SeqCst);
    let _ = stream.write_all(&answer);
}

/// A subscriber of ours.
struct Ours {
    _directory: TempDir,
    state: State,
    subscription: Subscription,
    transport: HttpTransport,
}

struct Noop {
    seconds: f64,
    bytes: f64,
}

impl Ours {
    fn new(chain: &TestChain, url: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = State::create(directory.path()).unwrap();
        let subscription = Subscription {
            chain: chain.id(),
            channel: "unstable".parse().unwrap(),
            urls: vec![url.parse().unwrap()],
            floor: Floor { root: 1, release: 1 },
            redirects: Vec::new(),
        };
        let transport = HttpTransport::new(url.parse().unwrap(), Pace::default(), b"").unwrap();
        Self {
            _directory: directory,
            state,
            subscription,
            transport,
        }
    }

    fn update(&self) -> Update {
        let now = Time::from_unix(NOW);
        let locked = self.state.clone().lock("a benchmark", now).unwrap();
        let options = Options::default();
        fetcher::update(&self.subscription, &locked, &[&self.transport], options, now, &Silent).unwrap()
    }

    fn measure_noop(&self, server: &Server) -> Noop {
        assert_eq!(self.update().requests, 1, "more than one small request");
        let bytes = server.take();
        let seconds = bench::best_of(10, || self.update());
        server.take();
        Noop { seconds, bytes }
    }
}

/// `nix-channel --update`, three times, in a home of its own.
fn nix_channel(wrapper: &str, server: &Server, made: &Channel) -> Option<Measured> {
    let wrapper = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/nix")
        .join(wrapper);
    if !wrapper.exists() {
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let channel = |arguments: &[&str]| {
        let status = Command::new(&wrapper)
            .arg("nix-channel")
            .args(arguments)
            .env("TOUCHSTONE_NIX_HOME", home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "nix-channel {arguments:?} failed");
    };
    server.serve(Arc::clone(&made.first));
    channel(&["--add", &format!("{}/channels/unstable", server.url), "nixpkgs"]);
    // Not the time that the mount namespace and the first run of Nix take.
    let (_, idle) = bench::time(|| channel(&["--list"]));
    let update = || {
        server.take();
        let (_, seconds) = bench::time(|| channel(&["--update"]));
        ((seconds - idle).max(0.001), server.take())
    };
    let first = update();
    let empty = update();
    server.serve(Arc::clone(&made.second));
    let weekly = update();
    Some(Measured([first, weekly, empty]))
}

/// What a thrifty user of git does: one commit at a time, no history.
fn git_fetch(source: &Source) -> Option<Measured> {
    let directory = tempfile::tempdir().unwrap();
    let bare = directory.path().join("clone.git");
    fs::create_dir(&bare).unwrap();
    run(&bare, &["init", "--quiet", "--bare"]);
    let url = format!("file://{}", source.git.canonicalize().unwrap().display());
    let size = || -> f64 {
        let text = run(&bare, &["count-objects", "-v"]);
        let kib = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().parse().unwrap()
        };
        (kib("size:").max(0.0) + kib("size-pack:")) * 1024.0
    };
    let fetch = |commit: &str| {
        let before = size();
        let (_, seconds) = bench::time(|| run(&bare, &["fetch", "--quiet", "--depth=1", &url, commit]));
        (seconds, (size() - before).max(1.0))
    };
    let first = fetch(&source.old);
    let weekly = fetch(&source.new);
    let empty = fetch(&source.new);
    Some(Measured([first, weekly, empty]))
}
