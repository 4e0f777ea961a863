//! The rules by which a build passes. What no rule passes is refused.
//!
//! | what | passes when |
//! |---|---|
//! | any derivation | its bytes are approved; with an MD5 or SHA-1 fixed output only when the owner named it too |
//! | `unpack-channel` | it has exactly the form that `nix-channel` makes, and the tarball, hashed now, is approved |
//! | `user-environment` | it has exactly the form that `nix-env` makes, and every package in it is approved |
//! | `…-env` of `nix develop` | it is an approved derivation whose arguments are Nix's own script, and nothing else is changed |
//! | anything in the sandbox | the client is in the developers' group, and none of our own files is in doubt |
//!
//! A package in an environment is approved when it is an approved object, or the output of a derivation that passes by
//! one of these rules now. Which derivation that would be is remembered in `passed/`, as a hint: what it names is read,
//! judged and hashed again.

mod develop;
mod environment;
mod passed;
mod unpack;

use std::path::Path;

use nixstore::{StoreDir, StorePath, StorePathError, derivation::PathError};

use crate::{
    approvals::{Approvals, ApprovalsError, Fact},
    client::{self, Client},
    place::Place,
    settings::{Settings, SettingsError},
    store::{Recipe, Store, StoreError},
};

/// By which rule a build passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The derivation is approved.
    Approved,
    /// The tarball of a channel is.
    Channel,
    /// Every package of the environment is.
    Environment,
    /// The derivation of which this is the development environment is.
    Develop,
    /// Whoever asked may build anything.
    Developer,
}

