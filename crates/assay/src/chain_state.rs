//! The chain as the ledger has it, verified: its roots, the people's certificates, what was released.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{
    ChainId, ChannelName, KeyId, RoleName, Sha256Digest, Time, Unverified,
    chain::{PolicyDocument, Release},
    pending::Proposal,
    tuf::{Key, Metadata, RoleKeys, Root, Signature, Signed, Targets},
};
use ledger::{MetadataFile, Snapshot};
use policy::{
    Keyring, Tally, TrustedSet, root,
    statements::Court,
    trusted_set::{self, Electorate, Judge},
};

use crate::{
    advice,
    desk::Desk,
    exit::{Exit, Failure, OrExit as _, Outcome},
    seen::Seen,
    settings::Settings,
};

/// How far a version may run ahead of the last finished one because of withdrawn proposals. What is beyond was
/// filed by somebody who wants versions to run out.
const LARGEST_STEP: u64 = 1000;

/// A chain whose roots were verified from the pinned first one, and the keyring of its people.
pub(crate) struct ChainState {
    /// The chain.
    pub chain: ChainId,
    /// The newest root.
    pub root: Root,
    /// The policy that it carries.
    pub policy: PolicyDocument,
    /// Every certificate of the ledger.
    pub keyring: Keyring,
    /// The files of all roots, from version 1.
    pub root_files: Vec<Vec<u8>>,
    /// Every root, from version 1.
    roots: Vec<Root>,
    /// What is taken as now.
    pub now: Time,
    /// What this clone saw finished.
    seen: Seen,
    /// The verified roots: where statements are judged.
    set: TrustedSet,
}

/// A proposal of metadata with the signatures that the ledger has for it, judged.
pub(crate) struct Pending {
    /// What is proposed.
    pub proposal: Proposal,
    /// What names it.
    pub payload: Sha256Digest,
    /// Which TUF role signs it.
    pub role: RoleName,
    /// How many people that takes.
    pub needed: u32,
    /// Who has signed, who could still.
    pub tally: Tally,
    /// The finished file, if it has the signatures it takes.
    pub finished: Option<Finished>,
}

/// Metadata with the signatures that it takes.
pub(crate) enum Finished {
    /// The next root.
    Root(Signed<Root>),
    /// Top-level targets or a release.
    Targets(Signed<Targets>),
}

/// Every certificate of the ledger that can be read. One that cannot proves nothing and spoils nothing.
pub(crate) fn keyring(snapshot: &Snapshot) -> Outcome<Keyring> {
    let mut keyring = Keyring::default();
    for file in snapshot.keyring().or_exit(Exit::Environment)?.files {
        if let Err(error) = keyring.add(file.bytes.claimed()) {
            crate::output::warn(&format!(
                "certificate file {} of the ledger is passed over: {error}",
                file.digest
            ));
        }
    }
    Ok(keyring)
}

impl ChainState {
    /// Verifies the ledger's roots from the one that the settings pin. `None` while there is no complete first
    /// root.
    pub(crate) fn load(snapshot: &Snapshot, desk: &Desk) -> Outcome<Option<Self>> {
        let (settings, now) = (&desk.settings, desk.now);
        let listing = snapshot.roots().or_exit(Exit::Environment)?;
        for problem in &listing.problems {
            crate::output::warn(&format!("the ledger's roots: {problem}"));
        }
        let Some(first) = listing.files.first() else {
            return Ok(None);
        };
        let found = ChainId::from_digest(Sha256Digest::of(&first.bytes));
        let chain = pinned_chain(settings, found, &first.root)?;
        let keyring = keyring(snapshot)?;
        let mut set =
            TrustedSet::pinned(chain, &first.bytes, keyring.clone(), Judge::Authentic, now).or_exit(Exit::Refused)?;
        let mut root_files = vec![first.bytes.clone()];
        let mut roots = vec![first.root.claimed().claims.clone()];
        for file in &listing.files[1..] {
            // Whoever may push can file anything under the next root's name. It ends what is believed, no more.
            if let Err(error) = set.update_root(&file.bytes) {
                let version = file.version;
                crate::output::warn(&format!(
                    "root {version} of the ledger does not follow: {error}; find out who added it"
                ));
                break;
            }
            root_files.push(file.bytes.clone());
            roots.push(set.root().clone());
        }
        let root = set.root().clone();
        let policy = root
            .policy
            .clone()
            .ok_or_else(|| Failure::new(Exit::Refused, "the root carries no policy").next(advice::WHO_FILED_IT))?;
        Ok(Some(Self {
            chain,
            root,
            policy,
            keyring,
            root_files,
            roots,
            now,
            set,
            seen: Seen::new(desk.repository.git_dir()),
        }))
    }

