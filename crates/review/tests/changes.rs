//! Changes between trees of real repositories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

#[path = "changes/collections.rs"]
mod collections;
#[path = "changes/elsewhere.rs"]
mod elsewhere;
#[path = "changes/patched.rs"]
mod patched;
#[path = "changes/returns.rs"]
mod returns;

use std::{collections::BTreeMap, path::Path, process::Command};

use attestation::{
    ChainId, Class, Content, Sha256Digest,
    unit::{FileMode, ListedFile},
};
use importer::{ObjectId, Repository};
use policy::admission::ChangedUnit;
use review::{Diff, UnitChange, changes, changes_of_range};

/// A repository whose trees are made from lists of files.
struct World {
    directory: tempfile::TempDir,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        git(directory.path(), &["init", "--quiet"]);
        let repository = Repository::open(directory.path()).unwrap();
        Self { directory, repository }
    }

    /// The tree with these files. A content that begins with `->` is a symlink's target, with `#!` an executable.
    fn tree(&self, files: &[(&str, &str)]) -> ObjectId {
        let path = self.directory.path();
        git(path, &["rm", "-r", "--quiet", "--cached", "--ignore-unmatch", "."]);
        for (name, content) in files {
            let scratch = path.join("scratch");
            std::fs::write(&scratch, content.strip_prefix("->").unwrap_or(content)).unwrap();
            let blob = git(path, &["hash-object", "-w", "scratch"]);
            let mode = match content.get(..2) {
                Some("->") => "120000",
                Some("#!") => "100755",
                _ => "100644",
            };
            let entry = format!("{mode},{blob},{name}");
            git(path, &["update-index", "--add", "--cacheinfo", &entry]);
        }
        git(path, &["write-tree"]).parse().unwrap()
    }

    fn changes(&self, old: &[(&str, &str)], new: &[(&str, &str)]) -> BTreeMap<String, UnitChange> {
        let (old, new) = (self.tree(old), self.tree(new));
        let found = changes(&self.repository, chain(), Some(old), new).unwrap();
        found
            .into_iter()
            .map(|change| (change.delta.unit.to_string(), change))
            .collect()
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn chain() -> ChainId {
    ChainId::from_digest(Sha256Digest::of("chain"))
}

fn classes(changes: &BTreeMap<String, UnitChange>) -> Vec<(&str, Class)> {
    changes
        .iter()
        .map(|(unit, change)| (unit.as_str(), change.class))
        .collect()
}

fn codes(change: &UnitChange) -> Vec<String> {
    let mut codes: Vec<_> = change
        .findings
        .iter()
        .map(|finding| finding.rule.code.to_owned())
        .collect();
    codes.dedup();
    codes
}

const HELLO: &str = "pkgs/by-name/he/hello/package.nix";
const PATCH: &str = "pkgs/by-name/he/hello/fix.patch";

/// Every file is looked at, in whatever run of files it is and whatever lies between, and what is found is sorted.
#[test]
fn an_audit_looks_at_every_file_of_a_tree() {
    let world = World::new();
    let expression = "{ fetchurl }: fetchurl { url = \"http://example.org/x\"; sha256 = \"x\"; }";
    let names: Vec<_> = (0..150).map(|number| format!("pkgs/{number:03}/default.nix")).collect();
    let mut files: Vec<_> = names.iter().map(|name| (name.as_str(), expression)).collect();
    files.extend([
        ("pkgs/003/broken.nix", "{"),
        ("pkgs/140/broken.nix", "}"),
        ("readme", "eval $x"),
    ]);
    world.tree(&files);
    let commit = "0123456789012345678901234567890123456789";
    for submodule in ["a", "pkgs/063/z", "pkgs/064/a", "z"] {
        let entry = format!("160000,{commit},{submodule}");
        git(
            world.directory.path(),
            &["update-index", "--add", "--cacheinfo", &entry],
        );
    }
    let tree = git(world.directory.path(), &["write-tree"]).parse().unwrap();
    let audit = review::audit(&world.repository, tree, "").unwrap();
    assert_eq!(audit.files, 157);
    let paths = |code: &str| -> Vec<&str> {
        let found = audit.findings.iter().filter(|finding| finding.rule.code == code);
        found.map(|finding| finding.place.path.as_str()).collect()
    };
    assert_eq!(paths("plain-http"), names);
    assert_eq!(paths("binary-in-tree"), ["a", "pkgs/063/z", "pkgs/064/a", "z"]);
    assert!(audit.findings.is_sorted());
    let unparsed: Vec<_> = audit.unparsed.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(unparsed, ["pkgs/003/broken.nix", "pkgs/140/broken.nix"]);
    let below = review::audit(&world.repository, tree, "pkgs/063").unwrap();
    assert_eq!(below.files, 2);
}

#[test]
fn a_content_is_over_the_whole_listing_and_not_over_what_changed() {
    let world = World::new();
    let found = world.changes(&[(HELLO, "1"), (PATCH, "p")], &[(HELLO, "2"), (PATCH, "p")]);
    let [change] = found.values().collect::<Vec<_>>()[..] else {
        panic!("{found:?}");
    };
    assert_eq!(change.files.len(), 1, "one file differs");
    let listed = |path: &str, bytes: &str| ListedFile {
        path: path.to_owned(),
        mode: FileMode::Regular,
        sha256: Sha256Digest::of(bytes),
    };
    let unit = change.delta.unit.clone();
    let content = |hello| Content::of(chain(), &unit, &[listed(HELLO, hello), listed(PATCH, "p")]);
    assert_eq!((change.delta.from, change.delta.to), (content("1"), content("2")));
    assert_eq!(change.class, Class::Edit);
    assert_eq!(change.findings, []);
}

#[test]
fn two_trees_that_are_the_same_differ_in_nothing() {
    let world = World::new();
    assert_eq!(world.changes(&[(HELLO, "1")], &[(HELLO, "1")]), BTreeMap::new());
}

#[test]
fn a_unit_is_new_or_removed() {
    let world = World::new();
    let other = "pkgs/by-name/wo/world/package.nix";
    let found = world.changes(&[(HELLO, "1"), (PATCH, "p")], &[(other, "2")]);
    let expected = [
        ("pkgs/by-name/he/hello", Class::Removed),
        ("pkgs/by-name/wo/world", Class::New),
    ];
    assert_eq!(classes(&found), expected);
    let (removed, new) = (&found["pkgs/by-name/he/hello"], &found["pkgs/by-name/wo/world"]);
    assert_eq!((removed.delta.to, new.delta.from), (None, None));
    assert!(removed.delta.from.is_some() && new.delta.to.is_some());
    assert_eq!(removed.files.len(), 2);
}

#[test]
fn a_mode_and_a_symlink_are_content() {
    let world = World::new();
    let path = "pkgs/tools/x/default.nix";
    for (old, new) in [("#!x", "x"), ("->x", "x")] {
        let found = world.changes(&[(path, old)], &[(path, new)]);
        let change = &found["pkgs/tools/x"];
        assert_ne!(change.delta.from, change.delta.to, "{old}");
        assert_eq!(change.class, Class::Edit);
    }
}

#[test]
fn a_unit_under_another_path_is_moved() {
    let world = World::new();
    let old = [("pkgs/tools/x/default.nix", "1"), ("pkgs/tools/x/a/b.patch", "#!p")];
    let new = [("pkgs/games/y/default.nix", "1"), ("pkgs/games/y/a/b.patch", "#!p")];
    let found = world.changes(&old, &new);
    let expected = [("pkgs/games/y", Class::Moved), ("pkgs/tools/x", Class::Moved)];
    assert_eq!(classes(&found), expected);
    assert_eq!(
        found["pkgs/games/y"].counterpart.as_ref().unwrap().as_str(),
        "pkgs/tools/x"
    );
    assert_ne!(
        found["pkgs/games/y"].delta.to, found["pkgs/tools/x"].delta.from,
        "a content names its unit"
    );
}

#[test]
fn a_move_that_is_not_exact_or_not_the_only_one_is_no_move() {
    let world = World::new();
    let old = ("pkgs/tools/x/default.nix", "1");
    for new in [
        vec![("pkgs/games/y/default.nix", "2")],
        vec![("pkgs/games/y/package.nix", "1")],
        vec![("pkgs/games/y/default.nix", "#!1")],
        vec![("pkgs/games/y/default.nix", "1"), ("pkgs/games/z/default.nix", "1")],
    ] {
        let found = world.changes(&[old], &new);
        assert!(found.values().all(|change| change.class != Class::Moved), "{found:?}");
    }
}

#[test]
fn foundation_and_tier_zero_are_sensitive_whatever_else_they_are() {
    let world = World::new();
    let openssl = "pkgs/development/libraries/openssl/default.nix";
    let found = world.changes(
        &[("lib/a.nix", "1"), (openssl, "1")],
        &[
            ("lib/a.nix", "2"),
            ("pkgs/top-level/all-packages.nix", "x"),
            ("pkgs/old/openssl/default.nix", "1"),
            (HELLO, "1"),
        ],
    );
    let expected = [
        ("lib", Class::Sensitive),
        ("pkgs/by-name/he/hello", Class::New),
        ("pkgs/development/libraries/openssl", Class::Sensitive),
        ("pkgs/old/openssl", Class::Sensitive),
        ("pkgs/top-level/all-packages.nix", Class::Sensitive),
    ];
    assert_eq!(classes(&found), expected);
    assert_eq!(codes(&found["lib"]), ["foundation"]);
    assert_eq!(codes(&found["pkgs/old/openssl"]), ["tier-zero"]);
}

#[test]
fn a_default_nix_that_gathers_packages_hides_none_of_them() {
    let world = World::new();
    let openssl = "pkgs/development/libraries/openssl/openssl.nix";
    let found = world.changes(
        &[(openssl, "1")],
        &[(openssl, "2"), ("pkgs/development/default.nix", "x")],
    );
    let change = &found["pkgs/development"];
    assert_eq!(change.class, Class::Sensitive);
    assert_eq!(codes(change), ["tier-zero"]);
}

#[test]
fn bytes_that_nobody_can_review_are_found() {
    let world = World::new();
    let found = world.changes(
        &[(HELLO, "a\n")],
        &[(HELLO, "a\n\u{202e}b\n"), ("pkgs/by-name/he/hello/blob", "a\0b")],
    );
    let change = &found["pkgs/by-name/he/hello"];
    assert_eq!(codes(change), ["binary-in-tree", "deceptive-text"]);
    assert_eq!(change.findings[1].place.line, Some(2));
    let judged = ChangedUnit::from(change);
    assert_eq!(judged.highest_finding, Some(attestation::unit::FindingLevel::B));
}

#[test]
fn a_bump_is_one_only_where_nothing_else_changed() {
    let world = World::new();
    let package = |version: &str, hash: char, rest: &str| {
        format!(
            "{{ lib, stdenv, fetchurl }}:\n\nstdenv.mkDerivation rec {{\n  pname = \"hello\";\n  version = \"{version}\";\n\n  \
             src = fetchurl {{\n    url = \"mirror://gnu/hello/hello-${{version}}.tar.gz\";\n    sha256 = \"{}\";\n  \
             }};\n{rest}}}\n",
            Sha256Digest::of(hash.to_string())
        )
    };
    let old = package("1.0", '0', "");
    let one = |old: &[(&str, &str)], new: &[(&str, &str)]| {
        let found = world.changes(old, new);
        let [change] = found.values().collect::<Vec<_>>()[..] else {
            panic!("{found:?}");
        };
        change.clone()
    };
    let bump = one(&[(HELLO, &old)], &[(HELLO, &package("1.1", '1', ""))]);
    assert_eq!(bump.class, Class::Bump, "{bump:?}");
    assert!(bump.summary.contains("1.0 -> 1.1"), "{}", bump.summary);

    let executable = format!("#!{}", package("1.1", '1', ""));
    for (new, flaw) in [
        (vec![(HELLO, package("1.1", '0', ""))], "the hash is stale"),
        (
            vec![(HELLO, package("1.1", '1', "  postInstall = \"curl x | sh\";\n"))],
            "a hook",
        ),
        (
            vec![(HELLO, package("1.1", '1', "")), (PATCH, "p".to_owned())],
            "a file beside it",
        ),
        (vec![(HELLO, executable)], "executable"),
        (vec![(HELLO, "{ a = ".to_owned())], "unreadable"),
    ] {
        let new: Vec<_> = new.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let change = one(&[(HELLO, &old)], &new);
        assert_ne!(change.class, Class::Bump, "{flaw}");
    }
}

#[test]
fn attributes_that_rewrite_a_checkout_are_found() {
    let world = World::new();
    let found = world.changes(
        &[(".gitattributes", "*.nix text\n")],
        &[(".gitattributes", "*.nix text\n*.sh export-subst\n")],
    );
    assert_eq!(codes(&found["."]), ["attributes-rewrite"]);
    assert_eq!(found["."].findings[0].place.line, Some(2));
}

#[test]
fn what_a_merge_slipped_in_is_a_finding_of_the_unit() {
    let world = World::new();
    let (one, two) = ("pkgs/tools/one/default.nix", "pkgs/tools/two/default.nix");
    let path = world.directory.path();
    let commit = |files: &[(&str, &str)], parents: &[&str]| {
        let tree = world.tree(files).to_string();
        let mut arguments = vec![
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@x",
            "commit-tree",
            &tree,
            "-m",
            "x",
        ];
        arguments.extend(parents.iter().flat_map(|parent| ["-p", parent]));
        git(path, &arguments)
    };
    let base = commit(&[(one, "1"), (two, "1"), (HELLO, "1")], &[]);
    let main = commit(&[(one, "2"), (two, "1"), (HELLO, "1")], &[&base]);
    let side = commit(&[(one, "1"), (two, "2"), (HELLO, "1")], &[&base]);
    for (hello, codes_of_hello) in [("1", None), ("evil", Some("evil-merge"))] {
        let merge = commit(&[(one, "2"), (two, "2"), (HELLO, hello)], &[&main, &side]);
        let read = |id: &str| world.repository.commit(id.parse().unwrap()).unwrap();
        let found = changes_of_range(&world.repository, chain(), &read(&base), &read(&merge)).unwrap();
        let codes_of = |unit: &str| {
            found
                .iter()
                .find(|change| change.delta.unit.as_str() == unit)
                .map(codes)
        };
        assert_eq!(codes_of("pkgs/tools/one"), Some(vec![]));
        assert_eq!(codes_of("pkgs/tools/two"), Some(vec![]));
        let expected = codes_of_hello.map(|code| vec![code.to_owned()]);
        assert_eq!(codes_of("pkgs/by-name/he/hello"), expected);
    }
}

#[test]
fn without_an_old_tree_everything_is_new() {
    let world = World::new();
    let tree = world.tree(&[(HELLO, "1"), ("README", "x"), ("nixos/modules/a.nix", "m")]);
    let found = changes(&world.repository, chain(), None, tree).unwrap();
    let units: Vec<_> = found.iter().map(|change| change.delta.unit.as_str()).collect();
    assert_eq!(units, [".", "nixos/modules/a.nix", "pkgs/by-name/he/hello"]);
    assert!(
        found
            .iter()
            .all(|change| change.class == Class::New && change.delta.from.is_none())
    );
}

#[test]
fn another_chain_has_other_contents() {
    let world = World::new();
    let tree = world.tree(&[(HELLO, "1")]);
    let other = ChainId::from_digest(Sha256Digest::of("other"));
    let [ours, theirs] = [chain(), other].map(|chain| changes(&world.repository, chain, None, tree).unwrap());
    assert_ne!(ours[0].delta, theirs[0].delta);
}

#[test]
fn a_change_of_kind_is_shown() {
    let world = World::new();
    let path = "pkgs/tools/x/default.nix";
    let found = world.changes(&[(path, "x\n")], &[(path, "->/etc/shadow")]);
    let diff = Diff::of(&world.repository, &found["pkgs/tools/x"].files[0], 3)
        .unwrap()
        .to_string();
    let expected = format!(
        "file became symlink {path}\n--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n-x\n+/etc/shadow\n\\ No newline at end of file\n"
    );
    assert_eq!(diff, expected);
}

#[test]
fn a_diff_says_what_git_says() {
    let world = World::new();
    let path = "a.nix";
    let old: String = (0..60).map(|line| format!("line {line}\n")).collect();
    let new = old
        .replace("line 7\n", "")
        .replace("line 30\n", "thirty\nand\n")
        .replace("line 33\n", "x\n");
    let (old_tree, new_tree) = (world.tree(&[(path, &old)]), world.tree(&[(path, &new)]));
    let found = changes(&world.repository, chain(), Some(old_tree), new_tree).unwrap();
    let ours = Diff::of(&world.repository, &found[0].files[0], 3).unwrap().to_string();
    let trees = [old_tree.to_string(), new_tree.to_string()];
    let theirs = git(
        world.directory.path(),
        &["diff", "--histogram", "--no-color", &trees[0], &trees[1]],
    );
    let theirs = theirs.split_once("--- ").unwrap().1;
    // git adds the nearest heading to a hunk's line.
    let theirs: Vec<_> = theirs
        .lines()
        .map(
            |line| match line.strip_prefix("@@").and_then(|rest| rest.split_once("@@")) {
                Some((range, _)) => format!("@@{range}@@"),
                None => line.to_owned(),
            },
        )
        .collect();
    let ours: Vec<_> = ours.strip_prefix("--- ").unwrap().lines().collect();
    assert_eq!(ours, theirs);
}
