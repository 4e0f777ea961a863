//! Changing who decides: by the old people and by the new.

use testkit::World;

/// Root 2, in which dave is in carol's place, and the next release under it; published.
pub(crate) fn rotate_carol_out(world: &World) {
    world.new_person("dave");
    std::fs::write(world.path("next.toml"), world.policy(&["alice", "bob", "dave"])).unwrap();
    let propose = ["policy", "propose", "next.toml", "--certificate", "keys/dave.asc"];
    world.assay("alice", &propose).ok();
    let chain = world.chain();
    world.join("dave", &["--chain", &chain]);
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
    world.upstream_bump();
    world.assay("alice", &["import", "--channel", "unstable"]).ok();
    world
        .assay("dave", &["review", "--channel", "unstable", "--approve-all", "--yes"])
        .ok();
    world.sign(&["alice"]);
    world.release();
    world.sign(&["bob", "dave"]);
    world.publish();
}

#[test]
fn a_machine_follows_a_change_of_people() {
    let world = World::published();
    world.subscribe();
    world.update_installs(1);
    rotate_carol_out(&world);
    let json = world.touchstone(&["update"]).ok();
    assert_eq!(json["root-version"], 2);
    assert_eq!(json["release"]["sequence"], 2);
    assert_eq!(json["signed-by"], serde_json::json!(["bob", "dave"]));
    // Who is gone signs nothing more, who is new does.
    world.upstream_bump();
    world.assay("alice", &["import", "--channel", "unstable"]).ok();
    world
        .assay("carol", &["review", "--channel", "unstable", "--approve-all", "--yes"])
        .failed(2, "not among");
    // A new machine that pins the first root follows as well.
    world.subscribe_on("new", &world.file_url("site"), "unstable", &[]).ok();
    world.update_installs_on("new", 2);
}

#[test]
fn a_new_root_takes_the_old_people_and_the_new() {
    let world = World::published();
    world.subscribe();
    for person in ["dave", "erin"] {
        world.new_person(person);
    }
    std::fs::write(world.path("next.toml"), world.policy(&["alice", "dave", "erin"])).unwrap();
    let certificates = ["--certificate", "keys/dave.asc", "--certificate", "keys/erin.asc"];
    world
        .assay(
            "alice",
            &[&["policy", "propose", "next.toml"][..], &certificates].concat(),
        )
        .ok();
    let chain = world.chain();
    for person in ["dave", "erin"] {
        world.join(person, &["--chain", &chain]);
    }
    let version = || {
        world.assay("alice", &["publish"]).ok()["root-version"]
            .as_u64()
            .unwrap()
    };
    // Enough of the new, one of the old.
    world.sign(&["alice", "dave", "erin"]);
    assert_eq!(version(), 1);
    world.sign(&["bob"]);
    assert_eq!(version(), 2);
}

/// Upstream rests, the policy changes: the channel goes on under it.
#[test]
fn a_release_without_news_carries_a_channel_over_a_change_of_policy() {
    let world = World::published();
    world.subscribe();
    std::fs::write(
        world.path("next.toml"),
        world.policy(&["alice", "bob", "carol"]).replace("7 days", "6 days"),
    )
    .unwrap();
    world.assay("alice", &["policy", "propose", "next.toml"]).ok();
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
    world.assay("alice", &["import", "--channel", "unstable"]).ok();
    world.sign(&["alice"]);
    world.release();
    world.sign(&["alice", "bob"]);
    world.publish();
    let json = world.touchstone(&["update"]).ok();
    assert_eq!(
        (json["root-version"].as_u64(), json["release"]["sequence"].as_u64()),
        (Some(2), Some(2))
    );
}

#[test]
fn a_withdrawn_release_leaves_its_version_behind() {
    let world = World::published();
    world.subscribe();
    world.propose_release();
    world.sign(&["alice"]);
    // Before anybody else signs, upstream has something newer.
    let second = world.propose_release();
    let attestation::pending::Proposal::Release { targets, .. } = world.proposal(&second) else {
        panic!("a release")
    };
    let release = targets.mark.unwrap().release.unwrap();
    assert_eq!((targets.version, release.sequence), (3, 2));
    world.sign(&["alice", "bob"]);
    world.publish();
    world.update_installs(2);
    let installed = std::fs::read_to_string(world.path("machine/current/nixexprs/.git-revision")).unwrap();
    assert_eq!(installed.trim(), world.git("upstream", &["rev-parse", "HEAD"]).trim());
}

