//! A channel on the web, over https or http. Nothing is followed, decompressed or waited for longer than agreed.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use install::{BaseUrl, HostName};
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, HeaderName, LOCATION, RANGE},
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
    transport::{Fault, Partial, Transport, TransportError},
};

/// More than any honest server needs.
const MOST_REDIRECTS: usize = 5;

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
    redirects: Vec<HostName>,
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
        // A thread of its own reads what comes, while the caller's does something with what came: hashes it, or waits for
        // whom it is passed on to. Downloads on several threads would otherwise wait for the slowest of these.
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("touchstone-http")
            .enable_all()
            .build()
            .map_err(HttpSetupError::Runtime)?;
        Ok(Self {
            base,
            pace,
            redirects: Vec::new(),
            client,
            runtime,
        })
    }

    /// Follows redirects to these hosts, over https, or from http to http. Without this none is followed.
    #[must_use]
    pub fn with_redirects_to(mut self, hosts: &[HostName]) -> Self {
        self.redirects = hosts.to_vec();
        self
    }

    /// As [`Transport::fetch`], for a file of any name. A `volatile` one is not taken from a cache on the way.
    pub fn fetch_url(
        &self,
        url: Url,
        volatile: bool,
        bound: u64,
        sink: &mut dyn io::Write,
    ) -> Result<u64, TransportError> {
        let fetch = async {
            let start = Instant::now();
            let response = self.ask(url.clone(), volatile, 0, start).await?;
            check_head(&response, StatusCode::OK, bound)?;
            self.drain(response, start, bound, sink).await
        };
        self.runtime
            .block_on(fetch)
            .map_err(|fault| TransportError { url, fault })
    }

    /// See [`Transport::fetch_rest`].
    ///
    /// There is no `If-Range`: what is fetched so carries its digest in its name, so that a file which changed is a
    /// wrong file, and a validator of one mirror says nothing about another.
    async fn stream_rest(&self, url: Url, bound: u64, partial: &mut dyn Partial) -> Result<u64, Fault> {
        let start = Instant::now();
        let from = partial.length();
        let response = self.ask(url.clone(), false, from, start).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if from > 0 => {
                check_range(&response, from)?;
                let rest = bound.saturating_sub(from);
                check_head(&response, StatusCode::PARTIAL_CONTENT, rest)?;
                self.drain(response, start, rest, partial).await
            }
            // The beginning is longer than the server's file.
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => {
                partial.restart().map_err(Fault::Sink)?;
                let response = self.ask(url, false, 0, start).await?;
                check_head(&response, StatusCode::OK, bound)?;
                self.drain(response, start, bound, partial).await
            }
            _ => {
                check_head(&response, StatusCode::OK, bound)?;
                partial.restart().map_err(Fault::Sink)?;
                self.drain(response, start, bound, partial).await
            }
        }
    }

    /// The head of the answer, after those redirects that are allowed.
    async fn ask(&self, mut url: Url, volatile: bool, from: u64, start: Instant) -> Result<Response, Fault> {
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
            if volatile {
                request = request.header(CACHE_CONTROL, "no-cache");
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let answer = timeout_at(self.deadline(start, 0), request.send())
                .await
                .map_err(|_| Fault::TooSlow {
                    received: 0,
                    after: start.elapsed(),
                })?;
            let response = answer.map_err(|error| Fault::Connection(error.without_url()))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            url = self.redirected(&url, &response)?;
        }
        Err(Fault::TooManyRedirects { limit: MOST_REDIRECTS })
    }

    /// Where an answer points, if its owner allows it: to a named host, and never from https to less.
    fn redirected(&self, from: &Url, response: &Response) -> Result<Url, Fault> {
        let to = header(response, LOCATION).unwrap_or_default();
        let next = from.join(&to).ok().filter(|next| {
            let scheme = next.scheme() == "https" || (next.scheme() == "http" && from.scheme() == "http");
            let plain = next.username().is_empty() && next.password().is_none();
            let host = next.host_str().unwrap_or_default();
            scheme && plain && self.redirects.iter().any(|allowed| allowed.as_str() == host)
        });
        next.ok_or(Fault::Redirect { to })
    }

    /// Passes on the body. No more than `bound` bytes of it are taken. How long the sink takes is not the server's fault.
    async fn drain(
        &self,
        mut response: Response,
        mut start: Instant,
        bound: u64,
        sink: &mut (impl io::Write + ?Sized),
    ) -> Result<u64, Fault> {
        let mut received = 0;
        loop {
            let next = timeout_at(self.deadline(start, received), response.chunk())
                .await
                .map_err(|_| Fault::TooSlow {
                    received,
                    after: start.elapsed(),
                })?;
            let next = next.map_err(|error| Fault::BrokeOff {
                received,
                source: error.without_url(),
            })?;
            let Some(chunk) = next else { return Ok(received) };
            received += chunk.len() as u64;
            if received > bound {
                return Err(Fault::TooLong { bound });
            }
            let came = Instant::now();
            sink.write_all(&chunk).map_err(Fault::Sink)?;
            start += came.elapsed();
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

    fn fetch_rest(&self, resource: &Resource, bound: u64, partial: &mut dyn Partial) -> Result<u64, TransportError> {
        let url = resource.below(&self.base);
        self.runtime
            .block_on(self.stream_rest(url.clone(), bound, partial))
            .map_err(|fault| TransportError { url, fault })
    }
}

fn header(response: &Response, name: HeaderName) -> Option<String> {
    response
        .headers()
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Whether the part that came begins where it was asked to: `bytes 100-199/200`.
fn check_range(response: &Response, from: u64) -> Result<(), Fault> {
    let found = header(response, CONTENT_RANGE).unwrap_or_default();
    let begins = found
        .strip_prefix("bytes ")
        .and_then(|range| range.split_once('-'))
        .and_then(|(first, _)| first.parse::<u64>().ok());
    if begins == Some(from) {
        Ok(())
    } else {
        Err(Fault::OtherRange { expected: from, found })
    }
}

/// What the status line and the headers say.
fn check_head(response: &Response, expected: StatusCode, bound: u64) -> Result<(), Fault> {
    match response.status() {
        status if status == expected => {}
        // Object stores answer "forbidden" for what is not there.
        StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => return Err(Fault::NotFound),
        status => return Err(Fault::Status { found: status.as_u16() }),
    }
    if let Some(found) = header(response, CONTENT_ENCODING).filter(|found| found != "identity") {
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
