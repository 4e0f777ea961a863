//! The checks that every file goes through: its rules, its freshness, its signatures.

use std::collections::BTreeMap;

use attestation::{
    KeyId, RoleName,
    tuf::{Key, Metadata, RoleKeys, Root, Signed, Snapshot, Timestamp},
};

use super::{
    Judge, Profile, TrustError, TrustedSet, chain_rules,
    judge::{self, People, Standing},
    read::{read_exact, read_foreign},
};
use crate::{
    root::{self, role},
    seal::Evidence,
    threshold::Tally,
};

impl TrustedSet {
    pub(super) fn check_root(&self, claims: &Root) -> Result<(), TrustError> {
        let Profile::Chain { chain, keyring } = &self.profile else {
            return Ok(());
        };
        let version = claims.version;
        root::check(claims, Some(*chain), keyring).map_err(|source| TrustError::Root { version, source })?;
        Ok(())
    }

    pub(super) fn check_timestamp(&self, claims: &Timestamp) -> Result<(), TrustError> {
        let Profile::Chain { chain, .. } = &self.profile else {
            return Ok(());
        };
        chain_rules::timestamp(claims, *chain)
    }

    pub(super) fn check_snapshot(&self, claims: &Snapshot) -> Result<(), TrustError> {
        let Profile::Chain { chain, .. } = &self.profile else {
            return Ok(());
        };
        chain_rules::snapshot(claims, *chain, self.policy()?)
    }

    pub(super) fn expect_fresh<T: Metadata>(&self, claims: &T, name: &str) -> Result<(), TrustError> {
        if self.judge == Judge::Authentic || claims.expires() > self.now {
            Ok(())
        } else {
            Err(TrustError::Expired {
                role: name.to_owned(),
                expired: claims.expires(),
                now: self.now,
            })
        }
    }

    pub(super) fn read<T: Metadata>(&self, bytes: &[u8], name: &str) -> Result<Signed<T>, TrustError> {
        match self.profile {
            Profile::Chain { .. } => read_exact(bytes, name),
            Profile::Foreign => read_foreign(bytes, name),
        }
    }

    pub(super) fn require_root_threshold(
        &self,
        file: &Signed<Root>,
        judging: &Root,
        standing: Standing,
    ) -> Result<Evidence, TrustError> {
        let role_keys = top_level_role(judging, "root")?;
        let tally = self.tally(file, &judging.keys, role_keys, judging, standing)?;
        self.evidence(tally, role_keys.threshold, &role("root"))
    }

    pub(super) fn require_top_level<T: Metadata>(
        &self,
        file: &Signed<T>,
        name: &'static str,
    ) -> Result<Evidence, TrustError> {
        let role_keys = top_level_role(&self.root.claims, name)?;
        self.require(file, &self.root.claims.keys, role_keys, &role(name))
    }

    pub(super) fn require<T: Metadata>(
        &self,
        file: &Signed<T>,
        keys: &BTreeMap<KeyId, Key>,
        role_keys: &RoleKeys,
        name: &RoleName,
    ) -> Result<Evidence, TrustError> {
        let standing = match self.judge {
            Judge::Current => Standing::Now,
            Judge::Authentic => Standing::Then,
        };
        let tally = self.tally(file, keys, role_keys, &self.root.claims, standing)?;
        self.evidence(tally, role_keys.threshold, name)
    }

    pub(super) fn tally<T: Metadata>(
        &self,
        file: &Signed<T>,
        keys: &BTreeMap<KeyId, Key>,
        role_keys: &RoleKeys,
        judging: &Root,
        standing: Standing,
    ) -> Result<Tally, TrustError> {
        let people = match &self.profile {
            Profile::Chain { keyring, .. } => {
                // Never without people on a chain of ours: keys alone would be counted.
                let policy = judging.policy.as_ref().ok_or_else(|| self.no_policy())?;
                Some(People {
                    policy,
                    keyring,
                    standing,
                    proposed_at: file.claims.proposed_at(policy),
                })
            }
            Profile::Foreign => None,
        };
        Ok(judge::tally(
            &file.payload,
            &file.signatures,
            keys,
            role_keys,
            people.as_ref(),
            self.now,
        ))
    }

    pub(super) fn evidence(&self, tally: Tally, needed: u32, name: &RoleName) -> Result<Evidence, TrustError> {
        let vouches = tally.require(name, needed)?;
        Ok(Evidence {
            chain: match self.profile {
                Profile::Chain { chain, .. } => Some(chain),
                Profile::Foreign => None,
            },
            root_version: self.root.claims.version,
            role: name.clone(),
            needed,
            vouches,
            judged_at: self.now,
        })
    }
}

fn top_level_role<'a>(judging: &'a Root, name: &'static str) -> Result<&'a RoleKeys, TrustError> {
    let missing = || TrustError::NotListed {
        listing: "root",
        name: format!("role {name}"),
    };
    judging.roles.get(&role(name)).ok_or_else(missing)
}
