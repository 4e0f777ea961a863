//! Commits and tags that real programs signed.

use std::{fs, process::Command};

use testkit::peer;

use crate::story::{Story, Why, later};

/// Real git and real gpg, now: keys are valid in the story's time, so gpg is told that time.
fn gpg_commit(story: &Story, person: &str, extra: &[&str]) -> Option<String> {
    if !peer::has("gpg") || !peer::has("faketime") {
        return None;
    }
    let home = story.repo.beside("gnupg");
    fs::create_dir_all(&home).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let secret = story.repo.beside("secret.asc");
    fs::write(&secret, &story.chain.person(person).secret).unwrap();
    let gpg = |arguments: &[&str]| {
        let output = Command::new("gpg")
            .env("GNUPGHOME", &home)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    gpg(&["--batch", "--quiet", "--import", secret.to_str().unwrap()]);
    let wrapper = story.repo.beside("gpg-then");
    let time = later(1).to_string().replace('T', " ").replace('Z', "");
    fs::write(
        &wrapper,
        format!("#!/bin/sh\nexec faketime -f '{time}' gpg --batch \"$@\"\n"),
    )
    .unwrap();
    let mode = ["+x", wrapper.to_str().unwrap()];
    assert!(Command::new("chmod").args(mode).status().unwrap().success());
    let key = format!("{}!", story.chain.person(person).keys[0]);
    let program = format!("gpg.program={}", wrapper.display());
    let signing = format!("user.signingKey={key}");
    let arguments: Vec<&str> = ["-c", &program, "-c", &signing]
        .into_iter()
        .chain(extra.iter().copied())
        .collect();
    story.repo.git(&arguments);
    Command::new("gpgconf")
        .env("GNUPGHOME", &home)
        .args(["--kill", "gpg-agent"])
        .status()
        .unwrap();
    Some(story.repo.git(&["rev-parse", "HEAD"]))
}

#[test]
fn a_commit_and_a_tag_that_git_and_gpg_signed_count() {
    let mut story = Story::new();
    story.chain.now = later(1);
    story.repo.set_branch("main", &story.introduction.clone());
    let Some(commit) = gpg_commit(
        &story,
        "alice",
        &["commit", "--allow-empty", "-q", "-S", "-m", "by git and gpg"],
    ) else {
        return;
    };
    assert_eq!(story.authentic(&commit), 1);
    gpg_commit(&story, "bob", &["tag", "-s", "-m", "v1", "v1"]).unwrap();
    assert_eq!(story.authentic("v1"), 1);
    // What gpg signed for a person outside the role.
    let Some(dave) = gpg_commit(
        &story,
        "dave",
        &["commit", "--allow-empty", "-q", "-S", "-m", "by dave"],
    ) else {
        return;
    };
    assert_eq!(story.broken(&dave), [(dave, Why::TooFew)]);
}

#[test]
fn a_commit_signed_with_an_ssh_key_is_reported_and_not_counted() {
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        peer::missing("ssh-keygen is not installed");
        return;
    }
    let story = Story::new();
    story.repo.set_branch("main", &story.introduction.clone());
    let key = story.repo.beside("id");
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()];
    assert!(Command::new("ssh-keygen").args(arguments).status().unwrap().success());
    let signing = format!("user.signingKey={}", key.display());
    story.repo.git(&[
        "-c",
        "gpg.format=ssh",
        "-c",
        &signing,
        "commit",
        "--allow-empty",
        "-q",
        "-S",
        "-m",
        "by ssh",
    ]);
    let commit = story.repo.git(&["rev-parse", "HEAD"]);
    assert_eq!(story.broken(&commit), [(commit.clone(), Why::OtherKind)]);
    let said = story.judge(&commit).unwrap().breaks[0].reason.to_string();
    assert!(said.contains("SSH"), "{said}");
}
