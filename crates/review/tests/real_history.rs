//! The partition and the changes on a real nixpkgs: `TOUCHSTONE_NIXPKGS=<git dir>`; skipped without.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

use std::{collections::BTreeSet, path::Path, process::Command, time::Instant};

use attestation::{ChainId, Class, Sha256Digest};
use importer::{ObjectId, Repository};
use review::{Diff, changes};

fn tree(git_dir: &Path, revision: &str) -> ObjectId {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(git_dir)
        .args(["rev-parse", "--verify", &format!("{revision}^{{tree}}")])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn three_hundred_merges_of_nixpkgs_fall_into_units() {
    let Some(git_dir) = std::env::var_os("TOUCHSTONE_NIXPKGS") else {
        eprintln!("skipped: TOUCHSTONE_NIXPKGS names no nixpkgs");
        return;
    };
    let git_dir = Path::new(&git_dir);
    let repository = Repository::open(git_dir).unwrap();
    let (old, new) = (tree(git_dir, "HEAD~300"), tree(git_dir, "HEAD"));
    let chain = ChainId::from_digest(Sha256Digest::of("chain"));
    let begin = Instant::now();
    let found = changes(&repository, chain, Some(old), new).unwrap();
    eprintln!("{} units in {:?}", found.len(), begin.elapsed());

    let files: Vec<_> = found.iter().flat_map(|change| &change.files).collect();
    let expected = repository.change_set(old, new).unwrap();
    let paths: BTreeSet<_> = files.iter().map(|file| &file.change.path).collect();
    let changed: BTreeSet<_> = expected.changes().iter().map(|change| &change.path).collect();
    assert_eq!(paths, changed, "each changed file is in a unit");
    let whole: Vec<_> = files.iter().filter(|file| file.part.is_none()).collect();
    let distinct: BTreeSet<_> = whole.iter().map(|file| &file.change.path).collect();
    assert_eq!(whole.len(), distinct.len(), "each file that is not cut is in one");
    assert!(
        files
            .iter()
            .all(|file| file.part.is_none() || !distinct.contains(&file.change.path))
    );
    assert!(found.iter().all(|change| change.delta.from != change.delta.to));

    let single = found.iter().filter(|change| change.files.len() <= 5).count();
    assert!(
        single * 10 > found.len() * 9,
        "nine of ten units are a matter of a few files"
    );
    assert!(found.iter().any(|change| change.class == Class::New));
    for change in files.iter().take(500) {
        Diff::of(&repository, change, 3).unwrap();
    }
    assert_eq!(
        found,
        changes(&repository, chain, Some(old), new).unwrap(),
        "two derivations differ"
    );
}
