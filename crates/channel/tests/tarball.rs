//! The channel's tarball, held against the real tar and xz.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{self, Write},
    num::NonZero,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    process::Command,
};

use channel::tarball::{Contents, PackError, Packed, pack};
use importer::{Extra, ObjectId, Repository, VisitError};
use nixstore::{Sha256Digest, nar};
use tempfile::TempDir;

const TOP: &str = "nixos-14.04pre1234.c61a892";
const MTIME: u64 = 1_400_000_000;

fn one() -> NonZero<u32> {
    NonZero::<u32>::MIN
}

fn extras() -> [Extra; 3] {
    [
        Extra::symlink("nixpkgs", ".").unwrap(),
        Extra::file(".version-suffix", "pre1234.c61a892").unwrap(),
        Extra::file(".git-revision", "c61a892f1d").unwrap(),
    ]
}

/// A repository with one tree.
struct World {
    directory: TempDir,
}

impl World {
    /// Puts these files and symlinks in a tree.
    fn new(files: &[(&str, &[u8])], symlinks: &[(&str, &str)]) -> (Self, ObjectId) {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        world.git(&["init", "--quiet"]);
        for (path, contents) in files {
            let path = world.directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, contents).unwrap();
            if path.file_name().unwrap() == "run" {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        for (path, target) in symlinks {
            symlink(target, world.directory.path().join(path)).unwrap();
        }
        world.git(&["add", "--all"]);
        let tree = ObjectId::from_hex(world.git(&["write-tree"]).as_bytes()).unwrap();
        (world, tree)
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.directory.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn open(&self) -> Repository {
        Repository::open(self.directory.path()).unwrap()
    }
}

fn packed(repository: &Repository, contents: &Contents<'_>, threads: u32) -> (Packed, Vec<u8>) {
    let mut bytes = Vec::new();
    let packed = pack(repository, contents, NonZero::new(threads).unwrap(), &mut bytes).unwrap();
    assert_eq!(packed.length, bytes.len() as u64);
    assert_eq!(packed.sha256, Sha256Digest::of(&bytes));
    (packed, bytes)
}

/// Unpacks with the real tar and xz; gives the directory, which holds what is at the archive's top.
fn unpack(tarball: &[u8]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive.tar.xz");
    fs::write(&archive, tarball).unwrap();
    let status = Command::new("tar")
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(status.success());
    fs::remove_file(archive).unwrap();
    directory
}

/// What xz says of an archive, a line a fact.
fn xz_list(tarball: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive.tar.xz");
    fs::write(&archive, tarball).unwrap();
    let output = Command::new("xz")
        .args(["--list", "--robot"])
        .arg(&archive)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn awkward_tree() -> (World, ObjectId) {
    let long = format!("{}/{}", "d".repeat(99), "f".repeat(200));
    // With the top directory before them, these lie around the hundred bytes of a header's name field.
    let around: Vec<_> = (60..80)
        .map(|length| format!("around/{}", "x".repeat(length)))
        .collect();
    let mut files: Vec<(&str, &[u8])> = vec![
        ("a/z", b"z"),
        ("a.b", b"sorts before a/ in git"),
        ("run", b"#!/bin/sh"),
        ("empty", b""),
        ("512", &[b'x'; 512]),
        ("513", &[b'x'; 513]),
        ("caf\u{e9}", b""),
        (&long, b"long"),
    ];
    files.extend(around.iter().map(|path| (path.as_str(), path.as_bytes())));
    let (hundred, more) = ("t".repeat(100), "t/".repeat(200));
    let symlinks = [
        ("link", "a//b/./../nowhere/"),
        ("absolute", "/etc"),
        ("hundred", &hundred),
        ("more", &more),
    ];
    World::new(&files, &symlinks)
}

#[test]
fn unpacks_to_the_tree_with_its_extras() {
    let (world, tree) = awkward_tree();
    let repository = world.open();
    let extras = extras();
    let contents = Contents {
        tree,
        extras: &extras,
        top_directory: TOP,
        mtime: MTIME,
    };
    let (_, bytes) = packed(&repository, &contents, 2);
    let unpacked = unpack(&bytes);
    let tops: Vec<_> = fs::read_dir(unpacked.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(tops, [TOP]);
    let top = unpacked.path().join(TOP);
    assert_eq!(
        nar::hash_directory(&top).unwrap(),
        repository.tree_nar(tree, &extras).unwrap()
    );
    for (name, mode) in [
        ("", 0o755),
        ("a", 0o755),
        ("run", 0o755),
        ("empty", 0o644),
        (".git-revision", 0o644),
    ] {
        let metadata = fs::metadata(top.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{name}");
        assert_eq!(metadata.mtime(), 1_400_000_000, "{name}");
    }
}

#[test]
fn lists_nobody_as_owner_and_one_time() {
    let (world, tree) = awkward_tree();
    let (_, bytes) = packed(
        &world.open(),
        &Contents {
            tree,
            extras: &extras(),
            top_directory: TOP,
            mtime: 0,
        },
        1,
    );
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("archive.tar.xz");
    fs::write(&archive, bytes).unwrap();
    let output = Command::new("tar")
        .args(["--utc", "--full-time", "-tvJf"])
        .arg(&archive)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(listing.lines().count() > 30);
    for line in listing.lines() {
        assert!(
            line.contains(" 0/0 ") && line.contains(" 1970-01-01 00:00:00 "),
            "{line}"
        );
    }
    assert!(output.stderr.is_empty());
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    let numbers: String = (0..3_000_000).map(|number| format!("{}\n", number % 4_999)).collect();
    let (world, tree) = World::new(&[("numbers", numbers.as_bytes()), ("other", b"other")], &[]);
    let repository = world.open();
    let contents = Contents {
        tree,
        extras: &extras(),
        top_directory: TOP,
        mtime: MTIME,
    };
    let (alone, bytes) = packed(&repository, &contents, 1);
    assert_eq!(packed(&repository, &contents, 2), (alone, bytes.clone()));
    assert_eq!(packed(&repository, &contents, 3).0, alone);
    // The proof is worth something only with several blocks.
    let blocks = xz_list(&bytes)
        .lines()
        .find_map(|line| line.strip_prefix("file\t1\t")?.split('\t').next()?.parse().ok());
    assert_eq!(blocks, Some(3_u32));
}

#[test]
fn another_time_tree_or_top_gives_other_bytes() {
    let (world, tree) = awkward_tree();
    let repository = world.open();
    let contents = Contents {
        tree,
        extras: &[],
        top_directory: TOP,
        mtime: MTIME,
    };
    let digest = |contents: &Contents<'_>| packed(&repository, contents, 1).0.sha256;
    assert_eq!(digest(&contents), digest(&contents));
    let others = [
        digest(&Contents {
            mtime: MTIME + 1,
            ..contents
        }),
        digest(&Contents {
            top_directory: "other",
            ..contents
        }),
        digest(&Contents {
            extras: &extras(),
            ..contents
        }),
    ];
    assert!(others.iter().all(|other| *other != digest(&contents)));
}

#[test]
fn refuses_a_top_that_is_not_one_directory() {
    let (world, tree) = awkward_tree();
    let repository = world.open();
    for top in ["", "/", ".", "..", "a/b", "/a", "a/", ".git", "a\n"] {
        let contents = Contents {
            tree,
            extras: &[],
            top_directory: top,
            mtime: MTIME,
        };
        let refused = pack(&repository, &contents, one(), Vec::new());
        assert!(matches!(refused, Err(PackError::TopDirectory { .. })), "{top:?}");
    }
}

#[test]
fn refuses_an_extra_whose_name_is_taken() {
    let (world, tree) = awkward_tree();
    let extras = [Extra::file("run", "").unwrap()];
    let contents = Contents {
        tree,
        extras: &extras,
        top_directory: TOP,
        mtime: MTIME,
    };
    let refused = pack(&world.open(), &contents, one(), Vec::new());
    assert!(matches!(refused, Err(PackError::Visit(VisitError::Collision { .. }))));
}

#[test]
fn a_full_disk_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (world, tree) = awkward_tree();
    let repository = world.open();
    let contents = Contents {
        tree,
        extras: &[],
        top_directory: TOP,
        mtime: MTIME,
    };
    let length = usize::try_from(pack(&repository, &contents, one(), Full(1 << 20)).unwrap().length).unwrap();
    for space in [0, 10, length - 1] {
        assert!(pack(&repository, &contents, one(), Full(space)).is_err(), "{space}");
    }
    pack(&repository, &contents, one(), Full(length)).unwrap();
}

/// With a real nixpkgs: `TOUCHSTONE_NIXPKGS=<git dir>`.
#[test]
fn a_real_nixpkgs_unpacks_to_its_tree() {
    let Some(git_dir) = std::env::var_os("TOUCHSTONE_NIXPKGS").map(PathBuf::from) else {
        println!("skipped: TOUCHSTONE_NIXPKGS is not set");
        return;
    };
    let repository = Repository::open(&git_dir).unwrap();
    let tree = repository.commit(repository.resolve("HEAD").unwrap()).unwrap().tree;
    let extras = extras();
    let contents = Contents {
        tree,
        extras: &extras,
        top_directory: TOP,
        mtime: MTIME,
    };
    let (_, bytes) = packed(&repository, &contents, 2);
    let unpacked = unpack(&bytes);
    let digest = nar::hash_directory(&unpacked.path().join(TOP)).unwrap();
    assert_eq!(digest, repository.tree_nar(tree, &extras).unwrap());
}
