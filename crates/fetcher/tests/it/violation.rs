//! What people found to be bad after it was released.

use attestation::{
    Sha256Digest,
    dsse::Envelope,
    statement::{Claim, Statement, TreeNar, Violation},
};
use fetcher::UpdateError;
use policy::TrustError;
use testkit::TestChain;

use crate::common::{Subscriber, assert_refused, installed, tarball};

/// dave says that what `unstable` brings now is bad.
pub(crate) fn violation(chain: &TestChain) -> Envelope {
    let set = chain.visit("unstable").unwrap();
    let release = set.release(&"unstable".parse().unwrap()).unwrap();
    violation_of(chain, release.get().tree_nar)
}

/// dave says that a tree is bad.
pub(crate) fn violation_of(chain: &TestChain, tree: Sha256Digest) -> Envelope {
    let dave = chain.person("dave");
    let statement = Statement {
        chain: chain.id(),
        author: dave.name.clone(),
        seq: 1,
        prev: None,
        claim: Claim::Violation(Violation {
            contents: [].into(),
            reason: "a backdoor".to_owned(),
            trees: [TreeNar(tree)].into(),
        }),
    };
    signer::sign_statement(&dave.signer(0, chain.now), &statement).unwrap()
}

#[test]
fn an_update_learns_of_a_violation_and_nobody_installs_what_it_names() {
    let (mut chain, site, subscriber) = installed();
    chain.release_tarball("unstable", &tarball("2"));
    let before = chain.clone();
    let said = violation(&chain);
    chain.place_violations([said]);
    chain.publish();
    site.serve(&chain);
    assert_refused!(
        subscriber,
        site,
        UpdateError::Trust(TrustError::Violated { sequence: 2, .. })
    );
    let newcomer = Subscriber::new(&chain);
    assert!(newcomer.update(&site).is_err(), "a new subscriber installed it");
    // A mirror that goes back to before it was said is behind.
    site.serve(&before);
    assert_refused!(subscriber, site, UpdateError::Trust(TrustError::Rollback { .. }));
    // What replaces it is installed.
    chain.release_tarball("unstable", &tarball("3"));
    site.serve(&chain);
    subscriber.update(&site).unwrap();
    newcomer.update(&site).unwrap();
}
