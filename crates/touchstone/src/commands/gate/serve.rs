//! `touchstone gate serve`: the substituter.

use std::{
    error::Error,
    fs,
    io::{self, Read as _, Write},
    net::TcpListener,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use fetcher::{HttpTransport, Pace};
use gate::{
    Place, nixconf,
    substituter::{Cache, Configuration, Substituter, builder_keys, server},
};
use install::BaseUrl;
use nixstore::key::SecretKey;
use serde::Serialize;

use super::{environment, require_root};
use crate::{
    failure::{Failure, Kind},
    mirrors::NetworkArguments,
    output::Output,
};

/// Answer Nix's questions for outputs: of approved derivations only, and what enough builders agree on
#[derive(Debug, Args)]
#[command(after_help = "\
Runs until it is stopped, on the loopback interface; `touchstone gate on --cache …` says which caches and builders. What builders
disagree about is in disagreements.jsonl beside the approvals, with their signatures.

Example:
  touchstone gate serve")]
pub(super) struct Arguments {
    #[command(flatten)]
    network: NetworkArguments,
}

#[derive(Serialize)]
struct Serving {
    url: String,
    key: String,
    needed: usize,
    caches: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    require_root("serve")?;
    let Some(configuration) = configuration(place)? else {
        let next = "touchstone gate on --cache URL --builder-key NAME:BASE64, then this again";
        return Err(Failure::new(Kind::Usage, "no-caches", NoCaches, next));
    };
    let host = host_key(place)?;
    let mut caches: Vec<Arc<dyn Cache>> = Vec::new();
    for url in &configuration.caches {
        caches.push(open(url, &arguments.network)?);
    }
    let substituter = Substituter::new(place, &configuration, caches, host.clone()).map_err(|error| {
        Failure::new(
            Kind::Usage,
            "builders",
            error,
            "touchstone gate on --builder-key … --needed N",
        )
    })?;
    let listener = TcpListener::bind(&configuration.listen).map_err(|error| {
        environment(
            error,
            format!(
                "is {} taken? choose another with gate on --listen",
                configuration.listen
            ),
        )
    })?;
    let address = listener.local_addr().map_err(|error| environment(error, "try again"))?;
    let serving = Serving {
        url: format!("http://{address}"),
        key: host.public().to_string(),
        needed: configuration.needed,
        caches: configuration.caches,
    };
    output.result(&serving, |serving| {
        format!(
            "serving {} with key {}, of {} caches",
            serving.url,
            serving.key,
            serving.caches.len()
        )
    });
    server::serve(&listener, &Arc::new(substituter)).map_err(|error| environment(error, "start it again"))?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, thiserror::Error)]
#[error("no caches are configured")]
struct NoCaches;

fn file(place: &Place) -> PathBuf {
    place.directory().join("substituter.json")
}

/// What the owner decided about substitution; `None` where nothing was.
pub(super) fn configuration(place: &Place) -> Result<Option<Configuration>, Failure> {
    if !file(place).exists() {
        return Ok(None);
    }
    let repair = "touchstone gate on --cache URL --builder-key NAME:BASE64 writes it anew";
    let bytes = place
        .read_ours(&file(place))
        .map_err(|error| environment(error, repair))?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| environment(error, repair))
}

/// Keeps it, if it can be followed.
pub(super) fn configure(place: &Place, configuration: &Configuration) -> Result<(), Failure> {
    builder_keys(configuration).map_err(|error| {
        Failure::new(
            Kind::Usage,
            "builders",
            error,
            "name each builder once, and --needed at most as many",
        )
    })?;
    let mut text = serde_json::to_vec_pretty(configuration).expect("a configuration is JSON");
    text.push(b'\n');
    place
        .replace(&file(place), 0o644, |out| out.write_all(&text))
        .map_err(|error| environment(error, "check the disk"))
}

/// Caches are asked no more.
pub(super) fn forget(place: &Place) -> Result<(), Failure> {
    match fs::remove_file(file(place)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(environment(error, "check the disk")),
        _ => Ok(()),
    }
}

/// Writes the two settings that a `nix.conf` of somebody else's includes: the key of this machine is not known where that is
/// made.
pub(super) fn write_for_nix(place: &Place, substituter: Option<&nixconf::Substituter>) -> Result<(), Failure> {
    let text = nixconf::to_include(substituter);
    place
        .replace(&place.directory().join("substituter.conf"), 0o644, |out| {
            out.write_all(text.as_bytes())
        })
        .map_err(|error| environment(error, "check the disk"))
}

/// What Nix is told of the substituter.
pub(super) fn for_nix(place: &Place) -> Result<Option<nixconf::Substituter>, Failure> {
    let Some(configuration) = configuration(place)? else {
        return Ok(None);
    };
    Ok(Some(nixconf::Substituter {
        url: format!("http://{}", configuration.listen),
        key: host_key(place)?.public().to_string(),
    }))
}

/// The key of this machine, made when there is none.
fn host_key(place: &Place) -> Result<SecretKey, Failure> {
    let path = place.directory().join("host.key");
    if !path.exists() {
        let mut seed = [0; 32];
        fs::File::open("/dev/urandom")
            .and_then(|mut random| random.read_exact(&mut seed))
            .map_err(|error| environment(error, "there is no randomness"))?;
        let key = SecretKey::from_seed("touchstone-gate-1", &seed);
        place
            .replace(&path, 0o600, |out| writeln!(out, "{}", key.to_secret_text()))
            .map_err(|error| environment(error, "check the disk"))?;
    }
    let repair = format!("remove {}, then touchstone gate on", path.display());
    let bytes = place
        .read_ours(&path)
        .map_err(|error| environment(error, repair.clone()))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.trim()
        .parse()
        .map_err(|error: nixstore::key::KeyError| environment(error, repair))
}

fn open(url: &str, network: &NetworkArguments) -> Result<Arc<dyn Cache>, Failure> {
    if let Some(directory) = url.strip_prefix("file://") {
        return Ok(Arc::new(Directory(PathBuf::from(directory))));
    }
    let base: BaseUrl = url.parse().map_err(|error: install::BaseUrlError| {
        Failure::new(Kind::Usage, "url", error, "name a cache as https://… or file:///…")
    })?;
    let authorities = network.authorities()?;
    let transport = HttpTransport::new(base.clone(), Pace::default(), &authorities)?;
    Ok(Arc::new(Web { base, transport }))
}

/// A cache in a directory.
struct Directory(PathBuf);

impl Cache for Directory {
    fn url(&self) -> String {
        format!("file://{}", self.0.display())
    }

    fn fetch(&self, path: &str, bound: u64, sink: &mut dyn Write) -> Result<u64, Box<dyn Error + Send + Sync>> {
        let mut file = fs::File::open(self.0.join(path))?.take(bound + 1);
        let count = io::copy(&mut file, sink)?;
        if count > bound {
            return Err(format!("{path} is longer than {bound} bytes").into());
        }
        Ok(count)
    }
}

/// A cache on the web.
struct Web {
    base: BaseUrl,
    transport: HttpTransport,
}

impl Cache for Web {
    fn url(&self) -> String {
        self.base.to_string()
    }

    fn fetch(&self, path: &str, bound: u64, sink: &mut dyn Write) -> Result<u64, Box<dyn Error + Send + Sync>> {
        let mut url = self.base.url().clone();
        url.set_path(&format!("{}{path}", url.path()));
        Ok(self.transport.fetch_url(url, false, bound, sink)?)
    }
}
