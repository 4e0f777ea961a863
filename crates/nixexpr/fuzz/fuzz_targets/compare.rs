//! Two states of a file, apart at the first byte `0xff`: nothing panics, what is equal has no findings, and a bump that is
//! certified is one that both texts bear.

#![no_main]

use attestation::unit::FileMode;
use libfuzzer_sys::fuzz_target;
use nixexpr::{Context, UnitFile, audit, bindings, compare, parse};

fuzz_target!(|data: &[u8]| {
    let (old, new) = match data.iter().position(|byte| *byte == 0xff) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    };
    let side = |bytes| [UnitFile { path: "pkgs/x-packages.nix", mode: FileMode::Regular, bytes }];
    let unit = "pkgs/x".parse().expect("a unit");
    let context = Context::default();
    let delta = compare(&unit, &side(old), &side(new), &context);
    if old == new {
        assert!(delta.findings.is_empty() && delta.bump.is_err());
    }
    if delta.bump.is_ok() {
        assert!(parse("x.nix", old).is_ok() && parse("x.nix", new).is_ok());
    }
    audit(&side(new), &context);
    if let Ok(file) = parse("pkgs/x-packages.nix", new) {
        let mut end = 0;
        for binding in bindings(&file) {
            assert!(end <= binding.span.start && binding.span.end <= new.len());
            end = binding.span.end;
        }
    }
});
