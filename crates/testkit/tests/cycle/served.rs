//! What a mirror, or a thief of the online key, can serve: nothing but what enough people signed is installed.

use attestation::tuf::{Signature, Signed, Targets};
use signer::{Document, Signer as _, sign_metadata};
use testkit::{
    World, peer,
    world::{Server, now},
};

/// Release 1 is installed, release 2 is published.
fn with_an_update() -> World {
    let world = World::published();
    world.subscribe();
    world.update_installs(1);
    world.copy("site", "old-site");
    world.next_release();
    world
}

#[test]
fn a_machine_follows_from_release_to_release() {
    let world = with_an_update();
    world.update_installs(2);
    let status = world.touchstone(&["status", "--check"]).ok();
    assert_eq!(status["signed-by"].as_array().unwrap().len(), 2, "{status}");
    let installed = world.path("machine/current/nixexprs");
    let package = std::fs::read_to_string(installed.join("pkgs/by-name/he/hello/package.nix")).unwrap();
    assert!(package.contains("2.12.1"), "{package}");
}

#[test]
fn a_machine_follows_over_http() {
    let world = World::published();
    let server = Server::start(&world.path("site"));
    world.subscribe_on("machine", server.url(), "unstable", &[]).ok();
    world.update_installs(1);
    world.next_release();
    world.update_installs(2);
    world.mirror().write("metadata/timestamp.json", b"{}");
    world.update_is_refused("malformed");
}

#[test]
fn refuses_a_flipped_byte_in_what_an_update_fetches() {
    let world = with_an_update();
    let mirror = world.mirror();
    let tarballs = mirror.files("targets/unstable");
    let mut flipped = 0;
    for (path, code) in [
        ("metadata/timestamp.json", &["malformed", "threshold", "expired"][..]),
        ("metadata/2.snapshot.json", &["not-as-listed"]),
        ("metadata/2.unstable.json", &["not-as-listed"]),
    ] {
        for percent in [0, 10, 30, 50, 70, 90, 100] {
            mirror.with_flipped_byte(path, percent, || {
                let before = world.installed("machine");
                let output = world.touchstone(&["update"]).refused("");
                assert!(
                    code.contains(&output.error_code()),
                    "{path} at {percent}%: {}",
                    output.stderr
                );
                assert_eq!(world.installed("machine"), before);
            });
            flipped += 1;
        }
    }
    assert_eq!(flipped, 21);
    // The tarball stands in where the patch is refused, so both are changed.
    let newest = tarball_of(&mirror.targets("unstable"));
    let tarball = tarballs.iter().find(|path| path.contains(&newest)).unwrap();
    let patch = tarballs.iter().find(|path| path.ends_with(".zst"));
    let patch = patch.expect("a patch from release 1");
    mirror.with_flipped_byte(tarball, 50, || {
        mirror.with_flipped_byte(patch, 50, || world.update_is_refused("other-target"));
    });
    let before = world.twin();
    before.update_installs(2);
    assert_eq!(before.touchstone(&["update"]).ok()["outcome"], "unchanged");
    mirror.with_flipped_byte(patch, 50, || {
        let update = world.touchstone(&["update"]).ok();
        assert_eq!(
            (&update["fetched"], &update["patch-failure"]["code"]),
            (&"whole".into(), &"other-target".into())
        );
    });
    world.touchstone(&["verify"]).ok();
}

fn tarball_of(targets: &Signed<Targets>) -> String {
    targets.claims.targets["unstable/nixexprs.tar.xz"]
        .sha256()
        .unwrap()
        .to_string()
}

#[test]
fn refuses_a_flipped_byte_in_anything_a_new_machine_fetches() {
    let world = World::published();
    let mirror = world.mirror();
    let tarball = format!(
        "targets/unstable/{}.nixexprs.tar.xz",
        tarball_of(&mirror.targets("unstable"))
    );
    for (path, codes) in [
        ("metadata/1.root.json", &["other-chain"][..]),
        ("metadata/timestamp.json", &["malformed", "threshold", "expired"]),
        ("metadata/1.snapshot.json", &["not-as-listed"]),
        ("metadata/1.targets.json", &["not-as-listed"]),
        ("metadata/1.unstable.json", &["not-as-listed"]),
        (&tarball, &["other-target"]),
    ] {
        for percent in [0, 25, 50, 75, 100] {
            let machine = format!("machine-{}-{percent}", path.replace('/', "-"));
            world
                .subscribe_on(&machine, &world.file_url("site"), "unstable", &["--no-fetch"])
                .ok();
            mirror.with_flipped_byte(path, percent, || {
                let output = world.touchstone_on(&machine, &["update"]).refused("");
                assert!(
                    codes.contains(&output.error_code()),
                    "{path} at {percent}%: {}",
                    output.stderr
                );
                assert_eq!(world.installed(&machine).current, None, "{path}");
            });
            world.update_installs_on(&machine, 1);
        }
    }
}

