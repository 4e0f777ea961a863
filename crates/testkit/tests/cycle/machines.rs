//! Two machines that derive one release from their own clones.

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
