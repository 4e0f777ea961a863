//! The NixOS module: its logic, under the small module system of the embedded upstream, and a real tree's where there is one.

use serde_json::Value;

use crate::machine::Machine;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

const GOOD: &str = "enable = true; urls = [ \"https://example.org/t\" ]; chain = lib.concatStrings (builtins.genList (_: \"a\") 64); \
                    package = derivation { name = \"touchstone\"; system = \"x86_64-linux\"; builder = \"x\"; };";

/// Each option, and what follows from it in a unit.
const OPTIONS: [(&str, &str); 14] = [
    ("gate.developerGroup = \"dev\";", "--developer-group 'dev'"),
    ("gate.requestGroup = \"users\";", "--request-group 'users'"),
    ("gate.evaluation.seconds = 60;", "--evaluation-seconds 60"),
    ("gate.evaluation.memory = 4096;", "--evaluation-memory 4096"),
    ("gate.brokenHashes = [ \"x.drv\" ];", "--broken-hash x.drv"),
    (
        "gate.caches = [ \"https://a.example\" ]; gate.builderKeys = [ (\"a-1:\" + KEY) ];",
        "--cache https://a.example --builder-key a-1:bbbb",
    ),
    (
        "gate.caches = [ \"file:///a\" ]; gate.builderKeys = [ (\"a:\" + KEY) (\"b:\" + KEY) ]; gate.neededBuilders = 2;",
        "--needed 2 --listen 127.0.0.1:8412",
    ),
    (
        "gate.caches = [ \"file:///a\" ]; gate.builderKeys = [ (\"a:\" + KEY) ]; gate.listen = \"[::1]:99\";",
        "--listen [::1]:99",
    ),
    (
        "gate.developScripts = [ (lib.concatStrings (builtins.genList (_: \"b\") 64)) ];",
        "--develop-script bbbb",
    ),
    (
        "urls = [ \"https://a.example\" \"https://b.example\" ];",
        "--url https://a.example --url https://b.example",
    ),
    ("channel = \"stable\";", "--channel stable"),
    ("floorRoot = 3;", "--floor-root 3"),
    ("floorRelease = 17;", "--floor-release 17"),
    ("stateDir = \"/srv/t\";", "--state /srv/t"),
];

/// As long as one is.
const BUILDER_KEY: &str = "(lib.concatStrings (builtins.genList (_: \"b\") 43) + \"=\")";

fn evaluated(machine: &Machine, services: &str, more: &str) -> Value {
    let services = services.replace("KEY", BUILDER_KEY);
    let configuration = machine.write(
        "configuration.nix",
        &format!("{{ lib, ... }}: {{ services.touchstone = {{ {GOOD} }} // {{ {services} }}; {more} }}"),
    );
    let base = format!("{ROOT}/xtask/upstream/base");
    let check = format!("{ROOT}/distro/modules/check.nix");
    let line = [
        "nix-instantiate",
        "--eval",
        "--strict",
        "--json",
        &check,
        "--arg",
        "base",
        &base,
        "--arg",
        "configuration",
        &configuration,
    ];
    let out = machine.nix(&line).ok();
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"))
}