    /// What statements are judged under.
    pub(crate) fn court(&self) -> Court<'_> {
        self.set
            .court()
            .expect("the set was pinned to a chain, whose roots carry a policy")
    }

    /// The roots up to this version, verified again.
    pub(crate) fn at_root(&self, version: u64) -> Outcome<TrustedSet> {
        let (first, others) = self.root_files.split_first().expect("a chain has a first root");
        let mut set = TrustedSet::pinned(self.chain, first, self.keyring.clone(), Judge::Authentic, self.now)
            .or_exit(Exit::Refused)?;
        let others = others
            .iter()
            .take(usize::try_from(version).unwrap_or(usize::MAX).saturating_sub(1));
        for file in others {
            set.update_root(file).or_exit(Exit::Refused)?;
        }
        Ok(set)
    }

    /// The channel's entry in the policy.
    pub(crate) fn channel(&self, name: &ChannelName) -> Outcome<&attestation::chain::ChannelPolicy> {
        self.policy.channels.get(name).ok_or_else(|| {
            let known: Vec<_> = self.policy.channels.keys().map(ChannelName::as_str).collect();
            Failure::new(Exit::Usage, format!("the policy has no channel {name}"))
                .next(format!("use one of: {}", known.join(", ")))
        })
    }

    /// The newest complete release of a channel: verified under its role. Files that do not verify are passed
    /// over with a warning: whoever may push can file them.
    pub(crate) fn last_release(&self, snapshot: &Snapshot, channel: &ChannelName) -> Outcome<Option<LastRelease>> {
        let role = RoleName::from(channel.clone());
        for file in self.finished(snapshot, &role)? {
            let signed = file.targets.claimed();
            let payload = Sha256Digest::of(&signed.payload);
            let Some(release) = release_of(&signed.claims, channel) else {
                continue;
            };
            let found = LastRelease {
                release: release.clone(),
                payload,
                signed: signed.clone(),
            };
            match self.require(signed, &role, &self.root) {
                Ok(()) => {
                    self.seen.insert(payload)?;
                    return Ok(Some(found));
                }
                Err(_) if self.is_of_older_root(signed, &role, release) => {
                    if self.seen.contains(payload)? {
                        return Ok(Some(found));
                    }
                    return Err(Failure::new(
                        Exit::Refused,
                        format!("release {} was signed by people of root {}, and this clone did not see it finished under that root", release.sequence, release.root_version),
                    )
                    .next("let somebody who did make the next release; after that this clone can go on"));
                }
                Err(error) => {
                    crate::output::warn(&format!(
                        "{}.{role}.json of the ledger is passed over: {error}",
                        file.version
                    ));
                }
            }
        }
        Ok(None)
    }

    fn is_of_older_root(&self, signed: &Signed<Targets>, role: &RoleName, release: &Release) -> bool {
        let root = usize::try_from(release.root_version)
            .ok()
            .and_then(|version| self.roots.get(version.checked_sub(1)?));
        root.is_some_and(|root| root.version < self.root.version && self.require(signed, role, root).is_ok())
    }

    /// The newest complete top-level targets under the newest root.
    pub(crate) fn last_targets(&self, snapshot: &Snapshot) -> Outcome<Option<Signed<Targets>>> {
        let role = top_level("targets");
        let files = self.finished(snapshot, &role)?;
        Ok(files
            .iter()
            .map(|file| file.targets.claimed())
            .find(|signed| self.require(signed, &role, &self.root).is_ok())
            .cloned())
    }

    /// The finished targets of a role and of this chain, the highest version first.
    fn finished(&self, snapshot: &Snapshot, role: &RoleName) -> Outcome<Vec<MetadataFile>> {
        let mut files = snapshot.metadata().or_exit(Exit::Environment)?.files;
        files.retain(|file| {
            file.role == *role
                && file
                    .targets
                    .claimed()
                    .claims
                    .mark
                    .as_ref()
                    .is_some_and(|mark| mark.chain == self.chain && mark.role == *role)
        });
        files.reverse();
        Ok(files)
    }

    /// The highest version of a role's targets that its people finished, under whichever root; 0 where there are
    /// none.
    pub(crate) fn newest_version(&self, snapshot: &Snapshot, role: &RoleName) -> Outcome<u64> {
        let files = self.finished(snapshot, role)?;
        let signed = |file: &&MetadataFile| {
            self.roots
                .iter()
                .any(|root| self.require(file.targets.claimed(), role, root).is_ok())
        };
        Ok(files.iter().find(signed).map_or(0, |file| file.version.get()))
    }

    /// The version that the next proposal of a role's targets takes: after every finished one, and after every
    /// proposal that somebody signed, since nobody signs two payloads of one version.
    pub(crate) fn next_version(&self, snapshot: &Snapshot, role: &RoleName) -> Outcome<u64> {
        let newest = self.newest_version(snapshot, role)?;
        let mut taken: BTreeSet<u64> = self
            .finished(snapshot, role)?
            .iter()
            .map(|file| file.version.get())
            .collect();
        for file in snapshot.proposals().or_exit(Exit::Environment)?.files {
            let proposal = file.proposal.claimed();
            let (Proposal::Targets(targets) | Proposal::Release { targets, .. }) = proposal else {
                continue;
            };
            let of_role = targets.mark.as_ref().is_some_and(|mark| mark.role == *role);
            if of_role
                && self
                    .judge(snapshot, proposal)?
                    .is_some_and(|pending| !pending.tally.vouches.is_empty())
            {
                taken.insert(targets.version);
            }
        }
        // After what was signed, and not under a name that somebody filed junk under.
        let signed = taken
            .iter()
            .rev()
            .find(|version| **version <= newest + LARGEST_STEP)
            .copied()
            .unwrap_or(newest);
        Ok(signed.max(newest) + 1)
    }

    /// The highest version of top-level targets, valid or not; 0 where there are none.
    pub(crate) fn newest_targets_version(&self, snapshot: &Snapshot) -> Outcome<u64> {
        self.newest_version(snapshot, &top_level("targets"))
    }

    /// Whether finished targets have the signatures that `root` asks for.
    fn require(&self, signed: &Signed<Targets>, role: &RoleName, root: &Root) -> Outcome {
        let (keys, role_keys) = self.role_keys_under(root, role)?;
        let policy = root.policy.as_ref().unwrap_or(&self.policy);
        let electorate = Electorate {
            policy,
            ..self.electorate(role, &keys, &role_keys)
        };
        trusted_set::require_signed(signed, &electorate).or_exit(Exit::Refused)
    }

    fn electorate<'a>(
        &'a self,
        role: &'a RoleName,
        keys: &'a BTreeMap<KeyId, Key>,
        role_keys: &'a RoleKeys,
    ) -> Electorate<'a> {
        Electorate {
            role,
            keys,
            role_keys,
            policy: &self.policy,
            keyring: &self.keyring,
            now: self.now,
        }
    }

    /// The keys and the threshold of a role under the newest root.
    pub(crate) fn role_keys(&self, role: &RoleName) -> Outcome<(BTreeMap<KeyId, Key>, RoleKeys)> {
        self.role_keys_under(&self.root, role)
    }

    fn role_keys_under(&self, root: &Root, role: &RoleName) -> Outcome<(BTreeMap<KeyId, Key>, RoleKeys)> {
        if let Some(role_keys) = root.roles.get(role) {
            return Ok((root.keys.clone(), role_keys.clone()));
        }
        let policy = root.policy.as_ref().unwrap_or(&self.policy);
        let delegations = root::delegations(policy, &self.keyring).or_exit(Exit::Refused)?;
        let found = delegations
            .roles
            .iter()
            .flatten()
            .find(|delegated| delegated.name == role.as_str());
        let found = found.ok_or_else(|| {
            Failure::new(Exit::Refused, format!("the policy has no role {role}"))
                .next("assay policy show lists the roles; assay policy propose adds one")
        })?;
        let role_keys = RoleKeys {
            keyids: found.keyids.clone(),
            threshold: found.threshold,
        };
        Ok((delegations.keys, role_keys))
    }

    /// Judges the signatures that the ledger has for a proposal of metadata of this chain. `None` for what is
    /// no metadata, or of another chain or role.
    pub(crate) fn judge(&self, snapshot: &Snapshot, proposal: &Proposal) -> Outcome<Option<Pending>> {
        match proposal {
            Proposal::Root(next) => {
                judge_root(snapshot, next, &self.root, &self.policy, &self.keyring, self.now).map(Some)
            }
            Proposal::Targets(targets) | Proposal::Release { targets, .. } => {
                let Some(mark) = targets.mark.as_ref().filter(|mark| mark.chain == self.chain) else {
                    return Ok(None);
                };
                let Ok((keys, role_keys)) = self.role_keys(&mark.role) else {
                    return Ok(None);
                };
                let electorate = self.electorate(&mark.role, &keys, &role_keys);
                judge(snapshot, proposal, &**targets, &electorate, Finished::Targets).map(Some)
            }
            Proposal::Exemption(_) | Proposal::Import(_) => Ok(None),
        }
    }
}

