//! What `assay policy` says of a policy, for people and for programs.

use serde_json::json;
use testkit::World;

fn write(world: &World, name: &str, edit: impl FnOnce(String) -> String) {
    std::fs::write(world.path(name), edit(world.policy(&testkit::world::PEOPLE))).unwrap();
}

#[test]
fn check_says_what_is_wrong_with_a_policy_and_where_to_go_on() {
    let world = World::with_chain();
    let check = |name: &str| world.assay_plain(&["policy", "check", name]);
    assert_eq!(
        check("policy.toml").ok()["warnings"],
        json!(["root has 3 people for a threshold of 2: when two are lost, the chain ends; 4 would be safer"])
    );
    let text = world.plain_text("nobody", &["policy", "check", "policy.toml"]);
    assert!(
        text.starts_with("the policy is one that a root can carry\nwarning: root has 3 people"),
        "{text}"
    );
    for (from, to, code, words, next) in [
        (
            "threshold = 2\n[roles.rev",
            "threshold = 3\n[roles.rev",
            1,
            "threshold 3 with 3 people",
            "lower the threshold, or add people",
        ),
        (
            "threshold = 2\n[roles.rev",
            "threshold = 0\n[roles.rev",
            1,
            "threshold 0 with 3 people",
            "lower the threshold, or add people",
        ),
        (
            "require = { reviewers = 2 }",
            "require = { revievers = 2 }",
            1,
            "there is no role revievers",
            "add [roles.revievers]",
        ),
        (
            "finding-level = \"B\"\n",
            "",
            1,
            "rule 2 can never match",
            "move rule 2 before",
        ),
        (
            "expires = \"7 days\"",
            "expires = \"0 days\"",
            1,
            "must be longer than zero",
            "give it a length",
        ),
        (
            "lacking = \"block\"",
            "lacking = \"pass\"",
            2,
            "policy.toml cannot be read",
            "mend it there",
        ),
        (
            "expires = \"7 days\"",
            "expires = \"soon\"",
            2,
            "channels.stable.expires",
            "mend it there",
        ),
    ] {
        write(&world, "wrong.toml", |text| {
            let wrong = text.replacen(from, to, 1);
            assert_ne!(wrong, text, "{to} was not made");
            wrong
        });
        let output = check("wrong.toml").failed(code, words);
        for words in [next, "assay policy check policy.toml"] {
            assert!(output.stderr.contains(words), "{words} is not in {}", output.stderr);
        }
        assert!(
            output.json["next"].as_str().is_some_and(|found| found.contains(next)),
            "{}",
            output.json
        );
    }
}

#[test]
fn diff_and_propose_mark_what_asks_for_less() {
    let world = World::with_chain();
    write(&world, "weaker.toml", |text| {
        text.replacen("expires = \"7 days\"", "expires = \"9 days\"", 1)
            .replacen(
                "finding-level = \"B\"\nrequire = { reviewers = 2 }",
                "finding-level = \"B\"\nrequire = { reviewers = 1 }",
                1,
            )
    });
    let text = world.plain_text("alice", &["policy", "diff", "weaker.toml"]);
    for line in [
        "against root 1:",
        "! WEAKER: channel stable: how long a release stays current is 9 days, was 7 days",
        "! WEAKER: rule 1 asks for 1 of reviewers, asked for 2 of reviewers: changes with a finding of level B or higher",
        "2 of 2 changes (!) ask for less than before, or believe another: look twice",
        "to go on: assay policy propose weaker.toml",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    let diff = world.assay("alice", &["policy", "diff", "weaker.toml"]).ok();
    let proposed = world.assay("alice", &["policy", "propose", "weaker.toml"]).ok();
    assert_eq!(diff["changes"], proposed["changes"]);
    assert_eq!(diff["changes"][0]["weakens"], true);
    // The honest twin: what asks for more is said, and not marked.
    write(&world, "stricter.toml", |text| {
        text.replacen("expires = \"7 days\"", "expires = \"5 days\"", 1)
    });
    let text = world.plain_text("alice", &["policy", "diff", "stricter.toml"]);
    assert!(
        text.contains("  channel stable: how long a release stays current is 5 days"),
        "{text}"
    );
    assert!(!text.contains("WEAKER"), "{text}");
    let same = world.plain_text("alice", &["policy", "diff", "policy.toml"]);
    assert!(same.contains("nothing changes"), "{same}");
}

#[test]
fn show_puts_the_policy_in_force_into_words() {
    let world = World::with_chain();
    let text = world.plain_text("bob", &["policy", "show"]);
    let chain = world.chain();
    for line in [
        format!("chain {chain}"),
        "root version 1, expires ".to_owned(),
        "  alice: reviewers, root; 2 keys until ".to_owned(),
        "  role root: 2 of 3 people".to_owned(),
        "released by 2 of role reviewers; at most 3 days behind, current for 7 days".to_owned(),
        "  rule 1: changes with a finding of level B or higher take 2 of reviewers".to_owned(),
        "  rule 2: every other change take 1 of reviewers".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}\nis not in\n{text}");
    }
    let json = world.assay("bob", &["policy", "show"]).ok();
    assert_eq!(json["chain"], chain);
    assert_eq!(json["policy"]["roles"]["root"]["threshold"], 2);
}