/// Whoever signed the newest release leaves: the others go on from it.
#[test]
fn a_channel_goes_on_when_a_signer_of_its_newest_release_leaves() {
    let world = World::published();
    world.subscribe();
    world.update_installs(1);
    world.new_person("dave");
    std::fs::write(world.path("next.toml"), world.policy(&["bob", "carol", "dave"])).unwrap();
    let propose = ["policy", "propose", "next.toml", "--certificate", "keys/dave.asc"];
    world.assay("bob", &propose).ok();
    let chain = world.chain();
    world.join("dave", &["--chain", &chain]);
    world.sign(&["alice", "bob", "carol"]);
    world.assay("bob", &["publish"]).ok();
    // Who saw that release being finished goes on from it; dave, who did not, waits for the next.
    goes_on(&world, ["carol", "bob", "carol"]);
    world.update_installs(2);
    goes_on(&world, ["dave", "bob", "dave"]);
    world.update_installs(3);
}

/// The next release, by bob, with a reviewer and two signers.
fn goes_on(world: &World, [reviewer, first, second]: [&str; 3]) {
    world.upstream_bump();
    world.assay("bob", &["import", "--channel", "unstable"]).ok();
    let review = ["review", "--channel", "unstable", "--approve-all", "--yes"];
    world.assay(reviewer, &review).ok();
    world.sign(&["bob"]);
    world.assay("bob", &["release", "--channel", "unstable"]).ok();
    world.sign(&[first, second]);
    world.publish_to("bob", "site").ok();
}

/// Carol rejects a change, a release lists that, and carol leaves: what she found does not leave with her, and whoever
/// thinks otherwise has to say so.
#[test]
fn a_reject_stays_when_its_author_leaves_and_is_lifted_by_those_who_stay() {
    let world = World::published();
    let write = |version: &str, module: &str| {
        let hello = format!("{{ }}:\n{{\n  pname = \"hello\";\n  version = \"{version}\";\n}}\n");
        std::fs::write(world.path("upstream/pkgs/by-name/he/hello/package.nix"), hello).unwrap();
        std::fs::write(world.path("upstream/nixos/modules/services/hello.nix"), module).unwrap();
        world.commit_upstream("other versions");
        world.assay("alice", &["import", "--channel", "unstable"]).ok();
    };
    let hello = "pkgs/by-name/he/hello";
    let review = |person: &str, verdict: [&str; 2]| {
        let arguments = [&["review", "--channel", "unstable", "--yes"][..], &verdict].concat();
        world.assay(person, &arguments).ok()
    };
    let verdict = || {
        let queue = world.assay("bob", &["queue", "--channel", "unstable"]).ok();
        let units = queue["units"].as_array().unwrap();
        units.iter().find(|unit| unit["unit"] == hello).unwrap()["verdict"].clone()
    };
    write("2.13.0", "{ ... }: { }\n");
    let rejected = review("carol", ["--reject", hello]);
    review("bob", ["--approve", hello]);
    assert_eq!(verdict()["state"], "rejected");
    // Upstream takes it back, for now; a release lists what carol said.
    write("2.12.0", "{ ... }: { a = 1; }\n");
    review("bob", ["--approve", "nixos/modules/services/hello.nix"]);
    world.sign(&["alice"]);
    world.release();
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
    // Carol leaves, dave comes.
    world.new_person("dave");
    std::fs::write(world.path("next.toml"), world.policy(&["alice", "bob", "dave"])).unwrap();
    let propose = ["policy", "propose", "next.toml", "--certificate", "keys/dave.asc"];
    world.assay("alice", &propose).ok();
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
    write("2.13.0", "{ ... }: { a = 1; }\n");
    review("bob", ["--approve", hello]);
    let found = verdict();
    assert_eq!(found["state"], "rejected", "{found}");
    assert_eq!(found["by"], serde_json::json!(["carol"]));
    assert_eq!(found["left"][0], rejected["statement"]);
    world.sign(&["alice"]);
    world
        .assay("alice", &["release", "--channel", "unstable"])
        .refused("1 of 1 changed units are not covered");
    let text = world.plain_text("bob", &["queue", "--channel", "unstable"]);
    let id = rejected["statement"].as_str().unwrap();
    assert!(text.contains(&format!("--supersedes {id}")), "{text}");
    // One person is as many as this change takes.
    review("alice", ["--supersedes", id]);
    assert_eq!(verdict(), serde_json::json!({"state": "covered", "by": ["bob"]}));
    world.release();
}
