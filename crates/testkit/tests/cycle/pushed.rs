//! What somebody with push rights does to the ledger itself.

use std::fs;

use testkit::World;

#[test]
fn what_is_removed_from_the_ledger_is_put_back() {
    let world = World::published();
    let payload = world.propose_release();
    world.sign(&["alice", "bob"]);
    let before = world.ledger_files();
    world.tamper_with_ledger(|ledger| {
        for directory in ["root", "statements", "signatures", "proposals", "metadata"] {
            fs::remove_dir_all(ledger.join(directory)).unwrap();
        }
    });
    let output = world.assay("bob", &["sync"]);
    assert!(
        output.stderr.contains("was removed from the remote's ledger"),
        "{}",
        output.stderr
    );
    output.ok();
    assert_eq!(world.ledger_files(), before);
    world.publish();
    world.subscribe();
    world.update_installs(2);
    assert!(before.iter().any(|path| path.contains(&payload)));
}

#[test]
fn a_ledger_that_begins_anew_gets_back_what_people_have() {
    let world = World::published();
    let before = world.ledger_files();
    let empty = world.git(
        "fork.git",
        &["commit-tree", "-m", "anew", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"],
    );
    world.git("fork.git", &["update-ref", "refs/heads/touchstone", empty.trim()]);
    let output = world.assay("bob", &["sync"]);
    assert!(output.stderr.contains("rewritten"), "{}", output.stderr);
    output.ok();
    // Bob's clone is a little behind, alice's has everything.
    world.assay("alice", &["sync"]).ok();
    assert_eq!(world.ledger_files(), before);
}

#[test]
fn a_second_first_root_is_an_alarm() {
    let world = World::published();
    world.assay("carol", &["sync"]).ok();
    let mut bytes = world.ledger_file("root/1.root.json");
    bytes.extend(b" ");
    world.tamper_with_ledger(|ledger| fs::write(ledger.join("root/1.root.json"), &bytes).unwrap());
    let output = world.assay("bob", &["sync"]).refused("1.root.json");
    assert!(
        output.stderr.contains("compare both with their authors"),
        "{}",
        output.stderr
    );
    for person in testkit::world::PEOPLE {
        world.assay(person, &["sign", "--yes"]).refused("1.root.json");
    }
}

/// Files that nobody vouches for are passed over: neither counted, nor an end of the channel.
#[test]
fn false_files_in_the_ledger_neither_count_nor_stop_the_channel() {
    let world = World::published();
    world.subscribe();
    let payload = world.propose_release();
    let digest = "0".repeat(64);
    let release = world.ledger_file("metadata/1.unstable.json");
    world.sign(&["alice"]);
    let alices = world
        .ledger_files()
        .into_iter()
        .find(|path| path.starts_with(&format!("signatures/{payload}/")));
    let alices = world.ledger_file(&alices.unwrap());
    let bob = world.git(
        "fork.git",
        &["ls-tree", "-r", "--name-only", "touchstone", "signatures"],
    );
    let bobs = bob.lines().map(|path| path.rsplit('/').next().unwrap().to_owned());
    let others: Vec<String> = bobs
        .filter(|name| !String::from_utf8_lossy(&alices).contains(&name[..40]))
        .collect();
    world.tamper_with_ledger(|ledger| {
        fs::write(ledger.join("metadata/9.unstable.json"), &release).unwrap();
        fs::write(ledger.join("metadata/8.targets.json"), "garbage").unwrap();
        fs::write(ledger.join(format!("proposals/{digest}.json")), "garbage").unwrap();
        fs::create_dir_all(ledger.join("statements/00")).unwrap();
        fs::write(
            ledger.join(format!("statements/00/{}.dsse.json", &digest[2..])),
            "garbage",
        )
        .unwrap();
        fs::write(ledger.join("a-foreign-file"), "garbage").unwrap();
        // Alice's signature under the name of another's.
        for name in &others {
            fs::write(ledger.join(format!("signatures/{payload}/{name}")), &alices).unwrap();
        }
    });
    assert!(!others.is_empty());
    let json = world.assay("alice", &["publish"]).ok();
    assert_eq!(json["finished"], serde_json::json!([]), "{json}");
    world.sign(&["carol"]);
    world.publish();
    world.update_installs(2);
}

#[test]
fn nobody_joins_another_chain_than_the_one_they_name() {
    let world = World::published();
    world.new_clone("dora");
    let join = |pinned: [&str; 2]| {
        let key = "software:keys/carol.secret.asc";
        let fixed = ["init", "--join", "--remote", "origin", "--as", "carol", "--key", key];
        world.assay("dora", &[&fixed[..], &pinned].concat())
    };
    let another = "5".repeat(64);
    join(["--chain", &another]).refused("");
    join(["--first-root", &another]).refused("this is another chain");
    world
        .assay("dora", &["init", "--join", "--remote", "origin"])
        .failed(2, "no trust on first use");
    let chain = world.chain();
    join(["--chain", &chain]).ok();
    join(["--chain", &another]).refused("this clone pins chain");
}

/// Alice starts a chain; on the way to bob, mallory's takes its place.
#[test]
fn nobody_signs_another_first_root_than_the_one_they_were_told() {
    let world = World::without_chain();
    let certificates = ["alice", "bob", "carol"].map(|name| format!("keys/{name}.asc"));
    let mut start = vec!["init", "--policy", "policy.toml", "--as", "alice", "--remote", "origin"];
    start.extend(["--key", "software:keys/alice.secret.asc"]);
    for certificate in &certificates {
        start.extend(["--certificate", certificate]);
    }
    let told = world.assay("alice", &start).ok()["first-root"]
        .as_str()
        .unwrap()
        .to_owned();
    let weaker = world.policy(&testkit::world::PEOPLE).replace("7 days", "900 days");
    fs::write(world.path("policy.toml"), weaker).unwrap();
    world.new_clone("mallory");
    let told_by_mallory = {
        let output = world.assay("mallory", &start);
        output.ok()["first-root"].as_str().unwrap().to_owned()
    };
    assert_ne!(told, told_by_mallory);
    world.join("bob", &["--first-root", &told]);
    world.sign(&["bob"]);
    let files = world.ledger_files();
    assert!(
        files
            .iter()
            .any(|path| path.starts_with(&format!("signatures/{told}/")))
    );
    assert!(
        files
            .iter()
            .all(|path| !path.starts_with(&format!("signatures/{told_by_mallory}/")))
    );
    world.sign(&["alice"]);
    world.assay("bob", &["publish"]).ok();
}