/// Why a build is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Our own files are in doubt.
    #[error("the gate's settings are not usable, so nothing may be built")]
    Settings(#[from] SettingsError),
    /// Our own files are in doubt.
    #[error("the gate's approvals are not usable, so nothing may be built")]
    Approvals(#[from] ApprovalsError),
    /// Nix named something that is no derivation.
    #[error("expected the path of a derivation, found {found:?}")]
    Path {
        /// What it named.
        found: String,
        /// What is wrong with it.
        source: StorePathError,
    },
    /// The derivation cannot be read, or is not what its path says, or of a kind that nobody can judge.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody vouched for it.
    #[error("{derivation} is not approved")]
    NotApproved {
        /// The derivation.
        derivation: StorePath,
    },
    /// It is approved, and what it fetches can be exchanged all the same.
    #[error("{derivation} is approved, but its output is fixed by {algorithm}, which is broken")]
    BrokenHash {
        /// The derivation.
        derivation: StorePath,
        /// The algorithm.
        algorithm: &'static str,
    },
    /// The tarball is no release of a channel that this machine follows.
    #[error("the channel {tarball} has SHA-256 {found}, which is not approved")]
    Tarball {
        /// Where it is in the store.
        tarball: StorePath,
        /// Its digest.
        found: nixstore::Sha256Digest,
    },
    /// A package in an environment is not approved.
    #[error("{derivation} would put {object} into an environment, which is not approved")]
    Object {
        /// The derivation.
        derivation: StorePath,
        /// The package.
        object: StorePath,
    },
    /// It looks like something that Nix makes, and is not.
    #[error("{derivation} is not what Nix makes for {kind}: expected {expected}")]
    Form {
        /// The derivation.
        derivation: StorePath,
        /// What it looks like.
        kind: &'static str,
        /// What Nix makes.
        expected: &'static str,
    },
    /// A development environment by a script that is not known to be Nix's.
    #[error("the script {script} has SHA-256 {found}, which is of no version of Nix that is known here")]
    Script {
        /// Where it is in the store.
        script: StorePath,
        /// Its digest.
        found: nixstore::Sha256Digest,
    },
    /// An output that is not where it must be.
    #[error(transparent)]
    Output(#[from] PathError),
}

/// What builds are judged by.
#[derive(Debug)]
pub struct Judge {
    place: Place,
    store: Store,
    settings: Settings,
    approvals: Approvals,
}

impl Judge {
    /// Opens the files of the gate.
    pub fn open(place: &Place, store: Store) -> Result<Self, Refusal> {
        Ok(Self {
            settings: Settings::read(place)?,
            approvals: Approvals::open(place)?,
            place: place.clone(),
            store,
        })
    }

    /// What the owner decided.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Judges a build that `client` asked for, of what Nix named.
    pub fn build(&self, named: &str, client: Option<Client>) -> Result<Pass, Refusal> {
        let path = StorePath::parse_in(&StoreDir::default(), named).map_err(|source| Refusal::Path {
            found: named.to_owned(),
            source,
        })?;
        let verdict = self.derivation(&path);
        match verdict {
            Err(refusal) if refusal.is_about_the_build() && self.is_developer(client) => Ok(Pass::Developer),
            other => other,
        }
    }

    /// Judges a derivation, whoever asked.
    pub fn derivation(&self, path: &StorePath) -> Result<Pass, Refusal> {
        self.recipe(&self.store.recipe(path)?)
    }

    /// Judges what was read of a derivation.
    pub fn recipe(&self, recipe: &Recipe) -> Result<Pass, Refusal> {
        if self.approvals.has(Fact::Derivation(recipe.name(), recipe.digest))? {
            return self.approved(recipe);
        }
        match recipe.derivation.builder.as_slice() {
            unpack::BUILDER => self.unpack(recipe).map(|()| Pass::Channel),
            environment::BUILDER => self.environment(recipe).map(|()| Pass::Environment),
            _ if recipe.name().ends_with(develop::SUFFIX) => self.develop(recipe).map(|()| Pass::Develop),
            _ => Err(Refusal::NotApproved {
                derivation: recipe.path.clone(),
            }),
        }
    }

    fn approved(&self, recipe: &Recipe) -> Result<Pass, Refusal> {
        if let Some(nixstore::derivation::Output::Fixed { algorithm, .. }) = recipe.derivation.fixed()
            && algorithm.is_broken()
            && !self.settings.takes_broken_hash(&recipe.path)
        {
            return Err(Refusal::BrokenHash {
                derivation: recipe.path.clone(),
                algorithm: algorithm.as_str(),
            });
        }
        Ok(Pass::Approved)
    }

    fn is_developer(&self, client: Option<Client>) -> bool {
        match (client, &self.settings.developer_group) {
            (Some(client), Some(group)) => client::is_in_group(client, group, Path::new("/etc")),
            _ => false,
        }
    }
}

impl Refusal {
    /// Whether it is the build that is not approved; otherwise something of ours, or of Nix's, is broken, and nobody builds.
    const fn is_about_the_build(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Approvals(_) | Self::Path { .. } => false,
            Self::Store(error) => matches!(error, StoreError::Derivation { .. }),
            _ => true,
        }
    }

    /// A word for programs that stays the same.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) => "settings",
            Self::Approvals(_) => "approvals",
            Self::Path { .. } | Self::Output(_) => "path",
            Self::Store(StoreError::Swapped { .. }) => "swapped",
            Self::Store(StoreError::Derivation { .. }) => "derivation-kind",
            Self::Store(_) => "store",
            Self::NotApproved { .. } => "not-approved",
            Self::BrokenHash { .. } => "broken-hash",
            Self::Tarball { .. } => "tarball",
            Self::Object { .. } => "object",
            Self::Form { .. } => "form",
            Self::Script { .. } => "develop-script",
        }
    }

    /// What to do next.
    pub fn next(&self) -> String {
        match self {
            Self::Settings(_) | Self::Approvals(_) => {
                "as root: touchstone gate refresh makes them anew; touchstone gate check says what else is wrong".to_owned()
            }
            Self::Path { .. } | Self::Output(_) | Self::Store(StoreError::Swapped { .. } | StoreError::NoFile { .. }) => {
                "the store is damaged: nix-store --verify --check-contents".to_owned()
            }
            Self::Store(StoreError::Derivation { .. }) => "outputs whose paths nobody knows before the build cannot be \
                                                           approved: build it without ca-derivations, dynamic-derivations \
                                                           and impure-derivations"
                .to_owned(),
            Self::Store(_) => "instantiate it again, then build it".to_owned(),
            Self::NotApproved { .. } => "take it from the signed channel (-I nixpkgs=/var/lib/touchstone/current/nixexprs) without \
                                         overlays and other configuration; or have the machine's owner approve it, as root: \
                                         touchstone build --file FILE (an expression), touchstone switch (a system); touchstone gate \
                                         why DRV says which parts are not approved"
                .to_owned(),
            Self::BrokenHash { derivation, .. } => format!(
                "ask the package's maintainers for a SHA-256; who takes it all the same, as root: touchstone gate on \
                 --broken-hash {derivation}"
            ),
            Self::Tarball { .. } => "touchstone update installs the signed release, then run nix-channel --update again; a channel \
                                     that nobody signs cannot be followed on this machine"
                .to_owned(),
            Self::Object { object, .. } => format!(
                "take it out (nix-env -e {}), or install it again from the signed channel",
                object.name()
            ),
            Self::Form { .. } => "only what Nix itself makes passes unsigned; build it from the signed channel".to_owned(),
            Self::Script { found, .. } => format!(
                "if it is the get-env.sh of this machine's Nix, as root: touchstone gate on --develop-script {found}"
            ),
        }
    }
}