/// Judges the signatures for a root under the root that it follows (the first one: under itself).
pub(crate) fn judge_root(
    snapshot: &Snapshot,
    next: &Root,
    judging: &Root,
    policy: &PolicyDocument,
    keyring: &Keyring,
    now: Time,
) -> Outcome<Pending> {
    let role = top_level("root");
    let role_keys = &judging.roles[&role];
    let electorate = Electorate {
        role: &role,
        keys: &judging.keys,
        role_keys,
        policy,
        keyring,
        now,
    };
    judge(
        snapshot,
        &Proposal::Root(Box::new(next.clone())),
        next,
        &electorate,
        Finished::Root,
    )
}

fn judge<T: Metadata>(
    snapshot: &Snapshot,
    proposal: &Proposal,
    claims: &T,
    electorate: &Electorate<'_>,
    wrap: impl Fn(Signed<T>) -> Finished,
) -> Outcome<Pending> {
    let payload = proposal.payload_digest();
    let files = snapshot.signatures(payload).or_exit(Exit::Environment)?.files;
    let signatures: Vec<Signature> = files.into_iter().map(|file| file.signature.into_claimed()).collect();
    let (tally, finished) = trusted_set::assemble(&Signed::new(claims.clone(), signatures), electorate);
    Ok(Pending {
        proposal: proposal.clone(),
        payload,
        role: electorate.role.clone(),
        needed: electorate.role_keys.threshold,
        tally,
        finished: finished.map(wrap),
    })
}

