//! The honest chain is honest: a client takes it, through a release, a rotation and another release.

use attestation::Time;
use testkit::TestChain;

#[test]
fn a_client_takes_the_honest_chain() {
    let mut chain = TestChain::new(Time::JAN_2026);
    let channel = "unstable".parse().unwrap();
    chain.release("unstable", &[("nixexprs.tar.xz", b"first")]);
    let set = chain.visit("unstable").unwrap();
    let release = set.current_release(&channel).unwrap();
    assert_eq!(release.verified().get().sequence, 1);
    assert_eq!(release.verified().evidence().vouches.len(), 2);
    let target = set.target("unstable", "unstable/nixexprs.tar.xz").unwrap();
    let path = format!("targets/unstable/{}.nixexprs.tar.xz", target.get().sha256().unwrap());
    assert_eq!(chain.files[&path], b"first");

    chain.rotate(|policy| policy.channels.get_mut(&channel).unwrap().release.threshold = 3);
    assert!(
        chain.visit("unstable").is_err(),
        "two signatures where three are needed"
    );
    chain.release_with(
        "unstable",
        &[("nixexprs.tar.xz", b"second")],
        &["alice", "bob", "carol"],
        |_| {},
    );
    let set = chain.visit("unstable").unwrap();
    assert_eq!(set.root().version, 2);
    assert_eq!(set.current_release(&channel).unwrap().verified().get().sequence, 2);
}

#[test]
fn the_web_directory_has_the_names_that_clients_ask_for() {
    let mut chain = TestChain::new(Time::JAN_2026);
    chain.release("stable", &[("nixexprs.tar.xz", b"bytes")]);
    let dir = tempfile::tempdir().unwrap();
    chain.write_to(dir.path()).unwrap();
    for path in [
        "metadata/1.root.json",
        "metadata/timestamp.json",
        "metadata/2.snapshot.json",
        "metadata/1.targets.json",
        "metadata/1.stable.json",
        "metadata/keyring.pgp",
    ] {
        assert!(dir.path().join(path).is_file(), "{path} is missing");
    }
    assert_eq!(dir.path().join("targets/stable").read_dir().unwrap().count(), 1);
}
