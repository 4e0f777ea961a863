//! What tuf-conformance asks of a client, as a table: each case is named after the test of it that it stands for, and goes
//! through the workflow that `touchstone update` runs. Each hostile state has its honest twin: the repository as it was, or
//! as it is made right, is followed afterwards.
//!
//! The tests of targets and delegations are in `search.rs`, those of keys, signatures and digests of targets in crate
//! policy (`foreign.rs`); what stays with tuf-conformance alone are the 48 combinations of its static repositories, its
//! artifact cache, and clocks turned by faketime. All 113 run against `examples/tuf_conformance.rs` (its head says how).

use std::{cell::RefCell, collections::BTreeMap};

use attestation::{
    KeyId, Seconds, Sha256Digest, Time,
    tuf::{Key, MetaFile, Metadata, RoleKeys, Root, SPEC_VERSION, Signature, Signed, Snapshot, Targets, Timestamp},
};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use fetcher::{
    Fault, TransportError, UpdateError,
    workflow::{Client, File, Source, Store},
};
use policy::{TrustError, TrustedSet, trusted_set::Judge};

use crate::common::now;

fn key(of: &str) -> (SigningKey, KeyId, Key) {
    let key = SigningKey::from_bytes(Sha256Digest::of(of).as_bytes());
    let public = HEXLOWER.encode(key.verifying_key().as_bytes());
    let tuf = Key {
        keytype: "ed25519".to_owned(),
        scheme: "ed25519".to_owned(),
        keyval: serde_json::json!({ "public": public }),
    };
    (key, public.parse().unwrap(), tuf)
}

fn signature(payload: &[u8], by: &str) -> Signature {
    let (key, keyid, _) = key(by);
    Signature {
        keyid,
        other_headers: None,
        sig: HEXLOWER.encode(&key.sign(payload).to_bytes()),
    }
}

/// A repository that can be published in any state.
#[derive(Clone)]
struct Repository {
    root: Root,
    timestamp: Timestamp,
    snapshot: Snapshot,
    targets: Targets,
    /// Whose keys sign a role's files.
    signers: BTreeMap<&'static str, Vec<&'static str>>,
    /// Whether listings have length and digest.
    hashes: bool,
    files: BTreeMap<String, Vec<u8>>,
    asked: RefCell<Vec<String>>,
}

const ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

impl Repository {
    fn new() -> Self {
        let expires = now().plus(Seconds::days(30));
        let (spec_version, mark) = (SPEC_VERSION.to_owned(), None);
        let mut repository = Self {
            root: Root {
                type_tag: Root::TYPE.to_owned(),
                spec_version: spec_version.clone(),
                consistent_snapshot: Some(true),
                version: 0,
                expires,
                keys: BTreeMap::new(),
                roles: BTreeMap::new(),
                policy: None,
            },
            timestamp: Timestamp {
                type_tag: Timestamp::TYPE.to_owned(),
                spec_version: spec_version.clone(),
                version: 0,
                expires,
                meta: BTreeMap::new(),
                mark: mark.clone(),
            },
            snapshot: Snapshot {
                type_tag: Snapshot::TYPE.to_owned(),
                spec_version: spec_version.clone(),
                version: 0,
                expires,
                meta: BTreeMap::new(),
                mark,
            },
            targets: Targets {
                type_tag: Targets::TYPE.to_owned(),
                spec_version,
                version: 0,
                expires,
                targets: BTreeMap::new(),
                delegations: None,
                mark: None,
            },
            signers: ROLES.iter().map(|role| (*role, vec![*role])).collect(),
            hashes: false,
            files: BTreeMap::new(),
            asked: RefCell::default(),
        };
        for role in ROLES {
            repository.hold(role, &[role], 1);
        }
        repository.publish_root();
        repository.publish_targets();
        repository.publish();
        repository
    }

