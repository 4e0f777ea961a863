//! Opening clones, naming commits, and how they descend from each other.

use std::{fs, path::Path};

use crate::common::{World, id};
use importer::{CommitRange, ObjectError, ObjectId, OpenError, Repository, ResolveError};

#[test]
fn a_path_without_repository_is_named() {
    let world = World::new();
    let nowhere = world.beside("nowhere");
    let refused = Repository::open(&nowhere).unwrap_err();
    assert!(matches!(refused, OpenError::NotFound { .. }));
    assert!(refused.to_string().contains("no such repository"));
    fs::create_dir(&nowhere).unwrap();
    assert!(matches!(Repository::open(&nowhere), Err(OpenError::Unusable { .. })));
    // The repository around a directory is not meant.
    fs::create_dir(world.work_tree().join("inside")).unwrap();
    assert!(matches!(
        Repository::open(&world.work_tree().join("inside")),
        Err(OpenError::Unusable { .. })
    ));
    Repository::open(&world.work_tree()).unwrap();
    Repository::open(&world.work_tree().join(".git")).unwrap();
}

#[test]
fn refuses_a_shallow_clone_and_says_what_to_do() {
    let world = World::new();
    world.commit("one");
    world.commit("two");
    let url = format!("file://{}", world.work_tree().display());
    let shallow = world.beside("shallow");
    world.git(&[
        "clone".as_ref(),
        "--quiet".as_ref(),
        "--depth=1".as_ref(),
        url.as_ref(),
        shallow.as_os_str(),
    ]);
    let refused = Repository::open(&shallow).unwrap_err();
    assert!(matches!(refused, OpenError::Shallow { .. }));
    assert!(refused.to_string().contains("fetch --unshallow"));
    world.git_in(&shallow, &["fetch", "--quiet", "--unshallow"], b"");
    Repository::open(&shallow).unwrap();
}

#[test]
fn a_revision_names_a_commit() {
    let world = World::new();
    let one = world.commit("one");
    let two = world.commit("two");
    world.git(&["tag", "--annotate", "--message", "t", "release", "HEAD^"]);
    let repository = world.open();
    for (revision, commit) in [
        ("HEAD", two),
        ("main", two),
        ("main~1", one),
        ("release", one),
        (&one.to_string(), one),
    ] {
        assert_eq!(repository.resolve(revision).unwrap(), commit, "{revision}");
    }
    for revision in [
        "nothing",
        "HEAD~2",
        "",
        "HEAD^{tree}",
        "--all",
        "main..HEAD",
        &"0".repeat(40),
    ] {
        assert!(
            matches!(repository.resolve(revision), Err(ResolveError::Unknown { .. })),
            "{revision}"
        );
    }
}

#[test]
fn a_commit_has_its_tree_parents_and_time() {
    let world = World::new();
    let one = world.commit("one");
    let two = world.commit("two");
    let commit = world.open().commit(two).unwrap();
    assert_eq!(
        (commit.id, commit.tree, commit.committed),
        (two, world.tree("HEAD"), 1_400_000_000)
    );
    assert_eq!(commit.parents, [one]);
    assert!(matches!(
        world.open().commit(world.tree("HEAD")),
        Err(ObjectError::Kind { .. })
    ));
}

/// A commit of the empty tree with these parents, at this time.
fn commit(world: &World, parents: &[ObjectId], seconds: i64) -> ObjectId {
    let parents: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
    let tree = world.raw_tree(b"");
    let who = format!("Somebody <somebody@example.org> {seconds} +0000");
    let text = format!("tree {tree}\n{parents}author {who}\ncommitter {who}\n\n{seconds}\n");
    id(&world.git_in(
        &world.work_tree(),
        &["hash-object", "-t", "commit", "-w", "--stdin"],
        text.as_bytes(),
    ))
}