#[test]
fn the_module_sets_what_the_gate_needs_and_names_the_option_that_is_wrong() {
    crate::machine::on_each(|machine| {
        let off = evaluated(machine, "", "");
        assert_eq!(off["failed"], serde_json::json!([]));
        assert_eq!(off["settings"], serde_json::json!({}));
        assert_eq!(off["withoutDescription"], serde_json::json!([]));
        // Whatever the rest of the configuration says.
        let on = evaluated(
            machine,
            "gate = { enable = true; developerGroup = \"wheel\"; };",
            "nix.settings = { sandbox = false; substituters = [ \"https://cache.example.org\" ]; cores = 2; };",
        );
        let settings = &on["settings"];
        assert_eq!(settings["pre-build-hook"], "/var/lib/touchstone/gate/pre-build-hook");
        assert_eq!(settings["sandbox"], true);
        assert_eq!(settings["substituters"], serde_json::json!([]));
        assert_eq!(settings["cores"], 2);
        let start = on["services"]["touchstone-gate"].to_string();
        assert!(
            start.contains("gate on --without-nix-conf") && start.contains("--developer-group 'wheel'"),
            "{start}"
        );
        assert!(
            start.contains("--request-group '' --evaluation-seconds 300 --evaluation-memory 8192"),
            "{start}"
        );
        assert_eq!(on["users"]["touchstone-eval"]["isSystemUser"], true);
        let socket = &on["sockets"]["touchstone-approver"]["socketConfig"];
        assert_eq!(socket["ListenStream"], "/var/lib/touchstone/gate/approver.socket");
        let answers = on["services"]["touchstone-approver@"].as_str().unwrap();
        assert!(answers.ends_with("gate approver --once"), "{answers}");
        let after = on["stops"]["touchstone-update"].as_str().unwrap();
        assert!(
            after.starts_with('+') && after.ends_with("gate refresh --if-on"),
            "{after}"
        );
        assert_eq!(on["timers"]["touchstone-update"]["wantedBy"][0], "timers.target");
        let first = on["services"]["touchstone-gate"][0].as_str().unwrap();
        assert!(first.contains(" subscribe --no-fetch "), "{first}");
        // Nobody is asked for outputs, and what was once configured is forgotten.
        assert!(start.contains("--no-caches"), "{start}");
        assert_eq!(on["extraOptions"], "");
        assert_eq!(on["services"]["touchstone-substituter"], Value::Null);
        let set = "gate = { enable = true; caches = [ \"https://a.example\" ]; builderKeys = [ (\"a:\" + KEY) ]; };";
        let asks = evaluated(machine, set, "");
        assert_eq!(
            asks["extraOptions"],
            "!include /var/lib/touchstone/gate/substituter.conf"
        );
        assert_eq!(asks["settings"]["trusted-public-keys"], serde_json::json!([]));
        let serves = asks["services"]["touchstone-substituter"].as_str().unwrap();
        assert!(serves.ends_with("gate serve"), "{serves}");
        assert!(
            asks["services"]["touchstone-gate"]
                .to_string()
                .contains("try-restart nix-daemon"),
            "{asks}"
        );
        assert_eq!(off["sockets"], serde_json::json!({}));
        assert_eq!(off["users"], serde_json::json!({}));
        // Each option arrives where it belongs.
        for (set, argument) in OPTIONS {
            let given = evaluated(machine, &format!("gate.enable = true; {set}"), "");
            assert_eq!(given["failed"], serde_json::json!([]), "{set}");
            let services = given["services"].to_string();
            assert!(services.contains(argument), "{set}: {services}");
        }
        for (wrong, option) in [
            ("urls = [ ];", "services.touchstone.urls"),
            ("chain = \"abc\";", "services.touchstone.chain"),
            ("floorRoot = 0;", "services.touchstone.floorRoot"),
            ("floorRelease = 0;", "services.touchstone.floorRelease"),
            ("stateDir = \"state\";", "services.touchstone.stateDir"),
            ("channel = \"../x\";", "services.touchstone.channel"),
            (
                "gate.developerGroup = \"a b\";",
                "services.touchstone.gate.developerGroup",
            ),
            ("gate.requestGroup = \"a b\";", "services.touchstone.gate.requestGroup"),
            (
                "gate.evaluation.seconds = 0;",
                "services.touchstone.gate.evaluation.seconds",
            ),
            (
                "gate.evaluation.memory = 1;",
                "services.touchstone.gate.evaluation.memory",
            ),
            (
                "gate.caches = [ \"a b\" ]; gate.builderKeys = [ (\"a:\" + KEY) ];",
                "services.touchstone.gate.caches",
            ),
            (
                "gate.caches = [ \"https://a.example\" ];",
                "services.touchstone.gate.builderKeys",
            ),
            ("gate.builderKeys = [ \"a\" ];", "services.touchstone.gate.builderKeys"),
            (
                "gate.caches = [ \"https://a.example\" ]; gate.builderKeys = [ (\"a:\" + KEY) ]; gate.neededBuilders = 2;",
                "services.touchstone.gate.neededBuilders",
            ),
            ("gate.listen = \"0.0.0.0:8412\";", "services.touchstone.gate.listen"),
            (
                "gate.brokenHashes = [ \"x\" ];",
                "services.touchstone.gate.brokenHashes",
            ),
            (
                "gate.developScripts = [ \"x\" ];",
                "services.touchstone.gate.developScripts",
            ),
        ] {
            let failed = evaluated(machine, wrong, "")["failed"].clone();
            let failed = failed.as_array().unwrap().clone();
            assert_eq!(failed.len(), 1, "{wrong}: {failed:?}");
            assert!(failed[0].as_str().unwrap().starts_with(option), "{wrong}: {failed:?}");
        }
    });
}

