//! Approvals that name the release from which a change starts, from a reviewer's desk to a release: what an old approval
//! covers, and what it does not.

use serde_json::{Value, json};
use testkit::World;

const HELLO: &str = "pkgs/by-name/he/hello";
const MODULE: &str = "nixos/modules/services/hello.nix";

/// Upstream's next commit: this version of `hello`, and its module saying this.
fn upstream(world: &World, version: &str, module: &str) {
    let package = format!("{{ }}:\n{{\n  pname = \"hello\";\n  version = \"{version}\";\n}}\n");
    std::fs::write(world.path(format!("upstream/{HELLO}/package.nix")), package).unwrap();
    std::fs::write(world.path(format!("upstream/{MODULE}")), module).unwrap();
    world.commit_upstream("other versions");
}

const PLAIN: &str = "{ ... }: { }\n";
const OTHER: &str = "{ ... }: { services = 1; }\n";

fn import(world: &World) {
    world.assay("alice", &["import", "--channel", "unstable"]).ok();
}

fn approve(world: &World, person: &str, units: &[&str]) {
    let mut arguments = vec!["review", "--channel", "unstable", "--yes"];
    arguments.extend(units.iter().flat_map(|unit| ["--approve", unit]));
    world.assay(person, &arguments).ok();
}

/// What `assay queue` says of a unit.
fn queued(world: &World, channel: &str, unit: &str) -> Value {
    let queue = world.assay("bob", &["queue", "--channel", channel]).ok();
    let units = queue["units"].as_array().unwrap();
    let found = units.iter().find(|queued| queued["unit"] == unit);
    found.unwrap_or_else(|| panic!("{unit} is not in {queue}"))["verdict"].clone()
}

/// Everything that is pending is released and signed.
fn released(world: &World) {
    world.sign(&["alice"]);
    world.release();
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
}

