//! Every derivation that real Nix makes of a package set is read, written again, and its paths are computed.

use std::{collections::HashMap, fs};

use nixstore::{StorePath, derivation::DerivationHash};

use crate::machine::{Machine, on_each};

#[test]
fn every_path_that_nix_computes_is_computed() {
    on_each(|machine| {
        let set = concat!(env!("CARGO_MANIFEST_DIR"), "/../../xtask/upstream/base");
        let all = machine.nix(&[
            "nix-instantiate",
            set,
            "-A",
            "hello",
            "-A",
            "curl",
            "-A",
            "jq",
            "-A",
            "ripgrep",
        ]);
        all.ok();
        let fixed = "a = derivation { name = \"f\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; outputHash = \
                     \"da39a3ee5e6b4b0d3255bfef95601890afd80709\"; outputHashAlgo = \"sha1\"; };";
        let many = format!(
            "let {fixed} b = {}; in {}",
            Machine::plain(
                "b",
                "x = \"\\n\\t\\r\\\"\\\\é\"; src = builtins.toFile \"t\" \"text\"; inherit a;"
            ),
            Machine::plain(
                "c",
                "outputs = [ \"out\" \"dev\" ]; y = [ a b b.out ]; z = builtins.toFile \"u\" \"u\"; w = \"${b.drvPath}\";"
            )
        );
        machine.instantiate(&many);
        assert!(every_derivation(machine) > 20);
    });
}

/// Checks each derivation of the store; how many there are.
fn every_derivation(machine: &Machine) -> usize {
    let names = fs::read_dir(machine.store_directory()).unwrap();
    let paths: Vec<StorePath> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".drv"))
        .map(|name| name.parse().unwrap())
        .collect();
    let mut known = HashMap::new();
    for path in &paths {
        hash(machine, path, &mut known);
    }
    for path in &paths {
        // Reads, holds against the path, and refuses a second spelling.
        let recipe = machine.store().recipe(path).unwrap();
        let lookup = |path: &StorePath| known.get(path).copied();
        recipe.derivation.check_outputs(recipe.name(), &lookup).unwrap();
    }
    paths.len()
}

fn hash(machine: &Machine, path: &StorePath, known: &mut HashMap<StorePath, DerivationHash>) {
    if known.contains_key(path) {
        return;
    }
    let recipe = machine.store().recipe(path).unwrap();
    for input in recipe.derivation.input_derivations.keys() {
        hash(machine, input, known);
    }
    let hash = recipe.derivation.hash(&|path| known.get(path).copied()).unwrap();
    known.insert(path.clone(), hash);
}
