//! Whether a proposal is what this clone derives.

use std::{collections::BTreeSet, fmt};

use attestation::{
    GitOid, Seconds, Sha256Digest, StatementId, Time,
    chain::{PolicyDocument, Release, StatementList},
    pending::Proposal,
    statement::{Claim, Exemption, Import},
    tuf::{Metadata as _, Root, Targets},
};
use ledger::Snapshot;
use policy::{admission, root};
use signer::Document;

use crate::{
    chain_state::{ChainState, LastRelease},
    derive::{self, Candidate},
    desk::OpenDesk,
    evaluate,
    exit::{Exit, Failure, OrExit as _, Outcome},
    hardware, patches,
    statements::Statements,
};

/// A proposal that this clone derived and found to be what it says.
pub(crate) enum Checked {
    /// A root.
    Root(Box<Root>),
    /// Top-level targets or a release.
    Targets(Box<Targets>),
    /// What the user's statement will say.
    Claim(Box<Claim>),
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(root) => Document::Root(root).fmt(f),
            Self::Targets(targets) => Document::Targets(targets).fmt(f),
            Self::Claim(claim) => claim.fmt(f),
        }
    }
}

/// A proposal is signed within a day of its time, or it is out of date.
const WINDOW: Seconds = root::CANDIDATE_WINDOW;

/// An exemption is for starting a channel now, not some day.
const LONGEST_EXEMPTION: Seconds = Seconds::days(31);

fn differs(what: &str, found: impl fmt::Display, derived: impl fmt::Display) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("{what}: the proposal says {found}, this clone derives {derived}"),
    )
}

fn same<T: PartialEq + fmt::Display>(what: &str, found: &T, derived: &T) -> Outcome {
    if found == derived {
        Ok(())
    } else {
        Err(differs(what, found, derived))
    }
}

fn recent(time: Time, now: Time) -> bool {
    now.since(time) <= WINDOW && time.since(now) <= WINDOW
}

/// Whether a root's expiry is a candidate time within the window and the policy's maximum.
pub(crate) fn root_expiry(root: &Root, policy: &PolicyDocument, now: Time) -> Outcome {
    expiry("root", root.expires, policy.freshness.root, now)
}

fn expiry(what: &str, expires: Time, maximum: Seconds, now: Time) -> Outcome {
    let proposed = Time::from_unix(
        expires
            .unix()
            .saturating_sub(i64::try_from(maximum.0).unwrap_or(i64::MAX)),
    );
    if recent(proposed, now) {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Refused,
            format!(
                "{what} expires at {expires}; proposed today with the policy's {maximum} it would expire about {}",
                now.plus(maximum)
            ),
        )
        .next("have it proposed anew"))
    }
}

/// Checks proposals against one state of the ledger.
pub(crate) struct Checker<'a> {
    open: &'a OpenDesk,
    snapshot: &'a Snapshot,
    chain: &'a ChainState,
    statements: &'a Statements,
    vouch_for: Option<GitOid>,
}

impl<'a> Checker<'a> {
    /// A checker for this state of the ledger.
    pub(crate) fn new(
        open: &'a OpenDesk,
        snapshot: &'a Snapshot,
        chain: &'a ChainState,
        statements: &'a Statements,
    ) -> Self {
        Self {
            open,
            snapshot,
            chain,
            statements,
            vouch_for: None,
        }
    }

    /// With a commit whose history the user vouches for without its being authentic.
    pub(crate) fn vouching_for(mut self, commit: Option<GitOid>) -> Self {
        self.vouch_for = commit;
        self
    }

