//! `touchstone subscribe`: from then on this machine follows that channel.

use std::{path::Path, process::ExitCode};

use attestation::{ChainId, ChannelName};
use clap::Args;
use fetcher::Bounds;
use install::{BaseUrl, Floor, HostName, State, Subscription};
use serde::Serialize;

use crate::{clock, failure::Failure, mirrors::NetworkArguments, output::Output};

/// Follow a channel from now on. Nothing is trusted because it is there first: you say which chain.
#[derive(Debug, Args)]
#[command(after_help = "\
The people of a channel publish its chain and floors in more places than the mirror. Compare them.

Example:
  touchstone subscribe --url https://example.org/touchstone --chain 5feceb66… --channel unstable \\
      --floor-root 3 --floor-release 120")]
pub(crate) struct Arguments {
    /// Where the channel's files are (https, http or file); more mirrors in order of preference
    #[arg(long = "url", value_name = "URL", required = true)]
    urls: Vec<BaseUrl>,

    /// A host to which the mirrors may redirect, over https; none by default
    #[arg(long = "allow-redirect", value_name = "HOST")]
    redirects: Vec<HostName>,

    /// The chain: SHA-256 of its 1.root.json
    #[arg(long, value_name = "SHA256")]
    chain: ChainId,

    /// The channel
    #[arg(long, value_name = "NAME")]
    channel: ChannelName,

    /// The lowest version of the root that you know to exist
    #[arg(long, value_name = "N")]
    floor_root: u64,

    /// The lowest number of a release that you know to exist
    #[arg(long, value_name = "N")]
    floor_release: u64,

    /// Do not ask the mirrors whether they serve that chain
    #[arg(long)]
    no_fetch: bool,

    /// Follow this instead of another chain or channel
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    network: NetworkArguments,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Subscribed<'a> {
    #[serde(flatten)]
    subscription: &'a Subscription,
    state: &'a Path,
    /// The newest root of the mirror; absent when it was not asked.
    root_version: Option<u64>,
}

pub(crate) fn run(arguments: Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let subscription = Subscription {
        chain: arguments.chain,
        channel: arguments.channel,
        urls: arguments.urls,
        floor: Floor {
            root: arguments.floor_root,
            release: arguments.floor_release,
        },
        redirects: arguments.redirects,
    };
    let state = State::create(directory)?;
    let now = state.floors(subscription.chain)?.time.max(clock::before_any_state());
    let state = state.lock("touchstone subscribe", now)?;
    state.may_follow(&subscription, arguments.replace)?;
    let root_version = if arguments.no_fetch {
        None
    } else {
        let transports = arguments.network.open(&subscription)?;
        let mirrors: Vec<_> = transports.iter().map(|transport| &**transport).collect();
        Some(fetcher::probe(&subscription, &state, &mirrors, Bounds::default(), now)?)
    };
    state.subscribe(&subscription, arguments.replace)?;
    let done = Subscribed {
        subscription: &subscription,
        state: directory,
        root_version,
    };
    output.result(&done, in_words);
    Ok(ExitCode::SUCCESS)
}

fn in_words(done: &Subscribed<'_>) -> String {
    let Subscription { chain, channel, .. } = done.subscription;
    let checked = match done.root_version {
        Some(version) => format!("its newest root is version {version} and descends from the pinned one"),
        None => "the mirrors were not asked".to_owned(),
    };
    format!("subscribed to channel {channel} of chain {chain}; {checked}\nnext: touchstone update")
}
