//! A server on loopback that misbehaves in every way a test can think of.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use fetcher::{Fault, HttpTransport, Pace, Resource, Transport as _};
use install::HostName;

const BOUND: u64 = 1_000;

/// Serves every connection by `answer`, once the head of the request has come, and gives the base URL.
pub(crate) fn server(answer: impl Fn(&mut TcpStream, &str) -> std::io::Result<()> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/channel", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            // The client hangs up on most of what is answered here.
            let _ = answer(&mut stream, &String::from_utf8_lossy(&head));
        }
    });
    url
}

/// Answers every request with these bytes.
fn answering(response: impl Into<Vec<u8>>) -> String {
    let response = response.into();
    server(move |stream, _| stream.write_all(&response))
}

fn pace() -> Pace {
    Pace {
        grace: Duration::from_millis(500),
        bytes_per_second: 1_000,
    }
}

/// Fetches a timestamp; what came, and how it ended.
fn fetch(url: &str) -> (Vec<u8>, Result<u64, Fault>) {
    let transport = HttpTransport::new(url.parse().unwrap(), pace(), b"").unwrap();
    let mut got = Vec::new();
    let result = transport.fetch(&Resource::Timestamp, BOUND, &mut got);
    assert!(got.len() as u64 <= BOUND, "more than the bound was let through");
    (got, result.map_err(|error| error.fault))
}

fn refusal(url: &str) -> Fault {
    fetch(url).1.unwrap_err()
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn fetches_from_an_honest_server_what_it_asked_for() {
    let url = server(|stream, head| {
        assert!(
            head.starts_with("GET /channel/metadata/timestamp.json HTTP/1.1\r\n"),
            "{head}"
        );
        let head = head.to_lowercase();
        assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
        assert!(head.contains("cache-control: no-cache\r\n"), "{head}");
        stream.write_all(ok("hello").as_bytes())
    });
    let (got, result) = fetch(&url);
    assert_eq!((got.as_slice(), result.unwrap()), (b"hello".as_slice(), 5));
}

#[test]
fn installs_a_release_over_http() {
    let (chain, _site, installed) = crate::common::installed();
    let files = chain.files.clone();
    let url = server(move |stream, head| {
        let path = head
            .split(' ')
            .nth(1)
            .and_then(|path| path.strip_prefix("/channel/"))
            .unwrap_or_default();
        match files.get(path) {
            Some(bytes) => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    bytes.len()
                );
                stream.write_all(head.as_bytes())?;
                stream.write_all(bytes)
            }
            None => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        }
    });
    let transport = HttpTransport::new(url.parse().unwrap(), Pace::default(), b"").unwrap();
    let newcomer = crate::common::Subscriber::new(&chain);
    let update = newcomer.update_at(&[&transport], crate::common::now()).unwrap();
    assert_eq!(update.outcome, fetcher::Outcome::Installed);
    assert_eq!(newcomer.installed(), installed.installed());
    assert_eq!(
        newcomer
            .update_at(&[&transport], crate::common::now())
            .unwrap()
            .requests,
        1
    );
}

#[test]
fn takes_exactly_the_bound_and_refuses_a_byte_more() {
    let body = |length| "x".repeat(length);
    assert_eq!(fetch(&answering(ok(&body(1_000)))).1.unwrap(), 1_000);
    let url = answering(format!("HTTP/1.1 200 OK\r\n\r\n{}", body(1_001)));
    assert!(matches!(refusal(&url), Fault::TooLong { bound: BOUND }));
}

#[test]
fn refuses_announced_excess_before_reading_it() {
    let url = answering("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
    assert!(matches!(
        refusal(&url),
        Fault::AnnouncedTooLong {
            bound: BOUND,
            found: 1001
        }
    ));
}

#[test]
fn refuses_endless_data() {
    let url = server(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            stream.write_all(b"40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n")?;
        }
    });
    assert!(matches!(refusal(&url), Fault::TooLong { .. }));
}

#[test]
fn refuses_slow_data() {
    let url = server(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")?;
        loop {
            stream.write_all(b"x")?;
            thread::sleep(Duration::from_millis(20));
        }
    });
    let start = Instant::now();
    let fault = refusal(&url);
    assert!(matches!(fault, Fault::TooSlow { received: 1.., .. }), "{fault:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn refuses_silence() {
    for beginning in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    ] {
        let url = server(move |stream, _| {
            stream.write_all(beginning.as_bytes())?;
            thread::sleep(Duration::from_secs(30));
            Ok(())
        });
        let start = Instant::now();
        let fault = refusal(&url);
        assert!(matches!(fault, Fault::TooSlow { received: 0, .. }), "{fault:?}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn refuses_truncated_data() {
    let url = answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    let fault = refusal(&url);
    assert!(
        matches!(
            fault,
            Fault::BrokeOff { received: 5, .. } | Fault::BrokeOff { received: 0, .. }
        ),
        "{fault:?}"
    );
}

#[test]
fn refuses_what_is_not_http() {
    let fault = refusal(&answering("SSH-2.0-OpenSSH_9.2\r\n"));
    assert!(matches!(fault, Fault::Connection(_)), "{fault:?}");
}

#[test]
fn refuses_contradicting_content_lengths() {
    let url = answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 900\r\n\r\nhello");
    let fault = refusal(&url);
    assert!(matches!(fault, Fault::Connection(_)), "{fault:?}");
}

#[test]
fn refuses_redirects_to_anywhere() {
    for to in [
        "http://127.0.0.1:1/",
        "file:///etc/passwd",
        "/channel/metadata/timestamp.json",
        "https://other.example/",
    ] {
        for status in [301, 302, 303, 307, 308] {
            let url = answering(format!(
                "HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
            ));
            match refusal(&url) {
                Fault::Redirect { to: found } => assert_eq!(found, to),
                other => panic!("{status} to {to}: {other:?}"),
            }
        }
    }
}

fn fetch_allowing(url: &str, hosts: &[&str]) -> Result<u64, Fault> {
    let hosts: Vec<HostName> = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let transport = HttpTransport::new(url.parse().unwrap(), pace(), b"")
        .unwrap()
        .with_redirects_to(&hosts);
    let mut got = Vec::new();
    let result = transport.fetch(&Resource::Timestamp, BOUND, &mut got);
    result.map_err(|error| error.fault)
}

fn redirecting(to: &str) -> String {
    answering(format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ))
}

