//! What holds for any text.

use attestation::unit::FileMode;
use nixexpr::{Context, UnitDelta, UnitFile, audit, bindings, compare, parse};
use proptest::prelude::*;

const HASHES: [&str; 2] = [
    "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
    "1yr7ndy6k2y9dg8q1v2xbjcxyg0ziyvkx2wlmy7p8vrwkmxh4bkk",
];

/// Files in shapes that nixpkgs has; `@` stands for a version, `%` for a hash.
const SHAPES: [&str; 4] = [
    "{ stdenv, fetchurl }:\n\nstdenv.mkDerivation rec {\n  pname = \"x\";\n  version = \"@\";\n  src = fetchurl {\n    url = \"https://e.org/x-${version}.tar.gz\";\n    sha256 = \"%\";\n  };\n  # why\n  postInstall = ''\n    rm -r $out/share/${pname}\n  '';\n}\n",
    "{ stdenv, fetchurl }:\n\nstdenv.mkDerivation {\n  name = \"x-@\";\n  src = fetchurl {\n    url = mirror://gnu/x/x-@.tar.gz;\n    sha256 = \"%\";\n  };\n}\n",
    "{ stdenv, fetchFromGitHub }:\n\nstdenv.mkDerivation (finalAttrs: {\n  pname = \"x\";\n  version = \"@\";\n  src = fetchFromGitHub {\n    owner = \"o\";\n    repo = \"x\";\n    tag = \"v${finalAttrs.version}\";\n    sha256 = \"%\";\n  };\n})\n",
    "let v = \"@\"; in\n{ buildGoModule, fetchgit }:\nbuildGoModule {\n  name = \"x-${v}\";\n  src = fetchgit { url = \"https://e.org/x\"; rev = v; sha256 = \"%\"; };\n  meta.maintainers = [ ];\n}\n",
];

fn delta(old: &[u8], new: &[u8]) -> UnitDelta {
    let side = |bytes| {
        [UnitFile {
            path: "pkgs/x/default.nix",
            mode: FileMode::Regular,
            bytes,
        }]
    };
    let unit = "pkgs/x".parse().expect("a unit");
    compare(&unit, &side(old), &side(new), &Context::default())
}

fn shape(at: usize, version: &str, hash: usize) -> String {
    SHAPES[at].replace('@', version).replace('%', HASHES[hash])
}

/// An oracle that knows nothing of Nix: what is left of a text without the contents of plain strings and of URLs.
fn outside(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['"', ':']) {
        out.push_str(&rest[..=at]);
        let is_quote = rest[at..].starts_with('"');
        rest = &rest[at + 1..];
        let end = if is_quote {
            rest.find('"')
        } else {
            rest.find(|c: char| c.is_whitespace() || c == ';')
        }
        .unwrap_or(rest.len());
        // What is interpolated stays.
        let inside = &rest[..end];
        if inside.contains("${") || inside.contains('\\') {
            out.push_str(inside);
        }
        if is_quote && end < rest.len() {
            out.push('"');
            rest = &rest[end + 1..];
        } else {
            rest = &rest[end..];
        }
    }
    out + rest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(old in prop::collection::vec(any::<u8>(), 0..200), new in prop::collection::vec(any::<u8>(), 0..200)) {
        delta(&old, &new);
    }

    #[test]
    fn no_text_of_the_alphabet_of_nix_panics(old in "[a-c0-2{}()\\[\\];:=.,@?\"'$\\\\/<>+*!&|~ \n#-]{0,80}", new in "[a-c0-2{}()\\[\\];:=.,@?\"'$\\\\/<>+*!&|~ \n#-]{0,80}") {
        delta(old.as_bytes(), new.as_bytes());
        if let Ok(file) = parse("pkgs/a-packages.nix", old.as_bytes()) {
            let mut end = 0;
            for binding in bindings(&file) {
                prop_assert!(end <= binding.span.start && binding.span.start <= binding.core.start);
                prop_assert!(binding.core.end <= binding.span.end && binding.span.end <= old.len());
                end = binding.span.end;
            }
        }
    }

    #[test]
    fn mutated_packages_panic_nowhere(at in 0..SHAPES.len(), cut in 0..300_usize, length in 0..30_usize, put in "[a-z{}()\\[\\];=\"'$ \n]{0,10}") {
        let text = shape(at, "1.0", 0);
        let mut mutated = text.clone().into_bytes();
        let start = cut.min(mutated.len());
        let end = (start + length).min(mutated.len());
        mutated.splice(start..end, put.bytes());
        delta(text.as_bytes(), &mutated);
        audit(&[UnitFile { path: "pkgs/x/default.nix", mode: FileMode::Regular, bytes: &mutated }], &Context::default());
    }

    #[test]
    fn what_did_not_change_has_no_findings(at in 0..SHAPES.len(), version in "[0-9a-z.;$]{1,8}") {
        let text = shape(at, &version, 0);
        let delta = delta(text.as_bytes(), text.as_bytes());
        prop_assert_eq!(delta.findings, []);
        prop_assert!(delta.bump.is_err(), "nothing changed");
        prop_assert_eq!(delta.packages, []);
    }

    #[test]
    fn a_bump_is_one(at in 0..SHAPES.len(), major in 0..50_u32, minor in 0..50_u32, step in 1..9_u32) {
        let (old, new) = (shape(at, &format!("{major}.{minor}"), 0), shape(at, &format!("{major}.{}", minor + step), 1));
        prop_assert_eq!(delta(old.as_bytes(), new.as_bytes()).bump, Ok(()));
    }

    #[test]
    fn a_certified_bump_is_the_same_outside_of_strings(at in 0..SHAPES.len(), cut in 0..400_usize, length in 0..12_usize, put in "[0-9a-z.;${}\"' \n]{0,6}") {
        // A bump, and beside it something else: if it is certified still, nothing but strings differ.
        let (old, honest) = (shape(at, "1.0", 0), shape(at, "1.1", 1));
        let start = cut.min(honest.len());
        let end = (start + length).min(honest.len());
        let mut new = honest.into_bytes();
        new.splice(start..end, put.bytes());
        if delta(old.as_bytes(), &new).bump.is_ok() {
            let new = String::from_utf8(new).expect("it was read");
            prop_assert_eq!(outside(&old), outside(&new));
        }
    }
}
