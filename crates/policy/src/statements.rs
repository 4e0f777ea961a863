//! What people said, once it is certain that they said it.

use attestation::{
    ChainId, KeyId, PersonName, Time,
    chain::PolicyDocument,
    dsse::Envelope,
    openpgp::{PgpFormError, PgpSignature},
    statement::{Statement, StatementError},
};

use crate::{
    keyring::Keyring,
    root::role,
    seal::{Evidence, Verified, Vouch},
    signature::SignatureRefusal,
    trusted_set::judge::{self, Standing},
};

/// Why a statement is not its author's.
#[derive(Debug, thiserror::Error)]
pub enum StatementRefusal {
    /// The payload is none of ours.
    #[error("the payload is not a statement")]
    Payload(#[from] StatementError),
    /// It speaks under another chain's policy.
    #[error("the statement names chain {found}, expected {expected}")]
    Chain {
        /// Our chain.
        expected: ChainId,
        /// The chain that it names.
        found: ChainId,
    },
    /// Its author is nobody.
    #[error("the statement's author {0} is not among the policy's people")]
    UnknownAuthor(PersonName),
    /// The key is not the author's.
    #[error("key {key} is not one of {author}'s")]
    NotTheAuthors {
        /// The key.
        key: KeyId,
        /// The author that the statement names.
        author: PersonName,
    },
    /// The signature does not count.
    #[error("the signature of {author} does not count")]
    Signature {
        /// The author that the statement names.
        author: PersonName,
        /// Why.
        #[source]
        source: SignatureRefusal,
    },
}

/// What statements are judged under: the policy of a root that was verified, and a time. It comes from
/// [`crate::TrustedSet::court`] only, so that nothing is judged under a policy that nobody signed.
///
/// The time is what is taken as now, or the position of an old statement: the root in force at the release that
/// first listed it, and that release's time.
#[derive(Clone, Copy)]
pub struct Court<'a> {
    chain: ChainId,
    root_version: u64,
    pub(crate) policy: &'a PolicyDocument,
    keyring: &'a Keyring,
    pub(crate) now: Time,
}

impl<'a> Court<'a> {
    pub(crate) const fn new(
        chain: ChainId,
        root_version: u64,
        policy: &'a PolicyDocument,
        keyring: &'a Keyring,
        now: Time,
    ) -> Self {
        Self {
            chain,
            root_version,
            policy,
            keyring,
            now,
        }
    }

    /// The chain.
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// The policy in force.
    pub const fn policy(&self) -> &'a PolicyDocument {
        self.policy
    }

    /// Whether `envelope` holds a statement that its author made.
    pub fn verify(&self, envelope: &Envelope) -> Result<Verified<Statement>, StatementRefusal> {
        let statement = Statement::from_exact(&envelope.payload)?;
        if statement.chain != self.chain {
            return Err(StatementRefusal::Chain {
                expected: self.chain,
                found: statement.chain,
            });
        }
        let author = &statement.author;
        let person = self
            .policy
            .people
            .get(author)
            .ok_or_else(|| StatementRefusal::UnknownAuthor(author.clone()))?;
        let refused = |source| StatementRefusal::Signature {
            author: author.clone(),
            source,
        };
        let signature =
            PgpSignature::from_packet(&envelope.signature).map_err(|error| refused(SignatureRefusal::Form(error)))?;
        if KeyId::from(signature.issuer().clone()) != envelope.keyid {
            let error = PgpFormError::OtherIssuer {
                keyid: envelope.keyid.clone(),
                issuer: signature.issuer().clone(),
            };
            return Err(refused(SignatureRefusal::Form(error)));
        }
        if !person.keys.contains(signature.issuer()) {
            let (key, author) = (envelope.keyid.clone(), author.clone());
            return Err(StatementRefusal::NotTheAuthors { key, author });
        }
        let key = judge::validity(&signature, person, self.keyring, Standing::Now, self.now).map_err(refused)?;
        key.verify_pgp(&envelope.signed_bytes(), &signature).map_err(refused)?;
        let vouch = Vouch {
            person: Some(author.clone()),
            key: envelope.keyid.clone(),
            signed_at: Some(signature.created()),
        };
        let evidence = self.evidence(role("author"), 1, vec![vouch]);
        Ok(Verified::new(statement, evidence))
    }

    pub(crate) fn evidence(&self, role: attestation::RoleName, needed: u32, vouches: Vec<Vouch>) -> Evidence {
        let (chain, root_version, judged_at) = (Some(self.chain), self.root_version, self.now);
        Evidence {
            chain,
            root_version,
            role,
            needed,
            vouches,
            judged_at,
        }
    }
}
