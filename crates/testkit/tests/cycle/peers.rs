//! Others' programs in the cycle: GnuPG holds a key, python-tuf installs.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

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
