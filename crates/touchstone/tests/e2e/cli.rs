//! The command as people and programs use it.

use std::{fs, process::Command};

use crate::world::{World, has, system_time};
use attestation::Seconds;
use testkit::TestChain;

#[test]
fn subscribes_updates_verifies_and_rolls_back() {
    let mut world = World::new();
    let subscribed = world.subscribe().assert_ok().json();
    assert_eq!(subscribed["root-version"], 1);
    assert_eq!(subscribed["channel"], "unstable");

    let first = world.run(&["update"]).assert_ok().json();
    assert_eq!(
        (&first["outcome"], &first["generation"]),
        (&"installed".into(), &1.into())
    );
    assert_eq!(first["signed-by"], serde_json::json!(["alice", "bob"]));
    assert_eq!((&first["needed"], &first["root-version"]), (&2.into(), &1.into()));
    assert_eq!(first["release"]["sequence"], 1);
    let again = world.run(&["update"]).assert_ok().json();
    assert_eq!(
        (&again["outcome"], &again["requests"]),
        (&"unchanged".into(), &1.into())
    );

    world.release("2");
    let second = world.run(&["update"]).assert_ok().json();
    assert_eq!(
        (&second["outcome"], &second["generation"]),
        (&"installed".into(), &2.into())
    );
    assert_eq!(world.installed_text(), "2");
    let list = world.run(&["list"]).assert_ok().json();
    assert_eq!(
        (&list[0]["current"], &list[1]["current"]),
        (&false.into(), &true.into())
    );
    assert_eq!(world.run(&["verify"]).assert_ok().json()["generation"], 2);

    let back = world.run(&["rollback"]).assert_ok().json();
    assert_eq!((&back["generation"], &back["from"]), (&1.into(), &2.into()));
    assert_eq!(world.installed_text(), "1");
    assert_eq!(world.run(&["status"]).assert_ok().json()["newer"], 2);
    world.run(&["rollback"]).assert_failed(2, "no-such-generation");
    assert_eq!(world.run(&["rollback", "2"]).assert_ok().json()["generation"], 2);
}

#[test]
fn status_says_in_five_lines_what_a_person_wants_to_know() {
    let world = World::installed();
    let status = world.run_text(&["status"]).assert_ok();
    let lines: Vec<_> = status.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{status:?}");
    for (line, start) in lines.iter().zip([
        "release  unstable 1 ",
        "signed   alice and bob (2 needed",
        "age ",
        "newer ",
    ]) {
        assert!(line.starts_with(start), "{line:?}");
    }
    assert_eq!(lines[4], "wrong    nothing");
    let one = world.run_text(&["status", "--check"]).assert_ok().stdout;
    assert!(
        one.starts_with("TOUCHSTONE OK - unstable 1 (commit ") && one.contains(" | age="),
        "{one}"
    );
    assert_eq!(one.lines().count(), 1);
    let pins = world.run_text(&["status", "--pins"]).assert_ok().stdout;
    assert!(
        pins.contains(&format!("NIX_PATH={}/current/channels", world.state().display())),
        "{pins}"
    );
    let json = world.run(&["status"]).assert_ok().json();
    assert_eq!(json["wrong"], serde_json::json!([]));
    assert_eq!(json["subscription"]["channel"], "unstable");
}

#[test]
fn status_fails_for_monitoring_when_nothing_is_installed_or_something_was_touched() {
    let world = World::new();
    world.subscribe().assert_ok();
    let before = world.run(&["status", "--check"]);
    assert_eq!(
        (before.exit, &before.json()["wrong"][0]["code"]),
        (Some(1), &"nothing-installed".into())
    );
    world.run(&["update"]).assert_ok();
    world.run(&["status", "--check"]).assert_ok();
    let targets = world.state().join("generations/1/metadata/channels/unstable.json");
    let text = fs::read_to_string(&targets)
        .unwrap()
        .replacen("\"sig\":\"", "\"sig\":\"0", 1);
    fs::write(targets, text).unwrap();
    let after = world.run(&["status", "--check"]);
    assert_eq!(after.exit, Some(1), "{after:?}");
    assert_eq!(world.run(&["status"]).exit, Some(0), "without --check it only tells");
}

