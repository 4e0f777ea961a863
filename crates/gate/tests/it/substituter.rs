//! The substituter: caches made by real `nix copy`, one lying, one down, one slow, one replaying, between k and n builders.

mod included;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use gate::{approvals::Draft, substituter::Configuration};
use nixstore::{NarInfo, key::SecretKey};
use serde_json::Value;
use testkit::world::binary;

use crate::machine::{Machine, Ran, on_each, store_path};

const PACKAGE: &str = "derivation { name = \"package\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \
                       \"mkdir -p $out/bin; cp /bin/sh $out/bin/sh; echo $lib > $out/lib\" ]; lib = derivation { name = \"lib\"; \
                       system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" \"echo lib > $out\" ]; }; }";

/// Builders with caches, made on a machine of their own.
struct Builders<'a> {
    machine: &'a Machine,
    derivation: String,
    output: String,
    digest: String,
    count: u8,
}

impl<'a> Builders<'a> {
    /// Builds the package once, and copies it into so many caches, each signed by a builder of its own.
    fn new(machine: &'a Machine, count: u8) -> Self {
        let derivation = machine.instantiate(PACKAGE);
        machine.approve(&[&derivation]);
        let output = machine.build(&derivation).ok();
        let builders = Self {
            machine,
            digest: store_path(&output).base_name()[..32].to_owned(),
            derivation,
            output,
            count,
        };
        for number in 1..=count {
            builders.copy(number, if number % 2 == 0 { "zstd" } else { "xz" });
        }
        builders.forget();
        builders
    }

    /// What was built here is gone, so that it must come from somewhere. (A collector would spare what any process of the
    /// machine names, also another test's.)
    fn forget(&self) {
        let closure = self.machine.nix(&["nix-store", "-qR", &self.output]).ok();
        for path in closure.lines().rev() {
            self.machine
                .nix(&["nix-store", "--delete", "--ignore-liveness", path])
                .ok();
        }
    }

    fn copy(&self, number: u8, compression: &str) {
        let secret = self
            .machine
            .write(&format!("builder-{number}.key"), &key(number).to_secret_text());
        let cache = format!(
            "file://{}?compression={compression}&secret-key={secret}",
            self.cache(number).display()
        );
        let nix = [
            "nix",
            "--extra-experimental-features",
            "nix-command",
            "copy",
            "--to",
            &cache,
            &self.output,
        ];
        self.machine.nix(&nix).ok();
    }

    fn cache(&self, number: u8) -> PathBuf {
        self.machine.path(&format!("cache-{number}"))
    }

    fn narinfo(&self, number: u8) -> PathBuf {
        self.cache(number).join(format!("{}.narinfo", self.digest))
    }

    fn edit(&self, number: u8, change: impl FnOnce(&mut NarInfo)) {
        let path = self.narinfo(number);
        let mut info = NarInfo::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut info);
        fs::write(path, info.to_text()).unwrap();
    }

    fn urls(&self) -> Vec<String> {
        let numbers = 1..=self.count;
        numbers
            .map(|number| format!("file://{}", self.cache(number).display()))
            .collect()
    }

    /// Starts the substituter, which knows all builders.
    fn serve(&self, needed: usize, caches: Vec<String>) -> Serving<'_> {
        self.serve_of(needed, self.count, caches)
    }

    /// Starts the substituter, which knows the first `builders`.
    fn serve_of(&self, needed: usize, builders: u8, caches: Vec<String>) -> Serving<'_> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        drop(listener);
        let configuration = Configuration {
            listen: listen.clone(),
            needed,
            caches,
            keys: (1..=builders).map(|number| key(number).public().to_string()).collect(),
            patience: 1500,
        };
        let text = serde_json::to_vec(&configuration).unwrap();
        let place = &self.machine.place;
        place
            .replace(&place.directory().join("substituter.json"), 0o644, |file| {
                file.write_all(&text)
            })
            .unwrap();
        let mut command = Command::new(binary("touchstone"));
        command
            .args(["--format", "json", "--state"])
            .arg(place.directory().parent().unwrap());
        let mut process = command.args(["gate", "serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Serving {
            builders: self,
            process,
            url: said["url"].as_str().unwrap().to_owned(),
            key: said["key"].as_str().unwrap().to_owned(),
        }
    }

    /// How many disagreements were noted.
    fn disagreements(&self) -> usize {
        let log = self.machine.place.directory().join("disagreements.jsonl");
        fs::read_to_string(log).map_or(0, |text| text.lines().count())
    }
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(format!("builder-{number}"), &[number; 32])
}

