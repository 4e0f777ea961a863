//! The hard cases of docs: each a file that somebody might commit.

use std::time::{Duration, Instant};

use attestation::unit::FileMode;
use nixexpr::{Context, Fact, UnitFile, Unparsed, compare, facts, parse};

fn unparsed(bytes: &[u8]) -> Unparsed {
    match parse("x.nix", bytes) {
        // Not shown: it may have megabytes.
        Ok(_) => panic!("it is read"),
        Err(error) => error,
    }
}

/// The version of the only package in a file.
fn version(text: &str) -> Fact<String> {
    let file = parse("x.nix", text.as_bytes()).expect("it is Nix");
    let facts = facts(&file);
    let [package] = facts.packages.as_slice() else {
        panic!("{} packages in {text}", facts.packages.len());
    };
    match &package.version {
        Fact::Known(version) => Fact::Known(version.to_string()),
        Fact::Unknown => Fact::Unknown,
        Fact::Absent => Fact::Absent,
    }
}

fn quick(what: &str, start: Instant) {
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{what} took {:?}",
        start.elapsed()
    );
}

#[test]
fn refuses_nesting_a_million_deep() {
    for (open, close) in [
        ("[", "]"),
        ("(", ")"),
        ("{a=", ";}"),
        ("a: ", ""),
        ("let a=", ";in 1"),
        ("if 1 then 1 else ", ""),
        ("\"${", "}\""),
        ("!", ""),
        ("-", ""),
        ("with 1;", ""),
        ("assert 1;", ""),
    ] {
        let start = Instant::now();
        let text = format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000));
        let error = unparsed(text.as_bytes());
        assert!(
            matches!(error, Unparsed::TooDeep { .. } | Unparsed::Syntax { .. }),
            "{open}: {error}"
        );
        quick(open, start);
    }
    // Real files nest a tenth of what is read.
    let honest = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    assert!(parse("x.nix", honest.as_bytes()).is_ok());
}

#[test]
fn long_chains_neither_overflow_the_stack_nor_take_long() {
    for link in [" + a", " a", " // a", " ++ a", ".a", " || a", " == a", " - 1"] {
        let start = Instant::now();
        let text = format!("{{ x = mkDerivation {{ version = a{}; }}; }}", link.repeat(200_000));
        if let Ok(file) = parse("x.nix", text.as_bytes()) {
            let _ = facts(&file);
        }
        let unit = "pkgs/x".parse().expect("a unit");
        let files = |bytes| {
            [UnitFile {
                path: "x.nix",
                mode: FileMode::Regular,
                bytes,
            }]
        };
        let _ = compare(&unit, &files(b"1"), &files(text.as_bytes()), &Context::default());
        quick(link, start);
    }
}

#[test]
fn a_file_of_five_megabytes_is_read_in_linear_time() {
    for piece in [
        "a.b.c.d.", "x = 1;\n", "'' ''", "${", "a-", "a: ", "# \n", "/*", "\"\\\"", "<a/", "http:", "1.", "~/", "a/",
    ] {
        let start = Instant::now();
        let text = piece.repeat(1_000_000 / piece.len());
        let _ = parse("x.nix", text.as_bytes());
        let _ = parse("x.nix", format!("{{ {text} }}").as_bytes());
        quick(piece, start);
    }
    let start = Instant::now();
    let many: String = (0..40_000)
        .map(|at| {
            format!("  p{at} = f {{ name = \"p-{at}\"; src = fetchurl {{ url = \"https://e.org/{at}\"; }}; }};\n")
        })
        .collect();
    let text = format!("rec {{\n{many}}}\n");
    let file = parse("x.nix", text.as_bytes()).expect("it is Nix");
    assert_eq!(facts(&file).packages.len(), 40_000);
    quick("40,000 packages", start);
}

#[test]
fn definitions_that_double_are_given_up_and_said_to_be() {
    let doubling: String = (1..20)
        .map(|at| format!("v{at} = \"${{v{0}}}${{v{0}}}\";\n", at - 1))
        .collect();
    let text = format!("let v0 = \"1\";\n{doubling}in mkDerivation {{ name = \"x\"; version = v19; src = ./.; }}");
    let start = Instant::now();
    assert_eq!(version(&text), Fact::Unknown);
    let circle = "let a = b; b = a; in mkDerivation { name = \"x\"; version = a; src = ./.; }";
    assert_eq!(version(circle), Fact::Unknown);
    // Many questions that each take long: the file is not taken for understood.
    let many: String = (0..3000)
        .map(|at| format!("p{at} = mkDerivation {{ name = \"x\"; version = v19; src = ./.; }};\n"))
        .collect();
    let text = format!("let v0 = \"\";\n{doubling}in {{ {many} }}");
    let unit = "pkgs/x".parse().expect("a unit");
    let delta = compare(
        &unit,
        &[],
        &[UnitFile {
            path: "x.nix",
            mode: FileMode::Regular,
            bytes: text.as_bytes(),
        }],
        &Context::default(),
    );
    quick("doubling", start);
    assert!(delta.bump.is_err());
    assert!(
        delta.unparsed.iter().any(|(_, why)| *why == Unparsed::TooInvolved),
        "{:?}",
        delta.unparsed
    );
}

