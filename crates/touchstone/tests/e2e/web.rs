//! A site on a web server of a few lines, which knows ranges and can break off.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Serves a directory until the test ends.
pub(crate) struct Web {
    pub(crate) url: String,
    cut: Arc<AtomicBool>,
    resumed: Arc<AtomicUsize>,
}

impl Web {
    pub(crate) fn start(site: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let web = Self {
            url,
            cut: Arc::default(),
            resumed: Arc::default(),
        };
        let (site, cut, resumed) = (site.to_owned(), Arc::clone(&web.cut), Arc::clone(&web.resumed));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (site, cut, resumed) = (site.clone(), Arc::clone(&cut), Arc::clone(&resumed));
                // A client that was killed hangs up: that is what the test is about.
                thread::spawn(move || answer(stream, &site, &cut, &resumed));
            }
        });
        web
    }

    /// Whether downloads of targets break off half-way.
    pub(crate) fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    /// How many downloads were gone on with.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, site: &Path, cut: &AtomicBool, resumed: &AtomicUsize) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let mut path: PathBuf = site.join(head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/'));
    if path.is_dir() {
        path.push("index.html");
    }
    let Ok(bytes) = fs::read(&path) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let from = head.lines().find_map(|line| {
        let from = line.strip_prefix("range: bytes=")?.strip_suffix('-')?;
        from.parse::<usize>().ok().filter(|from| *from < bytes.len())
    });
    let (status, label) = match from {
        Some(from) => {
            resumed.fetch_add(1, Ordering::SeqCst);
            let total = bytes.len();
            (
                "206 Partial Content",
                format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1),
            )
        }
        None => ("200 OK", String::new()),
    };
    let rest = &bytes[from.unwrap_or(0)..];
    let length = rest.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{label}Connection: close\r\n\r\n"
    )?;
    let is_target = path.components().any(|part| part.as_os_str() == "targets");
    stream.write_all(if is_target && cut.load(Ordering::SeqCst) {
        &rest[..length / 2]
    } else {
        rest
    })
}
