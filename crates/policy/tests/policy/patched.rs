//! Patches of a channel's own: in which units, the root says; that they are named, a release and an import do.

use std::collections::BTreeSet;

use attestation::{
    GitOid, Sha256Digest, UnitPath,
    series::{PatchSeries, Patched, SeriesPatch},
    statement::{Claim, Import},
    tuf::Targets,
};
use policy::{
    TrustError, Verified,
    admission::{self, AdmissionRefusal, admit},
    difference::differences,
    document::{self, PolicyRefusal},
};
use testkit::{TestChain, chain::people};

use crate::{
    NOW,
    admission::{edit, import, said},
    statements::{approval, delta, judged, release},
};

fn patched() -> Patched {
    Patched {
        upstream: "44".repeat(20).parse().unwrap(),
        patches: PatchSeries::new(vec![SeriesPatch {
            name: "01-fix.patch".parse().unwrap(),
            sha256: Sha256Digest::of("a patch"),
        }])
        .unwrap(),
    }
}

/// A chain whose `unstable` may be patched below these patterns.
fn chain(patterns: &[&str]) -> TestChain {
    TestChain::with_policy(people(NOW), NOW, |policy| {
        let channel = policy.channels.get_mut(&"unstable".parse().unwrap()).unwrap();
        channel.patches = patterns.iter().map(ToString::to_string).collect();
    })
}

fn units(units: &[&str]) -> BTreeSet<UnitPath> {
    units.iter().map(|unit| unit.parse().unwrap()).collect()
}

/// What becomes of an import with or without patches, all of whose changes two people approved, where these units differ
/// from upstream's.
fn verified(chain: &TestChain, named: bool, differ: &[&str]) -> Result<Verified<Import>, AdmissionRefusal> {
    let the_delta = delta(Some("a"), Some("c"));
    let import = Import {
        patched: named.then(patched),
        ..import(chain, std::slice::from_ref(&the_delta))
    };
    let approve = || approval(Some("a"), Some("c"));
    let claims = [
        ("alice", approve()),
        ("bob", approve()),
        ("alice", Claim::Import(import.clone())),
    ];
    let statements = said(chain, &claims);
    let set = judged(chain);
    let court = set.court().unwrap();
    let admission = admit(&court, &release(3), vec![edit(the_delta)], &statements);
    admission::verify_import(&court, &import, &units(differ), &admission, &statements)
}

#[test]
fn refuses_an_import_that_is_patched_where_the_root_does_not_say_so() {
    let open = chain(&["pkgs/by-name/op/openssl", "nixos/modules/**"]);
    let within = ["pkgs/by-name/op/openssl", "nixos/modules/services/sshd.nix"];
    verified(&open, true, &within).expect("the honest twin");
    // Also a unit that this import does not change: an earlier one patched it, under another root.
    for outside in ["lib", "pkgs/by-name/op/opensslx", "nixos/lib"] {
        let refused = verified(&open, true, &[within[0], outside]).unwrap_err();
        assert!(
            matches!(&refused, AdmissionRefusal::NotPatchable { unit, .. } if unit.as_str() == outside),
            "{refused:?}"
        );
    }
    let closed = chain(&[]);
    verified(&closed, false, &[]).expect("upstream's tree");
    assert!(matches!(
        verified(&closed, true, &within).unwrap_err(),
        AdmissionRefusal::NotPatchable { allowed, .. } if allowed.is_empty()
    ));
}

#[test]
fn refuses_an_import_that_differs_from_upstream_and_does_not_say_so() {
    let open = chain(&["**"]);
    for (named, differ, found) in [(false, &["lib"][..], 1), (true, &[], 0)] {
        let refused = verified(&open, named, differ).unwrap_err();
        let expected = AdmissionRefusal::PatchesUnstated { stated: named, found };
        assert_eq!(refused, expected);
    }
}

/// A release of `unstable` that names patches, as a client sees it.
fn visited(patterns: &[&str], edit: impl FnOnce(&mut GitOid, &mut Option<Patched>)) -> Result<(), TrustError> {
    let mut chain = chain(patterns);
    chain.release_with(
        "unstable",
        &[("nixexprs.tar.xz", b"first")],
        &["alice", "bob"],
        |targets: &mut Targets| {
            let release = targets.mark.as_mut().unwrap().release.as_mut().unwrap();
            edit(&mut release.commit, &mut release.patched);
        },
    );
    chain.publish();
    chain.visit("unstable").map(drop)
}

#[test]
fn a_client_refuses_a_patched_release_of_a_channel_that_promises_upstreams_tree() {
    let name = |_: &mut GitOid, found: &mut Option<Patched>| *found = Some(patched());
    visited(&["**"], name).expect("the honest twin");
    visited(&[], |_, _| {}).expect("upstream's tree");
    let refused = visited(&[], name).unwrap_err();
    assert!(
        matches!(&refused, TrustError::Rule { rule, .. } if rule.contains("lets this channel carry none")),
        "{refused:?}"
    );
    let refused = visited(&["**"], |commit, found| {
        *found = Some(Patched {
            upstream: commit.clone(),
            ..patched()
        });
    });
    assert!(matches!(refused.unwrap_err(), TrustError::Rule { .. }));
}

#[test]
fn what_may_be_patched_is_a_pattern_and_more_of_it_weakens() {
    let policy = chain(&["lib/**"]).policy().clone();
    let with = |patterns: &[&str]| {
        let mut other = policy.clone();
        let channel = other.channels.get_mut(&"unstable".parse().unwrap()).unwrap();
        channel.patches = patterns.iter().map(ToString::to_string).collect();
        other
    };
    document::check(&policy).expect("the honest twin");
    assert!(matches!(
        document::check(&with(&["../x"])).unwrap_err(),
        PolicyRefusal::Pattern { place, .. } if place == "channels.unstable.patches"
    ));
    assert!(matches!(
        document::check(&with(&["lib/**", "lib/strings"])).unwrap_err(),
        PolicyRefusal::RedundantPattern { .. }
    ));
    let more = differences(&policy, &with(&["lib/**", "nixos/**"]));
    assert!(more.len() == 1 && more[0].weakens, "{more:?}");
    let less = differences(&policy, &with(&[]));
    assert!(less.len() == 1 && !less[0].weakens, "{less:?}");
}
