//! Honest inputs, for each of the fuzz targets to begin from.

use std::collections::BTreeSet;

use attestation::{
    Content, Delta, Sha256Digest, Time, canonical,
    openpgp::PgpSignature,
    series::{PatchSeries, Patched, SeriesPatch},
    statement::{
        Claim, DeltaVerdict, Exemption, FromTree, Import, Review, Statement, Verdict, ViolatedContent, Violation,
    },
    unit::PARTITION_VERSION,
};
use signer::{Document, Signer as _, sign_statement};
use testkit::{TestChain, chain::policy_toml};

const COMMIT: &str = "tree 2222222222222222222222222222222222222222\n\
                      parent 3333333333333333333333333333333333333333\n\
                      author A <a@example.org> 1767225600 +0000\n\
                      committer A <a@example.org> 1767225600 +0000\n\
                      gpgsig -----BEGIN PGP SIGNATURE-----\n \n BASE64\n -----END PGP SIGNATURE-----\n\
                      \nmessage\n";
const TAG: &str = "object 2222222222222222222222222222222222222222\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\
                   \nmessage\n-----BEGIN PGP SIGNATURE-----\n\nBASE64\n-----END PGP SIGNATURE-----\n";
const NOTE: &str = "sig:v0:2222222222222222222222222222222222222222:3333333333333333333333333333333333333333:null:pgp:";

/// Which target, and what it is given.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut out = Vec::new();
    let mut write = |target, bytes: &[u8]| out.push((target, bytes.to_vec()));
    let mut chain = TestChain::new(Time::JAN_2026);
    chain.release("unstable", &[("nixexprs.tar.xz", b"bytes")]);
    chain.rotate(|_| {});
    for (path, bytes) in &chain.files {
        if path.ends_with(".json") {
            write("tuf_metadata", bytes);
            write("canonical_json", bytes);
        }
    }
    let toml = policy_toml(&chain.people, &chain.online, chain.now);
    write("policy_toml", toml.as_bytes());
    for person in &chain.people {
        write("keyring", &person.certificate);
    }
    write("keyring", &chain.keyring.to_bytes());
    let signer = chain.person("alice").signer(0, chain.now);
    for claim in claims(&chain) {
        let statement = Statement {
            chain: chain.id(),
            author: chain.person("alice").name.clone(),
            seq: 1,
            prev: None,
            claim,
        };
        write("statement", &statement.to_bytes());
        write("canonical_json", &statement.to_bytes());
        let envelope = sign_statement(&signer, &statement).expect("a signature");
        write("dsse_envelope", &envelope.to_bytes());
        let packet = signer
            .sign_packet(&Document::Statement(&statement))
            .expect("a signature");
        write("signature_packet", &packet);
        write("signature_packet", &packet.repeat(2));
        let signature = PgpSignature::from_packet(&packet).expect("a signature");
        write("signature_packet", &canonical::to_vec(&signature.to_tuf()));
        let base64 = data_encoding::BASE64.encode(&packet);
        for object in [COMMIT, TAG] {
            write("git_object", object.replace("BASE64", &base64).as_bytes());
        }
        write("git_object", format!("{NOTE}{base64}").as_bytes());
    }
    for name in [
        "alice",
        "nixos-24.05",
        "pkgs/by-name/he/hello",
        "3 days",
        "2026-01-31T23:59:59Z",
        &chain.id().to_string(),
    ] {
        write("names_and_times", name.as_bytes());
    }
    out
}

fn claims(chain: &TestChain) -> [Claim; 4] {
    let content = |name: &str| Content::from_digest(Sha256Digest::of(name));
    let unit = "pkgs/hello".parse().expect("a unit's path");
    let oid = |digit: &str| digit.repeat(40).parse().expect("a git id");
    let delta = Delta {
        unit,
        from: None,
        to: Some(content("a")),
    };
    let channel = chain.policy().channels.keys().next().expect("a channel").clone();
    let (tree_nar, reason) = (Sha256Digest::of("tree"), "because".to_owned());
    [
        Claim::Review(Review {
            criteria: "read-the-diff".to_owned(),
            verdicts: vec![DeltaVerdict {
                delta: delta.clone(),
                verdict: Verdict::Approve,
                note: Some("good".to_owned()),
            }],
            supersedes: BTreeSet::new(),
            from_tree: Some(FromTree {
                channel: channel.clone(),
                sequence: 7,
                tree_nar,
            }),
        }),
        Claim::Violation(Violation {
            contents: [ViolatedContent {
                unit: delta.unit.clone(),
                content: content("bad"),
            }]
            .into(),
            reason: reason.clone(),
            trees: [attestation::statement::TreeNar(tree_nar)].into(),
        }),
        Claim::Exemption(Exemption {
            channel: channel.clone(),
            commit: oid("1"),
            tree: oid("2"),
            tree_nar,
            reason,
            until: chain.now,
        }),
        Claim::Import(Import {
            channel,
            upstream: "https://upstream.example/nixpkgs".to_owned(),
            branch: "unstable".to_owned(),
            from: oid("1"),
            to: oid("2"),
            to_tree: oid("3"),
            patched: Some(Patched {
                upstream: oid("4"),
                patches: PatchSeries::new(vec![SeriesPatch {
                    name: "01-fix.patch".parse().expect("a name"),
                    sha256: tree_nar,
                }])
                .expect("a series"),
            }),
            tree_nar,
            partition: PARTITION_VERSION,
            delta_count: 1,
            deltas: Delta::list_digest(&[delta]),
        }),
    ]
}
