//! Patches on top of upstream: one commit id for everybody, and nothing but a change of the tree.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use importer::{FileMode, Patch, PatchError, PatchedCommit};

use crate::common::World;

fn named(name: &str, text: impl Into<Vec<u8>>) -> Patch {
    Patch {
        name: name.parse().unwrap(),
        bytes: text.into(),
    }
}

fn patch(name: &str, from: &str, to: &str) -> Patch {
    named(name, format!("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-{from}\n+{to}\n"))
}

fn world() -> World {
    let world = World::new();
    world.write("file", "one\n");
    world.write("other", "x\r\n");
    world.write("deep/a", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n");
    world.commit("upstream");
    world
}

fn apply(world: &World, patches: &[Patch]) -> Result<PatchedCommit, PatchError> {
    let repository = world.open();
    let upstream = repository.resolve("HEAD").unwrap();
    repository.patched(upstream, patches)
}

/// The mode and the object of a path in the patched tree.
fn entry(world: &World, made: &PatchedCommit, path: &str) -> Option<FileMode> {
    let listing = world.open().listing(made.tree()).unwrap();
    listing.get(path).map(|file| file.mode)
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
                ("core.splitIndex", "true"),
                ("commit.gpgSign", "true"),
                ("core.whitespace", "cr-at-eol"),
                ("i18n.commitEncoding", "latin1"),
                ("apply.whitespace", "fix"),
                ("apply.ignoreWhitespace", "change"),
                ("core.fsmonitor", "/bin/false"),
            ] {
                world.git(&["config", key, value]);
            }
            let info = world.work_tree().join(".git/info/attributes");
            fs::write(info, "* text eol=crlf ident filter=x whitespace=fix\n").unwrap();
            world.write("file", "in the work tree\n");
            world.git(&["add", "file"]);
        }
        let index = fs::read(world.work_tree().join(".git/index")).unwrap();
        let repository = world.open();
        let upstream = repository.resolve("HEAD").unwrap();
        let commit = repository.patched(upstream, &patches).unwrap();
        let read = repository.commit(commit.id).unwrap();
        assert_eq!(read.parents, [upstream]);
        assert_eq!(read.tree, commit.tree());
        assert_eq!(read.committed, repository.commit(upstream).unwrap().committed);
        assert_eq!(world.git(&["show", &format!("{}:file", commit.id)]), "three");
        assert_eq!(index, fs::read(world.work_tree().join(".git/index")).unwrap());
        assert!(repository.has_patched(commit.id));
        made.push(commit);
    }
    assert_eq!(made[0], made[1]);
    assert_eq!(made[0].steps.len(), 2);
    // A constant: the same on another day, machine and version of this program.
    assert_eq!(made[0].id.to_string(), EXPECTED);
}

/// What [`everybody_gets_the_same_commit`] makes.
const EXPECTED: &str = "d886169234048255e0375706c127e8a2437d2e50";

#[test]
fn neither_garbage_collection_nor_a_second_time_changes_anything() {
    let world = world();
    let first = apply(&world, &[patch("a.patch", "one", "two")]).unwrap();
    world.git(&["gc", "--quiet", "--prune=now"]);
    assert!(world.open().has_patched(first.id), "a ref keeps it");
    assert_eq!(apply(&world, &[patch("a.patch", "one", "two")]).unwrap(), first);
    let renamed = apply(&world, &[patch("b.patch", "one", "two")]).unwrap();
    assert_eq!(renamed.tree(), first.tree());
    assert_ne!(renamed.id, first.id, "the names are part of what people sign");
}

