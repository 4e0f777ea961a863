//! What a remote and a clone's configuration would like git to do.

use crate::common::{World, author, said};
use ledger::{Remote, Resolutions, SyncError};

#[test]
fn refuses_a_remote_that_git_would_take_for_an_option_or_a_command() {
    for bad in ["", "-x", "--upload-pack=touch /tmp/pwned", "a\nb"] {
        assert!(Remote::new(bad).is_err(), "{bad:?} was accepted");
    }
    let world = World::new();
    let ledger = world.person("alice").create();
    let witness = world.path("pwned");
    let remote = Remote::new(&format!("ext::touch {}", witness.display())).unwrap();
    ledger
        .sync(&world.process(), &remote, &author(), &Resolutions::new())
        .unwrap_err();
    assert!(!witness.exists(), "a remote ran a command");
}

#[test]
fn hooks_do_not_run_when_something_is_fetched() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let of_alice = alice.create();
    alice.sync(&of_alice).unwrap();
    let witness = world.path("hook-ran");
    let hook = bob.path.join(".git/hooks/reference-transaction");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", witness.display())).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    bob.join();
    assert!(!witness.exists());
    world.git(&bob.path, &["update-ref", "refs/heads/x", "refs/heads/touchstone"]);
    assert!(witness.exists(), "the hook works where hooks run");
}

/// A clone's configuration is whatever its maker put there; a company's administrator, a tarball, a neighbour on the
/// machine. What it names is not run, but what only the user can mean (ssh, credentials).
#[test]
fn a_hostile_configuration_runs_nothing() {
    let world = World::new();
    let (alice, bob) = (world.person("alice"), world.person("bob"));
    let of_alice = alice.create();
    alice.sync(&of_alice).unwrap();
    let witness = world.path("pwned");
    let run = world.path("run.sh");
    std::fs::write(&run, format!("#!/bin/sh\ntouch {}\nexit 1\n", witness.display())).unwrap();
    std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = run.to_str().unwrap();
    let hooks = world.path("hooks");
    std::fs::create_dir(&hooks).unwrap();
    for hook in [
        "pre-push",
        "reference-transaction",
        "post-merge",
        "post-checkout",
        "pre-auto-gc",
    ] {
        std::os::unix::fs::symlink(run, hooks.join(hook)).unwrap();
    }
    for (key, value) in [
        ("core.hooksPath", hooks.to_str().unwrap()),
        ("core.fsmonitor", run),
        ("protocol.ext.allow", "always"),
        ("protocol.allow", "always"),
        ("url.ext::sh -c touch% pwned.insteadOf", "harmless:"),
        ("fetch.bundleURI", "ext::sh -c touch% pwned"),
        ("submodule.recurse", "true"),
        ("fetch.recurseSubmodules", "true"),
        ("gc.auto", "1"),
    ] {
        world.git(&bob.path, &["config", key, value]);
    }
    let of_bob = bob.join();
    of_bob.add(&[said("bob", 1, "r")], "Say", &author()).unwrap();
    assert!(bob.sync(&of_bob).unwrap().pushed);
    assert!(!witness.exists(), "a program that the configuration names was run");
    // A transport that is not listed, by whatever name it is reached.
    for remote in ["harmless:x", "ext::sh -c 'touch pwned'", "git://localhost/x", "fd::3"] {
        let remote = Remote::new(remote).unwrap();
        of_bob
            .sync(&world.process(), &remote, &author(), &Resolutions::new())
            .unwrap_err();
    }
    assert!(!witness.exists() && !bob.path.join("pwned").exists());
    // The same settings do run where git runs as it is configured.
    let output = std::process::Command::new("git")
        .env_clear()
        .envs(world.environment())
        .current_dir(&bob.path)
        .args(["push", "origin", "touchstone:refs/heads/other"])
        .output()
        .unwrap();
    assert!(witness.exists(), "{output:?}");
}

#[test]
fn malformed_objects_are_not_fetched() {
    let world = World::new();
    let alice = world.person("alice");
    let ledger = alice.create();
    alice.sync(&ledger).unwrap();
    let head = ledger.head().unwrap();
    // A tree with an entry named `.git`, which a checkout would write into a repository.
    let shared = world.shared();
    let script = "printf x | git hash-object -w --stdin | xargs -I @ printf '100644 blob @\\t.git\\n' | git mktree";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .env_clear()
        .envs(world.environment())
        .current_dir(&shared)
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    let commit = world.git(
        &shared,
        &["commit-tree", "-p", &head.to_string(), "-m", "x", tree.trim()],
    );
    world.git(&shared, &["update-ref", "refs/heads/touchstone", &commit]);
    let error = alice.sync(&ledger).unwrap_err();
    assert!(matches!(error, SyncError::Git { .. }), "{error:?}");
    assert_eq!(ledger.head().unwrap(), head);
}
