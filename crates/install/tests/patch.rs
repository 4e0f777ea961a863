//! Hostile patches, each named after its flaw, beside the honest one. (That honest ones lead to the right tree is
//! tested where they are made, in crate `channel`.)

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{fs, path::Path};

use attestation::patch::{MAX_CONTENTS, MAX_LIST};
use install::{
    Limits,
    patch::{PatchError, Share, apply},
};
use tempfile::TempDir;
use testkit::tarball::patch_file;

/// An entry by hand: nothing checks what is put in.
fn entry(kind: u8, path: &str, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(u32::try_from(path.len()).unwrap().to_le_bytes());
    out.extend(path.as_bytes());
    out.extend(rest);
    out
}

fn file(path: &str, length: u64) -> Vec<u8> {
    entry(b'f', path, &length.to_le_bytes())
}

fn link(path: &str, target: &str) -> Vec<u8> {
    let mut rest = u32::try_from(target.len()).unwrap().to_le_bytes().to_vec();
    rest.extend(target.as_bytes());
    entry(b'l', path, &rest)
}

struct Base(TempDir);

impl Base {
    fn new() -> Self {
        let base = Self(tempfile::tempdir().unwrap());
        let top = base.old();
        fs::create_dir_all(top.join("dir")).unwrap();
        fs::write(top.join("dir/old"), "old").unwrap();
        fs::write(top.join("same"), "same").unwrap();
        std::os::unix::fs::symlink("dir", top.join("link")).unwrap();
        base
    }

    fn old(&self) -> std::path::PathBuf {
        self.0.path().join("nixexprs")
    }

    fn apply(&self, patch: &[u8]) -> Result<std::path::PathBuf, PatchError> {
        let into = self.0.path().join("new");
        let _ = fs::remove_dir_all(&into);
        let limits = Limits {
            bytes: 1_000,
            entries: 10,
        };
        apply(&self.old(), patch, &into, Share::Links, limits)?;
        Ok(into)
    }

    fn refuse(&self, list: &[u8], gone: &str, fresh: &str) -> PatchError {
        self.apply(&patch_file(list, gone.as_bytes(), fresh.as_bytes()))
            .unwrap_err()
    }
}

#[test]
fn takes_an_honest_patch() {
    let base = Base::new();
    let list = [entry(b'-', "dir", b""), file("same", 3), link("z", "same")].concat();
    let new = base.apply(&patch_file(&list, b"oldsame", b"new")).unwrap();
    assert_eq!(fs::read_to_string(new.join("same")).unwrap(), "new");
    assert!(!new.join("dir").exists());
    assert_eq!(
        fs::read_to_string(base.old().join("same")).unwrap(),
        "same",
        "the old tree stays"
    );
}

#[test]
fn refuses_paths_that_lead_out() {
    let base = Base::new();
    for path in ["../out", "/out", "dir/../../out", "dir//x", "."] {
        let error = base.refuse(&file(path, 1), "", "x");
        assert!(matches!(error, PatchError::List(_)), "{path}: {error:?}");
    }
    assert!(!base.0.path().join("out").exists());
}

#[test]
fn refuses_to_write_through_a_link() {
    let base = Base::new();
    let error = base.refuse(&file("link/x", 1), "", "x");
    assert!(matches!(error, PatchError::Place { .. }), "{error:?}");
    let fresh = [link("fresh", "dir"), file("fresh/x", 1)].concat();
    assert!(matches!(base.refuse(&fresh, "", "x"), PatchError::List(_)));
    assert!(!base.old().join("dir/x").exists());
}

#[test]
fn refuses_links_that_lead_out() {
    let base = Base::new();
    for target in ["/etc/passwd", "../x", "dir/../../x", ""] {
        let error = base.refuse(&link("a", target), "", "");
        assert!(matches!(error, PatchError::LinkOut { .. }), "{target:?}: {error:?}");
    }
    // Also one that somebody put into the old tree.
    std::os::unix::fs::symlink("../../etc", base.old().join("out")).unwrap();
    let error = base.refuse(&file("a", 1), "", "x");
    assert!(matches!(error, PatchError::LinkOut { .. }), "{error:?}");
}

