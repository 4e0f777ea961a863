//! The search through the delegations of somebody else's repository: in which order, how far, and by whose keys.

use std::{cell::RefCell, collections::BTreeMap};

use attestation::{
    KeyId, Seconds, Sha256Digest, Time,
    tuf::{
        DelegatedRole, Delegations, Key, MetaFile, Metadata, RoleKeys, Root, SPEC_VERSION, Signature, Signed, Snapshot,
        TargetFile, Targets, Timestamp,
    },
};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use fetcher::{
    Fault, TransportError, UpdateError,
    workflow::{Client, File, Source, Store},
};
use policy::{TrustError, TrustedSet, trusted_set::Judge};

use crate::common::now;

/// The key of a delegation, or of all top-level roles.
fn key(of: &str) -> (SigningKey, KeyId, Key) {
    let key = SigningKey::from_bytes(Sha256Digest::of(of).as_bytes());
    let public = HEXLOWER.encode(key.verifying_key().as_bytes());
    let id = public.parse().unwrap();
    let key_of_tuf = Key {
        keytype: "ed25519".to_owned(),
        scheme: "ed25519".to_owned(),
        keyval: serde_json::json!({ "public": public }),
    };
    (key, id, key_of_tuf)
}

fn signed<T: Metadata>(claims: T, by: &str) -> Vec<u8> {
    let mut file = Signed::new(claims, Vec::new());
    let (key, keyid, _) = key(by);
    let sig = HEXLOWER.encode(&key.sign(&file.payload).to_bytes());
    file.signatures.push(Signature {
        keyid,
        other_headers: None,
        sig,
    });
    file.to_bytes()
}

/// A delegation: who delegates, to whom, which names, and whether it ends the search.
type Delegation<'a> = (&'a str, &'a str, &'a str, bool);

fn expires() -> Time {
    now().plus(Seconds::days(1))
}

fn empty_targets() -> Targets {
    Targets {
        type_tag: Targets::TYPE.to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: expires(),
        targets: BTreeMap::new(),
        delegations: None,
        mark: None,
    }
}

fn delegate(delegator: &mut Targets, (from, to, paths, terminating): &Delegation<'_>) {
    let (_, id, public) = key(&format!("{from} to {to}"));
    let all = delegator.delegations.get_or_insert(Delegations {
        keys: BTreeMap::new(),
        roles: Some(Vec::new()),
        succinct_roles: None,
    });
    all.keys.insert(id.clone(), public);
    all.roles.as_mut().unwrap().push(DelegatedRole {
        name: (*to).to_owned(),
        keyids: vec![id],
        threshold: 1,
        terminating: *terminating,
        paths: Some(vec![(*paths).to_owned()]),
        path_hash_prefixes: None,
    });
}

/// Root, timestamp, and a snapshot of the roles with these names.
fn top_level<'a>(names: impl Iterator<Item = &'a str>, consistent: bool) -> BTreeMap<String, Vec<u8>> {
    let spec_version = SPEC_VERSION.to_owned();
    let entry = MetaFile {
        version: 1,
        length: None,
        hashes: None,
    };
    let (_, id, public) = key("top");
    let role = RoleKeys {
        keyids: vec![id.clone()],
        threshold: 1,
    };
    let roles = ["root", "targets", "snapshot", "timestamp"];
    let root = Root {
        type_tag: Root::TYPE.to_owned(),
        spec_version: spec_version.clone(),
        consistent_snapshot: Some(consistent),
        version: 1,
        expires: expires(),
        keys: [(id, public)].into(),
        roles: roles.map(|name| (name.parse().unwrap(), role.clone())).into(),
        policy: None,
    };
    let timestamp = Timestamp {
        type_tag: Timestamp::TYPE.to_owned(),
        spec_version: spec_version.clone(),
        version: 1,
        expires: expires(),
        meta: [("snapshot.json".to_owned(), entry.clone())].into(),
        mark: None,
    };
    let snapshot = Snapshot {
        type_tag: Snapshot::TYPE.to_owned(),
        spec_version,
        version: 1,
        expires: expires(),
        meta: names.map(|name| (format!("{name}.json"), entry.clone())).collect(),
        mark: None,
    };
    BTreeMap::from([
        ("root".to_owned(), signed(root, "top")),
        ("timestamp".to_owned(), signed(timestamp, "top")),
        ("snapshot".to_owned(), signed(snapshot, "top")),
    ])
}

