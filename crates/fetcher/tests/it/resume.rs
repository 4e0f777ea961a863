//! Downloads that break off and go on: from a server that gives ranges, one that does not, and one that lies.

use std::{
    io::Write as _,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use attestation::Sha256Digest;
use fetcher::{Fault, HttpTransport, Outcome, Pace, TransportError, UpdateError};
use testkit::{ChannelTarball, TestChain};

use crate::{
    common::{Subscriber, now},
    http::server,
};

/// How a server answers a request for the rest of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ranges {
    Given,
    Ignored,
    /// Another part than what was asked for, honestly labelled.
    Other,
    /// Another part, labelled as what was asked for.
    Lying,
    Refused,
}

/// A server of a chain's files that breaks off the first download of a tarball half-way.
struct Breaking {
    url: String,
    cut: Arc<AtomicBool>,
    /// From where on tarballs were asked for.
    asked: Arc<Mutex<Vec<usize>>>,
    sent: Arc<AtomicUsize>,
}

fn breaking(chain: &TestChain, ranges: Ranges) -> Breaking {
    let files = chain.files.clone();
    let (cut, asked, sent) = (Arc::new(AtomicBool::new(true)), Arc::default(), Arc::default());
    let state: (Arc<AtomicBool>, Arc<Mutex<Vec<usize>>>, Arc<AtomicUsize>) =
        (Arc::clone(&cut), Arc::clone(&asked), Arc::clone(&sent));
    let url = server(move |stream: &mut TcpStream, head| {
        let (cut, asked, sent) = &state;
        let path = head.split(' ').nth(1).and_then(|path| path.strip_prefix("/channel/"));
        let Some(bytes) = files.get(path.unwrap_or_default()) else {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        };
        let from = head.to_lowercase().lines().find_map(|line| {
            line.strip_prefix("range: bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
        let is_tarball = path.is_some_and(|path| path.ends_with(".tar.xz"));
        if is_tarball {
            asked.lock().unwrap().push(from.unwrap_or(0));
        }
        let (status, label, body) = match (from, ranges) {
            (None, _) | (_, Ranges::Ignored) => ("200 OK", None, bytes.as_slice()),
            (Some(_), Ranges::Refused) => ("416 Range Not Satisfiable", None, &b""[..]),
            (Some(from), Ranges::Given) => ("206 Partial Content", Some(from), &bytes[from..]),
            (Some(from), Ranges::Other) => ("206 Partial Content", Some(from + 1), &bytes[from + 1..]),
            (Some(from), Ranges::Lying) => ("206 Partial Content", Some(from), &bytes[..bytes.len() - from]),
        };
        let total = bytes.len();
        let label = label.map_or(String::new(), |from| {
            format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1)
        });
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{label}Connection: close\r\n\r\n"
        )?;
        let body = if is_tarball && cut.swap(false, Ordering::SeqCst) {
            &body[..length / 2]
        } else {
            body
        };
        if is_tarball {
            sent.fetch_add(body.len(), Ordering::SeqCst);
        }
        stream.write_all(body)
    });
    Breaking { url, cut, asked, sent }
}

impl Breaking {
    fn transport(&self) -> HttpTransport {
        HttpTransport::new(self.url.parse().unwrap(), Pace::default(), b"").unwrap()
    }
}

/// A megabyte that does not compress, so that a download has a middle.
fn tarball() -> ChannelTarball {
    let noise: String = (0..8_000_u32)
        .map(|at| Sha256Digest::of(at.to_le_bytes()).to_string())
        .collect();
    ChannelTarball::new(&[("default.nix", &noise)])
}

fn released() -> (TestChain, ChannelTarball) {
    let (mut chain, tarball) = (TestChain::new(now()), tarball());
    chain.release_tarball("unstable", &tarball);
    (chain, tarball)
}

fn breaks_off(subscriber: &Subscriber, server: &Breaking) {
    let error = subscriber.update_at(&[&server.transport()], now()).unwrap_err();
    assert!(
        matches!(
            &error,
            UpdateError::Transport(TransportError {
                fault: Fault::BrokeOff { .. },
                ..
            })
        ),
        "{error:?}"
    );
    assert_eq!(subscriber.state().current().unwrap(), None);
    assert_eq!(subscriber.partials().len(), 1, "the beginning is kept");
}

#[test]
fn goes_on_where_a_download_broke_off() {
    let (chain, tarball) = released();
    let (server, subscriber) = (breaking(&chain, Ranges::Given), Subscriber::new(&chain));
    breaks_off(&subscriber, &server);
    let update = subscriber.update_at(&[&server.transport()], now()).unwrap();
    assert_eq!(update.outcome, Outcome::Installed);
    assert_eq!(subscriber.installed().1, tarball.nar);
    assert_eq!(server.asked.lock().unwrap().len(), 2);
    assert!(server.asked.lock().unwrap()[1] > 0, "the rest alone was asked for");
    assert_eq!(server.sent.load(Ordering::SeqCst), tarball.bytes.len());
    assert!(subscriber.partials().is_empty(), "nothing is kept of what is installed");
}

#[test]
fn starts_again_where_the_rest_alone_cannot_be_had() {
    for ranges in [Ranges::Ignored, Ranges::Refused] {
        let (chain, tarball) = released();
        let (server, subscriber) = (breaking(&chain, ranges), Subscriber::new(&chain));
        breaks_off(&subscriber, &server);
        subscriber.update_at(&[&server.transport()], now()).unwrap();
        assert_eq!(subscriber.installed().1, tarball.nar, "{ranges:?}");
    }
}

#[test]
fn a_wrong_part_is_noticed_and_the_whole_fetched_again() {
    for ranges in [Ranges::Lying, Ranges::Other] {
        let (chain, tarball) = released();
        let (server, subscriber) = (breaking(&chain, ranges), Subscriber::new(&chain));
        breaks_off(&subscriber, &server);
        subscriber.update_at(&[&server.transport()], now()).unwrap();
        assert_eq!(subscriber.installed().1, tarball.nar, "{ranges:?}");
        let asked = server.asked.lock().unwrap();
        assert_eq!(asked.len(), 3, "{ranges:?}: {asked:?}");
        assert_eq!(asked[2], 0, "{ranges:?}");
    }
}

#[test]
fn a_beginning_is_never_trusted() {
    let (chain, tarball) = released();
    for (what, poison) in [
        ("another beginning", vec![0; 1_000]),
        ("all of another file", vec![0; tarball.bytes.len()]),
        ("more than all", vec![0; tarball.bytes.len() + 1]),
    ] {
        let (server, subscriber) = (breaking(&chain, Ranges::Given), Subscriber::new(&chain));
        server.cut.store(false, Ordering::SeqCst);
        subscriber.plant_partial(Sha256Digest::of(&tarball.bytes), &poison);
        subscriber.update_at(&[&server.transport()], now()).unwrap();
        assert_eq!(subscriber.installed().1, tarball.nar, "{what}");
    }
}

#[test]
fn what_one_mirror_began_another_finishes() {
    let (chain, tarball) = released();
    let (first, second) = (breaking(&chain, Ranges::Given), breaking(&chain, Ranges::Given));
    second.cut.store(false, Ordering::SeqCst);
    let subscriber = Subscriber::new(&chain);
    let update = subscriber
        .update_at(&[&first.transport(), &second.transport()], now())
        .unwrap();
    assert_eq!(update.outcome, Outcome::Installed);
    assert_eq!(subscriber.installed().1, tarball.nar);
    assert!(second.asked.lock().unwrap()[0] > 0);
}

#[test]
fn one_beginning_is_kept_and_no_more() {
    let (mut chain, _) = released();
    let (server, subscriber) = (breaking(&chain, Ranges::Given), Subscriber::new(&chain));
    breaks_off(&subscriber, &server);
    chain.release_tarball("unstable", &crate::common::tarball("2"));
    let server = breaking(&chain, Ranges::Given);
    server.cut.store(false, Ordering::SeqCst);
    subscriber.update_at(&[&server.transport()], now()).unwrap();
    assert!(
        subscriber.partials().is_empty(),
        "the beginning of the older release stayed"
    );
}
