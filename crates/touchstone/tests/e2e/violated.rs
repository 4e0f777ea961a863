//! Somebody says of an installed release that it is bad: it is not gone back to, not served, not pinned.

use attestation::statement::{Claim, Statement, TreeNar, Violation};

use crate::world::World;

/// Dave says that a tree is bad, in a statement of its own for each `reason`, and it is published.
pub(crate) fn say(world: &mut World, reason: &str, tree: attestation::Sha256Digest) {
    let dave = world.chain.person("dave");
    let statement = Statement {
        chain: world.chain.id(),
        author: dave.name.clone(),
        seq: 1,
        prev: None,
        claim: Claim::Violation(Violation {
            contents: [].into(),
            reason: reason.to_owned(),
            trees: [TreeNar(tree)].into(),
        }),
    };
    let envelope = signer::sign_statement(&dave.signer(0, world.chain.now), &statement).unwrap();
    world.chain.place_violations([envelope]);
    world.chain.publish();
    world.serve();
}

#[test]
fn a_violated_generation_is_refused_by_rollback_verify_serve_and_pin() {
    let mut world = World::installed();
    let bad = world.newest().tree_nar;
    world.release("2");
    world.run(&["update"]).assert_ok();
    world.run(&["rollback"]).assert_ok();
    world.run(&["update"]).assert_ok();
    say(&mut world, "a backdoor", bad);
    world.run(&["update"]).assert_ok();
    let refused = world.run(&["rollback"]);
    refused.assert_failed(1, "violated");
    assert!(refused.stderr.contains("dave says \"a backdoor\""), "{refused:?}");
    world.run(&["rollback", "1"]).assert_failed(1, "violated");
    world.run(&["verify", "1"]).assert_failed(1, "violated");
    assert_eq!(world.installed_text(), "2");
    world.run(&["verify"]).assert_ok();
    world.run(&["status", "--check"]).assert_ok();
}

#[test]
fn a_list_of_violations_that_is_lost_or_damaged_stops_verify_rollback_serve_and_pin_until_an_update() {
    let mut world = World::installed();
    world.release("2");
    world.run(&["update"]).assert_ok();
    say(
        &mut world,
        "a backdoor",
        attestation::Sha256Digest::of("a tree that was never here"),
    );
    world.run(&["update"]).assert_ok();
    let list = world
        .state()
        .join(format!("trusted/{}/violations.json", world.chain.id()));
    let honest = std::fs::read(&list).unwrap();
    for damaged in [None, Some("[]")] {
        match damaged {
            None => std::fs::remove_file(&list).unwrap(),
            Some(text) => std::fs::write(&list, text).unwrap(),
        }
        for command in [
            &["verify"][..],
            &["verify", "1"],
            &["rollback"],
            &["pin"],
            &["serve", "--listen", "127.0.0.1:0"],
        ] {
            world.run(command).assert_failed(1, "violations-unknown");
        }
        let status = world.run(&["status", "--check"]);
        assert_eq!(
            (status.exit, &status.json()["wrong"][0]["code"]),
            (Some(1), &"violations-unknown".into()),
            "{status:?}"
        );
        world.run(&["update"]).assert_ok();
        assert_eq!(std::fs::read(&list).unwrap(), honest);
        world.run(&["status", "--check"]).assert_ok();
    }
    world.run(&["rollback"]).assert_ok();
    assert_eq!(world.installed_text(), "1");
}

#[test]
fn an_installed_release_that_is_violated_is_what_status_says_first() {
    let mut world = World::installed();
    let bad = world.newest().tree_nar;
    say(&mut world, "a backdoor", bad);
    world.run(&["update"]).assert_failed(1, "violated");
    let status = world.run(&["status", "--check"]);
    assert_eq!(
        (status.exit, &status.json()["wrong"][0]["code"]),
        (Some(1), &"violated".into()),
        "{status:?}"
    );
    world
        .run(&["serve", "--listen", "127.0.0.1:0"])
        .assert_failed(1, "violated");
    world.run(&["pin"]).assert_failed(1, "violated");
    // And again, although the mirror shows nothing new by now: it stays said.
    world.run(&["update"]).assert_failed(1, "violated");
    world.release("2");
    world.run(&["update"]).assert_ok();
    world.run(&["status", "--check"]).assert_ok();
    world.run(&["rollback"]).assert_failed(1, "violated");
}