    /// Whether a proposal is the next step of something, and recent. Others are history: passed over silently.
    pub(crate) fn applies(&self, proposal: &Proposal) -> Outcome<bool> {
        let now = self.chain.now;
        Ok(match proposal {
            Proposal::Root(next) => next.version == self.chain.root.version + 1,
            Proposal::Targets(targets) => {
                self.is_ours(targets, "targets")
                    && targets.version > self.chain.newest_targets_version(self.snapshot)?
                    && expiry("", targets.expires, self.chain.policy.freshness.targets, now).is_ok()
            }
            Proposal::Release { targets, .. } => match release_of(targets) {
                Some(release) if self.is_ours(targets, release.channel.as_str()) => {
                    let role = release.channel.clone().into();
                    recent(release.time, now)
                        && targets.version > self.chain.newest_version(self.snapshot, &role)?
                        && release.sequence == self.last_sequence(release)? + 1
                }
                _ => false,
            },
            Proposal::Exemption(exemption) => {
                exemption.until > now
                    && exemption.until.since(now) <= LONGEST_EXEMPTION
                    && self.chain.policy.channels.contains_key(&exemption.channel)
                    && self.chain.last_release(self.snapshot, &exemption.channel)?.is_none()
            }
            Proposal::Import(import) => {
                self.chain.policy.channels.contains_key(&import.channel)
                    && self
                        .chain
                        .last_release(self.snapshot, &import.channel)?
                        .is_some_and(|last| last.release.commit == import.from)
            }
        })
    }

    fn is_ours(&self, targets: &Targets, role: &str) -> bool {
        targets
            .mark
            .as_ref()
            .is_some_and(|mark| mark.chain == self.chain.chain && mark.role.as_str() == role)
    }

    fn last_sequence(&self, release: &Release) -> Outcome<u64> {
        if !self.chain.policy.channels.contains_key(&release.channel) {
            return Ok(u64::MAX - 1);
        }
        Ok(self
            .chain
            .last_release(self.snapshot, &release.channel)?
            .map_or(0, |last| last.release.sequence))
    }

    /// Derives a proposal again and compares.
    pub(crate) fn check(&self, proposal: &Proposal) -> Outcome<Checked> {
        match proposal {
            Proposal::Root(next) => self.root(next),
            Proposal::Targets(targets) => self.top_level(targets),
            Proposal::Release { targets, statements } => self.release(targets, statements),
            Proposal::Exemption(exemption) => self.exemption(exemption),
            Proposal::Import(import) => self.import(import),
        }
    }

    fn root(&self, next: &Root) -> Outcome<Checked> {
        let policy = root::check(next, Some(self.chain.chain), &self.chain.keyring).or_exit(Exit::Refused)?;
        root_expiry(next, policy, self.chain.now)?;
        self.introduction(policy)?;
        let (chain, evidence) = (self.chain, hardware::evidence(self.snapshot)?);
        let before = Some(&chain.policy);
        hardware::check(
            policy,
            before,
            &chain.keyring,
            &evidence,
            &self.statements.now(chain),
            chain.now,
        )?;
        Ok(Checked::Root(Box::new(next.clone())))
    }

    /// Who signs a root vouches for the history up to its introduction: it must be authentic under the roots so far.
    fn introduction(&self, next: &PolicyDocument) -> Outcome {
        let introduction = |policy: &PolicyDocument| policy.repository.as_ref().map(|it| it.introduction.clone());
        let Some(commit) =
            introduction(next).filter(|commit| introduction(&self.chain.policy).as_ref() != Some(commit))
        else {
            return Ok(());
        };
        crate::output::note(&format!("this root vouches for the history up to {commit}"));
        if self.vouch_for.as_ref() == Some(&commit) {
            return Ok(());
        }
        crate::history::require(self.open, self.snapshot, self.chain, &commit)
            .map_err(|failure| failure.next_if_none("fetch the branch that the root vouches for, then run this again"))
    }

    fn top_level(&self, targets: &Targets) -> Outcome<Checked> {
        let chain = self.chain;
        expiry(
            "the top-level targets",
            targets.expires,
            chain.policy.freshness.targets,
            chain.now,
        )?;
        let mut derived =
            root::top_level_targets(&chain.policy, chain.chain, targets.version, chain.now, &chain.keyring)
                .or_exit(Exit::Refused)?;
        derived.expires = targets.expires;
        if derived == *targets {
            Ok(Checked::Targets(Box::new(derived)))
        } else {
            Err(Failure::new(
                Exit::Refused,
                "the top-level targets are not what the root's policy makes them",
            ))
        }
    }

