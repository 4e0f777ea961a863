//! NAR digests of git trees, held against checkouts and against the real Nix.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{World, entry, id};
use importer::{Extra, NarError, Repository, VisitError};
use nixstore::nar;

fn channel_extras() -> Vec<Extra> {
    vec![
        Extra::symlink("nixpkgs", ".").unwrap(),
        Extra::file(".version-suffix", "pre1234.c61a892").unwrap(),
        Extra::file(".git-revision", "c61a892f1d").unwrap(),
    ]
}

/// Adds the same to a checkout.
fn add_channel_extras(checkout: &Path) {
    symlink(".", checkout.join("nixpkgs")).unwrap();
    fs::write(checkout.join(".version-suffix"), "pre1234.c61a892").unwrap();
    fs::write(checkout.join(".git-revision"), "c61a892f1d").unwrap();
}

/// What `nix hash path` says of a directory; `None`, and a line that says so, where Nix is not installed.
fn nix_hash_path(path: &Path) -> Option<String> {
    let mut nix = Command::new("nix");
    nix.args([
        "--extra-experimental-features",
        "nix-command",
        "hash",
        "path",
        "--base16",
    ])
    .arg(path);
    let Ok(output) = nix.output() else {
        println!("skipped: nix is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
}

/// Checks a tree out as `git archive` gives it.
fn checkout(world: &World, git_dir: &Path, revision: &str, name: &str) -> PathBuf {
    let (directory, archive) = (world.beside(name), world.beside("archive.tar"));
    fs::create_dir(&directory).unwrap();
    world.git_in(
        git_dir,
        &[
            "archive".as_ref(),
            "--output".as_ref(),
            archive.as_os_str(),
            revision.as_ref(),
        ],
        b"",
    );
    let status = Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(&directory)
        .status()
        .unwrap();
    assert!(status.success());
    directory
}

/// A tree in which git's order, NAR's order and the order of whole paths all differ.
fn world() -> World {
    let world = World::new();
    for path in [
        "a/z",
        "a-b",
        "a.b",
        "a0",
        "a/b/c",
        "a/b-c",
        "a/b.c",
        ".a",
        "nixos/x",
        "nixpkg",
        "nixpkgs-fmt",
    ] {
        world.write(path, path.repeat(100));
    }
    for number in 0..300 {
        world.write(&format!("many/{number}/default.nix"), number.to_string().repeat(number));
    }
    world.write("big", vec![b'x'; 3_000_000]);
    world.write("empty", "");
    world.write("run", "#!/bin/sh");
    fs::set_permissions(world.work_tree().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    world.link("link", "a//b/../nowhere");
    world.commit("files");
    let head = world.git(&["rev-parse", "HEAD"]);
    world.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},a.sub")]);
    world.git(&["commit", "--quiet", "--message", "submodule"]);
    world.git(&["gc", "--quiet"]);
    world
}

#[test]
fn a_tree_has_the_digest_of_its_checkout() {
    let world = world();
    let repository = world.open();
    let tree = world.tree("HEAD");
    let directory = checkout(&world, &world.work_tree(), "HEAD", "checkout");
    let digest = repository.tree_nar(tree, &[]).unwrap();
    assert_eq!(digest, nar::hash_directory(&directory).unwrap());
    if let Some(nix) = nix_hash_path(&directory) {
        assert_eq!(digest.sha256.to_string(), nix);
    }

    add_channel_extras(&directory);
    let with_extras = repository.tree_nar(tree, &channel_extras()).unwrap();
    assert_eq!(with_extras, nar::hash_directory(&directory).unwrap());
    if let Some(nix) = nix_hash_path(&directory) {
        assert_eq!(with_extras.sha256.to_string(), nix);
    }
    assert_ne!(with_extras, digest);
}

#[test]
fn the_empty_tree_and_extras_alone_have_digests() {
    let world = World::new();
    let repository = world.open();
    let empty = world.raw_tree(b"");
    let directory = world.beside("empty");
    fs::create_dir(&directory).unwrap();
    assert_eq!(
        repository.tree_nar(empty, &[]).unwrap(),
        nar::hash_directory(&directory).unwrap()
    );
    add_channel_extras(&directory);
    assert_eq!(
        repository.tree_nar(empty, &channel_extras()).unwrap(),
        nar::hash_directory(&directory).unwrap()
    );
}

#[test]
fn refuses_an_extra_whose_name_is_taken() {
    let world = world();
    let repository = world.open();
    let tree = world.tree("HEAD");
    for taken in ["run", "a", "link", "a.sub"] {
        let refused = repository.tree_nar(tree, &[Extra::file(taken, "").unwrap()]);
        assert!(
            matches!(refused, Err(VisitError::Collision { ref name }) if name.as_str() == taken),
            "{taken}"
        );
    }
    let twice = [Extra::file("new", "").unwrap(), Extra::symlink("new", ".").unwrap()];
    assert!(matches!(
        repository.tree_nar(tree, &twice),
        Err(VisitError::Collision { .. })
    ));
    repository.tree_nar(tree, &twice[..1]).unwrap();
}

#[test]
fn refuses_an_extra_that_is_not_at_the_top() {
    for name in ["a/b", "..", "", ".git", "a\nb"] {
        assert!(Extra::file(name, "").is_err(), "{name:?}");
        assert!(Extra::symlink(name, ".").is_err(), "{name:?}");
    }
}

#[test]
fn refuses_a_symlink_to_nothing() {
    let world = World::new();
    let with = |target: &[u8]| world.raw_tree(&entry("120000", b"link", world.blob(target)));
    let repository = world.open();
    let refused = repository.tree_nar(with(b""), &[]);
    assert!(
        matches!(refused, Err(NarError::Visitor(nar::NarError::Target { .. }))),
        "{refused:?}"
    );
    assert!(repository.tree_nar(with(b"a\0b"), &[]).is_err());
    repository.tree_nar(with(b"\xff"), &[]).unwrap();
}

#[test]
fn attributes_have_no_effect() {
    let world = World::new();
    world.write(
        ".gitattributes",
        "ignored export-ignore\nsubst export-subst\n*.txt text eol=crlf\n",
    );
    world.write("ignored", "");
    world.write("subst", "$Format:%H$");
    world.write("a.txt", "a\n");
    world.commit("attributes");
    let directory = world.beside("raw");
    fs::create_dir(&directory).unwrap();
    for (name, contents) in [
        (
            ".gitattributes",
            "ignored export-ignore\nsubst export-subst\n*.txt text eol=crlf\n",
        ),
        ("ignored", ""),
        ("subst", "$Format:%H$"),
        ("a.txt", "a\n"),
    ] {
        fs::write(directory.join(name), contents).unwrap();
    }
    let digest = world.open().tree_nar(world.tree("HEAD"), &[]).unwrap();
    assert_eq!(digest, nar::hash_directory(&directory).unwrap());
}

#[test]
fn a_replacement_ref_changes_nothing() {
    let world = World::new();
    world.write("a", "honest");
    world.commit("honest");
    let honest = id(&world.git(&["rev-parse", "HEAD:a"]));
    let before = world.open().tree_nar(world.tree("HEAD"), &[]).unwrap();
    world.git(&["replace", &honest.to_string(), &world.blob(b"hostile").to_string()]);
    assert_eq!(world.git(&["show", "HEAD:a"]), "hostile");
    assert_eq!(world.open().tree_nar(world.tree("HEAD"), &[]).unwrap(), before);
    assert_eq!(world.open().blob(honest).unwrap(), b"honest");
}

/// With a real nixpkgs: `TOUCHSTONE_NIXPKGS=<git dir>`.
#[test]
fn a_real_nixpkgs_has_the_digest_of_its_checkout() {
    let Some(git_dir) = std::env::var_os("TOUCHSTONE_NIXPKGS").map(PathBuf::from) else {
        println!("skipped: TOUCHSTONE_NIXPKGS is not set");
        return;
    };
    let world = World::new();
    let repository = Repository::open(&git_dir).unwrap();
    let head = repository.commit(repository.resolve("HEAD").unwrap()).unwrap();
    let directory = checkout(&world, &git_dir, &head.id.to_string(), "nixpkgs");
    add_channel_extras(&directory);
    let digest = repository.tree_nar(head.tree, &channel_extras()).unwrap();
    assert_eq!(digest, nar::hash_directory(&directory).unwrap());
    if let Some(nix) = nix_hash_path(&directory) {
        assert_eq!(digest.sha256.to_string(), nix);
    }
}
