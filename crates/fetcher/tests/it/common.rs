//! A subscriber and a channel in two temporary directories.

use std::{fs, path::PathBuf};

use attestation::{Sha256Digest, Time, chain::Release};
use fetcher::{FileTransport, Options, Silent, Transport, Update, UpdateError};
use install::{
    BaseUrl, Floor, Generation, GenerationNumber, LockedState, State, Subscription,
    verify::{self, VerifyError},
};
use nixstore::nar::hash_directory;
use tempfile::TempDir;
use testkit::{ChannelTarball, TestChain};

/// 2026-11-22: after the certificate cut-off, whatever the clock says.
const NOW: i64 = 1_795_300_000;

pub(crate) fn now() -> Time {
    Time::from_unix(NOW)
}

/// A channel tarball whose one file says `text`.
pub(crate) fn tarball(text: &str) -> ChannelTarball {
    ChannelTarball::new(&[("default.nix", text), ("pkgs/hello/default.nix", "{ }: null")])
}

/// A directory that serves whatever state of a chain it was given last.
pub(crate) struct Site(TempDir);

impl Site {
    pub(crate) fn new(chain: &TestChain) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        site.serve(chain);
        site
    }

    pub(crate) fn serve(&self, chain: &TestChain) {
        for entry in fs::read_dir(self.0.path()).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
        chain.write_to(self.0.path()).unwrap();
    }

    pub(crate) fn url(&self) -> BaseUrl {
        format!("file://{}", self.0.path().display()).parse().unwrap()
    }

    pub(crate) fn transport(&self) -> FileTransport {
        FileTransport::new(self.url()).unwrap()
    }
}

/// A machine that follows `unstable` of a chain.
pub(crate) struct Subscriber {
    pub(crate) directory: TempDir,
    pub(crate) subscription: Subscription,
}

impl Subscriber {
    pub(crate) fn new(chain: &TestChain) -> Self {
        let subscription = Subscription {
            chain: chain.id(),
            channel: "unstable".parse().unwrap(),
            urls: vec!["https://mirror.example/".parse().unwrap()],
            floor: Floor { root: 1, release: 1 },
            redirects: Vec::new(),
        };
        let directory = tempfile::tempdir().unwrap();
        let subscriber = Self {
            directory,
            subscription,
        };
        State::create(subscriber.directory.path()).unwrap();
        subscriber.locked().subscribe(&subscriber.subscription, false).unwrap();
        subscriber
    }

    pub(crate) fn state(&self) -> State {
        State::open(self.directory.path()).unwrap()
    }

    pub(crate) fn locked(&self) -> LockedState {
        self.state().lock("a test", now()).unwrap()
    }

    pub(crate) fn update(&self, site: &Site) -> Result<Update, UpdateError> {
        self.update_at(&[&site.transport()], now())
    }

    /// As [`Self::update`], when it is `now`.
    pub(crate) fn update_later(&self, site: &Site, now: Time) -> Result<Update, UpdateError> {
        self.update_at(&[&site.transport()], now)
    }

    pub(crate) fn update_at(&self, mirrors: &[&dyn Transport], now: Time) -> Result<Update, UpdateError> {
        fetcher::update(
            &self.subscription,
            &self.locked(),
            mirrors,
            Options::default(),
            now,
            &Silent,
        )
    }

    /// What is installed: the number of the generation, and the digest of its tree.
    pub(crate) fn installed(&self) -> (GenerationNumber, Sha256Digest) {
        let current = self.state().current().unwrap().expect("a generation");
        (current.number(), hash_directory(&current.nixexprs()).unwrap().sha256)
    }

    /// The unfinished downloads that are kept.
    pub(crate) fn partials(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path().join("partial"));
        entries.map_or_else(|_| Vec::new(), |all| all.map(|entry| entry.unwrap().path()).collect())
    }

    /// Puts something there as the beginning of a download.
    pub(crate) fn plant_partial(&self, of: Sha256Digest, bytes: &[u8]) {
        let directory = self.directory.path().join("partial");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(of.to_string()), bytes).unwrap();
    }

    /// Earns again that a generation is what was signed.
    pub(crate) fn verify(&self, generation: &Generation) -> Result<(), VerifyError> {
        let Subscription { chain, channel, .. } = &self.subscription;
        let release = verify::release(generation, *chain, channel, &[], now())?;
        verify::tree(generation, &release)
    }

    /// As `touchstone verify` judges it before it looks at the tree: with what people said since.
    pub(crate) fn usable(&self, generation: &Generation) -> Result<policy::Verified<Release>, VerifyError> {
        let Subscription { chain, channel, .. } = &self.subscription;
        let known = self.state().trusted(*chain, channel).load().unwrap();
        verify::usable(generation, &known, *chain, channel, now())
    }

    /// Fails the test if anything unfinished lies about.
    pub(crate) fn assert_tidy(&self) {
        let left: Vec<_> = fs::read_dir(self.directory.path().join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// A chain with release 1 of `unstable` on a site, and a machine that has installed it.
pub(crate) fn installed() -> (TestChain, Site, Subscriber) {
    let mut chain = TestChain::new(now());
    chain.release_tarball("unstable", &tarball("1"));
    let site = Site::new(&chain);
    let subscriber = Subscriber::new(&chain);
    subscriber.update(&site).unwrap();
    (chain, site, subscriber)
}

/// Fails the test unless `error` matches and what was installed before is installed still.
macro_rules! assert_refused {
    ($subscriber:expr, $site:expr, $pattern:pat $(if $guard:expr)?) => {{
        let before = $subscriber.installed();
        let error = $subscriber.update(&$site).expect_err("it was accepted");
        assert!(matches!(&error, $pattern $(if $guard)?), "another error: {error:?}");
        assert_eq!($subscriber.installed(), before, "the installed generation was touched");
        $subscriber.assert_tidy();
    }};
}
pub(crate) use assert_refused;
