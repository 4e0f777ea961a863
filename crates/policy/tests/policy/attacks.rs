//! docs/attacks.md names a test for each attack: each of them is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The names of all functions in the crates' sources, tests and examples.
fn functions(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let words = text.split("fn ").skip(1);
            names.extend(words.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
        }
    }
}

#[test]
fn every_attack_in_the_docs_names_tests_that_exist() {
    let workspace: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut names = BTreeSet::new();
    functions(&workspace.join("crates"), &mut names);
    let text = fs::read_to_string(workspace.join("docs/attacks.md")).unwrap();
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| case"));
    let mut named = 0;
    for row in rows {
        let tests: Vec<_> = row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.contains('_') && *name != "other_headers")
            .collect();
        assert!(!tests.is_empty(), "no test for: {row}");
        for test in tests {
            assert!(names.contains(test), "{test} does not exist; its row: {row}");
            named += 1;
        }
    }
    assert!(named > 100, "{named} tests are named");
}
