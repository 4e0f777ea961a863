//! Patches made from git trees, applied by the code of a subscriber.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use channel::patch::{Side, Tree, make};
use importer::{Extra, ObjectId, Repository};
use install::{
    Limits,
    patch::{PatchError, Share, apply},
};
use nixstore::nar::hash_directory;
use proptest::prelude::*;
use tempfile::TempDir;

/// What a path of a tree is.
#[derive(Debug, Clone, PartialEq)]
enum Leaf {
    File(String),
    Program(String),
    Link(String),
}

type Leaves = BTreeMap<String, Leaf>;

fn file(text: &str) -> Leaf {
    Leaf::File(text.to_owned())
}

fn leaves(all: &[(&str, Leaf)]) -> Leaves {
    all.iter()
        .map(|(path, leaf)| ((*path).to_owned(), leaf.clone()))
        .collect()
}

struct World {
    directory: TempDir,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        git(directory.path(), &["init", "--quiet"]);
        let repository = Repository::open(directory.path()).unwrap();
        Self { directory, repository }
    }

    fn tree(&self, leaves: &Leaves) -> ObjectId {
        for entry in fs::read_dir(self.directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with(".git") {
                continue;
            }
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
        write(self.directory.path(), leaves);
        git(self.directory.path(), &["add", "--all"]);
        ObjectId::from_hex(git(self.directory.path(), &["write-tree"]).trim().as_bytes()).unwrap()
    }

    fn patch(&self, old: &Leaves, new: &Leaves) -> Vec<u8> {
        let read = |leaves: &Leaves, extras: &[Extra]| {
            let tree = self.tree(leaves);
            Tree::read(&self.repository, Side { tree, extras }).unwrap()
        };
        let (old, new) = (read(old, &extras("1")), read(new, &extras("2")));
        make(&self.repository, &old, &new).unwrap().unwrap()
    }
}

fn extras(revision: &str) -> [Extra; 2] {
    [
        Extra::file(".git-revision", revision).unwrap(),
        Extra::symlink("nixpkgs", ".").unwrap(),
    ]
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "core.autocrlf=false"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn write(directory: &Path, leaves: &Leaves) {
    for (path, leaf) in leaves {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match leaf {
            Leaf::File(text) => fs::write(&path, text).unwrap(),
            Leaf::Program(text) => {
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            Leaf::Link(target) => symlink(target, &path).unwrap(),
        }
    }
}

/// An unpacked channel of these leaves.
fn unpacked(leaves: &Leaves, revision: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path().join("nixexprs");
    fs::create_dir(&top).unwrap();
    let mut all = leaves.clone();
    all.insert(".git-revision".to_owned(), file(revision));
    all.insert("nixpkgs".to_owned(), Leaf::Link(".".to_owned()));
    write(&top, &all);
    directory
}

/// Applies a patch to the old tree; the new one, and where it is.
fn applied(old: &TempDir, patch: &[u8], share: Share) -> Result<TempDir, PatchError> {
    let directory = tempfile::tempdir_in(old.path()).unwrap();
    let into = directory.path().join("nixexprs");
    apply(&old.path().join("nixexprs"), patch, &into, share, Limits::default())?;
    Ok(directory)
}

fn assert_leads(world: &World, old: &Leaves, new: &Leaves) {
    let patch = world.patch(old, new);
    let (before, expected) = (unpacked(old, "1"), unpacked(new, "2"));
    let expected = hash_directory(&expected.path().join("nixexprs")).unwrap();
    for share in [Share::Links, Share::Nothing] {
        let after = applied(&before, &patch, share).unwrap();
        assert_eq!(hash_directory(&after.path().join("nixexprs")).unwrap(), expected);
    }
}

#[test]
fn leads_to_exactly_the_new_tree() {
    let world = World::new();
    let old = leaves(&[
        ("default.nix", file("1")),
        ("gone/a", file("a")),
        ("gone/deep/b", Leaf::Program("b".to_owned())),
        ("dir-becomes-file/x", file("x")),
        ("file-becomes-dir", file("y")),
        ("file-becomes-link", file("z")),
        ("mode", file("m")),
        ("same/one", file("same")),
        ("same.a", file("sorts between")),
        ("link", Leaf::Link("same/one".to_owned())),
    ]);
    let new = leaves(&[
        ("default.nix", file("2")),
        ("dir-becomes-file", file("now a file")),
        ("file-becomes-dir/inside/c", file("c")),
        ("file-becomes-link", Leaf::Link("same".to_owned())),
        ("mode", Leaf::Program("m".to_owned())),
        ("same/one", file("same")),
        ("same/empty", file("")),
        ("same.a", file("sorts between")),
        ("link", Leaf::Link("same.a".to_owned())),
    ]);
    for (from, to) in [
        (&old, &new),
        (&new, &old),
        (&old, &old),
        (&Leaves::new(), &new),
        (&new, &Leaves::new()),
    ] {
        assert_leads(&world, from, to);
    }
}

#[test]
fn the_same_trees_give_the_same_bytes_and_few_of_them() {
    let (one, other) = (World::new(), World::new());
    let text = |at: usize| {
        (0..200)
            .map(|line| format!("line {line} of {at}\n"))
            .collect::<String>()
    };
    let mut old: Leaves = (0..50)
        .map(|at| (format!("pkgs/{at}.nix"), Leaf::File(text(at))))
        .collect();
    let before = old.clone();
    old.insert("pkgs/7.nix".to_owned(), Leaf::File(text(7) + "one line more\n"));
    let patch = one.patch(&before, &old);
    assert_eq!(patch, other.patch(&before, &old));
    assert!(patch.len() < 300, "{} bytes", patch.len());
}

#[test]
fn unchanged_files_are_shared_unless_asked_otherwise_or_others_may_write_them() {
    use std::os::unix::fs::MetadataExt as _;
    let world = World::new();
    let old = leaves(&[("a", file("a")), ("b", file("b")), ("c", file("c"))]);
    let mut new = old.clone();
    new.insert("c".to_owned(), file("changed"));
    let patch = world.patch(&old, &new);
    let before = unpacked(&old, "1");
    let open = before.path().join("nixexprs/b");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666)).unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let shared = |after: &TempDir, name: &str| {
        inode(&after.path().join("nixexprs").join(name)) == inode(&before.path().join("nixexprs").join(name))
    };
    let after = applied(&before, &patch, Share::Links).unwrap();
    assert!(shared(&after, "a"));
    assert!(!shared(&after, "b"), "a file that anybody can write to was shared");
    assert!(!shared(&after, "c"));
    let apart = applied(&before, &patch, Share::Nothing).unwrap();
    assert!(!shared(&apart, "a"));
    let mode = |path: &str| fs::metadata(after.path().join("nixexprs").join(path)).unwrap().mode() & 0o777;
    assert_eq!(
        (mode("b"), mode("c")),
        (0o444, 0o444),
        "installed files have no write bit"
    );
}

