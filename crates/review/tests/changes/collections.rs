//! Collection files, whose lines are units: which they are, and how far each reaches.

use attestation::{
    Class, Content, Sha256Digest,
    unit::{FileMode, ListedFile},
};
use review::Diff;

use super::{World, chain, classes, codes};

pub(crate) const ALL: &str = "pkgs/top-level/all-packages.nix";

pub(crate) fn collection(bindings: &str) -> String {
    format!("{{ pkgs }}:\n\n{{\n  curl = callPackage ../tools/curl {{ }};\n{bindings}}}\n")
}

#[test]
fn a_line_of_a_collection_is_a_unit_of_its_own() {
    let world = World::new();
    let old = collection("  hello = callPackage ../hello { };\n  jq = callPackage ../jq { };\n  x = 1;\n");
    let new =
        collection("  hello = callPackage ../hello { full = true; };\n  new = callPackage ../new { };\n  x = 2;\n");
    let found = world.changes(&[(ALL, &old)], &[(ALL, &new)]);
    let unit = |name: &str| format!("{ALL}#{name}");
    let expected = [
        (unit("hello"), Class::Edit),
        (unit("jq"), Class::Removed),
        (unit("new"), Class::New),
        (unit("x"), Class::Sensitive),
    ];
    let expected: Vec<_> = expected.iter().map(|(unit, class)| (unit.as_str(), *class)).collect();
    assert_eq!(classes(&found), expected);
    // A binding's content is its text, and nothing else of the file.
    let listed = |text: &str| ListedFile {
        path: unit("hello"),
        mode: FileMode::Regular,
        sha256: Sha256Digest::of(text),
    };
    let hello = &found[&unit("hello")];
    let content = |text| Content::of(chain(), &hello.delta.unit, &[listed(text)]);
    let delta = (hello.delta.from, hello.delta.to);
    let texts = [
        "  hello = callPackage ../hello { };\n",
        "  hello = callPackage ../hello { full = true; };\n",
    ];
    assert_eq!(delta, (content(texts[0]), content(texts[1])));
    let diff = Diff::of(&world.repository, &hello.files[0], 3).unwrap().to_string();
    let expected = format!("--- a/{ALL}\n+++ b/{ALL}\n@@ -5,1 +5,1 @@\n-{}+{}", texts[0], texts[1]);
    assert_eq!(diff, expected, "counted as in the file");
}

