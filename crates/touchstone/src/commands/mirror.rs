//! `touchstone mirror`: a verified copy of the channel, for a web server or a USB stick.

use std::{
    path::{Path, PathBuf, absolute},
    process::ExitCode,
};

use clap::Args;
use fetcher::Bounds;
use install::{Site, State};
use serde::Serialize;

use crate::{
    clock,
    failure::Failure,
    mirrors::NetworkArguments,
    output::{Output, Vouched, WARNING},
    progress::Bars,
};

/// Copy the newest release of the channel, with all that vouches for it, into a directory that can be served.
#[derive(Debug, Args)]
#[command(after_help = "\
Every file is checked as an update checks it, and what is there already is not fetched again. What announces a release is
written last, so the directory may be served while this runs. Whoever subscribes to the copy trusts the chain that they pin,
not you. Other channels of the chain are not copied, and older releases stay in the directory.

Example:
  touchstone mirror --to /srv/www/touchstone
  touchstone subscribe --url file:///srv/www/touchstone --chain 5feceb66… --channel unstable \\
      --floor-root 1 --floor-release 12")]
pub(crate) struct Arguments {
    /// The directory
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    #[command(flatten)]
    network: NetworkArguments,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Mirrored {
    directory: PathBuf,
    #[serde(flatten)]
    vouched: Vouched,
    /// Whether people said since that the release is bad: it is copied, so that subscribers learn of that.
    violated: bool,
    mirror: String,
    written: u64,
    kept: u64,
    bytes: u64,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let state = State::open(directory)?;
    let subscription = state.subscription()?;
    let now = clock::now(&state)?;
    let state = state.lock("touchstone mirror", now)?;
    let transports = arguments.network.open(&subscription)?;
    let mirrors: Vec<_> = transports.iter().map(|transport| &**transport).collect();
    let site = Site::create(&arguments.to)?;
    let copied = fetcher::copy(
        &subscription,
        &state,
        &mirrors,
        &site,
        Bounds::default(),
        now,
        &Bars::new(),
    )?;
    let mirrored = Mirrored {
        directory: absolute(&arguments.to).unwrap_or_else(|_| arguments.to.clone()),
        vouched: Vouched::new(&copied.release),
        violated: copied.violated,
        mirror: copied.mirror.to_string(),
        written: copied.written,
        kept: copied.kept,
        bytes: copied.bytes,
    };
    output.result(&mirrored, in_words);
    Ok(ExitCode::SUCCESS)
}

fn in_words(mirrored: &Mirrored) -> String {
    let Mirrored {
        written,
        kept,
        bytes,
        mirror,
        ..
    } = mirrored;
    let mut text = format!(
        "{} is {}\n{written} files written, {kept} were there; {bytes} bytes from {mirror}",
        mirrored.directory.display(),
        mirrored.vouched.in_words()
    );
    if mirrored.violated {
        text += &format!(
            "\n{WARNING}people have said since that this release is bad:{WARNING:#} subscribers will refuse it"
        );
    }
    text
}
