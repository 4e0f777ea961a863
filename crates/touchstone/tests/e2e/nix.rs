//! Two real versions of Nix, and what `touchstone serve` and `touchstone pin` give them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use testkit::peer;

use crate::world::{TOUCHSTONE, World};

/// One version of Nix, with a store and a home of its own.
pub(crate) struct Nix {
    pub(crate) wrapper: PathBuf,
    pub(crate) name: &'static str,
    pub(crate) home: TempDir,
}

impl Nix {
    /// Both versions, or those there are; says which are missing.
    pub(crate) fn versions() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nix");
        let there = |name: &'static str| {
            let wrapper = directory.join(name);
            if !wrapper.exists() {
                peer::missing(&format!("no {name} in target/nix (cargo xtask setup makes it)"));
                return None;
            }
            let home = tempfile::tempdir().unwrap();
            Some(Self { wrapper, name, home })
        };
        ["nix28", "nix226"].into_iter().filter_map(there).collect()
    }

    pub(crate) fn run(&self, line: &[&str]) -> Output {
        Command::new(&self.wrapper)
            .args(line)
            .env("TOUCHSTONE_NIX_HOME", self.home.path())
            .env_remove("NIX_PATH")
            .output()
            .unwrap()
    }

    pub(crate) fn ok(&self, line: &[&str]) -> String {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {line:?}: {said}", self.name);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// `touchstone serve`, until it is dropped.
pub(crate) struct Serve {
    process: Child,
    json: Value,
}

impl Serve {
    pub(crate) fn start(world: &World) -> Self {
        let mut process = Command::new(TOUCHSTONE)
            .args(["--format", "json", "--state"])
            .arg(world.state())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let json = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it does not serve: {line}"));
        Self { process, json }
    }

    pub(crate) fn url(&self, of: &str) -> &str {
        self.json[of].as_str().unwrap()
    }

    /// The whole answer to a request, as it came.
    fn ask(&self, request: &str) -> String {
        let address = self.url("url").strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let request = request.replace("HOST", address).replace('\n', "\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\nHost: HOST\nConnection: close\n\n"))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A package set whose `hello` is a text.
fn says(text: &str) -> String {
    format!("{{ ... }}: {{ hello = \"{text}\"; }}")
}

fn installed(text: &str) -> World {
    let mut world = World::new();
    world.release(&says(text));
    world.subscribe().assert_ok();
    world.run(&["update"]).assert_ok();
    world
}

const EVAL: [&str; 4] = ["nix-instantiate", "--eval", "-E", "(import <nixpkgs> { }).hello"];

#[test]
fn nix_channel_follows_the_installed_release() {
    for nix in Nix::versions() {
        let mut world = installed("one");
        let serve = Serve::start(&world);
        nix.ok(&["nix-channel", "--add", serve.url("channel-url"), "nixpkgs"]);
        nix.ok(&["nix-channel", "--update"]);
        assert_eq!(nix.ok(&EVAL), "\"one\"", "{}", nix.name);
        world.release(&says("two"));
        // Released, not installed: not served.
        nix.ok(&["nix-channel", "--update"]);
        assert_eq!(nix.ok(&EVAL), "\"one\"", "{}", nix.name);
        world.run(&["update"]).assert_ok();
        nix.ok(&["nix-channel", "--update"]);
        assert_eq!(nix.ok(&EVAL), "\"two\"", "{}", nix.name);
        // Somebody touches what is installed: nothing is served any more, and Nix keeps what it has.
        drop(serve);
        let file = world.state().join("current/nixexprs/default.nix");
        fs::remove_file(&file).unwrap();
        fs::write(&file, says("evil")).unwrap();
        world
            .run(&["serve", "--listen", "127.0.0.1:0"])
            .assert_failed(1, "other-tree");
    }
}

fn flake(url: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "{{ inputs.nixpkgs = {{ url = \"{url}\"; flake = false; }};\n\
         outputs = {{ self, nixpkgs }}: {{ hello = (import nixpkgs {{ }}).hello; }}; }}\n"
    );
    fs::write(directory.path().join("flake.nix"), text).unwrap();
    directory
}

pub(crate) fn locked(flake: &TempDir) -> Value {
    let lock: Value = serde_json::from_slice(&fs::read(flake.path().join("flake.lock")).unwrap()).unwrap();
    lock["nodes"]["nixpkgs"]["locked"].clone()
}

#[test]
fn a_flake_locks_the_signed_tree_and_builds_from_it() {
    for nix in Nix::versions() {
        let world = installed("one");
        let serve = Serve::start(&world);
        let flake = flake(serve.url("source-url"));
        let path = format!("path:{}", flake.path().display());
        nix.ok(&["nix", "flake", "lock", &path]);
        let lock = locked(&flake);
        let tree = world.newest().tree_nar;
        assert_eq!(lock["narHash"], tree.to_sri(), "{}", nix.name);
        if nix.name == "nix226" {
            assert!(lock["lastModified"].is_i64(), "{lock}");
            let url = lock["url"].as_str().unwrap();
            assert!(url.contains(&format!("/unstable/nar/{tree}/source.tar")), "{url}");
        }
        let hello = format!("{path}#hello");
        assert_eq!(nix.ok(&["nix", "eval", &hello]), "\"one\"", "{}", nix.name);
    }
}

#[test]
fn a_locked_flake_resolves_without_a_network_once_the_release_is_pinned() {
    for nix in Nix::versions() {
        let mut world = installed("one");
        let serve = Serve::start(&world);
        let flake = flake(serve.url("source-url"));
        let path = format!("path:{}", flake.path().display());
        nix.ok(&["nix", "flake", "lock", &path]);
        drop(serve);

        // Another machine, which has only the lock and the installed release.
        let nix = Nix {
            home: tempfile::tempdir().unwrap(),
            ..nix
        };
        let hello = format!("{path}#hello");
        assert!(
            !nix.run(&["nix", "eval", &hello]).status.success(),
            "it came from the network"
        );
        let state = world.state().display().to_string();
        let pinned = nix.ok(&[TOUCHSTONE, "--format", "json", "--state", &state, "pin"]);
        let pinned: Value = serde_json::from_str(&pinned).unwrap();
        let store_path = pinned["store-path"].as_str().unwrap().to_owned();
        assert!(store_path.ends_with("-source"), "{store_path}");
        assert_eq!(pinned["nar-hash"], locked(&flake)["narHash"]);
        assert_eq!(nix.ok(&["nix", "eval", &hello]), "\"one\"", "{}", nix.name);

        // The garbage collector of Nix leaves it, as long as the generation is there.
        nix.ok(&["nix-store", "--gc"]);
        nix.ok(&["nix-store", "--check-validity", &store_path]);
        let status = world.run(&["status"]).assert_ok().json();
        assert_eq!(status["pins"]["registry"]["to"]["path"], store_path, "{status}");
        world.release(&says("two"));
        world.run(&["update", "--keep", "1"]).assert_ok();
        nix.ok(&["nix-store", "--gc"]);
        let gone = nix.run(&["nix-store", "--check-validity", &store_path]);
        assert!(!gone.status.success(), "the root outlived its generation");
    }
}

#[test]
fn the_printed_nix_path_leads_to_what_is_current() {
    for nix in Nix::versions() {
        let world = installed("one");
        let status = world.run(&["status"]).assert_ok().json();
        let nix_path = status["pins"]["nix-path"].as_str().unwrap();
        for name in ["nixpkgs", "nixos"] {
            let expression = format!("(import <{name}> {{ }}).hello");
            let line = ["nix-instantiate", "-I", nix_path, "--eval", "-E", &expression];
            assert_eq!(nix.ok(&line), "\"one\"", "{}", nix.name);
        }
    }
}

#[test]
fn pin_refuses_a_touched_generation() {
    let Some(nix) = Nix::versions().into_iter().next() else {
        return;
    };
    let world = installed("one");
    let file = world.state().join("current/nixexprs/default.nix");
    fs::remove_file(&file).unwrap();
    fs::write(&file, says("evil")).unwrap();
    let state = world.state().display().to_string();
    let output = nix.run(&[TOUCHSTONE, "--format", "json", "--state", &state, "pin"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("other-tree"),
        "{output:?}"
    );
}

#[test]
fn serve_answers_nobody_who_calls_it_by_another_name() {
    let world = installed("one");
    let serve = Serve::start(&world);
    assert!(serve.get("/unstable").starts_with("HTTP/1.1 200 "));
    assert!(serve.get("//unstable//nixexprs.tar.xz").starts_with("HTTP/1.1 200 "));
    for host in ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", ""] {
        let answer = serve.ask(&format!("GET /unstable HTTP/1.1\nHost: {host}\nConnection: close\n\n"));
        assert!(answer.starts_with("HTTP/1.1 421 "), "{host}: {answer}");
    }
    assert!(
        !serve.ask("GET /unstable HTTP/1.0\n\n").contains(" 200 "),
        "no host at all"
    );
    let posted = serve.ask("POST /unstable HTTP/1.1\nHost: HOST\nContent-Length: 0\nConnection: close\n\n");
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
}

#[test]
fn serve_has_a_handful_of_paths_and_nothing_beside_them() {
    let world = installed("one");
    let serve = Serve::start(&world);
    for path in [
        "/stable",
        "/unstable/",
        "/unstable/../subscription.json",
        "/unstable/%2e%2e/subscription.json",
        "/unstable/nixexprs.tar.xz/x",
        "/subscription.json",
        "/unstable/nar/../nixexprs.tar",
        &format!("/unstable/nar/{}/source.tar", "0".repeat(64)),
    ] {
        let answer = serve.get(path);
        let expected = if path == "/unstable/" { "200" } else { "404" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {answer}");
    }
    let answer = serve.get("/unstable/source.tar");
    let tree = world.newest().tree_nar;
    assert!(answer.contains(&format!("etag: \"{tree}\"")), "{answer}");
    assert!(answer.contains("rel=\"immutable\"") && answer.contains(&format!("/nar/{tree}/source.tar?")));
    let known = serve.ask(&format!(
        "GET /unstable/source.tar HTTP/1.1\nHost: HOST\nIf-None-Match: \"{tree}\"\nConnection: close\n\n"
    ));
    assert!(known.starts_with("HTTP/1.1 304 "), "{known}");
    let head = serve.ask("HEAD /unstable/source.tar HTTP/1.1\nHost: HOST\nConnection: close\n\n");
    let (head, body) = head.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: ") && body.is_empty(), "{head}");
}

#[test]
fn serve_stops_answering_when_what_is_installed_was_touched_or_revoked() {
    let mut world = installed("one");
    let serve = Serve::start(&world);
    world.release(&says("two"));
    world.run(&["update"]).assert_ok();
    // The new generation is touched before anybody asked for it.
    let file = world.state().join("current/nixexprs/default.nix");
    fs::remove_file(&file).unwrap();
    fs::write(&file, says("evil")).unwrap();
    let answer = serve.get("/unstable/nixexprs.tar.xz");
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && !answer.contains("evil"),
        "{answer}"
    );
    assert!(answer.contains("touchstone update --repair"), "{answer}");
    // One signature less in the files that vouch for it: what was made before is not given away any more either.
    world.run(&["rollback"]).assert_ok();
    assert!(serve.get("/unstable/nixexprs.tar.xz").starts_with("HTTP/1.1 200 "));
    let targets = world.state().join("generations/1/metadata/channels/unstable.json");
    let text = fs::read_to_string(&targets)
        .unwrap()
        .replacen("\"sig\":\"", "\"sig\":\"0", 1);
    fs::write(&targets, text).unwrap();
    let answer = serve.get("/unstable/nixexprs.tar.xz");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn serve_listens_on_loopback_alone() {
    let world = installed("one");
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        world
            .run(&["serve", "--listen", address])
            .assert_failed(2, "not-loopback");
    }
    let serve = Serve::start(&world);
    let address = serve.url("url").strip_prefix("http://").unwrap().to_owned();
    world
        .run(&["serve", "--listen", &address])
        .assert_failed(3, "cannot-listen");
}
