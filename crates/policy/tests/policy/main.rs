//! Attacks on the place where trust is decided, each named after its flaw, with real keys and real bytes. Beside
//! each stands its honest twin: the same, without the flaw, is accepted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admission;
mod attacks;
mod certificates;
mod coverage;
mod difference;
mod document;
mod encodings;
mod foreign;
mod forge;
mod freshness;
mod from_tree;
mod fuzzed;
mod git;
mod git_gpg;
mod git_object;
mod gpg;
mod hardware;
mod jury;
mod metadata;
mod p256;
mod patched;
mod positions;
mod proposal;
mod releases;
mod roots;
mod sequoia;
mod signatures;
mod statements;
mod violations;
mod web;

use attestation::{
    Seconds, Time,
    chain::PolicyDocument,
    tuf::{Root, Signature},
};
use policy::{
    Keyring, SignatureRefusal, TrustError, TrustedSet,
    root::{self, RootRefusal},
    source,
};
use testkit::{TestChain, TestPerson, chain::policy_toml};

/// When everything happens, unless a test says otherwise.
const NOW: Time = Time::JAN_2026;

fn days(count: u64) -> Seconds {
    Seconds::days(count)
}

/// What a client makes of a release of `unstable` with these signatures over its payload.
fn release_signed(
    chain: &TestChain,
    signatures: impl FnOnce(&[u8]) -> Vec<Signature>,
) -> Result<TrustedSet, TrustError> {
    let mut chain = chain.clone();
    let mut signed = chain.signed_targets(chain.clone().draft_release("unstable", &[]), &[]);
    signed.signatures = signatures(&signed.payload);
    chain.place_targets("unstable", &signed);
    chain.publish();
    chain.visit("unstable")
}

/// Why signatures did not count where too few did.
fn refused(outcome: Result<TrustedSet, TrustError>) -> Vec<SignatureRefusal> {
    match outcome {
        Err(TrustError::Threshold(shortfall)) => {
            let refused = shortfall.tally.refused.into_iter();
            refused.map(|signature| signature.reason).collect()
        }
        Err(other) => panic!("refused for something else: {other:?}"),
        Ok(_) => panic!("accepted"),
    }
}

/// What making a first root of these people gives, with a policy that `edit` has changed.
fn compile(people: &[TestPerson], edit: impl FnOnce(&mut PolicyDocument)) -> Result<Root, RootRefusal> {
    let online = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let mut keyring = Keyring::default();
    for person in people {
        keyring.add(&person.certificate).unwrap();
    }
    let mut policy = source::read(&policy_toml(people, &online, NOW), None).unwrap();
    edit(&mut policy);
    root::compile(policy, 1, NOW, &keyring)
}