    /// Makes these keys a role's.
    fn hold(&mut self, role: &'static str, keys: &[&'static str], threshold: u32) {
        let mut keyids = Vec::new();
        for of in keys {
            let (_, id, public) = key(of);
            self.root.keys.insert(id.clone(), public);
            keyids.push(id);
        }
        self.root
            .roles
            .insert(role.parse().unwrap(), RoleKeys { keyids, threshold });
        self.signers.insert(role, keys.to_vec());
    }

    fn place<T: Metadata>(&mut self, name: String, claims: T, signers: &[&str]) {
        let mut file = Signed::new(claims, Vec::new());
        file.signatures = signers.iter().map(|by| signature(&file.payload, by)).collect();
        self.files.insert(name, file.to_bytes());
    }

    /// The next root, signed by those who could sign the one before, and by its own.
    fn publish_root(&mut self) {
        self.publish_root_signed(&["root"]);
    }

    fn publish_root_signed(&mut self, also: &[&'static str]) {
        self.root.version += 1;
        let mut signers = self.signers["root"].clone();
        signers.extend(also);
        signers.sort_unstable();
        signers.dedup();
        self.place(format!("{}.root.json", self.root.version), self.root.clone(), &signers);
    }

    fn publish_targets(&mut self) {
        self.targets.version += 1;
        self.place_targets();
    }

    fn place_targets(&mut self) {
        let signers = self.signers["targets"].clone();
        self.place(
            format!("{}.targets.json", self.targets.version),
            self.targets.clone(),
            &signers,
        );
    }

    fn listing(&self, name: &str, version: u64) -> MetaFile {
        let bytes = self.files.get(name).filter(|_| self.hashes);
        bytes.map_or(
            MetaFile {
                version,
                length: None,
                hashes: None,
            },
            |bytes| MetaFile::of(version, bytes),
        )
    }

    /// The next snapshot and timestamp, of whatever targets there are.
    fn publish(&mut self) {
        self.publish_snapshot();
        self.publish_timestamp();
    }

    fn publish_snapshot(&mut self) {
        let version = self.targets.version;
        let listing = self.listing(&format!("{version}.targets.json"), version);
        self.snapshot.meta.insert("targets.json".to_owned(), listing);
        self.snapshot.version += 1;
        self.place_snapshot();
    }

    fn place_snapshot(&mut self) {
        let signers = self.signers["snapshot"].clone();
        self.place(
            format!("{}.snapshot.json", self.snapshot.version),
            self.snapshot.clone(),
            &signers,
        );
    }

    fn publish_timestamp(&mut self) {
        self.timestamp.version += 1;
        self.place_timestamp();
    }

    fn place_timestamp(&mut self) {
        let version = self.snapshot.version;
        let listing = self.listing(&format!("{version}.snapshot.json"), version);
        self.timestamp.meta.insert("snapshot.json".to_owned(), listing);
        let signers = self.signers["timestamp"].clone();
        self.place("timestamp.json".to_owned(), self.timestamp.clone(), &signers);
    }

    /// Changes a file's text as nobody who signed it did.
    fn bend(&mut self, name: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.files[name].clone()).unwrap();
        assert!(text.contains(from), "{name} has no {from}: {text}");
        self.files
            .insert(name.to_owned(), text.replacen(from, to, 1).into_bytes());
    }
}

impl Source for &Repository {
    fn get(&self, file: File<'_>, _: bool, bound: u64) -> Result<Vec<u8>, TransportError> {
        self.asked.borrow_mut().push(file.to_string());
        let bytes = self
            .files
            .get(&file.to_string())
            .cloned()
            .ok_or_else(|| TransportError {
                url: "https://tuf.example/".parse().unwrap(),
                fault: Fault::NotFound,
            })?;
        assert!(bytes.len() as u64 <= bound);
        Ok(bytes)
    }
}

/// What a client keeps between two runs.
#[derive(Default, Clone)]
struct Machine {
    kept: BTreeMap<String, Vec<u8>>,
}

impl Store for &mut Machine {
    fn kept(&self, file: File<'_>) -> Result<Option<Vec<u8>>, UpdateError> {
        Ok(self.kept.get(file.role()).cloned())
    }

    fn keep(&mut self, file: File<'_>, bytes: Vec<u8>) -> Result<(), UpdateError> {
        self.kept.insert(file.role().to_owned(), bytes);
        Ok(())
    }
}

impl Machine {
    fn trusting(root: &[u8]) -> Self {
        let kept = [("root".to_owned(), root.to_vec())].into();
        Self { kept }
    }

    fn refresh(&mut self, repository: &Repository, now: Time) -> Result<(), UpdateError> {
        let root = self.kept["root"].clone();
        let set = TrustedSet::foreign(&root, Judge::Current, now)?;
        let mut client = Client::new(set, repository, self);
        client.update_roots(32)?;
        client.update_top_level()
    }

    fn version(&self, role: &str) -> u64 {
        let value: serde_json::Value = serde_json::from_slice(&self.kept[role]).unwrap();
        value["signed"]["version"].as_u64().unwrap()
    }

