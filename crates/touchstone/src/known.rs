//! Every release of the subscribed channel that this machine can vouch for: those that are installed, and, where that does not
//! suffice, those that the newest one lists.

use attestation::{GitOid, Sha256Digest, Time, releases::ReleaseLine};
use fetcher::{TargetName, Transport, fetch_target};
use install::{Generation, State, Subscription, archive::Tree, verify as earn, verify::VerifyError};
use policy::{Keyring, TrustedSet, trusted_set::Judge, trusted_set::Violated};
use serde::Serialize;

use crate::{
    clock,
    commands::verify,
    failure::{Failure, Kind},
    mirrors::NetworkArguments,
    output::{self, Output, Vouched},
};

/// The longest list of releases that is read: some 300 bytes each.
const LONGEST: u64 = 64 << 20;

/// The releases, and what people found to be bad.
pub(crate) struct Known {
    state: State,
    subscription: Subscription,
    said: TrustedSet,
    installed: Vec<(Generation, Vouched)>,
    listed: Option<Listed>,
}

/// The list that the newest release brings.
struct Listed {
    lines: Vec<ReleaseLine>,
    by: Vouched,
}

/// A release, and how it is known.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Found {
    pub(crate) channel: String,
    pub(crate) sequence: u64,
    pub(crate) commit: GitOid,
    pub(crate) time: Time,
    /// `source` (upstream's tree) or `channel` (with what the channel adds).
    pub(crate) tree: &'static str,
    pub(crate) nar_hash: String,
    /// The generation of this machine that has it, if one has.
    pub(crate) generation: Option<u64>,
    /// Whose signatures say so: over the release itself, or over the newer release that lists it.
    pub(crate) signed_by: Vec<String>,
    /// The release that they signed.
    pub(crate) vouched_by_release: u64,
    /// What people said of it since.
    pub(crate) violated: Vec<Violated>,
}

impl Known {
    /// What is installed. A generation that does not verify vouches for nothing, and is said.
    pub(crate) fn installed(state: State, output: Output) -> Result<Self, Failure> {
        let subscription = state.subscription()?;
        let now = clock::now(&state)?;
        let (chain, channel) = (subscription.chain, &subscription.channel);
        let files = state.trusted(chain, channel).load()?;
        let keyring = Keyring::from_bytes(&files.keyring).map_err(VerifyError::from)?;
        let said = earn::violations(&files, chain, channel, &keyring, now)?;
        let mut installed = Vec::new();
        for generation in state.generations()?.into_iter().rev() {
            match earn::release(&generation, chain, channel, &files.keyring, now) {
                Ok(release) => installed.push((generation, Vouched::new(&release))),
                Err(error) => output.note(&format!(
                    "note: generation {} vouches for nothing: {}",
                    generation.number(),
                    output::chain(&error).join(": ")
                )),
            }
        }
        Ok(Self {
            state,
            subscription,
            said,
            installed,
            listed: None,
        })
    }

    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    pub(crate) const fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// The generations that verify, the newest first.
    pub(crate) fn generations(&self) -> &[(Generation, Vouched)] {
        &self.installed
    }

    /// The sequence of the newest release that is known.
    pub(crate) fn newest(&self) -> u64 {
        let listed = self.listed.as_ref().map_or(0, |listed| listed.by.release.sequence);
        let installed = self.installed.iter().map(|(_, vouched)| vouched.release.sequence);
        installed.max().unwrap_or(0).max(listed)
    }

    /// Fetches the list of all releases from a mirror, by the digest that the newest release was signed with.
    pub(crate) fn fetch_list(&mut self, network: &NetworkArguments) -> Result<(), Failure> {
        if self.listed.is_some() {
            return Ok(());
        }
        let Subscription { chain, channel, .. } = &self.subscription;
        let files = self.state.trusted(*chain, channel).load()?;
        let keyring = Keyring::from_bytes(&files.keyring).map_err(VerifyError::from)?;
        let now = clock::now(&self.state)?;
        let set = earn::replay(&files, *chain, channel, keyring, Judge::Authentic, now)?;
        let name = TargetName::Releases;
        let target = set
            .target(channel.as_str(), &name.of(channel))
            .map_err(VerifyError::from)?;
        let transports = network.open(&self.subscription)?;
        let mirrors: Vec<&dyn Transport> = transports.iter().map(|transport| &**transport).collect();
        let bytes = fetch_target(&mirrors, channel, &name, &target, LONGEST)?;
        let list = attestation::releases::ReleaseList::from_exact(&bytes, *chain, channel).map_err(|error| {
            let next = "this was signed: tell the people of the channel, and ask for another version of this program";
            Failure::new(Kind::Refused, "releases", error, next)
        })?;
        let by = Vouched::new(&set.release(channel).map_err(VerifyError::from)?);
        self.listed = Some(Listed {
            lines: list.releases,
            by,
        });
        Ok(())
    }