#[test]
fn line_ends_of_another_system_are_read_as_nix_reads_them() {
    let text = "{ stdenv }:\r\nstdenv.mkDerivation {\r\n  pname = \"x\"; # a comment\r\n  version = \"1.0\";\r\n  src = ./.;\r\n}\r\n";
    assert_eq!(version(text), Fact::Known("1.0".to_owned()));
    // A carriage return alone ends a comment: what follows is code, though no reader of the diff sees it so.
    let hidden = "mkDerivation { name = \"x\"; src = ./.; # old: \r version = \"2.0\";\n}";
    assert_eq!(version(hidden), Fact::Known("2.0".to_owned()));
}

#[test]
fn refuses_a_byte_order_mark_bytes_that_are_no_text_and_nul() {
    assert!(matches!(unparsed(b"\xef\xbb\xbf1"), Unparsed::Syntax { line: 1, .. }));
    assert_eq!(unparsed(b"1\n# caf\xe9"), Unparsed::NotUtf8 { line: 2 });
    assert_eq!(unparsed(b"1\n\n\0 + evil"), Unparsed::Nul { line: 3 });
    assert!(parse("x.nix", "\"\u{fffd} é\"".as_bytes()).is_ok());
}

#[test]
fn escapes_in_strings_end_nothing_and_begin_nothing() {
    for (text, wanted) in [
        (r#""1\".0""#, Some("1\".0")),
        (r#""1\${x}""#, Some("1${x}")),
        (r#""1$${x}""#, Some("1$${x}")),
        (r#""$\{x}""#, Some("${x}")),
        ("''1.0''", Some("1.0")),
        ("''1''${x}''", None),
        ("''1'''.0''", None),
        ("''1''\\n''", None),
        ("''\n  1\n''", None),
    ] {
        let found = version(&format!(
            "mkDerivation {{ name = \"x\"; src = ./.; version = {text}; }}"
        ));
        assert_eq!(
            found,
            wanted.map_or(Fact::Unknown, |wanted| Fact::Known(wanted.to_owned())),
            "{text}"
        );
    }
}

#[test]
fn names_that_are_computed_make_what_they_might_name_unknown() {
    for text in ["${x} = 1;", "\"${x}\" = 1;", "\"a${x}\".b = 1;"] {
        assert_eq!(
            version(&format!("x: mkDerivation {{ name = x; src = ./.; {text} }}")),
            Fact::Unknown,
            "{text}"
        );
    }
    assert_eq!(
        version("mkDerivation { name = \"x\"; src = ./.; \"version\" = \"1\"; }"),
        Fact::Known("1".to_owned())
    );
    assert_eq!(
        version("mkDerivation { name = \"x\"; src = ./.; ${\"version\"} = \"1\"; }"),
        Fact::Known("1".to_owned())
    );
}

#[test]
fn what_shadows_a_name_is_what_counts() {
    let known = |text: &str| Fact::Known(text.to_owned());
    for (text, wanted) in [
        (
            "let v = \"1\"; in let v = \"2\"; in mkDerivation { name = \"x\"; src = ./.; version = v; }",
            known("2"),
        ),
        (
            "let v = \"1\"; in v: mkDerivation { name = \"x\"; src = ./.; version = v; }",
            Fact::Unknown,
        ),
        (
            "let v = \"1\"; in { v ? \"2\" }: mkDerivation { name = \"x\"; src = ./.; version = v; }",
            Fact::Unknown,
        ),
        (
            "let v = \"1\"; in mkDerivation rec { v = \"2\"; name = \"x\"; src = ./.; version = v; }",
            known("2"),
        ),
        (
            "let v = \"1\"; in mkDerivation { v = \"2\"; name = \"x\"; src = ./.; version = v; }",
            known("1"),
        ),
        (
            "let v = \"1\"; in with { v = \"2\"; }; mkDerivation { name = \"x\"; src = ./.; version = v; }",
            known("1"),
        ),
        (
            "with { v = \"2\"; }; mkDerivation { name = \"x\"; src = ./.; version = v; }",
            Fact::Unknown,
        ),
        (
            "let s = { v = \"1\"; }; inherit (s) v; in mkDerivation { name = \"x\"; src = ./.; version = v; }",
            known("1"),
        ),
        (
            "let version = \"1\"; in mkDerivation { name = \"x\"; src = ./.; inherit version; }",
            known("1"),
        ),
        (
            "let version = \"1\"; in mkDerivation rec { name = \"x\"; src = ./.; inherit version; }",
            known("1"),
        ),
        (
            "mkDerivation (self: { name = \"x\"; src = ./.; v = \"1\"; version = self.v; })",
            known("1"),
        ),
        (
            "f (self: mkDerivation { name = \"x\"; src = ./.; v = \"1\"; version = self.v; })",
            Fact::Unknown,
        ),
        (
            "mkDerivation ({ name = \"x\"; src = ./.; version = \"1\"; } // { version = \"2\"; })",
            known("2"),
        ),
        (
            "a: mkDerivation ({ name = \"x\"; src = ./.; version = \"1\"; } // a)",
            Fact::Unknown,
        ),
        (
            "mkDerivation ({ name = \"x\"; src = ./.; version = \"1\"; } // optionalAttrs c { version = \"2\"; })",
            Fact::Unknown,
        ),
        (
            "mkDerivation ({ name = \"x\"; src = ./.; version = \"1\"; } // optionalAttrs c { doCheck = false; })",
            known("1"),
        ),
    ] {
        assert_eq!(version(text), wanted, "{text}");
    }
}

#[test]
fn what_hides_a_fact_makes_it_unknown_and_never_wrong() {
    for version_of in [
        "if c then \"1\" else \"2\"",
        "\"1\" + c",
        "\"${c}\"",
        "lib.concatStringsSep c [ \"1\" ]",
        "(import ./v.nix).version",
        "builtins.readFile ./version",
        "f \"1\"",
        "{ a = \"1\"; }.${c}",
        "s.v or \"2\"",
        "let lib = { versions.major = x: \"evil\"; }; in lib.versions.major \"1.2\"",
    ] {
        let text = format!("{{ c, lib, s, f }}: mkDerivation {{ name = \"x\"; src = ./.; version = {version_of}; }}");
        assert_eq!(version(&text), Fact::Unknown, "{version_of}");
    }
    for (version_of, wanted) in [
        ("\"1\" + \".2\"", "1.2"),
        ("lib.versions.majorMinor \"1.2.3\"", "1.2"),
        ("builtins.replaceStrings [ \".\" ] [ \"_\" ] \"1.2\"", "1_2"),
        ("lib.concatStringsSep \".\" [ \"1\" \"2\" ]", "1.2"),
        ("let a = \"1\"; in \"${a}.${toString 2}\"", "1.2"),
    ] {
        let text = format!("{{ lib }}: mkDerivation {{ name = \"x\"; src = ./.; version = {version_of}; }}");
        assert_eq!(version(&text), Fact::Known(wanted.to_owned()), "{version_of}");
    }
}

#[test]
fn one_package_in_a_file_of_five_thousand_is_the_only_one_named() {
    let file = |version: &str| -> String {
        let others: String = (0..5000).map(|at| format!("  p{at} = mkDerivation {{ name = \"p-{at}\"; src = fetchurl {{ url = \"https://e.org/{at}\"; md5 = \"{at:032x}\"; }}; }};\n")).collect();
        let hash = if version == "1.0" { "a" } else { "b" };
        format!(
            "{{ fetchurl, mkDerivation }}: {{\n{others}  x = mkDerivation {{ name = \"x-{version}\"; src = fetchurl {{ url = \"https://e.org/x-{version}\"; sha256 = \"{}\"; }}; }};\n}}\n",
            hash.repeat(64)
        )
    };
    let (old, new) = (file("1.0"), file("1.1"));
    let unit = "pkgs/x".parse().expect("a unit");
    let side = |text| {
        [UnitFile {
            path: "pkgs/x/default.nix",
            mode: FileMode::Regular,
            bytes: text,
        }]
    };
    let delta = compare(&unit, &side(old.as_bytes()), &side(new.as_bytes()), &Context::default());
    assert_eq!(delta.summary, "x 1.0 -> 1.1, same origin, hash changed");
    assert_eq!(delta.bump, Ok(()));
}

#[test]
fn a_rename_within_a_unit_gains_nothing_and_is_no_bump() {
    let text = b"{ mkDerivation }: mkDerivation { name = \"x-1\"; src = ./.; postInstall = \"cp a b\"; }\n";
    let unit = "pkgs/x".parse().expect("a unit");
    let side = |path| {
        [UnitFile {
            path,
            mode: FileMode::Regular,
            bytes: text.as_slice(),
        }]
    };
    let delta = compare(&unit, &side("pkgs/x/1.nix"), &side("pkgs/x/2.nix"), &Context::default());
    assert_eq!(delta.findings, []);
    assert!(delta.bump.is_err());
}

#[test]
fn a_mode_alone_and_a_symlink_in_place_of_a_file_are_no_bump() {
    let text = b"{ mkDerivation }: mkDerivation { name = \"x-1\"; src = ./.; }\n";
    let unit = "pkgs/x".parse().expect("a unit");
    let side = |mode, bytes| {
        [UnitFile {
            path: "pkgs/x/default.nix",
            mode,
            bytes,
        }]
    };
    let old = side(FileMode::Regular, text.as_slice());
    for new in [
        side(FileMode::Executable, text.as_slice()),
        side(FileMode::Symlink, b"../evil".as_slice()),
        side(FileMode::Submodule, b"".as_slice()),
    ] {
        let delta = compare(&unit, &old, &new, &Context::default());
        assert!(delta.bump.is_err(), "{:?}", new[0].mode);
    }
}
