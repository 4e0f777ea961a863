//! The root that carries a policy. Its keys and roles are not free: they follow from the policy and the
//! certificates, and whoever meets a root derives them again.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    ChainId, ChannelName, Fingerprint, KeyId, PersonName, RoleName, Seconds, Sha256Digest, Time, canonical,
    chain::{ChainMark, Person, PolicyDocument, ReleaseMark},
    tuf::{DelegatedRole, Delegations, Key, Metadata as _, RoleKeys, Root, SPEC_VERSION, Targets},
};
use ed25519_dalek::VerifyingKey;

use crate::{
    document::{self, PolicyRefusal},
    keyring::{CertificateRefusal, Keyring},
    signature::KeyMaterial,
};

/// How much earlier than its proposal a signature may be dated: the day by which a signer lets the dates of a
/// proposal differ from the clock.
pub const CANDIDATE_WINDOW: Seconds = Seconds::days(1);

/// Why a root is refused, when it is made and when it is met.
#[derive(Debug, thiserror::Error)]
pub enum RootRefusal {
    /// A plain TUF root.
    #[error("the root carries no policy (x-touchstone)")]
    NoPolicy,
    /// The policy itself.
    #[error("the root's policy is refused")]
    Policy(#[from] PolicyRefusal),
    /// A person's key.
    #[error("the key of {person} is refused")]
    Key {
        /// Whose.
        person: PersonName,
        /// Why.
        #[source]
        source: CertificateRefusal,
    },
    /// Two entries of one key material.
    #[error("{first} and {second} have the same key material")]
    SameMaterial {
        /// One key id.
        first: KeyId,
        /// The other.
        second: KeyId,
    },
    /// Keys or roles that the policy and the certificates do not give.
    #[error("{member} is not what the policy and the certificates make it")]
    NotDerived {
        /// Which member of the root.
        member: &'static str,
    },
    /// The chain it says it continues.
    #[error("the root names chain {found:?}, expected {expected:?}")]
    Chain {
        /// The chain that it should continue; `None` for a first root.
        expected: Option<ChainId>,
        /// The chain that it names.
        found: Option<ChainId>,
    },
}

/// A role name that is known to be one.
pub(crate) fn role(name: &'static str) -> RoleName {
    name.parse().expect("a literal role name")
}

/// The root that carries `policy`. Every key must sign validly at `at`.
pub fn compile(policy: PolicyDocument, version: u64, at: Time, keyring: &Keyring) -> Result<Root, RootRefusal> {
    document::check(&policy)?;
    for (name, person) in &policy.people {
        for key in &person.keys {
            keyring
                .signing_key(person.certificate, key, at)
                .map_err(|source| RootRefusal::Key {
                    person: name.clone(),
                    source,
                })?;
        }
        keyring
            .require_certified(&policy, name, at)
            .map_err(|source| RootRefusal::Key {
                person: name.clone(),
                source,
            })?;
    }
    let (keys, roles) = derive(&policy, keyring)?;
    Ok(Root {
        type_tag: Root::TYPE.to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        consistent_snapshot: Some(true),
        version,
        expires: at.plus(policy.freshness.root),
        keys,
        roles,
        policy: Some(policy),
    })
}

/// Checks a root that was met: everything about it that is not a signature.
pub fn check<'a>(root: &'a Root, chain: Option<ChainId>, keyring: &Keyring) -> Result<&'a PolicyDocument, RootRefusal> {
    let policy = root.policy.as_ref().ok_or(RootRefusal::NoPolicy)?;
    document::check(policy)?;
    let expected = chain.filter(|_| root.version > 1);
    if policy.chain != expected {
        return Err(RootRefusal::Chain {
            expected,
            found: policy.chain,
        });
    }
    let derived = |member, same| {
        if same {
            Ok(())
        } else {
            Err(RootRefusal::NotDerived { member })
        }
    };
    derived("_type", root.type_tag == Root::TYPE)?;
    derived("spec_version", root.spec_version == SPEC_VERSION)?;
    derived("consistent_snapshot", root.consistent_snapshot == Some(true))?;
    let (keys, roles) = derive(policy, keyring)?;
    derived("keys", root.keys == keys)?;
    derived("roles", root.roles == roles)?;
    Ok(policy)
}

