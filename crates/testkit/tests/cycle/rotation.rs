//! Changing who decides: by the old people and by the new.

use testkit::World;

/// Root 2, in which dave is in carol's place, and the next release under it; published.
pub(crate) fn rotate_carol_out(world: &World) {
    world.new_person("dave");
    std::fs::write(world.path("next.toml"), world.policy(&["alice", "bob", "dave"])).unwrap();
    let propose = ["policy", "propose", "next.toml", "--certificate", "keys/dave.asc"];
    world.assay("alice", &propose).ok();
    let chain = world.chain();
    world.join("dave", &["--chain", &chain]);
    world.sign(&["alice", "bob"]);
    world.assay("alice", &["publish"]).ok();
    world.upstream_bump();
    world.assay("alice", &["import", "--channel", "unstable"]).ok();
    world
        .assay("dave", &["review", "--channel", "unstable", "--approve-all", "--yes"])
        .ok();
    world.sign(&["alice"]);
    world.release();
    world.sign(&["bob", "dave"]);
    world.publish();
}
