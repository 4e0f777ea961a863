//! Listings, change sets and digests, held against git and against hostile trees.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::common::{World, entry, id};
use importer::{Change, FileMode, ObjectError, ObjectId, ObjectKind, Repository, TreeError};
use nixstore::Sha256Digest;

fn paths(changes: &[Change]) -> Vec<(&str, Option<FileMode>, Option<FileMode>)> {
    let mode = |side: Option<(FileMode, ObjectId)>| side.map(|(mode, _)| mode);
    changes
        .iter()
        .map(|change| (change.path.as_str(), mode(change.old), mode(change.new)))
        .collect()
}

#[test]
fn lists_what_git_lists() {
    let world = World::new();
    world.write("default.nix", "{ }");
    world.write("pkgs/a/default.nix", "a");
    world.write("pkgs/a.nix", "beside a/");
    world.write("pkgs/café.nix", "é");
    world.write("run", "#!/bin/sh");
    fs::set_permissions(world.work_tree().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    world.link("link", "pkgs/a");
    world.commit("files");
    let submodule = world.git(&["rev-parse", "HEAD"]);
    world.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{submodule},sub"),
    ]);
    world.git(&["commit", "--quiet", "--message", "submodule"]);

    let repository = world.open();
    let listing = repository.listing(world.tree("HEAD")).unwrap();
    let ours: String = listing
        .files()
        .iter()
        .map(|file| {
            let (mode, kind) = match file.mode {
                FileMode::Regular => ("100644", "blob"),
                FileMode::Executable => ("100755", "blob"),
                FileMode::Symlink => ("120000", "blob"),
                FileMode::Submodule => ("160000", "commit"),
            };
            format!("{mode} {kind} {}\t{}\0", file.id, file.path)
        })
        .collect();
    let mut theirs: Vec<_> = world
        .git(&["ls-tree", "-r", "-z", "HEAD"])
        .split_inclusive('\0')
        .map(str::to_owned)
        .collect();
    theirs.sort_by_key(|line| line.split_once('\t').map(|(_, path)| path.to_owned()));
    assert_eq!(ours, theirs.concat());

    assert_eq!(listing.get("run").unwrap().mode, FileMode::Executable);
    assert!(listing.get("pkgs").is_none());
    let below: Vec<_> = listing.under("pkgs/a").map(|file| file.path.as_str()).collect();
    assert_eq!(below, ["pkgs/a/default.nix"]);
    assert_eq!(listing.under("").count(), listing.files().len());

    let lines = repository.listed_files(listing.files()).unwrap();
    let digest = |path| lines.iter().find(|line| line.path == path).unwrap().sha256;
    assert_eq!(digest("default.nix"), Sha256Digest::of("{ }"));
    assert_eq!(digest("link"), Sha256Digest::of("pkgs/a"));
    assert_eq!(digest("sub"), Sha256Digest::of(submodule));
}