#[test]
fn a_touched_generation_is_refused_by_verify_and_rollback() {
    let mut world = World::installed();
    world.release("2");
    world.run(&["update"]).assert_ok();
    fs::write(world.state().join("generations/1/nixexprs/default.nix"), "evil").unwrap();
    world.run(&["verify", "1"]).assert_failed(1, "other-tree");
    world.run(&["rollback"]).assert_failed(1, "other-tree");
    assert_eq!(world.installed_text(), "2");
    world.run(&["verify", "2"]).assert_ok();
    world.run(&["verify", "9"]).assert_failed(2, "no-such-generation");
}

#[test]
fn a_flipped_byte_is_refused_with_exit_code_1_and_the_generation_stays() {
    let mut world = World::installed();
    world.release("2");
    for (path, bytes) in &world.chain.files.clone() {
        if path.starts_with("targets/unstable/") {
            let mut bent = bytes.clone();
            bent[bytes.len() / 2] ^= 1;
            fs::write(world.site().join(path), bent).unwrap();
        }
    }
    let refused = world.run(&["update"]);
    refused.assert_failed(1, "other-target");
    assert_eq!(refused.json()["error"]["kind"], "refused");
    assert_eq!(world.installed_text(), "1");
    let text = world.run_text(&["update"]);
    assert!(text.stderr.contains("nixexprs.tar.xz has SHA-256"), "{text:?}");
    assert!(text.stdout.is_empty() && !text.stderr.contains('\x1b'), "{text:?}");
}

#[test]
fn another_chain_is_refused_before_anything_is_subscribed() {
    let mut world = World::new();
    let arguments = world.subscription();
    world.chain = TestChain::new(system_time().plus(Seconds(5)));
    world.release("evil");
    let arguments: Vec<_> = ["subscribe"]
        .into_iter()
        .chain(arguments.iter().map(String::as_str))
        .collect();
    world.run(&arguments).assert_failed(1, "other-chain");
    world.run(&["update"]).assert_failed(3, "not-subscribed");
    let unasked: Vec<_> = arguments.iter().copied().chain(["--no-fetch"]).collect();
    assert_eq!(
        world.run(&unasked).assert_ok().json()["root-version"],
        serde_json::Value::Null
    );
    world.run(&["update"]).assert_failed(1, "other-chain");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let world = World::new();
    for arguments in [
        &["subscribe"][..],
        &["update", "--bogus"],
        &["verify", "0"],
        &["frobnicate"],
    ] {
        assert_eq!(world.run(arguments).exit, Some(2), "{arguments:?}");
    }
    world.subscribe().assert_ok();
    let mut other = world.subscription();
    other[5] = "stable".to_owned();
    let other: Vec<_> = ["subscribe"]
        .into_iter()
        .chain(other.iter().map(String::as_str))
        .collect();
    world.run(&other).assert_failed(2, "other-subscription");
    let replaced: Vec<_> = other.iter().copied().chain(["--replace"]).collect();
    world.run(&replaced).assert_ok();
}

#[test]
fn no_network_is_exit_code_4_and_the_generation_stays() {
    let world = World::installed();
    fs::remove_dir_all(world.site()).unwrap();
    world.run(&["update"]).assert_failed(4, "not-found");
    assert_eq!(world.installed_text(), "1");
    world.run(&["verify"]).assert_ok();
    world.run(&["status", "--check"]).assert_ok();
}

#[test]
fn state_of_a_newer_version_is_exit_code_3() {
    let world = World::installed();
    fs::write(world.state().join("format"), "touchstone-state 7\n").unwrap();
    for command in ["update", "status", "list", "verify", "rollback"] {
        world.run(&[command]).assert_failed(3, "state-newer");
    }
}

