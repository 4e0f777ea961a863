//! What a person and a program are told of mirrors, patches and old generations.

use std::fs;

use crate::world::World;

#[test]
fn mirrors_that_disagree_are_named_by_update_and_status() {
    let mut world = World::new();
    let (behind, gone) = (world.second_site("behind"), world.second_site("gone"));
    let mut arguments = world.subscription();
    arguments.extend([
        "--url".to_owned(),
        behind.url.clone(),
        "--url".to_owned(),
        gone.url.clone(),
    ]);
    let line: Vec<_> = ["subscribe"]
        .into_iter()
        .chain(arguments.iter().map(String::as_str))
        .collect();
    world.run(&line).assert_ok();
    let update = world.run(&["update"]).assert_ok().json();
    let views = |json: &serde_json::Value| -> Vec<String> {
        let mirrors = json["mirrors"].as_array().unwrap();
        mirrors
            .iter()
            .map(|mirror| mirror["view"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(views(&update), ["used", "agrees", "agrees"]);
    world.release("2");
    fs::remove_dir_all(&gone.path).unwrap();
    let update = world.run(&["update"]).assert_ok();
    assert_eq!(views(&update.json()), ["used", "behind", "failed"]);
    assert_eq!(update.json()["mirrors"][1]["code"], "mirror-behind");
    let said = world.run_text(&["update"]).assert_ok().stderr;
    assert!(said.contains("behind: shows timestamp"), "{said}");
    assert!(!said.contains("<4>"), "no priority where no journal listens: {said}");
    let status = world.run(&["status", "--check"]).assert_ok().json();
    assert_eq!(views(&status["asked"]), ["used", "behind", "failed"]);
    // Two signed truths are worse than a slow mirror.
    let attempt = world.state().join("last-update.json");
    let text = fs::read_to_string(&attempt).unwrap();
    let text = text
        .replace("\"behind\"", "\"contradicts\"")
        .replace("mirror-behind", "mirror-contradicts");
    fs::write(&attempt, text).unwrap();
    let status = world.run(&["status", "--check"]);
    assert_eq!(status.exit, Some(1), "{status:?}");
    assert_eq!(status.json()["wrong"][0]["code"], "mirror-contradicts");
}

#[test]
fn a_refused_update_is_remembered_until_one_succeeds_and_a_missing_network_is_no_alarm() {
    let mut world = World::installed();
    world.release("2");
    let away = world.site().with_extension("away");
    fs::rename(world.site(), &away).unwrap();
    world.run(&["update"]).assert_failed(4, "not-found");
    let status = world.run(&["status", "--check"]).assert_ok().json();
    assert_eq!(status["asked"]["failure"]["code"], "not-found", "{status}");
    fs::rename(&away, world.site()).unwrap();
    let timestamp = world.site().join("metadata/timestamp.json");
    let honest = fs::read(&timestamp).unwrap();
    fs::write(&timestamp, "{}").unwrap();
    world.run(&["update"]).assert_failed(1, "malformed");
    let status = world.run(&["status", "--check"]);
    assert_eq!(
        (status.exit, &status.json()["wrong"][0]["code"]),
        (Some(1), &"malformed".into()),
        "{status:?}"
    );
    let line = world.run_text(&["status", "--check"]).stdout;
    assert!(line.starts_with("TOUCHSTONE WARNING - unstable 1 "), "{line}");
    fs::write(&timestamp, honest).unwrap();
    world.run(&["update"]).assert_ok();
    world.run(&["status", "--check"]).assert_ok();
}

#[test]
fn garbage_is_collected_and_what_generations_share_stays() {
    let mut world = World::new();
    world.subscribe().assert_ok();
    for text in ["1", "2", "3"] {
        world.release_patched(text);
        world.run(&["update"]).assert_ok();
    }
    let dry = world.run(&["gc", "--keep", "1", "--dry-run"]).assert_ok().json();
    assert_eq!(
        (&dry["removed"], &dry["kept"]),
        (&serde_json::json!([1, 2]), &serde_json::json!([3]))
    );
    assert_eq!(world.run(&["list"]).json().as_array().unwrap().len(), 3);
    fs::create_dir_all(world.state().join("partial")).unwrap();
    fs::write(world.state().join("partial").join("0".repeat(64)), "half").unwrap();
    let done = world.run(&["gc", "--keep", "1"]).assert_ok().json();
    assert_eq!(done["removed"], serde_json::json!([1, 2]));
    assert_eq!(fs::read_dir(world.state().join("partial")).unwrap().count(), 0);
    world.run(&["verify"]).assert_ok();
    assert_eq!(world.installed_text(), "3");
    // The current one stays, whatever its number.
    world.release_patched("4");
    world.run(&["update"]).assert_ok();
    world.run(&["rollback"]).assert_ok();
    let done = world.run(&["gc", "--keep", "1"]).assert_ok().json();
    assert_eq!(
        (&done["removed"], &done["kept"]),
        (&serde_json::json!([]), &serde_json::json!([3, 4]))
    );
}

#[test]
fn a_patch_is_said_to_be_one() {
    let mut world = World::installed();
    world.release_patched("2");
    let update = world.run(&["update"]).assert_ok().json();
    assert_eq!(
        (&update["outcome"], &update["fetched"]),
        (&"installed".into(), &"patch".into())
    );
    assert_eq!(world.installed_text(), "2");
    world.run(&["verify"]).assert_ok();
    world.release_patched("3");
    world.run(&["update", "--no-links"]).assert_ok();
    world.run(&["verify"]).assert_ok();
}

#[test]
fn a_damaged_generation_is_repaired_when_asked() {
    let world = World::installed();
    let file = world.state().join("current/nixexprs/default.nix");
    fs::remove_file(&file).unwrap();
    fs::write(&file, "evil").unwrap();
    let refused = world.run(&["verify"]);
    refused.assert_failed(1, "other-tree");
    assert!(refused.stderr.contains("touchstone update --repair"), "{refused:?}");
    assert_eq!(
        world.run(&["update", "--repair"]).assert_ok().json()["outcome"],
        "installed"
    );
    world.run(&["verify"]).assert_ok();
}
