//! A channel that carries patches of its own, from a directory in somebody's clone to what a machine installs: which units it
//! may patch is the root's, what is in the patches is its reviewers'.

use std::fs;

use attestation::{
    Sha256Digest,
    pending::Proposal,
    series::{PatchSeries, Patched, SeriesPatch},
    statement::Import,
};
use serde_json::{Value, json};
use testkit::World;

const HELLO: &str = "pkgs/by-name/he/hello";
const MODULE: &str = "nixos/modules/services/hello.nix";
const XZ: &str = "pkgs/by-name/xz/xz";

/// Adds a line to `hello`, above its version.
const PATCH: &str = "--- a/pkgs/by-name/he/hello/package.nix\n+++ b/pkgs/by-name/he/hello/package.nix\n\
                     @@ -1,3 +1,4 @@\n { }:\n {\n+  hardened = true;\n   pname = \"hello\";\n";

/// A patch that replaces all of a file of one line.
fn whole(path: &str, old: &str, new: &str) -> String {
    format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{new}\n")
}

/// Root 2, which lets `unstable` differ from upstream in `hello` and in modules.
fn permitted() -> World {
    let world = World::published();
    permit(&world, &format!("patches = [\"{HELLO}\", \"nixos/modules/**\"]\n"));
    world
}

/// The next root, with these lines in the entry of `unstable`.
fn permit(world: &World, lines: &str) {
    let policy = world.policy(&testkit::world::PEOPLE);
    let head = "[channels.unstable]\n";
    fs::write(world.path("next.toml"), policy.replace(head, &format!("{head}{lines}"))).unwrap();
    world.assay("alice", &["policy", "propose", "next.toml"]).ok();
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
}

/// Writes a directory of patches.
fn patches(world: &World, files: &[(&str, &str)]) {
    let directory = world.path("patches");
    drop(fs::remove_dir_all(&directory));
    fs::create_dir(&directory).unwrap();
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
}

const IMPORT: [&str; 3] = ["import", "--channel", "unstable"];

fn import(world: &World, more: &[&str]) -> testkit::world::Output {
    world.assay("alice", &[&IMPORT[..], more].concat())
}

fn import_with_patches(world: &World) -> Value {
    import(world, &["--patches", "patches"]).ok()
}

fn queue(world: &World, person: &str, more: &[&str]) -> Value {
    let arguments = [&["queue", "--channel", "unstable"][..], more].concat();
    world.assay(person, &arguments).ok()
}

fn unit<'a>(queue: &'a Value, unit: &str) -> &'a Value {
    let units = queue["units"].as_array().unwrap();
    let found = units.iter().find(|queued| queued["unit"] == unit);
    found.unwrap_or_else(|| panic!("{unit} is not in {queue}"))
}

/// What `channel-patch` found in a unit.
fn found(unit: &Value) -> Vec<&str> {
    let findings = unit["findings"].as_array().unwrap().iter();
    let of_rule = findings.filter(|finding| finding["code"] == "channel-patch");
    of_rule.map(|finding| finding["what"].as_str().unwrap()).collect()
}

fn approve(world: &World, person: &str, more: &[&str]) {
    let arguments = ["review", "--channel", "unstable", "--yes", "--approve-all"];
    world.assay(person, &[&arguments[..], more].concat()).ok();
}

/// Release 2: a new version of `hello`, patched.
fn released() -> World {
    let world = permitted();
    world.upstream_bump();
    patches(&world, &[("01-harden.patch", PATCH)]);
    import_with_patches(&world);
    release(&world);
    world
}

/// What is pending is approved, signed, released and published.
fn release(world: &World) {
    for person in ["bob", "carol"] {
        approve(world, person, &[]);
    }
    world.sign(&["alice"]);
    world.release();
    world.sign(&["alice", "bob"]);
    world.publish();
}

