//! Two machines that derive one release from their own clones.

use std::collections::BTreeSet;

use attestation::{StatementId, chain::StatementList, statement::Statement};
use testkit::World;

#[test]
fn two_machines_derive_identical_artefacts() {
    let world = World::published();
    world.propose_release();
    world.sign(&["alice", "bob"]);
    world.publish();
    world.publish_to("bob", "bobs-site").ok();
    // A clone that has seen nothing of this before, and packs its objects otherwise.
    world.new_clone("dora");
    let key = "software:keys/carol.secret.asc";
    let join = [
        "init",
        "--join",
        "--remote",
        "origin",
        "--as",
        "carol",
        "--key",
        key,
        "--chain",
        &world.chain(),
    ];
    world.assay("dora", &join).ok();
    world.git(
        "dora",
        &["fetch", "--quiet", "https://upstream.example/nixpkgs", "nixos-unstable"],
    );
    world.git("dora", &["repack", "-a", "-d", "-q"]);
    world.publish_to("dora", "doras-site").ok();

    let signed = |site: &str| {
        let mut files = world.files(site);
        // The online key's files say when they were made.
        files.retain(|path, _| !path.ends_with("timestamp.json") && !path.ends_with("snapshot.json"));
        files
    };
    let alices = signed("site");
    assert!(alices.keys().any(|path| path.ends_with("nixexprs.tar.xz")));
    assert!(alices.keys().any(|path| path.ends_with("2.unstable.json")));
    // Alice's site has release 1 as well, the others' began with release 2.
    let newest = signed("bobs-site");
    for (path, bytes) in &newest {
        assert!(alices.get(path) == Some(bytes), "{path} differs");
    }
    assert!(newest == signed("doras-site"), "two machines wrote different files");
    assert!(newest.len() >= 8, "{:?}", newest.keys());
}

/// Who reviewed what can be read from the channel, without git: each release brings the statements that it was the first
/// to list, each with its author's signature.
#[test]
fn a_channel_carries_every_statement_that_its_releases_list() {
    let world = World::published();
    world.propose_release();
    world.sign(&["alice", "bob"]);
    world.publish();
    let files = world.files("site");
    let bundle = |sequence: u64| {
        let bytes = &files[&format!("statements/unstable/{sequence}.dsse.json")];
        let envelopes = attestation::dsse::bundle_from_exact(bytes).unwrap();
        let statements = envelopes
            .iter()
            .map(|envelope| Statement::from_exact(&envelope.payload).unwrap());
        let of: BTreeSet<StatementId> = statements.map(|statement| statement.id()).collect();
        assert_eq!(of.len(), envelopes.len());
        of
    };
    let (first, second) = (bundle(1), bundle(2));
    assert!(!first.is_empty() && !second.is_empty() && first.is_disjoint(&second));
    let lists = files.iter().filter(|(path, _)| path.ends_with(".statements.txt"));
    let lists: BTreeSet<String> = lists
        .map(|(_, list)| String::from_utf8(list.clone()).unwrap())
        .collect();
    let all = first.union(&second).copied().collect();
    assert_eq!(
        lists,
        [StatementList::text(&first), StatementList::text(&all)].into(),
        "what is shipped is what was signed"
    );
    // What is there already is not written again, and a site that was lost gets all of it.
    world.publish_to("alice", "another-site").ok();
    for sequence in 1..=2 {
        let path = format!("statements/unstable/{sequence}.dsse.json");
        assert_eq!(world.files("another-site")[&path], files[&path]);
    }
}
