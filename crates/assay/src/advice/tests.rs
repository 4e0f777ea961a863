//! Every refusal of the policy engine, as a person meets it: docs/refusals.md is made here.

mod every;

use std::{error::Error, path::Path};

use self::every::{certificates, every, too_few};
use super::of;

/// The error and its reasons, as a person reads them.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        let words = reason.to_string();
        if !text.ends_with(&words) {
            text += ": ";
            text += &words;
        }
        source = reason.source();
    }
    text
}

/// As many kinds as the engine's sources declare: who adds one, adds it here.
#[test]
fn no_kind_of_refusal_is_left_out() {
    let declared = |text: &str| text.matches("#[error(").count();
    for (subject, text, more) in [
        ("Metadata", include_str!("../../../policy/src/trusted_set/error.rs"), 0),
        ("Roots", include_str!("../../../policy/src/root.rs"), 0),
        ("Policies", include_str!("../../../policy/src/document.rs"), 0),
        // And those of the certificates.
        (
            "Certificate files",
            include_str!("../../../policy/src/keyring.rs"),
            certificates().len(),
        ),
        ("Signatures", include_str!("../../../policy/src/signature.rs"), 0),
        ("Statements", include_str!("../../../policy/src/statements.rs"), 0),
        (
            "Lists of statements",
            include_str!("../../../policy/src/statements/positions.rs"),
            0,
        ),
        ("Imports", include_str!("../../../policy/src/admission.rs"), 0),
        ("Hardware", include_str!("../../../policy/src/hardware.rs"), 0),
        (
            "Policies as people write them",
            include_str!("../../../policy/src/source.rs"),
            0,
        ),
    ] {
        let (_, listed) = every()
            .into_iter()
            .find(|(name, _)| *name == subject)
            .expect("a subject");
        assert_eq!(listed.len() + more, declared(text), "{subject}");
    }
}

#[test]
fn every_refusal_says_what_to_do_next() {
    for (subject, errors) in every() {
        for error in errors {
            let next = of(&*error).unwrap_or_else(|| panic!("{subject}: nothing follows {error}"));
            let is_command = ["assay ", "gpg ", "git "].iter().any(|command| next.contains(command));
            assert!(
                is_command || next.contains("please report it"),
                "{subject}: {error}: {next}"
            );
        }
    }
}

#[test]
fn too_few_people_names_the_role_who_signed_what_did_not_count_and_who_could() {
    let words = words(&too_few());
    for part in [
        "1 of 3",
        "role root",
        "signed: alice",
        "not counted: 5b1de0",
        "could still sign: bob, carol",
    ] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
}

/// Reads docs/refusals.md, or writes it with `TOUCHSTONE_WRITE_DOCS=1`.
#[test]
fn docs_have_every_refusal_as_it_is() {
    let mut text = String::from(
        "# Refusals\n\nEvery refusal of the policy engine as `assay` prints it, and what it says to do next. Names and numbers are \
         made up. A test of\ncrate `assay` holds this page against the program; `TOUCHSTONE_WRITE_DOCS=1` makes that test write \
         it.\n",
    );
    for (subject, errors) in every() {
        text += &format!("\n## {subject}\n");
        for error in errors {
            let next = of(&*error).expect("something follows");
            let words = words(&*error).replace('\n', " ");
            text += &format!("- {}<br>\n  *next:* {}\n", escaped(&words), escaped(&next));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/refusals.md");
    if std::env::var_os("TOUCHSTONE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).expect("docs/refusals.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/refusals.md is not what the program says; TOUCHSTONE_WRITE_DOCS=1 writes it"
    );
}

fn escaped(text: &str) -> String {
    text.replace('<', "&lt;").replace('*', "\\*").replace('_', "\\_")
}
