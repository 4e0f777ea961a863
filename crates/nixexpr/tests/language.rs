//! Our verdict on whole files against Nix's own: its language tests, file by file, and whatever tree is at hand.
//!
//! A file that we refuse and Nix takes is one that people must look at for no reason; a file that we take and Nix refuses
//! is harmless, since nobody can evaluate it. Both are listed here, with the reason.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Language tests that Nix refuses and we take: what is refused there is meaning, not syntax.
const TAKEN: &[(&str, &str)] = &[
    ("parse-fail-dup-attrs-", "an attribute that is bound twice"),
    (
        "parse-fail-mixed-nested-attrs",
        "an attribute that is bound twice, once by a path",
    ),
    ("parse-fail-dup-formals", "an argument that is named twice"),
    ("parse-fail-patterns-1", "an argument that is named like the whole"),
    ("parse-fail-undef-var.nix", "a variable that nothing binds"),
    ("parse-fail-regression-20060610", "a variable that nothing binds"),
    (
        "eval-fail-attrset-merge-drops-later-rec",
        "a variable that nothing binds",
    ),
    ("eval-fail-eol-", "a variable that nothing binds"),
    ("eval-fail-set.nix", "a variable that nothing binds"),
    (
        "imported",
        "a variable that nothing binds: it is imported under a `with`",
    ),
];

/// Files that Nix takes and we refuse.
const REFUSED: &[(&str, &str)] = &[("eval-fail-toJSON-non-utf-8", "bytes that are no UTF-8: facts are text")];

fn made() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

fn is_listed(list: &[(&str, &str)], path: &Path) -> bool {
    let name = path.file_name().expect("a name").to_string_lossy();
    list.iter().any(|(prefix, _)| name.starts_with(prefix))
}

fn we_take(path: &Path) -> bool {
    let bytes = fs::read(path).expect("a file");
    nixexpr::parse("x.nix", &bytes).is_ok()
}

/// Whether this Nix parses all of `files`.
fn nix_takes(wrapper: &Path, files: &[&PathBuf]) -> bool {
    let mut command = Command::new(wrapper);
    command.args(["nix-instantiate", "--parse"]).args(files);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.expect("the wrapper runs").success()
}

/// Those of `files` that this Nix does not parse. Most of them it does, so halves are asked.
fn nix_refuses<'f>(wrapper: &Path, files: &[&'f PathBuf], refused: &mut Vec<&'f PathBuf>) {
    if files.is_empty() || nix_takes(wrapper, files) {
        return;
    }
    if let [only] = files {
        refused.push(only);
        return;
    }
    let (left, right) = files.split_at(files.len() / 2);
    nix_refuses(wrapper, left, refused);
    nix_refuses(wrapper, right, refused);
}

fn nix_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "nix") && path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn language_tests(version: &str) -> Option<Vec<PathBuf>> {
    let folder = made().join("nix-language").join(version);
    if !folder.is_dir() {
        testkit::peer::missing("no language tests of Nix in target/nix-language (cargo xtask setup fetches them)");
        return None;
    }
    Some(nix_files(&folder))
}

fn wrapper(name: &str) -> Option<PathBuf> {
    let wrapper = made().join("nix").join(name);
    if !wrapper.is_file() {
        testkit::peer::missing("no Nix in target/nix (cargo xtask setup unpacks it)");
        return None;
    }
    Some(fs::canonicalize(wrapper).expect("it is a file"))
}

#[test]
fn language_tests_of_nix_are_taken_and_refused_as_their_names_say() {
    for version in ["2.8", "2.26"] {
        let Some(files) = language_tests(version) else {
            return;
        };
        let mut counted = [0, 0];
        for path in &files {
            let name = path.file_name().expect("a name").to_string_lossy();
            // What fails in evaluation is nearly always well-formed; real Nix is asked below.
            let wanted = match () {
                () if name.starts_with("parse-fail") => is_listed(TAKEN, path),
                () if name.starts_with("parse-okay") || name.starts_with("eval-okay") => !is_listed(REFUSED, path),
                () => continue,
            };
            counted[usize::from(wanted)] += 1;
            assert_eq!(we_take(path), wanted, "{version}: {name}");
        }
        assert!(counted[0] >= 2 && counted[1] > 100, "{version} has {counted:?} tests");
    }
}

#[test]
fn real_nix_agrees_on_every_language_test() {
    for (version, name) in [("2.8", "nix28"), ("2.26", "nix226")] {
        let (Some(files), Some(wrapper)) = (language_tests(version), wrapper(name)) else {
            return;
        };
        agree(&wrapper, &files, name, true);
    }
}

