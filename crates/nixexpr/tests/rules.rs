//! Every rule against its fixtures: `tests/rules/<code>/<case>/` has the unit before (`old/`), after (`new/`), and what is
//! said of it (`expected`).
//!
//! A case is named after what it shows: `fires…` and `evades…` (somebody hides it, and it is found) have a finding of the
//! rule, `quiet…` (its honest twin) has none. Under `bumps/`, `yes…` is certified and `no…` is not; `incidents/` has what happened,
//! in a shape of our own. `NIXEXPR_BLESS=1` writes
//! what is said into `expected`; the names still hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use attestation::unit::{FileMode, FindingLevel};
use nixexpr::{Context, RULES, UnitDelta, UnitFile, compare};

/// Codes whose rule looks at nothing here: what they are about takes git or the source, and is judged in other crates.
const ELSEWHERE: [&str; 3] = ["attributes-rewrite", "channel-patch", "evil-merge"];

/// Judged with what another unit has; its test is in `context.rs`.
const WITH_CONTEXT: [&str; 1] = ["hash-transplanted"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules")
}

fn folders(path: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(path).expect("a folder of fixtures");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// The files below a folder, by their paths in it.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        // git keeps no empty folder: a side without files is absent.
        if !folder.is_dir() {
            continue;
        }
        for path in folders(&folder) {
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .expect("below it")
                    .to_str()
                    .expect("UTF-8")
                    .to_owned();
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

fn unit_files(files: &BTreeMap<String, Vec<u8>>) -> Vec<UnitFile<'_>> {
    let files = files.iter();
    files
        .map(|(path, bytes)| UnitFile {
            path,
            mode: FileMode::Regular,
            bytes,
        })
        .collect()
}

fn delta(case: &Path) -> UnitDelta {
    let (old, new) = (files(&case.join("old")), files(&case.join("new")));
    let unit = "pkgs/tools/x".parse().expect("a unit");
    compare(&unit, &unit_files(&old), &unit_files(&new), &Context::default())
}

fn said(delta: &UnitDelta) -> String {
    let mut said = format!("summary: {}\n", delta.summary);
    match &delta.bump {
        Ok(()) => said.push_str("bump: yes\n"),
        Err(why) => writeln!(said, "bump: no, {why}").expect("a string"),
    }
    for (path, error) in &delta.unparsed {
        writeln!(said, "unparsed {path}: {error}").expect("a string");
    }
    for finding in &delta.findings {
        let line = finding.place.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = format!("{}{line}", finding.place.path);
        writeln!(
            said,
            "{:?} {} {place} {}",
            finding.level(),
            finding.code(),
            finding.what
        )
        .expect("a string");
    }
    said.replace('\r', "\\r")
}

#[test]
fn every_rule_finds_what_it_is_for_and_leaves_its_honest_twin() {
    let bless = std::env::var_os("NIXEXPR_BLESS").is_some();
    let mut wrong = Vec::new();
    let mut fired: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for rule in folders(&fixtures()) {
        let code = rule.file_name().expect("a name").to_string_lossy().into_owned();
        for case in folders(&rule) {
            let name = case.file_name().expect("a name").to_string_lossy().into_owned();
            let delta = delta(&case);
            // An incident names the rule that finds it: `incidents/fires-<code>--<which>`.
            let wanted = match (code.as_str(), name.split_once("--")) {
                ("incidents", Some((rule, _))) => rule.trim_start_matches("fires-").to_owned(),
                _ => code.clone(),
            };
            let fires = delta.findings.iter().any(|finding| finding.rule.code == wanted);
            let counts = fired.entry(code.clone()).or_default();
            let as_named = match name.split('-').next() {
                Some("fires" | "evades") => {
                    counts.0 += 1;
                    fires
                }
                Some("quiet") => {
                    counts.1 += 1;
                    !fires
                }
                Some("yes") => delta.bump.is_ok(),
                Some("no") => delta.bump.is_err(),
                _ => panic!("{code}/{name}: a case begins with fires, evades, quiet, yes or no"),
            };
            let said = said(&delta);
            if !as_named {
                wrong.push(format!("{code}/{name} is not what its name says:\n{said}"));
            }
            let expected = case.join("expected");
            if bless {
                fs::write(&expected, &said).expect("written");
            } else if fs::read_to_string(&expected).ok().as_deref() != Some(&said) {
                wrong.push(format!("{code}/{name}: another text than expected:\n{said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{} cases", wrong.join("\n"), wrong.len());
    for rule in RULES
        .iter()
        .filter(|rule| !ELSEWHERE.contains(&rule.code) && !WITH_CONTEXT.contains(&rule.code))
    {
        let (fires, quiet) = fired.get(rule.code).copied().unwrap_or_default();
        assert!(
            fires > 0 && quiet > 0,
            "{} has {fires} cases that fire and {quiet} that do not",
            rule.code
        );
    }
}

#[test]
fn every_rule_explains_itself() {
    let mut last = "";
    for rule in RULES {
        assert!(last < rule.code, "{} is out of order", rule.code);
        last = rule.code;
        assert_eq!(rule.code().to_string(), rule.code);
        for text in [rule.fires, rule.because, rule.example, rule.advice] {
            assert!(text.len() > 10 && text.trim_end() == text, "{}: {text:?}", rule.code);
        }
        if rule.level == FindingLevel::S {
            assert!(
                rule.advice.contains("Source check wanted"),
                "{} does not say what is wanted",
                rule.code
            );
        }
    }
}

#[test]
fn the_table_of_the_docs_is_that_of_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules.md");
    let docs = fs::read_to_string(path).expect("docs/rules.md");
    let rows: Vec<&str> = docs.lines().filter(|line| line.starts_with("| `")).collect();
    let table: Vec<String> = RULES
        .iter()
        .map(|rule| {
            format!(
                "| `{}` | {:?} | {} | {} |",
                rule.code, rule.level, rule.fires, rule.because
            )
        })
        .collect();
    assert_eq!(rows, table.iter().map(String::as_str).collect::<Vec<_>>());
}
