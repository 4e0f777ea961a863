//! From the URLs of a subscription to something that fetches.

use std::{env, fs, path::PathBuf};

use clap::Args;
use fetcher::{FileTransport, HttpTransport, Pace, Transport};
use install::{BaseUrl, HostName, Subscription};

use crate::failure::{Failure, Kind};

/// How the network is used.
#[derive(Debug, Default, Args)]
pub(crate) struct NetworkArguments {
    /// Certificate authorities beside Mozilla's, in PEM form [default: $NIX_SSL_CERT_FILE or $SSL_CERT_FILE]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl NetworkArguments {
    /// A transport for each mirror.
    pub(crate) fn open(&self, subscription: &Subscription) -> Result<Vec<Box<dyn Transport>>, Failure> {
        let authorities = self.authorities()?;
        let Subscription { urls, redirects, .. } = subscription;
        urls.iter().map(|url| open(url, redirects, &authorities)).collect()
    }

    /// The certificate authorities beside Mozilla's, in PEM form.
    pub(crate) fn authorities(&self) -> Result<Vec<u8>, Failure> {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let file = self
            .ca_file
            .clone()
            .or_else(|| variable("NIX_SSL_CERT_FILE"))
            .or_else(|| variable("SSL_CERT_FILE"));
        let Some(file) = file else { return Ok(Vec::new()) };
        fs::read(&file).map_err(|source| {
            let next = "name a readable file with --ca-file, or unset NIX_SSL_CERT_FILE and SSL_CERT_FILE";
            Failure::new(Kind::Environment, "io", Unreadable { file, source }, next)
        })
    }
}

fn open(url: &BaseUrl, redirects: &[HostName], authorities: &[u8]) -> Result<Box<dyn Transport>, Failure> {
    if let Some(transport) = FileTransport::new(url.clone()) {
        return Ok(Box::new(transport));
    }
    match HttpTransport::new(url.clone(), Pace::default(), authorities) {
        Ok(transport) => Ok(Box::new(transport.with_redirects_to(redirects))),
        Err(error) => Err(Failure::new(
            Kind::Environment,
            "network-setup",
            error,
            "check --ca-file and NIX_SSL_CERT_FILE",
        )),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", file.display())]
struct Unreadable {
    file: PathBuf,
    source: std::io::Error,
}