    fn versions(&self) -> [u64; 4] {
        ["root", "timestamp", "snapshot", "targets"].map(|role| self.version(role))
    }
}

fn kind(error: &UpdateError) -> &'static str {
    match error {
        UpdateError::Transport(TransportError {
            fault: Fault::NotFound, ..
        }) => "missing",
        UpdateError::Trust(error) => match error {
            TrustError::Format { .. } => "format",
            TrustError::Header { .. } => "type",
            TrustError::Threshold(_) => "threshold",
            TrustError::Version { .. } => "version",
            TrustError::Rollback { .. } => "rollback",
            TrustError::Expired { .. } => "expired",
            TrustError::TwoPayloads { .. } => "two payloads",
            TrustError::NotAsListed { .. } => "not as listed",
            TrustError::NotListed { .. } => "not listed",
            TrustError::Rule { .. } => "rule",
            _ => "other",
        },
        _ => "other",
    }
}

type Change = fn(&mut Repository);

/// The test of tuf-conformance, what happens to the repository after a first refresh, and the refusal.
#[rustfmt::skip]
const REFUSED: &[(&str, Change, &str)] = &[
    ("test_timestamp_404", |r| drop(r.files.remove("timestamp.json")), "missing"),
    ("test_snapshot_404", |r| { r.publish(); r.files.remove("2.snapshot.json"); }, "missing"),
    ("test_targets_404", |r| { r.publish_targets(); r.publish(); r.files.remove("2.targets.json"); }, "missing"),
    ("test_root_expired", |r| { r.root.expires = now().minus(Seconds(1)); r.publish_root(); r.publish(); }, "expired"),
    ("test_timestamp_expired", |r| { r.timestamp.expires = now().minus(Seconds(1)); r.publish(); }, "expired"),
    ("test_snapshot_expired", |r| { r.snapshot.expires = now().minus(Seconds(1)); r.publish(); }, "expired"),
    ("test_targets_expired", |r| { r.targets.expires = now().minus(Seconds(1)); r.publish_targets(); r.publish(); }, "expired"),
    ("test_unsigned_metadata root", |r| { r.root.version += 1; r.place("2.root.json".to_owned(), r.root.clone(), &[]); }, "threshold"),
    ("test_unsigned_metadata timestamp", |r| { r.signers.insert("timestamp", vec![]); r.publish(); }, "threshold"),
    ("test_unsigned_metadata snapshot", |r| { r.signers.insert("snapshot", vec![]); r.publish(); }, "threshold"),
    ("test_unsigned_metadata targets", |r| { r.signers.insert("targets", vec![]); r.publish_targets(); r.publish(); }, "threshold"),
    ("test_invalid_sig_in_valid_metadata", |r| { r.publish(); r.bend("timestamp.json", "\"version\":2", "\"version\":3"); }, "threshold"),
    ("test_url_and_metadata_version_mismatch root", |r| { r.publish_root(); let file = r.files.remove("2.root.json").unwrap(); r.publish_root(); r.files.remove("3.root.json"); r.files.insert("2.root.json".to_owned(), { drop(file); let mut other = r.clone(); other.root.version = 4; other.publish_root(); other.files["5.root.json"].clone() }); }, "version"),
    ("test_url_and_metadata_version_mismatch snapshot", |r| { r.publish(); let old = r.files["1.snapshot.json"].clone(); r.files.insert("2.snapshot.json".to_owned(), old); }, "version"),
    ("test_url_and_metadata_version_mismatch targets", |r| { r.publish_targets(); r.publish(); let old = r.files["1.targets.json"].clone(); r.files.insert("2.targets.json".to_owned(), old); }, "version"),
    ("test_incorrect_metadata_type timestamp", |r| { let snapshot = r.files["1.snapshot.json"].clone(); r.files.insert("timestamp.json".to_owned(), snapshot); }, "refused"),
    ("test_incorrect_metadata_type snapshot", |r| { r.publish(); let root = r.files["1.root.json"].clone(); r.files.insert("2.snapshot.json".to_owned(), root); }, "refused"),
    ("test_snapshot_hash_mismatch", |r| { r.hashes = true; r.publish(); r.snapshot.expires = r.snapshot.expires.minus(Seconds(1)); r.place_snapshot(); }, "not as listed"),
    ("test_targets_hash_mismatch", |r| { r.hashes = true; r.publish_targets(); r.publish(); r.targets.expires = r.targets.expires.minus(Seconds(1)); r.place_targets(); }, "not as listed"),
    ("test_update_timestamp_version_rollback", |r| { r.publish(); r.publish(); r.timestamp.version = 0; r.publish_timestamp(); }, "rollback or two"),
    ("test_snapshot_rollback", |r| { r.snapshot.version = 0; r.snapshot.expires = r.snapshot.expires.minus(Seconds(9)); r.timestamp.version = 5; r.timestamp.meta.clear(); r.place("timestamp.json".to_owned(), { let mut t = r.timestamp.clone(); t.meta.insert("snapshot.json".to_owned(), MetaFile { version: 0, length: None, hashes: None }); t }, &["timestamp"]); }, "refused"),
    ("test_targets_role_removal", |r| { r.publish_snapshot(); r.snapshot.meta.clear(); r.place_snapshot(); r.publish_timestamp(); }, "not listed"),
    ("test_targets_rollback", |r| { r.publish_targets(); r.publish(); r.targets.version = 0; r.publish_targets(); r.publish(); }, "seen twice"),
    ("test_root_rotation: not signed by the old keys", |r| { r.hold("root", &["new"], 1); r.publish_root_signed(&[]); }, "threshold"),
    ("test_root_rotation: not signed by the new keys", |r| { r.hold("root", &["new"], 1); r.signers.insert("root", vec!["root"]); r.publish_root(); }, "threshold"),
    ("test_non_root_rotations: the old key signs", |r| { r.hold("timestamp", &["new"], 1); r.publish_root(); r.signers.insert("timestamp", vec!["timestamp"]); r.publish(); }, "threshold"),
    ("test_snapshot_has_too_few_keys", |r| { r.hold("snapshot", &["snapshot"], 2); r.publish_root(); r.publish(); }, "threshold"),
    ("test_snapshot_does_not_meet_threshold", |r| { r.hold("snapshot", &["snapshot", "second"], 2); r.signers.insert("snapshot", vec!["snapshot"]); r.publish_root(); r.publish(); }, "threshold"),
    ("test_duplicate_sig_keyids", |r| { r.hold("snapshot", &["snapshot", "second"], 2); r.signers.insert("snapshot", vec!["snapshot", "snapshot"]); r.publish_root(); r.publish(); }, "rule"),
];