#[test]
fn the_flake_has_the_outputs_that_the_documents_name() {
    crate::machine::on_each(|machine| {
        // Nothing of nixpkgs is here: names are evaluated, and no package.
        let expression = format!(
            "let names = builtins.attrNames; flake = import {ROOT}/flake.nix; \
             nixpkgs = {{ lib.genAttrs = list: f: builtins.listToAttrs (map (name: {{ inherit name; value = f name; }}) list); \
             legacyPackages = {{ x86_64-linux = {{ }}; aarch64-linux = {{ }}; }}; }}; \
             outputs = flake.outputs {{ self = outputs; inherit nixpkgs; }}; \
             in {{ all = names outputs; packages = names outputs.packages.x86_64-linux; systems = names outputs.packages; \
             checks = names outputs.checks.x86_64-linux; modules = names outputs.nixosModules; shells = names outputs.devShells.x86_64-linux; \
             inputs = names flake.inputs; module = builtins.isFunction outputs.nixosModules.default; }}"
        );
        let out = machine
            .nix(&["nix-instantiate", "--eval", "--strict", "--json", "-E", &expression])
            .ok();
        let found: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"));
        assert_eq!(
            found,
            serde_json::json!({
                "all": ["checks", "devShells", "nixosModules", "packages"],
                "packages": ["assay", "default", "touchstone", "touchstone-hook"],
                "systems": ["aarch64-linux", "x86_64-linux"],
                "checks": ["assay", "format", "gate", "touchstone", "touchstone-hook"],
                "modules": ["default"],
                "shells": ["default"],
                "inputs": ["nixpkgs"],
                "module": true,
            })
        );
    });
}

#[test]
fn every_option_of_the_module_arrives_in_the_units_of_a_real_nixos() {
    let Some(repository) = std::env::var_os("TOUCHSTONE_NIXPKGS") else {
        return testkit::peer::missing("TOUCHSTONE_NIXPKGS=<git directory> names a nixpkgs with a NixOS");
    };
    crate::machine::on_each(|machine| {
        let tree = machine.path("nixpkgs");
        std::fs::create_dir_all(&tree).unwrap();
        let unpack = format!(
            "git --git-dir=\"$1\" archive HEAD default.nix .version lib nixos pkgs | tar -x -C '{}'",
            tree.display()
        );
        let mut shell = std::process::Command::new("bash");
        let status = shell
            .args(["-o", "pipefail", "-c", &unpack, "-"])
            .arg(&repository)
            .status();
        assert!(status.unwrap().success());
        let evaluated = |gate: bool, set: &str| {
            let urls = if set.starts_with("urls") {
                ""
            } else {
                "urls = [ \"https://example.org/t\" ];"
            };
            let services = format!(
                "lib: let key = {BUILDER_KEY}; in {{ enable = true; chain = lib.concatStrings (builtins.genList (_: \"a\") 64); {urls} gate.enable = {gate}; {set} }}",
                set = set.replace("KEY", "key")
            );
            let check = format!("{ROOT}/distro/modules/check-nixos.nix");
            let tree = tree.display().to_string();
            let line = [
                "nix-instantiate",
                "--eval",
                "--strict",
                "--json",
                &check,
                "--arg",
                "tree",
                &tree,
                "--arg",
                "services",
                &services,
            ];
            let out = machine.nix(&line).ok();
            serde_json::from_str::<Value>(&out).unwrap_or_else(|_| panic!("{out}"))
        };
        for (set, argument) in OPTIONS {
            let found = evaluated(true, set);
            assert_eq!(found["failed"], serde_json::json!([]), "{set}");
            let units = found["units"].to_string();
            assert!(units.contains(argument), "{set}: {units}");
        }
        let off = evaluated(false, "");
        let units: Vec<&String> = off["units"].as_object().unwrap().keys().collect();
        assert_eq!(units, ["touchstone-update.service", "touchstone-update.timer"], "{off}");
        let failed = evaluated(true, "urls = [ ];");
        assert!(
            failed["failed"][0]
                .as_str()
                .unwrap()
                .starts_with("services.touchstone.urls"),
            "{failed}"
        );
    });
}
