//! The signer's place of work: a clone with its ledger, its user's settings, and the time.

use std::{
    cell::OnceCell,
    env,
    path::{Path, PathBuf},
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use attestation::{ChannelName, PersonName, Time, pending::Proposal};
use importer::{FetchError, Fetched, ObjectId, Repository, UpstreamUrl};
use ledger::{Author, Ledger, NewFile, Remote, Snapshot, git::Git};
use signer::Signer;

use crate::{
    chain_state::ChainState,
    cli::Global,
    exit::{Exit, Failure, OrExit as _, Outcome},
    keys::Key,
    output::{self, Format},
    settings::Settings,
    signed_record::SignedRecord,
};

/// The clone and what surrounds it.
pub(crate) struct Desk {
    /// The clone's objects.
    pub repository: Repository,
    /// The user's settings in it.
    pub settings: Settings,
    /// What is taken as now.
    pub now: Time,
    /// How results are printed.
    pub format: Format,
    offline: bool,
    pin_fd: Option<u32>,
    path: PathBuf,
    git: Git,
    /// Opened once a run: the PIN is asked once a batch.
    signer: OnceCell<Rc<dyn Signer>>,
}

/// The desk with the ledger on it.
pub(crate) struct OpenDesk {
    /// The desk.
    pub desk: Desk,
    /// The ledger.
    pub ledger: Ledger,
}

/// The system's clock, but never earlier than this program could have been built.
pub(crate) fn now() -> Time {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Time::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX)).max(Time::JAN_2026)
}

impl Desk {
    /// Opens the clone.
    pub(crate) fn open(global: &Global) -> Outcome<Self> {
        let repository = Repository::open(&global.repo).or_exit_with(Exit::Environment, || {
            "name the fork's clone with --repo DIR, or clone it first: git clone URL".to_owned()
        })?;
        let settings = Settings::read(repository.git_dir())?;
        Ok(Self {
            settings,
            now: now(),
            format: global.format,
            offline: global.offline,
            pin_fd: global.pin_fd,
            signer: OnceCell::new(),
            path: global.repo.clone(),
            git: Git::new(env::vars_os()),
            repository,
        })
    }

    /// Opens the clone and its ledger, which is first exchanged with the remote.
    pub(crate) fn open_ledger(global: &Global) -> Outcome<OpenDesk> {
        let desk = Self::open(global)?;
        let ledger = Ledger::open(&desk.path).or_exit_with(Exit::Environment, || {
            "assay init starts a chain here, or joins one".to_owned()
        })?;
        let open = OpenDesk { desk, ledger };
        open.sync()?;
        Ok(open)
    }

    /// Where the clone is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The user's git.
    pub(crate) fn git(&self) -> &Git {
        &self.git
    }

    /// The remote with which the ledger is exchanged, unless the user is offline.
    pub(crate) fn remote(&self) -> Option<String> {
        self.settings.remote.clone().filter(|_| !self.offline)
    }

    /// Who the user is in the policy.
    pub(crate) fn person(&self) -> Outcome<&PersonName> {
        self.settings.person.as_ref().ok_or_else(|| {
            Failure::new(Exit::Usage, "this clone does not know who you are").next("assay init --as NAME --key KEY")
        })
    }

    /// The user's key, opened once.
    pub(crate) fn signer(&self) -> Outcome<Rc<dyn Signer>> {
        if let Some(signer) = self.signer.get() {
            return Ok(Rc::clone(signer));
        }
        let key = self.settings.key.as_ref().ok_or_else(|| {
            Failure::new(Exit::Usage, "this clone does not know your key")
                .next("assay init --key card:IDENT (assay token list), or --key gpg:FINGERPRINT")
        })?;
        let signer = Key::parse(key)?.open(self.now, self.pin_fd)?;
        Ok(Rc::clone(self.signer.get_or_init(|| signer)))
    }

    /// Who commits to the ledger: a courtesy to readers of its log.
    pub(crate) fn author(&self) -> Outcome<Author> {
        let name = self.settings.person.as_ref().map_or("nobody", PersonName::as_str);
        Author::new(name, "", self.now).or_exit(Exit::Usage)
    }