#[test]
fn refuses_what_tuf_conformance_has_a_client_refuse() {
    let mut wrong = Vec::new();
    for (name, change, expected) in REFUSED {
        let honest = Repository::new();
        let mut machine = Machine::trusting(&honest.files["1.root.json"]);
        machine.refresh(&honest, now()).unwrap();
        let before = machine.clone();
        let mut hostile = honest.clone();
        change(&mut hostile);
        let result = match *expected {
            // Two steps: what is shown first is accepted, what comes after it goes back.
            "seen twice" => {
                let mut middle = honest.clone();
                middle.publish_targets();
                middle.publish();
                machine.refresh(&middle, now()).unwrap();
                machine.refresh(&hostile, now())
            }
            "rollback or two" => {
                let mut middle = honest.clone();
                middle.publish();
                machine.refresh(&middle, now()).unwrap();
                machine.refresh(&hostile, now())
            }
            _ => machine.refresh(&hostile, now()),
        };
        let found = result.as_ref().map_or_else(kind, |()| "accepted");
        let fits = match *expected {
            "refused" => !matches!(found, "other" | "missing" | "accepted"),
            "rollback or two" => matches!(found, "rollback" | "two payloads"),
            "seen twice" => found == "rollback",
            expected => found == expected,
        };
        if !fits {
            wrong.push(format!("{name}: expected {expected}, found {found}: {result:?}"));
        }
        // The honest twin: a machine that has seen none of it.
        let mut other = before;
        other.refresh(&honest, now()).unwrap();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The test of tuf-conformance, what happens after a first refresh, and the versions of root, timestamp, snapshot and targets
/// that are trusted then.
#[rustfmt::skip]
const ACCEPTED: &[(&str, Change, [u64; 4])] = &[
    ("test_basic_refresh_trusted_data", |_| {}, [1, 1, 1, 1]),
    ("test_update_timestamp", |r| r.publish_timestamp(), [1, 2, 1, 1]),
    // Of one version the first content stays trusted.
    ("test_timestamp_content_changes", |r| { r.timestamp.expires = r.timestamp.expires.plus(Seconds(1)); r.place_timestamp(); }, [1, 1, 1, 1]),
    ("test_metadata_bytes_match", |r| { r.hashes = true; r.publish_targets(); r.publish(); }, [1, 2, 2, 2]),
    ("test_root_rotation", |r| { r.hold("root", &["root", "second", "third"], 2); r.publish_root(); r.hold("root", &["second", "third"], 2); r.publish_root(); r.publish(); }, [3, 2, 2, 1]),
    ("test_non_root_rotations", |r| { r.hold("timestamp", &["t"], 1); r.hold("snapshot", &["s"], 1); r.hold("targets", &["g"], 1); r.publish_root(); r.publish_targets(); r.publish(); }, [2, 2, 2, 2]),
    ("test_expired_intermediate_root", |r| { let until = r.root.expires; r.root.expires = now().minus(Seconds(1)); r.publish_root(); r.root.expires = until; r.publish_root(); r.publish(); }, [3, 2, 2, 1]),
    ("test_new_timestamp_fast_forward_recovery", |r| { r.hold("timestamp", &["t"], 1); r.publish_root(); r.timestamp.version = 0; r.publish(); }, [2, 1, 2, 1]),
    ("test_unusual_signature_beside_good_ones", |r| { r.signers.insert("timestamp", vec!["timestamp", "nobody"]); r.publish(); }, [1, 2, 2, 1]),
];

#[test]
fn accepts_what_tuf_conformance_has_a_client_accept() {
    for (name, change, expected) in ACCEPTED {
        let mut repository = Repository::new();
        let mut machine = Machine::trusting(&repository.files["1.root.json"]);
        machine.refresh(&repository, now()).unwrap();
        change(&mut repository);
        machine
            .refresh(&repository, now())
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(machine.versions(), *expected, "{name}");
    }
}

/// `test_snapshot_fast_forward_recovery`, `test_targets_fast_forward_recovery`: a thief of the online keys showed huge versions;
/// a root with other keys makes the old ones mean nothing.
#[test]
fn recovers_from_a_fast_forward_when_the_root_replaces_the_keys() {
    let mut repository = Repository::new();
    let mut machine = Machine::trusting(&repository.files["1.root.json"]);
    let honest = repository.clone();
    repository.snapshot.version = 99_999;
    repository.timestamp.version = 99_999;
    repository.targets.version = 99_999;
    repository.publish_targets();
    repository.publish();
    machine.refresh(&repository, now()).unwrap();
    let mut recovered = honest;
    assert_eq!(kind(&machine.refresh(&recovered, now()).unwrap_err()), "rollback");
    for (role, key) in [("timestamp", "t"), ("snapshot", "s"), ("targets", "g")] {
        recovered.hold(role, &[key], 1);
    }
    recovered.publish_root();
    recovered.publish_targets();
    recovered.publish();
    machine.refresh(&recovered, now()).unwrap();
    assert_eq!(machine.versions(), [2, 2, 2, 2]);
}

/// `test_basic_refresh_requests`, `test_expired_local_root`, `test_expired_local_timestamp`, `test_faketime`.
#[test]
fn asks_in_the_order_of_the_specification_and_goes_on_from_what_has_expired() {
    let mut repository = Repository::new();
    let mut machine = Machine::trusting(&repository.files["1.root.json"]);
    machine.refresh(&repository, now()).unwrap();
    let order = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
    assert_eq!(repository.asked.take(), order);
    machine.refresh(&repository, now()).unwrap();
    assert_eq!(
        repository.asked.take(),
        order[..2],
        "what is known is not asked for again"
    );
    let later = now().plus(Seconds::days(60));
    assert_eq!(kind(&machine.refresh(&repository, later).unwrap_err()), "expired");
    let until = later.plus(Seconds::days(1));
    repository.root.expires = until;
    repository.timestamp.expires = until;
    repository.snapshot.expires = until;
    repository.targets.expires = until;
    repository.publish_root();
    repository.publish_targets();
    repository.publish();
    machine.refresh(&repository, later).unwrap();
    assert_eq!(machine.versions(), [2, 2, 2, 2]);
}

/// `test_unsigned_initial_root`, `test_invalid_initial_root`.
#[test]
fn refuses_a_first_root_that_is_unsigned_or_bent() {
    let mut repository = Repository::new();
    let set = |root: &[u8]| TrustedSet::foreign(root, Judge::Current, now());
    set(&repository.files["1.root.json"]).unwrap();
    repository.bend("1.root.json", "\"version\":1", "\"version\":2");
    assert!(matches!(
        set(&repository.files["1.root.json"]),
        Err(TrustError::Threshold(_))
    ));
    assert!(matches!(set(b"{}"), Err(TrustError::Format { .. })));
}