/// What differs between us and this Nix is in the two lists, and everything in them still differs.
fn agree(wrapper: &Path, files: &[PathBuf], name: &str, listed: bool) -> (usize, Vec<PathBuf>) {
    let (ours, others): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(|path| we_take(path));
    let (exceptions, ours): (Vec<&PathBuf>, Vec<&PathBuf>) =
        ours.into_iter().partition(|path| listed && is_listed(TAKEN, path));
    let mut refused = Vec::new();
    nix_refuses(wrapper, &ours, &mut refused);
    for path in exceptions {
        assert!(
            !nix_takes(wrapper, &[path]),
            "{name} takes {}: it is no exception any more",
            path.display()
        );
    }
    for path in &others {
        let taken = nix_takes(wrapper, &[path]);
        assert_eq!(taken, is_listed(REFUSED, path), "{name} takes {}", path.display());
    }
    if listed {
        assert!(refused.is_empty(), "{name} refuses what we take: {refused:?}");
    }
    (others.len(), refused.into_iter().cloned().collect())
}

/// The .nix files of this repository, and with `TOUCHSTONE_NIXPKGS=<git dir>` all of a real tree.
#[test]
fn real_nix_agrees_on_every_file_at_hand() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<PathBuf> = Vec::new();
    // Not the fixtures, which use variables that nothing binds.
    for folder in ["xtask", "distro"] {
        files.extend(nix_files(&here.join(folder)));
    }
    files.push(here.join("flake.nix"));
    for name in ["nix28", "nix226"] {
        let Some(wrapper) = wrapper(name) else {
            return;
        };
        let (_, refused) = agree(&wrapper, &files, name, false);
        assert!(refused.is_empty(), "{name} refuses {refused:?}");
    }
    let Some(repository) = std::env::var_os("TOUCHSTONE_NIXPKGS") else {
        testkit::peer::missing("TOUCHSTONE_NIXPKGS is not set: no real tree to compare on");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let tar = Command::new("git")
        .arg("--git-dir")
        .arg(&repository)
        .args(["archive", "HEAD"])
        .stdout(Stdio::piped())
        .spawn();
    let tar = tar.expect("git runs").stdout.take().expect("a pipe");
    let unpacked = Command::new("tar")
        .arg("-x")
        .arg("-C")
        .arg(folder.path())
        .stdin(tar)
        .status();
    assert!(unpacked.expect("tar runs").success(), "the tree is unpacked");
    let files = nix_files(folder.path());
    for name in ["nix28", "nix226"] {
        let Some(wrapper) = wrapper(name) else {
            return;
        };
        let (refused_by_both, refused) = agree(&wrapper, &files, name, false);
        println!(
            "{name}: {} files, {refused_by_both} refused by both, {} by Nix alone",
            files.len(),
            refused.len()
        );
        for path in &refused {
            println!("  {}", path.display());
        }
    }
}

/// rnix is the second reader: where it differs from Nix, and so from us, is said here.
#[test]
fn where_the_second_reader_differs_is_known() {
    // A lone carriage return ends a comment for Nix; the rest of the line is code.
    let hidden = "# harmless \r { evil = 1; }";
    assert!(nixexpr::parse("x.nix", hidden.as_bytes()).is_ok());
    assert!(
        rnix::Root::parse(hidden).ok().is_err(),
        "for rnix there is only a comment"
    );
    // White space that Nix does not know.
    let spaced = "{\u{a0}a = 1; }";
    assert!(nixexpr::parse("x.nix", spaced.as_bytes()).is_err());
    // Nix stops reading at a NUL.
    assert!(nixexpr::parse("x.nix", b"1\0").is_err());

    let mut differ = Vec::new();
    for version in ["2.8", "2.26"] {
        let Some(files) = language_tests(version) else {
            return;
        };
        for path in files {
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let theirs = rnix::Root::parse(&text).ok().is_ok();
            if theirs != we_take(&path) {
                differ.push((path.file_name().expect("a name").to_string_lossy().into_owned(), theirs));
            }
        }
    }
    for (name, theirs) in &differ {
        assert!(
            RNIX.iter()
                .any(|(known, takes, _)| name.starts_with(known) && takes == theirs),
            "rnix takes {name}: {theirs}"
        );
    }
}

/// Language tests on which rnix says otherwise: its verdict, and why.
const RNIX: &[(&str, bool, &str)] = &[
    (
        "parse-okay-crlf",
        false,
        "a carriage return alone does not end its comments",
    ),
    ("eval-fail-eol-2", false, "likewise"),
    ("eval-fail-string-nul-", true, "it takes NUL for a character"),
    (
        "eval-fail-pipe-operators",
        true,
        "it has operators that Nix has only on request",
    ),
];
