//! From releases that people signed to approvals.
//!
//! Whatever is on the disk is verified again from the pinned root on; the approvals are made from nothing else. What
//! somebody with a role found to be bad since (a violation) subtracts: nothing of such a release is approved. Where it
//! cannot be known what people found, nothing is approved at all.

use attestation::{Sha256Digest, Time, chain::Release};
use install::{
    Generation, State, StateError, Subscription,
    verify::{self, VerifyError},
};
use nixstore::{Manifest, StoreDir, StorePathError, manifest::ManifestError, source_store_path};
use policy::{
    Keyring, Verified,
    trusted_set::{Judge, Violated},
};

use crate::approvals::{Draft, Fact, Origin};

/// The name of a release's list of derivations for a kind of machine.
pub fn manifest_name(system: &str) -> String {
    format!("derivations-{system}.txt")
}

/// A signed list of derivations that approvals are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedManifest {
    /// Its file name.
    pub name: String,
    /// Its signed digest.
    pub sha256: Sha256Digest,
    /// Its signed length.
    pub length: u64,
}

/// What can be approved of one generation.
#[derive(Debug)]
pub struct Approvable {
    release: Verified<Release>,
    tarball: Option<Sha256Digest>,
    /// The list of derivations, if the release has one for this kind of machine.
    pub manifest: Option<WantedManifest>,
}

/// Why nothing is approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A generation's signed files do not vouch for it.
    #[error("generation {number} is not what people signed")]
    Generation {
        /// Which.
        number: u64,
        /// Why.
        source: Box<VerifyError>,
    },
    /// Somebody found the tree of a generation to be bad after it was released.
    #[error("release {} of {} was found to be bad: {}", release.sequence, release.channel, said(by))]
    Violated {
        /// What was released.
        release: Box<Release>,
        /// Who said so, and why.
        by: Vec<Violated>,
        /// The release's list of derivations for this kind of machine, if it has one.
        manifest: Option<WantedManifest>,
    },
    /// What people found to be bad cannot be known, and it could be this generation.
    #[error("it cannot be known what people found to be bad, and it could be generation {number}")]
    Violations {
        /// Which.
        number: u64,
        /// Why.
        source: Box<VerifyError>,
    },
    /// A list of derivations has another digest than the signed one.
    #[error("{name} has SHA-256 {found}, signed is {expected}")]
    OtherManifest {
        /// Its name.
        name: String,
        /// What was signed.
        expected: Sha256Digest,
        /// What is there.
        found: Sha256Digest,
    },
    /// A signed list that is none.
    #[error("the signed list of derivations is not understood")]
    Manifest(#[from] ManifestError),
    /// A signed list for another kind of machine.
    #[error("expected a list of derivations for {expected}, found one for {found}")]
    System {
        /// This machine's.
        expected: String,
        /// The list's.
        found: String,
    },
    /// The store path of a tree cannot be computed.
    #[error(transparent)]
    Path(#[from] StorePathError),
}

/// What a generation's signed files vouch for, on a machine of this kind, less what people found to be bad since.
pub fn approvable(
    state: &State,
    subscription: &Subscription,
    generation: &Generation,
    system: &str,
    now: Time,
) -> Result<Approvable, ApproveError> {
    let Subscription { chain, channel, .. } = subscription;
    let number = generation.number().get();
    let refused = |source| ApproveError::Generation {
        number,
        source: Box::new(source),
    };
    let unknown = |source| ApproveError::Violations {
        number,
        source: Box::new(source),
    };
    let newest = state.trusted(*chain, channel).load();
    let newest = newest.map_err(|error| unknown(error.into()))?;
    let files = generation.metadata(channel).load();
    let files = files.map_err(|error| refused(error.into()))?;
    let mut keyring = Keyring::from_bytes(&files.keyring).map_err(|error| refused(error.into()))?;
    if !newest.keyring.is_empty() {
        keyring.add(&newest.keyring).map_err(|error| unknown(error.into()))?;
    }
    let set = verify::replay(&files, *chain, channel, keyring.clone(), Judge::Authentic, now).map_err(refused)?;
    let release = set.release(channel).map_err(|error| refused(error.into()))?;
    let target = |file: &str| set.target(channel.as_str(), &format!("{channel}/{file}")).ok();
    let name = manifest_name(system);
    let manifest = target(&name).and_then(|target| {
        Some(WantedManifest {
            sha256: target.get().sha256()?,
            length: target.get().length,
            name,
        })
    });
    let known = verify::violations(&newest, *chain, channel, &keyring, now).map_err(unknown)?;
    let by = verify::violated_by(&[&known, &set], release.get().tree_nar);
    if !by.is_empty() {
        return Err(ApproveError::Violated {
            release: Box::new(release.get().clone()),
            by,
            manifest,
        });
    }
    Ok(Approvable {
        tarball: target("nixexprs.tar.xz").and_then(|target| target.get().sha256()),
        release,
        manifest,
    })
}

fn said(by: &[Violated]) -> String {
    let each = by.iter().map(|said| format!("{} says {:?}", said.by, said.reason));
    each.collect::<Vec<_>>().join("; ")
}

impl Approvable {
    /// The release.
    pub const fn release(&self) -> &Verified<Release> {
        &self.release
    }

    /// Approves all of it. `manifest` are the bytes of the list of derivations, wherever they are from; without them,
    /// nothing of the release can be built, but its channel can be unpacked.
    pub fn approve(&self, draft: &mut Draft, manifest: Option<&[u8]>, system: &str) -> Result<(), ApproveError> {
        let release = self.release.get();
        if let Some(tarball) = self.tarball {
            draft.approve(Fact::Tarball(tarball));
        }
        // The trees, as flakes and `fetchTarball` put them into the store.
        for nar in [release.tree_nar, release.channel_nar] {
            draft.approve(Fact::Object(&source_store_path(&StoreDir::default(), "source", &nar)?));
        }
        let (Some(wanted), Some(bytes)) = (&self.manifest, manifest) else {
            return Ok(());
        };
        let found = Sha256Digest::of(bytes);
        if found != wanted.sha256 {
            return Err(ApproveError::OtherManifest {
                name: wanted.name.clone(),
                expected: wanted.sha256,
                found,
            });
        }
        let manifest = Manifest::parse(&String::from_utf8_lossy(bytes))?;
        if manifest.system != system {
            return Err(ApproveError::System {
                expected: system.to_owned(),
                found: manifest.system,
            });
        }
        draft.approve_manifest(&manifest);
        Ok(())
    }
}

/// Whose approvals these are.
pub fn origin(subscription: &Subscription, newest: u64, now: Time) -> Origin {
    Origin {
        chain: subscription.chain.digest(),
        release: newest,
        time: u64::try_from(now.unix()).unwrap_or(0),
    }
}
