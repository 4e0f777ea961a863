//! The one substituter of a machine with a gate: it answers for approved outputs only, and only what enough builders say.
//!
//! A signature of a cache says who built a path, not who vouched for the recipe, and one cache can be wrong alone. So a path
//! is given when it is an output of an approved derivation *and* so many distinct builder keys agree on its NAR and its
//! references ([`quorum`]); then it is signed with the key of this machine, the only one that its Nix trusts. The archive is
//! hashed as it passes ([`stream`]); its last bytes are held back until the whole is what was agreed on.
//!
//! It listens on the loopback interface ([`server`]), on threads; how files of caches are fetched is the caller's
//! ([`Cache`]).

pub mod quorum;
pub mod server;
pub mod stream;

use std::{
    collections::HashMap,
    error::Error,
    io::Write,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nixstore::{
    NarInfo, StorePath,
    key::{PublicKey, SecretKey},
};
use serde::{Deserialize, Serialize};

use crate::{
    approvals::{Approvals, ApprovalsError, Fact},
    place::Place,
};
use quorum::{Agreed, Answer, Shortfall};

/// The longest narinfo.
const NARINFO: u64 = 1 << 20;

/// So many answers are remembered; each is asked for again when the archive is fetched after that.
const REMEMBERED: usize = 10_000;

/// Something that caches' files are fetched from: over HTTP, or from a directory.
pub trait Cache: Send + Sync {
    /// Its address.
    fn url(&self) -> String;

    /// Writes the file at `path` below the address to `sink` as it arrives; more than `bound` bytes are an error.
    fn fetch(&self, path: &str, bound: u64, sink: &mut dyn Write) -> Result<u64, Box<dyn Error + Send + Sync>>;
}

/// What the owner decided about substitution, in `substituter.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Configuration {
    /// The address on the loopback interface, as `127.0.0.1:8412`.
    pub listen: String,
    /// How many distinct builder keys must agree.
    pub needed: usize,
    /// The caches that are asked.
    pub caches: Vec<String>,
    /// The builders' public keys, as `trusted-public-keys` has them.
    pub keys: Vec<String>,
    /// How long the slowest cache is waited for, in milliseconds.
    pub patience: u64,
}

/// The substituter.
pub struct Substituter {
    place: Place,
    caches: Vec<Arc<dyn Cache>>,
    keys: Vec<PublicKey>,
    needed: usize,
    patience: Duration,
    host: SecretKey,
    known: Mutex<HashMap<String, Arc<Agreed>>>,
}

/// Why a path is not given.
#[derive(Debug, thiserror::Error)]
pub enum Absent {
    /// Nobody vouched for what would make it.
    #[error("{path} is no output of an approved derivation")]
    NotApproved {
        /// The path.
        path: StorePath,
    },
    /// Too few builders agree.
    #[error(transparent)]
    Quorum(#[from] Shortfall),
    /// The approvals are in doubt.
    #[error(transparent)]
    Approvals(#[from] ApprovalsError),
}

/// Why a configuration cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A key that is none.
    #[error(transparent)]
    Key(#[from] nixstore::key::KeyError),
    /// One builder twice.
    #[error("{first} and {second} are one key: a builder counts once")]
    Twice {
        /// A key.
        first: String,
        /// The same key.
        second: String,
    },
    /// More than there can be, or none.
    #[error("expected between 1 and {most} builders that must agree, found {found}")]
    Needed {
        /// How many there are.
        most: usize,
        /// What was asked for.
        found: usize,
    },
}

/// Reads and checks the builders' keys.
pub fn builder_keys(configuration: &Configuration) -> Result<Vec<PublicKey>, ConfigurationError> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for text in &configuration.keys {
        let key: PublicKey = text.parse()?;
        if let Some(first) = keys.iter().find(|known| known.bytes() == key.bytes()) {
            return Err(ConfigurationError::Twice {
                first: first.to_string(),
                second: key.to_string(),
            });
        }
        keys.push(key);
    }
    if !(1..=keys.len()).contains(&configuration.needed) {
        return Err(ConfigurationError::Needed {
            most: keys.len(),
            found: configuration.needed,
        });
    }
    Ok(keys)
}

impl Substituter {
    /// A substituter that signs with `host`.
    pub fn new(
        place: &Place,
        configuration: &Configuration,
        caches: Vec<Arc<dyn Cache>>,
        host: SecretKey,
    ) -> Result<Self, ConfigurationError> {
        Ok(Self {
            place: place.clone(),
            caches,
            keys: builder_keys(configuration)?,
            needed: configuration.needed,
            patience: Duration::from_millis(configuration.patience),
            host,
            known: Mutex::default(),
        })
    }

