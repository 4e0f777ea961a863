//! A channel on the web, over https or http. Nothing is followed, decompressed or waited for longer than agreed.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use install::BaseUrl;
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, LOCATION},
    redirect,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::{
    runtime::{self, Runtime},
    time::timeout_at,
};
use url::{Host, Url};

use crate::{
    resource::Resource,
    transport::{Fault, Transport, TransportError},
};

/// How slow a server may be. One rule covers a server that is silent, one that drips, and the whole duration: after
/// `grace`, and at every moment from then on, `bytes_per_second` must have come on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// For name resolution, connection and the first bytes.
    pub grace: Duration,
    /// The average from then on.
    pub bytes_per_second: u64,
}

impl Default for Pace {
    /// 20 seconds, then 10 kB/s.
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(20),
            bytes_per_second: 10_000,
        }
    }
}

/// Fetches over https or http.
#[derive(Debug)]
pub struct HttpTransport {
    base: BaseUrl,
    pace: Pace,
    client: Client,
    runtime: Runtime,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// Not an http or https URL.
    #[error("{0} is not an http or https URL")]
    Scheme(BaseUrl),
    /// The file of additional certificate authorities is not PEM.
    #[error("expected certificates in PEM form")]
    Authorities(#[source] rustls::pki_types::pem::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The runtime cannot be set up.
    #[error("the runtime cannot be set up")]
    Runtime(#[source] io::Error),
}

impl HttpTransport {
    /// A client for `base`. Servers are identified by Mozilla's certificate authorities and by those in the PEM text
    /// `authorities`: that keeps others from watching. What is believed does not depend on it.
    pub fn new(base: BaseUrl, pace: Pace, authorities: &[u8]) -> Result<Self, HttpSetupError> {
        if !matches!(base.url().scheme(), "http" | "https") {
            return Err(HttpSetupError::Scheme(base));
        }
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls(authorities)?)
            .redirect(redirect::Policy::none())
            .referer(false)
            .user_agent(concat!("touchstone/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(HttpSetupError::Client)?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(HttpSetupError::Runtime)?;
        Ok(Self {
            base,
            pace,
            client,
            runtime,
        })
    }

    /// As [`Transport::fetch`], for a file of any name. A `volatile` one is not taken from a cache on the way.
    pub fn fetch_url(
        &self,
        url: Url,
        volatile: bool,
        bound: u64,
        sink: &mut dyn io::Write,
    ) -> Result<u64, TransportError> {
        self.runtime
            .block_on(self.stream(url.clone(), volatile, bound, sink))
            .map_err(|fault| TransportError { url, fault })
    }

    async fn stream(&self, url: Url, volatile: bool, bound: u64, sink: &mut dyn io::Write) -> Result<u64, Fault> {
        let start = Instant::now();
        let late = |received| Fault::TooSlow {
            received,
            after: start.elapsed(),
        };
        let mut request = self.client.get(url).header(ACCEPT_ENCODING, "identity");
        if volatile {
            request = request.header(CACHE_CONTROL, "no-cache");
        }
        let answer = timeout_at(self.deadline(start, 0), request.send())
            .await
            .map_err(|_| late(0))?;
        let mut response = answer.map_err(|error| Fault::Connection(error.without_url()))?;
        check_head(&response, bound)?;
        let mut received = 0;
        loop {
            let next = timeout_at(self.deadline(start, received), response.chunk())
                .await
                .map_err(|_| late(received))?;
            let next = next.map_err(|error| Fault::BrokeOff {
                received,
                source: error.without_url(),
            })?;
            let Some(chunk) = next else { return Ok(received) };
            received += chunk.len() as u64;
            if received > bound {
                return Err(Fault::TooLong { bound });
            }
            sink.write_all(&chunk).map_err(Fault::Sink)?;
        }
    }

    /// When more must have come, if `received` bytes have come since `start`.
    fn deadline(&self, start: Instant, received: u64) -> tokio::time::Instant {
        let earned = Duration::from_millis(received.saturating_mul(1000) / self.pace.bytes_per_second.max(1));
        (start + self.pace.grace + earned).into()
    }
}

impl Transport for HttpTransport {
    fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn fetch(&self, resource: &Resource, bound: u64, sink: &mut dyn io::Write) -> Result<u64, TransportError> {
        self.fetch_url(resource.below(&self.base), resource.is_volatile(), bound, sink)
    }
}

/// What the status line and the headers say.
fn check_head(response: &Response, bound: u64) -> Result<(), Fault> {
    let header = |name| {
        response
            .headers()
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    match response.status() {
        StatusCode::OK => {}
        // Object stores answer "forbidden" for what is not there.
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => return Err(Fault::NotFound),
        status if status.is_redirection() => {
            return Err(Fault::Redirect {
                to: header(LOCATION).unwrap_or_default(),
            });
        }
        status => return Err(Fault::Status { found: status.as_u16() }),
    }
    if let Some(found) = header(CONTENT_ENCODING).filter(|found| found != "identity") {
        return Err(Fault::Encoded { found });
    }
    match response.content_length() {
        Some(found) if found > bound => Err(Fault::AnnouncedTooLong { bound, found }),
        _ => Ok(()),
    }
}

fn tls(authorities: &[u8]) -> Result<ClientConfig, HttpSetupError> {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        // Bundles of systems hold relics that rustls does not read; what is left out identifies nobody.
        roots.add_parsable_certificates([certificate.map_err(HttpSetupError::Authorities)?]);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(HttpSetupError::Tls)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn is_loopback(base: &BaseUrl) -> bool {
    match base.url().host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}
