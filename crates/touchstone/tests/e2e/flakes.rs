//! Flakes of two real versions of Nix against `touchstone serve` and `touchstone pin`: built, run and entered, not only
//! evaluated.

use std::{env, fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    nix::{Nix, Serve, locked},
    world::{TOUCHSTONE, World},
};

/// What upstream's tree is here: a package set with one program that says `text`, and the flake that every nixpkgs has.
fn files(text: &str) -> [(&'static str, String); 2] {
    let set = format!(
        "{{ system ? builtins.currentSystem, ... }}: {{ hello = derivation {{\n  name = \"hello\"; inherit system; \
         builder = \"/bin/sh\"; greeting = \"{text}\";\n  args = [ \"-c\" \"mkdir -p $out/bin; \
         printf '#!/bin/sh\\necho %s\\n' $greeting > $out/bin/hello; chmod +x $out/bin/hello\" ];\n}};\ndevelopment = derivation {{ name = \"development\"; inherit system; builder = \"/bin/bash\"; outputs = [ \"out\" ]; \
         greeting = \"{text}\"; }}; }}\n"
    );
    let flake = "{ outputs = { self }: { legacyPackages = builtins.listToAttrs (map (system: { name = system; value = \
                 import ./. { inherit system; }; }) [ \"x86_64-linux\" \"aarch64-linux\" ]); }; }\n";
    [("default.nix", set), ("flake.nix", flake.to_owned())]
}

fn release(world: &mut World, text: &str) {
    let files = files(text);
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    world.release_files(&files, false);
}

fn installed(text: &str) -> World {
    let mut world = World::new();
    release(&mut world, text);
    world.subscribe().assert_ok();
    world.run(&["update"]).assert_ok();
    world
}

fn system() -> String {
    format!("{}-linux", env::consts::ARCH)
}

/// Somebody's flake with nixpkgs as an input, as people write it.
struct Flake(TempDir);

impl Flake {
    fn of(url: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let system = system();
        let text = format!(
            "{{ inputs.nixpkgs.url = \"{url}\";\n  outputs = {{ self, nixpkgs }}: {{ packages.{system}.default = \
             nixpkgs.legacyPackages.{system}.hello; devShells.{system}.default = nixpkgs.legacyPackages.{system}.development; \
             }}; }}\n"
        );
        fs::write(directory.path().join("flake.nix"), text).unwrap();
        Self(directory)
    }

    fn path(&self) -> String {
        format!("path:{}", self.0.path().display())
    }
}

/// Builds a flake and runs what was built.
fn built(nix: &Nix, flake: &str, more: &[&str]) -> String {
    let link = nix.home.path().join("result").display().to_string();
    nix.ok(&[&["nix", "build", flake, "--out-link", &link][..], more].concat());
    nix.ok(&[&format!("{link}/bin/hello")])
}

#[test]
fn a_flake_whose_input_is_served_is_locked_built_and_run() {
    for nix in Nix::versions() {
        let world = installed("one");
        let serve = Serve::start(&world);
        let flake = Flake::of(serve.url("source-url"));
        assert_eq!(built(&nix, &flake.path(), &[]), "one", "{}", nix.name);
        assert_eq!(locked(&flake.0)["narHash"], world.newest().tree_nar.to_sri());
        // The very derivation that the installed channel has without flakes.
        let by_flake = nix.ok(&["nix", "eval", "--raw", &format!("{}#default.outPath", flake.path())]);
        let status = world.run(&["status"]).assert_ok().json();
        let nix_path = status["pins"]["nix-path"].as_str().unwrap();
        let by_channel = nix.ok(&["nix-build", "-I", nix_path, "<nixpkgs>", "-A", "hello", "--no-out-link"]);
        assert_eq!(by_flake, by_channel, "{}", nix.name);
        assert_eq!(nix.ok(&["nix", "run", &flake.path()]), "one", "{}", nix.name);
    }
}

/// `nix develop` runs bash, in the sandbox and outside; the unpacked Nix has none, the machine that tests has.
#[test]
fn a_development_shell_of_a_locked_flake_opens_without_a_network() {
    for nix in Nix::versions() {
        let world = installed("one");
        let serve = Serve::start(&world);
        let flake = Flake::of(serve.url("source-url"));
        nix.ok(&["nix", "flake", "lock", &flake.path()]);
        drop(serve);
        let bin = nix.home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::copy("/bin/bash", bin.join("bash")).unwrap();
        let (state, bin) = (world.state().display().to_string(), bin.display());
        nix.ok(&[TOUCHSTONE, "--state", &state, "pin"]);
        let path = format!("PATH={bin}:/usr/bin:/bin");
        let paths = format!("/bin/bash={bin}/bash /lib /lib64 /usr/lib /usr/lib64?");
        let line = ["env", &path, "nix", "develop", "--option", "sandbox-paths", &paths];
        let flake = flake.path();
        let said = nix.ok(&[&line[..], &[&flake, "-c", "bash", "-c", "echo $greeting"]].concat());
        assert_eq!(said.lines().last(), Some("one"), "{}: {said}", nix.name);
    }
}

/// What Nix 2.17 and newer lock is the immutable address; 2.8 locks the one that it was given, and the digest.
#[test]
fn a_lock_is_kept_by_the_installed_release_that_it_names_and_never_answered_with_another() {
    for nix in Nix::versions() {
        let mut world = installed("one");
        let serve = Serve::start(&world);
        let flake = Flake::of(serve.url("source-url"));
        nix.ok(&["nix", "flake", "lock", &flake.path()]);
        release(&mut world, "two");
        world.run(&["update"]).assert_ok();
        // Another store, which has nothing of before.
        let fresh = |nix: Nix| Nix {
            home: tempfile::tempdir().unwrap(),
            ..nix
        };
        let mut nix = fresh(nix);
        let result = nix.run(&["nix", "build", "--no-link", &flake.path()]);
        if nix.name == "nix28" {
            let said = String::from_utf8_lossy(&result.stderr);
            assert!(
                !result.status.success() && said.contains("narHash") || said.contains("hash"),
                "{said}"
            );
            // What to do about it: the tree that is locked, in the store, without asking anybody.
            let state = world.state().display().to_string();
            nix.ok(&[TOUCHSTONE, "--state", &state, "pin", "1"]);
        }
        assert_eq!(built(&nix, &flake.path(), &[]), "one", "{}", nix.name);
        // An update of the lock goes to what is current now.
        let lock = fs::read(flake.0.path().join("flake.lock")).unwrap();
        nix.ok(&["nix", "flake", "lock", "--update-input", "nixpkgs", &flake.path()]);
        assert_eq!(built(&nix, &flake.path(), &[]), "two", "{}", nix.name);
        // Once the release is gone, so is what the lock names: refused, not answered with what there is.
        fs::write(flake.0.path().join("flake.lock"), lock).unwrap();
        world.run(&["gc", "--keep", "1"]).assert_ok();
        nix = fresh(nix);
        let gone = nix.run(&["nix", "build", "--no-link", &flake.path()]);
        assert!(!gone.status.success(), "{}: {gone:?}", nix.name);
    }
}

#[test]
fn a_lock_with_another_digest_builds_nothing() {
    for nix in Nix::versions() {
        let world = installed("one");
        let serve = Serve::start(&world);
        let flake = Flake::of(serve.url("source-url"));
        nix.ok(&["nix", "flake", "lock", &flake.path()]);
        let honest = world.newest().tree_nar.to_sri();
        let other = attestation::Sha256Digest::of("another tree").to_sri();
        let file = flake.0.path().join("flake.lock");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(&honest), "{text}");
        fs::write(&file, text.replace(&honest, &other)).unwrap();
        let nix = Nix {
            home: tempfile::tempdir().unwrap(),
            ..nix
        };
        let refused = nix.run(&["nix", "build", "--no-link", &flake.path()]);
        assert!(!refused.status.success(), "{}: {refused:?}", nix.name);
        fs::write(&file, text).unwrap();
        assert_eq!(built(&nix, &flake.path(), &[]), "one", "{}", nix.name);
    }
}

#[test]
fn the_printed_registry_entry_makes_nixpkgs_the_installed_release_without_a_network() {
    for nix in Nix::versions() {
        let world = installed("one");
        let state = world.state().display().to_string();
        let pinned = nix.ok(&[TOUCHSTONE, "--format", "json", "--state", &state, "pin"]);
        let pinned: Value = serde_json::from_str(&pinned).unwrap();
        let registry = json!({"version": 2, "flakes": [pinned["registry"]]});
        let file: PathBuf = nix.home.path().join("registry.json");
        fs::write(&file, registry.to_string()).unwrap();
        let option = ["--option", "flake-registry", file.to_str().unwrap()];
        assert_eq!(built(&nix, "nixpkgs#hello", &option), "one", "{}", nix.name);
    }
}
