//! A small complete chain with real keys, in memory: what a publisher puts on a web server, and how it can be
//! made wrong.
//!
//! Every piece is made in two steps, so that an attack can change it between them: a *draft* gives the honest
//! claims, *place* puts signed bytes where clients look for them. The short methods ([`TestChain::release`],
//! [`TestChain::rotate`], [`TestChain::publish`]) do both. An earlier state of the channel is a clone taken
//! earlier.

use std::{collections::BTreeMap, fs, path::Path};

use attestation::{
    ChainId, ChannelName, KeyId, RoleName, Sha256Digest, Time,
    chain::{PolicyDocument, Release, ReleaseMark, StatementList},
    dsse::Envelope,
    releases::{ReleaseLine, ReleaseList},
    tuf::{MetaFile, Metadata, Root, SPEC_VERSION, Signature, Signed, Snapshot, TargetFile, Targets, Timestamp},
};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};
use policy::{
    Keyring, TrustError, TrustedSet, root, source,
    trusted_set::{Judge, violations_file},
};
use signer::{Document, sign_metadata};

use crate::{people::TestPerson, tarball::ChannelTarball};

mod policy_file;

pub use policy_file::policy_toml;

/// The people of [`TestChain::new`]. `dave` is a known person who is in neither `root` nor `reviewers`.
pub const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// A chain, its people, and the files of its web directory.
#[derive(Clone)]
pub struct TestChain {
    /// Everybody, with their private keys.
    pub people: Vec<TestPerson>,
    /// The publishing machine's key, for snapshots and timestamps.
    pub online: SigningKey,
    /// Everybody's certificates.
    pub keyring: Keyring,
    /// What drafts and signatures are dated.
    pub now: Time,
    /// The web directory: bytes by path, as `metadata/1.root.json`.
    pub files: BTreeMap<String, Vec<u8>>,
    chain: ChainId,
    root: Root,
    /// The newest of each targets file, by role: what the next snapshot lists.
    targets: BTreeMap<String, MetaFile>,
    payloads: BTreeMap<String, Sha256Digest>,
    /// What `releases.json` of a channel lists so far.
    lines: BTreeMap<ChannelName, Vec<ReleaseLine>>,
    snapshot: u64,
    timestamp: u64,
}

impl TestChain {
    /// A chain of [`PEOPLE`]: `root` is 2 of alice, bob and carol, `reviewers` the three, `crypto` dave and
    /// carol; channels `unstable` and `stable` are released by 2 `reviewers`. Published, without a release.
    /// Everything is dated `now`; keys are valid from 30 days before for two years.
    ///
    /// # Panics
    /// As every method here, if what it makes is refused: a test that has no chain cannot go on.
    pub fn new(now: Time) -> Self {
        Self::with_policy(people(now), now, |_| {})
    }

    /// As [`Self::new`], of these people (their first three are the `root` and the `reviewers`, the others are
    /// `crypto`), with a policy that `edit` has changed.
    pub fn with_policy(people: Vec<TestPerson>, now: Time, edit: impl FnOnce(&mut PolicyDocument)) -> Self {
        let online = SigningKey::from_bytes(&[7; 32]);
        let mut keyring = Keyring::default();
        for person in &people {
            keyring.add(&person.certificate).expect("a certificate");
        }
        let mut policy = source::read(&policy_toml(&people, &online, now), None).expect("a policy");
        edit(&mut policy);
        let root = root::compile(policy, 1, now, &keyring).expect("a root");
        let mut chain = Self {
            people,
            online,
            keyring,
            now,
            files: BTreeMap::new(),
            chain: ChainId::from_digest(Sha256Digest::of("not yet")),
            root: root.clone(),
            targets: BTreeMap::new(),
            payloads: BTreeMap::new(),
            lines: BTreeMap::new(),
            snapshot: 0,
            timestamp: 0,
        };
        let signed = chain.signed_root(root, &texts(&chain.root_people()));
        chain.chain = ChainId::from_digest(Sha256Digest::of(signed.to_bytes()));
        chain.place_root(&signed);
        chain.place_top_level_targets();
        chain.publish();
        chain
    }