/// Certificates prove nothing by being there: without the right ones nothing is verified, and with more nothing else.
#[test]
fn never_installs_anything_else_for_a_flipped_byte_in_the_certificates() {
    let world = World::published();
    let mirror = world.mirror();
    let mut refused = 0;
    for percent in (0..=100).step_by(10) {
        let machine = format!("machine-{percent}");
        world
            .subscribe_on(&machine, &world.file_url("site"), "unstable", &["--no-fetch"])
            .ok();
        mirror.with_flipped_byte("metadata/keyring.pgp", percent, || {
            let output = world.touchstone_on(&machine, &["update"]);
            match output.code {
                Some(0) => assert_eq!(output.json["signed-by"].as_array().unwrap().len(), 2),
                Some(1) => refused += 1,
                other => panic!("{other:?}: {}", output.stderr),
            }
        });
        world.update_installs_on(&machine, 1);
    }
    assert!(refused > 0, "no flipped byte mattered");
}

#[test]
fn refuses_a_flipped_byte_in_the_next_root() {
    let world = with_an_update();
    crate::rotation::rotate_carol_out(&world);
    let mirror = world.mirror();
    for percent in [0, 20, 40, 60, 80, 100] {
        mirror.with_flipped_byte("metadata/2.root.json", percent, || {
            let before = world.installed("machine");
            let output = world.touchstone(&["update"]).refused("");
            assert!(
                ["malformed", "threshold", "other-version", "root-refused"].contains(&output.error_code()),
                "{percent}%: {}",
                output.stderr
            );
            assert_eq!(world.installed("machine"), before);
        });
    }
    world.update_installs(3);
}

#[test]
fn refuses_an_older_channel_served_again() {
    let world = with_an_update();
    world.update_installs(2);
    world.copy("site", "new-site");
    world.copy("old-site", "site");
    world.update_is_refused("rollback");
    world.copy("new-site", "site");
    world.update_installs(2);
}

#[test]
fn refuses_an_older_release_announced_anew_by_a_stolen_online_key() {
    let world = with_an_update();
    world.update_installs(2);
    let mirror = world.mirror();
    let old = mirror.read("metadata/1.unstable.json");
    mirror.announce_targets("unstable", 1, &old);
    world.update_is_refused("rollback");
}

#[test]
fn refuses_a_release_below_the_floor_on_a_new_machine() {
    let world = World::published();
    let url = world.file_url("site");
    world
        .subscribe_on("machine", &url, "unstable", &["--floor-release", "2"])
        .ok();
    world.update_is_refused("below-floor");
    world.next_release();
    world.update_installs(2);
}

#[test]
fn refuses_an_expired_timestamp_and_takes_a_renewed_one() {
    if !peer::has("faketime") {
        return;
    }
    let world = with_an_update();
    let update = world.touchstone_command("machine", &["update"]);
    let before = world.installed("machine");
    let output = world.later("+3d", &update).refused("expired at");
    assert_eq!(output.error_code(), "expired");
    assert_eq!(world.installed("machine"), before);
    // What is installed stays usable.
    world
        .later("+3d", &world.touchstone_command("machine", &["verify"]))
        .ok();
    let publish = ["publish", "--to", "site", "--online-key", "online.key"];
    world.later("+3d", &world.assay_command("alice", &publish)).ok();
    assert_eq!(world.later("+3d", &update).ok()["release"]["sequence"], 2);
}

#[test]
fn refuses_one_signature_too_few() {
    let world = with_an_update();
    let mirror = world.mirror();
    let honest = mirror.targets("unstable");
    assert_eq!(honest.signatures.len(), 2);
    let alone = Signed::new(honest.claims.clone(), vec![honest.signatures[0].clone()]);
    world.copy("machine", "victim");
    mirror.announce_targets("unstable", 2, &alone.to_bytes());
    world.update_is_refused_on("victim", "threshold");
    mirror.announce_targets("unstable", 2, &honest.to_bytes());
    world.update_installs(2);
}

#[test]
fn counts_two_signatures_of_one_person_once() {
    let world = with_an_update();
    let mirror = world.mirror();
    let honest = mirror.targets("unstable");
    // The same key at another time, the same key twice, and another key of the same person.
    let again = signed_by(&world, "alice", 0, &honest.claims, -60);
    let first = signed_by(&world, "alice", 0, &honest.claims, 0);
    let spare = signed_by(&world, "alice", 1, &honest.claims, 0);
    let forgeries = [
        vec![first.clone(), again],
        vec![first.clone(), first.clone()],
        vec![first.clone(), spare],
    ];
    for mut signatures in forgeries {
        signatures.sort();
        let forged = Signed::new(honest.claims.clone(), signatures);
        mirror.announce_targets("unstable", 2, &forged.to_bytes());
        world.copy("machine", "victim");
        world.update_is_refused_on("victim", "threshold");
    }
    // The honest twin: another person's beside hers.
    let mut signatures = vec![first, signed_by(&world, "carol", 0, &honest.claims, 0)];
    signatures.sort();
    mirror.announce_targets(
        "unstable",
        2,
        &Signed::new(honest.claims.clone(), signatures).to_bytes(),
    );
    world.update_installs(2);
}

