//! Power cuts, full and read-only disks: the state is the old one or the new one.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    web::Web,
    world::{TOUCHSTONE, World, has},
};

/// The system calls that change what is on the disk, and the lock. (strace passes over those that a machine lacks.)
const CHANGES: [&str; 20] = [
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "write",
    "ftruncate",
    "chmod",
    "fchmod",
    "fsync",
    "fdatasync",
    "syncfs",
    "flock",
];

/// Runs a command that is killed at each of its system calls, one after the other, each time from the same state; after
/// each, `check` looks at what is left. Gives how many cuts there were; 0, said aloud, where strace cannot trace.
fn cut_everywhere(world: &World, arguments: &[&str], check: impl FnMut(&str)) -> u32 {
    cut_at(&CHANGES, world, arguments, check)
}

/// As [`cut_everywhere`], at these system calls alone.
fn cut_at(calls: &[&str], world: &World, arguments: &[&str], mut check: impl FnMut(&str)) -> u32 {
    let (state, pristine) = (world.state(), world.state().with_extension("pristine"));
    copy(&state, &pristine);
    let mut cuts = 0;
    for call in calls {
        for time in 1.. {
            fs::remove_dir_all(&state).unwrap();
            copy(&pristine, &state);
            if !killed_at(call, time, &state, arguments) {
                break;
            }
            cuts += 1;
            check(&format!("killed at {call} {time}"));
        }
    }
    if cuts == 0 {
        testkit::peer::missing("strace cannot trace here");
    }
    cuts
}

/// Whatever was left, the next update ends in the newest release, and nothing unfinished lies about.
fn assert_recovers(world: &World, text: &str, cut: &str) {
    world.run(&["verify"]).assert_ok();
    world.run(&["update"]).assert_ok();
    assert_eq!(world.installed_text(), text, "{cut}");
    assert_eq!(fs::read_dir(world.state().join("tmp")).unwrap().count(), 0, "{cut}");
    let partial = fs::read_dir(world.state().join("partial"));
    assert!(
        partial.map_or(0, Iterator::count) == 0,
        "{cut}: a download that has served is kept"
    );
}

#[test]
fn killed_at_any_system_call_an_update_leaves_the_old_or_the_new_state() {
    if !has("strace") {
        return;
    }
    let mut world = World::installed();
    world.release("2");
    let (mut old, mut new) = (0, 0);
    let cuts = cut_everywhere(&world, &["update"], |cut| {
        match world.installed_text().as_str() {
            "1" => old += 1,
            "2" => new += 1,
            other => panic!("{cut}, {other:?} is installed"),
        }
        assert_recovers(&world, "2", cut);
    });
    eprintln!("{cuts} cuts: {old} left the old state, {new} the new one");
    assert!(cuts == 0 || (old > 50 && new > 3));
}

#[test]
fn killed_at_any_system_call_an_update_by_a_patch_leaves_the_old_or_the_new_state() {
    if !has("strace") {
        return;
    }
    let mut world = World::new();
    world.subscribe().assert_ok();
    world.release_patched("1");
    world.run(&["update"]).assert_ok();
    world.release_patched("2");
    let (mut old, mut new) = (0, 0);
    let cuts = cut_everywhere(&world, &["update"], |cut| {
        match world.installed_text().as_str() {
            "1" => old += 1,
            "2" => new += 1,
            other => panic!("{cut}, {other:?} is installed"),
        }
        // The files that it shares are those of the generation before: these are whole, too.
        world.run(&["verify", "1"]).assert_ok();
        assert_recovers(&world, "2", cut);
    });
    eprintln!("{cuts} cuts: {old} left the old state, {new} the new one");
    assert!(cuts == 0 || (old > 50 && new > 3));
}

/// From a server that gives ranges: half of the tarball is there, the other half comes in the run that is killed.
#[test]
fn killed_at_any_system_call_a_download_that_is_gone_on_with_leaves_the_old_or_the_new_state() {
    if !has("strace") {
        return;
    }
    let mut world = World::new();
    let web = Web::start(&world.site());
    world.subscribe_at(&web.url).assert_ok();
    world.run(&["update"]).assert_ok();
    let text = noise(60_000);
    world.release(&text);
    web.cut(true);
    world.run(&["update"]).assert_failed(4, "broke-off");
    web.cut(false);
    let begun = fs::read_dir(world.state().join("partial")).unwrap().next().unwrap();
    assert!(
        begun.unwrap().metadata().unwrap().len() > 10_000,
        "nothing to go on with"
    );
    let (mut old, mut new, mut gone_on) = (0, 0, 0);
    let cuts = cut_everywhere(&world, &["update"], |cut| {
        match world.installed_text() {
            installed if installed == "1" => old += 1,
            installed if installed == text => new += 1,
            other => panic!("{cut}, {other:?} is installed"),
        }
        let before = web.resumed();
        assert_recovers(&world, &text, cut);
        gone_on += web.resumed() - before;
    });
    eprintln!("{cuts} cuts: {old} left the old state, {new} the new one; {gone_on} downloads were gone on with");
    assert!(cuts == 0 || (old > 50 && new > 3 && gone_on > 5));
}

