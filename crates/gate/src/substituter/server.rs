//! The little of HTTP that Nix asks of a binary cache, on the loopback interface.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use nixstore::nix32;

use super::Substituter;

/// The longest request.
const REQUEST: u64 = 16 << 10;

/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// Serves every connection on a thread of its own, until accepting fails.
pub fn serve(listener: &TcpListener, substituter: &Arc<Substituter>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let substituter = Arc::clone(substituter);
        thread::spawn(move || {
            // Whoever hung up needs no answer.
            drop(answer(&stream, &substituter));
        });
    }
}

fn answer(stream: &TcpStream, substituter: &Substituter) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut reader = BufReader::new(stream.take(REQUEST));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
    }
    let mut out = stream;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return plain(&mut out, "405 Method Not Allowed", "only GET and HEAD\n", true),
    };
    match request(path) {
        Some(Request::Info) => plain(
            &mut out,
            "200 OK",
            "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n",
            body,
        ),
        Some(Request::NarInfo(digest)) => match substituter.narinfo(digest) {
            Ok(info) => plain(&mut out, "200 OK", &info.to_text(), body),
            Err(absent) => plain(&mut out, "404 Not Found", &format!("{absent}\n"), body),
        },
        Some(Request::Archive(digest, nar)) => archive(&mut out, substituter, digest, nar, body),
        None => plain(&mut out, "404 Not Found", "no such file\n", body),
    }
}

enum Request<'a> {
    Info,
    NarInfo(&'a str),
    Archive(&'a str, &'a str),
}

fn request(path: &str) -> Option<Request<'_>> {
    let is_digest = |text: &&str| nix32::decode::<20>(text).is_ok();
    let path = path.strip_prefix('/')?;
    if path == "nix-cache-info" {
        return Some(Request::Info);
    }
    if let Some(digest) = path.strip_suffix(".narinfo") {
        return Some(digest).filter(is_digest).map(Request::NarInfo);
    }
    let (digest, nar) = path.strip_prefix("nar/")?.strip_suffix(".nar")?.split_once('-')?;
    Some(digest)
        .filter(is_digest)
        .map(|digest| Request::Archive(digest, nar))
}

fn plain(out: &mut impl Write, status: &str, text: &str, body: bool) -> io::Result<()> {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    out.write_all(head.as_bytes())?;
    if body {
        out.write_all(text.as_bytes())?;
    }
    out.flush()
}

fn archive(out: &mut impl Write, substituter: &Substituter, digest: &str, nar: &str, body: bool) -> io::Result<()> {
    let agreed = match substituter.agreed(digest) {
        Ok(agreed) if agreed.nar.sha256.to_string() == nar => agreed,
        Ok(_) => return plain(out, "404 Not Found", "another archive was agreed on since\n", body),
        Err(absent) => return plain(out, "404 Not Found", &format!("{absent}\n"), body),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-nix-nar\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        agreed.nar.size
    );
    if !body {
        return out.write_all(head.as_bytes());
    }
    let mut late = Late {
        head: Some(head.into_bytes()),
        out: &mut *out,
    };
    match substituter.archive(&agreed, &mut late) {
        Ok(()) => Ok(()),
        // Nothing has left yet, so it can still be said properly.
        Err(error) if late.head.is_some() => {
            eprintln!("touchstone: {}: {error}", agreed.path);
            plain(out, "502 Bad Gateway", &format!("{error}\n"), true)
        }
        Err(error) => {
            eprintln!("touchstone: {}: {error}", agreed.path);
            Err(io::Error::other("the archive broke off"))
        }
    }
}

/// Writes the head before the first byte of the body.
struct Late<'a, W: Write> {
    head: Option<Vec<u8>>,
    out: &'a mut W,
}

impl<W: Write> Write for Late<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(head) = self.head.take() {
            self.out.write_all(&head)?;
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