/// Whom a policy wants certified joins when enough of its main people have certified them, with gpg.
#[test]
fn a_newcomer_joins_when_the_main_people_certify_them() {
    let world = World::with_chain();
    world.new_person("dave");
    let web =
        "[roles.main]\npeople = [\"alice\", \"bob\", \"carol\"]\n[web-of-trust]\nrole = \"main\"\nthreshold = 2\n";
    let policy = world.policy(&["alice", "bob", "carol", "dave"]) + web;
    std::fs::write(world.path("next.toml"), policy).unwrap();
    let propose = ["policy", "propose", "next.toml", "--certificate", "keys/dave.asc"];
    let refused = world.assay("alice", &propose).refused(
        "dave's certificate is certified by 0 of 2 people of role main; could still certify it: alice, bob, carol",
    );
    assert!(refused.stderr.contains("--sign-key"), "{}", refused.stderr);
    if !testkit::peer::has("gpg") {
        return;
    }
    let home = world.path("gnupg/certify");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut gpg = std::process::Command::new("gpg");
        gpg.arg("--homedir").arg(&home).current_dir(world.path("."));
        let output = gpg
            .args(["--batch", "--yes", "--no-options"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    gpg(&[
        "--import",
        "keys/alice.secret.asc",
        "keys/bob.secret.asc",
        "keys/dave.asc",
    ]);
    let primary = |name: &str| {
        let listing = String::from_utf8(gpg(&["--with-colons", "--list-keys", name])).unwrap();
        let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    };
    let dave = primary("dave");
    gpg(&["--local-user", &primary("alice"), "--quick-sign-key", &dave]);
    let export = || std::fs::write(world.path("keys/dave.asc"), gpg(&["--armor", "--export", &dave])).unwrap();
    export();
    world
        .assay("alice", &propose)
        .refused("certified by 1 of 2 people of role main: alice; could still certify it: bob, carol");
    gpg(&["--local-user", &primary("bob"), "--quick-sign-key", &dave]);
    export();
    world.assay("alice", &propose).ok();
    let _ = std::process::Command::new("gpgconf")
        .arg("--homedir")
        .arg(&home)
        .args(["--kill", "all"])
        .output();
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
    let chain = world.chain();
    world.join("dave", &["--chain", &chain]);
    world.first_release("unstable");
    world.assay("alice", &["publish"]).ok();
    world.upstream_bump();
    world.assay("alice", &["import", "--channel", "unstable"]).ok();
    world
        .assay("dave", &["review", "--channel", "unstable", "--approve-all", "--yes"])
        .ok();
    let queue = world.assay("bob", &["queue", "--channel", "unstable"]).ok();
    assert_eq!(queue["units"][0]["verdict"]["by"], json!(["dave"]), "{queue}");
}
