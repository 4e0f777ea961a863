//! Stopped at any moment, and run again: it goes on, or says why not, and nothing is lost.

use std::{fs, path::Path, process::Command};

use rustix::process::Signal;
use testkit::{
    World, peer,
    world::{Interrupted, Output, duration, stop_after},
};

/// At how many moments a command is stopped by the clock.
const STEPS: u32 = 6;

/// Stops `command` in twins of `world`: by Ctrl-C and by a kill at moments spread over its run, and (with strace) at
/// every `stride`th of its writes. Each twin goes to `goes_on`.
fn stop_everywhere(world: &World, stride: usize, command: impl Fn(&World) -> Command, goes_on: impl Fn(&World)) {
    let whole = duration(&mut command(&world.twin()));
    let mut stopped = 0;
    for step in 0..STEPS {
        let twin = world.twin();
        let signal = if step % 2 == 0 { Signal::INT } else { Signal::KILL };
        if stop_after(&mut command(&twin), whole * step / STEPS, signal) == Interrupted::Stopped {
            stopped += 1;
        }
        goes_on(&twin);
    }
    assert!(stopped > 0, "no run was stopped");
    if !peer::has("strace") {
        return;
    }
    for nth in (1..).step_by(stride) {
        let twin = world.twin();
        let ended = twin.kill_at_write(&command(&twin), nth);
        goes_on(&twin);
        if ended == Interrupted::Finished {
            assert!(nth > 5, "only {nth} writes");
            break;
        }
    }
}

/// Runs `assay` again after it was stopped. A lock of git's that the kill left may be in the way once: it is named, and
/// removed as a person would.
fn again(world: &World, person: &str, arguments: &[&str]) -> Output {
    let output = world.assay(person, arguments);
    if output.code == Some(0) {
        return output;
    }
    assert!(output.stderr.contains("lock"), "{}", output.stderr);
    assert!(
        [Some(3), Some(4)].contains(&output.code),
        "{:?} {}",
        output.code,
        output.stderr
    );
    for clone in ["fork.git", "alice/.git", "bob/.git", "carol/.git"] {
        remove_locks(&world.path(clone));
    }
    world.assay(person, arguments)
}

fn remove_locks(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            remove_locks(&path);
        } else if path.extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn signing_goes_on() {
    let world = World::published();
    let payload = world.propose_release();
    world.sign(&["alice"]);
    let sign = ["sign", "--yes"];
    stop_everywhere(
        &world,
        7,
        |world| world.assay_command("bob", &sign),
        |world| {
            again(world, "bob", &sign).ok();
            let marker = format!("signatures/{payload}/");
            let signatures = world
                .ledger_files()
                .iter()
                .filter(|path| path.starts_with(&marker))
                .count();
            assert_eq!(signatures, 2);
            world.git("fork.git", &["fsck", "--strict"]);
            again(
                world,
                "alice",
                &["publish", "--to", "site", "--online-key", "online.key"],
            )
            .ok();
            world.subscribe();
            world.update_installs(2);
        },
    );
}

#[test]
fn proposing_goes_on() {
    let world = World::published();
    world.upstream_bump();
    world.import_and_review();
    let release = ["release", "--channel", "unstable"];
    stop_everywhere(
        &world,
        3,
        |world| world.assay_command("alice", &release),
        |world| {
            let payload = again(world, "alice", &release).ok()["proposal"]
                .as_str()
                .unwrap()
                .to_owned();
            for person in ["alice", "bob"] {
                let signed = again(world, person, &["sign", "--yes"]).ok();
                assert_eq!(signed["signed"][0]["payload"], payload, "{signed}");
            }
        },
    );
}

#[test]
fn importing_goes_on() {
    let world = World::published();
    world.upstream_bump();
    let import = ["import", "--channel", "unstable"];
    stop_everywhere(
        &world,
        1,
        |world| world.assay_command("alice", &import),
        |world| {
            let json = again(world, "alice", &import).ok();
            assert_eq!(json["units"], 1, "{json}");
        },
    );
}

/// And at every moment, whoever asks gets a whole channel: the old one or the new one.
#[test]
fn publishing_goes_on_and_clients_see_no_half_of_it() {
    let world = World::published();
    world.subscribe();
    world.update_installs(1);
    world.propose_release();
    world.sign(&["alice", "bob"]);
    let publish = ["publish", "--to", "site", "--online-key", "online.key"];
    stop_everywhere(
        &world,
        7,
        |world| world.assay_command("alice", &publish),
        |world| {
            // The subscription names the place of the first world.
            world
                .subscribe_on("machine", &world.file_url("site"), "unstable", &["--replace"])
                .ok();
            let json = world.touchstone(&["update"]).ok();
            assert!(
                [1, 2].contains(&json["release"]["sequence"].as_u64().unwrap()),
                "{json}"
            );
            world.touchstone(&["verify"]).ok();
            again(world, "alice", &publish).ok();
            world.update_installs(2);
        },
    );
}

#[test]
fn updating_goes_on_and_keeps_what_is_installed() {
    let world = World::published();
    world.subscribe();
    world.update_installs(1);
    world.next_release();
    stop_everywhere(
        &world,
        1,
        |world| {
            world
                .subscribe_on("machine", &world.file_url("site"), "unstable", &["--replace"])
                .ok();
            world.touchstone_command("machine", &["update"])
        },
        |world| {
            // Before it is run again, there is a generation, and it is whole.
            let json = world.touchstone(&["verify"]).ok();
            assert!(
                [1, 2].contains(&json["release"]["sequence"].as_u64().unwrap()),
                "{json}"
            );
            world.update_installs(2);
            assert_eq!(world.installed("machine").generations.len(), 2);
            assert_eq!(fs::read_dir(world.path("machine/tmp")).unwrap().count(), 0);
        },
    );
}

#[test]
fn subscribing_goes_on() {
    let world = World::published();
    let chain = world.chain();
    stop_everywhere(
        &world,
        1,
        |world| {
            let url = world.file_url("site");
            let mut arguments = vec!["subscribe", "--url", &url, "--chain", &chain, "--channel", "unstable"];
            arguments.extend(["--floor-root", "1", "--floor-release", "1"]);
            world.touchstone_command("machine", &arguments)
        },
        |world| {
            world.subscribe();
            world.update_installs(1);
        },
    );
}