#[test]
fn a_binding_reaches_as_far_as_its_name_and_what_it_calls() {
    let world = World::new();
    // More of them than any package has arguments: the largest set is what is cut.
    let others = "  a = 1;\n  b = 1;\n  c = 1;\n  d = 1;\n";
    let whole = |bindings: &str| collection(&format!("{others}{bindings}"));
    let judged = |old: &str, new: &str| {
        let found = world.changes(&[(ALL, &whole(old))], &[(ALL, &whole(new))]);
        let unit = found.values().next().unwrap();
        (unit.class, codes(unit))
    };
    let one = "  hello = callPackage ../hello { };\n";
    for (new, what) in [
        (
            "callPackage ../hello { inherit (xorg) libX11; gtk = gtk3; full = true; }",
            "names and literals",
        ),
        (
            "callPackage ../hello { libs = [ gtk self.zlib_1_2 \"x\" ]; }",
            "a list of them",
        ),
        (
            "import ../hello { inherit stdenv fetchurl; }",
            "the same, before there was callPackage",
        ),
        (
            "lowPrio (callPackage ../hello { })",
            "its place among others of the name",
        ),
        ("stdenv.mkDerivation { name = \"x\"; }", "a package in place"),
        (
            "buildPerlPackage rec { name = \"x\"; preBuild = \"x\"; }",
            "one of a language",
        ),
        ("jq_1_5", "another name"),
        ("jq.override { libs = [ ]; }", "one with other arguments"),
        (
            "callPackage ../hello { curl = curl.override { ssl = null; }; }",
            "an argument with others",
        ),
        (
            "callPackage ../hello { x = if !stdenv.isDarwin && a ? b then y else null; }",
            "a condition among the arguments",
        ),
        (
            "if stdenv.isDarwin then callPackage ../hello { } else jq",
            "a condition",
        ),
        ("assert x == \"1\"; callPackage ../hello { }", "an assertion"),
    ] {
        let (class, codes) = judged(one, &format!("  hello = {new};\n"));
        assert_eq!(class, Class::Edit, "{what}: {codes:?}");
        assert!(!codes.contains(&"foundation".to_owned()), "{what}: {codes:?}");
    }
    for (new, flaw) in [
        ("callPackage ../hello { x = evil ../y; }", "a call among the arguments"),
        (
            "callPackage ../hello { x = if evil 1 then z else w; }",
            "a condition that is called",
        ),
        ("callPackage ../hello { x = y // z; }", "two sets"),
        (
            "callPackage ../hello { x = (evil 1).override { }; }",
            "an override of what is called",
        ),
        (
            "if x then callPackage ../stdenv { } else jq",
            "what everything is built with, under a condition",
        ),
        ("if x then jq else y: y", "a function under a condition"),
        ("assert evil 1; jq", "an assertion that is called"),
        ("callPackage ../hello { x = { y = 1; }; }", "a set"),
        (
            "callPackage ../hello { inherit (import ../evil) x; }",
            "inherited from a file",
        ),
        (
            "callPackage ../hello { x = \"${evil}\"; }",
            "a text that is put together",
        ),
        ("callPackage (evil ../hello) { }", "a path that is computed"),
        ("callPackage ../${evil} { }", "a path with a hole"),
        ("callPackage /etc/hello { }", "a path out of the tree"),
        ("callPackage ../../../hello { }", "a path above the tree"),
        ("callPackage ../stdenv { }", "what everything is built with"),
        ("import ../build-support/fetchurl { inherit stdenv; }", "a fetcher"),
        ("import ./other.nix { inherit pkgs; }", "a file beside the collection"),
        (
            "callPackage ../development/libraries/openssl/1.0.nix { }",
            "tier zero under another name",
        ),
        ("evil ../hello { }", "a function that nobody knows"),
        ("x: x", "a function"),
        ("{ a = 1; }", "a set of packages"),
        ("jq // { evil = 1; }", "one that is changed"),
        ("jq.override (old: { x = 1; })", "an override by a function"),
        ("jq.overrideDerivation { x = 1; }", "an override of the derivation"),
        ("with evil; jq", "names from elsewhere"),
        ("let jq = evil; in jq", "a name of its own"),
        ("(import ../evil).jq", "an attribute of a file"),
        ("stdenv.mkDerivation (evil { })", "a package that is put together"),
        ("7", "a setting"),
    ] {
        let (class, codes) = judged(one, &format!("  hello = {new};\n"));
        assert_eq!(class, Class::Sensitive, "{flaw}");
        let said = codes.iter().any(|code| code == "foundation" || code == "tier-zero");
        assert!(said, "{flaw}: {codes:?}");
        // Nor does it become one package in one step.
        let (class, _) = judged(&format!("  hello = {new};\n"), one);
        assert_eq!(class, Class::Sensitive, "from {flaw}");
    }
    for (name, code) in [
        ("stdenv", "foundation"),
        ("clangStdenv", "foundation"),
        ("fetchurl", "foundation"),
        ("callPackage_i686", "foundation"),
        ("lib", "foundation"),
        ("buildPythonPackage", "foundation"),
        ("makeWrapper", "foundation"),
        ("openssl", "tier-zero"),
        ("gcc48", "tier-zero"),
        ("glibc_2_19", "tier-zero"),
    ] {
        let bound = |value: &str| format!("  {name} = callPackage ../x {{ x = {value}; }};\n");
        let (class, codes) = judged(&bound("1"), &bound("2"));
        assert_eq!(class, Class::Sensitive, "{name}");
        assert!(codes.contains(&code.to_owned()), "{name}: {codes:?}");
        assert_eq!(judged("", &bound("2")).0, Class::Sensitive, "{name}, new");
    }
    // Packages that only sound so.
    for name in ["makeself", "runit", "buildbot", "nixops", "gccgo", "bashdb", "xzgv"] {
        let bound = |value: &str| format!("  {name} = callPackage ../x {{ x = {value}; }};\n");
        assert_eq!(judged(&bound("1"), &bound("2")).0, Class::Edit, "{name}");
    }
}

#[test]
fn what_is_no_binding_of_a_collection_is_foundation() {
    let world = World::new();
    let old = collection("  hello = callPackage ../hello { };\n");
    for new in [
        old.replace("{ pkgs }", "{ pkgs, evil }"),
        collection("  hello = callPackage ../hello { };\n  inherit (evil) curl jq;\n"),
        collection("  hello = callPackage ../hello { };\n  ${evil} = 1;\n"),
        old.replace("\n{", "\nrec {"),
    ] {
        let found = world.changes(&[(ALL, &old)], &[(ALL, &new)]);
        assert_eq!(found[ALL].class, Class::Sensitive, "{new}");
        assert!(
            codes(&found[ALL]).contains(&"foundation".to_owned()),
            "{new}: {:?}",
            codes(&found[ALL])
        );
    }
}

#[test]
fn a_collection_that_cannot_be_cut_is_one_unit() {
    let world = World::new();
    let old = collection("  a = 1;\n  b = 2;\n");
    let taken = format!("{ALL}#curl");
    for (old, new, flaw) in [
        (vec![(ALL, old.as_str())], vec![(ALL, "{ a = ")], "unreadable"),
        (vec![(ALL, &old)], vec![(ALL, "->../evil.nix")], "a symlink"),
        (vec![(ALL, &old)], vec![], "removed"),
    ] {
        let found = world.changes(&old, &new);
        assert_eq!(classes(&found), [(ALL, Class::Sensitive)], "{flaw}");
    }
    let reordered = collection("  b = 2;\n  a = 1;\n");
    let found = world.changes(&[(ALL, &old)], &[(ALL, &reordered)]);
    assert_eq!(classes(&found), [(ALL, Class::Sensitive)], "another order");
    // A file whose path is a unit of another one.
    let new = collection("  a = 7;\n  b = 2;\n");
    let found = world.changes(&[(ALL, &old)], &[(ALL, &new), (&taken, "{ }")]);
    let expected = [(ALL, Class::Sensitive), (taken.as_str(), Class::Sensitive)];
    assert_eq!(classes(&found), expected);
}
