//! Signatures by the hundred thousand, for benchmarks: who makes them, and over what.

use std::time::{Duration, UNIX_EPOCH};

use attestation::{
    ChainId, Content, Delta, Seconds, Sha256Digest, Time,
    dsse::{self, Envelope},
    statement::{Claim, DeltaVerdict, Review, Statement, Verdict},
};
use sequoia_openpgp::{
    Cert, Packet,
    crypto::KeyPair,
    packet::signature::SignatureBuilder,
    parse::Parse as _,
    serialize::MarshalInto as _,
    types::{HashAlgorithm, SignatureType},
};

use crate::people::TestPerson;

/// People who take turns to sign.
pub struct Signers {
    /// Who they are.
    pub people: Vec<TestPerson>,
    keys: Vec<KeyPair>,
    at: Time,
}

impl Signers {
    /// The people of a test's chain, with others added where so few do not do, and the first `count` of them as signers.
    ///
    /// # Panics
    /// As every function here, if something that is not measured goes wrong.
    pub fn new(count: usize, at: Time) -> (Vec<TestPerson>, Self) {
        let created = at.minus(Seconds::days(30));
        let mut everybody = crate::chain::people(at);
        let more = everybody.len()..count;
        everybody.extend(more.map(|index| TestPerson::new(&format!("person-{index}"), created)));
        let people = everybody[..count].to_vec();
        let keys = people.iter().map(key_pair).collect();
        (everybody, Self { people, keys, at })
    }

    /// The packet of a binary signature by the next of them.
    pub fn sign(&self, index: usize, document: &[u8]) -> Vec<u8> {
        let at = UNIX_EPOCH + Duration::from_secs(self.at.unix().unsigned_abs());
        let builder = SignatureBuilder::new(SignatureType::Binary).set_hash_algo(HashAlgorithm::SHA256);
        let builder = builder.set_signature_creation_time(at).expect("a date");
        let mut pair = self.keys[index % self.keys.len()].clone();
        let signature = builder.sign_message(&mut pair, document).expect("a signature");
        Packet::from(signature).to_vec().expect("a packet")
    }

    /// Approvals of one unit each, by one after the other.
    pub fn statements(&self, chain: ChainId, count: usize) -> Vec<Envelope> {
        eprintln!("signing {count} statements by {} people", self.people.len());
        (0..count).map(|index| self.statement(chain, index)).collect()
    }

    fn statement(&self, chain: ChainId, index: usize) -> Envelope {
        let delta = Delta {
            unit: format!("pkgs/by-name/he/hello-{index}").parse().expect("a unit"),
            from: None,
            to: Some(Content::from_digest(Sha256Digest::of(index.to_string()))),
        };
        let person = &self.people[index % self.people.len()];
        let statement = Statement {
            chain,
            author: person.name.clone(),
            seq: 1,
            prev: None,
            claim: Claim::Review(Review {
                criteria: "read-the-diff".to_owned(),
                verdicts: vec![DeltaVerdict {
                    delta,
                    verdict: Verdict::Approve,
                    note: None,
                }],
                supersedes: [].into(),
                from_tree: None,
            }),
        };
        let payload = statement.to_bytes();
        let signed = dsse::pre_authentication_encoding(dsse::IN_TOTO, &payload);
        Envelope {
            signature: self.sign(index, &signed),
            keyid: person.keys[0].clone().into(),
            payload,
        }
    }
}

/// A commit's content before anybody has signed it.
pub fn commit_text(tree: &str, parent: Option<&str>, message: &str) -> String {
    let parent = parent.map_or_else(String::new, |parent| format!("parent {parent}\n"));
    format!(
        "tree {tree}\n{parent}author A <a@example.org> 1767225600 +0000\ncommitter A <a@example.org> 1767225600 +0000\n\n\
         {message}\n\nA message of the usual length, more or less.\n"
    )
}

fn key_pair(person: &TestPerson) -> KeyPair {
    let cert = Cert::from_bytes(&person.secret).expect("a certificate");
    let wanted = person.keys[0].as_str();
    let mut keys = cert.keys().subkeys().secret();
    let key = keys.find(|key| key.key().fingerprint().to_hex().to_lowercase() == wanted);
    let key = key.expect("a signing key").key().clone();
    key.into_keypair().expect("a key pair")
}
