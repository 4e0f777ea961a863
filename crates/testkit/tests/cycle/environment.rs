//! Machines as they are: things missing, damaged, full, or in use by another run.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use testkit::{World, peer};

#[test]
fn says_that_there_is_no_repository() {
    let world = World::published();
    world
        .assay("nowhere", &["log"])
        .failed(3, "no such repository: nowhere");
    fs::create_dir(world.path("empty")).unwrap();
    world
        .assay("empty", &["log"])
        .failed(3, "empty is not a git repository that can be read");
    world.new_clone("fresh");
    world.assay("fresh", &["log"]).failed(3, "has no ledger");
    world.assay("alice", &["log"]).ok();
}

#[test]
fn refuses_a_shallow_clone() {
    let world = World::published();
    let url = format!("file://{}", world.path("fork.git").display());
    world.git(".", &["clone", "--quiet", "--depth", "1", &url, "shallow"]);
    let output = world.assay("shallow", &["log"]).failed(3, "shallow clone");
    assert!(output.stderr.contains("fetch --unshallow"), "{}", output.stderr);
    // A clone that became shallow later is no better.
    fs::copy(world.path("shallow/.git/shallow"), world.path("alice/.git/shallow")).unwrap();
    world.assay("alice", &["log"]).failed(3, "shallow clone");
}

#[test]
fn says_that_upstream_or_the_fork_is_gone_and_goes_on_without() {
    let world = World::published();
    let move_away = |name: &str| fs::rename(world.path(name), world.path(format!("{name}.away"))).unwrap();
    let move_back = |name: &str| fs::rename(world.path(format!("{name}.away")), world.path(name)).unwrap();
    move_away("upstream");
    world
        .assay("alice", &["import", "--channel", "unstable"])
        .failed(4, "could not fetch");
    move_back("upstream");
    move_away("fork.git");
    world.assay("alice", &["log"]).failed(4, "--offline");
    world.assay("alice", &["log", "--offline"]).ok();
    move_back("fork.git");
    world.assay("alice", &["log"]).ok();
    move_away("site");
    let output = {
        fs::create_dir(world.path("site")).unwrap();
        world.subscribe_on("machine", &world.file_url("site"), "unstable", &[])
    };
    output.failed(4, "root.json");
    fs::remove_dir(world.path("site")).unwrap();
    move_back("site");
    world.subscribe();
    world.update_installs(1);
}

#[test]
fn says_which_file_of_the_state_is_damaged() {
    let world = World::published();
    world.subscribe();
    world.update_installs(1);
    let chain = world.chain();
    for (file, code) in [
        ("format".to_owned(), "state-damaged"),
        ("subscription.json".to_owned(), "state-damaged"),
        (format!("trusted/{chain}/floors.json"), "state-damaged"),
    ] {
        let path = world.path("machine").join(&file);
        let honest = fs::read(&path).unwrap();
        for damage in [&b"garbage"[..], b"", &honest[..honest.len() / 2]] {
            fs::write(&path, damage).unwrap();
            let before = world.installed("machine");
            let output = world
                .touchstone(&["update"])
                .failed(3, file.rsplit('/').next().unwrap());
            assert_eq!(output.error_code(), code);
            assert_eq!(world.installed("machine"), before);
        }
        // Something that is no file, for root can read any file.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(world.touchstone(&["update"]).failed(3, &file).error_code(), "io");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, honest).unwrap();
        world.update_installs(1);
    }
}

/// What was kept of the signed files is damaged: that must not open the way back.
#[test]
fn damaged_memories_do_not_let_an_older_channel_in() {
    let world = World::published();
    world.copy("site", "old-site");
    world.subscribe();
    world.next_release();
    world.update_installs(2);
    world.copy("site", "new-site");
    let kept: Vec<String> = world.files("machine/trusted").into_keys().collect();
    assert!(kept.len() >= 6, "{kept:?}");
    for file in kept {
        world.copy("machine", "victim");
        let path = world.path("victim/trusted").join(&file);
        for damage in ["garbage", ""] {
            fs::write(&path, damage).unwrap();
            world.copy("old-site", "site");
            let output = world.touchstone_on("victim", &["update"]);
            assert!(
                [Some(1), Some(3)].contains(&output.code),
                "{file}: {:?} {}",
                output.code,
                output.stderr
            );
            assert_eq!(world.installed("victim"), world.installed("machine"), "{file}");
            world.copy("new-site", "site");
        }
        fs::remove_file(&path).unwrap();
        world.copy("old-site", "site");
        let output = world.touchstone_on("victim", &["update"]);
        assert!(
            [Some(1), Some(3)].contains(&output.code),
            "{file}: {:?} {}",
            output.code,
            output.stderr
        );
        world.copy("new-site", "site");
    }
    world.update_installs(2);
}

#[test]
fn says_which_file_of_the_signer_is_damaged() {
    let world = World::published();
    let payload = world.propose_release();
    let settings = world.path("bob/.git/touchstone/settings.toml");
    let honest = fs::read(&settings).unwrap();
    fs::write(&settings, "garbage").unwrap();
    world.assay("bob", &["sign", "--yes"]).failed(3, "settings.toml");
    fs::write(&settings, honest).unwrap();
    // Who does not know what they signed, signs nothing.
    let chain = world.chain();
    let record = world.path(format!("records/bob/assay/bob/signed/{chain}/unstable/2"));
    fs::create_dir_all(&record).unwrap();
    world
        .assay("bob", &["sign", "--yes"])
        .failed(1, "the record of what was signed");
    fs::remove_dir(&record).unwrap();
    fs::write(&record, "garbage").unwrap();
    world
        .assay("bob", &["sign", "--yes"])
        .failed(1, "was signed here before with payload garbage");
    fs::remove_file(&record).unwrap();
    let marker = format!("signatures/{payload}/");
    assert!(world.ledger_files().iter().all(|path| !path.starts_with(&marker)));
    world.sign(&["bob"]);
}

