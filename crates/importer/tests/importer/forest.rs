//! The forest against the strict comparison, on packs that the real git made.

use std::fs;

use importer::{ObjectId, Repository};

use crate::common::World;

/// A history of many trees that are made from each other, in one pack.
fn packed() -> (World, Vec<ObjectId>) {
    let world = World::new();
    for name in 0..60 {
        world.write(
            &format!("pkgs/p{name}/default.nix"),
            format!("{{ version = \"{name}\"; }}\n"),
        );
        world.write(&format!("lib/f{name}.nix"), format!("{name}\n"));
    }
    let mut commits = vec![world.commit("first")];
    for step in 0..40_u32 {
        let at = step * 7 % 60;
        match step % 5 {
            0 => fs::remove_file(world.work_tree().join(format!("lib/f{at}.nix"))).unwrap_or(()),
            1 => world.write(&format!("lib/f{at}.nix"), format!("changed {step}\n")),
            2 => world.write(&format!("pkgs/p{at}/a/b/c{step}"), "deeper"),
            3 => {
                drop(fs::remove_dir_all(world.work_tree().join(format!("pkgs/p{at}"))));
                world.link(&format!("pkgs/p{at}"), "elsewhere");
            }
            _ => {
                // `lib-0` lies between `lib` and `lib/` in git's order.
                world.write(&format!("lib-{step}"), "x");
                world.write(&format!("lib.{step}/x"), "y");
            }
        }
        commits.push(world.commit(&format!("step {step}")));
    }
    world.git(&["repack", "-a", "-d", "-f", "--quiet", "--depth=50", "--window=50"]);
    (world, commits)
}

fn tree(repository: &Repository, commit: ObjectId) -> ObjectId {
    repository.commit(commit).unwrap().tree
}

#[test]
fn the_forest_says_what_the_strict_comparison_says() {
    let (world, commits) = packed();
    let repository = world.open();
    let forest = repository.forest();
    let mut differences = 0;
    for (at, old) in commits.iter().enumerate() {
        for new in commits.iter().skip(at % 3).step_by(3) {
            let (old, new) = (tree(&repository, *old), tree(&repository, *new));
            let expected = repository.change_set(old, new).unwrap();
            differences += expected.changes().len();
            assert_eq!(forest.change_set(old, new), Some(expected), "{old} {new}");
        }
    }
    assert!(differences > 1000, "{differences}");
    for commit in &commits {
        assert_eq!(forest.commit(*commit), Some(&repository.commit(*commit).unwrap()));
    }
}

#[test]
fn the_forest_leaves_what_would_be_refused_to_who_refuses_it() {
    let world = World::new();
    world.write("a", "a");
    let honest = world.commit("honest");
    let blob = world.blob(b"x");
    let entry = |mode: &str, name: &[u8], id: ObjectId| crate::common::entry(mode, name, id);
    let inside = world.raw_tree(&entry("100644", b"x", blob));
    let hostile = [
        (
            "unsorted",
            [entry("100644", b"b", blob), entry("100644", b"a", blob)].concat(),
        ),
        (
            "twice",
            [entry("100644", b"a", blob), entry("100644", b"a", blob)].concat(),
        ),
        (
            "a file and a directory",
            [
                entry("100644", b"a", blob),
                entry("100644", b"a.b", blob),
                entry("40000", b"a", inside),
            ]
            .concat(),
        ),
        ("a name that nobody can write", entry("100644", b"caf\xe9", blob)),
        ("a mode that git does not write", entry("100666", b"a", blob)),
        ("truncated", entry("100644", b"a", blob)[..20].to_vec()),
    ]
    .map(|(flaw, bytes)| (flaw, world.raw_tree(&bytes)));
    let packed: String = hostile
        .iter()
        .map(|(_, id)| format!("{id}\n"))
        .chain([format!(
            "{honest}\n{}\n{}\n{inside}\n{blob}\n",
            world.tree("HEAD"),
            world.git(&["rev-parse", "HEAD:a"])
        )])
        .collect();
    let into = world.work_tree().join(".git/objects/pack/pack");
    world.git_in(
        &world.work_tree(),
        &["pack-objects", "--quiet", into.to_str().unwrap()],
        packed.as_bytes(),
    );
    world.git(&["prune-packed", "--quiet"]);
    let repository = world.open();
    let forest = repository.forest();
    let good = world.tree("HEAD");
    assert!(forest.change_set(good, inside).is_some());
    for (flaw, tree) in hostile {
        assert_eq!(forest.change_set(good, tree), None, "{flaw}");
        assert!(repository.change_set(good, tree).is_err(), "{flaw}");
    }
}

#[test]
fn a_damaged_pack_is_said_to_be_damaged() {
    let (world, commits) = packed();
    let repository = world.open();
    let trees: Vec<_> = commits.iter().map(|commit| tree(&repository, *commit)).collect();
    let pack = fs::read_dir(world.work_tree().join(".git/objects/pack"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "pack"))
        .unwrap();
    let honest = fs::read(&pack).unwrap();
    let mut refused = 0;
    for at in (100..honest.len() - 20).step_by(honest.len() / 40) {
        let mut bytes = honest.clone();
        bytes[at] ^= 0x55;
        // A mapped file must not change under its readers.
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, &bytes).unwrap();
        let damaged = world.open();
        let forest = damaged.forest();
        for pair in trees.windows(2) {
            let expected = repository.change_set(pair[0], pair[1]).unwrap();
            match damaged.change_set(pair[0], pair[1]) {
                Ok(found) => assert_eq!(found, expected, "a false answer at {at}"),
                Err(_) => refused += 1,
            }
            if let Some(found) = forest.change_set(pair[0], pair[1]) {
                assert_eq!(found, expected, "a false answer at {at}");
            }
        }
    }
    assert!(refused > 0, "no damage was met");
}
