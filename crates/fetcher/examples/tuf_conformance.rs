//! A plain TUF client for the conformance tests of theupdateframework/tuf-conformance (its CLIENT-CLI.md): the workflow
//! and the state machine of `touchstone update`, in front of somebody else's repository.
//!
//! In a checkout of tuf-conformance, with `faketime` on the path: `pytest tuf_conformance --entrypoint
//! …/target/debug/examples/tuf_conformance`. All 113 tests of commit eec841c (which calls itself 2.4.0) pass, and so do the
//! 108 of the tag v2.4.0; none is expected to fail.

use std::{
    error::Error,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use attestation::{Time, tuf::TargetFile};
use clap::{Parser, Subcommand};
use fetcher::{
    Bounds, HttpTransport, Pace, TransportError, UpdateError,
    workflow::{Client, File, Source, Store},
};
use install::{BaseUrl, FileError};
use policy::{
    TrustedSet,
    trusted_set::{Judge, expect_target},
};
use url::Url;

type Failure = Box<dyn Error>;

/// Follows a TUF repository.
#[derive(Parser)]
struct Cli {
    /// Where trusted metadata is kept
    #[arg(long, global = true, default_value = ".")]
    metadata_dir: PathBuf,
    /// Where metadata is published
    #[arg(long, global = true)]
    metadata_url: Option<BaseUrl>,
    /// What to download
    #[arg(long = "target-name", global = true)]
    target_names: Vec<String>,
    /// Where targets are published
    #[arg(long, global = true)]
    target_base_url: Option<BaseUrl>,
    /// Where targets are downloaded to
    #[arg(long, global = true)]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Trusts a root
    Init {
        /// Its file
        root: PathBuf,
    },
    /// Brings the top-level metadata up to date
    Refresh,
    /// Downloads targets
    Download,
}

fn main() -> ExitCode {
    let Err(failure) = run(&Cli::parse()) else {
        return ExitCode::SUCCESS;
    };
    let mut cause = Some(&*failure);
    while let Some(error) = cause {
        eprintln!("{error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let mut store = Directory(cli.metadata_dir.clone());
    let now = Time::from_unix(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().try_into()?);
    if let Command::Init { root } = &cli.command {
        let root = fs::read(root)?;
        let set = TrustedSet::foreign(&root, Judge::Current, now)?;
        return Ok(store.keep(File::Root(set.root().version), root)?);
    }
    let root = store.kept(File::Root(1))?.ok_or("there is no trusted root")?;
    let set = TrustedSet::foreign(&root, Judge::Current, now)?;
    let metadata = Repository::new(cli.metadata_url.as_ref().ok_or("needed is --metadata-url")?)?;
    let mut client = Client::new(set, metadata, store);
    client.update_roots(Bounds::default().roots)?;
    client.update_top_level()?;
    if matches!(cli.command, Command::Download) {
        let targets = Repository::new(cli.target_base_url.as_ref().ok_or("needed is --target-base-url")?)?;
        let directory = cli.target_dir.as_deref().ok_or("needed is --target-dir")?;
        for name in &cli.target_names {
            download(&mut client, &targets, directory, name)?;
        }
    }
    Ok(())
}

fn download(
    client: &mut Client<Repository, Directory>,
    targets: &Repository,
    directory: &Path,
    name: &str,
) -> Result<(), Failure> {
    let target = client.find_target(name)?.ok_or("nobody who may lists this target")?;
    let target = target.get();
    let place = directory.join(file_name(name));
    if fs::read(&place).is_ok_and(|there| expect_target(name, &there, target).is_ok()) {
        return Ok(());
    }
    let consistent = client.set().root().consistent_snapshot == Some(true);
    let bound = target.length.min(Bounds::default().tarball);
    let bytes = targets.fetch(&target_path(name, target, consistent), false, bound)?;
    expect_target(name, &bytes, target)?;
    Ok(write(directory, &place, &bytes)?)
}

/// Where a target is published: with a consistent snapshot, one of its digests precedes the last component.
fn target_path(name: &str, target: &TargetFile, consistent: bool) -> Vec<String> {
    let mut path: Vec<String> = name.split('/').map(str::to_owned).collect();
    if let (true, Some(digest), Some(last)) = (consistent, target.hashes.values().next(), path.last_mut()) {
        *last = format!("{digest}.{last}");
    }
    path
}

/// The name of a role or target as the name of one file.
fn file_name(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

fn write(directory: &Path, place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.persist(place)?;
    Ok(())
}

/// Files below a URL.
struct Repository {
    base: Url,
    transport: HttpTransport,
}

impl Repository {
    fn new(base: &BaseUrl) -> Result<Self, Failure> {
        Ok(Self {
            base: base.url().clone(),
            transport: HttpTransport::new(base.clone(), Pace::default(), &[])?,
        })
    }

    fn fetch(&self, path: &[String], volatile: bool, bound: u64) -> Result<Vec<u8>, TransportError> {
        let mut url = self.base.clone();
        // Each component is escaped: the names of roles and targets are strangers' texts.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut bytes = Vec::new();
        self.transport.fetch_url(url, volatile, bound, &mut bytes)?;
        Ok(bytes)
    }
}

impl Source for Repository {
    fn get(&self, file: File<'_>, consistent: bool, bound: u64) -> Result<Vec<u8>, TransportError> {
        let name = match file {
            File::Root(_) => file.to_string(),
            _ if consistent => file.to_string(),
            _ => format!("{}.json", file.role()),
        };
        self.fetch(&[name], file.is_volatile(), bound)
    }
}

/// The newest file of each role, in one directory.
struct Directory(PathBuf);

impl Directory {
    fn place(&self, file: File<'_>) -> PathBuf {
        self.0.join(format!("{}.json", file_name(file.role())))
    }
}

impl Store for Directory {
    fn kept(&self, file: File<'_>) -> Result<Option<Vec<u8>>, UpdateError> {
        let place = self.place(file);
        match fs::read(&place) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::at("read", place)(error).into()),
        }
    }

    fn keep(&mut self, file: File<'_>, bytes: Vec<u8>) -> Result<(), UpdateError> {
        let place = self.place(file);
        write(&self.0, &place, &bytes).map_err(|error| FileError::at("write", place)(error).into())
    }
}
