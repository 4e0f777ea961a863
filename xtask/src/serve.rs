//! A static file server on the loopback interface, for the demo and tests only.
//!
//! It is no way to publish a channel: any web server is. It serves what is in a folder, knows `GET` and `HEAD`, and
//! answers a folder with its `index.html` and status 200, as `nix-channel` wants of a channel's address.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::Args as Arguments;

use crate::failure::{Failure, Result};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a request's head may be, in bytes.
const LONGEST_HEAD: u64 = 16 * 1024;

/// Serve a folder on the loopback interface, for the demo and tests only.
#[derive(Debug, Arguments)]
#[command(
    after_help = "Example:\n  cargo xtask serve /tmp/channel --port 8000\n\nPrints the address and serves until \
                        it is interrupted. To publish a channel, use any web server instead."
)]
pub(crate) struct Args {
    /// The folder.
    directory: PathBuf,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

pub(crate) fn command(args: &Args) -> Result<()> {
    let server = Server::start(&args.directory, args.port)
        .map_err(Failure::io(format_args!("serve {}", args.directory.display())))?;
    println!("{}", server.url());
    loop {
        thread::park();
    }
}

/// A running server; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `directory` as it is at each request, at `port` of 127.0.0.1 (0: a free one).
    pub(crate) fn start(directory: &Path, port: u16) -> io::Result<Self> {
        let root = Arc::new(directory.canonicalize()?);
        if !root.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let root = Arc::clone(&root);
                if let Ok(stream) = stream {
                    // A client that goes away is its own business.
                    thread::spawn(move || answer(&stream, &root).ok());
                }
            }
        });
        Ok(Self {
            address,
            stopping,
            accepting: Some(accepting),
        })
    }

    /// The address, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a client.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.accepting.take() {
            drop(thread.join());
        }
    }
}

/// What is sent back.
enum Response {
    File {
        file: File,
        length: u64,
        kind: &'static str,
    },
    Refusal {
        status: &'static str,
        allow: bool,
    },
}

/// One request, one answer, one connection.
fn answer(stream: &TcpStream, root: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = BufReader::new(stream.take(LONGEST_HEAD));
    let mut request = String::new();
    head.read_line(&mut request)?;
    let mut line = String::from("-");
    while !line.trim_end().is_empty() {
        line.clear();
        head.read_line(&mut line)?;
    }
    let (response, with_body) = match request.split(' ').collect::<Vec<_>>()[..] {
        ["GET", target, _] => (find(root, target), true),
        ["HEAD", target, _] => (find(root, target), false),
        [_, _, _] => (
            Response::Refusal {
                status: "405 Method Not Allowed",
                allow: true,
            },
            true,
        ),
        _ => (refusal("400 Bad Request"), true),
    };
    send(stream, response, with_body)
}

fn send(mut stream: &TcpStream, response: Response, with_body: bool) -> io::Result<()> {
    match response {
        Response::File { file, length, kind } => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )?;
            if with_body {
                // No more than announced, should the file grow meanwhile.
                io::copy(&mut file.take(length), &mut stream)?;
            }
        }
        Response::Refusal { status, allow } => {
            let allow = if allow { "Allow: GET, HEAD\r\n" } else { "" };
            let length = status.len() + 1;
            write!(
                stream,
                "HTTP/1.1 {status}\r\n{allow}Content-Type: text/plain\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n"
            )?;
            if with_body {
                writeln!(stream, "{status}")?;
            }
        }
    }
    stream.flush()
}

fn refusal(status: &'static str) -> Response {
    Response::Refusal { status, allow: false }
}

/// The file that `target` (the path of a request) names below `root`.
fn find(root: &Path, target: &str) -> Response {
    let Some(relative) = relative(target) else {
        return refusal("400 Bad Request");
    };
    let mut path = root.join(relative);
    if path.is_dir() {
        path.push("index.html");
    }
    // Resolved, so that a link cannot lead out of the folder.
    let Some(path) = path.canonicalize().ok().filter(|path| path.starts_with(root)) else {
        return refusal("404 Not Found");
    };
    let open = || -> io::Result<Response> {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        Ok(Response::File {
            file,
            length,
            kind: kind(&path),
        })
    };
    if path.is_file() {
        open().unwrap_or(refusal("403 Forbidden"))
    } else {
        refusal("404 Not Found")
    }
}

/// The path below the folder: percent-decoded, empty components dropped (Nix asks for `//nixexprs.tar.xz`); `None` if
/// a component leads elsewhere.
fn relative(target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let mut relative = PathBuf::new();
    for component in path.split('/').filter(|component| !component.is_empty()) {
        let component = decoded(component)?;
        if component == "." || component == ".." || component.contains(['/', '\\', '\0']) {
            return None;
        }
        relative.push(component);
    }
    Some(relative)
}

fn decoded(component: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(component.len());
    let mut rest = component.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digit(rest.next()?)? * 16 + digit(rest.next()?)?
        } else {
            byte
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        Some("xz") => "application/x-xz",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for each test, removed with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("xtask-serve-{}-{name}", std::process::id()));
            std::fs::create_dir_all(path.join("root/sub")).expect("a temporary folder");
            std::fs::write(path.join("secret"), "secret").expect("a file");
            std::fs::write(path.join("root/index.html"), "<p>").expect("a file");
            std::fs::write(path.join("root/a b.json"), "{}").expect("a file");
            Self(path)
        }

        fn serve(&self) -> Server {
            Server::start(&self.0.join("root"), 0).expect("a free port")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    fn ask(server: &Server, request: &str) -> String {
        let mut stream = TcpStream::connect(server.address).expect("it listens");
        write!(stream, "{request} HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    #[test]
    fn a_file_is_served_with_its_length() {
        let folder = Folder::new("file");
        let server = folder.serve();
        for target in ["/a%20b.json", "//a%20b.json?x=y"] {
            let answer = ask(&server, &format!("GET {target}"));
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"));
            assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
        }
        assert!(ask(&server, "HEAD /a%20b.json").ends_with("Content-Length: 2\r\nConnection: close\r\n\r\n"));
    }

    #[test]
    fn a_folder_is_its_index() {
        let folder = Folder::new("index");
        let server = folder.serve();
        assert!(ask(&server, "GET /").ends_with("\r\n\r\n<p>"));
        assert!(ask(&server, "GET /sub/").starts_with("HTTP/1.1 404 "));
        assert!(ask(&server, "GET /gone").starts_with("HTTP/1.1 404 "));
    }

    #[test]
    fn refuses_to_leave_the_folder() {
        let folder = Folder::new("leave");
        std::os::unix::fs::symlink(folder.0.join("secret"), folder.0.join("root/link")).expect("a link");
        let server = folder.serve();
        for target in [
            "/../secret",
            "/sub/../../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/a%00b",
            "/%zz",
            "secret",
        ] {
            assert!(
                ask(&server, &format!("GET {target}")).starts_with("HTTP/1.1 400 "),
                "{target}"
            );
        }
        assert!(ask(&server, "GET /link").starts_with("HTTP/1.1 404 "));
    }

    #[test]
    fn refuses_other_methods() {
        let folder = Folder::new("methods");
        let server = folder.serve();
        assert!(ask(&server, "POST /").contains("405 Method Not Allowed\r\nAllow: GET, HEAD\r\n"));
        assert!(ask(&server, "nonsense").starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let folder = Folder::new("drop");
        let server = folder.serve();
        let address = server.address;
        drop(server);
        assert!(TcpStream::connect(address).is_err());
    }
}
