//! The NixOS module: its logic, under the small module system of the embedded upstream, and a real tree's where there is one.

use serde_json::Value;

use crate::machine::Machine;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

const GOOD: &str = "enable = true; urls = [ \"https://example.org/t\" ]; chain = lib.concatStrings (builtins.genList (_: \"a\") 64); \
                    package = derivation { name = \"touchstone\"; system = \"x86_64-linux\"; builder = \"x\"; };";

fn evaluated(machine: &Machine, services: &str, more: &str) -> Value {
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
