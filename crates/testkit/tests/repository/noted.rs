//! `assay git-sig`, beside what git-sig's users do with git and gpg.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use serde_json::json;
use testkit::{TestPerson, peer};

use crate::company::{Company, project_file};

/// A shell in somebody's clone, with gpg's home beside it.
fn shell(company: &Company, clone: &str, script: &str) -> String {
    let home = company.path("gnupg");
    fs::create_dir_all(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let output = Command::new("sh")
        .current_dir(company.path(clone))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", company.path(""))
        .env("GNUPGHOME", &home)
        .env("GIT_COMMITTER_NAME", "x")
        .env("GIT_COMMITTER_EMAIL", "x@example.org")
        .env("GIT_AUTHOR_NAME", "x")
        .env("GIT_AUTHOR_EMAIL", "x@example.org")
        .args(["-euc", script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &said
}

fn end_agent(company: &Company) {
    let mut end = Command::new("gpgconf");
    end.env("GNUPGHOME", company.path("gnupg")).args(["--kill", "all"]);
    let _ = end.status();
}

#[test]
fn people_sign_from_their_own_clones_and_are_counted() {
    let company = Company::new();
    let commit = company.commit("alice", &company.introduction, "one", &["alice"]);
    company.repo("alice").set_branch("main", &commit);
    company.git("alice", &["push", "--quiet", "origin", "main"]);
    for person in ["bob", "carol"] {
        company.git(person, &["fetch", "--quiet", "origin", "main:main", "--update-head-ok"]);
        let json = company.assay(person, &["git-sig", "sign", "main"]).ok();
        assert_eq!((&json["pushed"], &json["binds"]), (&json!(true), &json!("sha1")));
    }
    // Alice has no notes yet, and signed the commit itself.
    let verify = [
        "git-sig",
        "verify",
        "--group",
        "committers",
        "--ref",
        "main",
        "--threshold",
    ];
    let with = |threshold| company.assay("alice", &[&verify[..], &[threshold]].concat());
    let output = with("2").refused("1 of 2");
    assert!(output.stderr.contains("SHA-1"), "{}", output.stderr);
    company.git(
        "alice",
        &[
            "fetch",
            "--quiet",
            "origin",
            "refs/notes/signatures:refs/notes/signatures",
        ],
    );
    let json = with("3").ok();
    assert_eq!(json["counted"].as_array().unwrap().len(), 3);
    with("4").refused("3 of 4");
    with("0").failed(2, "met by nobody");
    let role = ["git-sig", "verify", "--group", "nobody", "--ref", "main"];
    company.assay("alice", &role).failed(2, "no role nobody");
    // Signed twice by one person is one.
    company.assay("bob", &["git-sig", "sign", "main"]).ok();
    company.git(
        "alice",
        &[
            "fetch",
            "--quiet",
            "origin",
            "+refs/notes/signatures:refs/notes/signatures",
        ],
    );
    with("4").refused("3 of 4");
}

/// A repository without a chain; the note is made as git-sig's `sig_generate` and `sign_note` make it.
#[test]
fn a_note_that_git_and_gpg_made_counts_and_gpg_reads_ours() {
    if !peer::has("gpg") {
        return;
    }
    let company = Company::new();
    let commit = company.commit("carol", &company.introduction, "one", &[]);
    company.git("carol", &["update-ref", "refs/heads/main", &commit]);
    let directory = company.path("people");
    fs::create_dir(&directory).unwrap();
    let by_hand = "gpg --batch --quiet --import ../keys/alice.secret\n\
        body=sig:v0:$(git rev-parse main):$(git rev-parse 'main^{tree}'):null:pgp\n\
        signature=$(printf %s \"$body\" | gpg --batch --detach-sign --local-user alice@example.org | base64 -w 0)\n\
        printf %s \"$body:$signature\" | git notes --ref signatures append --file=- main";
    shell(&company, "carol", by_hand);
    for person in ["alice", "bob"] {
        fs::copy(
            company.path(&format!("keys/{person}.asc")),
            directory.join(format!("{person}.asc")),
        )
        .unwrap();
    }
    let verify = |threshold: &str| {
        let arguments = [
            "--offline",
            "git-sig",
            "verify",
            "--keyring",
            "people",
            "--ref",
            "main",
            "--threshold",
            threshold,
        ];
        company.assay("carol", &arguments)
    };
    assert_eq!(verify("1").ok()["counted"][0]["person"], "alice");
    verify("2").refused("1 of 2");

    let sign = [
        "--offline",
        "git-sig",
        "sign",
        "--key",
        "software:keys/bob.secret",
        "main",
    ];
    company.assay("carol", &sign).ok();
    assert_eq!(verify("2").ok()["counted"].as_array().unwrap().len(), 2);

    // gpg alone, by the recipe of docs/formats.md, word for word; then by git-sig's own one-liner.
    let formats = project_file("docs/formats.md");
    let section = formats.split("### Verify a note by hand").nth(1).unwrap();
    let recipe = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    fs::copy(company.path("keys/bob.asc"), company.path("carol/author.asc")).unwrap();
    let said = shell(&company, "carol", &format!("COMMIT={commit}\n{recipe}"));
    assert!(said.contains("Good signature from \"bob"), "{said}");
    let one_liner = "git notes --ref signatures show main | grep '^sig:' | while read -r line; do\n\
        printf %s \"$line\" | sed 's/.*pgp://g' | base64 -d > ../s\n\
        printf %s \"$line\" | sed 's/pgp:.*/pgp/g' > ../b\n\
        gpg --verify ../s ../b; done";
    let said = shell(&company, "carol", one_liner);
    assert_eq!(said.matches("Good signature").count(), 2, "{said}");
    end_agent(&company);
}

#[test]
fn what_git_sig_lets_pass_is_refused() {
    let company = Company::new();
    let now = testkit::world::now();
    let one = company.commit("carol", &company.introduction, "one", &[]);
    let two = company.commit("carol", &company.introduction, "two", &[]);
    let tree = |commit: &str| company.git("carol", &["rev-parse", &format!("{commit}^{{tree}}")]);
    let line = |person: &TestPerson, commit: &str, tree: &str| {
        let body = attestation::git::NoteBody {
            commit: commit.parse().unwrap(),
            tree: tree.parse().unwrap(),
        };
        body.to_line(&person.sign_bytes(0, now, &body.to_bytes()))
    };
    let append = |line: &str| {
        company.repo("carol").git_with(
            &["notes", "--ref", "signatures", "append", "--file=-", &one],
            line.as_bytes(),
        );
    };
    let people = company.path("people");
    fs::create_dir(&people).unwrap();
    for person in &company.people {
        fs::write(people.join(format!("{}.asc", person.name)), &person.certificate).unwrap();
    }
    let verify = |threshold: &str| {
        let arguments = [
            "--offline",
            "git-sig",
            "verify",
            "--keyring",
            "people",
            "--ref",
            &one,
            "--threshold",
            threshold,
        ];
        company.assay("carol", &arguments)
    };
    let (alice, bob) = (company.person("alice"), company.person("bob"));
    // Junk that spoils a valid set there; a signature over other data; one moved under a rewritten body.
    append("sig:v0:junk");
    append("sig:v0:::::");
    append(&line(bob, &two, &tree(&two)));
    append(&line(bob, &two, &tree(&two)).replace(&two, &one));
    append(&line(bob, &one, &tree(&one)).replace(":null:", "::"));
    append(&line(
        &TestPerson::new("bob", attestation::Time::JAN_2026),
        &one,
        &tree(&one),
    ));
    verify("1").refused("0 of 1");
    append(&line(alice, &one, &tree(&one)));
    append(&line(alice, &one, &tree(&one)));
    verify("1").ok();
    // The same person twice, with two tokens, is one.
    let body = attestation::git::NoteBody {
        commit: one.parse().unwrap(),
        tree: tree(&one).parse().unwrap(),
    };
    append(&body.to_line(&alice.sign_bytes(1, now, &body.to_bytes())));
    verify("2").refused("1 of 2");
    append(&line(bob, &one, &tree(&one)));
    verify("2").ok();

    // Bob's certificate with its revocation in it: git-sig 0.3 counts him still.
    if peer::has("gpg") {
        let revoke = "gpg --batch --quiet --import ../keys/bob.secret\n\
            printf 'y\\n1\\n\\ny\\n' | gpg --no-tty --command-fd 0 --pinentry-mode loopback --passphrase '' \
            --output ../bob.rev --gen-revoke bob@example.org\n\
            gpg --batch --quiet --import ../bob.rev\n\
            gpg --batch --armor --export bob@example.org > ../people/bob.asc";
        shell(&company, "carol", revoke);
        let output = verify("2").refused("1 of 2");
        assert!(output.stderr.contains("revoked"), "{}", output.stderr);
        end_agent(&company);
    }
}

#[test]
fn a_directory_of_certificates_is_one_person_a_file() {
    let company = Company::new();
    let people = company.path("people");
    fs::create_dir(&people).unwrap();
    let verify = || {
        company.assay(
            "alice",
            &[
                "--offline",
                "git-sig",
                "verify",
                "--keyring",
                "people",
                "--ref",
                &company.introduction,
            ],
        )
    };
    verify().failed(2, "has no certificate");
    let (alice, bob) = (&company.person("alice").certificate, &company.person("bob").certificate);
    fs::write(people.join("both.asc"), [alice.as_slice(), bob].concat()).unwrap();
    verify().refused("a person has one");
    fs::remove_file(people.join("both.asc")).unwrap();
    fs::write(people.join("alice.asc"), alice).unwrap();
    fs::write(people.join("bob.asc"), alice).unwrap();
    verify().refused("the same certificate as alice's");
    fs::write(people.join("bob.asc"), &company.person("bob").secret).unwrap();
    verify().refused("private key");
    fs::write(people.join("bob.asc"), bob).unwrap();
    verify().refused("0 of 1");
}