#[test]
fn a_patch_is_reviewed_as_what_it_gives_and_two_clones_make_one_commit_of_it() {
    let world = permitted();
    world.subscribe();
    world.update_installs(1);
    world.upstream_bump();
    patches(&world, &[("01-harden.patch", PATCH)]);
    // Bob's git does everything differently.
    for (key, value) in [
        ("core.autocrlf", "true"),
        ("apply.whitespace", "fix"),
        ("user.name", "x"),
    ] {
        world.git("bob", &["config", key, value]);
    }
    fs::write(world.path("bob/.git/info/attributes"), "* text eol=crlf\n").unwrap();
    let imported = import_with_patches(&world);
    assert_eq!(imported["patched-units"], json!([HELLO]));
    let commit = imported["commit"].as_str().unwrap();
    // Upstream's part is a mere bump; with the patch it is not.
    let queued = queue(&world, "bob", &[]);
    let hello = unit(&queued, HELLO);
    assert_eq!((&queued["to"], &hello["class"]), (&json!(commit), &json!("edit")));
    assert_eq!(found(hello), ["01-harden.patch of the channel changes upstream's text"]);
    assert_eq!(hello["verdict"]["missing"][0]["need"], 2);
    let shown = world.assay("bob", &["show", "--channel", "unstable", HELLO]).ok();
    assert!(shown["diff"].as_str().unwrap().contains("hardened = true"), "{shown}");

    approve(&world, "bob", &[]);
    world.sign(&["alice"]);
    world
        .assay("alice", &["release", "--channel", "unstable"])
        .refused("1 of 1 changed units are not covered");
    let text = world.plain_text("bob", &["show", "--channel", "unstable", HELLO]);
    let upstream = world.git("upstream", &["rev-parse", "HEAD"]);
    let own = format!("git diff {} {commit}", upstream.trim());
    assert!(text.contains(&own), "{text}");
    let words: Vec<_> = own.split(' ').skip(1).collect();
    let diff = world.git("bob", &words);
    assert!(
        diff.contains("+  hardened = true;") && !diff.contains("\n-  "),
        "{diff}"
    );
    approve(&world, "carol", &[]);
    let proposed = world.release();
    // The same release, of other patches or of none.
    for series in [None, Some(series_patch("02-other.patch", PATCH))] {
        let Proposal::Release {
            mut targets,
            statements,
        } = world.proposal(&proposed)
        else {
            panic!("no release")
        };
        targets.version += 1;
        let release = targets.mark.as_mut().unwrap().release.as_mut().unwrap();
        let upstream = release.upstream_commit().clone();
        release.patched = series.map(|patch| Patched {
            upstream,
            patches: PatchSeries::new(vec![patch]).unwrap(),
        });
        let words = if release.patched.is_some() {
            "other patches than the import"
        } else {
            "is not on upstream's branch"
        };
        let forged = world
            .forge_proposal(&Proposal::Release { targets, statements })
            .to_string();
        world.assay("bob", &["sign", "--yes", "--only", &forged]).refused(words);
    }
    for person in ["alice", "bob"] {
        let signed = world.assay(person, &["sign", "--yes", "--only", &proposed]).ok();
        let shown = format!("(upstream's {} with 01-harden.patch)", upstream.trim());
        assert!(
            signed["signed"][0]["what"].as_str().unwrap().contains(&shown),
            "{signed}"
        );
    }
    world.publish();
    world.publish_to("bob", "site-of-bob").ok();
    for clone in ["alice", "bob"] {
        let kept = world.git(clone, &["rev-parse", &format!("refs/touchstone/patched/{commit}")]);
        assert_eq!(kept.trim(), commit);
    }
    let updated = world.touchstone(&["update"]).ok();
    let release = &updated["release"];
    assert_eq!(release["commit"], commit);
    assert_eq!(release["patched"]["upstream"], upstream.trim());
    assert_eq!(release["patched"]["patches"][0]["name"], "01-harden.patch");
    let package = format!("machine/current/nixexprs/{HELLO}/package.nix");
    let installed = fs::read_to_string(world.path(package)).unwrap();
    assert!(installed.contains("hardened = true"), "{installed}");
    let revision = fs::read_to_string(world.path("machine/current/nixexprs/.git-revision")).unwrap();
    assert_eq!(revision, commit);
}

#[test]
fn only_what_the_root_names_may_be_patched() {
    let world = World::published();
    world.upstream_bump();
    patches(&world, &[("01-harden.patch", PATCH)]);
    import(&world, &["--patches", "patches"]).refused("lets this channel carry no patches");
    assert!(world.ledger_files().iter().all(|path| !path.starts_with("patches/")));

    let world = permitted();
    world.upstream_bump();
    let stdenv = whole("lib/strings.nix", "{ empty = \"\"; }", "{ empty = \"x\"; }");
    patches(&world, &[("01-harden.patch", PATCH), ("02-lib.patch", &stdenv)]);
    let refused = import(&world, &["--patches", "patches"]).refused("the channel's patches change lib");
    assert!(
        refused
            .stderr
            .contains(&format!("lets it patch {HELLO}, nixos/modules/**")),
        "{}",
        refused.stderr
    );
    // Nor by somebody who files the proposal himself: bob derives which units differ.
    patches(&world, &[("01-harden.patch", PATCH)]);
    let honest = import_with_patches(&world);
    let Proposal::Import(honest) = world.proposal(honest["proposal"].as_str().unwrap()) else {
        panic!("no import")
    };
    let false_series = Import {
        patched: Some(Patched {
            patches: PatchSeries::new(vec![series_patch("02-lib.patch", &stdenv)]).unwrap(),
            ..honest.patched.clone().unwrap()
        }),
        ..honest
    };
    world.tamper_with_ledger(|ledger| {
        fs::write(ledger.join(ledger_name(&stdenv)), &stdenv).unwrap();
    });
    let forged = world.forge_proposal(&Proposal::Import(false_series)).to_string();
    world
        .assay("bob", &["sign", "--yes", "--only", &forged])
        .refused("the channel's patches change lib");
}

