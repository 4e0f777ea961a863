//! What people ask of releases: which one a path or a lock is of (`why`, `audit`), and a copy to serve (`mirror`).

use std::{fs, path::Path};

use attestation::Sha256Digest;
use nixstore::Manifest;
use serde_json::{Value, json};

use crate::{
    nix::{Nix, Serve},
    violated::say,
    web::Web,
    world::{Ran, TOUCHSTONE, World},
};

/// A flake.lock with these inputs.
fn lock(world: &World, inputs: &Value) -> String {
    let path = world.path("flake.lock");
    let mut nodes = inputs.clone();
    nodes["root"] = json!({"inputs": {}});
    let text = json!({"nodes": nodes, "root": "root", "version": 7}).to_string();
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn locked(nar: Sha256Digest) -> Value {
    json!({"locked": {"type": "github", "owner": "NixOS", "repo": "nixpkgs", "narHash": nar.to_sri()}})
}

/// The verdict on the one input that has one.
fn verdict(ran: &Ran) -> (Option<i32>, String) {
    let json = ran.json();
    let inputs = json["inputs"].as_array().unwrap_or_else(|| panic!("{ran:?}"));
    let judged = inputs.iter().map(|input| input["verdict"].as_str().unwrap());
    let judged: Vec<_> = judged.filter(|verdict| *verdict != "not-judged").collect();
    assert_eq!(judged.len(), 1, "{ran:?}");
    (ran.exit, judged[0].to_owned())
}

fn is(exit: i32, verdict: &str) -> (Option<i32>, String) {
    (Some(exit), verdict.to_owned())
}

/// Release 1 is on the site only, release 2 is installed.
fn two_releases() -> (World, Sha256Digest, Sha256Digest) {
    let mut world = World::new();
    let first = world.newest().tree_nar;
    world.release("2");
    world.subscribe().assert_ok();
    world.run(&["update"]).assert_ok();
    let second = world.newest().tree_nar;
    (world, first, second)
}

#[test]
fn an_audit_finds_the_release_of_a_lock_whether_it_is_installed_or_only_listed() {
    let (world, first, second) = two_releases();
    for (nar, sequence, behind) in [(first, 1, 1), (second, 2, 0), (world.newest().nar, 2, 0)] {
        let lock = lock(&world, &json!({"nixpkgs": locked(nar)}));
        let audit = world.run(&["audit", &lock]);
        assert_eq!(verdict(&audit), is(0, "released"), "{audit:?}");
        let input = &audit.json()["inputs"][0];
        assert_eq!(
            (&input["release"]["sequence"], &input["behind"]),
            (&sequence.into(), &behind.into()),
            "{input}"
        );
        assert_eq!(input["release"]["signed-by"], json!(["alice", "bob"]));
    }
    // Without asking anybody, what is installed is known and nothing else.
    let old = lock(&world, &json!({"nixpkgs": locked(first)}));
    assert_eq!(verdict(&world.run(&["audit", "--offline", &old])), is(1, "unknown"));
    let new = lock(&world, &json!({"nixpkgs": locked(second)}));
    fs::rename(world.site(), world.site().with_extension("away")).unwrap();
    assert_eq!(verdict(&world.run(&["audit", &new])), is(0, "released"));
    let directory = world.path("");
    let text = world
        .run_text(&["audit", directory.to_str().unwrap()])
        .assert_ok()
        .stdout;
    assert!(
        text.contains("is release 2 of unstable") && text.contains("as of release 2"),
        "{text}"
    );
}

#[test]
fn an_audit_refuses_another_tree_under_the_commit_or_the_name_of_a_signed_one() {
    let (world, first, _) = two_releases();
    let evil = Sha256Digest::of("another tree");
    let commit = world.run(&["status"]).json()["release"]["commit"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut node = locked(evil);
    node["locked"]["rev"] = json!(commit);
    let refused = world.run(&["audit", &lock(&world, &json!({"nixpkgs": node}))]);
    assert_eq!(verdict(&refused), is(1, "unknown"));
    let wrong = refused.json()["inputs"][0]["wrong"].as_str().unwrap().to_owned();
    assert!(wrong.contains("which is release 2"), "{wrong}");
    // No digest binds nothing, whatever commit it names.
    for digest in [json!(null), json!("sha1-AAAA"), json!("sha256-AAAA")] {
        let mut node = locked(first);
        node["locked"]["narHash"] = digest;
        let refused = world.run(&["audit", &lock(&world, &json!({"nixpkgs": node}))]);
        assert_eq!(verdict(&refused), is(1, "no-digest"), "{refused:?}");
    }
    // By the name of the input, of the repository, of the address: each is enough to be judged.
    for node in [
        json!({"locked": {"type": "git", "url": "https://example.org/nixpkgs", "narHash": evil.to_sri()}}),
        json!({"locked": {"type": "tarball", "url": "https://channels.nixos.org/nixos-unstable/x", "narHash": evil.to_sri()}}),
        json!({"locked": {"narHash": evil.to_sri()}, "original": {"id": "nixpkgs", "type": "indirect"}}),
    ] {
        let refused = world.run(&["audit", &lock(&world, &json!({"pkgs": node}))]);
        assert_eq!(verdict(&refused), is(1, "unknown"), "{node}");
    }
}

#[test]
fn an_audit_refuses_a_release_that_people_have_said_to_be_bad() {
    let (mut world, first, second) = two_releases();
    let bad = lock(&world, &json!({"nixpkgs": locked(first)}));
    assert_eq!(verdict(&world.run(&["audit", &bad])), is(0, "released"));
    say(&mut world, "a backdoor", first);
    world.run(&["update"]).assert_ok();
    let refused = world.run(&["audit", &bad]);
    assert_eq!(verdict(&refused), is(1, "violated"));
    assert!(refused.stdout.contains("dave says"), "{refused:?}");
    let good = lock(&world, &json!({"nixpkgs": locked(second)}));
    assert_eq!(verdict(&world.run(&["audit", &good])), is(0, "released"));
}

#[test]
fn an_audit_says_what_it_did_not_judge_and_never_that_nothing_is_fine() {
    let (world, _, second) = two_releases();
    let other = json!({"locked": {"type": "github", "repo": "flake-utils", "narHash": Sha256Digest::of("x").to_sri()}});
    let path = lock(&world, &json!({"utils": other, "nixpkgs": locked(second)}));
    let audit = world.run(&["audit", &path]);
    assert_eq!(verdict(&audit), is(0, "released"));
    let text = world.run_text(&["audit", &path]).assert_ok().stdout;
    assert!(text.contains("was not judged"), "{text}");
    let named = world.run(&["audit", "--input", "utils", &path]);
    assert_eq!(
        (named.exit, &named.json()["good"]),
        (Some(1), &json!(false)),
        "{named:?}"
    );
    world
        .run(&["audit", "--input", "other", &path])
        .assert_failed(2, "no-such-input");
    let path = lock(&world, &json!({"utils": other}));
    world.run(&["audit", &path]).assert_failed(1, "nothing-judged");
    // A name that would write on the terminal is written as text.
    let path = lock(&world, &json!({"nixpkgs\u{1b}[2K": locked(Sha256Digest::of("x"))}));
    let text = world.run_text(&["audit", &path]);
    assert!(text.exit == Some(1) && !text.stdout.contains('\u{1b}'), "{text:?}");
}

#[test]
fn an_audit_takes_no_list_of_releases_but_the_signed_one_and_no_file_but_a_lock() {
    let (world, first, _) = two_releases();
    let path = lock(&world, &json!({"nixpkgs": locked(first)}));
    let targets = world.site().join("targets/unstable");
    let newest = world.chain.visit("unstable").unwrap();
    let target = newest.target("unstable", "unstable/releases.json").unwrap();
    let list = targets.join(format!("{}.releases.json", target.get().sha256().unwrap()));
    let honest = fs::read(&list).unwrap();
    // The older release's list, and one of the same length.
    let older = fs::read_dir(&targets).unwrap().map(|entry| entry.unwrap().path());
    let older: Vec<_> = older
        .filter(|path| path.to_string_lossy().ends_with("releases.json") && *path != list)
        .collect();
    for bytes in [fs::read(&older[0]).unwrap(), vec![b' '; honest.len()]] {
        fs::write(&list, bytes).unwrap();
        world.run(&["audit", &path]).assert_failed(1, "other-target");
    }
    fs::remove_file(&list).unwrap();
    world.run(&["audit", &path]).assert_failed(4, "not-found");
    fs::write(&list, honest).unwrap();
    assert_eq!(verdict(&world.run(&["audit", &path])), is(0, "released"));
    for (text, what) in [
        ("", "empty"),
        ("[]", "an array"),
        (
            "{\"nodes\":{\"nixpkgs\":{},\"nixpkgs\":{}},\"root\":\"root\",\"version\":7}",
            "with an input twice",
        ),
        ("{\"nodes\":{},\"root\":\"root\",\"version\":99}", "of a newer version"),
        (
            "{\"nodes\":{\"a\":7},\"root\":\"root\",\"version\":7}",
            "with a number for a node",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let ran = world.run(&["audit", &path]);
        assert_eq!(
            (ran.exit, &ran.json()["error"]["code"]),
            (Some(2), &json!("no-lock")),
            "{what}: {ran:?}"
        );
    }
    world.run(&["audit", "/nonexistent"]).assert_failed(2, "no-lock");
}

#[test]
fn why_names_the_release_and_the_people_of_a_file_and_refuses_a_touched_one() {
    let world = World::installed();
    let file = world.state().join("current/nixexprs/pkgs/hello/default.nix");
    let why = world.run(&["why", file.to_str().unwrap()]).assert_ok().json();
    assert_eq!(
        (&why["is"], &why["file"], &why["release"]["sequence"]),
        (&json!("file"), &json!("pkgs/hello/default.nix"), &json!(1)),
        "{why}"
    );
    assert_eq!(why["release"]["signed-by"], json!(["alice", "bob"]));
    let text = world.run_text(&["why", file.to_str().unwrap()]).assert_ok().stdout;
    assert!(
        text.contains("release 1 of unstable") && text.contains("signed by alice and bob"),
        "{text}"
    );
    // A copy of the tree, wherever it lies, is the tree; with one more byte it is nobody's.
    let copy = world.path("copy");
    copy_tree(&file.parent().unwrap().join("../.."), &copy);
    let why = world.run(&["why", copy.to_str().unwrap()]).assert_ok().json();
    assert_eq!(
        (&why["is"], &why["release"]["tree"]),
        (&json!("tree"), &json!("channel"))
    );
    fs::write(copy.join("more"), "x").unwrap();
    world
        .run(&["why", copy.to_str().unwrap()])
        .assert_failed(1, "not-released");
    // Another file of the generation was touched: no file of it is said to be signed.
    let other = world.state().join("current/nixexprs/default.nix");
    fs::remove_file(&other).unwrap();
    fs::write(&other, "evil").unwrap();
    world
        .run(&["why", file.to_str().unwrap()])
        .assert_failed(1, "other-tree");
    world.run(&["why", "/nonexistent"]).assert_failed(2, "no-such-path");
    world.run(&["why", "/etc/passwd"]).assert_failed(1, "not-released");
}

fn copy_tree(from: &Path, to: &Path) {
    let mut cp = std::process::Command::new("cp");
    assert!(cp.arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn why_says_of_a_violated_release_that_it_is_and_fails() {
    let mut world = World::installed();
    let bad = world.newest().tree_nar;
    let copy = world.path("copy");
    copy_tree(&world.state().join("current/nixexprs"), &copy);
    world.release("2");
    world.run(&["update"]).assert_ok();
    let path = copy.to_str().unwrap();
    world.run(&["why", path]).assert_ok();
    say(&mut world, "a backdoor", bad);
    world.run(&["update"]).assert_ok();
    let why = world.run(&["why", path]);
    assert_eq!(
        (why.exit, &why.json()["release"]["violated"][0]["by"]),
        (Some(1), &json!("dave")),
        "{why:?}"
    );
}

#[test]
fn why_knows_channels_sources_derivations_and_outputs_in_the_store() {
    for nix in Nix::versions() {
        let mut world = World::new();
        let set = "{ ... }: { hello = derivation { name = \"hello\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
                   args = [ \"-c\" \"echo hi > $out\" ]; }; }";
        world.release(set);
        world.subscribe().assert_ok();
        world.run(&["update"]).assert_ok();
        let state = world.state().display().to_string();
        let why = |path: &str| {
            let output = nix.run(&[TOUCHSTONE, "--format", "json", "--state", &state, "why", path]);
            Ran::from(output)
        };
        // As nix-channel unpacks it, by the link in the user's home and by the object in the store.
        let serve = Serve::start(&world);
        nix.ok(&["nix-channel", "--add", serve.url("channel-url"), "nixpkgs"]);
        nix.ok(&["nix-channel", "--update"]);
        let found = nix.ok(&["nix-instantiate", "--find-file", "nixpkgs"]);
        for path in [found.clone(), format!("{found}/default.nix")] {
            let why = why(&path).assert_ok().json();
            assert_eq!(
                (&why["release"]["sequence"], &why["release"]["tree"]),
                (&json!(2), &json!("channel")),
                "{why}"
            );
        }
        // As flakes look for it.
        let pinned = nix.ok(&[TOUCHSTONE, "--format", "json", "--state", &state, "pin"]);
        let pinned: Value = serde_json::from_str(&pinned).unwrap();
        let answer = why(pinned["store-path"].as_str().unwrap()).assert_ok().json();
        assert_eq!(answer["release"]["tree"], "source", "{answer}");

        // A derivation, and what was built of it: known once a release lists them.
        let nix_path = format!(
            "nixpkgs={}",
            world.state().join("current/nixexprs").canonicalize().unwrap().display()
        );
        let drv = nix.ok(&["nix-instantiate", "-I", &nix_path, "<nixpkgs>", "-A", "hello"]);
        let out = nix.ok(&["nix-store", "--realise", &drv]);
        why(&out).assert_failed(1, "not-released");
        world.release_with_target(
            &format!("derivations-{}.txt", system()),
            manifest(&nix, &drv).as_bytes(),
        );
        world.run(&["update"]).assert_ok();
        for (path, is) in [(&out, "output"), (&drv, "derivation")] {
            let answer = why(path).assert_ok().json();
            assert_eq!(
                (&answer["is"], &answer["derivation"]),
                (&json!(is), &json!(drv)),
                "{answer}"
            );
            assert_eq!(answer["release"]["sequence"], 3, "{answer}");
        }
        // Something else that Nix built is nobody's.
        let other = nix.ok(&[
            "nix-instantiate",
            "--expr",
            "derivation { name = \"other\"; system = \"x\"; builder = \"/bin/sh\"; }",
        ]);
        why(&other).assert_failed(1, "not-released");
    }
}

fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

/// The list of one derivation, read from the store of that Nix.
fn manifest(nix: &Nix, drv: &str) -> String {
    let bytes = fs::read(nix.home.path().join(nix.name).join(drv.trim_start_matches('/'))).unwrap();
    let derivation = nixstore::Derivation::parse(&bytes).unwrap();
    let path = nixstore::StorePath::parse_in(&nixstore::StoreDir::default(), drv).unwrap();
    Manifest::new(system(), &[(path, derivation)].into()).to_text()
}

#[test]
fn a_mirror_is_a_channel_that_others_subscribe_to_and_stock_nix_reads() {
    let mut world = World::new();
    world.subscribe().assert_ok();
    let copy = world.path("copy");
    let to = copy.to_str().unwrap().to_owned();
    let mirror = ["mirror", "--to", &to];
    let made = world.run(&mirror).assert_ok().json();
    assert_eq!(
        (&made["release"]["sequence"], &made["violated"]),
        (&json!(1), &json!(false)),
        "{made}"
    );
    let url = format!("file://{to}");
    let newcomer = world.newcomer(&url);
    let update = world.run_at(&newcomer, &["update"]).assert_ok().json();
    assert_eq!(update["signed-by"], json!(["alice", "bob"]));
    // Again, and again after a release: what is there is not fetched again.
    let again = world.run(&mirror).assert_ok().json();
    assert_eq!(
        (&again["written"], again["kept"].as_u64() > Some(5)),
        (&json!(0), true),
        "{again}"
    );
    world.release_patched("2");
    world.run(&mirror).assert_ok();
    assert_eq!(
        world.run_at(&newcomer, &["update"]).assert_ok().json()["release"]["sequence"],
        2
    );
    assert_eq!(
        world.run_at(&newcomer, &["update"]).assert_ok().json()["outcome"],
        "unchanged"
    );
    world.run_at(&newcomer, &["verify"]).assert_ok();
    // What this machine has mirrored it knows, and installs when it is told to.
    assert_eq!(world.run(&["update"]).assert_ok().json()["release"]["sequence"], 2);
    let web = Web::start(&copy);
    for nix in Nix::versions() {
        nix.ok(&[
            "nix-channel",
            "--add",
            &format!("{}/channels/unstable", web.url),
            "nixpkgs",
        ]);
        nix.ok(&["nix-channel", "--update"]);
        let found = nix.ok(&["nix-instantiate", "--find-file", "nixpkgs"]);
        let text = nix.ok(&["/bin/busybox", "cat", &format!("{found}/default.nix")]);
        assert_eq!(text, "2", "{}", nix.name);
    }
}

#[test]
fn a_mirror_copies_nothing_that_it_did_not_verify_and_mends_what_was_touched() {
    let mut world = World::new();
    world.subscribe().assert_ok();
    let copy = world.path("copy");
    let mirror = ["mirror", "--to", copy.to_str().unwrap()];
    world.run(&mirror).assert_ok();
    let timestamp = copy.join("metadata/timestamp.json");
    let before = fs::read(&timestamp).unwrap();
    world.release("2");
    let tarballs = |root: &Path| -> Vec<_> {
        let entries = fs::read_dir(root.join("targets/unstable")).unwrap();
        let all = entries.map(|entry| entry.unwrap().path());
        all.filter(|path| path.to_string_lossy().ends_with(".tar.xz")).collect()
    };
    let copied = tarballs(&copy);
    let fresh = tarballs(&world.site());
    let is_new = |path: &&std::path::PathBuf| copied.iter().all(|old| old.file_name() != path.file_name());
    let fresh = fresh.iter().find(is_new).unwrap();
    let honest = fs::read(fresh).unwrap();
    let mut flipped = honest.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(fresh, flipped).unwrap();
    world.run(&mirror).assert_failed(1, "other-target");
    fs::write(fresh, [&honest[..], b"x"].concat()).unwrap();
    world.run(&mirror).assert_failed(1, "too-long");
    assert_eq!(fs::read(&timestamp).unwrap(), before, "it was announced");
    let url = format!("file://{}", copy.display());
    let newcomer = world.newcomer(&url);
    assert_eq!(
        world.run_at(&newcomer, &["update"]).assert_ok().json()["release"]["sequence"],
        1
    );
    // Made honest again; and what somebody touched in the copy is replaced.
    fs::write(fresh, honest).unwrap();
    world.run(&mirror).assert_ok();
    for path in tarballs(&copy) {
        fs::write(path, "evil").unwrap();
    }
    fs::write(&timestamp, "{}").unwrap();
    world.run(&mirror).assert_ok();
    assert_eq!(
        world.run_at(&newcomer, &["update"]).assert_ok().json()["release"]["sequence"],
        2
    );
    // A list of what lies about: nothing unfinished.
    let left: Vec<_> = walk(&copy)
        .into_iter()
        .filter(|path| path.contains(".incoming"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_mirror_passes_on_what_people_have_said_to_be_bad() {
    let mut world = World::new();
    let bad = world.newest().tree_nar;
    world.subscribe().assert_ok();
    let copy = world.path("copy");
    let mirror = ["mirror", "--to", copy.to_str().unwrap()];
    world.run(&mirror).assert_ok();
    let newcomer = world.newcomer(&format!("file://{}", copy.display()));
    world.run_at(&newcomer, &["update"]).assert_ok();
    say(&mut world, "a backdoor", bad);
    assert_eq!(world.run(&mirror).assert_ok().json()["violated"], true);
    world.run_at(&newcomer, &["update"]).assert_failed(1, "violated");
    world.run_at(&newcomer, &["verify"]).assert_failed(1, "violated");
}

fn walk(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}
