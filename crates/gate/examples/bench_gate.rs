//! What the gate costs: a lookup in a million approvals, the hook as a process, builds with and without it, and what comes
//! from a cache through the substituter.
//!
//!   cargo xtask bench gate
//!   cargo xtask bench gate -- --substituter   # that alone

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use gate::{
    Approvals, Fact, Place, Settings,
    approvals::{Draft, Origin},
};
use nixstore::{Sha256Digest, key::SecretKey};
use testkit::bench::{self, Row};

const MILLION: u32 = 1_000_000;
/// Builds that do nothing: what is left is Nix's own cost and the hook's.
const TRIVIAL: usize = 20;

/// Builds that take a while, as builds do.
const WORKING: usize = 100;

/// How long each of them sleeps, in seconds.
const WORK: &str = "0.2";

/// How often each archive is taken, from the cache and through the substituter in turn.
const ROUNDS: usize = 8;

/// How often the hook is called in a row.
const CALLS: u32 = 200;

fn main() {
    let mut rows = Vec::new();
    let home = tempfile::tempdir().expect("a directory");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let place = Place::new(home.path().join("gate"));
    place.create().expect("a directory");
    Settings::default().write(&place).expect("settings");

    if !env::args().any(|argument| argument == "--substituter") {
        hook(&place, home.path(), &mut rows);
    }
    match (beside("touchstone"), Nix::new("nix226", home.path())) {
        (Some(touchstone), Some(nix)) => substitution(&place, &touchstone, &nix, home.path(), &mut rows),
        (None, _) => eprintln!("missing: touchstone (cargo build --release -p touchstone)"),
        (_, None) => {}
    }
    bench::print(&rows);
}

/// Approvals, and builds with the hook and without.
fn hook(place: &Place, home: &Path, rows: &mut Vec<Row>) {
    eprintln!("writing a million approvals");
    let mut draft = Draft::default();
    for number in 0..MILLION {
        draft.approve(Fact::Tarball(tarball(number)));
    }
    let origin = Origin {
        chain: tarball(0),
        release: 1,
        time: 1,
    };
    let ((), seconds) = bench::time(|| draft.write(place, origin).expect("approvals"));
    rows.push(Row::cost("write a million approvals", "s", seconds));
    let approvals = Approvals::open(place).expect("approvals");
    let lookups = 10_000;
    let seconds = bench::best_of(3, || {
        for number in 0..lookups {
            let there = approvals.has(Fact::Tarball(tarball(number * 97))).expect("a lookup");
            assert_eq!(there, number * 97 < MILLION);
        }
    });
    rows.push(Row::cost(
        "lookup in a million approvals",
        "µs",
        seconds * 1e6 / f64::from(lookups),
    ));

    match beside("touchstone-hook") {
        Some(hook) => {
            fs::copy(&hook, place.hook()).expect("the hook");
            for version in ["nix28", "nix226"] {
                if let Some(nix) = Nix::new(version, home) {
                    calls(place, &nix, rows);
                    builds(place, &nix, rows);
                }
            }
        }
        None => eprintln!("missing: touchstone-hook (cargo build --release -p gate)"),
    }
}

fn tarball(number: u32) -> Sha256Digest {
    Sha256Digest::of(number.to_le_bytes())
}

/// A program that was built beside this one.
fn beside(name: &str) -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let found = program.parent()?.parent()?.join(name);
    found.is_file().then_some(found)
}

/// A version of Nix with a store of its own.
struct Nix {
    version: &'static str,
    wrapper: PathBuf,
    home: PathBuf,
}

impl Nix {
    fn new(version: &'static str, home: &Path) -> Option<Self> {
        let wrapper = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../target/nix")
            .join(version);
        if !wrapper.is_file() {
            eprintln!("missing: {} (cargo xtask setup)", wrapper.display());
            return None;
        }
        Some(Self {
            version,
            wrapper,
            home: home.join("nix"),
        })
    }