#[test]
fn reports_each_kind_of_change() {
    let world = World::new();
    for path in [
        "same/x",
        "edited",
        "removed",
        "mode",
        "to-link",
        "to-directory",
        "from-directory/b",
        "from-directory/a",
    ] {
        world.write(path, path);
    }
    world.commit("old");
    world.write("edited", "other");
    world.write("added/deep/er", "");
    fs::remove_file(world.work_tree().join("removed")).unwrap();
    fs::set_permissions(world.work_tree().join("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(world.work_tree().join("to-link")).unwrap();
    world.link("to-link", "/etc/passwd");
    fs::remove_file(world.work_tree().join("to-directory")).unwrap();
    world.write("to-directory/inside", "");
    fs::remove_dir_all(world.work_tree().join("from-directory")).unwrap();
    world.write("from-directory", "");
    world.commit("new");

    let repository = world.open();
    let (old, new) = (world.tree("HEAD^"), world.tree("HEAD"));
    let forth = repository.change_set(old, new).unwrap();
    let (regular, executable) = (Some(FileMode::Regular), Some(FileMode::Executable));
    assert_eq!(
        paths(forth.changes()),
        [
            ("added/deep/er", None, regular),
            ("edited", regular, regular),
            ("from-directory", None, regular),
            ("from-directory/a", regular, None),
            ("from-directory/b", regular, None),
            ("mode", regular, executable),
            ("removed", regular, None),
            ("to-directory", regular, None),
            ("to-directory/inside", None, regular),
            ("to-link", regular, Some(FileMode::Symlink)),
        ]
    );
    let mode = &forth.changes()[5];
    assert_eq!(mode.old.unwrap().1, mode.new.unwrap().1);

    let back = repository.change_set(new, old).unwrap();
    let turned: Vec<_> = paths(back.changes())
        .into_iter()
        .map(|(path, old, new)| (path, new, old))
        .collect();
    assert_eq!(turned, paths(forth.changes()));
    assert_eq!(repository.change_set(new, new).unwrap().changes(), []);

    let empty = empty_tree();
    let everything = repository.change_set(empty, new).unwrap();
    assert_eq!(
        everything.changes().len(),
        repository.listing(new).unwrap().files().len()
    );
}

fn empty_tree() -> ObjectId {
    ObjectId::empty_tree(gix::hash::Kind::Sha1)
}

#[test]
fn digests_come_in_the_order_asked_for() {
    let world = World::new();
    let texts: Vec<_> = (0..300).map(|number| number.to_string().repeat(number)).collect();
    for (number, text) in texts.iter().enumerate() {
        world.write(&format!("{number}"), text);
    }
    world.commit("numbers");
    let repository = world.open();
    let listing = repository.listing(world.tree("HEAD")).unwrap();
    let ids: Vec<_> = (0..300)
        .rev()
        .map(|number| listing.get(&number.to_string()).unwrap().id)
        .collect();
    let digests = repository.blob_digests(&ids).unwrap();
    for (text, digest) in texts.iter().rev().zip(&digests) {
        assert_eq!(
            (digest.sha256, digest.size),
            (Sha256Digest::of(text), text.len() as u64)
        );
    }
    assert_eq!(digests.len(), 300);
    assert_eq!(repository.blob_digests(&[]).unwrap(), []);
}

#[test]
fn a_missing_object_is_named() {
    let world = World::new();
    world.write("kept", "kept");
    world.write("lost/lost", "lost");
    world.commit("files");
    let tree = world.tree("HEAD");
    let lost = id(&world.git(&["rev-parse", "HEAD:lost/lost"]));
    let hex = lost.to_string();
    fs::remove_file(world.work_tree().join(".git/objects").join(&hex[..2]).join(&hex[2..])).unwrap();

    let repository = world.open();
    let is_lost = |error: &ObjectError| matches!(error, ObjectError::Missing { id, expected: ObjectKind::Blob, .. } if *id == lost);
    assert!(is_lost(&repository.blob(lost).unwrap_err()));
    assert!(is_lost(&repository.blob_digests(&[lost]).unwrap_err()));
    let refused = repository.tree_nar(tree, &[]).unwrap_err();
    assert!(refused.to_string().contains(&hex), "{refused}");
    // What does not need its bytes works.
    assert_eq!(repository.listing(tree).unwrap().get("lost/lost").unwrap().id, lost);
}

#[test]
fn a_tree_is_not_taken_for_a_blob() {
    let world = World::new();
    world.write("a", "a");
    let commit = world.commit("file");
    let repository = world.open();
    assert!(matches!(
        repository.blob(world.tree("HEAD")),
        Err(ObjectError::Kind {
            expected: ObjectKind::Blob,
            found: ObjectKind::Tree,
            ..
        })
    ));
    assert!(matches!(
        repository.listing(commit),
        Err(TreeError::Object(ObjectError::Kind {
            expected: ObjectKind::Tree,
            found: ObjectKind::Commit,
            ..
        }))
    ));
}

/// Every way to read a tree refuses it; the twin with an honest name is read by every way.
fn refused_everywhere(repository: &Repository, honest: ObjectId, hostile: ObjectId) -> TreeError {
    let empty = empty_tree();
    repository.listing(honest).unwrap();
    repository.change_set(empty, honest).unwrap();
    repository.tree_nar(honest, &[]).unwrap();
    assert!(repository.change_set(honest, hostile).is_err());
    assert!(repository.change_set(hostile, honest).is_err());
    assert!(repository.tree_nar(hostile, &[]).is_err());
    repository.listing(hostile).unwrap_err()
}

#[test]
fn refuses_names_that_nothing_could_name() {
    let world = World::new();
    let blob = world.blob(b"");
    let inside = |name: &[u8]| world.raw_tree(&entry("40000", b"d", world.raw_tree(&entry("100644", name, blob))));
    let repository = world.open();
    let honest = inside(b"a");
    for name in [b"caf\xe9".as_slice(), b".git", b"..", b"a/b", b"a\nb", b""] {
        let refused = refused_everywhere(&repository, honest, inside(name));
        assert!(
            matches!(refused, TreeError::Name { ref directory, .. } if directory == "d"),
            "{refused:?}"
        );
    }
}

#[test]
fn refuses_one_name_for_a_file_and_a_directory() {
    let world = World::new();
    let blob = world.blob(b"");
    let directory = world.raw_tree(&entry("100644", b"x", blob));
    let with = |between: &[u8]| {
        let entries = [
            entry("100644", b"a", blob),
            entry("100644", b"a.b", blob),
            entry("40000", between, directory),
        ];
        world.raw_tree(&entries.concat())
    };
    let refused = refused_everywhere(&world.open(), with(b"b"), with(b"a"));
    assert!(
        matches!(refused, TreeError::Duplicate { ref path } if path.as_str() == "a"),
        "{refused:?}"
    );
}

#[test]
fn refuses_an_empty_directory_below_the_top() {
    let world = World::new();
    let blob = world.blob(b"");
    let empty = world.raw_tree(b"");
    let full = world.raw_tree(&entry("100644", b"x", blob));
    let with = |directory| world.raw_tree(&entry("40000", b"d", directory));
    let refused = refused_everywhere(&world.open(), with(full), with(empty));
    assert!(matches!(refused, TreeError::EmptyDirectory { .. }), "{refused:?}");
}

#[test]
fn refuses_a_tree_bomb() {
    let world = World::new();
    let mut tree = world.raw_tree(&entry("100644", b"x", world.blob(b"")));
    let mut honest = tree;
    for level in 0..24 {
        let twice = [entry("40000", b"a", tree), entry("40000", b"b", tree)];
        tree = world.raw_tree(&twice.concat());
        if level == 3 {
            honest = tree;
        }
    }
    let refused = refused_everywhere(&world.open(), honest, tree);
    assert!(matches!(refused, TreeError::Entries { .. }), "{refused:?}");
}

#[test]
fn refuses_directories_without_end() {
    let world = World::new();
    let mut tree = world.raw_tree(&entry("100644", b"x", world.blob(b"")));
    let mut honest = tree;
    for level in 0..140 {
        tree = world.raw_tree(&entry("40000", b"d", tree));
        if level == 100 {
            honest = tree;
        }
    }
    let refused = refused_everywhere(&world.open(), honest, tree);
    assert!(matches!(refused, TreeError::Depth { .. }), "{refused:?}");
}

/// More directories than one thread reads alone.
#[test]
fn a_tree_that_several_threads_read_is_the_tree_that_git_reads() {
    let world = World::new();
    for number in 0..700 {
        // Of some, git sorts the name otherwise than we do.
        let name = ["a", "a.b", "a-b"][number % 3];
        let path = format!("{}/{name}{}/x{}", number % 7, number / 3, number % 2);
        world.write(&path, format!("{number}\n").repeat(1 + number % 50));
        world.write(&format!("{path}-more/deeper/still"), path);
    }
    world.write("top", "top");
    world.commit("many");
    world.git(&["repack", "-a", "-d", "-f", "--quiet"]);
    let repository = world.open();
    let tree = world.tree("HEAD");

    let listing = repository.listing(tree).unwrap();
    let ours: Vec<_> = listing
        .files()
        .iter()
        .map(|file| format!("{} {}", file.id, file.path))
        .collect();
    let mut theirs: Vec<_> = world
        .git(&["ls-tree", "-r", "--format=%(objectname) %(path)", "HEAD"])
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    theirs.sort_by(|one, other| one[41..].cmp(&other[41..]));
    assert_eq!(ours, theirs);
    for file in listing.files() {
        assert_eq!(
            repository.blob(file.id).unwrap(),
            fs::read(world.work_tree().join(file.path.as_str())).unwrap()
        );
    }

    let beside = world.beside("checkout");
    fs::create_dir(&beside).unwrap();
    for file in listing.files() {
        let path = beside.join(file.path.as_str());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, repository.blob(file.id).unwrap()).unwrap();
    }
    let expected = nixstore::nar::hash_directory(&beside).unwrap();
    assert_eq!(repository.tree_nar(tree, &[]).unwrap(), expected);
}

#[test]
fn of_many_directories_the_first_that_is_refused_is_named() {
    let world = World::new();
    let blob = world.blob(b"");
    let good = world.raw_tree(&entry("40000", b"d", world.raw_tree(&entry("100644", b"x", blob))));
    let bad = world.raw_tree(&entry("40000", b"d", world.raw_tree(&entry("100644", b".git", blob))));
    let many = |bad_ones: &[usize]| {
        let names = 0..600;
        let entries = names.map(|number| {
            let inside = if bad_ones.contains(&number) { bad } else { good };
            entry("40000", format!("{number:03}").as_bytes(), inside)
        });
        world.raw_tree(&entries.collect::<Vec<_>>().concat())
    };
    let repository = world.open();
    let honest = many(&[]);
    assert_eq!(repository.listing(honest).unwrap().files().len(), 600);
    for bad_ones in [&[0][..], &[599], &[301, 302, 599], &[7, 400]] {
        let refused = refused_everywhere(&repository, honest, many(bad_ones));
        let first = format!("{:03}/d", bad_ones[0]);
        assert!(
            matches!(refused, TreeError::Name { ref directory, .. } if *directory == first),
            "{refused:?}"
        );
    }
}