    fn exemption(&self, exemption: &Exemption) -> Outcome<Checked> {
        let commit = self.on_upstream(&exemption.channel, &exemption.commit)?;
        let derived = derive::exemption(
            &self.open.desk.repository,
            &exemption.channel,
            commit,
            exemption.reason.clone(),
            exemption.until,
        )?;
        same("tree", &exemption.tree, &derived.tree)?;
        same("tree-nar", &exemption.tree_nar, &derived.tree_nar)?;
        Ok(Checked::Claim(Box::new(Claim::Exemption(derived))))
    }

    fn import(&self, import: &Import) -> Outcome<Checked> {
        let to = self.on_upstream(&import.channel, import.upstream_commit())?;
        let last = self.chain.last_release(self.snapshot, &import.channel)?;
        let last = last.filter(|last| last.release.commit == import.from).ok_or_else(|| {
            Failure::new(
                Exit::Refused,
                "the import does not start from the channel's last release",
            )
            .next(format!("import it anew: assay import --channel {}", import.channel))
        })?;
        let patches = patches::of_ledger(self.snapshot, import.patched.as_ref())?;
        let repository = &self.open.desk.repository;
        let derived = derive::import(repository, self.snapshot, self.chain, &last.release, to, &patches)?;
        admission::patchable(self.chain.channel(&import.channel)?, &derived.patched).or_exit(Exit::Refused)?;
        let derived = derived.import;
        same("to", &import.to, &derived.to)?;
        same("to-tree", &import.to_tree, &derived.to_tree)?;
        same("tree-nar", &import.tree_nar, &derived.tree_nar)?;
        same("delta-count", &import.delta_count, &derived.delta_count)?;
        same("deltas", &import.deltas, &derived.deltas)?;
        if *import != derived {
            return Err(Failure::new(
                Exit::Refused,
                "upstream, branch or partition are not the policy's, or the patches are not what this clone derives",
            ));
        }
        Ok(Checked::Claim(Box::new(Claim::Import(derived))))
    }

    /// A commit must be on the channel's upstream branch, as this signer fetched it.
    fn on_upstream(&self, channel: &attestation::ChannelName, commit: &GitOid) -> Outcome<importer::ObjectId> {
        let tip = self.open.desk.fetch_upstream(self.chain, channel)?;
        let commit = derive::object_id(commit)?;
        crate::commands::import::require_on_upstream(self.open, commit, tip)?;
        Ok(commit)
    }

    fn release(&self, targets: &Targets, listed: &BTreeSet<StatementId>) -> Outcome<Checked> {
        let Some(release) = release_of(targets) else {
            return Err(Failure::new(Exit::Refused, "the proposal is no release"));
        };
        let (chain, channel) = (self.chain, &release.channel);
        let repository = &self.open.desk.repository;
        let upstream = self.on_upstream(channel, release.upstream_commit())?;
        self.lag(channel, upstream)?;
        same("root-version", &release.root_version, &chain.root.version)?;
        let last = chain.last_release(self.snapshot, channel)?;
        let listed_alone = self.listed(listed, release, last.as_ref())?;
        let before = derive::releases_before(self.snapshot, channel, last.as_ref())?;
        patches::present(repository, self.snapshot, before.iter().map(|(release, _)| release))?;
        let mut patched = None;
        // What was said since must not change the answer, and what is listed must be enough for it.
        for statements in [&listed_alone, self.statements] {
            statements.require_complete_sequences()?;
            let (snapshot, commit) = (self.snapshot, Some(&release.commit));
            let admitted = derive::admitted(repository, snapshot, chain, channel, &before, statements, commit)?;
            patched = admitted.patched().cloned();
        }
        let candidate = Candidate {
            channel,
            version: targets.version,
            commit: derive::object_id(&release.commit)?,
            patched: patched.as_ref(),
            time: release.time,
            statements: listed,
            root_version: chain.root.version,
            systems: evaluate::systems(targets, channel),
        };
        let derived = derive::release(repository, chain, &before, &candidate, derive::no_file())?.targets;
        compare_releases(targets, &derived)?;
        Ok(Checked::Targets(Box::new(derived)))
    }

