//! `touchstone serve`: the installed channel for stock Nix, on this machine alone.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use clap::Args;
use install::{State, archive::Tree};
use serde::Serialize;
use tokio::{net::TcpListener, runtime};

use crate::{
    failure::{Failure, Kind},
    output::{Output, Vouched},
    serve::{
        http::{self, Server},
        library::Library,
    },
};

/// Serve the installed channel to this machine's Nix: for nix-channel, and for flakes, which can lock it.
#[derive(Debug, Args)]
#[command(after_help = "\
Only what is installed and verifies is served, hashed again before each release is served for the first time. It runs
until it is stopped.

Example:
  touchstone serve &
  nix-channel --add http://127.0.0.1:7448/unstable nixpkgs && nix-channel --update")]
pub(crate) struct Arguments {
    /// The loopback address and port (port 0: any that is free)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7448")]
    listen: SocketAddr,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Serving {
    url: String,
    channel_url: String,
    source_url: String,
    #[serde(flatten)]
    vouched: Vouched,
}

pub(crate) fn run(arguments: &Arguments, directory: &Path, output: Output) -> Result<ExitCode, Failure> {
    let listen = arguments.listen;
    if !listen.ip().is_loopback() {
        let next = "touchstone serve --listen 127.0.0.1:7448; other machines run touchstone themselves";
        return Err(Failure::new(Kind::Usage, "not-loopback", NotLoopback { listen }, next));
    }
    let state = State::open(directory)?;
    let channel = state.subscription()?.channel.to_string();
    let mut library = Library::new(directory.to_owned());
    // Before anybody asks: what does not verify now is a reason not to start.
    let release = library.newest(Tree::Channel)?.release;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| failed(listen, source))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|source| failed(listen, source))?;
        let address = listener.local_addr().map_err(|source| failed(listen, source))?;
        let url = format!("http://{address}");
        let serving = Serving {
            channel_url: format!("{url}/{channel}"),
            source_url: format!("{url}/{channel}/source.tar"),
            url,
            vouched: Vouched::new(&release),
        };
        output.result(&serving, |serving| {
            format!("serving {} at {}", serving.vouched.in_words(), serving.channel_url)
        });
        let server = Server {
            channel,
            address,
            library: Mutex::new(library),
            output,
        };
        http::serve(listener, Arc::new(server)).await;
        Ok(ExitCode::SUCCESS)
    })
}

fn failed(listen: SocketAddr, source: io::Error) -> Failure {
    Failure::new(
        Kind::Environment,
        "cannot-listen",
        CannotListen { listen, source },
        "end what listens there, or choose another port with --listen",
    )
}

#[derive(Debug, thiserror::Error)]
#[error("{listen} is not a loopback address; this server is for its own machine")]
struct NotLoopback {
    listen: SocketAddr,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {listen}")]
struct CannotListen {
    listen: SocketAddr,
    source: io::Error,
}