/// A repository of first versions, which notes what it is asked for.
struct Repository {
    files: BTreeMap<String, Vec<u8>>,
    asked: RefCell<Vec<String>>,
    consistent: bool,
}

impl Repository {
    /// Each delegation has a key of its own; a delegated role signs with the key of the first one to it, and lists the
    /// files that are given with it.
    fn new(delegations: &[Delegation<'_>], listed: &[(&str, &str)], consistent: bool) -> Self {
        let mut roles = BTreeMap::from([("targets", empty_targets())]);
        let mut signers = BTreeMap::from([("targets", "top".to_owned())]);
        for delegation in delegations {
            let (delegator, name, ..) = *delegation;
            roles.entry(name).or_insert_with(empty_targets);
            delegate(roles.entry(delegator).or_insert_with(empty_targets), delegation);
            signers.entry(name).or_insert(format!("{delegator} to {name}"));
        }
        for (role, target) in listed {
            let file = TargetFile::new(1, Sha256Digest::of(role));
            let role = roles.get_mut(role).unwrap();
            role.targets.insert((*target).to_owned(), file);
        }
        let mut files = top_level(roles.keys().copied(), consistent);
        for (name, claims) in roles {
            files.insert(name.to_owned(), signed(claims, &signers[name]));
        }
        Self {
            files,
            asked: RefCell::default(),
            consistent,
        }
    }

    /// A client that has the top-level metadata.
    fn client(&self) -> Client<&Self, Memory> {
        let set = TrustedSet::foreign(&self.files["root"], Judge::Current, now()).unwrap();
        let mut client = Client::new(set, self, Memory::default());
        client.update_roots(9).unwrap();
        client.update_top_level().unwrap();
        assert_eq!(
            self.asked(),
            ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
        );
        client
    }

    /// What it was asked for since the last time.
    fn asked(&self) -> Vec<String> {
        self.asked.take()
    }
}

impl Source for &Repository {
    fn get(&self, file: File<'_>, consistent: bool, bound: u64) -> Result<Vec<u8>, TransportError> {
        assert_eq!(consistent, self.consistent);
        self.asked.borrow_mut().push(file.to_string());
        let url = "https://tuf.example/".parse().unwrap();
        let bytes = match file {
            File::Root(2..) => None,
            _ => self.files.get(file.role()).cloned(),
        };
        let bytes = bytes.ok_or(TransportError {
            url,
            fault: Fault::NotFound,
        })?;
        assert!(bytes.len() as u64 <= bound);
        Ok(bytes)
    }
}

/// Keeps for one run.
#[derive(Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Store for Memory {
    fn kept(&self, file: File<'_>) -> Result<Option<Vec<u8>>, UpdateError> {
        Ok(self.0.get(file.role()).cloned())
    }

    fn keep(&mut self, file: File<'_>, bytes: Vec<u8>) -> Result<(), UpdateError> {
        self.0.insert(file.role().to_owned(), bytes);
        Ok(())
    }
}