#[test]
fn refuses_what_is_there_already_and_what_has_no_directory() {
    let base = Base::new();
    let error = base.refuse(&entry(b'd', "dir", b""), "", "");
    assert!(matches!(error, PatchError::Base { .. }), "{error:?}");
    let error = base.refuse(&file("nowhere/x", 1), "", "x");
    assert!(matches!(error, PatchError::Place { .. }), "{error:?}");
}

#[test]
fn refuses_contents_that_are_shorter_or_longer_than_listed() {
    let base = Base::new();
    for (length, fresh) in [(5, "four"), (3, "four")] {
        let error = base.refuse(&file("a", length), "", fresh);
        assert!(matches!(error, PatchError::Length { .. }), "{length}: {error:?}");
    }
    base.apply(&patch_file(&file("a", 4), b"", b"four")).unwrap();
}

#[test]
fn refuses_bombs_before_they_go_off() {
    let base = Base::new();
    // A list that says it is small and unpacks to more.
    let mut bomb = patch_file(&vec![b'd'; 100_000], b"", b"");
    let at = install::patch::HEAD - 8;
    bomb[at..at + 8].copy_from_slice(&10_u64.to_le_bytes());
    assert!(matches!(
        base.apply(&bomb).unwrap_err(),
        PatchError::Length {
            what: "list",
            found: 11,
            ..
        }
    ));
    // Lengths beyond the bounds.
    for (at, what) in [
        (install::patch::HEAD - 16, "packed"),
        (install::patch::HEAD - 8, "plain"),
    ] {
        let mut bent = patch_file(&file("a", 1), b"", b"x");
        bent[at..at + 8].copy_from_slice(&(MAX_LIST + 1).to_le_bytes());
        let error = base.apply(&bent).unwrap_err();
        assert!(matches!(error, PatchError::TooLarge { .. }), "{what}: {error:?}");
    }
    for length in [1_001, MAX_CONTENTS + 1, u64::MAX] {
        let error = base.refuse(&file("a", length), "", "x");
        assert!(matches!(error, PatchError::TooLarge { .. }), "{length}: {error:?}");
    }
    // A window of 2 GiB: a frame header that asks for it.
    let mut greedy = patch_file(&file("a", 1), b"", b"x");
    let frame = greedy.len()
        - greedy
            .windows(4)
            .rev()
            .position(|four| four == [0x28, 0xb5, 0x2f, 0xfd])
            .unwrap()
        - 4;
    greedy.truncate(frame + 4);
    greedy.extend([0x00, 0xa8, 0x09, 0x00, 0x00, b'x']);
    let error = base.apply(&greedy).unwrap_err();
    assert!(matches!(error, PatchError::Damaged(_)), "{error:?}");
    let many: Vec<u8> = (10..30).flat_map(|at| entry(b'd', &format!("d{at}"), b"")).collect();
    assert!(matches!(
        base.refuse(&many, "", ""),
        PatchError::TooManyEntries { limit: 10 }
    ));
}

#[test]
fn refuses_every_truncation_and_what_is_no_patch() {
    let base = Base::new();
    let whole = patch_file(&file("a", 4), b"", b"four");
    base.apply(&whole).unwrap();
    for end in 0..whole.len() {
        base.apply(&whole[..end]).expect_err("a part of a patch was taken");
    }
    assert!(matches!(
        base.apply(&b"not a patch at all, but long enough to be read"[..])
            .unwrap_err(),
        PatchError::Magic
    ));
}

/// Whatever the bytes: an error or a tree inside the directory, no panic, nothing outside.
#[test]
fn flipped_bytes_never_write_outside() {
    let base = Base::new();
    let list = [entry(b'-', "dir", b""), file("same", 3), link("z", "same")].concat();
    let whole = patch_file(&list, b"oldsame", b"new");
    let outside = |base: &Base| -> Vec<_> {
        let mut names: Vec<_> = fs::read_dir(base.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.retain(|name| Path::new(name) != Path::new("new"));
        names.sort();
        names
    };
    let before = outside(&base);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bent = whole.clone();
            bent[at] ^= 1 << bit;
            let _ = base.apply(&bent);
        }
    }
    assert_eq!(outside(&base), before);
    assert_eq!(fs::read_to_string(base.old().join("same")).unwrap(), "same");
}
