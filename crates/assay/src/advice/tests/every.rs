//! One of every refusal of the policy engine.

use std::{collections::BTreeSet, error::Error};

use attestation::{
    ChainId, Fingerprint, KeyId, PersonName, RoleName, Sha256Digest, StatementId, Time, canonical,
    openpgp::PgpFormError,
    statement::{Statement, StatementError},
};
use policy::{
    RefusedSignature, Shortfall, SignatureRefusal, Tally, TrustError, Vouch,
    admission::AdmissionRefusal,
    document::PolicyRefusal,
    hardware::HardwareRefusal,
    keyring::{CertificateRefusal, KeyringError, Uncertified},
    root::RootRefusal,
    source::{self, SourceError},
    statements::{StatementRefusal, WrongList},
    trusted_set::Violated,
};

pub(super) type AnyError = Box<dyn Error>;

fn person(name: &str) -> PersonName {
    name.parse().expect("a name")
}

fn role(name: &str) -> RoleName {
    name.parse().expect("a name")
}

fn key() -> Fingerprint {
    "5b1de0".repeat(7)[..40].parse().expect("a fingerprint")
}

fn digest(of: &str) -> Sha256Digest {
    Sha256Digest::of(of)
}

fn chain(name: &str) -> ChainId {
    ChainId::from_digest(digest(name))
}

fn now() -> Time {
    Time::JAN_2026
}

fn later() -> Time {
    now().plus(attestation::Seconds::days(90))
}

fn not_json() -> canonical::JsonError {
    match Statement::from_exact(b"{").expect_err("no statement") {
        StatementError::Json(error) => error,
        StatementError::Inconsistent { .. } => unreachable!("it is no JSON"),
    }
}

pub(super) fn too_few() -> Shortfall {
    Shortfall {
        role: role("root"),
        needed: 3,
        tally: Box::new(Tally {
            vouches: vec![Vouch {
                person: Some(person("alice")),
                key: KeyId::from(key()),
                signed_at: Some(now()),
            }],
            refused: vec![RefusedSignature {
                key: KeyId::from(key()),
                reason: SignatureRefusal::Bad,
            }],
            could_still_sign: vec!["bob".to_owned(), "carol".to_owned()],
        }),
    }
}

pub(super) fn certificates() -> Vec<CertificateRefusal> {
    let (pinned, key) = (digest("alice"), key());
    vec![
        CertificateRefusal::NoCertificate { pinned },
        CertificateRefusal::NoSuchKey {
            pinned,
            key: key.clone(),
        },
        CertificateRefusal::WeakPrimary { pinned },
        CertificateRefusal::NotValid {
            key: key.clone(),
            at: now(),
            reason: "The primary key is not live".to_owned(),
        },
        CertificateRefusal::Revoked { key: key.clone() },
        CertificateRefusal::NotCertified(Box::new(Uncertified {
            person: person("dave"),
            role: role("main"),
            need: 2,
            by: BTreeSet::from([person("alice")]),
            could: BTreeSet::from([person("bob"), person("carol")]),
        })),
        CertificateRefusal::Algorithm {
            key: key.clone(),
            algorithm: "DSA".to_owned(),
        },
        CertificateRefusal::StatementsOnly {
            key,
            algorithm: "P-256",
        },
    ]
}

fn signatures() -> Vec<SignatureRefusal> {
    let mut all = vec![
        SignatureRefusal::NotInRole,
        SignatureRefusal::Bad,
        SignatureRefusal::Form(PgpFormError::Field {
            field: "hash algorithm",
            found: 2,
            expected: "8 (SHA-256)",
        }),
        SignatureRefusal::Key("RSA of 1024 bits".to_owned()),
        SignatureRefusal::Certificate(CertificateRefusal::Revoked { key: key() }),
    ];
    all.extend([
        SignatureRefusal::FromTheFuture {
            found: later(),
            now: now(),
        },
        SignatureRefusal::BeforeProposal {
            found: now(),
            proposed: later(),
        },
        SignatureRefusal::AfterPolicy {
            found: later(),
            not_after: now(),
        },
    ]);
    all
}