#[test]
fn roles_are_asked_depth_first_in_the_order_of_their_delegator() {
    let graphs: [(&str, &[Delegation<'_>], &[&str]); 6] = [
        (
            "siblings",
            &[("targets", "A", "*", false), ("targets", "B", "*", false)],
            &["A", "B"],
        ),
        (
            "depth first",
            &[
                ("targets", "A", "*", false),
                ("targets", "B", "*", false),
                ("A", "C", "*", false),
                ("A", "D", "*", false),
            ],
            &["A", "C", "D", "B"],
        ),
        (
            "terminating",
            &[
                ("targets", "A", "*", false),
                ("targets", "B", "*", false),
                ("A", "C", "*", true),
                ("A", "D", "*", false),
                ("C", "E", "*", false),
            ],
            &["A", "C", "E"],
        ),
        (
            "terminating for other names",
            &[("targets", "A", "*.py", true), ("targets", "B", "*", false)],
            &["B"],
        ),
        (
            "a circle",
            &[
                ("targets", "A", "*", false),
                ("A", "B", "*", false),
                ("B", "A", "*", false),
            ],
            &["A", "B"],
        ),
        (
            "a wildcard does not reach into a directory",
            &[("targets", "A", "*/*", false), ("targets", "B", "f*", false)],
            &["B"],
        ),
    ];
    for (graph, delegations, expected) in graphs {
        let repository = Repository::new(delegations, &[], true);
        let found = repository.client().find_target("file").unwrap();
        assert!(found.is_none(), "{graph}");
        let expected: Vec<_> = expected.iter().map(|role| format!("1.{role}.json")).collect();
        assert_eq!(repository.asked(), expected, "{graph}");
    }
}

#[test]
fn the_first_role_that_lists_a_file_decides() {
    let delegations = [
        ("targets", "A", "*", false),
        ("targets", "B", "*", false),
        ("A", "C", "*", false),
    ];
    let repository = Repository::new(&delegations, &[("B", "file"), ("C", "file")], true);
    let found = repository.client().find_target("file").unwrap().unwrap();
    assert_eq!(found.get().sha256(), Some(Sha256Digest::of("C")));
    assert_eq!(repository.asked(), ["1.A.json", "1.C.json"]);
}

#[test]
fn a_role_is_not_asked_for_names_that_were_not_handed_to_it() {
    let repository = Repository::new(&[("targets", "A", "a/*", false)], &[("A", "b/file")], true);
    assert!(repository.client().find_target("b/file").unwrap().is_none());
    let repository = Repository::new(&[("targets", "A", "b/*", false)], &[("A", "b/file")], true);
    assert!(repository.client().find_target("b/file").unwrap().is_some());
}

#[test]
fn a_role_that_one_delegator_vouches_for_is_judged_again_for_another() {
    // C signs with the key that A names for it.
    let delegations = [
        ("targets", "A", "a/*", false),
        ("targets", "B", "b/*", false),
        ("A", "C", "a/*", false),
        ("B", "C", "b/*", false),
    ];
    let repository = Repository::new(&delegations, &[("C", "a/file"), ("C", "b/file")], true);
    let mut client = repository.client();
    assert!(client.find_target("a/file").unwrap().is_some());
    let refused = client.find_target("b/file").map(|_| ());
    assert!(
        matches!(refused, Err(UpdateError::Trust(TrustError::Threshold(_)))),
        "{refused:?}"
    );
}

#[test]
fn a_role_that_is_missing_ends_the_search() {
    let delegations = [("targets", "A", "*", false), ("targets", "B", "*", false)];
    let mut repository = Repository::new(&delegations, &[("B", "file")], true);
    repository.files.remove("A");
    let refused = repository.client().find_target("file").map(|_| ());
    assert!(matches!(refused, Err(UpdateError::Transport(_))), "{refused:?}");
}

#[test]
fn delegations_that_go_on_for_ever_are_not_followed() {
    for (length, endless) in [(32, false), (33, true)] {
        let names: Vec<_> = (1..=length).map(|number| format!("role-{number}")).collect();
        let delegators = ["targets"].into_iter().chain(names.iter().map(String::as_str));
        let chain: Vec<_> = delegators
            .zip(&names)
            .map(|(from, to)| (from, to.as_str(), "*", false))
            .collect();
        let repository = Repository::new(&chain, &[], true);
        let outcome = repository.client().find_target("file").map(|_| ());
        assert_eq!(
            matches!(outcome, Err(UpdateError::TooManyRoles { limit: 32 })),
            endless,
            "{length}: {outcome:?}"
        );
        assert_eq!(repository.asked().len(), 32, "{length}");
    }
}

#[test]
fn a_source_hears_whether_names_carry_versions() {
    for consistent in [true, false] {
        Repository::new(&[], &[("targets", "file")], consistent).client();
    }
}
