//! Hostile archives, each named after its flaw, beside the honest one.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{fs, io::Read, os::unix::fs::PermissionsExt as _, path::PathBuf};

use install::unpack::{Limits, UnpackError, unpack};
use tar::{EntryType, Header};

/// A tar file made by hand: nothing checks what is put in.
#[derive(Default)]
struct Hostile(Vec<u8>);

impl Hostile {
    fn entry(self, kind: EntryType, path: &str, link: &str, data: &[u8]) -> Self {
        self.entry_of_size(kind, path, link, data, data.len() as u64)
    }

    fn entry_of_size(mut self, kind: EntryType, path: &str, link: &str, data: &[u8], size: u64) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str) -> Self {
        self.entry(EntryType::Regular, path, "", b"text")
    }

    fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    fn directory(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    fn xz(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        xz(&self.0)
    }

    fn unpack(self) -> Result<(), UnpackError> {
        unpack_bytes(&self.xz(), Limits::default()).1
    }
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut out).unwrap();
    out
}

/// Unpacks into `new` of a fresh directory, and fails the test if anything was written beside it.
fn unpack_bytes(archive: &[u8], limits: Limits) -> (tempfile::TempDir, Result<(), UnpackError>) {
    let directory = tempfile::tempdir().unwrap();
    let result = unpack(archive, &directory.path().join("new"), limits);
    let beside: Vec<PathBuf> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(
        beside.iter().all(|path| path.ends_with("new")),
        "written outside: {beside:?}"
    );
    (directory, result)
}

fn channel() -> Hostile {
    Hostile::default()
        .directory("nixexprs/")
        .file("nixexprs/default.nix")
        .file("nixexprs/pkgs/hello/default.nix")
        .link("nixexprs/nixpkgs", ".")
        .link("nixexprs/pkgs/here", "../default.nix")
}

#[test]
fn unpacks_an_honest_channel() {
    let long = format!("nixexprs/{}/file", "d".repeat(120));
    let archive = channel()
        .entry(
            EntryType::GNULongName,
            "././@LongLink",
            "",
            format!("{long}\0").as_bytes(),
        )
        .file("cut-off")
        .xz();
    let (directory, result) = unpack_bytes(&archive, Limits::default());
    result.unwrap();
    let tree = directory.path().join("new");
    assert_eq!(
        fs::read_to_string(tree.join("nixpkgs/pkgs/hello/default.nix")).unwrap(),
        "text"
    );
    assert_eq!(fs::read_to_string(tree.join("pkgs/here")).unwrap(), "text");
    assert_eq!(
        fs::read_to_string(tree.join("d".repeat(120)).join("file")).unwrap(),
        "text"
    );
    let mode = fs::metadata(tree.join("default.nix")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444, "nobody writes into an installed file by accident");
}

#[test]
fn refuses_path_with_dot_dot() {
    for path in ["nixexprs/../evil", "../evil", "nixexprs/..", ".."] {
        let result = channel().file(path).unpack();
        assert!(matches!(result, Err(UnpackError::Path { .. })), "{path}: {result:?}");
    }
}

#[test]
fn refuses_absolute_path() {
    let result = channel().file("/tmp/evil").unpack();
    assert!(matches!(result, Err(UnpackError::Path { .. })), "{result:?}");
}

#[test]
fn refuses_path_with_two_spellings() {
    for path in ["nixexprs//x", "nixexprs/./x", "./nixexprs/x", "nixexprs/x/"] {
        let result = channel().file(path).unpack();
        assert!(matches!(result, Err(UnpackError::Path { .. })), "{path}: {result:?}");
    }
}

#[test]
fn refuses_link_out_of_the_tree() {
    for target in [
        "/etc/passwd",
        "..",
        "../x",
        "../../x",
        "pkgs/../../x",
        "pkgs/hello/..",
        "./../x",
        "",
    ] {
        let result = channel().link("nixexprs/evil", target).unpack();
        assert!(
            matches!(result, Err(UnpackError::LinkOut { .. })),
            "{target}: {result:?}"
        );
    }
    channel()
        .link("nixexprs/pkgs/hello/up", "../../default.nix")
        .unpack()
        .unwrap();
}

#[test]
fn refuses_long_link_target_out_of_the_tree() {
    let target = format!("{}etc/passwd\0", "../".repeat(60));
    let result = channel()
        .entry(EntryType::GNULongLink, "././@LongLink", "", target.as_bytes())
        .link("nixexprs/evil", "harmless")
        .unpack();
    assert!(matches!(result, Err(UnpackError::LinkOut { .. })), "{result:?}");
}

#[test]
fn refuses_file_written_through_a_link() {
    let result = channel()
        .link("nixexprs/pkgs/out", "..")
        .file("nixexprs/pkgs/out/evil")
        .unpack();
    assert!(matches!(result, Err(UnpackError::ThroughFile { .. })), "{result:?}");
}

#[test]
fn refuses_hard_link() {
    let result = channel()
        .entry(EntryType::Link, "nixexprs/evil", "/etc/shadow", b"")
        .unpack();
    assert!(
        matches!(result, Err(UnpackError::Kind { found: "hard link", .. })),
        "{result:?}"
    );
}

#[test]
fn refuses_devices_and_pipes() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let result = channel().entry(kind, "nixexprs/evil", "", b"").unpack();
        assert!(matches!(result, Err(UnpackError::Kind { .. })), "{kind:?}: {result:?}");
    }
}