    fn run(&self, line: &[&str], configuration: &str) -> String {
        let mut command = Command::new(&self.wrapper);
        command
            .env("TOUCHSTONE_NIX_HOME", &self.home)
            .env("NIX_CONFIG", configuration)
            .args(line)
            .stdin(Stdio::null());
        let output = command.output().expect("nix starts");
        assert!(
            output.status.success(),
            "{line:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// So many derivations, approved and nothing else.
    fn approved(&self, place: &Place, name: &str, count: usize, script: &str) -> Vec<String> {
        let expression = format!(
            "builtins.genList (n: derivation {{ name = \"{name}-${{toString n}}\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; \
             args = [ \"-c\" \"{script}\" ]; }}) {count}"
        );
        let printed = self.run(&["nix-instantiate", "-E", &expression], "");
        let derivations: Vec<String> = printed.lines().map(str::to_owned).collect();
        let mut draft = Draft::default();
        for path in &derivations {
            let base = path.rsplit('/').next().expect("a name");
            let bytes = fs::read(self.home.join(self.version).join("nix/store").join(base)).expect("a derivation");
            let derivation = nixstore::Derivation::parse(&bytes).expect("a derivation");
            draft.approve_derivation(base[33..].strip_suffix(".drv").expect("a derivation"), &derivation);
        }
        let origin = Origin {
            chain: tarball(0),
            release: 1,
            time: 1,
        };
        draft.write(place, origin).expect("approvals");
        derivations
    }
}

/// The hook as a process that lets a build pass, beside a program that does nothing.
fn calls(place: &Place, nix: &Nix, rows: &mut Vec<Row>) {
    let derivation = &nix.approved(place, "called", 1, "echo > $out")[0];
    let often = |program: &str| {
        let script = format!("i=0; while [ $i -lt {CALLS} ]; do {program} || exit 1; i=$((i+1)); done");
        bench::best_of(3, || drop(nix.run(&["sh", "-c", &script], ""))) * 1e3 / f64::from(CALLS)
    };
    let ours = often(&format!("{} {derivation}", place.hook().display()));
    // Not the shell's own word.
    let nothing = often("/usr/bin/nix-store --version >/dev/null");
    let empty = often("/bin/busybox true");
    let job = format!("the hook lets a build pass, as a process, {}", nix.version);
    rows.push(Row::cost(job.clone(), "ms", ours).against("/bin/busybox true", empty));
    rows.push(Row::cost(job, "ms", ours).against("nix-store --version", nothing));
}

/// The same builds with the hook and without.
fn builds(place: &Place, nix: &Nix, rows: &mut Vec<Row>) {
    let hook = place.hook().display().to_string();
    let mut measure = |job: &str, count: usize, script: &str, rounds: u32| {
        let round = |number: u32, hook: &str, name: &str| {
            let kind = format!("{name}-{count}-{number}");
            let derivations = nix.approved(place, &kind, count, script);
            let mut line = vec!["nix-store", "--realise"];
            line.extend(derivations.iter().map(String::as_str));
            let configuration = format!("pre-build-hook = {hook}\nmax-jobs = 1\n");
            bench::time(|| nix.run(&line, &configuration)).1
        };
        let (mut ours, mut without) = (f64::INFINITY, f64::INFINITY);
        for number in 0..rounds {
            without = without.min(round(number, "", "none"));
            ours = ours.min(round(number, &hook, "ours"));
        }
        let each = f64::from(u32::try_from(count).expect("few"));
        rows.push(
            Row::cost(
                format!("{job} with the hook, each, {}", nix.version),
                "ms",
                ours * 1e3 / each,
            )
            .against("the same without a hook", without * 1e3 / each),
        );
        eprintln!(
            "{job}, {}: the hook takes {:.2} ms of each, {:.2} % of all",
            nix.version,
            (ours - without) * 1e3 / each,
            (ours - without) * 100.0 / without
        );
    };
    measure("a trivial build", TRIVIAL, "echo > $out", 5);
    let script = format!("busybox sleep {WORK}; echo > $out");
    measure(&format!("a build of {WORK} s"), WORKING, &script, 2);
}

/// One large archive and many small ones, through the substituter and from the cache itself.
fn substitution(place: &Place, touchstone: &Path, nix: &Nix, home: &Path, rows: &mut Vec<Row>) {
    let builder = SecretKey::from_seed("builder-1", &[1; 32]);
    let secret = home.join("builder.key");
    fs::write(&secret, builder.to_secret_text()).expect("a key");
    let cache = home.join("site/cache");
    fs::create_dir_all(&cache).expect("a directory");
    let Some(server) = Serving::start(&home.join("site")) else {
        eprintln!("missing: python3, which serves the cache");
        return;
    };
    let url = format!("{}/cache", server.url);
    let build = |name: &str, count: usize, script: &str, compression: &str| {
        let derivations = nix.approved(place, name, count, script);
        let mut line = vec!["nix-store", "--realise"];
        line.extend(derivations.iter().map(String::as_str));
        let outputs: Vec<String> = nix.run(&line, "max-jobs = 2\n").lines().map(str::to_owned).collect();
        let to = format!(
            "file://{}?compression={compression}&secret-key={}",
            cache.display(),
            secret.display()
        );
        let mut line = vec![
            "nix",
            "--extra-experimental-features",
            "nix-command",
            "copy",
            "--to",
            &to,
        ];
        line.extend(outputs.iter().map(String::as_str));
        nix.run(&line, "");
        outputs
    };
    let programs = home.join("programs");
    fs::write(&programs, machine_code(64 << 20)).expect("programs");
    let programs = format!("busybox cat ${{{}}} > $out", programs.display());
    for (number, (job, count, script, compression)) in [
        (
            "one archive of 64 MiB, not compressed",
            1,
            "busybox head -c 67108864 /dev/urandom > $out",
            "none",
        ),
        (
            "one archive of 64 MiB, zstd",
            1,
            "busybox head -c 67108864 /dev/urandom > $out",
            "zstd",
        ),
        ("one archive of 64 MiB of programs, zstd", 1, &programs, "zstd"),
        ("one archive of 64 MiB of programs, xz", 1, &programs, "xz"),
        (
            "one archive of 64 MiB of one line of text, xz",
            1,
            "busybox yes 'a line of text' | busybox head -c 67108864 > $out",
            "xz",
        ),
        ("100 small archives, xz", 100, "echo $name > $out", "xz"),
    ]
    .into_iter()
    .enumerate()
    {
        let outputs = build(&format!("substituted-{number}"), count, script, compression);
        let substituter = Substituting::start(place, touchstone, &url, &builder.public().to_string());
        let mut line = vec!["nix-store", "--realise"];
        line.extend(outputs.iter().map(String::as_str));
        let mut delete = vec!["nix-store", "--delete", "--ignore-liveness"];
        delete.extend(outputs.iter().map(String::as_str));
        let take = |url: &str, key: &str| {
            nix.run(&delete, "");
            let configuration = format!(
                "substituters = {url}\ntrusted-public-keys = {key}\nmax-jobs = 0\nnarinfo-cache-negative-ttl = 0\nnarinfo-cache-positive-ttl = 0\n"
            );
            bench::time(|| nix.run(&line, &configuration)).1
        };
        let (mut ours, mut direct) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..ROUNDS {
            direct = direct.min(take(&url, &builder.public().to_string()));
            ours = ours.min(take(&substituter.url, &substituter.key));
        }
        rows.push(Row::cost(format!("substitute {job}"), "s", ours).against("from the cache itself", direct));
        nix.run(&delete, "");
    }
}

/// So many bytes of what packages mostly are: the programs of this machine, one after the other.
fn machine_code(size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    for entry in fs::read_dir("/usr/lib/x86_64-linux-gnu").expect("libraries") {
        let entry = entry.expect("a file");
        let is_library = entry.file_name().to_string_lossy().contains(".so") && entry.path().is_file();
        if is_library && out.len() < size {
            out.extend(fs::read(entry.path()).expect("a library"));
        }
    }
    assert!(out.len() >= size, "{} bytes of libraries are here", out.len());
    out.truncate(size);
    out
}

/// A cache on the web, as far as the loopback interface.
struct Serving {
    process: Child,
    url: String,
}

impl Serving {
    fn start(directory: &Path) -> Option<Self> {
        let port = free_port();
        let mut command = Command::new("python3");
        command
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(directory)
            .arg(port.to_string());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        let url = format!("http://127.0.0.1:{port}");
        Some(Self { process, url })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The substituter, running.
struct Substituting {
    process: Child,
    url: String,
    key: String,
}

impl Substituting {
    fn start(place: &Place, touchstone: &Path, cache: &str, key: &str) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let configuration = serde_json::json!({
            "listen": listen, "needed": 1, "caches": [cache], "keys": [key], "patience": 10_000,
        });
        let text = configuration.to_string();
        place
            .replace(&place.directory().join("substituter.json"), 0o644, |file| {
                file.write_all(text.as_bytes())
            })
            .expect("a configuration");
        let state = place.directory().parent().expect("a state directory");
        let mut command = Command::new(touchstone);
        command
            .args(["--format", "json", "--state"])
            .arg(state)
            .args(["gate", "serve"]);
        let mut process = command.stdout(Stdio::piped()).spawn().expect("touchstone starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).expect("where it listens");
        let word = |name: &str| said[name].as_str().expect("a word").to_owned();
        Self {
            process,
            url: word("url"),
            key: word("key"),
        }
    }
}

impl Drop for Substituting {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