type Derived = (BTreeMap<KeyId, Key>, BTreeMap<RoleName, RoleKeys>);

fn derive(policy: &PolicyDocument, keyring: &Keyring) -> Result<Derived, RootRefusal> {
    let mut keys = BTreeMap::new();
    distinct_materials(policy, keyring)?;
    let root_role = &policy.roles[&role("root")];
    let root_threshold = root_role.threshold.unwrap_or(0);
    let targets_role = policy.roles.get(&role("targets")).unwrap_or(root_role);
    let online = online_key(policy)?;
    let online_id = plain_key_id(&online);
    keys.insert(online_id.clone(), online);
    let releasing = policy
        .channels
        .values()
        .filter_map(|channel| policy.roles.get(&channel.release.role));
    let signing: BTreeSet<_> = [root_role, targets_role]
        .into_iter()
        .chain(releasing)
        .flat_map(|role| &role.people)
        .collect();
    for name in signing {
        let (id, key) = person_key(name, &policy.people[name], keyring)?;
        keys.insert(id, key);
    }
    let mut roles = BTreeMap::new();
    for (name, people, threshold) in [
        ("root", root_role, root_threshold),
        (
            "targets",
            targets_role,
            targets_role.threshold.unwrap_or(root_threshold),
        ),
    ] {
        let keyids: Vec<KeyId> = people
            .people
            .iter()
            .map(|person| tuf_key_id(&policy.people[person]))
            .collect();
        roles.insert(
            role(name),
            RoleKeys {
                keyids: sorted(keyids),
                threshold,
            },
        );
    }
    for name in ["snapshot", "timestamp"] {
        roles.insert(
            role(name),
            RoleKeys {
                keyids: vec![online_id.clone()],
                threshold: 1,
            },
        );
    }
    let named: BTreeSet<_> = roles.values().flat_map(|role| role.keyids.iter().cloned()).collect();
    keys.retain(|id, _| named.contains(id));
    Ok((keys, roles))
}

/// One key material under two ids would make two people of one token, in whatever encoding it stands and whether
/// it signs metadata or statements only. (The creation time is part of a fingerprint, so anybody can wrap another's
/// key into a fingerprint of their own.)
fn distinct_materials(policy: &PolicyDocument, keyring: &Keyring) -> Result<(), RootRefusal> {
    let online = online_material(policy)?;
    let mut seen = BTreeMap::from([(online.identity(), online_key_id(policy)?)]);
    for (name, person) in &policy.people {
        for key in &person.keys {
            let material = keyring.key_material(person.certificate, key);
            let material = material.map_err(|source| RootRefusal::Key {
                person: name.clone(),
                source,
            })?;
            let second = KeyId::from(key.clone());
            if let Some(first) = seen.insert(material.identity(), second.clone()) {
                return Err(RootRefusal::SameMaterial { first, second });
            }
        }
    }
    Ok(())
}

fn sorted(mut keyids: Vec<KeyId>) -> Vec<KeyId> {
    keyids.sort();
    keyids
}

/// The key of a person that enters TUF roles: the first one.
fn tuf_key_id(person: &Person) -> KeyId {
    person.keys[0].clone().into()
}

fn person_key(name: &PersonName, person: &Person, keyring: &Keyring) -> Result<(KeyId, Key), RootRefusal> {
    let fingerprint: &Fingerprint = &person.keys[0];
    let material = keyring
        .key_material(person.certificate, fingerprint)
        .map_err(|source| RootRefusal::Key {
            person: name.clone(),
            source,
        })?;
    let key = material.to_tuf().ok_or_else(|| RootRefusal::Key {
        person: name.clone(),
        source: CertificateRefusal::StatementsOnly {
            key: fingerprint.clone(),
            algorithm: "P-256",
        },
    })?;
    Ok((fingerprint.clone().into(), key))
}

