//! A mirror in a directory can hold anything, too.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use fetcher::{Fault, FileTransport, Resource, Transport as _};

fn fetch(site: &Path) -> Result<Vec<u8>, Fault> {
    let transport = FileTransport::new(format!("file://{}", site.display()).parse().unwrap()).unwrap();
    let mut got = Vec::new();
    let result = transport.fetch(&Resource::Timestamp, 10, &mut got);
    result.map(|_| got).map_err(|error| error.fault)
}

#[test]
fn reads_plain_files_within_the_bound_and_nothing_else() {
    let site = tempfile::tempdir().unwrap();
    let site = site.path();
    let file = site.join("metadata/timestamp.json");
    assert!(matches!(fetch(site), Err(Fault::NotFound)));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "0123456789").unwrap();
    assert_eq!(fetch(site).unwrap(), b"0123456789");
    fs::write(&file, "0123456789a").unwrap();
    assert!(matches!(fetch(site), Err(Fault::TooLong { bound: 10 })));

    fs::remove_file(&file).unwrap();
    symlink("/dev/zero", &file).unwrap();
    assert!(matches!(fetch(site), Err(Fault::NotRegular)));
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert!(matches!(fetch(site), Err(Fault::NotRegular)));
}

#[test]
fn is_for_file_urls_only() {
    assert!(FileTransport::new("https://example.org/".parse().unwrap()).is_none());
}
