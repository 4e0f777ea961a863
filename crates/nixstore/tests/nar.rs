//! NARs, held against the real Nix and against hostile entries.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{
    fs,
    io::{self, Read},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::Path,
};

use common::Nix;
use nixstore::{
    NarDigest, Sha256Digest,
    nar::{self, DiskError, NarError, Writer},
};

/// What `nix hash path` says, in hexadecimal.
fn nix_hash_path(nix: &Nix, path: &Path) -> String {
    nix.line(
        "nix",
        &["hash".as_ref(), "path".as_ref(), "--base16".as_ref(), path.as_os_str()],
    )
}

/// A tree with everything a NAR can have, names that sort differently in git, and lengths around the padding.
fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("a/empty")).unwrap();
    fs::write(root.join("a.b"), "sorts before a/ in git, after a in a NAR").unwrap();
    fs::write(root.join("a/ä"), "").unwrap();
    for length in [1, 7, 8, 9, 63, 64, 65, 65_536, 200_001] {
        fs::write(root.join(format!("length-{length}")), vec![b'x'; length]).unwrap();
    }
    fs::write(root.join("run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("run"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(root.join("group-may-run"), "").unwrap();
    fs::set_permissions(root.join("group-may-run"), fs::Permissions::from_mode(0o674)).unwrap();
    symlink("a/../nowhere", root.join("link")).unwrap();
    symlink("a", root.join("link-to-directory")).unwrap();
}

/// The tree of [`make_tree`] through the streaming writer.
fn write_tree<W: io::Write>(out: W) -> Result<(W, u64), NarError> {
    let mut writer = Writer::new(out)?;
    writer.enter_directory(b"a")?;
    writer.enter_directory(b"empty")?;
    writer.leave_directory()?;
    writer.file("ä".as_bytes(), false, b"")?;
    writer.leave_directory()?;
    writer.file(b"a.b", false, b"sorts before a/ in git, after a in a NAR")?;
    writer.file(b"group-may-run", false, b"")?;
    for length in [1, 200_001, 63, 64, 65, 65_536, 7, 8, 9] {
        let name = format!("length-{length}");
        writer.file_from(name.as_bytes(), false, length, io::repeat(b'x').take(length))?;
    }
    writer.symlink(b"link", b"a/../nowhere")?;
    writer.symlink(b"link-to-directory", b"a")?;
    writer.file(b"run", true, b"#!/bin/sh\n")?;
    writer.finish()
}

#[test]
fn writer_and_disk_and_nix_make_one_archive() {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path());

    let (written, size) = write_tree(Vec::new()).unwrap();
    assert_eq!(size, written.len() as u64);
    let (from_disk, _) = nar::write_path(directory.path(), Vec::new()).unwrap();
    assert!(written == from_disk);
    let digest = NarDigest {
        sha256: Sha256Digest::of(&written),
        size,
    };
    assert_eq!(nar::hash_directory(directory.path()).unwrap(), digest);

    let Some(nix) = Nix::find() else { return };
    assert!(nix.run("nix-store", &["--dump".as_ref(), directory.path().as_os_str()]) == written);
    assert_eq!(nix_hash_path(&nix, directory.path()), digest.sha256.to_string());
}

#[test]
fn a_single_file_and_a_symlink_have_the_archive_that_nix_gives_them() {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path());
    let Some(nix) = Nix::find() else { return };
    for name in ["run", "a.b", "link", "link-to-directory"] {
        let path = directory.path().join(name);
        assert_eq!(
            nix_hash_path(&nix, &path),
            nar::hash_path(&path).unwrap().sha256.to_string(),
            "{name}"
        );
    }
}

#[test]
fn a_symlink_to_a_directory_is_not_that_directory() {
    let directory = tempfile::tempdir().unwrap();
    make_tree(directory.path());
    let refused = nar::hash_directory(&directory.path().join("link-to-directory"));
    assert!(matches!(refused, Err(DiskError::NotDirectory { .. })));
    nar::hash_directory(&directory.path().join("a")).unwrap();
}

#[test]
fn refuses_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    nar::hash_directory(directory.path()).unwrap();
    let _listener = UnixListener::bind(directory.path().join("socket")).unwrap();
    assert!(matches!(
        nar::hash_directory(directory.path()),
        Err(DiskError::FileType { .. })
    ));
}

#[test]
fn refuses_names_that_are_not_names() {
    for name in ["", ".", "..", "a/b", "/", "a\0b"] {
        let mut writer = Writer::new(Vec::new()).unwrap();
        assert!(
            matches!(writer.file(name.as_bytes(), false, b""), Err(NarError::Name { .. })),
            "{name:?}"
        );
        assert!(
            matches!(writer.symlink(name.as_bytes(), b"x"), Err(NarError::Name { .. })),
            "{name:?}"
        );
        assert!(
            matches!(writer.enter_directory(name.as_bytes()), Err(NarError::Name { .. })),
            "{name:?}"
        );
    }
    Writer::new(Vec::new()).unwrap().file(b"...", false, b"").unwrap();
}

#[test]
fn refuses_a_name_twice_or_out_of_order() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.file(b"b", false, b"").unwrap();
    assert!(matches!(writer.enter_directory(b"b"), Err(NarError::Order { .. })));
    assert!(matches!(writer.file(b"a", false, b""), Err(NarError::Order { .. })));
    // The order of a directory does not depend on what is in its neighbour.
    writer.enter_directory(b"c").unwrap();
    writer.file(b"a", false, b"").unwrap();
    writer.leave_directory().unwrap();
    writer.file(b"c.d", false, b"").unwrap();
}

#[test]
fn refuses_contents_of_another_length() {
    let write = |length, contents: &[u8]| {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.file_from(b"file", false, length, contents)
    };
    assert!(matches!(
        write(4, b"abc"),
        Err(NarError::Length {
            expected: 4,
            found: 3,
            ..
        })
    ));
    assert!(matches!(
        write(2, b"abc"),
        Err(NarError::Length {
            expected: 2,
            found: 3,
            ..
        })
    ));
    assert!(matches!(
        write(0, b"abc"),
        Err(NarError::Length {
            expected: 0,
            found: 1,
            ..
        })
    ));
    write(3, b"abc").unwrap();
}

#[test]
fn refuses_unbalanced_directories_and_impossible_targets() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    assert!(matches!(writer.leave_directory(), Err(NarError::Depth { .. })));
    assert!(matches!(writer.symlink(b"a", b""), Err(NarError::Target { .. })));
    writer.enter_directory(b"d").unwrap();
    assert!(matches!(writer.symlink(b"a", b"x\0y"), Err(NarError::Target { .. })));
    assert!(matches!(
        writer.finish(),
        Err(NarError::Depth { expected: 1, found: 2 })
    ));
}
