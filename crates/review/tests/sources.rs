//! Sources at hand: tarballs against tags, revisions against branches, in the shapes of known incidents.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

use std::{fs, path::Path, process::Command};

use attestation::{ChainId, Sha256Digest};
use importer::Repository;
use review::{
    UnitChange, changes,
    sources::{Checked, Outcome, Sources},
};

/// A clone of a project with tags v1 and v2, a directory for sources, and a packages repository.
struct World {
    directory: tempfile::TempDir,
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .envs(
            [
                "GIT_AUTHOR_NAME",
                "GIT_COMMITTER_NAME",
                "GIT_AUTHOR_EMAIL",
                "GIT_COMMITTER_EMAIL",
            ]
            .map(|name| (name, "x")),
        )
        .args(arguments)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {message}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl World {
    fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let clone = world.clone_dir();
        fs::create_dir_all(clone.join("src")).unwrap();
        run(&clone, "git", &["init", "--quiet", "--initial-branch=main"]);
        for version in ["1", "2"] {
            fs::write(clone.join("src/main.c"), version).unwrap();
            world.commit();
            run(&clone, "git", &["tag", &format!("v{version}")]);
        }
        let packages = world.directory.path().join("packages");
        fs::create_dir(&packages).unwrap();
        run(&packages, "git", &["init", "--quiet"]);
        world
    }

    fn sources(&self) -> std::path::PathBuf {
        self.directory.path().join("sources")
    }

    fn clone_dir(&self) -> std::path::PathBuf {
        self.sources().join("owner/tool")
    }

    fn commit(&self) -> String {
        run(&self.clone_dir(), "git", &["add", "--all"]);
        run(&self.clone_dir(), "git", &["commit", "--quiet", "--message", "x"]);
        run(&self.clone_dir(), "git", &["rev-parse", "HEAD"])
    }

    /// A tarball of a version, with files that the tag lacks; its SHA-256.
    fn tarball(&self, version: &str, extra: &[(&str, &[u8])]) -> String {
        let top = format!("tool-{version}");
        let work = self.directory.path().join("work");
        fs::create_dir_all(&work).unwrap();
        let tree = work.join(&top);
        let format = format!("--prefix={top}/");
        let archive = work.join("tag.tar");
        let output = format!("--output={}", archive.display());
        run(
            &self.clone_dir(),
            "git",
            &["archive", &format, &output, &format!("v{version}")],
        );
        run(&work, "tar", &["-xf", "tag.tar"]);
        for (path, bytes) in extra {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let name = self.sources().join(format!("{top}.tar.gz"));
        run(&work, "tar", &["-czf", name.to_str().unwrap(), &top]);
        let digest = Sha256Digest::of(fs::read(name).unwrap()).to_string();
        fs::remove_dir_all(tree).unwrap();
        digest
    }

    /// What is checked of a package that changed from one text to another.
    fn check(&self, old: &str, new: &str) -> Vec<Checked> {
        self.check_file("pkgs/by-name/to/tool/package.nix", old, new)
    }

    fn check_file(&self, file: &str, old: &str, new: &str) -> Vec<Checked> {
        let packages = self.directory.path().join("packages");
        let tree = |text: &str| {
            let path = packages.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            run(&packages, "git", &["add", "--all"]);
            run(&packages, "git", &["write-tree"]).parse().unwrap()
        };
        let (old, new) = (tree(old), tree(new));
        let repository = Repository::open(&packages).unwrap();
        let chain = ChainId::from_digest(Sha256Digest::of("chain"));
        let changed: Vec<UnitChange> = changes(&repository, chain, Some(old), new).unwrap();
        let sources = Sources::open(&self.sources()).unwrap();
        let each = changed.iter().map(|change| sources.check(&repository, change).unwrap());
        each.flatten().collect()
    }

    /// Hackage's index, with one release of each of these packages.
    fn index(&self, releases: &[(&str, &str, Sha256Digest)]) {
        let work = self.directory.path().join("index");
        for (name, version, digest) in releases {
            let directory = work.join(name).join(version);
            fs::create_dir_all(&directory).unwrap();
            let text = format!(
                "{{\"signatures\":[],\"signed\":{{\"_type\":\"Targets\",\"expires\":null,\"targets\":{{\"<repo>/package/{name}-{version}.tar.gz\":\
                 {{\"hashes\":{{\"md5\":\"0\",\"sha256\":\"{digest}\"}},\"length\":1}}}},\"version\":0}}}}"
            );
            fs::write(directory.join("package.json"), text).unwrap();
            fs::write(directory.join(format!("{name}.cabal")), "x").unwrap();
        }
        let name = self.sources().join("01-index.tar.gz");
        let names: Vec<_> = releases.iter().map(|(name, ..)| *name).collect();
        run(&work, "tar", &[&["-czf", name.to_str().unwrap()], &names[..]].concat());
    }
}

fn fetched_by_url(version: &str, hash: &str) -> String {
    format!(
        "{{ stdenv, fetchurl }}:\nstdenv.mkDerivation rec {{\n  pname = \"tool\";\n  version = \"{version}\";\n  src = fetchurl {{\n    url = \
         \"https://github.com/owner/tool/releases/download/v${{version}}/tool-${{version}}.tar.gz\";\n    sha256 = \"{hash}\";\n  }};\n}}\n"
    )
}

fn fetched_by_revision(revision: &str) -> String {
    format!(
        "{{ stdenv, fetchFromGitHub }}:\nstdenv.mkDerivation {{\n  pname = \"tool\";\n  version = \"0-unstable\";\n  src = fetchFromGitHub {{\n    \
         owner = \"owner\";\n    repo = \"tool\";\n    rev = \"{revision}\";\n    sha256 = \"{}\";\n  }};\n}}\n",
        Sha256Digest::of(revision)
    )
}

fn outcome<'a>(checked: &'a [Checked], code: &str) -> &'a Outcome {
    &checked.iter().find(|checked| checked.code == code).unwrap().outcome
}