#[test]
fn an_approval_of_long_ago_does_not_bring_back_what_the_channel_left() {
    let world = World::published();
    // Release 1 has hello 2.12.0, release 2 mends it.
    upstream(&world, "2.12.1", PLAIN);
    import(&world);
    approve(&world, "carol", &[HELLO]);
    released(&world);
    // Upstream goes back for a while, and changes something else. Both are approved; upstream thinks better of it.
    upstream(&world, "2.12.0", OTHER);
    import(&world);
    approve(&world, "carol", &[HELLO]);
    approve(&world, "bob", &[MODULE]);
    assert_eq!(
        queued(&world, "unstable", HELLO)["state"],
        "covered",
        "for the release that would have followed"
    );
    std::fs::write(world.path("upstream/lib/strings.nix"), "{ more = true; }\n").unwrap();
    upstream(&world, "2.12.1", PLAIN);
    import(&world);
    approve(&world, "bob", &["lib"]);
    approve(&world, "carol", &["lib"]);
    released(&world);
    // Now somebody brings it back, and counts on the approval that lies in the ledger.
    upstream(&world, "2.12.0", OTHER);
    import(&world);
    let verdict = queued(&world, "unstable", HELLO);
    assert_eq!(verdict["state"], "lacking", "{verdict}");
    assert_eq!(verdict["from-tree"], json!({"why": "returns", "release": 1}));
    assert_eq!(verdict["elsewhere"], json!(["carol"]));
    world.sign(&["alice"]);
    let refused = world.assay("alice", &["release", "--channel", "unstable"]);
    let refused = refused.refused(&format!(
        "1 of 2 changed units are not covered by reviews, among them {HELLO}"
    ));
    assert!(
        refused.stderr.contains("assay queue --channel unstable"),
        "{}",
        refused.stderr
    );
    let text = world.plain_text("bob", &["queue", "--channel", "unstable", "--open"]);
    for words in [
        "needs 0 of 1 from reviewers (could: alice, bob, carol)",
        "each must have looked from release 3 of unstable, since this is what release 1 had, and the channel left it",
        "carol approved it from elsewhere, which does not count here",
        "assay review --channel unstable --approve UNIT",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    // The honest twin: the channel never had that module, so what was said of it still holds.
    let verdict = queued(&world, "unstable", MODULE);
    assert_eq!(verdict, json!({"state": "covered", "by": ["bob"]}));
    // Whoever looks again, and still wants it, says so.
    approve(&world, "carol", &[HELLO]);
    assert_eq!(
        queued(&world, "unstable", HELLO),
        json!({"state": "covered", "by": ["carol"]})
    );
    released(&world);
    world.publish();
    world.subscribe();
    world.update_installs(4);
}

#[test]
fn an_approval_in_another_channel_does_not_cover_what_reaches_everything() {
    let world = World::published();
    world.first_release("stable");
    world.assay("alice", &["publish"]).ok();
    std::fs::write(world.path("upstream/lib/strings.nix"), "{ more = true; }\n").unwrap();
    std::fs::create_dir_all(world.path("upstream/.github/workflows")).unwrap();
    std::fs::write(world.path("upstream/.github/workflows/ci.yml"), "on: push\n").unwrap();
    upstream(&world, "2.12.0", OTHER);
    for channel in ["stable", "unstable"] {
        world.assay("alice", &["import", "--channel", channel]).ok();
    }
    for person in ["bob", "carol"] {
        world
            .assay(person, &["review", "--channel", "stable", "--approve-all", "--yes"])
            .ok();
    }
    for unit in ["lib", ".github", MODULE] {
        assert_eq!(queued(&world, "stable", unit)["state"], "covered", "{unit}");
        let verdict = queued(&world, "unstable", unit);
        if unit == MODULE {
            // It is ordinary, and holds wherever both contents are the same.
            assert_eq!(verdict["state"], "covered", "{verdict}");
            continue;
        }
        assert_eq!(verdict["state"], "lacking", "{unit}: {verdict}");
        assert_eq!(verdict["from-tree"], json!({"why": "sensitive"}), "{unit}");
        assert_eq!(verdict["elsewhere"], json!(["bob", "carol"]), "{unit}");
    }
    let shown = world.assay("bob", &["show", "--channel", "unstable", "lib"]).ok();
    assert_eq!(shown["from-tree"], "release 1 of unstable");
    assert_eq!(shown["verdict"]["from-tree"]["why"], "sensitive");
}

/// The design's example: one person for a plain bump, two for what has a finding of level B.
#[test]
fn a_plain_bump_takes_one_reviewer_although_its_source_should_be_looked_at() {
    let rules = "[[rules]]\nclass = \"bump\"\nwithout-findings = true\nrequire = { reviewers = 1 }\n\
                 [[rules]]\nrequire = { reviewers = 2 }\n";
    let world = World::without_chain();
    let policy = world.policy(&testkit::world::PEOPLE);
    let at = policy.find("[[rules]]").unwrap();
    std::fs::write(world.path("policy.toml"), format!("{}{rules}", &policy[..at])).unwrap();
    let package = |name: &str, version: &str, hash: char, more: &str| {
        let text = format!(
            "{{ stdenv, fetchurl }}:\nstdenv.mkDerivation rec {{\n  pname = \"{name}\";\n  version = \"{version}\";\n  \
             src = fetchurl {{\n    url = \"https://example.org/{name}-${{version}}.tar.gz\";\n    \
             sha256 = \"{}\";\n  }};\n{more}}}\n",
            String::from(hash).repeat(64)
        );
        std::fs::write(world.path(format!("upstream/pkgs/by-name/he/{name}/package.nix")), text).unwrap();
    };
    std::fs::create_dir_all(world.path("upstream/pkgs/by-name/he/help")).unwrap();
    package("hello", "2.12", 'a', "");
    package("help", "1.0", 'b', "");
    world.commit_upstream("packages with sources");
    world.start_chain();
    world.first_release("unstable");
    world.assay("alice", &["publish"]).ok();
    package("hello", "2.13", 'c', "");
    package("help", "1.1", 'd', "  postInstall = \"echo more\";\n");
    world.commit_upstream("two bumps, and one of them is more");
    import(&world);
    let queue = world.assay("bob", &["queue", "--channel", "unstable"]).ok();
    let of = |unit: &str| {
        let units = queue["units"].as_array().unwrap();
        units.iter().find(|queued| queued["unit"] == unit).unwrap().clone()
    };
    let (plain, more) = (of(HELLO), of("pkgs/by-name/he/help"));
    assert_eq!(plain["class"], "bump");
    let levels = |unit: &Value| -> Vec<Value> {
        let findings = unit["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["level"].clone()).collect()
    };
    assert!(
        !levels(&plain).is_empty() && levels(&plain).iter().all(|level| level == "S"),
        "{plain}"
    );
    assert!(levels(&more).iter().any(|level| level != "S"), "{more}");
    approve(&world, "carol", &[HELLO, "pkgs/by-name/he/help"]);
    assert_eq!(
        queued(&world, "unstable", HELLO),
        json!({"state": "covered", "by": ["carol"]})
    );
    let lacking = queued(&world, "unstable", "pkgs/by-name/he/help");
    assert_eq!(
        (&lacking["state"], &lacking["missing"][0]["need"]),
        (&json!("lacking"), &json!(2))
    );
}
