//! What the rest of both trees says of a unit: who decides by its version, who has its hash, where it was before.

use attestation::Class;

use super::{World, codes};

/// A package as it was and as it is after an update.
fn packaged(version: &str, hash: char) -> String {
    format!(
        "{{ stdenv, fetchurl }}: stdenv.mkDerivation rec {{ pname = \"x\"; version = \"{version}\"; src = fetchurl {{ url = \
         \"https://e.org/x-${{version}}.tar.gz\"; sha256 = \"{}\"; }}; }}\n",
        hash.to_string().repeat(64)
    )
}

#[test]
fn a_version_by_which_another_file_decides_is_no_bump() {
    let world = World::new();
    let path = "pkgs/tools/x/default.nix";
    let collection = (
        "pkgs/top-level/all-packages.nix",
        "{ }:\n{\n  libx = callPackage ../tools/x { };\n}\n",
    );
    let (old, new) = (packaged("1.2", 'a'), packaged("1.3", 'b'));
    for (reader, decides) in [
        // Prepared before, and brought in by the update.
        (
            "{ lib, libx }: { patches = lib.optional (lib.versionAtLeast libx.version \"1.3\") ./p; }\n",
            true,
        ),
        (
            "{ pkgs }: { patches = if pkgs.libx.version == \"1.3\" then [ ./p ] else [ ]; }\n",
            true,
        ),
        (
            "{ lib, x }: { patches = lib.optional (lib.hasSuffix \"1.3\" x.name) ./p; }\n",
            true,
        ),
        (
            "{ lib, libx }: let v = lib.getVersion libx; in { patches = lib.optional (v == \"1.3\") ./p; }\n",
            true,
        ),
        ("{ libx }: { name = \"plugin-for-${libx.version}\"; }\n", false),
        (
            "{ lib, liby }: { patches = lib.optional (lib.versionAtLeast liby.version \"1.3\") ./p; }\n",
            false,
        ),
    ] {
        let reader = ("pkgs/tools/reader/default.nix", reader);
        let found = world.changes(&[collection, reader, (path, &old)], &[collection, reader, (path, &new)]);
        let change = &found["pkgs/tools/x"];
        let expected = if decides { Class::Edit } else { Class::Bump };
        assert_eq!(change.class, expected, "{}: {:?}", reader.1, change.no_bump);
    }
}

#[test]
fn a_hash_of_another_unit_is_found_in_whatever_spelling() {
    let world = World::new();
    let (path, other) = ("pkgs/tools/x/default.nix", "pkgs/tools/other/default.nix");
    let (old, new) = (packaged("1.2", 'a'), packaged("1.3", 'b'));
    let base64 = data_encoding::BASE64.encode(&[0xbb; 32]);
    for (written, transplanted) in [
        (format!("hash = \"sha256-{base64}\""), true),
        (format!("sha256 = \"{}\"", "b".repeat(64)), true),
        (format!("sha256 = \"{}\"", "c".repeat(64)), false),
    ] {
        let with = format!("{{ fetchurl }}: fetchurl {{ url = \"https://e.org/other.tar.gz\"; {written}; }}\n");
        let found = world.changes(&[(path, &old), (other, &with)], &[(path, &new), (other, &with)]);
        let codes = codes(&found["pkgs/tools/x"]);
        assert_eq!(
            codes.contains(&"hash-transplanted".to_owned()),
            transplanted,
            "{written}: {codes:?}"
        );
    }
}

#[test]
fn what_only_moved_gains_nothing_but_its_place() {
    let world = World::new();
    let package = "{ stdenv }: stdenv.mkDerivation { name = \"x\"; postInstall = \"rm -rf /\"; doCheck = false; }\n";
    let old = [("pkgs/tools/x/default.nix", package)];
    let moved = world.changes(&old, &[("pkgs/games/y/default.nix", package)]);
    assert_eq!(moved["pkgs/games/y"].class, Class::Moved);
    assert_eq!(codes(&moved["pkgs/games/y"]), [""; 0]);
    let into = world.changes(&old, &[("pkgs/tools/openssl/default.nix", package)]);
    assert_eq!(codes(&into["pkgs/tools/openssl"]), ["tier-zero"]);
    let changed = package.replace("rm -rf /", "rm -rf /x");
    let edited = world.changes(&old, &[("pkgs/games/y/default.nix", &changed)]);
    assert!(codes(&edited["pkgs/games/y"]).contains(&"new-phase-shell".to_owned()));
}

/// The same words name another file elsewhere: that is looked at as if it were new.
#[test]
fn what_moves_and_names_a_file_beside_itself_gains_what_is_there() {
    let world = World::new();
    let package =
        |patch: &str| format!("{{ stdenv }}: stdenv.mkDerivation {{ name = \"x\"; patches = [ {patch} ]; }}\n");
    let outside = package("../x.patch");
    let patches = [
        ("pkgs/tools/x.patch", "harmless\n"),
        ("pkgs/games/x.patch", "a backdoor\n"),
    ];
    let with = |path| [&patches[..], &[(path, outside.as_str())]].concat();
    let moved = world.changes(&with("pkgs/tools/x/default.nix"), &with("pkgs/games/y/default.nix"));
    assert_eq!(moved["pkgs/games/y"].class, Class::New);
    assert!(
        codes(&moved["pkgs/games/y"]).contains(&"patch-added".to_owned()),
        "{moved:?}"
    );
    // Its honest twin takes its patch along.
    let inside = package("./x.patch");
    let at = |place: &str| {
        [
            (format!("{place}/default.nix"), inside.clone()),
            (format!("{place}/x.patch"), "harmless\n".to_owned()),
        ]
    };
    let (old, new) = (at("pkgs/tools/x"), at("pkgs/games/y"));
    let old: Vec<_> = old.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let new: Vec<_> = new.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let moved = world.changes(&old, &new);
    assert_eq!(moved["pkgs/games/y"].class, Class::Moved);
    assert_eq!(codes(&moved["pkgs/games/y"]), [""; 0]);
}
