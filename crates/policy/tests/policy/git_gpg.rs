//! Commits and tags that real git and gpg sign.

use std::{fs, num::NonZeroUsize, path::Path, process::Command};

use policy::{
    Facts, SignatureRefusal,
    jury::{Candidate, ObjectRefusal, Work},
    keyring::CertificateRefusal,
};
use testkit::{TestChain, peer};

use crate::{
    gpg::{Gpg, gpg_time, now},
    statements::judged,
};

/// Git in a repository of its own, with gpg's home, and nobody else's settings.
struct Repository<'a> {
    dir: tempfile::TempDir,
    gpg: &'a Gpg,
}

impl<'a> Repository<'a> {
    fn new(gpg: &'a Gpg) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repository = Self { dir, gpg };
        repository.git(&["init", "--quiet"]);
        repository
    }

    fn git(&self, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("git")
            .current_dir(self.dir.path())
            .args(["-c", "user.name=Dave", "-c", "user.email=dave@example.org"])
            .args(arguments)
            .env("GNUPGHOME", self.gpg.home())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A new commit that `key` signs: its id and content.
    fn commit(&self, key: &str, message: &str) -> (String, Vec<u8>) {
        fs::write(Path::join(self.dir.path(), "file"), message).unwrap();
        self.git(&["add", "file"]);
        self.git(&["commit", "--quiet", &format!("-S{key}!"), "-m", message]);
        self.object("commit", "HEAD")
    }

    fn object(&self, kind: &str, name: &str) -> (String, Vec<u8>) {
        let id = String::from_utf8(self.git(&["rev-parse", name])).unwrap();
        (id.trim().to_owned(), self.git(&["cat-file", kind, name]))
    }
}

/// Whether dave vouches for an object, as one of `crypto`.
fn judge(chain: &TestChain, candidate: Candidate<'_>) -> Result<(), ObjectRefusal> {
    let set = judged(chain);
    let jury = set.court().unwrap().jury();
    let mut facts = Facts::default();
    let mut work = Work {
        threads: NonZeroUsize::MIN,
        facts: &mut facts,
    };
    let heard = jury.hear(&[candidate], &mut work);
    heard[0].require(&"crypto".parse().unwrap(), 1).map(|_| ())
}

fn commit(chain: &TestChain, (id, bytes): &(String, Vec<u8>)) -> Result<(), ObjectRefusal> {
    judge(chain, Candidate::commit(id.parse().unwrap(), bytes).unwrap())
}

fn takes_commits_and_tags(algorithm: &str) {
    if !peer::has("git") {
        return;
    }
    let Some(gpg) = Gpg::new() else { return };
    let mut all = testkit::chain::people(now());
    all[3] = gpg.person("dave", algorithm);
    let chain = TestChain::with_policy(all, now(), |_| {});
    let key = chain.person("dave").keys[0].as_str().to_owned();
    let repository = Repository::new(&gpg);

    let signed = repository.commit(&key, "first");
    assert!(repository.git(&["verify-commit", "HEAD"]).is_empty(), "git takes it");
    commit(&chain, &signed).unwrap_or_else(|error| panic!("{error}"));
    for hash in ["SHA384", "SHA512"] {
        fs::write(
            Path::join(&gpg.home(), "gpg.conf"),
            format!("personal-digest-preferences {hash}\n"),
        )
        .unwrap();
        let signed = repository.commit(&key, hash);
        commit(&chain, &signed).unwrap_or_else(|error| panic!("{hash}: {error}"));
    }

    // Git's own merge of a signed tag: the tag stands in the commit, with its signature.
    repository.git(&["tag", "-s", "-u", &format!("{key}!"), "-m", "a tag", "v1"]);
    let (id, bytes) = repository.object("tag", "v1");
    judge(&chain, Candidate::tag(id.parse().unwrap(), &bytes).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let renamed = String::from_utf8(bytes).unwrap().replacen("tag v1", "tag v2", 1);
    assert!(judge(&chain, Candidate::tag(id.parse().unwrap(), renamed.as_bytes()).unwrap()).is_err());
    repository.git(&["checkout", "--quiet", "-b", "side", "HEAD~1"]);
    let merge = [
        "merge",
        "--quiet",
        "--no-ff",
        &format!("-S{key}!"),
        "-m",
        "merge v1",
        "v1",
    ];
    repository.git(&merge);
    let merged = repository.object("commit", "HEAD");
    assert!(String::from_utf8_lossy(&merged.1).contains("\nmergetag object "));
    commit(&chain, &merged).unwrap_or_else(|error| panic!("{error}"));

    let forged = String::from_utf8(signed.1)
        .unwrap()
        .replacen("\n\nfirst", "\n\nlast", 1);
    let error = commit(&chain, &(signed.0, forged.into_bytes())).unwrap_err();
    assert!(
        matches!(&error, ObjectRefusal::Threshold { shortfall, .. } if shortfall.tally.refused[0].reason == SignatureRefusal::Bad),
        "{error:?}"
    );
}

#[test]
fn takes_commits_and_tags_that_gpg_signs_with_ed25519() {
    takes_commits_and_tags("ed25519");
}

#[test]
fn takes_commits_and_tags_that_gpg_signs_with_rsa_2048() {
    takes_commits_and_tags("rsa2048");
}

#[test]
fn takes_commits_and_tags_that_gpg_signs_with_rsa_4096() {
    takes_commits_and_tags("rsa4096");
}

#[test]
fn takes_commits_and_tags_that_gpg_signs_with_p_256() {
    takes_commits_and_tags("nistp256/ecdsa");
}

#[test]
fn refuses_commits_by_a_key_of_gpgs_that_was_revoked_or_is_over() {
    if !peer::has("git") {
        return;
    }
    let Some(gpg) = Gpg::new() else { return };
    let mut all = testkit::chain::people(now());
    all[3] = gpg.person("dave", "ed25519");
    let mut chain = TestChain::with_policy(all, now(), |_| {});
    let signed = Repository::new(&gpg).commit(chain.person("dave").keys[0].as_str(), "first");
    commit(&chain, &signed).expect("the honest twin");
    let mut over = chain.clone();
    over.now = now().plus(attestation::Seconds::days(900));
    let error = commit(&over, &signed).unwrap_err();
    let reason = |error: &ObjectRefusal| match error {
        ObjectRefusal::Threshold { shortfall, .. } => shortfall.tally.refused[0].reason.clone(),
        other => panic!("{other:?}"),
    };
    assert!(
        matches!(reason(&error), SignatureRefusal::AfterPolicy { .. }),
        "{error:?}"
    );
    chain
        .keyring
        .add(&gpg.revoke_subkey("dave", "1", &gpg_time(now().plus(attestation::Seconds::days(1)))))
        .unwrap();
    let error = commit(&chain, &signed).unwrap_err();
    assert!(
        matches!(
            reason(&error),
            SignatureRefusal::Certificate(CertificateRefusal::Revoked { .. })
        ),
        "{error:?}"
    );
}