    /// The chain's name: what a subscriber pins.
    pub const fn id(&self) -> ChainId {
        self.chain
    }

    /// The newest root.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// The policy of the newest root.
    pub fn policy(&self) -> &PolicyDocument {
        policy_of(&self.root)
    }

    fn root_people(&self) -> Vec<String> {
        quorum(self.policy(), "root", None)
    }

    /// The person of this name.
    pub fn person(&self, name: &str) -> &TestPerson {
        let person = self.people.iter().find(|person| person.name.as_str() == name);
        person.unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    /// Signatures of these people, each with their first key, sorted by key id.
    pub fn sign(&self, document: &Document<'_>, people: &[&str]) -> Vec<Signature> {
        let mut signatures: Vec<_> = people.iter().map(|name| self.sign_with(document, name, 0)).collect();
        signatures.sort();
        signatures
    }

    /// A signature with the person's `key`th key.
    pub fn sign_with(&self, document: &Document<'_>, person: &str, key: usize) -> Signature {
        let signer = self.person(person).signer(key, self.now);
        sign_metadata(&signer, document).expect("a signature")
    }

    /// Signed by the online key.
    pub fn sign_online<T: Metadata>(&self, claims: T) -> Signed<T> {
        let payload = attestation::canonical::to_vec(&claims);
        let signature = Signature {
            keyid: self.online_key_id(),
            other_headers: None,
            sig: HEXLOWER.encode(&self.online.sign(&payload).to_bytes()),
        };
        Signed::new(claims, vec![signature])
    }

    /// The id under which root names the online key.
    pub fn online_key_id(&self) -> KeyId {
        root::online_key_id(self.policy()).expect("an online key")
    }

    /// The next root, with the policy as `edit` leaves it.
    pub fn draft_root(&self, edit: impl FnOnce(&mut PolicyDocument)) -> Root {
        let mut policy = self.policy().clone();
        policy.chain = Some(self.chain);
        edit(&mut policy);
        root::compile(policy, self.root.version + 1, self.now, &self.keyring).expect("a root")
    }

    /// A root with the signatures of these people.
    pub fn signed_root(&self, root: Root, people: &[&str]) -> Signed<Root> {
        let signatures = self.sign(&Document::Root(&root), people);
        Signed::new(root, signatures)
    }

    /// Publishes a root. From now on it is the newest.
    pub fn place_root(&mut self, root: &Signed<Root>) {
        let path = format!("metadata/{}.root.json", root.claims.version);
        self.files.insert(path, root.to_bytes());
        self.root = root.claims.clone();
    }

    /// Changes the policy: a root signed by as many as it takes of the old people and of the new, top-level targets that follow from it, and all that
    /// the online key signs.
    pub fn rotate(&mut self, edit: impl FnOnce(&mut PolicyDocument)) {
        let root = self.draft_root(edit);
        let mut people = self.root_people();
        people.extend(quorum(policy_of(&root), "root", None));
        people.sort();
        people.dedup();
        let signed = self.signed_root(root, &texts(&people));
        self.place_root(&signed);
        self.place_top_level_targets();
        self.publish();
    }

    /// The top-level targets that follow from the newest root, in their next version.
    pub fn draft_top_level_targets(&self) -> Targets {
        let version = self.next_version("targets");
        root::top_level_targets(self.policy(), self.chain, version, self.now, &self.keyring).expect("targets")
    }

    fn place_top_level_targets(&mut self) {
        let own = self.policy().roles.keys().any(|role| role.as_str() == "targets");
        let people = quorum(self.policy(), if own { "targets" } else { "root" }, None);
        let targets = self.signed_targets(self.draft_top_level_targets(), &texts(&people));
        self.place_targets("targets", &targets);
    }

    /// Puts `files` (name and bytes) where clients download them, and gives the next release of `channel` that
    /// lists them. Names are without the channel: `nixexprs.tar.xz`.
    pub fn draft_release(&mut self, channel: &str, files: &[(&str, &[u8])]) -> Targets {
        let mut listed = BTreeMap::new();
        for (name, bytes) in files {
            let sha256 = Sha256Digest::of(bytes);
            self.files
                .insert(format!("targets/{channel}/{sha256}.{name}"), bytes.to_vec());
            listed.insert(format!("{channel}/{name}"), TargetFile::new(bytes.len() as u64, sha256));
        }
        let channel: ChannelName = channel.parse().expect("a channel's name");
        let sequence = self.next_version(channel.as_str());
        Targets {
            type_tag: Targets::TYPE.to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version: sequence,
            expires: self.now.plus(self.policy().channels[&channel].expires),
            targets: listed,
            delegations: None,
            mark: Some(ReleaseMark {
                chain: self.chain,
                role: channel.clone().into(),
                release: Some(self.draft_release_mark(channel, sequence)),
            }),
        }
    }

    fn draft_release_mark(&self, channel: ChannelName, sequence: u64) -> Release {
        let oid = |what: &str| {
            let digest = Sha256Digest::of(format!("{what} {channel} {sequence}")).to_string();
            digest[..40].parse().expect("a git object id")
        };
        Release {
            sequence,
            previous: self.payloads.get(channel.as_str()).copied(),
            root_version: self.root.version,
            time: self.now,
            commit: oid("commit"),
            tree: oid("tree"),
            patched: None,
            tree_nar: Sha256Digest::of(format!("tree of {channel} {sequence}")),
            channel_nar: Sha256Digest::of(format!("unpacked {channel} {sequence}")),
            version_suffix: format!(".{sequence}.test"),
            statements: StatementList::of(&std::collections::BTreeSet::new()),
            channel,
        }
    }

    /// Targets with the signatures of these people.
    pub fn signed_targets(&self, targets: Targets, people: &[&str]) -> Signed<Targets> {
        let signatures = self.sign(&Document::Targets(&targets), people);
        Signed::new(targets, signatures)
    }

    /// Publishes a targets file under the name of `role` (`targets` or a channel); the next snapshot lists it.
    pub fn place_targets(&mut self, role: &str, targets: &Signed<Targets>) {
        self.place_target_bytes(role, targets.claims.version, targets.to_bytes());
        self.payloads
            .insert(role.to_owned(), Sha256Digest::of(&targets.payload));
    }

    /// As [`Self::place_targets`], whatever the bytes are.
    pub fn place_target_bytes(&mut self, role: &str, version: u64, bytes: Vec<u8>) {
        self.targets.insert(role.to_owned(), MetaFile::of(version, &bytes));
        self.files.insert(format!("metadata/{version}.{role}.json"), bytes);
    }

    /// Puts these violations where clients look for them; the next snapshot lists them.
    pub fn place_violations(&mut self, envelopes: impl IntoIterator<Item = Envelope>) {
        let file = self.targets.get("violations").map(|file| file.version);
        let before = file.map(|version| self.files[&format!("metadata/{version}.violations.json")].clone());
        let (version, bytes) = violations_file(before.as_deref(), envelopes).expect("a list of violations");
        self.place_target_bytes("violations", version, bytes);
    }

    /// Releases `files` in `channel`, signed by as many of its people as it takes (alice and bob, unless the policy
    /// was changed), and publishes.
    pub fn release(&mut self, channel: &str, files: &[(&str, &[u8])]) {
        let entry = &self.policy().channels[&channel.parse::<ChannelName>().expect("a channel's name")].release;
        let people = quorum(self.policy(), entry.role.as_str(), Some(entry.threshold));
        self.release_with(channel, files, &texts(&people), |_| {});
    }

    /// As [`Self::release`], with claims that `edit` has changed before these people sign them.
    pub fn release_with(
        &mut self,
        channel: &str,
        files: &[(&str, &[u8])],
        people: &[&str],
        edit: impl FnOnce(&mut Targets),
    ) {
        let mut targets = self.draft_release(channel, files);
        edit(&mut targets);
        let signed = self.signed_targets(targets, people);
        self.place_targets(channel, &signed);
        self.publish();
    }

    /// Releases a tarball in `channel` under its own NAR digest, signed by alice and bob, and publishes: what a
    /// subscriber can install.
    pub fn release_tarball(&mut self, channel: &str, tarball: &ChannelTarball) {
        self.release_with_files(channel, tarball, &[]);
    }

    /// As [`Self::release_tarball`], with patches from these older ones.
    pub fn release_patched(&mut self, channel: &str, tarball: &ChannelTarball, from: &[&ChannelTarball]) {
        let patches: Vec<_> = from.iter().map(|old| tarball.patch_from(old)).collect();
        self.release_with_files(channel, tarball, &patches);
    }

    /// As [`Self::release_tarball`], with more files.
    pub fn release_with_files(&mut self, channel: &str, tarball: &ChannelTarball, more: &[(String, Vec<u8>)]) {
        let mut files = vec![("nixexprs.tar.xz", tarball.bytes.as_slice())];
        files.extend(more.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
        self.release_with(channel, &files, &["alice", "bob"], |claims| {
            if let Some(release) = claims.mark.as_mut().and_then(|mark| mark.release.as_mut()) {
                release.channel_nar = tarball.nar;
                release.tree_nar = tarball.tree_nar;
            }
        });
    }

    /// `releases.json` of the next release, of this tarball: those that this was asked of before, and that one.
    pub fn releases_file(&mut self, channel: &str, tarball: &ChannelTarball) -> (String, Vec<u8>) {
        let channel: ChannelName = channel.parse().expect("a channel's name");
        let mut release = self.draft_release_mark(channel.clone(), self.next_version(channel.as_str()));
        (release.channel_nar, release.tree_nar) = (tarball.nar, tarball.tree_nar);
        let lines = self.lines.entry(channel.clone()).or_default();
        lines.push(ReleaseLine::from(&release));
        let list = ReleaseList {
            chain: self.chain,
            channel,
            releases: lines.clone(),
        };
        ("releases.json".to_owned(), list.to_bytes())
    }

    /// The next snapshot and timestamp over whatever was placed, and the keyring.
    pub fn publish(&mut self) {
        self.publish_with(|_| {}, |_| {});
    }

    /// As [`Self::publish`], with claims that were changed before the online key signed them.
    pub fn publish_with(&mut self, snapshot: impl FnOnce(&mut Snapshot), timestamp: impl FnOnce(&mut Timestamp)) {
        let mut claims = self.draft_snapshot();
        snapshot(&mut claims);
        self.place_snapshot(&self.sign_online(claims));
        let mut claims = self.draft_timestamp();
        timestamp(&mut claims);
        self.place_timestamp(&self.sign_online(claims));
        self.files
            .insert("metadata/keyring.pgp".to_owned(), self.keyring.to_bytes());
    }

    /// The next snapshot, of everything that was placed.
    pub fn draft_snapshot(&self) -> Snapshot {
        let listed = self.targets.iter();
        Snapshot {
            type_tag: Snapshot::TYPE.to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version: self.snapshot + 1,
            expires: self.now.plus(self.policy().freshness.snapshot),
            meta: listed
                .map(|(role, file)| (format!("{role}.json"), file.clone()))
                .collect(),
            mark: Some(root::chain_mark(self.chain, "snapshot")),
        }
    }

    /// Publishes a snapshot; the next timestamp lists it.
    pub fn place_snapshot(&mut self, snapshot: &Signed<Snapshot>) {
        self.snapshot = snapshot.claims.version;
        let path = format!("metadata/{}.snapshot.json", self.snapshot);
        self.files.insert(path, snapshot.to_bytes());
    }

    /// The next timestamp, of the snapshot that was placed last.
    pub fn draft_timestamp(&self) -> Timestamp {
        let snapshot = &self.files[&format!("metadata/{}.snapshot.json", self.snapshot)];
        Timestamp {
            type_tag: Timestamp::TYPE.to_owned(),
            spec_version: SPEC_VERSION.to_owned(),
            version: self.timestamp + 1,
            expires: self.now.plus(self.policy().freshness.timestamp),
            meta: BTreeMap::from([("snapshot.json".to_owned(), MetaFile::of(self.snapshot, snapshot))]),
            mark: Some(root::chain_mark(self.chain, "timestamp")),
        }
    }

    /// Publishes a timestamp.
    pub fn place_timestamp(&mut self, timestamp: &Signed<Timestamp>) {
        self.timestamp = timestamp.claims.version;
        self.files
            .insert("metadata/timestamp.json".to_owned(), timestamp.to_bytes());
    }

    /// Writes the web directory below `dir`.
    pub fn write_to(&self, dir: &Path) -> std::io::Result<()> {
        for (path, bytes) in &self.files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// A client that has pinned this chain and has met all its roots, and nothing else yet.
    pub fn client(&self, judge: Judge, now: Time) -> Result<TrustedSet, TrustError> {
        let first = &self.files["metadata/1.root.json"];
        let mut set = TrustedSet::pinned(self.chain, first, self.keyring.clone(), judge, now)?;
        for version in 2.. {
            match self.files.get(&format!("metadata/{version}.root.json")) {
                Some(bytes) => set.update_root(bytes)?,
                None => break,
            }
        }
        Ok(set)
    }

    /// Takes `set` through the rest of TUF's workflow, down to the release of `channel`.
    pub fn update(&self, set: &mut TrustedSet, channel: &str) -> Result<(), TrustError> {
        set.update_timestamp(&self.files["metadata/timestamp.json"])?;
        let version = set.snapshot_listing()?.version;
        set.update_snapshot(&self.files[&format!("metadata/{version}.snapshot.json")])?;
        let version = set.targets_listing("targets")?.version;
        set.update_targets(&self.files[&format!("metadata/{version}.targets.json")])?;
        if let Some(listing) = set.violations_listing()? {
            let name = format!("metadata/{}.violations.json", listing.version);
            set.update_violations(&self.files[&name])?;
        }
        let version = set.targets_listing(channel)?.version;
        set.update_delegated(
            channel,
            "targets",
            &self.files[&format!("metadata/{version}.{channel}.json")],
        )
    }

    /// What a new subscriber of `channel` gets, now.
    pub fn visit(&self, channel: &str) -> Result<TrustedSet, TrustError> {
        let mut set = self.client(Judge::Current, self.now)?;
        self.update(&mut set, channel)?;
        Ok(set)
    }

    fn next_version(&self, role: &str) -> u64 {
        self.targets.get(role).map_or(1, |file| file.version + 1)
    }
}

fn policy_of(root: &Root) -> &PolicyDocument {
    root.policy.as_ref().expect("our roots carry a policy")
}

/// As many of a role as it takes, in the order of their names.
fn quorum(policy: &PolicyDocument, role: &str, threshold: Option<u32>) -> Vec<String> {
    let role = &policy.roles[&role.parse::<RoleName>().expect("a role's name")];
    let count = threshold.or(role.threshold).expect("a threshold") as usize;
    role.people.iter().take(count).map(ToString::to_string).collect()
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// [`PEOPLE`], with keys valid from 30 days before `now`.
pub fn people(now: Time) -> Vec<TestPerson> {
    let created = Time::from_unix(now.unix() - 30 * 86_400);
    PEOPLE.iter().map(|name| TestPerson::new(name, created)).collect()
}