fn series_patch(name: &str, text: &str) -> SeriesPatch {
    SeriesPatch {
        name: name.parse().unwrap(),
        sha256: Sha256Digest::of(text),
    }
}

fn ledger_name(text: &str) -> String {
    format!("patches/{}.patch", Sha256Digest::of(text))
}

#[test]
fn a_signer_whose_patch_is_another_signs_nothing() {
    let world = permitted();
    world.upstream_bump();
    patches(&world, &[("01-harden.patch", PATCH)]);
    let honest = import_with_patches(&world)["proposal"].as_str().unwrap().to_owned();
    let Proposal::Import(import) = world.proposal(&honest) else {
        panic!("no import")
    };
    // The commit of one patch under the name of another.
    let other = PATCH.replace("hardened = true", "softened = true");
    world.tamper_with_ledger(|ledger| fs::write(ledger.join(ledger_name(&other)), &other).unwrap());
    let mut swapped = import.clone();
    swapped.patched.as_mut().unwrap().patches =
        PatchSeries::new(vec![series_patch("01-harden.patch", &other)]).unwrap();
    let forged = world.forge_proposal(&Proposal::Import(swapped)).to_string();
    world
        .assay("bob", &["sign", "--yes", "--only", &forged])
        .refused("to: the proposal says");
    // Without its patches.
    let bare = Import {
        patched: None,
        ..import.clone()
    };
    let forged = world.forge_proposal(&Proposal::Import(bare)).to_string();
    world
        .assay("bob", &["sign", "--yes", "--only", &forged])
        .refused("is not on upstream's branch");
    // A patch that nobody has, and one whose bytes are others than its name says.
    let mut missing = import;
    missing.patched.as_mut().unwrap().patches =
        PatchSeries::new(vec![series_patch("01-harden.patch", "nowhere")]).unwrap();
    let forged = world.forge_proposal(&Proposal::Import(missing)).to_string();
    world
        .assay("bob", &["sign", "--yes", "--only", &forged])
        .refused("is missing from the ledger");
    world.tamper_with_ledger(|ledger| fs::write(ledger.join(ledger_name("nowhere")), &other).unwrap());
    world
        .assay("bob", &["sign", "--yes", "--only", &forged])
        .refused("is not what its name says");
    // The honest twin.
    world.assay("bob", &["sign", "--yes", "--only", &honest]).ok();
}

#[test]
fn the_next_import_keeps_the_patches_and_to_drop_one_takes_reviews() {
    let world = released();
    // A clone that never made a patched commit, after which the last release has one.
    world.upstream_bump();
    let kept = import(&world, &[]).ok();
    assert_eq!(kept["patches"], json!(["01-harden.patch"]));
    let queued = queue(&world, "carol", &[]);
    assert_eq!(
        (&queued["total"], &unit(&queued, HELLO)["class"]),
        (&json!(1), &json!("edit"))
    );
    assert_eq!(found(unit(&queued, HELLO)).len(), 1);
    approve(&world, "carol", &[]);
    approve(&world, "bob", &[]);

    // Dropping it at the same commit of upstream is another import: which one, people say.
    let dropped = import(&world, &["--no-patches"]).ok()["proposal"]
        .as_str()
        .unwrap()
        .to_owned();
    let asked = world
        .assay("bob", &["queue", "--channel", "unstable"])
        .failed(2, "2 imports of one upstream commit");
    assert!(asked.stderr.contains("--import"), "{}", asked.stderr);
    let queued = queue(&world, "bob", &["--import", &dropped]);
    let hello = unit(&queued, HELLO);
    assert_eq!(hello["class"], "edit", "{hello}");
    assert_eq!(
        found(hello),
        ["01-harden.patch of the channel changed it, and does so no more"]
    );
    assert_eq!(hello["verdict"]["missing"][0]["need"], 2, "{hello}");
    // Both have a statement of their import; only what was reviewed is released.
    world.sign(&["alice"]);
    world.assay("alice", &["sign", "--yes", "--only", &dropped]).ok();
    let unreviewed = world.git("upstream", &["rev-parse", "HEAD"]);
    world
        .assay(
            "alice",
            &["release", "--channel", "unstable", "--commit", unreviewed.trim()],
        )
        .refused("changed units are not covered");
    // Once it is reviewed, nobody but a person chooses.
    approve(&world, "carol", &["--import", &dropped]);
    approve(&world, "bob", &["--import", &dropped]);
    let two = world.assay("alice", &["release", "--channel", "unstable"]);
    two.failed(2, "two imports of upstream's");
    let commit = kept["commit"].as_str().unwrap();
    let arguments = ["release", "--channel", "unstable", "--commit", commit];
    assert_eq!(world.assay("alice", &arguments).ok()["commit"], commit);
    world.sign(&["alice", "bob"]);
    world.publish();
    assert_eq!(
        world.assay("bob", &["log"]).ok()["channels"]["unstable"]["commit"],
        commit
    );
}

