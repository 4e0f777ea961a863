//! Patches on top of upstream: one commit id for everybody.

use std::fs;

use importer::{Patch, PatchError};

use crate::common::World;

fn patch(name: &str, from: &str, to: &str) -> Patch {
    let text = format!("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-{from}\n+{to}\n");
    Patch {
        name: name.to_owned(),
        bytes: text.into_bytes(),
    }
}

fn world() -> World {
    let world = World::new();
    world.write("file", "one\n");
    world.write("other", "x\r\n");
    world.commit("upstream");
    world
}

#[test]
fn everybody_gets_the_same_commit() {
    let patches = [patch("02-b.patch", "two", "three"), patch("01-a.patch", "one", "two")];
    let mut made = Vec::new();
    for configured in [false, true] {
        let world = world();
        if configured {
            for (key, value) in [
                ("user.name", "Mallory"),
                ("core.autocrlf", "true"),
                ("commit.gpgSign", "true"),
                ("core.whitespace", "cr-at-eol"),
                ("i18n.commitEncoding", "latin1"),
                ("apply.whitespace", "fix"),
            ] {
                world.git(&["config", key, value]);
            }
            world.write("file", "in the work tree\n");
            world.git(&["add", "file"]);
        }
        let index = fs::read(world.work_tree().join(".git/index")).unwrap();
        let repository = world.open();
        let upstream = repository.resolve("HEAD").unwrap();
        let commit = repository.patched(upstream, &patches).unwrap();
        let read = repository.commit(commit).unwrap();
        assert_eq!(read.parents, [upstream]);
        assert_eq!(read.committed, repository.commit(upstream).unwrap().committed);
        assert_eq!(world.git(&["show", &format!("{commit}:file")]), "three");
        assert_eq!(index, fs::read(world.work_tree().join(".git/index")).unwrap());
        made.push(commit);
    }
    assert_eq!(made[0], made[1]);
}

#[test]
fn without_patches_it_is_upstream_itself() {
    let world = world();
    let repository = world.open();
    let upstream = repository.resolve("HEAD").unwrap();
    assert_eq!(repository.patched(upstream, &[]).unwrap(), upstream);
}

#[test]
fn a_patch_that_does_not_apply_is_named() {
    let world = world();
    let repository = world.open();
    let upstream = repository.resolve("HEAD").unwrap();
    let patches = [patch("good.patch", "one", "two"), patch("stale.patch", "one", "three")];
    match repository.patched(upstream, &patches).unwrap_err() {
        PatchError::DoesNotApply { name, commit, .. } => assert_eq!((name.as_str(), commit), ("stale.patch", upstream)),
        other => panic!("{other}"),
    }
}

#[test]
fn a_patch_cannot_leave_the_tree() {
    let world = world();
    let repository = world.open();
    let upstream = repository.resolve("HEAD").unwrap();
    for target in ["../out", ".git/hooks/post-checkout", "/etc/x"] {
        let text = format!("--- /dev/null\n+++ b/{target}\n@@ -0,0 +1 @@\n+x\n");
        let patch = Patch {
            name: "x.patch".to_owned(),
            bytes: text.into_bytes(),
        };
        let outcome = repository.patched(upstream, &[patch]);
        // Git strips a leading slash; whatever it makes of it stays in the tree.
        if let Ok(commit) = outcome {
            let tree = repository.commit(commit).unwrap().tree;
            repository.listing(tree).unwrap();
        }
        assert!(!world.beside("out").exists());
        assert!(!world.work_tree().join(".git/hooks/post-checkout").exists());
    }
}

#[test]
fn names_decide_the_order_and_are_distinct() {
    let world = world();
    let repository = world.open();
    let upstream = repository.resolve("HEAD").unwrap();
    let twice = [patch("a", "one", "two"), patch("a", "two", "three")];
    assert!(matches!(
        repository.patched(upstream, &twice).unwrap_err(),
        PatchError::Twice { .. }
    ));
    assert!(matches!(
        repository
            .patched(upstream, &[patch("a\nparent x", "one", "two")])
            .unwrap_err(),
        PatchError::Name { .. }
    ));
}
