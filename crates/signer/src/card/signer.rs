//! Signing documents with a card's signing key.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use attestation::{Fingerprint, Sha256Digest, Time};
use secrecy::SecretString;
use sequoia_openpgp::{
    crypto::{self, mpi},
    packet::{Packet, signature::SignatureBuilder},
    serialize::SerializeInto as _,
    types::{Curve, HashAlgorithm, SignatureType},
};

use super::{
    CardError, CardIdent, Slot, Token, agent,
    key::{Asks, CardKey, Secret},
    pins, public,
    token::{self, QUICK},
};
use crate::{Document, SignError, Signer, pin::Prompt};

/// Signs with the signing key of a card.
///
/// The PIN is asked once for all documents that are announced together ([`Signer::announce`]), and signs exactly these:
/// another document is another question. Where gpg holds the card, its agent asks the PIN.
pub struct CardSigner {
    token: RefCell<Token>,
    key: public::PublicKey,
    fingerprint: Fingerprint,
    at: Time,
    prompt: Asks,
    unlocked: RefCell<Option<Unlocked>>,
}

/// What the user gave the PIN for.
struct Unlocked {
    pin: SecretString,
    documents: BTreeSet<Sha256Digest>,
}

impl CardSigner {
    /// The signing key of the card `wanted`, or of the only one that is plugged in. Signatures are dated `at`.
    pub fn open(
        wanted: Option<&CardIdent>,
        agent: Option<&Path>,
        at: Time,
        prompt: Arc<dyn Prompt + Send + Sync>,
    ) -> Result<Self, CardError> {
        let mut token = token::find(wanted, agent)?;
        if let Some(flaw) = token.status()?.flaw() {
            return Err(flaw);
        }
        let key = token.ask(QUICK, "reading its public key", |ident, card| {
            public::read(ident, card, Slot::Sign)
        })?;
        let unsuitable = |algorithm: String| CardError::Algorithm {
            ident: token.ident().clone(),
            algorithm,
        };
        if let mpi::PublicKey::ECDSA {
            curve: Curve::NistP384, ..
        } = key.mpis()
        {
            // OpenPGP wants a digest no shorter than the curve, and every signature of ours is over SHA-256.
            return Err(unsuitable("NIST P-384, which signs no SHA-256 digest".to_owned()));
        }
        let fingerprint = public::fingerprint(&key).ok_or_else(|| unsuitable("not a version 4 key".to_owned()))?;
        Ok(Self {
            token: RefCell::new(token),
            key,
            fingerprint,
            at,
            prompt,
            unlocked: RefCell::new(None),
        })
    }

    fn unlock(&self, documents: &[Document<'_>]) -> Result<(), CardError> {
        // What was unlocked before is forgotten first: whatever happens, no old PIN serves new documents.
        self.unlocked.take();
        let shown = crate::shown(documents);
        let pin = pins::ask(&mut self.token.borrow_mut(), Secret::Sign, &*self.prompt, &shown)?;
        let documents = documents.iter().map(Document::digest).collect();
        *self.unlocked.borrow_mut() = Some(Unlocked { pin, documents });
        Ok(())
    }

    fn sign(&self, document: &Document<'_>) -> Result<Vec<u8>, CardError> {
        if let Some(agent) = self.token.borrow().agent() {
            return self.sign_through(agent, document);
        }
        let digest = document.digest();
        let is_unlocked = |unlocked: &Option<Unlocked>| {
            unlocked
                .as_ref()
                .is_some_and(|unlocked| unlocked.documents.contains(&digest))
        };
        if !is_unlocked(&self.unlocked.borrow()) {
            self.unlock(std::slice::from_ref(document))?;
        }
        let pin = self.unlocked.borrow().as_ref().map(|unlocked| unlocked.pin.clone());
        let pin = pin.ok_or(crate::pin::PinError::Cancelled)?;
        let mut key = CardKey::of(&self.token, Slot::Sign, self.key.clone(), pin, Arc::clone(&self.prompt))?;
        let made = self.packet(&mut key, document);
        made.map_err(|error| key.failure(&error))
    }

    fn sign_through(&self, agent: &Path, document: &Document<'_>) -> Result<Vec<u8>, CardError> {
        let ident = self.token.borrow().ident().clone();
        let mut key = AgentKey {
            socket: agent.to_owned(),
            ident,
            public: &self.key,
            fingerprint: &self.fingerprint,
            failure: None,
        };
        let made = self.packet(&mut key, document);
        made.map_err(|error| {
            let words = || CardError::Certificate(error.to_string());
            key.failure.take().unwrap_or_else(words)
        })
    }

    fn packet(&self, key: &mut dyn crypto::Signer, document: &Document<'_>) -> sequoia_openpgp::Result<Vec<u8>> {
        let signature = SignatureBuilder::new(SignatureType::Binary)
            .set_hash_algo(HashAlgorithm::SHA256)
            .set_signature_creation_time(public::system_time(self.at))?
            .sign_message(key, document.bytes())?;
        Packet::from(signature).to_vec()
    }
}

/// The key of a card that gpg holds.
struct AgentKey<'s> {
    socket: PathBuf,
    ident: CardIdent,
    public: &'s public::PublicKey,
    fingerprint: &'s Fingerprint,
    failure: Option<CardError>,
}

impl crypto::Signer for AgentKey<'_> {
    fn public(&self) -> &public::PublicKey {
        self.public
    }

    fn sign(&mut self, _: HashAlgorithm, digest: &[u8]) -> sequoia_openpgp::Result<mpi::Signature> {
        let made = agent::sign(&self.socket, &self.ident, self.fingerprint, digest);
        let made = made.map_err(|failure| {
            let words = failure.to_string();
            self.failure = Some(failure);
            sequoia_openpgp::anyhow::anyhow!(words)
        })?;
        public::signature(self.public, &made)
            .ok_or_else(|| sequoia_openpgp::anyhow::anyhow!("gpg-agent answered with no signature"))
    }
}

impl Signer for CardSigner {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn announce(&self, documents: &[Document<'_>]) -> Result<(), SignError> {
        if self.token.borrow().agent().is_some() {
            return Ok(());
        }
        Ok(self.unlock(documents)?)
    }

    fn sign_packet(&self, document: &Document<'_>) -> Result<Vec<u8>, SignError> {
        self.sign(document).map_err(|error| {
            // A PIN that failed is not kept for the next document.
            self.unlocked.take();
            error.into()
        })
    }
}
