//! A channel's own patches in changed units: never quiet, and no more than what they are in.

use std::collections::BTreeMap;

use attestation::Class;
use importer::{ObjectId, Patch, PatchedCommit};
use review::{PatchedUnits, UnitChange, changes, mark_patched};

use super::{World, chain, codes, git};

const HELLO: &str = "pkgs/tools/hello/default.nix";
const JQ: &str = "pkgs/tools/jq/default.nix";
const ALL: &str = "pkgs/top-level/all-packages.nix";

fn packaged(version: &str, hash: char) -> String {
    format!(
        "{{ stdenv, fetchurl }}:\n\nstdenv.mkDerivation rec {{\n  pname = \"x\";\n\n\n  # far away\n\n\n  version = \"{version}\";\n  \
         src = fetchurl {{ url = \"https://e.org/x-${{version}}.tar.gz\"; sha256 = \"{}\"; }};\n}}\n",
        hash.to_string().repeat(64)
    )
}

/// Upstream with this version of both packages.
fn upstream(world: &World, version: &str, hash: char, all: &str) -> ObjectId {
    let (hello, jq) = (
        packaged(version, hash),
        packaged(version, if hash == 'a' { 'c' } else { 'd' }),
    );
    let tree = world.tree(&[(HELLO, &hello), (JQ, &jq), (ALL, all)]);
    let path = world.directory.path();
    let commit = git(
        path,
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x",
            "commit-tree",
            "-m",
            "upstream",
            &tree.to_string(),
        ],
    );
    commit.parse().unwrap()
}

fn collection(hello: &str, jq: &str) -> String {
    format!(
        "{{ pkgs }}: with pkgs;\n\n{{\n  hello = callPackage ../tools/hello {{ {hello} }};\n\n\n\n  jq = callPackage ../tools/jq {{ {jq} }};\n}}\n"
    )
}

fn patched(world: &World, upstream: ObjectId, text: &str) -> PatchedCommit {
    let patch = Patch {
        name: "01-fix.patch".parse().unwrap(),
        bytes: text.as_bytes().to_vec(),
    };
    world.repository.patched(upstream, &[patch]).unwrap()
}

/// What changes from one tree to another, with the channel's patches marked.
fn marked(
    world: &World,
    (old, new): (ObjectId, ObjectId),
    before: Option<&PatchedCommit>,
    now: Option<&PatchedCommit>,
) -> BTreeMap<String, UnitChange> {
    let repository = &world.repository;
    let units = |made: Option<&PatchedCommit>| made.map(|made| PatchedUnits::of(repository, chain(), made).unwrap());
    let mut found = changes(repository, chain(), Some(old), new).unwrap();
    mark_patched(
        repository,
        (old, new),
        units(before).as_ref(),
        units(now).as_ref(),
        &mut found,
    )
    .unwrap();
    let named = |change: UnitChange| (change.delta.unit.to_string(), change);
    found.into_iter().map(named).collect()
}

const FIX: &str = "--- a/pkgs/tools/hello/default.nix\n+++ b/pkgs/tools/hello/default.nix\n@@ -1,4 +1,5 @@\n \
                   { stdenv, fetchurl }:\n \n stdenv.mkDerivation rec {\n+  doFix = true;\n   pname = \"x\";\n";

#[test]
fn an_update_of_what_the_channel_patches_is_no_bump() {
    let world = World::new();
    let all = collection("", "");
    let (one, two) = (upstream(&world, "1.2", 'a', &all), upstream(&world, "1.3", 'b', &all));
    let (was, is) = (patched(&world, one, FIX), patched(&world, two, FIX));
    let found = marked(&world, (was.tree(), is.tree()), Some(&was), Some(&is));
    let (hello, jq) = (&found["pkgs/tools/hello"], &found["pkgs/tools/jq"]);
    assert_eq!(hello.class, Class::Edit, "{:?}", hello.no_bump);
    assert!(
        codes(hello).contains(&"channel-patch".to_owned()),
        "{:?}",
        hello.findings
    );
    // Upstream's part of it alone is one; and so is the honest twin beside it, which the channel does not patch.
    let unmarked = marked(&world, (was.tree(), is.tree()), None, None);
    assert_eq!(unmarked["pkgs/tools/hello"].class, Class::Bump);
    assert_eq!(jq.class, Class::Bump, "{:?}", jq.no_bump);
    assert!(!codes(jq).contains(&"channel-patch".to_owned()));
}

