//! Others' programs in the cycle: GnuPG holds a key, python-tuf installs.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use testkit::{World, peer};

/// A keyring of GnuPG's; its agent ends with it.
struct GnupgHome(PathBuf);

impl GnupgHome {
    fn new(world: &World, person: &str) -> Self {
        let home = world.path("gnupg").join(person);
        fs::create_dir_all(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        Self(home)
    }

    fn gpg(&self, arguments: &[&str]) -> String {
        let mut gpg = Command::new("gpg");
        gpg.env("GNUPGHOME", &self.0)
            .args(["--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]);
        let output = gpg.args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "gpg {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Revokes the first signing subkey for good.
    fn revoke_first_subkey(&self, primary: &str) {
        let mut gpg = Command::new("gpg");
        gpg.env("GNUPGHOME", &self.0)
            .args([
                "--quiet",
                "--passphrase",
                "",
                "--pinentry-mode",
                "loopback",
                "--no-tty",
                "--command-fd",
                "0",
            ])
            .args(["--edit-key", primary])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut gpg = gpg.spawn().unwrap();
        let answers = b"key 1\nrevkey\ny\n1\n\ny\nsave\n";
        gpg.stdin.take().unwrap().write_all(answers).unwrap();
        assert!(gpg.wait().unwrap().success());
    }

    /// The fingerprints of all keys, the primary one first.
    fn fingerprints(&self) -> Vec<String> {
        let listing = self.gpg(&["--list-keys", "--with-colons"]);
        let lines = listing.lines().filter(|line| line.starts_with("fpr:"));
        lines
            .map(|line| line.split(':').nth(9).unwrap().to_lowercase())
            .collect()
    }
}

impl Drop for GnupgHome {
    fn drop(&mut self) {
        // Without an agent there is nothing to end.
        let _ = Command::new("gpgconf")
            .env("GNUPGHOME", &self.0)
            .args(["--kill", "all"])
            .status();
    }
}

/// Carol used two keys in turn, and one was stolen: what it signed counts no more, and is not taken for what somebody
/// withholds. The channel goes on.
#[test]
fn a_channel_goes_on_when_one_of_two_keys_was_revoked_for_good() {
    if !peer::has("gpg") {
        return;
    }
    let world = World::without_chain();
    let home = GnupgHome::new(&world, "carol");
    home.gpg(&[
        "--quick-generate-key",
        "Carol <carol@example.org>",
        "ed25519",
        "cert",
        "2y",
    ]);
    let primary = home.fingerprints().remove(0).to_uppercase();
    for _ in 0..2 {
        home.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "2y"]);
    }
    let keys = home.fingerprints();
    let export = || {
        fs::write(
            world.path("keys/carol.asc"),
            home.gpg(&["--armor", "--export", &primary]),
        )
        .unwrap();
    };
    export();
    fs::write(world.path("policy.toml"), world.policy(&testkit::world::PEOPLE)).unwrap();
    world.set_key("carol", &format!("gpg:{}", keys[1]));
    world.start_chain();
    world.first_release("unstable");
    world.assay("alice", &["publish"]).ok();
    let approve = || {
        world
            .assay("carol", &["review", "--channel", "unstable", "--approve-all", "--yes"])
            .ok()
    };
    let released = || {
        world.sign(&["alice"]);
        world.release();
        world.sign(&["alice", "bob"]);
        world.assay("alice", &["publish"]).ok();
    };
    world.upstream_bump();
    world.assay("alice", &["import", "--channel", "unstable"]).ok();
    approve();
    world
        .assay("carol", &["init", "--key", &format!("gpg:{}", keys[2])])
        .ok();
    approve();
    released();
    home.revoke_first_subkey(&primary);
    export();
    fs::write(world.path("policy.toml"), world.policy(&testkit::world::PEOPLE)).unwrap();
    let propose = ["policy", "propose", "policy.toml", "--certificate", "keys/carol.asc"];
    world.assay("alice", &propose).ok();
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
    world.upstream_bump();
    world.assay("alice", &["import", "--channel", "unstable"]).ok();
    let reviewed = world.assay("carol", &["review", "--channel", "unstable", "--approve-all", "--yes"]);
    assert!(
        reviewed.stderr.contains("although a release lists it"),
        "{}",
        reviewed.stderr
    );
    reviewed.ok();
    released();
}

#[test]
fn a_person_with_gnupg_signs_roots_statements_and_releases() {
    if !peer::has("gpg") {
        return;
    }
    for algorithm in ["ed25519", "rsa2048"] {
        let world = World::without_chain();
        let home = GnupgHome::new(&world, "bob");
        home.gpg(&["--quick-generate-key", "Bob <bob@example.org>", algorithm, "cert", "2y"]);
        let primary = home.fingerprints().remove(0).to_uppercase();
        home.gpg(&["--quick-add-key", &primary, algorithm, "sign", "1y"]);
        let signing = home.fingerprints().remove(1);
        fs::write(world.path("keys/bob.asc"), home.gpg(&["--armor", "--export", &primary])).unwrap();
        world.set_key("bob", &format!("gpg:{signing}"));
        fs::write(world.path("policy.toml"), world.policy(&testkit::world::PEOPLE)).unwrap();
        world.start_chain();
        world.first_release("unstable");
        world.publish();
        world.subscribe();
        let json = world.touchstone(&["update"]).ok();
        assert_eq!(json["signed-by"], serde_json::json!(["alice", "bob"]), "{algorithm}");
        world.next_release();
        world.update_installs(2);
    }
}

#[test]
fn an_unmodified_python_tuf_installs_the_published_channel_and_refuses_a_changed_one() {
    let Some(python) = peer::python() else { return };
    let world = World::published();
    world.next_release();
    let server = testkit::world::Server::start(&world.path("site"));
    let client = |directory: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/tuf_client.py");
        let mut command = Command::new(&python);
        command
            .arg(script)
            .arg(server.url())
            .arg(world.path("site/metadata/1.root.json"));
        command.arg("unstable/nixexprs.tar.xz").arg(world.path(directory));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (output.status.code(), said)
    };
    let (code, said) = client("tuf");
    assert_eq!(code, Some(0), "{said}");
    let mirror = world.mirror();
    let sha256 = mirror.targets("unstable").claims.targets["unstable/nixexprs.tar.xz"]
        .sha256()
        .unwrap();
    let tarball = format!("targets/unstable/{sha256}.nixexprs.tar.xz");
    assert_eq!(
        fs::read(said.strip_prefix("downloaded ").unwrap()).unwrap(),
        mirror.read(&tarball)
    );
    for path in ["metadata/2.unstable.json", "metadata/1.targets.json", &tarball] {
        mirror.with_flipped_byte(path, 50, || {
            let (code, said) = client("new-tuf");
            assert_eq!(code, Some(1), "{path} was taken with a flipped byte: {said}");
            assert!(said.starts_with("refused LengthOrHashMismatchError"), "{path}: {said}");
        });
        fs::remove_dir_all(world.path("new-tuf")).unwrap();
    }
}
