//! Merges that hold what their parents give, and those that hold more.

use crate::common::World;

/// `main` and `side`, which changed different files, and one file in different places; the work tree is on main.
fn forked() -> World {
    let world = World::new();
    let lines: String = (0..40).map(|line| format!("line {line}\n")).collect();
    world.write("both", &lines);
    world.write("ours", "1");
    world.write("theirs", "1");
    world.write("untouched", "1");
    world.commit("base");
    world.git(&["checkout", "--quiet", "-b", "side"]);
    world.write("theirs", "2");
    world.write("both", lines.replace("line 35\n", "line 35 of side\n"));
    world.commit("side");
    world.git(&["checkout", "--quiet", "main"]);
    world.write("ours", "2");
    world.write("both", lines.replace("line 3\n", "line 3 of main\n"));
    world.commit("main");
    world
}

fn odd(world: &World) -> Vec<String> {
    let repository = world.open();
    let head = repository.resolve("HEAD").unwrap();
    let paths = repository.unmerged_paths(&repository.commit(head).unwrap()).unwrap();
    paths.iter().map(ToString::to_string).collect()
}

fn merge(world: &World, prepare: impl FnOnce()) {
    world.git(&["merge", "--quiet", "--no-ff", "--no-commit", "side"]);
    prepare();
    world.commit("merge");
}

#[test]
fn an_honest_merge_is_what_its_parents_give() {
    let world = forked();
    merge(&world, || {});
    assert_eq!(odd(&world), [] as [&str; 0]);
    world.git(&["checkout", "--quiet", "HEAD^1"]);
    assert_eq!(odd(&world), [] as [&str; 0], "no merge");
}

#[test]
fn what_was_slipped_into_a_merge_is_found() {
    for (path, contents) in [
        ("untouched", "evil"),
        ("added", "evil"),
        ("ours", "1"),
        ("theirs", "evil"),
        ("both", "evil"),
    ] {
        let world = forked();
        merge(&world, || world.write(path, contents));
        assert_eq!(odd(&world), [path], "{contents}");
    }
}

#[test]
fn a_merge_that_took_one_side_whole_is_found() {
    let world = forked();
    world.git(&["merge", "--quiet", "--no-ff", "--strategy=ours", "side"]);
    assert_eq!(odd(&world), ["both", "theirs"], "it undoes what side brought");
}

#[test]
fn a_mode_and_a_removal_in_a_merge_are_found() {
    let world = forked();
    merge(&world, || {
        world.git(&["rm", "--quiet", "--force", "untouched"]);
        world.git(&["update-index", "--chmod=+x", "theirs"]);
        std::fs::remove_file(world.work_tree().join("theirs")).unwrap();
        world.git(&["checkout-index", "theirs"]);
    });
    assert_eq!(odd(&world), ["theirs", "untouched"]);
}

#[test]
fn a_renamed_file_is_merged_as_git_merges_it() {
    let world = forked();
    world.git(&["mv", "both", "renamed"]);
    world.commit("rename on main");
    merge(&world, || {});
    assert_eq!(odd(&world), [] as [&str; 0]);

    let world = forked();
    world.git(&["mv", "both", "renamed"]);
    world.commit("rename on main");
    merge(&world, || world.write("renamed", "evil"));
    assert_eq!(odd(&world), ["renamed"]);
}

#[test]
fn a_conflict_that_somebody_resolved_is_said() {
    let world = forked();
    world.git(&["checkout", "--quiet", "side"]);
    world.write("ours", "3");
    world.commit("conflict");
    world.git(&["checkout", "--quiet", "main"]);
    world.git(&[
        "merge",
        "--quiet",
        "--no-ff",
        "--no-commit",
        "--strategy-option=theirs",
        "side",
    ]);
    world.write("ours", "2 and 3");
    world.commit("resolved");
    assert_eq!(odd(&world), ["ours"]);
}

#[test]
fn an_octopus_and_unrelated_histories_hide_nothing() {
    let world = forked();
    world.git(&["checkout", "--quiet", "-b", "third", "HEAD^"]);
    world.write("third", "3");
    world.commit("third");
    world.git(&["checkout", "--quiet", "main"]);
    let merged = |slipped: Option<&str>| {
        world.git(&["read-tree", "-m", "-u", "main"]);
        world.git(&["merge", "--quiet", "--no-ff", "--no-commit", "side"]);
        world.write("third", "3");
        if let Some(path) = slipped {
            world.write(path, "evil");
        }
        world.git(&["add", "--all"]);
        let tree = world.git(&["write-tree"]);
        let parents = ["main", "side", "third"].map(|name| world.git(&["rev-parse", name]));
        let [a, b, c] = &parents;
        let commit = world.git(&["commit-tree", &tree, "-p", a, "-p", b, "-p", c, "-m", "octopus"]);
        world.git(&["reset", "--quiet", "--hard"]);
        world.git(&["checkout", "--quiet", "--detach", &commit]);
        let found = odd(&world);
        world.git(&["checkout", "--quiet", "main"]);
        found
    };
    // Two of three changed `both`: who merged it is not asked again.
    assert_eq!(merged(None), ["both"]);
    assert_eq!(merged(Some("untouched")), ["both", "untouched"]);

    let world = forked();
    world.git(&["checkout", "--quiet", "--orphan", "foreign"]);
    world.git(&["rm", "-r", "--quiet", "--force", "."]);
    world.write("foreign", "1");
    world.commit("foreign");
    world.git(&["checkout", "--quiet", "main"]);
    world.git(&[
        "merge",
        "--quiet",
        "--no-ff",
        "--no-commit",
        "--allow-unrelated-histories",
        "foreign",
    ]);
    world.write("slipped", "evil");
    world.commit("merge");
    assert_eq!(odd(&world), ["slipped"]);
}
