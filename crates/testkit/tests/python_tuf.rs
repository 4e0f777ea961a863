//! An unmodified python-tuf follows our chains, and refuses what was tampered with.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use attestation::{Seconds, Time, tuf::Signed};
use testkit::{TestChain, peer};

const TARGET: &str = "unstable/nixexprs.tar.xz";
const BYTES: &[u8] = b"the channel's bytes";

/// python-tuf asks the system's clock.
fn now() -> Time {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_unix(i64::try_from(elapsed.as_secs()).unwrap())
}

/// A static web server on a loopback port, of Python's own.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn new(python: &Path, directory: &Path) -> Self {
        let mut process = Command::new(python)
            .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(directory)
            .arg("0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // `Serving HTTP on 127.0.0.1 port 41241 (http://127.0.0.1:41241/) ...`
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line
            .split_whitespace()
            .nth(5)
            .unwrap_or_else(|| panic!("no port in {line:?}"));
        let url = format!("http://127.0.0.1:{port}");
        Self { process, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A subscriber with python-tuf, who has pinned a root.
struct Subscriber {
    python: PathBuf,
    directory: tempfile::TempDir,
}

impl Subscriber {
    fn new(python: &Path, chain: &TestChain) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("root.json"), &chain.files["metadata/1.root.json"]).unwrap();
        Self {
            python: python.to_owned(),
            directory,
        }
    }

    /// The bytes that it downloads from a web server with the chain's files, or the line that says why not.
    fn update(&self, chain: &TestChain) -> Result<Vec<u8>, String> {
        let web = tempfile::tempdir().unwrap();
        chain.write_to(web.path()).unwrap();
        let server = Server::new(&self.python, web.path());
        let output = Command::new(&self.python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/tuf_client.py"))
            .arg(&server.url)
            .arg(self.directory.path().join("root.json"))
            .arg(TARGET)
            .arg(self.directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        match said.trim().strip_prefix("downloaded ") {
            Some(path) => Ok(fs::read(path).unwrap()),
            None if said.is_empty() => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            None => Err(said.trim().to_owned()),
        }
    }
}

fn released() -> TestChain {
    let mut chain = TestChain::new(now());
    chain.release("stable", &[("nixexprs.tar.xz", b"another channel's")]);
    chain.release("unstable", &[("nixexprs.tar.xz", BYTES)]);
    chain
}

fn refused(python: &Path, chain: &TestChain, error: &str) {
    let said = Subscriber::new(python, chain).update(chain).expect_err("accepted");
    assert!(said.starts_with(&format!("refused {error}:")), "{said}");
}

#[test]
fn python_tuf_follows_a_chain_through_a_rotation() {
    let Some(python) = peer::python() else { return };
    let mut chain = released();
    let subscriber = Subscriber::new(&python, &chain);
    assert_eq!(subscriber.update(&chain).unwrap(), BYTES);
    chain.rotate(|policy| {
        let role = policy.roles.get_mut(&"root".parse().unwrap()).unwrap();
        role.people.insert("dave".parse().unwrap());
    });
    chain.release("unstable", &[("nixexprs.tar.xz", b"newer bytes")]);
    assert_eq!(subscriber.update(&chain).unwrap(), b"newer bytes");
    assert_eq!(Subscriber::new(&python, &chain).update(&chain).unwrap(), b"newer bytes");
}

#[test]
fn python_tuf_refuses_a_flipped_byte() {
    let Some(python) = peer::python() else { return };
    let chain = released();
    let target = chain
        .files
        .keys()
        .find(|path| path.starts_with("targets/unstable/"))
        .unwrap()
        .clone();
    let other = "LengthOrHashMismatchError";
    for (path, error) in [
        (target.as_str(), other),
        ("metadata/timestamp.json", "UnsignedMetadataError"),
        ("metadata/3.snapshot.json", other),
        ("metadata/1.targets.json", other),
        ("metadata/1.unstable.json", other),
    ] {
        let mut hostile = chain.clone();
        let bytes = hostile.files.get_mut(path).unwrap();
        // A digit becomes another one: what is JSON stays JSON.
        let index = bytes.iter().rposition(u8::is_ascii_digit).unwrap_or(0);
        bytes[index] ^= 1;
        let said = Subscriber::new(&python, &chain).update(&hostile).expect_err(path);
        assert!(said.starts_with(&format!("refused {error}:")), "{path}: {said}");
    }
    assert_eq!(Subscriber::new(&python, &chain).update(&chain).unwrap(), BYTES);
}

#[test]
fn python_tuf_refuses_one_signature_too_few() {
    let Some(python) = peer::python() else { return };
    let mut chain = released();
    chain.release_with("unstable", &[("nixexprs.tar.xz", BYTES)], &["alice"], |_| {});
    refused(&python, &chain, "UnsignedMetadataError");
    let mut chain = released();
    chain.release_with("unstable", &[("nixexprs.tar.xz", BYTES)], &["alice", "dave"], |_| {});
    refused(&python, &chain, "UnsignedMetadataError");
}

#[test]
fn python_tuf_refuses_signatures_moved_under_a_rewritten_body() {
    let Some(python) = peer::python() else { return };
    let mut chain = released();
    let honest = chain.draft_release("unstable", &[("nixexprs.tar.xz", BYTES)]);
    let signatures = chain.signed_targets(honest, &["alice", "bob"]).signatures;
    let hostile = chain.draft_release("unstable", &[("nixexprs.tar.xz", b"hostile")]);
    chain.place_targets("unstable", &Signed::new(hostile, signatures));
    chain.publish();
    refused(&python, &chain, "UnsignedMetadataError");
}

#[test]
fn python_tuf_refuses_a_root_that_the_old_people_did_not_sign() {
    let Some(python) = peer::python() else { return };
    let mut chain = released();
    let root = chain.signed_root(chain.draft_root(|_| {}), &["alice", "dave"]);
    chain.place_root(&root);
    refused(&python, &chain, "UnsignedMetadataError");
}

#[test]
fn python_tuf_refuses_an_older_channel_served_again() {
    let Some(python) = peer::python() else { return };
    let old = released();
    let mut new = old.clone();
    new.release("unstable", &[("nixexprs.tar.xz", b"newer bytes")]);
    let subscriber = Subscriber::new(&python, &old);
    assert_eq!(subscriber.update(&new).unwrap(), b"newer bytes");
    let said = subscriber.update(&old).expect_err("rolled back");
    assert!(said.starts_with("refused BadVersionNumberError:"), "{said}");
    assert_eq!(subscriber.update(&new).unwrap(), b"newer bytes", "the honest twin");
}

#[test]
fn python_tuf_refuses_an_expired_timestamp() {
    let Some(python) = peer::python() else { return };
    let mut chain = released();
    let past = now().minus(Seconds(60));
    chain.publish_with(|_| {}, |timestamp| timestamp.expires = past);
    refused(&python, &chain, "ExpiredMetadataError");
}