fn policies() -> Vec<PolicyRefusal> {
    let (alice, bob) = (person("alice"), person("bob"));
    vec![
        PolicyRefusal::Format { found: 2 },
        PolicyRefusal::MissingRole(role("reviewers")),
        PolicyRefusal::UnknownPerson {
            role: role("root"),
            person: alice.clone(),
        },
        PolicyRefusal::NoKey(alice.clone()),
        PolicyRefusal::KeyTwice {
            key: key(),
            first: alice.clone(),
            second: bob.clone(),
        },
        PolicyRefusal::CertificateTwice {
            first: alice,
            second: bob,
        },
        PolicyRefusal::Threshold {
            what: "roles.root".to_owned(),
            threshold: 3,
            people: 3,
            most: 2,
        },
        PolicyRefusal::Unreachable(2),
        PolicyRefusal::RedundantPattern {
            place: "rule 1".to_owned(),
            pattern: "lib/strings".to_owned(),
            other: "lib/**".to_owned(),
        },
        PolicyRefusal::Contradictory(1),
        PolicyRefusal::IdleThreshold(role("reviewers")),
        PolicyRefusal::NoCatchAll,
        PolicyRefusal::RequiresNobody(1),
        PolicyRefusal::Pattern {
            place: "rule 1".to_owned(),
            pattern: "/lib".to_owned(),
        },
        PolicyRefusal::OnlineKey,
        PolicyRefusal::ZeroDuration("freshness.root".to_owned()),
    ]
}

fn roots() -> Vec<RootRefusal> {
    vec![
        RootRefusal::NoPolicy,
        RootRefusal::Policy(PolicyRefusal::NoCatchAll),
        RootRefusal::Key {
            person: person("alice"),
            source: CertificateRefusal::Revoked { key: key() },
        },
        RootRefusal::SameMaterial {
            first: key().into(),
            second: "77aa31".repeat(7)[..40].parse().expect("a key id"),
        },
        RootRefusal::NotDerived { member: "keys" },
        RootRefusal::Chain {
            expected: Some(chain("ours")),
            found: Some(chain("theirs")),
        },
    ]
}

fn trust() -> Vec<TrustError> {
    let role = || "unstable".to_owned();
    vec![
        TrustError::Format {
            role: role(),
            source: not_json(),
        },
        TrustError::Header {
            role: role(),
            member: "_type",
            found: "root".to_owned(),
            expected: "targets".to_owned(),
        },
        TrustError::Threshold(too_few()),
        TrustError::NotThePinnedChain {
            pinned: chain("ours"),
            found: digest("theirs"),
        },
        TrustError::Root {
            version: 4,
            source: RootRefusal::NotDerived { member: "roles" },
        },
        TrustError::Version {
            role: role(),
            found: 7,
            expected: 6,
        },
        TrustError::Rollback {
            role: role(),
            found: 5,
            seen: 6,
        },
        TrustError::TwoPayloads {
            role: role(),
            version: 6,
        },
        TrustError::Expired {
            role: "timestamp".to_owned(),
            expired: now(),
            now: later(),
        },
        TrustError::NotAsListed {
            role: role(),
            what: "length".to_owned(),
            found: "10".to_owned(),
            expected: "11".to_owned(),
        },
        TrustError::NotTheTarget {
            name: "unstable/nixexprs.tar.xz".to_owned(),
            what: "sha256".to_owned(),
            found: "00".to_owned(),
            expected: "11".to_owned(),
        },
        TrustError::NotListed {
            listing: "snapshot",
            name: "unstable.json".to_owned(),
        },
        TrustError::Mark {
            role: role(),
            found: "stable".to_owned(),
            expected: role(),
        },
        TrustError::Rule {
            role: role(),
            rule: "a release delegates nothing".to_owned(),
        },
        TrustError::Violated {
            channel: "unstable".parse().expect("a name"),
            sequence: 6,
            by: vec![Violated {
                by: person("carol"),
                reason: "a decoded script".to_owned(),
                statement: StatementId::from_digest(digest("said")),
            }],
        },
        TrustError::Order("a snapshot"),
        TrustError::FreshnessNotJudged,
    ]
}

