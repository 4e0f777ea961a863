//! HTTP, as little of it as Nix needs: GET and HEAD of a handful of paths.
//!
//! | path | answer |
//! |---|---|
//! | `/` and `/CHANNEL` | a page that says what is served |
//! | `/CHANNEL/nixexprs.tar.xz` | the current release as `nix-channel` unpacks it |
//! | `/CHANNEL/source.tar` | upstream's tree of the current release |
//! | `/CHANNEL/git-revision` | its commit |
//! | `/CHANNEL/nar/SHA256/nixexprs.tar`, `…/source.tar` | the release with that NAR digest, as long as it is installed |
//!
//! The two that change carry `Link: <…>; rel="immutable"`, so that Nix of 2.17 and newer locks the ones that do not.
//! Nothing is compressed (libarchive, which Nix unpacks with, asks the bytes and not the name): this is loopback.

use std::{
    convert::Infallible,
    fs::File,
    io,
    net::SocketAddr,
    os::unix::fs::FileExt as _,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use attestation::Sha256Digest;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, HeaderValue, IF_NONE_MATCH, LINK},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use install::archive::Tree;
use tokio::net::TcpListener;

use super::library::{Library, Tarball};
use crate::{failure::Failure, journal, output::Output};

/// One machine's own clients.
const MOST_CONNECTIONS: usize = 64;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

const CHUNK: u64 = 256 << 10;

/// What is needed to answer.
pub(crate) struct Server {
    pub(crate) channel: String,
    pub(crate) address: SocketAddr,
    pub(crate) library: Mutex<Library>,
    pub(crate) output: Output,
}

/// Answers for ever.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let connections = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, mostly: others give theirs back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        if connections.fetch_add(1, Ordering::SeqCst) >= MOST_CONNECTIONS {
            connections.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (server, connections) = (Arc::clone(&server), Arc::clone(&connections));
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(server.answer(&request)) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            // A client that hangs up is none of ours to report.
            let _ = connection.await;
            connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

impl Server {
    fn answer<B>(&self, request: &Request<B>) -> Response<Content> {
        // DNS rebinding: a page at a name of its own that points here would read what is served, as same-origin.
        let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
        if !host.is_some_and(|host| self.is_my_name(host)) {
            return text(
                StatusCode::MISDIRECTED_REQUEST,
                "ask for this server by its loopback address\n",
            );
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
            refused
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let host = host.map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        let answer = self.route(request, &host).unwrap_or_else(|failure| {
            journal::warn(
                self.output,
                &format!("{}: {}", request.uri().path(), failure.in_one_line()),
            );
            let text_of = format!("{}\nnext: {}\n", failure.in_one_line(), failure.next());
            text(StatusCode::SERVICE_UNAVAILABLE, text_of)
        });
        if *request.method() != Method::HEAD {
            return answer;
        }
        let length = answer.body().size_hint().exact().unwrap_or(0);
        let mut head = answer.map(|_| Content::Bytes(Bytes::new()));
        head.headers_mut().insert(CONTENT_LENGTH, length.into());
        head
    }

    fn is_my_name(&self, host: &[u8]) -> bool {
        let port = self.address.port();
        let names = [self.address.to_string(), format!("localhost:{port}")];
        names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(host))
    }

    fn route<B>(&self, request: &Request<B>, host: &str) -> Result<Response<Content>, Failure> {
        // Nix asks for `<url>/nixexprs.tar.xz`, with two slashes where the URL ends in one.
        let parts: Vec<_> = request
            .uri()
            .path()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        let mut library = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        let not_found = || text(StatusCode::NOT_FOUND, "there is no such thing here\n");
        let Some((channel, rest)) = parts.split_first() else {
            return self.page(&library, host);
        };
        if *channel != self.channel {
            return Ok(not_found());
        }
        let tarball = match rest {
            [] => return self.page(&library, host),
            ["git-revision"] => {
                let (_, release) = library.current()?;
                return Ok(text(StatusCode::OK, release.get().commit.as_str().to_owned()));
            }
            ["nixexprs.tar.xz"] => Some(library.newest(Tree::Channel)?),
            ["source.tar"] => Some(library.newest(Tree::Source)?),
            ["nar", digest, name] => match (digest.parse::<Sha256Digest>(), *name) {
                (Ok(digest), "nixexprs.tar") => library.locked(Tree::Channel, digest)?,
                (Ok(digest), "source.tar") => library.locked(Tree::Source, digest)?,
                _ => None,
            },
            _ => None,
        };
        Ok(match tarball {
            Some(tarball) => self.give(&tarball, request, host),
            None => not_found(),
        })
    }

    fn give<B>(&self, tarball: &Tarball, request: &Request<B>, host: &str) -> Response<Content> {
        let release = tarball.release.get();
        let nar = tarball.tree.nar(release);
        let name = match tarball.tree {
            Tree::Source => "source.tar",
            Tree::Channel => "nixexprs.tar",
        };
        let etag = format!("\"{nar}\"");
        let sri = nar.to_sri().replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let link = format!(
            "<http://{host}/{}/nar/{nar}/{name}?lastModified={}&narHash={sri}&rev={}>; rel=\"immutable\"",
            self.channel,
            release.time.unix(),
            release.commit,
        );
        let known = request
            .headers()
            .get(IF_NONE_MATCH)
            .is_some_and(|known| known == etag.as_str());
        let mut answer = Response::new(if known {
            Content::Bytes(Bytes::new())
        } else {
            Content::File {
                file: Arc::clone(&tarball.file),
                at: 0,
                end: tarball.length,
            }
        });
        if known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
        for (header, value) in [(ETAG, etag), (LINK, link)] {
            // Digests, a channel's name and our own address: nothing in them is not a header's.
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(header, value);
            }
        }
        answer
    }

    /// What a person finds here, and `nix-channel`, which wants it to be there.
    fn page(&self, library: &Library, host: &str) -> Result<Response<Content>, Failure> {
        let (generation, release) = library.current()?;
        let channel = &self.channel;
        let (name, number) = (crate::output::name(release.get()), generation.number());
        Ok(text(
            StatusCode::OK,
            format!(
                "touchstone serves {name}, generation {number} of this machine.\n\n\
                 nix-channel --add http://{host}/{channel} nixpkgs\n\
                 inputs.nixpkgs.url = \"http://{host}/{channel}/source.tar\";\n"
            ),
        ))
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Content> {
    let mut answer = Response::new(Content::Bytes(text.into()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// What an answer holds.
pub(crate) enum Content {
    Bytes(Bytes),
    File { file: Arc<File>, at: u64, end: u64 },
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match &mut *self {
            Self::Bytes(bytes) if bytes.is_empty() => None,
            Self::Bytes(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Self::File { file, at, end } => {
                if *at >= *end {
                    return Poll::Ready(None);
                }
                let mut chunk = vec![0; usize::try_from((*end - *at).min(CHUNK)).unwrap_or(0)];
                Some(file.read_exact_at(&mut chunk, *at).map(|()| {
                    *at += chunk.len() as u64;
                    Frame::data(chunk.into())
                }))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::File { at, end, .. } => at >= end,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { at, end, .. } => end - at,
        })
    }
}
