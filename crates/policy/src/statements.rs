//! What people said, once it is certain that they said it.

mod positions;

use std::collections::BTreeMap;

use attestation::{
    ChainId, KeyId, PersonName, StatementId, Time,
    chain::{Person, PolicyDocument},
    dsse::Envelope,
    openpgp::{PgpFormError, PgpSignature},
    statement::{Statement, StatementError},
};

use crate::{
    jury::Jury,
    keyring::{CertificateRefusal, Keyring},
    root::role,
    seal::{Evidence, Verified, Vouch},
    signature::SignatureRefusal,
    trusted_set::judge::{self, Standing},
};

pub use positions::{Positions, WrongList};

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
    /// Its author has no role any more.
    #[error("{0} has no role in the policy any more, or none yet")]
    NoRole(PersonName),
    /// Another statement than the one that a release lists.
    #[error("the envelope holds another statement than {expected}")]
    OtherId {
        /// What the release lists.
        expected: StatementId,
    },
    /// Something else stands among violations.
    #[error("the statement is no violation")]
    NoViolation,
    /// Judged without a chain.
    #[error("people of a keyring without a chain make no statements")]
    NoChain,
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
    /// Whose certificates too few certify, now.
    uncertified: &'a BTreeMap<PersonName, CertificateRefusal>,
    pub(crate) now: Time,
}

impl<'a> Court<'a> {
    pub(crate) const fn new(
        chain: ChainId,
        root_version: u64,
        policy: &'a PolicyDocument,
        keyring: &'a Keyring,
        uncertified: &'a BTreeMap<PersonName, CertificateRefusal>,
        now: Time,
    ) -> Self {
        Self {
            chain,
            root_version,
            policy,
            keyring,
            uncertified,
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

    /// The people who count: everybody whose certificate enough others certify, where the policy asks for that.
    pub(crate) fn people(&self) -> BTreeMap<PersonName, Person> {
        let people = self.policy.people.iter();
        let counted = people.filter(|(name, _)| !self.uncertified.contains_key(*name));
        counted.map(|(name, person)| (name.clone(), person.clone())).collect()
    }

    /// The court at an earlier time: the position of what a release listed then. (Nothing is judged later than now.)
    pub fn earlier(self, at: Time) -> Self {
        Self {
            now: self.now.min(at),
            ..self
        }
    }

    /// Whether a statement was judged by this court, at its time: what adds (an approval, an import, an exemption, a
    /// witness) counts only so. What subtracts also counts at its position.
    pub fn judged(&self, statement: &Verified<Statement>) -> bool {
        let evidence = statement.evidence();
        evidence.chain == Some(self.chain)
            && evidence.root_version == self.root_version
            && evidence.judged_at == self.now
    }

    /// The court with everybody's keys prepared, to judge many things at its position.
    pub fn jury(&self) -> Jury<'a> {
        Jury::of_court(*self, self.keyring)
    }

    /// Whether `envelope` holds a statement that its author made.
    pub fn verify(&self, envelope: &Envelope) -> Result<Verified<Statement>, StatementRefusal> {
        self.verify_standing(envelope, Standing::Now)
    }

    pub(crate) fn verify_standing(
        &self,
        envelope: &Envelope,
        standing: Standing,
    ) -> Result<Verified<Statement>, StatementRefusal> {
        let (statement, signature) = self.read(envelope)?;
        let author = &statement.author;
        let refused = |source| StatementRefusal::Signature {
            author: author.clone(),
            source,
        };
        let person = &self.policy.people[author];
        let key = judge::validity(&signature, person, self.keyring, standing, self.now).map_err(refused)?;
        key.verify_pgp(&envelope.signed_bytes(), &signature).map_err(refused)?;
        Ok(self.seal(statement, &signature))
    }

    /// What an envelope says, if its author is one of the policy's people and its signature is by a key of theirs, as
    /// far as its words go: whether it is valid, and good, remains to be asked.
    pub(crate) fn read(&self, envelope: &Envelope) -> Result<(Statement, PgpSignature), StatementRefusal> {
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
        if !has_a_role(self.policy, author) {
            return Err(StatementRefusal::NoRole(author.clone()));
        }
        let refused = |source| StatementRefusal::Signature {
            author: author.clone(),
            source,
        };
        if let Some(refusal) = self.uncertified.get(author) {
            return Err(refused(SignatureRefusal::Certificate(refusal.clone())));
        }
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
        Ok((statement, signature))
    }

    /// Seals a statement whose signature is valid and good.
    pub(crate) fn seal(&self, statement: Statement, signature: &PgpSignature) -> Verified<Statement> {
        let vouch = Vouch {
            person: Some(statement.author.clone()),
            key: signature.issuer().clone().into(),
            signed_at: Some(signature.created()),
        };
        let evidence = self.evidence(role("author"), 1, vec![vouch]);
        Verified::new(statement, evidence)
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

/// Whether somebody is in any role: who was removed from every role says nothing any more.
pub(crate) fn has_a_role(policy: &PolicyDocument, person: &PersonName) -> bool {
    policy.roles.values().any(|role| role.people.contains(person))
}