#[test]
fn a_release_tarball_with_files_that_the_tag_lacks_is_found() {
    let world = World::new();
    let old = fetched_by_url("1", &world.tarball("1", &[]));
    // The shape of xz 5.6: a macro that only the tarball has, and a test file that nobody can read.
    let evil: &[(&str, &[u8])] = &[
        ("m4/build-to-host.m4", b"eval"),
        ("tests/files/bad.lzma", b"\0\x01\x02"),
    ];
    let checked = world.check(&old, &fetched_by_url("2", &world.tarball("2", evil)));
    match outcome(&checked, "tarball-not-tag") {
        Outcome::Found(what) => assert!(what.contains("m4/build-to-host.m4 (added)"), "{what}"),
        other => panic!("{other:?}"),
    }
    match outcome(&checked, "opaque-fixture") {
        Outcome::Found(what) => assert!(what.contains("tests/files/bad.lzma"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_release_tarball_that_is_its_tag_is_clean() {
    let world = World::new();
    let old = fetched_by_url("1", &world.tarball("1", &[]));
    let checked = world.check(&old, &fetched_by_url("2", &world.tarball("2", &[])));
    for code in ["tarball-not-tag", "opaque-fixture"] {
        let outcome = outcome(&checked, code);
        assert!(matches!(outcome, Outcome::Clean(_)), "{code}: {outcome:?}");
    }
}

#[test]
fn a_file_that_differs_from_the_tag_is_found() {
    let world = World::new();
    let old = fetched_by_url("1", &world.tarball("1", &[]));
    let checked = world.check(
        &old,
        &fetched_by_url("2", &world.tarball("2", &[("src/main.c", b"evil")])),
    );
    match outcome(&checked, "tarball-not-tag") {
        Outcome::Found(what) => assert!(what.contains("src/main.c (differs)"), "{what}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_imposter_commit_is_told_from_one_that_was_published() {
    let world = World::new();
    let honest = run(&world.clone_dir(), "git", &["rev-parse", "v2"]);
    // What a forge shows under the repository's name, and no branch or tag of it has.
    fs::write(world.clone_dir().join("src/main.c"), "evil").unwrap();
    let imposter = world.commit();
    run(
        &world.clone_dir(),
        "git",
        &["update-ref", "refs/pull/1/head", &imposter],
    );
    run(&world.clone_dir(), "git", &["reset", "--quiet", "--hard", "v2"]);
    let old = fetched_by_revision(&run(&world.clone_dir(), "git", &["rev-parse", "v1"]));
    let checked = world.check(&old, &fetched_by_revision(&imposter));
    assert!(
        matches!(outcome(&checked, "rev-unreachable"), Outcome::Found(_)),
        "{checked:?}"
    );
    let checked = world.check(&old, &fetched_by_revision(&honest));
    assert!(
        matches!(outcome(&checked, "rev-unreachable"), Outcome::Clean(_)),
        "{checked:?}"
    );
}

#[test]
fn what_is_not_at_hand_is_wanted_and_never_clean() {
    let world = World::new();
    let old = fetched_by_url("1", &world.tarball("1", &[]));
    let elsewhere = Sha256Digest::of("another tarball").to_string();
    let checked = world.check(&old, &fetched_by_url("2", &elsewhere));
    assert!(
        matches!(outcome(&checked, "tarball-not-tag"), Outcome::Wanted(_)),
        "{checked:?}"
    );
    let unknown = "7".repeat(40);
    let checked = world.check(&old, &fetched_by_revision(&unknown));
    assert!(
        matches!(outcome(&checked, "rev-unreachable"), Outcome::Wanted(_)),
        "{checked:?}"
    );
}

#[test]
fn a_damaged_tarball_is_wanted_and_never_clean() {
    let world = World::new();
    let old = fetched_by_url("1", &world.tarball("1", &[]));
    world.tarball("2", &[]);
    let name = world.sources().join("tool-2.tar.gz");
    let mut bytes = fs::read(&name).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&name, &bytes).unwrap();
    let digest = Sha256Digest::of(&bytes).to_string();
    let checked = world.check(&old, &fetched_by_url("2", &digest));
    assert!(
        matches!(outcome(&checked, "tarball-not-tag"), Outcome::Wanted(_)),
        "{checked:?}"
    );
}

const HACKAGE: &str = "pkgs/development/haskell-modules/hackage-packages.nix";

/// As they are generated (a file that is one unit), or with plain names (each entry is a unit).
fn hackage(quote: &str, entries: &[(&str, &str, Sha256Digest)]) -> String {
    let entry = |(name, version, digest): &(&str, &str, Sha256Digest)| {
        format!(
            "  {quote}{name}{quote} = callPackage\n    ({{ mkDerivation, base }}:\n     mkDerivation {{\n       pname = \"{name}\";\n       version = \
             \"{version}\";\n       sha256 = \"{digest}\";\n       libraryHaskellDepends = [ base ];\n     }}) {{}};\n\n"
        )
    };
    // More entries than an entry has arguments, as such sets have.
    let others = ["a", "b", "c", "d", "e", "f"].map(|name| (name, "1.0", Sha256Digest::of(name)));
    let entries: String = entries.iter().chain(&others).map(entry).collect();
    format!("{{ pkgs, callPackage }}:\n\nself: {{\n\n{entries}}}\n")
}

/// A needle in a bulk diff: among entries that are the registry's, one that is not.
#[test]
fn an_entry_of_a_generated_set_that_the_registry_has_otherwise_is_found() {
    for (quote, units) in [("\"", 1), ("", 2)] {
        let world = World::new();
        let digest = |text: &str| Sha256Digest::of(text);
        let old = hackage(quote, &[("acme", "1.0", digest("a1")), ("other", "1.0", digest("o1"))]);
        let new = |acme, other| hackage(quote, &[("acme", "1.1", acme), ("other", "1.1", other)]);
        let honest = new(digest("a2"), digest("o2"));
        let of_set = |new: &str| -> Vec<Outcome> {
            let checked = world.check_file(HACKAGE, &old, new).into_iter();
            let of_set = checked.filter(|checked| checked.code == "generated-set");
            of_set.map(|checked| checked.outcome).collect()
        };
        let without = of_set(&honest);
        assert!(
            without.len() == units
                && without
                    .iter()
                    .all(|it| matches!(it, Outcome::Wanted(what) if what.contains("01-index"))),
            "{without:?}"
        );
        world.index(&[("acme", "1.1", digest("a2")), ("other", "1.1", digest("o2"))]);
        let clean = of_set(&honest);
        assert!(
            clean.len() == units && clean.iter().all(|it| matches!(it, Outcome::Clean(_))),
            "{clean:?}"
        );
        let found = |new: &str, what: &str| {
            let all = of_set(new);
            let is_it = |outcome: &Outcome| matches!(outcome, Outcome::Found(said) if said.contains(what));
            assert!(
                all.iter().filter(|outcome| is_it(outcome)).count() == 1,
                "{what}: {all:?}"
            );
        };
        let poisoned = new(digest("a2"), digest("evil"));
        found(&poisoned, &format!("other/1.1 is {} in the index", digest("o2")));
        // The hash of another release, and a release that nobody made.
        found(
            &new(digest("o2"), digest("o2")),
            &format!("acme/1.1 is {} in the index", digest("a2")),
        );
        let made_up = hackage(quote, &[("acme", "1.0", digest("a1")), ("other", "9.9", digest("o2"))]);
        found(&made_up, "other/9.9 is not in the index");
    }
}
