//! Whose key is it? What this clone's policy and certificates say, where there is a clone.

use attestation::{Fingerprint, PersonName, Sha256Digest};
use ledger::Ledger;

use crate::{chain_state::ChainState, cli::Global, desk::Desk};

/// The policy and the certificates of this clone, if it has any. Nothing is exchanged with a remote for it.
pub(crate) struct Book {
    /// The chain.
    pub chain: Option<ChainState>,
    /// Who the user says to be, and the key that they use.
    pub me: Option<PersonName>,
    /// The key as the settings have it.
    pub key: Option<String>,
}

impl Book {
    /// What the clone named on the command line has; nothing where it is none.
    pub(crate) fn open(global: &Global) -> Self {
        let nothing = Self {
            chain: None,
            me: None,
            key: None,
        };
        let Ok(desk) = Desk::open(global) else { return nothing };
        let snapshot = Ledger::open(desk.path()).ok().and_then(|ledger| ledger.snapshot().ok());
        let chain = snapshot.and_then(|snapshot| ChainState::load(&snapshot, &desk).ok().flatten());
        Self {
            chain,
            me: desk.settings.person,
            key: desk.settings.key,
        }
    }

    /// The person who has this key in the policy.
    pub(crate) fn owner(&self, key: &Fingerprint) -> Option<&PersonName> {
        let people = &self.chain.as_ref()?.policy.people;
        people
            .iter()
            .find_map(|(name, person)| person.keys.contains(key).then_some(name))
    }

    /// The certificate that has this key.
    pub(crate) fn certificate(&self, key: &Fingerprint) -> Option<Sha256Digest> {
        self.chain.as_ref()?.keyring.certificate_with(key)
    }
}