struct Serving<'a> {
    builders: &'a Builders<'a>,
    process: Child,
    url: String,
    key: String,
}

impl Serving<'_> {
    /// What it answers when Nix asks whether it has the package.
    fn answers(&self) -> String {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET /{}.narinfo HTTP/1.1\r\nHost: x\r\n\r\n",
            self.builders.digest
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Has Nix substitute the package, which cannot be built since the daemon may not build.
    fn substitute(&self) -> Ran {
        let machine = self.builders.machine;
        let configuration = format!(
            "substituters = {}\ntrusted-public-keys = {}\nrequire-sigs = true\nmax-jobs = 0\nnarinfo-cache-negative-ttl = 0\n\
             narinfo-cache-positive-ttl = 0\n",
            self.url, self.key
        );
        let configuration = format!("NIX_CONFIG={configuration}");
        let ran = machine.nix(&["env", &configuration, "nix-store", "--realise", &self.builders.output]);
        if ran.code == Some(0) {
            self.builders.forget();
        }
        ran
    }

    fn gives(&self) {
        self.substitute().ok();
    }

    fn refuses(&self) {
        let ran = self.substitute();
        assert_ne!(ran.code, Some(0), "{ran:?}");
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_enough_builders_agree_on_is_given_and_only_of_approved_derivations() {
    on_each(|machine| {
        for (needed, count) in [(1, 1), (2, 2), (3, 5)] {
            let builders = Builders::new(machine, count);
            builders.serve(needed, builders.urls()).gives();
            // Honest caches have signed it, and nobody vouched for it.
            machine.approve_files(&Draft::default());
            builders.serve(needed, builders.urls()).refuses();
        }
    });
}

#[test]
fn one_fault_of_each_kind_in_every_quorum_from_one_of_one_to_three_of_five() {
    let Some(machine) = Machine::new("nix226") else { return };
    let builders = Builders::new(&machine, 5);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = format!("http://{}", silent.local_addr().unwrap());
    thread::spawn(move || {
        let mut held = Vec::new();
        for stream in silent.incoming() {
            held.push(stream);
        }
    });
    let honest: Vec<String> = (1..=5)
        .map(|number| fs::read_to_string(builders.narinfo(number)).unwrap())
        .collect();
    let hash = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("NarHash:"))
            .unwrap()
            .to_owned()
    };
    let expected = hash(&honest[0]);
    for count in 1..=5_u8 {
        let at = usize::from(count) - 1;
        for needed in 1..=count.min(3) {
            let given = |caches: Vec<String>, lied: bool| {
                let answer = builders.serve_of(needed.into(), count, caches).answers();
                let given = answer.starts_with("HTTP/1.1 200");
                // Where one builder is enough, the owner believes each of them.
                assert!(
                    !given || (lied && needed == 1) || hash(&answer) == expected,
                    "{needed} of {count}: {answer}"
                );
                given
            };
            let caches = || builders.urls()[..count.into()].to_vec();
            let with = |url: &str| {
                let mut caches = caches();
                url.clone_into(&mut caches[at]);
                caches
            };
            // One cache is lost to each fault.
            let enough = !(needed..count).is_empty();
            assert!(given(caches(), false), "{needed} of {count}, all well");
            assert_eq!(
                given(with("http://127.0.0.1:9"), false),
                enough,
                "{needed} of {count}, one down"
            );
            assert_eq!(given(with(&slow), false), enough, "{needed} of {count}, one slow");
            // The last has the signature of the first, well copied; of one builder there is nobody else's.
            if count > 1 {
                fs::write(builders.narinfo(count), &honest[0]).unwrap();
                assert_eq!(given(caches(), false), enough, "{needed} of {count}, one replaying");
            }
            builders.edit(count, |info| {
                info.nar.size += 8;
                info.nar.sha256 = nixstore::Sha256Digest::of("another archive");
                info.signatures = vec![key(count).sign(info.fingerprint().as_bytes())];
            });
            let outvoted = given(caches(), true);
            assert!(
                needed == 1 || outvoted == enough,
                "{needed} of {count}, one lying: {outvoted}"
            );
            fs::write(builders.narinfo(count), &honest[at]).unwrap();
        }
    }
}

#[test]
fn a_lying_cache_is_outvoted_and_noted_with_its_signature() {
    on_each(|machine| {
        let builders = Builders::new(machine, 3);
        builders.edit(3, |info| {
            info.nar.size += 8;
            info.signatures = vec![key(3).sign(info.fingerprint().as_bytes())];
        });
        builders.serve(2, builders.urls()).gives();
        let lying_first = builders.urls().into_iter().rev().collect();
        builders.serve(2, lying_first).gives();
        builders.serve(3, builders.urls()).refuses();
        assert!(builders.disagreements() >= 1);
    });
}