#[test]
fn the_online_key_must_be_its_owners_alone() {
    let world = World::published();
    let key = world.path("online.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    world.publish_to("alice", "site").failed(3, "can be read by others");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    world.publish_to("alice", "site").ok();
}

#[test]
fn a_second_run_at_the_same_time_is_told_to_wait() {
    let world = World::published();
    world.subscribe();
    let lock = fs::File::open(world.path("machine/lock")).unwrap();
    lock.lock().unwrap();
    let output = world.touchstone(&["update"]).failed(3, "is held by another run");
    assert_eq!(output.error_code(), "locked");
    assert_eq!(world.installed("machine").current, None);
    // Looking needs no lock.
    world.touchstone(&["status"]).ok();
    drop(lock);
    world.update_installs(1);

    world.propose_release();
    let held = world.path("bob/.git/refs/heads/touchstone.lock");
    fs::write(&held, "").unwrap();
    world.assay("bob", &["sign", "--yes"]).failed(3, "lock");
    fs::remove_file(held).unwrap();
    world.sign(&["bob"]);
}

#[test]
fn people_who_sign_at_the_same_moment_both_have_signed() {
    let world = World::published();
    let payload = world.propose_release();
    let mut running = Vec::new();
    for person in testkit::world::PEOPLE {
        running.push(world.assay_command(person, &["sign", "--yes"]).spawn().unwrap());
    }
    for mut child in running {
        assert!(child.wait().unwrap().success());
    }
    let marker = format!("signatures/{payload}/");
    assert_eq!(
        world
            .ledger_files()
            .iter()
            .filter(|path| path.starts_with(&marker))
            .count(),
        3
    );
}

/// A small file system of its own, gone when it is dropped.
struct SmallDisk<'a> {
    world: &'a World,
    name: &'a str,
}

impl<'a> SmallDisk<'a> {
    /// `None` where it cannot be made: then the test is skipped, visibly.
    fn new(world: &'a World, name: &'a str, size: &str) -> Option<Self> {
        fs::create_dir(world.path(name)).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(world.path(name))
            .status()
            .is_ok_and(|status| status.success());
        if mounted {
            return Some(Self { world, name });
        }
        peer::missing("a small file system takes root and the right to mount");
        None
    }

    /// Leaves this many bytes free, about.
    fn fill(&self, free: u64) {
        let stat = rustix::fs::statvfs(self.world.path(self.name)).unwrap();
        let left = stat.f_bavail * stat.f_frsize;
        let filler = vec![0; usize::try_from(left.saturating_sub(free)).unwrap()];
        fs::write(self.world.path(self.name).join("filler"), filler).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.world.path(self.name).join("filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("-l")
            .arg(self.world.path(self.name))
            .status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.name
        );
    }
}

#[test]
fn a_full_disk_keeps_what_is_installed() {
    let world = World::published();
    let Some(disk) = SmallDisk::new(&world, "disk", "4m") else {
        return;
    };
    world
        .subscribe_on("disk/machine", &world.file_url("site"), "unstable", &[])
        .ok();
    world.update_installs_on("disk/machine", 1);
    world.next_release();
    for free in [0, 4 << 10, 8 << 10, 16 << 10, 24 << 10, 32 << 10, 48 << 10] {
        disk.fill(free);
        let before = world.installed("disk/machine");
        let output = world.touchstone_on("disk/machine", &["update"]);
        if output.code != Some(0) {
            assert_eq!(output.code, Some(3), "{free}: {}", output.stderr);
            assert_eq!(output.error_code(), "disk-full", "{free}: {}", output.stderr);
            assert_eq!(world.installed("disk/machine"), before);
        }
        world.touchstone_on("disk/machine", &["verify"]).ok();
        disk.make_room();
    }
    world.update_installs_on("disk/machine", 2);
}

#[test]
fn a_full_disk_loses_no_signature_and_no_site() {
    let world = World::published();
    let payload = world.propose_release();
    let Some(disk) = SmallDisk::new(&world, "disk", "8m") else {
        return;
    };
    world.copy("bob", "disk/bob");
    world.copy("site", "disk/site");
    for free in [0, 4 << 10, 8 << 10, 16 << 10, 32 << 10] {
        disk.fill(free);
        let output = world.assay("disk/bob", &["sign", "--yes"]);
        assert!(
            [Some(0), Some(3), Some(4)].contains(&output.code),
            "{:?} {}",
            output.code,
            output.stderr
        );
        disk.make_room();
    }
    world.assay("disk/bob", &["sign", "--yes"]).ok();
    world.sign(&["alice"]);
    let marker = format!("signatures/{payload}/");
    assert_eq!(
        world
            .ledger_files()
            .iter()
            .filter(|path| path.starts_with(&marker))
            .count(),
        2
    );

    let url = world.file_url("disk/site");
    world.subscribe_on("machine", &url, "unstable", &[]).ok();
    for free in [0, 4 << 10, 8 << 10] {
        disk.fill(free);
        let output = world.publish_to("alice", "disk/site");
        assert!(
            [Some(0), Some(3)].contains(&output.code),
            "{:?} {}",
            output.code,
            output.stderr
        );
        let json = world.touchstone(&["update"]).ok();
        assert!(
            [1, 2].contains(&json["release"]["sequence"].as_u64().unwrap()),
            "{json}"
        );
        disk.make_room();
    }
    world.publish_to("alice", "disk/site").ok();
    world.update_installs(2);
}