#[test]
fn a_second_run_is_told_who_is_at_work() {
    let world = World::installed();
    let lock = world.state().join("lock");
    // `flock` holds the lock as another run would.
    if !has("flock") {
        return;
    }
    let mut holder = Command::new("flock")
        .arg("--no-fork")
        .arg(&lock)
        .args(["sleep", "20"])
        .spawn()
        .unwrap();
    let held = || {
        Command::new("flock")
            .args(["--nonblock"])
            .arg(&lock)
            .arg("true")
            .status()
            .unwrap()
    };
    while held().success() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    world.run(&["update"]).assert_failed(3, "locked");
    world.run(&["status"]).assert_ok();
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn stale_metadata_is_refused_whatever_the_clock_says() {
    if !has("faketime") {
        return;
    }
    // Everything of this channel expired weeks ago; a clock set back to its day makes it no fresher, since this
    // program was built later than that.
    let then = attestation::Time::from_unix(system_time().unix() - 40 * 86_400);
    let world = World::at(then);
    let day = format!("@{}", then.to_string().replace('T', " ").replace('Z', ""));
    let at_that_day = ["faketime", "-f", &day];
    let arguments = world.subscription();
    let subscribe: Vec<_> = ["subscribe"]
        .into_iter()
        .chain(arguments.iter().map(String::as_str))
        .collect();
    world.run_under(&at_that_day, &subscribe).assert_ok();
    world.run_under(&at_that_day, &["update"]).assert_failed(1, "expired");
    world.run(&["update"]).assert_failed(1, "expired");
}

#[test]
fn what_is_installed_outlives_its_freshness() {
    if !has("faketime") {
        return;
    }
    let world = World::installed();
    let later = ["faketime", "-f", "+3650d"];
    world.run_under(&later, &["update"]).assert_failed(1, "expired");
    world.run_under(&later, &["verify"]).assert_ok();
    let status = world.run_under(&later, &["status", "--check"]);
    assert_eq!(
        (status.exit, &status.json()["wrong"][0]["code"]),
        (Some(1), &"expired".into())
    );
    assert_eq!(world.installed_text(), "1");
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_fresher_and_status_says_so() {
    if !has("faketime") {
        return;
    }
    let mut world = World::installed();
    world.run(&["status", "--check"]).assert_ok();
    let older = world.site().with_extension("older");
    fs::rename(world.site(), &older).unwrap();
    world.release("2");
    world.run(&["update"]).assert_ok();
    // Years back: what is kept is current by the newest signed time, and the clock is what is wrong.
    let earlier = ["faketime", "-f", "-3650d"];
    let update = world.run_under(&earlier, &["update"]).assert_ok().json();
    assert_eq!(update["outcome"], "unchanged");
    let status = world.run_under(&earlier, &["status", "--check"]);
    assert_eq!(
        (status.exit, &status.json()["wrong"][0]["code"]),
        (Some(1), &"clock-behind".into()),
        "{status:?}"
    );
    assert!(status.stdout.contains("behind what it has seen"), "{status:?}");
    // An older state does not become current by it.
    fs::remove_dir_all(world.site()).unwrap();
    fs::rename(&older, world.site()).unwrap();
    world.run_under(&earlier, &["update"]).assert_failed(1, "rollback");
    assert_eq!(world.installed_text(), "2");
}

#[test]
fn old_generations_go_when_asked() {
    let mut world = World::installed();
    for text in ["2", "3", "4"] {
        world.release(text);
        world.run(&["update"]).assert_ok();
    }
    world.release("5");
    let update = world.run(&["update", "--keep", "2"]).assert_ok().json();
    assert_eq!(update["removed"], serde_json::json!([1, 2, 3]));
    assert_eq!(world.run(&["list"]).assert_ok().json().as_array().unwrap().len(), 2);
}

#[test]
fn nix_reads_the_current_generation_as_its_channel() {
    if !has("nix-instantiate") {
        return;
    }
    let mut world = World::installed();
    world.release("{ }: { hello = \"from the signed channel\"; }");
    world.run(&["update"]).assert_ok();
    let store = tempfile::tempdir().unwrap();
    let output = Command::new("nix-instantiate")
        .args(["--eval", "-E", "(import <nixpkgs> { }).hello"])
        .env_clear()
        .env(
            "NIX_PATH",
            format!("nixpkgs={}/current/nixexprs", world.state().display()),
        )
        .env("NIX_STORE_DIR", store.path().join("store"))
        .env("NIX_STATE_DIR", store.path().join("state"))
        .env("NIX_LOG_DIR", store.path().join("log"))
        .env("HOME", store.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "\"from the signed channel\"",
        "{output:?}"
    );
}

#[test]
fn manual_pages_and_completions_are_made() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    world.run(&["man", directory.path().to_str().unwrap()]).assert_ok();
    for page in ["touchstone.1", "touchstone-update.1", "touchstone-subscribe.1"] {
        assert!(directory.path().join(page).exists(), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            world
                .run(&["completions", shell])
                .assert_ok()
                .stdout
                .contains("subscribe")
        );
    }
}
