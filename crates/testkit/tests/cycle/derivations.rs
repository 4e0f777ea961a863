//! A release that lists derivations for machines with a gate: every signer's own Nix lists them again.

use std::{env, fs, path::PathBuf, process::Stdio};

use attestation::{Sha256Digest, pending::Proposal, tuf::TargetFile};
use nixstore::Manifest;
use testkit::{World, peer, world::Output};

const PACKAGES: &str = "{ system ? builtins.currentSystem, ... }:\nlet\n  make = name: more: derivation ({ inherit name system; \
                        builder = \"/bin/sh\"; args = [ \"-c\" \"echo ${name} > $out\" ]; type = \"derivation\"; } // more);\n  \
                        lib = make \"lib\" { };\nin\n{\n  hello = make \"hello\" { inherit lib; };\n  xz = make \"xz\" { };\n}\n";

/// Runs assay as a person, with the Nix that `cargo xtask setup` unpacked on `PATH`.
fn assay(world: &World, person: &str, arguments: &[&str]) -> Output {
    let path = format!("{}:{}", nix().display(), env::var("PATH").unwrap());
    let mut command = world.assay_command(person, arguments);
    command
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let line = format!("{command:?}");
    Output::of_child(command.spawn().unwrap(), line)
}

fn nix() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/nix/bin")
}

/// A world whose package set evaluates, with a proposed first release that lists derivations.
fn proposed() -> Option<(World, String)> {
    if !nix().join("nix-env").is_file() || !rustix::process::geteuid().is_root() {
        peer::missing("no Nix in target/nix, or not root (cargo xtask setup makes it)");
        return None;
    }
    let world = World::with_chain();
    fs::write(world.path("upstream/default.nix"), PACKAGES).unwrap();
    world.commit_upstream("packages");
    let tip = world.git("upstream", &["rev-parse", "HEAD"]);
    world
        .assay("alice", &["import", "--channel", "unstable", "--baseline", tip.trim()])
        .ok();
    world.sign(&["alice", "bob"]);
    let release = ["release", "--channel", "unstable", "--evaluate", "x86_64-linux"];
    let json = assay(&world, "alice", &release).ok();
    Some((world, json["proposal"].as_str().unwrap().to_owned()))
}

#[test]
fn a_list_of_derivations_is_signed_by_those_who_evaluate_it_again_and_published() {
    let Some((world, payload)) = proposed() else { return };
    // Proposing it again is the same proposal; one without the list is another.
    let again = assay(
        &world,
        "alice",
        &["release", "--channel", "unstable", "--evaluate", "x86_64-linux"],
    )
    .ok();
    assert_eq!(again["proposal"], payload);
    for person in ["alice", "bob"] {
        assay(&world, person, &["sign", "--yes"]).ok();
    }
    assay(
        &world,
        "alice",
        &["publish", "--to", "site", "--online-key", "online.key"],
    )
    .ok();
    let mirror = world.mirror();
    let sha256 = mirror.targets("unstable").claims.targets["unstable/derivations-x86_64-linux.txt"]
        .sha256()
        .unwrap();
    let bytes = mirror.read(&format!("targets/unstable/{sha256}.derivations-x86_64-linux.txt"));
    let manifest = Manifest::parse(std::str::from_utf8(&bytes).unwrap()).unwrap();
    let mut names: Vec<_> = manifest
        .derivations
        .iter()
        .map(nixstore::manifest::Line::name)
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["hello", "lib", "xz"], "what is needed is listed too");
    world.subscribe();
    world.update_installs(1);
}

#[test]
fn refuses_to_sign_a_list_that_its_own_nix_does_not_give_or_without_a_nix() {
    let Some((world, payload)) = proposed() else { return };
    let mut proposal = world.proposal(&payload);
    let Proposal::Release { targets, .. } = &mut proposal else {
        panic!()
    };
    let evil = b"touchstone derivations 1 x86_64-linux\n";
    let file = TargetFile::new(evil.len() as u64, Sha256Digest::of(evil));
    targets
        .targets
        .insert("unstable/derivations-x86_64-linux.txt".to_owned(), file);
    let forged = world.forge_proposal(&proposal).to_string();
    assay(&world, "bob", &["sign", "--yes", "--only", &forged])
        .refused("derivations-x86_64-linux.txt: the proposal says");
    // Another kind of machine is evaluated for that kind.
    let Proposal::Release { targets, .. } = &mut proposal else {
        panic!()
    };
    let list = targets.targets.remove("unstable/derivations-x86_64-linux.txt").unwrap();
    targets
        .targets
        .insert("unstable/derivations-aarch64-linux.txt".to_owned(), list);
    let forged = world.forge_proposal(&proposal).to_string();
    assay(&world, "bob", &["sign", "--yes", "--only", &forged])
        .refused("derivations-aarch64-linux.txt: the proposal says");
    let mut bare = world.assay_command("bob", &["sign", "--yes", "--only", &payload]);
    bare.env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Output::of_child(bare.spawn().unwrap(), "assay sign without Nix".to_owned()).failed(3, "install Nix");
    assay(&world, "bob", &["sign", "--yes", "--only", &payload]).ok();
}