#[test]
fn follows_a_redirect_to_a_host_that_the_owner_allows_and_to_no_other() {
    let target = answering(ok("hello"));
    assert_eq!(fetch_allowing(&redirecting(&target), &["127.0.0.1"]).unwrap(), 5);
    for hosts in [&[][..], &["cdn.example.org"], &["127.0.0.2"]] {
        let fault = fetch_allowing(&redirecting(&target), hosts).unwrap_err();
        assert!(matches!(&fault, Fault::Redirect { to } if *to == target), "{fault:?}");
    }
    // An allowed host that points on to one that is not.
    let twice = redirecting(&redirecting("http://other.example/"));
    let fault = fetch_allowing(&twice, &["127.0.0.1"]).unwrap_err();
    assert!(
        matches!(&fault, Fault::Redirect { to } if to == "http://other.example/"),
        "{fault:?}"
    );
}

#[test]
fn refuses_a_redirect_to_a_file_or_with_a_password_even_where_the_host_is_allowed() {
    for to in [
        "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "http://user:secret@127.0.0.1/",
        "ftp://127.0.0.1/",
    ] {
        let fault = fetch_allowing(&redirecting(to), &["127.0.0.1"]).unwrap_err();
        assert!(
            matches!(&fault, Fault::Redirect { to: found } if found == to),
            "{to}: {fault:?}"
        );
    }
}

#[test]
fn refuses_a_redirect_loop() {
    let fault = fetch_allowing(&redirecting("/channel/metadata/timestamp.json"), &["127.0.0.1"]).unwrap_err();
    assert!(matches!(fault, Fault::TooManyRedirects { .. }), "{fault:?}");
}

#[test]
fn refuses_a_gzip_bomb_without_unpacking_it() {
    // A gzip member of a gigabyte of zeros is a megabyte; what is never unpacked needs no more than its head.
    let body = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    for encoding in ["gzip", "x-gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        answer.extend(body);
        let fault = refusal(&answering(answer));
        assert!(
            matches!(&fault, Fault::Encoded { found } if found == encoding),
            "{fault:?}"
        );
    }
    // Compressed for the transfer alone: reqwest does not unpack it, and the digest decides.
    let url = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let (got, _) = fetch(&url);
    assert!(got.len() <= 5, "{got:?}");
}

#[test]
fn refuses_a_content_length_that_is_not_kept() {
    let longer = answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhello");
    let (got, result) = fetch(&longer);
    assert_eq!(
        (got.as_slice(), result.unwrap()),
        (b"hel".as_slice(), 3),
        "no more than announced"
    );
    for bad in ["-5", "5x", "99999999999999999999999"] {
        let url = answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {bad}\r\n\r\nhello"));
        let fault = refusal(&url);
        assert!(matches!(fault, Fault::Connection(_)), "{bad}: {fault:?}");
    }
}

#[test]
fn refuses_compressed_data_that_it_did_not_ask_for() {
    let url = answering("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello");
    assert!(matches!(refusal(&url), Fault::Encoded { found } if found == "gzip"));
}

#[test]
fn tells_a_missing_file_from_a_broken_server() {
    for status in [403, 404, 410] {
        let url = answering(format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"));
        assert!(matches!(refusal(&url), Fault::NotFound), "{status}");
    }
    for status in [206, 204, 400, 500, 503] {
        let url = answering(format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n"));
        assert!(
            matches!(refusal(&url), Fault::Status { found } if found == status),
            "{status}"
        );
    }
}

#[test]
fn says_when_nobody_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(refusal(&url), Fault::Connection(_)));
}

#[test]
fn says_when_the_sink_fails() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let transport = HttpTransport::new(answering(ok("hello")).parse().unwrap(), pace(), b"").unwrap();
    let error = transport.fetch(&Resource::Timestamp, BOUND, &mut Full).unwrap_err();
    assert!(matches!(error.fault, Fault::Sink(_)), "{error:?}");
}

#[test]
fn refuses_https_server_that_does_not_speak_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || listener.accept().unwrap().0.write_all(ok("hello").as_bytes()));
    let fault = refusal(&url);
    assert!(matches!(fault, Fault::Connection(_)), "{fault:?}");
}

/// Whoever takes the bytes may take as long as they like, while the server is blamed for its own slowness alone.
#[test]
fn does_not_blame_the_server_for_a_slow_reader() {
    struct Slow(u64);
    impl std::io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            thread::sleep(Duration::from_millis(900));
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let url = server(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")?;
        thread::sleep(Duration::from_millis(200));
        stream.write_all(b"c")?;
        thread::sleep(Duration::from_millis(1_850));
        stream.write_all(b"d")
    });
    let transport = HttpTransport::new(url.parse().unwrap(), pace(), b"").unwrap();
    let mut sink = Slow(0);
    let got = transport.fetch(&Resource::Timestamp, BOUND, &mut sink).unwrap();
    assert_eq!((got, sink.0), (4, 4));
}
