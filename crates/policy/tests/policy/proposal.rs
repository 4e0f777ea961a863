//! Finishing metadata from the signatures that were collected.

use attestation::{
    RoleName,
    tuf::{Metadata, RoleKeys, Signed},
};
use policy::trusted_set::{Electorate, assemble};
use signer::Document;
use testkit::TestChain;

use crate::NOW;

fn roots_people(chain: &TestChain) -> Vec<&str> {
    let role = &chain.policy().roles[&"root".parse::<RoleName>().unwrap()];
    role.people.iter().map(attestation::PersonName::as_str).collect()
}

/// What becomes of `file` under the chain's own root, for a role with that root's people.
fn finish<T: Metadata>(chain: &TestChain, file: &Signed<T>, role: &str) -> Option<Signed<T>> {
    let role: RoleName = role.parse().unwrap();
    let role_keys: RoleKeys = chain.root().roles["root".parse::<RoleName>().as_ref().unwrap()].clone();
    let electorate = Electorate {
        role: &role,
        keys: &chain.root().keys,
        role_keys: &role_keys,
        policy: chain.policy(),
        keyring: &chain.keyring,
        now: NOW,
    };
    assemble(file, &electorate).1
}

#[test]
fn a_root_keeps_every_good_signature_and_targets_as_many_as_they_take() {
    let chain = TestChain::new(NOW);
    let everybody = roots_people(&chain);
    let root = chain.signed_root(chain.draft_root(|_| {}), &everybody);
    let finished = finish(&chain, &root, "root").unwrap();
    assert_eq!(finished.signatures.len(), everybody.len());

    let targets = chain.draft_top_level_targets();
    let signatures = chain.sign(&Document::Targets(&targets), &everybody);
    let finished = finish(&chain, &Signed::new(targets, signatures), "targets").unwrap();
    let needed = chain.root().roles[&"targets".parse::<RoleName>().unwrap()].threshold;
    assert_eq!(finished.signatures.len(), needed as usize);
}

#[test]
fn refuses_to_finish_with_one_signature_too_few_or_two_by_one_person() {
    let chain = TestChain::new(NOW);
    let needed = chain.root().roles[&"root".parse::<RoleName>().unwrap()].threshold as usize;
    let people = roots_people(&chain);
    let root = chain.draft_root(|_| {});
    let mut few = chain.signed_root(root.clone(), &people[..needed - 1]);
    assert!(finish(&chain, &few, "root").is_none(), "one too few");
    few.signatures.extend(chain.sign(&Document::Root(&root), &people[..1]));
    few.signatures
        .push(chain.sign_with(&Document::Root(&root), people[0], 1));
    assert!(finish(&chain, &few, "root").is_none(), "one person, several signatures");
    let enough = chain.signed_root(root, &people[..needed]);
    assert!(finish(&chain, &enough, "root").is_some(), "the honest twin");
}

#[test]
fn the_order_of_signatures_does_not_change_the_file() {
    let chain = TestChain::new(NOW);
    let people = roots_people(&chain);
    let forwards = chain.signed_root(chain.draft_root(|_| {}), &people);
    let mut backwards = forwards.clone();
    backwards.signatures.reverse();
    assert_eq!(
        finish(&chain, &forwards, "root").unwrap().to_bytes(),
        finish(&chain, &backwards, "root").unwrap().to_bytes()
    );
}