    /// How far the commit lies behind upstream, as the policy limits it.
    fn lag(&self, channel: &attestation::ChannelName, commit: importer::ObjectId) -> Outcome {
        lag(self.open, self.chain, channel, commit).map(|_| ())
    }

    /// The statements that a release lists. The list must have every one of the previous release's, of which some may
    /// not count any more, and no other that this clone lacks. What this clone holds besides was said later, or is
    /// being left out: see the caller.
    fn listed(
        &self,
        listed: &BTreeSet<StatementId>,
        release: &Release,
        last: Option<&LastRelease>,
    ) -> Outcome<Statements> {
        let list = StatementList::of(listed);
        same("statements", &release.statements.sha256, &list.sha256)?;
        let before = derive::listed_before(self.snapshot, last)?;
        if let Some(id) = listed
            .iter()
            .find(|id| !self.statements.ids.contains(id) && !before.contains(id))
        {
            return Err(Failure::new(
                Exit::Refused,
                format!("the release lists statement {id}, which this clone lacks or which does not count"),
            )
            .next("exchange the ledger with the release's maker: assay sync"));
        }
        if let Some(id) = before.difference(listed).next() {
            return Err(Failure::new(
                Exit::Refused,
                format!("the previous release listed statement {id}, this one does not"),
            ));
        }
        Ok(self.statements.only(listed))
    }
}

/// How far a commit lies behind upstream's newest, by their dates; refused above the policy's limit.
pub(crate) fn lag(
    open: &OpenDesk,
    chain: &ChainState,
    channel: &attestation::ChannelName,
    commit: importer::ObjectId,
) -> Outcome<Seconds> {
    let repository = &open.desk.repository;
    let tip = repository
        .resolve(&crate::desk::Desk::upstream_ref(channel))
        .or_exit(Exit::Environment)?;
    let dated = |id| {
        repository
            .commit(id)
            .map(|commit| Time::from_unix(commit.committed))
            .or_exit(Exit::Environment)
    };
    let lag = dated(tip)?.since(dated(commit)?);
    let most = chain.channel(channel)?.max_lag;
    if lag > most {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "{commit} lies {} behind upstream's newest commit {tip}, allowed are {most}",
                lag.roughly()
            ),
        )
        .next(format!("import a newer commit: assay import --channel {channel}")));
    }
    Ok(lag)
}

fn release_of(targets: &Targets) -> Option<&Release> {
    targets.mark.as_ref()?.release.as_ref()
}

/// Compares field by field, so that a refusal says what is false.
fn compare_releases(found: &Targets, derived: &Targets) -> Outcome {
    if let (Some(a), Some(b)) = (release_of(found), release_of(derived)) {
        same("sequence", &a.sequence, &b.sequence)?;
        same("tree", &a.tree, &b.tree)?;
        if a.patched != b.patched {
            return Err(Failure::new(
                Exit::Refused,
                "the release names other patches than the import that was reviewed",
            ));
        }
        same("tree-nar", &a.tree_nar, &b.tree_nar)?;
        same("channel-nar", &a.channel_nar, &b.channel_nar)?;
        same("version-suffix", &a.version_suffix, &b.version_suffix)?;
        if a.previous != b.previous {
            return Err(Failure::new(
                Exit::Refused,
                "the release follows another one than the last that this clone has",
            ));
        }
    }
    same("expires", &found.expires(), &derived.expires())?;
    for (name, target) in &derived.targets {
        let other = found.targets.get(name).and_then(attestation::tuf::TargetFile::sha256);
        if other != target.sha256() {
            let show = |digest: Option<Sha256Digest>| digest.map_or_else(|| "nothing".to_owned(), |d| d.to_string());
            return Err(differs(name, show(other), show(target.sha256())));
        }
    }
    if found == derived {
        Ok(())
    } else {
        Err(Failure::new(
            Exit::Refused,
            "the release has members that this clone does not derive",
        ))
    }
}
