//! What the fuzz targets check (crates/policy/fuzz), on their seeds and on what lies near them: so that they go on to compile,
//! and to hold, between two runs of a fuzzer.

#[path = "../../fuzz/checks/canonical_json.rs"]
mod canonical_json;
#[path = "../../fuzz/checks/dsse_envelope.rs"]
mod dsse_envelope;
#[path = "../../fuzz/checks/git_object.rs"]
mod git_object;
#[path = "../../fuzz/checks/keyring.rs"]
mod keyring;
#[path = "../../fuzz/checks/names_and_times.rs"]
mod names_and_times;
#[path = "../../fuzz/checks/policy_toml.rs"]
mod policy_toml;
#[path = "../../fuzz/seeds.rs"]
mod seeds;
#[path = "../../fuzz/checks/signature_packet.rs"]
mod signature_packet;
#[path = "../../fuzz/checks/statement.rs"]
mod statement;
#[path = "../../fuzz/checks/tuf_metadata.rs"]
mod tuf_metadata;

use std::collections::BTreeSet;

fn check(target: &str) -> fn(&[u8]) {
    match target {
        "canonical_json" => canonical_json::run,
        "dsse_envelope" => dsse_envelope::run,
        "git_object" => git_object::run,
        "keyring" => keyring::run,
        "names_and_times" => names_and_times::run,
        "policy_toml" => policy_toml::run,
        "signature_packet" => signature_packet::run,
        "statement" => statement::run,
        "tuf_metadata" => tuf_metadata::run,
        other => panic!("{other} has no check"),
    }
}

#[test]
fn every_fuzz_target_holds_on_honest_input_and_near_it() {
    let mut targets = BTreeSet::new();
    for (target, honest) in seeds::all() {
        targets.insert(target);
        let check = check(target);
        check(&honest);
        let step = honest.len() / 24 + 1;
        for at in (0..honest.len()).step_by(step) {
            check(&honest[..at]);
            let mut changed = honest.clone();
            changed[at] ^= 1 << (at % 8);
            check(&changed);
            changed[at] = b'"';
            check(&changed);
            changed.remove(at);
            check(&changed);
            let doubled = [&honest[..at], &honest].concat();
            check(&doubled);
        }
    }
    let manifest = include_str!("../../fuzz/Cargo.toml");
    assert_eq!(manifest.matches("[[bin]]").count(), targets.len(), "{targets:?}");
}