#[test]
fn never_leads_elsewhere_from_a_tree_that_somebody_touched() {
    let world = World::new();
    let old = leaves(&[
        ("a/x", file("x")),
        ("b", file("long enough to be referred to, again and again")),
    ]);
    let new = leaves(&[
        ("a/x", file("x")),
        ("b", file("long enough to be referred to, again and again!")),
    ]);
    let patch = world.patch(&old, &new);
    let expected = hash_directory(&unpacked(&new, "2").path().join("nixexprs")).unwrap();
    type Touch = fn(&Path);
    let touches: [(&str, Touch); 6] = [
        ("an unchanged file", |top| fs::write(top.join("a/x"), "evil").unwrap()),
        ("a file that changes", |top| fs::write(top.join("b"), "evil").unwrap()),
        ("one file more", |top| fs::write(top.join("a/more"), "evil").unwrap()),
        ("one file less", |top| fs::remove_file(top.join("a/x")).unwrap()),
        ("a link out", |top| symlink("/etc/passwd", top.join("a/out")).unwrap()),
        ("a pipe", |top| {
            assert!(
                Command::new("mkfifo")
                    .arg(top.join("a/pipe"))
                    .status()
                    .unwrap()
                    .success()
            );
        }),
    ];
    for (what, touch) in touches {
        let before = unpacked(&old, "1");
        touch(&before.path().join("nixexprs"));
        match applied(&before, &patch, Share::Links) {
            Err(_) => {}
            Ok(after) => assert_ne!(
                hash_directory(&after.path().join("nixexprs")).unwrap(),
                expected,
                "{what}"
            ),
        }
    }
}

fn any_leaves() -> impl Strategy<Value = Leaves> {
    let name = prop::sample::select(vec!["a", "b", "a.b", "a-", "c"]);
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    let leaf = prop_oneof![
        "[a-z]{0,40}".prop_map(Leaf::File),
        "[a-z]{0,3}".prop_map(Leaf::Program),
        Just(Leaf::Link("target".to_owned())),
    ];
    prop::collection::vec((path, leaf), 0..12).prop_map(|all| {
        let mut leaves = Leaves::new();
        for (path, leaf) in all {
            let clashes =
                |other: &String| other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"));
            if !leaves.keys().any(clashes) {
                leaves.insert(path, leaf);
            }
        }
        leaves
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_tree_leads_to_every_other(old in any_leaves(), new in any_leaves()) {
        assert_leads(&World::new(), &old, &new);
    }
}
