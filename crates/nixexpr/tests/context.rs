//! Rules that need to know what other units and the ledger have.

use attestation::unit::FileMode;
use nixexpr::{Context, UnitFile, compare, hash::Digest};

fn package(hash: &str) -> String {
    format!(
        "{{ mkDerivation, fetchurl }}: mkDerivation {{ name = \"x-1\"; src = fetchurl {{ url = \"https://e.org/x-1\"; sha256 = \"{hash}\"; }}; }}\n"
    )
}

fn codes(old: &str, new: &str, path: &str, context: &Context<'_>) -> Vec<&'static str> {
    let side = |text: &str| {
        vec![UnitFile {
            path,
            mode: FileMode::Regular,
            bytes: text.to_owned().leak().as_bytes(),
        }]
    };
    let delta = compare(&"pkgs/x".parse().expect("a unit"), &side(old), &side(new), context);
    let mut codes: Vec<_> = delta.findings.iter().map(|finding| finding.rule.code).collect();
    codes.dedup();
    codes
}

#[test]
fn finds_the_hash_of_another_package_however_it_is_spelled() {
    let of_openssl = "a".repeat(64);
    let base64 = data_encoding::BASE64.encode(
        &data_encoding::HEXLOWER
            .decode(of_openssl.as_bytes())
            .expect("hexadecimal"),
    );
    let known = Digest::parse(None, &format!("sha256-{base64}")).expect("a digest");
    let owner = |hash: &Digest| (*hash == known).then(|| "pkgs/openssl".to_owned());
    let context = Context {
        owner_of_hash: Some(&owner),
        ..Context::default()
    };
    for spelled in [&of_openssl, &base64] {
        let codes = codes(
            &package(&"b".repeat(64)),
            &package(spelled),
            "pkgs/x/default.nix",
            &context,
        );
        assert!(codes.contains(&"hash-transplanted"), "{codes:?}");
    }
    let honest = codes(
        &package(&"b".repeat(64)),
        &package(&"c".repeat(64)),
        "pkgs/x/default.nix",
        &context,
    );
    assert!(!honest.contains(&"hash-transplanted"), "{honest:?}");
    let stays = codes(
        &package(&of_openssl),
        &package(&of_openssl).replace("x-1\"; src", "x-1\"; doCheck = true; src"),
        "pkgs/x/default.nix",
        &context,
    );
    assert!(!stays.contains(&"hash-transplanted"), "it was there before: {stays:?}");
}

fn lock(rev: &str, nar: &str) -> String {
    format!(
        r#"{{"nodes": {{"n": {{"locked": {{"type": "github", "owner": "o", "repo": "r", "rev": "{rev}", "narHash": "{nar}"}}}}, "root": {{"inputs": {{"n": "n"}}}}}}, "root": "root", "version": 7}}"#
    )
}

#[test]
fn a_lock_may_name_what_the_ledger_has_released_and_nothing_else() {
    let released = |rev: &str, nar: &str| rev == "good" && nar == "sha256-good";
    let context = Context {
        is_released: Some(&released),
        ..Context::default()
    };
    let found = |rev, nar| {
        codes(&lock("old", "sha256-old"), &lock(rev, nar), "flake.lock", &context).contains(&"lock-poisoned")
    };
    assert!(!found("good", "sha256-good"));
    assert!(found("evil", "sha256-evil"));
    assert!(found("good", "sha256-evil"));
}