fn statements() -> Vec<StatementRefusal> {
    vec![
        StatementRefusal::Payload(StatementError::Inconsistent { member: "subject" }),
        StatementRefusal::Chain {
            expected: chain("ours"),
            found: chain("theirs"),
        },
        StatementRefusal::UnknownAuthor(person("mallory")),
        StatementRefusal::NotTheAuthors {
            key: key().into(),
            author: person("alice"),
        },
        StatementRefusal::NoRole(person("dave")),
        StatementRefusal::OtherId {
            expected: StatementId::from_digest(digest("said")),
        },
        StatementRefusal::NoViolation,
        StatementRefusal::NoChain,
        StatementRefusal::Signature {
            author: person("alice"),
            source: SignatureRefusal::Bad,
        },
    ]
}

fn admissions() -> Vec<AdmissionRefusal> {
    vec![
        AdmissionRefusal::Open {
            open: 2,
            total: 40,
            first: "pkgs/by-name/he/hello".parse().expect("a unit"),
        },
        AdmissionRefusal::OtherDeltas,
        AdmissionRefusal::OtherStart {
            expected: "release 3 of unstable".to_owned(),
            found: "release 2 of unstable".to_owned(),
        },
        AdmissionRefusal::NotThePolicys {
            member: "branch",
            expected: "nixos-unstable".to_owned(),
            found: "master".to_owned(),
        },
        AdmissionRefusal::NotPatchable {
            unit: "pkgs/by-name/xz/xz".parse().expect("a unit"),
            allowed: vec!["pkgs/by-name/op/openssl".to_owned()],
        },
        AdmissionRefusal::PatchesUnstated {
            stated: false,
            found: 2,
        },
        AdmissionRefusal::NoStatement {
            role: role("reviewers"),
        },
    ]
}

fn hardware() -> Vec<HardwareRefusal> {
    let alice = person("alice");
    vec![
        HardwareRefusal::NoRoots { person: alice.clone() },
        HardwareRefusal::WitnessedInFirstRoot { person: alice.clone() },
        HardwareRefusal::NotAttested {
            person: alice.clone(),
            key: key(),
            tried: 1,
            closest: None,
        },
        HardwareRefusal::TooFewWitnesses {
            person: alice.clone(),
            key: key(),
            found: BTreeSet::from([person("bob")]),
        },
        HardwareRefusal::Key {
            person: alice,
            source: CertificateRefusal::Revoked { key: key() },
        },
    ]
}

fn others() -> Vec<(&'static str, Vec<AnyError>)> {
    let list = attestation::chain::StatementList::of(&BTreeSet::new());
    let toml = source::read("online-key = 1", None).expect_err("no policy");
    assert!(matches!(toml, SourceError::Toml(_)), "{toml}");
    let value = SourceError::Value {
        place: "channels.unstable.expires".to_owned(),
        reason: "expected a duration".to_owned(),
    };
    vec![
        ("Policies as people write them", boxed([toml, value])),
        (
            "Certificate files",
            boxed([
                KeyringError::TooLarge { found: 10 << 20 },
                KeyringError::Malformed("unexpected EOF".to_owned()),
                KeyringError::PrivateKey,
                KeyringError::Empty,
            ]),
        ),
        (
            "Lists of statements",
            boxed([
                WrongList::List {
                    sequence: 3,
                    expected: list,
                    found: 1,
                },
                WrongList::Root {
                    sequence: 3,
                    expected: 1,
                    found: 2,
                },
            ]),
        ),
    ]
}

fn boxed<T: Error + 'static>(errors: impl IntoIterator<Item = T>) -> Vec<AnyError> {
    errors.into_iter().map(|error| Box::new(error) as AnyError).collect()
}

/// Every refusal, by subject.
pub(super) fn every() -> Vec<(&'static str, Vec<AnyError>)> {
    let mut all = vec![
        ("Too few people", boxed([too_few()])),
        ("Metadata", boxed(trust())),
        ("Roots", boxed(roots())),
        ("Policies", boxed(policies())),
        ("Certificates", boxed(certificates())),
        ("Signatures", boxed(signatures())),
        ("Statements", boxed(statements())),
        ("Imports", boxed(admissions())),
        ("Hardware", boxed(hardware())),
    ];
    all.extend(others());
    all
}
