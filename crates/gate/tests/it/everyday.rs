//! What people type every day, on signed content, as a user of the daemon of a machine with a gate that `touchstone gate on`
//! made: stock commands of Nix and nothing else.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::json;
use testkit::{ChannelTarball, world::Server};

use crate::{
    command::Owner,
    machine::{Machine, Ran, on_each},
};

/// A package set with a compiler's environment, as far as `nix-shell` and `nix develop` look at it.
const SET: &str = r#"{ system ? builtins.currentSystem, config ? { }, overlays ? [ ], ... }:
let
  make = name: text: more: derivation ({ inherit name system; builder = "/bin/bash"; args = [ "-e" "-c" text ]; } // more);
in rec {
  pkgs = import ./. { inherit system; };
  stdenv = make "stdenv" "/bin/busybox mkdir $out; echo 'for i in $buildInputs $nativeBuildInputs; do PATH=$i/bin:$PATH; done; export PATH' > $out/setup" { };
  library = make "library" "/bin/busybox mkdir -p $out; echo VERSION > $out/version" { };
  hello = make "hello" "/bin/busybox mkdir -p $out/bin; echo '#!/bin/sh' > $out/bin/hello; echo echo hello VERSION, by $(< $library/version) >> $out/bin/hello; /bin/busybox chmod +x $out/bin/hello" {
    inherit library stdenv; buildInputs = [ library ]; greeting = "environment VERSION"; outputs = [ "out" ];
  };
  runCommand = name: more: text: make name text (more // { inherit stdenv; });
}
"#;

const FLAKE: &str =
    "{ outputs = { self }: { legacyPackages.x86_64-linux = import ./. { system = \"x86_64-linux\"; }; }; }";

const LISTED: [&str; 3] = ["hello", "stdenv", "library"];

fn files(version: &str) -> Vec<(&'static str, String)> {
    vec![
        ("default.nix", SET.replace("VERSION", version)),
        ("flake.nix", FLAKE.to_owned()),
    ]
}

/// A machine where people work.
struct Everyday<'a> {
    owner: Owner<'a>,
    path: String,
}

impl<'a> Everyday<'a> {
    fn new(machine: &'a Machine) -> Self {
        // The unpacked systems have no bash, and what it needs.
        let tools = machine.path("tools");
        fs::create_dir_all(&tools).unwrap();
        fs::copy("/bin/bash", tools.join("bash")).unwrap();
        fs::set_permissions(tools.join("bash"), fs::Permissions::from_mode(0o755)).unwrap();
        let owner = Owner::of_conf(
            machine,
            &borrowed(&files("1.0")),
            &expressions(machine, "1.0"),
            &format!(
                "\nsandbox-paths = /bin/sh=/bin/busybox /bin/busybox /bin/bash={}/bash /lib64 /lib /usr/lib /usr/lib64?\nkeep-outputs = false\n",
                tools.display()
            ),
        );
        owner.on().ok();
        Self {
            owner,
            path: format!("export PATH={}:$PATH;", tools.display()),
        }
    }

    fn user(&self, line: &str) -> Ran {
        self.owner.user(&format!("{} {line}", self.path))
    }

    fn says(&self, line: &str, expected: &str) {
        let ran = self.user(line);
        assert!(
            ran.code == Some(0) && ran.out.contains(expected),
            "{line}: {ran:?}\n{:?}",
            self.owner.gate(&["status"])
        );
    }

    fn refused(&self, line: &str) {
        let ran = self.user(line);
        ran.refused_by_hook();
    }

    /// What `machine` calls `<nixpkgs>`.
    fn tree(&self) -> String {
        let tree = self.owner.machine.path("state/current/nixexprs");
        tree.display().to_string()
    }
}

fn borrowed<'f>(files: &'f [(&'static str, String)]) -> Vec<(&'static str, &'f str)> {
    files.iter().map(|(path, text)| (*path, text.as_str())).collect()
}

/// What a release of that version lists.
fn expressions(machine: &Machine, version: &str) -> Vec<String> {
    let tree = machine.write(&format!("tree-{version}/default.nix"), &SET.replace("VERSION", version));
    let of = |name: &&str| format!("(import {tree} {{ system = \"x86_64-linux\"; }}).{name}");
    LISTED.iter().map(of).collect()
}

/// A flake of ann's that locks the release of that version.
fn flake(machine: &Machine, version: &str) -> String {
    let nar = ChannelTarball::new(&borrowed(&files(version))).tree_nar;
    let from = json!({ "owner": "example", "repo": "nixpkgs", "type": "github" });
    let mut locked = from.clone();
    locked["narHash"] = nar.to_sri().into();
    locked["lastModified"] = 1.into();
    locked["rev"] = "0123456789012345678901234567890123456789".into();
    let lock = json!({
        "nodes": { "nixpkgs": { "locked": locked, "original": from }, "root": { "inputs": { "nixpkgs": "nixpkgs" } } },
        "root": "root",
        "version": 7,
    });
    machine.write(&format!("flake-{version}/flake.lock"), &lock.to_string());
    let file = machine.write(
        &format!("flake-{version}/flake.nix"),
        "{ inputs.nixpkgs.url = \"github:example/nixpkgs\"; outputs = { self, nixpkgs }: { packages.x86_64-linux = { \
         inherit (nixpkgs.legacyPackages.x86_64-linux) hello library; own = nixpkgs.legacyPackages.x86_64-linux.runCommand \"own\" { } \
         \"echo > $out\"; }; }; }",
    );
    Path::new(&file).parent().unwrap().display().to_string()
}

#[test]
fn channels_environments_shells_and_builds_of_a_user_work_on_signed_content() {
    on_each(|machine| {
        let mut everyday = Everyday::new(machine);
        let _daemon = everyday.owner.daemon("");
        let site = machine.path("served/channel");
        fs::create_dir_all(&site).unwrap();
        fs::write(site.join("index.html"), "a channel").unwrap();
        let serve = |version: &str| {
            let tarball = ChannelTarball::new(&borrowed(&files(version)));
            fs::write(site.join("nixexprs.tar.xz"), &tarball.bytes).unwrap();
        };
        serve("1.0");
        let server = Server::start(&machine.path("served"));
        everyday.says(
            &format!(
                "nix-channel --add {}/channel nixpkgs && nix-channel --update",
                server.url()
            ),
            "",
        );
        // By the name of the channel, as its user has it.
        everyday.says("nix-build \"<nixpkgs>\" -A hello --no-out-link", "-hello");
        everyday.says("nix-env -iA nixpkgs.hello && $HOME/.nix-profile/bin/hello", "hello 1.0");
        everyday.says("nix-env -q", "hello");
        everyday.says("nix-shell -p hello --run hello", "hello 1.0, by 1.0");
        everyday.says(
            "nix-shell \"<nixpkgs>\" -A hello --run \"echo \\$greeting\"",
            "environment 1.0",
        );
        let own = machine.write(
            "home-ann/shell.nix",
            "with import <nixpkgs> { }; runCommand \"own\" { buildInputs = [ hello ]; } \"exit 1\"",
        );
        everyday.says(&format!("nix-shell {own} --run hello"), "hello 1.0, by 1.0");
        everyday.refused("nix-build --no-out-link -E \"with import <nixpkgs> { }; runCommand \\\"own\\\" { } \\\"echo > \\$out\\\"\"");

        // The next release, and back.
        serve("2.0");
        everyday.refused("nix-channel --update");
        let listed = expressions(machine, "2.0");
        let listed: Vec<String> = listed.iter().map(|text| everyday.owner.instantiate(text)).collect();
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        everyday.owner.release_files(&borrowed(&files("2.0")), &listed);
        everyday.owner.touchstone(&["update"]).ok();
        everyday.says("nix-channel --update && nix-env -u && $HOME/.nix-profile/bin/hello", "");
        everyday.says("nix-env -iA nixpkgs.hello && $HOME/.nix-profile/bin/hello", "hello 2.0");
        everyday.says("nix-env --rollback && $HOME/.nix-profile/bin/hello", "hello");
        everyday.says(
            "nix-channel --rollback && nix-build \"<nixpkgs>\" -A hello --no-out-link",
            "-hello",
        );
        everyday.says("nix-env -e hello && nix-env -q", "");
        everyday.says(
            "nix-env --rollback; nix-collect-garbage && $HOME/.nix-profile/bin/hello",
            "hello",
        );
        everyday.says("nix-collect-garbage -d", "freed");
        // What was collected is built again.
        everyday.says(
            &format!(
                "nix-env -f {} -iA hello && $HOME/.nix-profile/bin/hello",
                everyday.tree()
            ),
            "hello 2.0",
        );
    });
}

#[test]
fn flakes_profiles_and_development_environments_of_a_user_work_on_signed_content_without_a_network() {
    on_each(|machine| {
        let everyday = Everyday::new(machine);
        let _daemon = everyday.owner.daemon("");
        let flake = flake(machine, "1.0");
        everyday.says(&format!("nix build --no-link path:{flake}\\#hello"), "");
        everyday.says(&format!("nix run path:{flake}\\#hello"), "hello 1.0, by 1.0");
        everyday.says(&format!("nix shell path:{flake}\\#hello -c hello"), "hello 1.0");
        everyday.says(
            &format!("nix develop path:{flake}\\#hello -c bash -c \"echo \\$greeting\""),
            "environment 1.0",
        );
        everyday.says(
            &format!("nix profile install path:{flake}\\#hello && $HOME/.nix-profile/bin/hello"),
            "hello 1.0",
        );
        everyday.says("nix profile list", "hello");
        everyday.says(
            &format!("nix profile install path:{flake}\\#library && nix profile rollback"),
            "",
        );
        everyday.says("nix profile list && $HOME/.nix-profile/bin/hello", "hello 1.0");
        // The tree stays as long as the generation, also when everything else goes.
        everyday.says("nix-collect-garbage -d", "freed");
        everyday.says(&format!("nix build --no-link path:{flake}\\#hello"), "");
        everyday.refused(&format!("nix build --no-link path:{flake}\\#own"));
        everyday.refused(&format!("nix develop path:{flake}\\#own -c true"));
        // A tree that is no installed release is not there.
        let other = self::flake(machine, "3.0");
        let ran = everyday.user(&format!("nix build --no-link path:{other}\\#hello"));
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.err.contains("pre-build-hook"), "{ran:?}");
    });
}