    /// The record of what this user has signed on this machine.
    pub(crate) fn record(&self, scope: &str) -> Outcome<SignedRecord> {
        let state = env::var_os("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let state = state.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
        let state = state.ok_or_else(|| Failure::new(Exit::Environment, "neither XDG_STATE_HOME nor HOME is set"))?;
        let person = self.person()?;
        Ok(SignedRecord::new(&state.join("assay").join(person.as_str()), scope))
    }

    /// Where a channel's upstream is remembered.
    pub(crate) fn upstream_ref(channel: &ChannelName) -> String {
        format!("refs/touchstone/upstream/{channel}")
    }

    /// The newest commit of a channel's upstream that this clone has fetched.
    pub(crate) fn fetched_upstream(&self, channel: &ChannelName) -> Outcome<Option<ObjectId>> {
        let name = Self::upstream_ref(channel);
        self.repository.fetched_tip(&name).or_exit(Exit::Environment)
    }

    /// Fetches a channel's upstream; offline, what was fetched last. Returns its newest commit.
    pub(crate) fn fetch_upstream(&self, chain: &ChainState, channel: &ChannelName) -> Outcome<ObjectId> {
        let entry = chain.channel(channel)?;
        let name = Self::upstream_ref(channel);
        if self.offline {
            return self.fetched_upstream(channel)?.ok_or_else(|| {
                Failure::new(
                    Exit::Environment,
                    format!("upstream of {channel} was never fetched here"),
                )
                .next("run this without --offline")
            });
        }
        let url: UpstreamUrl = entry.upstream.parse().or_exit(Exit::Refused)?;
        let _working = output::working("fetching upstream");
        let Fetched { new, .. } = self
            .repository
            .fetch_upstream(&url, &entry.branch, &name)
            .map_err(|error| match error {
                FetchError::Rewritten { .. } => Failure::new(Exit::Refused, error),
                FetchError::Git { .. } => Failure::new(Exit::Network, error).next(format!(
                    "check that git fetch {} {} works",
                    entry.upstream, entry.branch
                )),
                other => Failure::new(Exit::Environment, other),
            })?;
        Ok(new)
    }
}

impl OpenDesk {
    /// The ledger as it is now.
    pub(crate) fn snapshot(&self) -> Outcome<Snapshot> {
        self.ledger.snapshot().or_exit(Exit::Environment)
    }

    /// The chain, verified. An error while it has no complete first root.
    pub(crate) fn chain(&self, snapshot: &Snapshot) -> Outcome<ChainState> {
        ChainState::load(snapshot, &self.desk)?.ok_or_else(|| {
            Failure::new(Exit::Usage, "the chain has no complete first root yet")
                .next("its people run assay sign, then one of them assay publish")
        })
    }

    /// Adds files to the ledger and exchanges it with the remote.
    pub(crate) fn add(&self, files: &[NewFile], message: &str) -> Outcome {
        self.ledger
            .add(files, message, &self.desk.author()?)
            .or_exit(Exit::Environment)?;
        self.sync()
    }

    /// Adds a proposal, unless it is there already.
    pub(crate) fn propose(&self, proposal: &Proposal, message: &str) -> Outcome {
        self.add(&[NewFile::proposal(proposal)], message)
    }

    /// Exchanges the ledger with the remote, if there is one and the user is not offline.
    pub(crate) fn sync(&self) -> Outcome {
        let Some(remote) = self.desk.settings.remote.as_ref().filter(|_| !self.desk.offline) else {
            return Ok(());
        };
        let remote = Remote::new(remote).or_exit(Exit::Usage)?;
        let _working = output::working("exchanging the ledger");
        let synced = self
            .ledger
            .sync(
                &self.desk.git,
                &remote,
                &self.desk.author()?,
                &ledger::Resolutions::new(),
            )
            .map_err(|error| match error {
                ledger::SyncError::Merge {
                    source: ledger::MergeError::Conflicts { .. },
                    ..
                } => Failure::new(Exit::Refused, error).next(
                    "two different files claim one name: compare both with their authors before anything is signed",
                ),
                ledger::SyncError::Merge { .. } | ledger::SyncError::Read(_) | ledger::SyncError::Write(_) => {
                    Failure::new(Exit::Environment, error).next(
                        "nothing was lost; check the disk and other runs. A lock file that a killed run left is removed \
                         by hand; then run this again",
                    )
                }
                ledger::SyncError::Git { .. } | ledger::SyncError::Busy { .. } => Failure::new(Exit::Network, error)
                    .next("check that git fetch and git push work with this remote, or go on with --offline"),
            })?;
        for path in &synced.removed_there {
            output::warn(&format!(
                "{path} was removed from the remote's ledger; it is kept here and put back"
            ));
        }
        if let Some(before) = synced.rewritten_from {
            output::warn(&format!(
                "the remote's ledger was rewritten; it was at {before}. Nothing here was lost"
            ));
        }
        Ok(())
    }

    /// Remembers the chain once its first root is complete.
    pub(crate) fn pin_chain(&mut self, chain: &ChainState) -> Outcome {
        if self.desk.settings.chain.is_none() {
            self.desk.settings.chain = Some(chain.chain);
            self.desk.settings.write(self.desk.repository.git_dir())?;
        }
        Ok(())
    }
}