/// A release, and what somebody says of the one before it.
#[test]
fn killed_at_any_system_call_an_update_that_learns_of_a_violation_leaves_what_is_installed_usable() {
    if !has("strace") {
        return;
    }
    let mut world = World::installed();
    world.release("2");
    world.run(&["update"]).assert_ok();
    let bad = world.newest().tree_nar;
    crate::violated::say(
        &mut world,
        "1",
        attestation::Sha256Digest::of("a tree that was never here"),
    );
    world.run(&["update"]).assert_ok();
    world.release("3");
    crate::violated::say(&mut world, "2", bad);
    let (mut knows, mut does_not) = (0, 0);
    // Where a file comes into its place: nothing else of it is looked at.
    let calls = ["rename", "renameat", "renameat2"];
    let cuts = cut_at(&calls, &world, &["update"], |cut| {
        let verified = world.run(&["verify", "2"]);
        match verified.exit {
            Some(0) => does_not += 1,
            _ => {
                verified.assert_failed(1, "violated");
                knows += 1;
            }
        }
        if world.installed_text() == "3" {
            verified.assert_failed(1, "violated");
        }
        world.run(&["update"]).assert_ok();
        assert_eq!(world.installed_text(), "3", "{cut}");
        world.run(&["verify", "2"]).assert_failed(1, "violated");
    });
    assert!(cuts == 0 || (knows > 3 && does_not > 0), "{knows} {does_not}");
}

#[test]
fn killed_at_any_system_call_a_rollback_leaves_the_old_or_the_new_state() {
    if !has("strace") {
        return;
    }
    let mut world = World::installed();
    world.release("2");
    world.run(&["update"]).assert_ok();
    let (mut old, mut new) = (0, 0);
    let cuts = cut_everywhere(&world, &["rollback"], |cut| {
        match world.installed_text().as_str() {
            "2" => old += 1,
            "1" => new += 1,
            other => panic!("{cut}, {other:?} is installed"),
        }
        assert_eq!(
            world.run(&["list"]).assert_ok().json().as_array().unwrap().len(),
            2,
            "{cut}"
        );
        assert_recovers(&world, "2", cut);
    });
    assert!(cuts == 0 || (old > 5 && new > 1), "{old} {new}");
}

#[test]
fn killed_at_any_system_call_a_collection_leaves_whole_generations() {
    if !has("strace") {
        return;
    }
    let mut world = World::installed();
    for text in ["2", "3"] {
        world.release(text);
        world.run(&["update"]).assert_ok();
    }
    let (mut before, mut between, mut after) = (0, 0, 0);
    let cuts = cut_everywhere(&world, &["gc", "--keep", "1"], |cut| {
        let left = world.run(&["list"]).assert_ok().json().as_array().unwrap().len();
        match left {
            3 => before += 1,
            2 => between += 1,
            1 => after += 1,
            other => panic!("{cut}: {other} generations"),
        }
        for line in world.run(&["list"]).json().as_array().unwrap() {
            world.run(&["verify", &line["generation"].to_string()]).assert_ok();
        }
        world.run(&["gc", "--keep", "1"]).assert_ok();
        assert_eq!(world.run(&["list"]).json().as_array().unwrap().len(), 1, "{cut}");
        assert_recovers(&world, "3", cut);
    });
    assert!(
        cuts == 0 || (before > 3 && between > 3 && after > 3),
        "{before} {between} {after}"
    );
}

/// Runs a command that is killed at its `time`th `call`; whether it got that far.
fn killed_at(call: &str, time: u32, state: &Path, arguments: &[&str]) -> bool {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace=?{call}")])
        .args(["-e", &format!("inject=?{call}:signal=KILL:when={time}")])
        .args([TOUCHSTONE, "--state"])
        .arg(state)
        .args(arguments)
        .env_clear()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    // strace ends as its child did.
    !status.success() && status.code().is_none()
}

fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .arg("-a")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}

/// A file system of its own, of so many kilobytes; `None`, said aloud, where none can be mounted.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, kilobytes: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={kilobytes}k,mode=755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        eprintln!("SKIPPED: no tmpfs can be mounted here (it takes root)");
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// Text that does not compress.
fn noise(length: usize) -> String {
    let mut state: u64 = 88_172_645_463_325_252;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap())
    };
    (0..length).map(letter).collect()
}

#[test]
fn a_full_disk_is_exit_code_3_and_the_generation_stays() {
    let mut world = World::new();
    let state = world.state();
    let Some(_disk) = SmallDisk::mount(&state, 600) else {
        return;
    };
    world.subscribe().assert_ok();
    world.run(&["update"]).assert_ok();
    // Too long to download; then short enough for that, and too long to unpack beside it.
    for length in [2_000_000, 350_000] {
        world.release(&noise(length));
        world.run(&["update"]).assert_failed(3, "disk-full");
        assert_eq!(world.installed_text(), "1");
        world.run(&["verify"]).assert_ok();
        assert_eq!(fs::read_dir(state.join("tmp")).unwrap().count(), 0);
    }
    world.release("3");
    world.run(&["update"]).assert_ok();
    assert_eq!(world.installed_text(), "3");
}

#[test]
fn a_read_only_state_is_exit_code_3_and_can_be_read() {
    let world = World::new();
    let state = world.state();
    let Some(disk) = SmallDisk::mount(&state, 600) else {
        return;
    };
    world.subscribe().assert_ok();
    world.run(&["update"]).assert_ok();
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.0)
        .status()
        .unwrap();
    assert!(remounted.success());
    world.run(&["update"]).assert_failed(3, "not-writable");
    world.run(&["status", "--check"]).assert_ok();
    world.run(&["verify"]).assert_ok();
}
