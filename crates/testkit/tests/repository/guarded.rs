//! The hook of distro/hooks, in a bare repository that real pushes reach.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::company::{Company, project_file};

fn guarded() -> Company {
    let company = Company::new();
    let hook = company.path("company.git/hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, project_file("distro/hooks/pre-receive")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    company.git("company.git", &["config", "touchstone.chain", &company.chain]);
    company
}

/// Pushes; whether it was taken, and what was said.
fn push(company: &Company, refspecs: &[&str]) -> (bool, String) {
    let output = company.git_output("alice", &[&["push", "origin"], refspecs].concat());
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_push_brings_what_is_authorised_and_nothing_else() {
    let company = guarded();
    let one = company.commit("alice", &company.introduction, "one", &["alice"]);
    let (taken, said) = push(&company, &[&format!("{one}:refs/heads/main")]);
    assert!(taken, "{said}");
    for (message, people) in [("unsigned", &[][..]), ("by a stranger", &["mallory"])] {
        let bad = match people {
            [] => company.commit("alice", &one, message, &[]),
            _ => {
                let mallory = testkit::TestPerson::new("mallory", attestation::Time::JAN_2026);
                company
                    .repo("alice")
                    .commit(&[&one], message, &[&mallory], testkit::world::now())
            }
        };
        for target in ["refs/heads/main", "refs/heads/topic", "refs/tags/v1"] {
            let (taken, said) = push(&company, &[&format!("{bad}:{target}")]);
            assert!(
                !taken && said.contains("the chain of trust breaks at"),
                "{message} to {target}: {said}"
            );
        }
        // Beside something good, in one push: neither.
        let good = company.commit("alice", &one, "good", &["bob"]);
        let both = [format!("{good}:refs/heads/good"), format!("{bad}:refs/heads/bad")];
        assert!(!push(&company, &[&both[0], &both[1]]).0);
        assert!(
            !company
                .git("company.git", &["branch", "--list", "good"])
                .contains("good")
        );
    }
    assert_eq!(company.git("company.git", &["rev-parse", "main"]), one);
}

#[test]
fn a_protected_branch_is_not_rewound_or_deleted() {
    let company = guarded();
    let one = company.commit("alice", &company.introduction, "one", &["alice"]);
    let two = company.commit("alice", &company.introduction, "two", &["alice"]);
    assert!(push(&company, &[&format!("{one}:refs/heads/main")]).0);
    for refspec in [format!("+{two}:refs/heads/main"), ":refs/heads/main".to_owned()] {
        let (taken, said) = push(&company, &[&refspec]);
        assert!(!taken && said.contains("protected"), "{said}");
    }
    // A topic may be rewritten, by what is authentic.
    assert!(push(&company, &[&format!("{one}:refs/heads/topic")]).0);
    assert!(push(&company, &[&format!("+{two}:refs/heads/topic")]).0);
    assert!(push(&company, &[":refs/heads/topic"]).0);
}

#[test]
fn the_ledger_and_the_notes_only_grow() {
    let company = guarded();
    let one = company.commit("alice", &company.introduction, "one", &["alice"]);
    assert!(push(&company, &[&format!("{one}:refs/heads/main")]).0);
    company.assay("bob", &["sync"]).ok();
    company.git("bob", &["fetch", "--quiet", "origin", "main"]);
    company.assay("bob", &["git-sig", "sign", &one]).ok();
    assert!(
        company
            .git("company.git", &["rev-parse", "refs/notes/signatures"])
            .len()
            == 40
    );
    for refspec in [
        format!("+{one}:refs/heads/touchstone"),
        ":refs/heads/touchstone".to_owned(),
        format!("+{one}:refs/notes/signatures"),
    ] {
        let (taken, said) = push(&company, &[&refspec]);
        assert!(!taken && said.contains("only grows"), "{said}");
    }
    let (taken, said) = push(&company, &[&format!("{one}:refs/replace/{one}")]);
    assert!(!taken && said.contains("no branch and no tag"), "{said}");
}

#[test]
fn without_a_pinned_chain_nothing_is_taken() {
    let company = guarded();
    let one = company.commit("alice", &company.introduction, "one", &["alice"]);
    company.git("company.git", &["config", "--unset", "touchstone.chain"]);
    assert!(!push(&company, &[&format!("{one}:refs/heads/main")]).0);
    company.git("company.git", &["config", "touchstone.chain", &"0".repeat(64)]);
    assert!(!push(&company, &[&format!("{one}:refs/heads/main")]).0);
}