#[test]
fn a_clone_that_lost_what_it_made_makes_it_again() {
    let world = released();
    world.upstream_bump();
    import(&world, &[]).ok();
    release(&world);
    // Releases 2 and 3 are patched; no remote has their commits, and bob's clone has them no more.
    let forget = |person: &str| {
        let refs = world.git(
            person,
            &["for-each-ref", "--format=%(refname)", "refs/touchstone/patched"],
        );
        for name in refs.lines() {
            world.git(person, &["update-ref", "-d", name]);
        }
        world.git(person, &["gc", "--quiet", "--prune=now"]);
    };
    forget("bob");
    world.upstream_bump();
    import(&world, &[]).ok();
    release(&world);
    world.publish_to("bob", "site-of-bob").ok();
    let kept = world.git("bob", &["for-each-ref", "refs/touchstone/patched"]);
    assert_eq!(kept.lines().count(), 3, "{kept}");
    forget("carol");
    let said = [
        "violation",
        "--channel",
        "unstable",
        "--unit",
        HELLO,
        "--release",
        "2",
        "--reason",
        "bad",
        "--yes",
    ];
    assert_eq!(world.assay("carol", &said).ok()["releases"], json!([2]));
}

#[test]
fn a_root_that_takes_patches_back_is_followed_by_a_release_without() {
    let world = released();
    world.subscribe();
    world.update_installs(2);
    permit(&world, "");
    // What was installed stays what it was; nothing patched is offered any more.
    world.touchstone(&["verify"]).ok();
    world
        .publish_to("alice", "site")
        .refused("lets this channel carry none");
    import(&world, &[]).refused("lets this channel carry no patches");
    import(&world, &["--no-patches"]).ok();
    release(&world);
    world.update_installs(3);
    let package = fs::read_to_string(world.path(format!("machine/current/nixexprs/{HELLO}/package.nix"))).unwrap();
    assert!(!package.contains("hardened"), "{package}");
}

#[test]
fn a_patch_that_fits_no_more_stops_the_import_and_says_where() {
    let world = released();
    let path = world.path(format!("upstream/{HELLO}/package.nix"));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replace("pname = \"hello\"", "name = \"hello\"")).unwrap();
    world.commit_upstream("hello: another name");
    let before = world.ledger_files();
    let refused = import(&world, &[]).refused("patch 01-harden.patch does not apply to upstream's commit");
    for words in [
        &format!("{HELLO}/package.nix, hunk 1 (line 1)"),
        "git apply --reject 01-harden.patch",
        "assay import --channel unstable --patches DIR",
    ] {
        assert!(refused.stderr.contains(words), "{words} is not in {}", refused.stderr);
    }
    assert_eq!(world.ledger_files(), before, "nothing was filed");
    // Rebased, it is another content, and reviewed as such.
    patches(&world, &[("01-harden.patch", &PATCH.replace("   pname", "   name"))]);
    import_with_patches(&world);
    release(&world);
}

#[test]
fn a_moved_and_an_added_file_are_patched_units_as_much_as_a_changed_one() {
    let world = permitted();
    world.upstream_bump();
    let module = whole(MODULE, "{ ... }: { }", "{ ... }: { services.hello = true; }");
    let added = "--- /dev/null\n+++ b/nixos/modules/services/other.nix\n@@ -0,0 +1 @@\n+{ ... }: { }\n";
    let moved = format!(
        "diff --git a/{XZ}/package.nix b/{HELLO}/xz.nix\nsimilarity index 100%\nrename from {XZ}/package.nix\n\
         rename to {HELLO}/xz.nix\n"
    );
    patches(&world, &[("1.patch", &module), ("2.patch", added), ("3.patch", &moved)]);
    // What it takes away counts: xz is no unit that the root names.
    import(&world, &["--patches", "patches"]).refused(&format!("the channel's patches change {XZ}"));
    patches(&world, &[("1.patch", &module), ("2.patch", added)]);
    let units = json!([MODULE, "nixos/modules/services/other.nix"]);
    assert_eq!(import_with_patches(&world)["patched-units"], units);
    let queued = queue(&world, "bob", &[]);
    assert_eq!(found(unit(&queued, MODULE)).len(), 1);
    assert_eq!(found(unit(&queued, "nixos/modules/services/other.nix")).len(), 1);
    assert_eq!(
        (found(unit(&queued, HELLO)).len(), &unit(&queued, HELLO)["class"]),
        (0, &json!("edit"))
    );
}