fn online_key(policy: &PolicyDocument) -> Result<Key, RootRefusal> {
    let key = online_material(policy)?.to_tuf();
    key.ok_or(RootRefusal::Policy(PolicyRefusal::OnlineKey))
}

fn online_material(policy: &PolicyDocument) -> Result<KeyMaterial, RootRefusal> {
    let bytes: Option<[u8; 32]> = data_encoding::HEXLOWER
        .decode(policy.online_key.as_bytes())
        .ok()
        .and_then(|raw| raw.try_into().ok());
    bytes
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .map(KeyMaterial::Ed25519)
        .filter(|material| material.refuse_weak().is_ok())
        .ok_or(RootRefusal::Policy(PolicyRefusal::OnlineKey))
}

/// The key id of a plain key: SHA-256 of its canonical form.
pub fn plain_key_id(key: &Key) -> KeyId {
    Sha256Digest::of(canonical::to_vec(key))
        .to_string()
        .parse()
        .expect("a digest is a key id")
}

/// The id under which a root names its online key.
pub fn online_key_id(policy: &PolicyDocument) -> Result<KeyId, RootRefusal> {
    Ok(plain_key_id(&online_key(policy)?))
}

/// The top-level targets of a chain: no files, one delegation a channel. Its delegations follow from the root.
pub fn top_level_targets(
    policy: &PolicyDocument,
    chain: ChainId,
    version: u64,
    at: Time,
    keyring: &Keyring,
) -> Result<Targets, RootRefusal> {
    Ok(Targets {
        type_tag: Targets::TYPE.to_owned(),
        spec_version: SPEC_VERSION.to_owned(),
        version,
        expires: at.plus(policy.freshness.targets),
        targets: BTreeMap::new(),
        delegations: Some(delegations(policy, keyring)?),
        mark: Some(ReleaseMark {
            chain,
            role: role("targets"),
            release: None,
        }),
    })
}

/// The delegations that a root's policy gives: each channel's names to each channel's people.
pub fn delegations(policy: &PolicyDocument, keyring: &Keyring) -> Result<Delegations, RootRefusal> {
    let mut keys = BTreeMap::new();
    let mut roles = Vec::new();
    for (channel, entry) in &policy.channels {
        let mut keyids = Vec::new();
        for name in &policy.roles[&entry.release.role].people {
            let (id, key) = person_key(name, &policy.people[name], keyring)?;
            keyids.push(id.clone());
            keys.insert(id, key);
        }
        roles.push(DelegatedRole {
            name: channel.to_string(),
            keyids: sorted(keyids),
            threshold: entry.release.threshold,
            terminating: true,
            paths: Some(vec![format!("{channel}/*")]),
            path_hash_prefixes: None,
        });
    }
    Ok(Delegations {
        keys,
        roles: Some(roles),
        succinct_roles: None,
    })
}

/// The mark of a file that belongs to the whole chain.
pub fn chain_mark(chain: ChainId, name: &'static str) -> ChainMark {
    ChainMark {
        chain,
        role: role(name),
    }
}

/// Who the person with this TUF key is.
pub fn owner<'a>(policy: &'a PolicyDocument, key: &KeyId) -> Option<(&'a PersonName, &'a Person)> {
    // Asked also of a root that was not checked yet, where somebody may have no key at all.
    let first = |person: &Person| person.keys.first().cloned().map(KeyId::from);
    policy
        .people
        .iter()
        .find(|(_, person)| first(person).as_ref() == Some(key))
}

/// Whether `channel` is one of the policy's.
pub(crate) fn has_channel(policy: &PolicyDocument, name: &RoleName) -> Option<ChannelName> {
    policy
        .channels
        .keys()
        .find(|channel| channel.as_str() == name.as_str())
        .cloned()
}