    /// The narinfo of the path with that digest, signed for this machine.
    pub fn narinfo(&self, digest: &str) -> Result<NarInfo, Absent> {
        let agreed = self.agreed(digest)?;
        let mut info = NarInfo {
            url: format!("nar/{digest}-{}.nar", agreed.nar.sha256),
            compression: "none".to_owned(),
            path: agreed.path.clone(),
            nar: agreed.nar,
            references: agreed.references.clone(),
            deriver: None,
            signatures: Vec::new(),
            content_address: None,
        };
        info.signatures = vec![self.host.sign(info.fingerprint().as_bytes())];
        Ok(info)
    }

    /// What enough builders say of the path with that digest, if it is approved now.
    pub fn agreed(&self, digest: &str) -> Result<Arc<Agreed>, Absent> {
        let known = self.known.lock().ok().and_then(|known| known.get(digest).cloned());
        let agreed = match known {
            Some(agreed) => agreed,
            None => Arc::new(self.ask(digest)?),
        };
        let approvals = Approvals::open(&self.place)?;
        if !approvals.has(Fact::Object(&agreed.path))? {
            return Err(Absent::NotApproved {
                path: agreed.path.clone(),
            });
        }
        if let Ok(mut known) = self.known.lock() {
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(digest.to_owned(), Arc::clone(&agreed));
        }
        Ok(agreed)
    }

    /// Writes the archive to `sink`, from the first of the caches that gives what was agreed on. Once bytes have left, no
    /// other cache can help: the connection then ends short, and Nix asks again.
    pub fn archive(&self, agreed: &Agreed, sink: &mut dyn Write) -> Result<(), stream::StreamError> {
        let mut last = stream::StreamError::NoSource;
        for source in &agreed.sources {
            let Some(cache) = self.caches.iter().find(|cache| cache.url() == source.cache) else {
                continue;
            };
            match stream::copy(&**cache, source, &agreed.nar, sink) {
                Ok(()) => return Ok(()),
                Err(error) if error.has_begun() => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks all caches at once, and goes on as soon as enough agree.
    fn ask(&self, digest: &str) -> Result<Agreed, Shortfall> {
        let (send, receive) = mpsc::channel();
        for cache in &self.caches {
            let (cache, send, file) = (Arc::clone(cache), send.clone(), format!("{digest}.narinfo"));
            // A slow one goes on alone; nobody listens to it any more.
            thread::spawn(move || {
                let mut bytes = Vec::new();
                let text = cache
                    .fetch(&file, NARINFO, &mut bytes)
                    .map_err(|error| error.to_string())
                    .and_then(|_| String::from_utf8(bytes).map_err(|error| error.to_string()));
                drop(send.send(Answer {
                    cache: cache.url(),
                    text,
                }));
            });
        }
        drop(send);
        let deadline = Instant::now() + self.patience;
        let mut answers = Vec::new();
        let mut verdict = quorum::judge(digest, &self.keys, self.needed, &answers);
        while verdict.is_err() {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(answer) = receive.recv_timeout(left) else { break };
            answers.push(answer);
            verdict = quorum::judge(digest, &self.keys, self.needed, &answers);
        }
        // Whoever has answered by now and says otherwise is evidence.
        answers.extend(receive.try_iter());
        let evidence = quorum::disagreement(digest, &self.keys, &answers);
        if !evidence.is_empty() {
            self.note(digest, &evidence);
            // Another answer may have made a second quorum.
            return quorum::judge(digest, &self.keys, self.needed, &answers);
        }
        verdict
    }

    fn note(&self, digest: &str, evidence: &[quorum::Claim]) {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let line = serde_json::json!({ "time": time, "digest": digest, "claims": evidence });
        if let Err(error) = quorum::note(&self.place, &line) {
            eprintln!("touchstone: builders disagree about {digest}, and it could not be noted: {error}");
        }
    }
}
