//! What one person finds to be bad reaches every machine.

use testkit::World;

#[test]
fn one_persons_violation_travels_from_a_desk_to_every_machine() {
    let world = World::published();
    world.subscribe();
    world.update_installs(1);
    world.next_release();
    world.publish();
    world.update_installs(2);
    let unit = ["--channel", "unstable", "--unit", "pkgs/by-name/he/hello"];
    let why = ["--reason", "a decoded script", "--yes"];
    let said = world.assay("carol", &[&["violation"][..], &unit, &why].concat()).ok();
    // Only release 2 brought this content of the unit.
    assert_eq!(said["releases"], serde_json::json!([2]));
    world.publish();
    let refused = world.touchstone(&["update"]);
    assert_eq!(refused.error_code(), "violated");
    refused.failed(1, "carol says: a decoded script");
    world.subscribe_on("new", &world.file_url("site"), "unstable", &[]).ok();
    world.update_is_refused_on("new", "violated");
    // What replaces it comes to everybody.
    world.next_release();
    world.publish();
    world.update_installs(3);
    world.update_installs_on("new", 3);
    // A unit that is nobody's, a release that there is not.
    let nowhere = [
        "violation",
        "--channel",
        "unstable",
        "--unit",
        "pkgs/none",
        "--reason",
        "x",
        "--yes",
    ];
    world.assay("alice", &nowhere).failed(2, "has no unit");
    let later = [&["violation"][..], &unit, &why, &["--release", "9"]].concat();
    world.assay("alice", &later).failed(2, "no such release");
}