#[test]
fn a_patch_that_does_not_apply_is_named_with_file_and_hunk() {
    let world = world();
    let repository = world.open();
    let upstream = repository.resolve("HEAD").unwrap();
    let two = "--- a/deep/a\n+++ b/deep/a\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n@@ -9,4 +9,4 @@\n i\n-j\n+J\n-K\n+k\n l\n";
    let patches = [patch("good.patch", "one", "two"), named("stale.patch", two)];
    match repository.patched(upstream, &patches).unwrap_err() {
        PatchError::DoesNotApply {
            name, commit, place, ..
        } => {
            assert_eq!((name.as_str(), commit), ("stale.patch", upstream));
            let place = place.unwrap();
            assert_eq!(
                (place.file.as_str(), place.hunk, place.line),
                ("deep/a", Some(2), Some(9))
            );
        }
        other => panic!("{other}"),
    }
    let gone = named("gone.patch", "--- a/gone\n+++ b/gone\n@@ -1 +1 @@\n-x\n+y\n");
    match repository.patched(upstream, &[gone]).unwrap_err() {
        PatchError::DoesNotApply { place, .. } => assert_eq!(place.unwrap().to_string(), "gone"),
        other => panic!("{other}"),
    }
    let nonsense = named("nonsense.patch", "hello\n");
    assert!(matches!(
        repository.patched(upstream, &[nonsense]).unwrap_err(),
        PatchError::DoesNotApply { place: None, .. }
    ));
}

#[test]
fn a_patch_cannot_leave_the_tree() {
    let world = world();
    for target in [
        "../out",
        "deep/../../out",
        ".git/hooks/post-checkout",
        "deep/.GIT/config",
        "deep/git~1/config",
        "deep/.gi\u{200c}t/config",
    ] {
        let text = format!(
            "diff --git a/{target} b/{target}\nnew file mode 100644\n--- /dev/null\n+++ b/{target}\n@@ -0,0 +1 @@\n+x\n"
        );
        let refused = apply(&world, &[named("x.patch", text)]).unwrap_err();
        assert!(matches!(refused, PatchError::Leaves { .. }), "{target}: {refused}");
    }
    // Git strips one component, so this is a file of the tree.
    let text = "--- /dev/null\n+++ /etc/x\n@@ -0,0 +1 @@\n+x\n";
    let made = apply(&world, &[named("x.patch", text)]).unwrap();
    assert!(entry(&world, &made, "etc/x").is_some());
    assert!(!world.beside("out").exists());
    assert!(!world.work_tree().join(".git/hooks/post-checkout").exists());
}