    /// The release, the newest of them, one of whose trees has that NAR digest.
    pub(crate) fn with_nar(&self, nar: Sha256Digest) -> Option<Found> {
        let installed = self.installed.iter().find_map(|(generation, vouched)| {
            let line = ReleaseLine::from(&vouched.release);
            Some(self.found(&line, tree_of(&line, nar)?, Some(generation), vouched))
        });
        installed.or_else(|| {
            let listed = self.listed.as_ref()?;
            let mut lines = listed.lines.iter().rev();
            lines.find_map(|line| Some(self.found(line, tree_of(line, nar)?, None, &listed.by)))
        })
    }

    /// The release of an upstream commit, whatever its tree.
    pub(crate) fn of_commit(&self, commit: &str) -> Option<Found> {
        let listed = self.listed.as_ref()?;
        let line = listed.lines.iter().rev().find(|line| line.commit.as_str() == commit)?;
        Some(self.found(line, Tree::Source, None, &listed.by))
    }

    /// What is known of an installed generation.
    pub(crate) fn of_generation(&self, generation: &Generation, tree: Tree) -> Option<Found> {
        let mut all = self.installed.iter();
        let (generation, vouched) = all.find(|(known, _)| known.number() == generation.number())?;
        Some(self.found(&ReleaseLine::from(&vouched.release), tree, Some(generation), vouched))
    }

    fn found(&self, line: &ReleaseLine, tree: Tree, generation: Option<&Generation>, by: &Vouched) -> Found {
        let (name, nar) = match tree {
            Tree::Source => ("source", line.tree_nar),
            Tree::Channel => ("channel", line.channel_nar),
        };
        Found {
            channel: self.subscription.channel.to_string(),
            sequence: line.sequence,
            commit: line.commit.clone(),
            time: line.time,
            tree: name,
            nar_hash: nar.to_sri(),
            generation: generation.map(|generation| generation.number().get()),
            signed_by: by.signed_by.iter().map(ToString::to_string).collect(),
            vouched_by_release: by.release.sequence,
            violated: self.said.violated(line.tree_nar),
        }
    }
}

fn tree_of(line: &ReleaseLine, nar: Sha256Digest) -> Option<Tree> {
    if line.tree_nar == nar {
        return Some(Tree::Source);
    }
    (line.channel_nar == nar).then_some(Tree::Channel)
}

impl Found {
    /// `release 17 of unstable (commit 0123456789ab), signed by alice and bob`.
    pub(crate) fn in_words(&self) -> String {
        let by = self.signed_by.join(" and ");
        let how = if self.vouched_by_release == self.sequence {
            format!("signed by {by}")
        } else {
            format!("listed by release {}, which {by} signed", self.vouched_by_release)
        };
        format!(
            "release {} of {} (commit {:.12}), {how}",
            self.sequence,
            self.channel,
            self.commit.as_str()
        )
    }

    /// What people said of it, in one line; nothing if nobody did.
    pub(crate) fn violation(&self) -> Option<String> {
        let said: Vec<_> = self
            .violated
            .iter()
            .map(|said| format!("{} says {:?}", said.by, said.reason))
            .collect();
        (!said.is_empty()).then(|| said.join(", "))
    }
}

/// The system that lists of derivations on this machine are for.
pub(crate) fn system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

/// The verified targets of a generation: what else the release brought.
pub(crate) fn targets_of(known: &Known, generation: &Generation) -> Result<TrustedSet, Failure> {
    let Subscription { chain, channel, .. } = known.subscription();
    let files = generation.metadata(channel).load()?;
    let keyring = Keyring::from_bytes(&files.keyring).map_err(VerifyError::from)?;
    let now = clock::now(known.state())?;
    Ok(earn::replay(&files, *chain, channel, keyring, Judge::Authentic, now)?)
}

/// Earns again that a generation is usable, and that its files are as they were signed.
pub(crate) fn earn_whole(known: &Known, generation: &Generation) -> Result<(), Failure> {
    let release = verify::authenticate(known.state(), known.subscription(), generation)?;
    Ok(earn::tree(generation, &release)?)
}