/// A signature with the person's `key`th key, dated this many seconds from now.
fn signed_by(world: &World, person: &str, key: usize, targets: &Targets, seconds: i64) -> Signature {
    let secret = std::fs::read(world.path(format!("keys/{person}.secret.asc"))).unwrap();
    let person = testkit::TestPerson::from_secret(person, secret);
    let at = attestation::Time::from_unix(now().unix() + seconds);
    let signer = person.signer(key, at);
    assert_eq!(signer.fingerprint(), &person.keys[key]);
    sign_metadata(&signer, &Document::Targets(targets)).unwrap()
}

#[test]
fn refuses_a_signature_of_a_person_who_may_not_release() {
    let world = with_an_update();
    world.new_person("mallory");
    let mirror = world.mirror();
    let honest = mirror.targets("unstable");
    let mut signatures = vec![
        honest.signatures[0].clone(),
        signed_by(&world, "mallory", 0, &honest.claims, 0),
    ];
    signatures.sort();
    mirror.announce_targets(
        "unstable",
        2,
        &Signed::new(honest.claims.clone(), signatures).to_bytes(),
    );
    world.update_is_refused("threshold");
}

/// The same people, keys, upstream and channel: another chain.
fn another_chain(world: &World) -> World {
    let other = World::without_chain();
    for name in ["alice", "bob", "carol"] {
        for file in [format!("keys/{name}.asc"), format!("keys/{name}.secret.asc")] {
            std::fs::copy(world.path(&file), other.path(&file)).unwrap();
        }
    }
    std::fs::copy(world.path("online.key"), other.path("online.key")).unwrap();
    std::fs::write(other.path("policy.toml"), other.policy(&testkit::world::PEOPLE)).unwrap();
    other.start_chain();
    assert_ne!(other.chain(), world.chain());
    other.first_release("unstable");
    other.publish();
    other.next_release();
    other
}

#[test]
fn refuses_a_root_that_does_not_descend_from_the_pinned_one() {
    let world = with_an_update();
    let other = another_chain(&world);
    // To a new subscriber of this chain, its mirror shows another chain of the same people.
    let url = other.file_url("site");
    let output = world
        .subscribe_on("new", &url, "unstable", &[])
        .refused("this is another chain");
    assert_eq!(output.error_code(), "other-chain");
    world.subscribe_on("new", &url, "unstable", &["--no-fetch"]).ok();
    world.update_is_refused_on("new", "other-chain");

    // To a machine that has the pinned root, it shows everything after it.
    world.copy("site", "honest-site");
    std::fs::remove_dir_all(world.path("site")).unwrap();
    std::os::unix::fs::symlink(other.path("site"), world.path("site")).unwrap();
    world.update_is_refused("other-role");
    crate::rotation::rotate_carol_out(&other);
    let before = world.installed("machine");
    let output = world.touchstone(&["update"]).refused("");
    assert!(
        ["root-refused", "threshold"].contains(&output.error_code()),
        "{}",
        output.stderr
    );
    assert_eq!(world.installed("machine"), before);
    std::fs::remove_file(world.path("site")).unwrap();
    world.copy("honest-site", "site");
    world.update_installs(2);
}

#[test]
fn refuses_a_release_of_another_chain_by_the_same_people() {
    let world = with_an_update();
    let other = another_chain(&world).mirror().targets("unstable");
    world.mirror().announce_targets("unstable", 2, &other.to_bytes());
    world.update_is_refused("other-role");
}

#[test]
fn refuses_the_targets_of_one_channel_served_as_anothers() {
    let world = World::published();
    world.first_release("stable");
    world.publish();
    for channel in ["stable", "unstable"] {
        world.subscribe_on(channel, &world.file_url("site"), channel, &[]).ok();
        world.update_installs_on(channel, 1);
    }
    world.next_release();
    let mirror = world.mirror();
    // Signed by the very people who sign `stable`, newer than what is installed.
    let unstable = mirror.targets("unstable").to_bytes();
    mirror.announce_targets("stable", 2, &unstable);
    world.update_is_refused_on("stable", "other-role");
    world.update_installs_on("unstable", 2);
    let stable = mirror.read("metadata/1.stable.json");
    mirror.announce_targets("unstable", 3, &stable);
    world.update_is_refused_on("unstable", "other-version");
}

#[test]
fn a_failing_mirror_is_passed_over_and_an_honest_one_used() {
    let world = with_an_update();
    world.copy("site", "bad-site");
    for name in world.mirror().files("targets/unstable") {
        std::fs::write(world.path(format!("bad-site/{name}")), "not a tarball, nor a patch").unwrap();
    }
    let (bad, good) = (world.file_url("bad-site"), world.file_url("site"));
    world.subscribe_on("machine", &bad, "unstable", &["--url", &good]).ok();
    let json = world.touchstone(&["update"]).ok();
    assert_eq!(json["release"]["sequence"], 2);
    assert_eq!(json["mirrors"][0]["view"], "failed", "{json}");
    assert_eq!(json["mirrors"][0]["code"], "other-target", "{json}");
    world.touchstone(&["verify"]).ok();
}