#[test]
fn refuses_sparse_file() {
    let result = channel().entry(EntryType::GNUSparse, "nixexprs/evil", "", b"").unpack();
    assert!(
        matches!(
            result,
            Err(UnpackError::Kind {
                found: "sparse file",
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn refuses_pax_header_that_renames_what_follows() {
    let result = channel()
        .entry(EntryType::XHeader, "nixexprs/x", "", b"20 path=/etc/passwd\n")
        .file("nixexprs/x")
        .unpack();
    assert!(
        matches!(
            result,
            Err(UnpackError::Kind {
                found: "pax header",
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn refuses_two_top_directories() {
    let result = channel().file("other/default.nix").unpack();
    assert!(matches!(result, Err(UnpackError::OutsideTop { .. })), "{result:?}");
}

#[test]
fn refuses_file_as_top_directory() {
    let result = Hostile::default().file("nixexprs").unpack();
    assert!(matches!(result, Err(UnpackError::Duplicate { .. })), "{result:?}");
}

#[test]
fn refuses_empty_archive() {
    let result = Hostile::default().unpack();
    assert!(matches!(result, Err(UnpackError::Empty)), "{result:?}");
}

#[test]
fn refuses_one_path_twice() {
    for archive in [
        channel().file("nixexprs/default.nix"),
        channel().link("nixexprs/default.nix", "x"),
        channel().directory("nixexprs/default.nix"),
        channel().directory("nixexprs/a").directory("nixexprs/a/"),
        channel().file("nixexprs/pkgs"),
    ] {
        let result = archive.unpack();
        assert!(matches!(result, Err(UnpackError::Duplicate { .. })), "{result:?}");
    }
    channel().directory("nixexprs/pkgs/").unpack().unwrap();
}

/// Where the file system tells them apart they are two files with contents of their own; where it does not, the second is
/// there already, and that is refused: no file is ever opened that was not made.
#[test]
fn names_that_differ_in_case_alone_never_become_one_file() {
    let archive = channel()
        .entry(EntryType::Regular, "nixexprs/pkgs/hello/A.nix", "", b"first")
        .entry(EntryType::Regular, "nixexprs/pkgs/hello/a.nix", "", b"second")
        .directory("nixexprs/PKGS");
    let (directory, result) = unpack_bytes(&archive.xz(), Limits::default());
    let read = |name: &str| fs::read(directory.path().join("new/pkgs/hello").join(name)).unwrap();
    match result {
        Ok(()) => assert_eq!((read("A.nix"), read("a.nix")), (b"first".to_vec(), b"second".to_vec())),
        Err(error) => assert!(matches!(error, UnpackError::Duplicate { .. }), "{error:?}"),
    }
}

#[test]
fn refuses_more_bytes_than_the_bound() {
    // A gigabyte of zeros in a few hundred kilobytes is what a bomb looks like; this one is a megabyte.
    let archive = channel()
        .entry(EntryType::Regular, "nixexprs/zeros", "", &vec![0; 1 << 20])
        .xz();
    assert!(archive.len() < 10_000);
    let bound = |bytes| Limits { bytes, entries: 100 };
    let (_directory, result) = unpack_bytes(&archive, bound(1 << 20));
    assert!(
        matches!(result, Err(UnpackError::TooManyBytes { limit }) if limit == 1 << 20),
        "{result:?}"
    );
    unpack_bytes(&archive, bound(2 << 20)).1.unwrap();
}

#[test]
fn refuses_more_entries_than_the_bound() {
    let bound = |entries| Limits {
        bytes: 1 << 20,
        entries,
    };
    let (_directory, result) = unpack_bytes(&channel().xz(), bound(4));
    assert!(
        matches!(result, Err(UnpackError::TooManyEntries { limit: 4 })),
        "{result:?}"
    );
    unpack_bytes(&channel().xz(), bound(5)).1.unwrap();
}

#[test]
fn refuses_name_that_claims_a_gigabyte() {
    let result = channel()
        .entry_of_size(EntryType::GNULongName, "././@LongLink", "", b"x", 1 << 30)
        .unpack();
    assert!(
        matches!(result, Err(UnpackError::PathLength { found, .. }) if found == 1 << 30),
        "{result:?}"
    );
}

#[test]
fn refuses_truncated_archive() {
    let whole = channel().xz();
    for length in [0, 5, whole.len() / 2, whole.len() - 40] {
        let (_directory, result) = unpack_bytes(&whole[..length], Limits::default());
        assert!(matches!(result, Err(UnpackError::Archive(_))), "{length}: {result:?}");
    }
    // Whole as xz, cut off as tar: a file of which half is there.
    let short = channel()
        .entry_of_size(EntryType::Regular, "nixexprs/half", "", b"x", 5000)
        .0;
    let (_directory, result) = unpack_bytes(&xz(&short), Limits::default());
    assert!(matches!(result, Err(UnpackError::Archive(_))), "{result:?}");
}

#[test]
fn refuses_what_is_not_xz() {
    let (_directory, result) = unpack_bytes(b"<html>not found</html>", Limits::default());
    assert!(matches!(result, Err(UnpackError::Archive(_))), "{result:?}");
}

#[test]
fn refuses_decoder_that_wants_more_memory_than_it_may() {
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(512 << 20);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64).unwrap();
    let mut archive = Vec::new();
    let plain = channel().0;
    liblzma::read::XzEncoder::new_stream(plain.as_slice(), stream)
        .read_to_end(&mut archive)
        .unwrap();
    let (_directory, result) = unpack_bytes(&archive, Limits::default());
    assert!(matches!(result, Err(UnpackError::Archive(_))), "{result:?}");
}