#[test]
fn a_patch_that_is_gone_is_said_where_it_was() {
    let world = World::new();
    let all = collection("", "");
    let (one, two) = (upstream(&world, "1.2", 'a', &all), upstream(&world, "1.3", 'b', &all));
    let was = patched(&world, one, FIX);
    let plain = world.repository.commit(two).unwrap().tree;
    let found = marked(&world, (was.tree(), plain), Some(&was), None);
    let hello = &found["pkgs/tools/hello"];
    assert_eq!(hello.class, Class::Edit);
    let gone = hello
        .findings
        .iter()
        .find(|finding| finding.rule.code == "channel-patch");
    assert!(gone.unwrap().what.contains("does so no more"), "{:?}", hello.findings);
    assert_eq!(found["pkgs/tools/jq"].class, Class::Bump);
}

#[test]
fn in_a_collection_the_patched_binding_is_marked_and_the_others_are_where_more_than_bindings_is_patched() {
    let world = World::new();
    let old = upstream(&world, "1.2", 'a', &collection("a = 1;", "a = 1;"));
    let new = upstream(&world, "1.2", 'a', &collection("a = 2;", "a = 2;"));
    let line = |text: &str| {
        format!(
            "-  hello = callPackage ../tools/hello {{ {text} }};\n+  hello = callPackage ../tools/hello {{ {text} fix = true; }};\n"
        )
    };
    let fix = |text: &str| {
        format!(
            "--- a/{ALL}\n+++ b/{ALL}\n@@ -2,5 +2,5 @@\n \n {{\n{} \n \n",
            line(text)
        )
    };
    let (was, is) = (
        patched(&world, old, &fix("a = 1;")),
        patched(&world, new, &fix("a = 2;")),
    );
    let found = marked(&world, (was.tree(), is.tree()), Some(&was), Some(&is));
    let has = |unit: &str| codes(&found[&format!("{ALL}#{unit}")]).contains(&"channel-patch".to_owned());
    assert!(has("hello") && !has("jq"), "{found:?}");
    // A patch of what is no binding may mean anything for all of them.
    let head = format!(
        "--- a/{ALL}\n+++ b/{ALL}\n@@ -1,3 +1,3 @@\n-{{ pkgs }}: with pkgs;\n+{{ pkgs }}: with pkgs; with evil;\n \n {{\n"
    );
    let (was, is) = (patched(&world, old, &head), patched(&world, new, &head));
    let found = marked(&world, (was.tree(), is.tree()), Some(&was), Some(&is));
    let has = |unit: &str| codes(&found[&format!("{ALL}#{unit}")]).contains(&"channel-patch".to_owned());
    assert!(has("hello") && has("jq"), "{found:?}");
}

#[test]
fn the_published_sha_1_collision_is_two_files_with_two_digests() {
    use testkit::shattered::{FIRST, SECOND};
    let world = World::new();
    let path = world.directory.path();
    let blob = |bytes: &[u8]| {
        std::fs::write(path.join("scratch"), bytes).unwrap();
        git(path, &["hash-object", "-w", "scratch"])
            .parse::<ObjectId>()
            .unwrap()
    };
    let (first, second) = (blob(&FIRST), blob(&SECOND));
    // Git's own header before them takes their meaning from the two blocks; what people sign is SHA-256 anyway.
    assert_ne!(first, second);
    let digests = world.repository.blob_digests(&[first, second, first]).unwrap();
    assert_ne!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2], "the honest twin");
}