#[test]
fn a_patch_cannot_write_through_a_symbolic_link() {
    let world = world();
    let outside = world.beside("outside");
    fs::create_dir(&outside).unwrap();
    let link = format!(
        "diff --git a/link b/link\nnew file mode 120000\n--- /dev/null\n+++ b/link\n@@ -0,0 +1 @@\n+{}\n\\ No newline at end of file\n",
        outside.display()
    );
    let through =
        "diff --git a/link/x b/link/x\nnew file mode 100644\n--- /dev/null\n+++ b/link/x\n@@ -0,0 +1 @@\n+x\n";
    for patches in [
        vec![named("1.patch", link.clone()), named("2.patch", through)],
        vec![named("1.patch", link.clone() + through)],
    ] {
        let refused = apply(&world, &patches).unwrap_err();
        assert!(matches!(refused, PatchError::Leaves { .. }), "{refused}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    // The honest twin: a link is a file of the tree, which people review as one.
    let made = apply(&world, &[named("1.patch", link)]).unwrap();
    assert_eq!(entry(&world, &made, "link"), Some(FileMode::Symlink));
}

#[test]
fn what_nobody_can_read_is_refused() {
    let world = world();
    fs::write(world.work_tree().join("file"), b"\0binary").unwrap();
    let encoded = world.git(&["diff", "--binary"]) + "\n";
    assert!(encoded.contains("GIT binary patch"));
    let refused = apply(&world, &[named("x.patch", encoded)]).unwrap_err();
    assert!(matches!(refused, PatchError::Binary { line: 3, .. }), "{refused}");
    // Git would take the blob from whoever has it: one signer's clone does, another's does not.
    world.git(&["hash-object", "-w", "file"]);
    let mentioned = world.git(&["diff", "--full-index"]) + "\n";
    assert!(mentioned.ends_with(" differ\n"));
    let refused = apply(&world, &[named("x.patch", mentioned)]).unwrap_err();
    assert!(matches!(refused, PatchError::Binary { .. }), "{refused}");
}

#[test]
fn modes_and_renames_are_what_the_patch_says_under_any_umask() {
    let text = "diff --git a/file b/file\nold mode 100644\nnew mode 100755\n\
                diff --git a/deep/a b/moved/b\nsimilarity index 100%\nrename from deep/a\nrename to moved/b\n";
    let mut ids = Vec::new();
    for (umask, zone) in [
        ("0022", "UTC"),
        ("0077", "Pacific/Kiritimati"),
        ("0000", "America/St_Johns"),
    ] {
        let world = world();
        // A file mode that the clone pretends not to see.
        world.git(&["config", "core.fileMode", "false"]);
        let from = world.work_tree().join("mode.patch");
        fs::write(&from, text).unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o755)).unwrap();
        // In a process of its own: umask and zone are a process's.
        let made = Command::new("sh")
            .args([
                "-c",
                "umask $1; export TZ=$2; exec \"$0\" --exact patch::apply_in_another_process --nocapture",
            ])
            .arg(std::env::current_exe().unwrap())
            .args([umask, zone])
            .env("PATCH_TEST_CLONE", world.work_tree())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&made.stdout).into_owned();
        let id = printed.split("made ").nth(1).unwrap_or_else(|| panic!("{printed}"));
        ids.push(id.split_whitespace().next().unwrap().to_owned());
        let tree = world.git(&["ls-tree", "-r", &ids[0]]);
        assert!(
            tree.contains("100755 blob") && tree.contains("moved/b") && !tree.contains("deep/a"),
            "{tree}"
        );
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

/// No test of its own: what [`modes_and_renames_are_what_the_patch_says_under_any_umask`] runs elsewhere.
#[test]
fn apply_in_another_process() {
    let Some(clone) = std::env::var_os("PATCH_TEST_CLONE") else {
        return;
    };
    let repository = importer::Repository::open(clone.as_ref()).unwrap();
    let upstream = repository.resolve("HEAD").unwrap();
    let text = fs::read(std::path::Path::new(&clone).join("mode.patch")).unwrap();
    let made = repository.patched(upstream, &[named("mode.patch", text)]).unwrap();
    println!("made {} ", made.id);
}

#[test]
fn a_patch_that_changes_nothing_is_named_and_so_is_a_name_twice() {
    let world = world();
    let twice = [patch("a.patch", "one", "two"), patch("a.patch", "two", "three")];
    assert!(matches!(apply(&world, &twice).unwrap_err(), PatchError::Twice { .. }));
    assert!(matches!(apply(&world, &[]).unwrap_err(), PatchError::Nothing));
    let idle = "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-one\n+one\n";
    let refused = apply(&world, &[named("idle.patch", idle)]).unwrap_err();
    assert!(matches!(refused, PatchError::Idle { .. }), "{refused}");
}

/// What docs/formats.md tells people to type, in a plain clone.
#[test]
fn the_recipe_in_the_docs_makes_the_same_commit() {
    let world = world();
    let patches = [patch("02-b.patch", "two", "three"), patch("01-a.patch", "one", "two")];
    let made = apply(&world, &patches).unwrap();
    for patch in &patches {
        world.write(patch.name.as_str(), &patch.bytes);
    }
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md");
    let docs = fs::read_to_string(docs).unwrap();
    let (_, after) = docs
        .split_once("with the patches under their names:\n\n```sh\n")
        .unwrap();
    let (recipe, _) = after.split_once("```").unwrap();
    let output = Command::new("bash")
        .args(["-ec", recipe])
        .current_dir(world.work_tree())
        .env("UPSTREAM", "HEAD")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(printed.trim(), made.id.to_string(), "{said}");
}