/// The release that targets of `channel` describe.
fn release_of<'a>(targets: &'a Targets, channel: &ChannelName) -> Option<&'a Release> {
    targets
        .mark
        .as_ref()?
        .release
        .as_ref()
        .filter(|release| release.channel == *channel)
}

/// One of TUF's own role names.
pub(crate) fn top_level(name: &'static str) -> RoleName {
    name.parse().expect("a literal role name")
}

/// The chain that the settings pin; an error if the ledger's is another one.
fn pinned_chain(settings: &Settings, found: ChainId, first: &Unverified<Signed<Root>>) -> Outcome<ChainId> {
    if let Some(pinned) = settings.chain {
        return Ok(pinned);
    }
    let payload = Sha256Digest::of(&first.claimed().payload);
    match settings.first_root {
        Some(accepted) if accepted == payload => Ok(found),
        Some(accepted) => Err(Failure::new(
            Exit::Refused,
            format!("the ledger's first root has payload {payload}, accepted was {accepted}: this is another chain"),
        )
        .next(
            "compare the digest with what the root's maker told you, on a way that you trust; a remote of another chain is joined \
             in another clone: assay init --join",
        )),
        None => Err(Failure::new(Exit::Usage, "this clone pins no chain").next(
            "ask for the chain's id on a way that you trust, then: assay init --join REMOTE --chain ID --as NAME",
        )),
    }
}

/// The newest complete release.
pub(crate) struct LastRelease {
    /// What it says of itself.
    pub release: Release,
    /// SHA-256 of what was signed: what the next release names as `previous`.
    pub payload: Sha256Digest,
    /// The channel's targets.
    pub signed: Signed<Targets>,
}