#[test]
fn a_cache_that_is_down_and_one_that_is_slow_do_not_stop_the_others() {
    on_each(|machine| {
        let builders = Builders::new(machine, 2);
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let slow = format!("http://{}", silent.local_addr().unwrap());
        thread::spawn(move || {
            let mut held = Vec::new();
            for stream in silent.incoming() {
                held.push(stream);
            }
        });
        let mut caches = vec![slow, "http://127.0.0.1:9".to_owned(), "file:///nowhere".to_owned()];
        caches.extend(builders.urls());
        let start = Instant::now();
        builders.serve(2, caches.clone()).gives();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        // With one of the two gone it waits for the slow one no longer than it was told to.
        fs::remove_file(builders.narinfo(2)).unwrap();
        builders.serve(2, caches).refuses();
    });
}

#[test]
fn a_cache_that_replays_signatures_or_another_path_adds_nothing() {
    on_each(|machine| {
        let builders = Builders::new(machine, 2);
        let first = fs::read_to_string(builders.narinfo(1)).unwrap();
        // The second has the first one's signature, not its own.
        let own = fs::read_to_string(builders.narinfo(2)).unwrap();
        fs::write(builders.narinfo(2), &first).unwrap();
        builders.serve(2, builders.urls()).refuses();
        // A narinfo of another path under this name, well signed.
        let lib = fs::read_dir(builders.cache(2))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("-lib\n")));
        fs::copy(lib.unwrap(), builders.narinfo(2)).unwrap();
        builders.serve(2, builders.urls()).refuses();
        fs::write(builders.narinfo(2), own).unwrap();
        builders.serve(2, builders.urls()).gives();
    });
}

#[test]
fn a_changed_narinfo_and_a_changed_archive_are_refused() {
    on_each(|machine| {
        let builders = Builders::new(machine, 1);
        let good = fs::read(builders.narinfo(1)).unwrap();
        builders.edit(1, |info| info.references.clear());
        builders.serve(1, builders.urls()).refuses();
        builders.edit(1, |info| info.signatures[0].name.push('x'));
        builders.serve(1, builders.urls()).refuses();
        fs::write(builders.narinfo(1), &good).unwrap();
        let info = NarInfo::parse(std::str::from_utf8(&good).unwrap()).unwrap();
        let archive = builders.cache(1).join(&info.url);
        let bytes = fs::read(&archive).unwrap();
        for changed in [
            bytes[..bytes.len() / 2].to_vec(),
            Vec::new(),
            b"not an archive".to_vec(),
        ] {
            fs::write(&archive, changed).unwrap();
            builders.serve(1, builders.urls()).refuses();
        }
        // Well packed, and another content: what Nix would otherwise unpack.
        let mut plain = Vec::new();
        liblzma::read::XzDecoder::new(&bytes[..])
            .read_to_end(&mut plain)
            .unwrap();
        let at = plain.len() / 2;
        plain[at] ^= 1;
        fs::write(&archive, liblzma::encode_all(&plain[..], 1).unwrap()).unwrap();
        builders.serve(1, builders.urls()).refuses();
        fs::write(&archive, bytes).unwrap();
        builders.serve(1, builders.urls()).gives();
        assert!(!builders.derivation.is_empty());
    });
}

#[test]
fn a_user_cannot_copy_in_what_an_honest_cache_has_signed() {
    on_each(|machine| {
        let builders = Builders::new(machine, 1);
        machine.approve_files(&Draft::default());
        let _daemon = machine.daemon();
        let cache = &builders.urls()[0];
        let copy = format!(
            "nix --extra-experimental-features nix-command copy --from {cache} {}",
            builders.output
        );
        let trusting = format!(
            "--option trusted-public-keys {} --option require-sigs false",
            key(1).public()
        );
        for more in ["", "--no-check-sigs", &trusting] {
            let ran = machine.as_user("ann", &format!("{copy} {more}"));
            assert_ne!(ran.code, Some(0), "{more}: {ran:?}");
            let line = format!(
                "nix-store --realise {} --option substituters {cache} {more}",
                builders.output
            );
            let ran = machine.as_user("ann", &line.replace("--no-check-sigs", ""));
            assert_ne!(ran.code, Some(0), "{more}: {ran:?}");
        }
        // Root may, and says so.
        let nix = [
            "nix",
            "--extra-experimental-features",
            "nix-command",
            "copy",
            "--no-check-sigs",
            "--from",
            cache,
            &builders.output,
        ];
        machine.nix(&nix).ok();
    });
}