#[test]
fn counts_as_git_counts() {
    let world = World::new();
    let base = commit(&world, &[], 1000);
    let side = (1..=5).fold(base, |parent, step| commit(&world, &[parent], 1000 + step));
    let main = (1..=3).fold(base, |parent, step| commit(&world, &[parent], 2000 + step));
    let merge = commit(&world, &[main, side], 3000);
    let octopus = commit(&world, &[merge, base, side], 3001);
    let repository = world.open();
    for (from, to) in [
        (base, octopus),
        (side, octopus),
        (main, merge),
        (octopus, base),
        (main, side),
        (merge, merge),
    ] {
        let count = |options: &[&str]| -> u64 {
            let range = format!("{from}..{to}");
            world
                .git(&[&["rev-list", "--count"], options, &[range.as_str()]].concat())
                .parse()
                .unwrap()
        };
        let expected = CommitRange {
            commits: count(&[]),
            first_parents: count(&["--first-parent"]),
        };
        assert_eq!(repository.commit_range(from, to).unwrap(), expected, "{from}..{to}");
    }
    let all = repository.commit_range(base, octopus).unwrap();
    assert_eq!(
        all,
        CommitRange {
            commits: 10,
            first_parents: 5
        }
    );
}

#[test]
fn ancestry_does_not_depend_on_clocks() {
    let world = World::new();
    let root = commit(&world, &[], 4_000_000_000);
    let early = commit(&world, &[root], 1);
    let late = commit(&world, &[early], 3_000_000_000);
    let tip = commit(&world, &[late], 2);
    let other = commit(&world, &[root], 3);
    let unrelated = commit(&world, &[], 2);
    let repository = world.open();
    let is_ancestor = |a, b| repository.is_ancestor(a, b).unwrap();
    assert!(is_ancestor(root, tip) && is_ancestor(early, tip) && is_ancestor(late, tip) && is_ancestor(tip, tip));
    assert!(!is_ancestor(tip, root) && !is_ancestor(other, tip) && !is_ancestor(tip, other));
    assert!(!is_ancestor(unrelated, tip) && !is_ancestor(tip, unrelated));
}

#[test]
fn ancestry_of_a_commit_that_is_not_there_is_an_error() {
    let world = World::new();
    let here = world.commit("one");
    let gone = id(&"1".repeat(40));
    let repository = world.open();
    assert!(matches!(repository.is_ancestor(gone, here), Err(ObjectError::Missing { id, .. }) if id == gone));
    assert!(matches!(repository.is_ancestor(here, gone), Err(ObjectError::Missing { id, .. }) if id == gone));
    assert!(matches!(repository.commit_range(gone, here), Err(ObjectError::Missing { id, .. }) if id == gone));
}

/// With a real nixpkgs: `TOUCHSTONE_NIXPKGS=<git dir>`.
#[test]
fn a_real_history_is_counted_as_git_counts() {
    let Some(git_dir) = std::env::var_os("TOUCHSTONE_NIXPKGS") else {
        println!("skipped: TOUCHSTONE_NIXPKGS is not set");
        return;
    };
    let world = World::new();
    let git = |arguments: &[&str]| world.git_in(Path::new(&git_dir), arguments, b"");
    let repository = Repository::open(Path::new(&git_dir)).unwrap();
    let (from, to) = (
        repository.resolve("HEAD~300").unwrap(),
        repository.resolve("HEAD").unwrap(),
    );
    let commits = git(&["rev-list", "--count", &format!("{from}..{to}")]).parse().unwrap();
    assert_eq!(
        repository.commit_range(from, to).unwrap(),
        CommitRange {
            commits,
            first_parents: 300
        }
    );

    let trees = [from, to].map(|id| repository.commit(id).unwrap().tree);
    let ours = repository.change_set(trees[0], trees[1]).unwrap();
    let theirs = git(&[
        "diff-tree",
        "-r",
        "-z",
        "--no-renames",
        "--name-only",
        &format!("{from}^{{tree}}"),
        &format!("{to}^{{tree}}"),
    ]);
    let mut theirs: Vec<_> = theirs.split_terminator('\0').collect();
    theirs.sort_unstable();
    let ours: Vec<_> = ours.changes().iter().map(|change| change.path.as_str()).collect();
    assert_eq!(ours, theirs);
}
