//! Store paths of source trees, held against the real Nix.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;

use common::Nix;
use nixstore::{StoreDir, StorePath, nar, source_store_path};

#[test]
fn a_source_tree_gets_the_path_that_nix_gives_it() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("default.nix"), "{ }").unwrap();

    let sha256 = nar::hash_directory(&source).unwrap().sha256;
    let ours = source_store_path(&StoreDir::default(), "source", &sha256).unwrap();
    assert_eq!(ours.to_string().parse::<StorePath>().unwrap(), ours);

    let Some(nix) = Nix::find() else { return };
    let printed = nix.line(
        "nix-store",
        &[
            "--print-fixed-path",
            "--recursive",
            "sha256",
            &sha256.to_string(),
            "source",
        ],
    );
    assert_eq!(printed, ours.in_dir(&StoreDir::default()).to_str().unwrap());
    let added = nix.line("nix-store", &["--add".as_ref(), source.as_os_str()]);
    assert_eq!(StorePath::parse_in(&StoreDir::default(), &added).unwrap(), ours);
}

#[test]
fn the_store_directory_and_the_name_are_part_of_the_path() {
    let sha256 = nixstore::Sha256Digest::of("");
    let path = |dir, name| source_store_path(&StoreDir::new(dir).unwrap(), name, &sha256).unwrap();
    let ours = path("/nix/store", "source");
    assert_ne!(path("/srv/store", "source").base_name(), ours.base_name());
    assert_ne!(path("/nix/store", "sourcf").base_name()[..32], ours.base_name()[..32]);
    assert!(source_store_path(&StoreDir::default(), "../source", &sha256).is_err());
}
