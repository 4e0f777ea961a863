//! Many updates against a mirror that does something wrong to every third answer and every second download, by a seed
//! that is printed.
//!
//! 150 of them in every run; `TOUCHSTONE_HOSTILE_UPDATES=1000 TOUCHSTONE_HOSTILE_SEED=7` is for longer ones.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write as _,
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use attestation::Sha256Digest;
use fetcher::{Fetched, HttpTransport, Outcome, Pace};
use testkit::{ChannelTarball, TestChain};

use crate::{
    common::{Subscriber, now},
    http::server,
};

/// `SplitMix64` (Steele, Lea, Flood 2014): the same numbers from the same seed on every machine.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }
}

type Files = BTreeMap<String, Vec<u8>>;

/// What is served, and what is done to it.
struct Mirror {
    now: Files,
    /// How the site was at some release before.
    before: Files,
    dice: Dice,
    honest: bool,
    faults: BTreeMap<&'static str, u32>,
}

fn head(status: &str, length: usize, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n").into_bytes()
}

/// An answer, and whether it is followed by silence or by data without end.
struct Answer {
    bytes: Vec<u8>,
    after: After,
}

#[derive(PartialEq)]
enum After {
    Close,
    Silence,
    Endless,
}

impl Mirror {
    fn answer(&mut self, request: &str) -> Answer {
        let path = request
            .split(' ')
            .nth(1)
            .and_then(|path| path.strip_prefix("/channel/"));
        let path = path.unwrap_or_default().to_owned();
        let from = request.to_lowercase().lines().find_map(|line| {
            line.strip_prefix("range: bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
        let fault = self.fault(&path, from);
        let files = if fault == 0 { &self.before } else { &self.now };
        let Some(body) = files.get(&path).cloned() else {
            return close(head("404 Not Found", 0, ""));
        };
        let (name, answer) = self.spoil(fault, from, body);
        *self.faults.entry(name).or_default() += 1;
        answer
    }

    /// Every second download is cut off, or the rest of it spoilt; every third of the other answers has any fault.
    fn fault(&mut self, path: &str, from: Option<usize>) -> usize {
        match from {
            _ if self.honest => usize::MAX,
            Some(_) if self.dice.below(2) > 0 => OF_A_REST + self.dice.below(OF_A_REST_COUNT),
            None if path.starts_with("targets/") && self.dice.below(2) > 0 => [2, 12][self.dice.below(2)],
            _ if self.dice.below(3) > 0 => usize::MAX,
            _ => self.dice.below(OF_A_REST),
        }
    }

    fn spoil_rest(&mut self, fault: usize, from: usize, body: &[u8]) -> (&'static str, Answer) {
        let length = body.len();
        let label = |from: usize| format!("Content-Range: bytes {from}-{}/{length}\r\n", length - 1);
        let part = |from: usize, bytes: &[u8], announced: usize| {
            [&head("206 Partial Content", announced, &label(from))[..], bytes].concat()
        };
        let rest = &body[from..];
        let half = &rest[..self.dice.below(rest.len())];
        let bytes = match fault - OF_A_REST {
            0 => part(from, &vec![b'x'; rest.len()], rest.len()),
            1 => part(from + 1, &rest[1..], rest.len() - 1),
            2 => [&head("200 OK", length, "")[..], body].concat(),
            3 => head("416 Range Not Satisfiable", 0, ""),
            4 | 7 => part(from, half, rest.len()),
            5 => part(from, &[rest, b"and more"].concat(), rest.len() + 8),
            _ => [&head("200 OK", rest.len(), "")[..], rest].concat(),
        };
        let after = if fault - OF_A_REST == 7 {
            After::Silence
        } else {
            After::Close
        };
        (FAULTS_OF_A_REST[fault - OF_A_REST], Answer { bytes, after })
    }

    fn spoil(&mut self, fault: usize, from: Option<usize>, mut body: Vec<u8>) -> (&'static str, Answer) {
        let length = body.len();
        match fault {
            0 => ("an older file", close([head("200 OK", length, ""), body].concat())),
            1 => ("hung up", close(Vec::new())),
            2 => {
                let end = self.dice.below(length);
                (
                    "cut off",
                    close([head("200 OK", length, ""), body[..end].to_vec()].concat()),
                )
            }
            3 => {
                let at = self.dice.below(length);
                body[at] ^= 1 << self.dice.below(8);
                ("a flipped bit", close([head("200 OK", length, ""), body].concat()))
            }
            4 => (
                "announced more",
                close([head("200 OK", length + 100, ""), body].concat()),
            ),
            5 => ("announced less", close([head("200 OK", length / 2, ""), body].concat())),
            6 => ("server error", close(head("503 Service Unavailable", 0, ""))),
            7 => ("forbidden", close(head("403 Forbidden", 0, ""))),
            8 => (
                "redirect",
                close(head("302 Found", 0, "Location: file:///etc/passwd\r\n")),
            ),
            9 => (
                "gzip",
                close([head("200 OK", length, "Content-Encoding: gzip\r\n"), body].concat()),
            ),
            10 => ("not http", close(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
            11 => {
                let answer = Answer {
                    bytes: b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
                    after: After::Endless,
                };
                ("endless", answer)
            }
            12 => {
                let answer = Answer {
                    bytes: [head("200 OK", length, ""), body[..length / 2].to_vec()].concat(),
                    after: After::Silence,
                };
                ("silence", answer)
            }
            13 => {
                let other = self.dice.below(self.now.len());
                let body = self.now.values().nth(other).cloned().unwrap_or_default();
                ("another file", close([head("200 OK", body.len(), ""), body].concat()))
            }
            14 => {
                let label = format!("Content-Range: bytes 0-{}/{length}\r\n", length - 1);
                (
                    "a part, unasked",
                    close([head("206 Partial Content", length, &label), body].concat()),
                )
            }
            OF_A_REST..OF_A_REST_END if from.is_some_and(|from| from < length) => {
                self.spoil_rest(fault, from.unwrap_or(0), &body)
            }
            15 => {
                body.resize(length + 1 + self.dice.below(4_000), b'x');
                ("longer", close([head("200 OK", body.len(), ""), body].concat()))
            }
            _ => match from.filter(|from| *from < length) {
                Some(from) => {
                    let label = format!("Content-Range: bytes {from}-{}/{length}\r\n", length - 1);
                    let rest = body[from..].to_vec();
                    (
                        "the rest, honestly",
                        close([head("206 Partial Content", rest.len(), &label), rest].concat()),
                    )
                }
                None => ("honest", close([head("200 OK", length, ""), body].concat())),
            },
        }
    }
}

/// The faults of an answer to a request for the rest of a file.
const OF_A_REST: usize = 16;
const OF_A_REST_COUNT: usize = 8;
const OF_A_REST_END: usize = OF_A_REST + OF_A_REST_COUNT;
const FAULTS_OF_A_REST: [&str; OF_A_REST_COUNT] = [
    "another file's part",
    "another part, labelled so",
    "the whole instead of the rest",
    "no rest to be had",
    "the rest, cut off",
    "the rest of something longer",
    "the rest, labelled as the whole",
    "the rest, in silence",
];

fn close(bytes: Vec<u8>) -> Answer {
    let after = After::Close;
    Answer { bytes, after }
}

fn send(stream: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    stream.write_all(&answer.bytes)?;
    match answer.after {
        After::Close => Ok(()),
        After::Silence => {
            thread::sleep(Duration::from_millis(150));
            Ok(())
        }
        After::Endless => loop {
            stream.write_all(&[0; 4096])?;
        },
    }
}

fn tarball(release: u64) -> ChannelTarball {
    let noise = |of: u64, lines: u64| -> String {
        let line = |at: u64| Sha256Digest::of([of.to_le_bytes(), at.to_le_bytes()].concat()).to_string();
        (0..lines).map(line).collect()
    };
    ChannelTarball::new(&[
        ("default.nix", &format!("release {release} {}", noise(release, 30))),
        ("pkgs/noise.nix", &noise(0, 300)),
    ])
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kibibytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn many_updates_from_a_hostile_mirror_lose_nothing_and_leak_nothing() {
    let updates = number("TOUCHSTONE_HOSTILE_UPDATES", 150);
    let seed = number("TOUCHSTONE_HOSTILE_SEED", 20_261_125);
    let mut chain = TestChain::new(now());
    let mut newest = tarball(1);
    chain.release_tarball("unstable", &newest);
    let mirror = Arc::new(Mutex::new(Mirror {
        now: chain.files.clone(),
        before: chain.files.clone(),
        dice: Dice(seed),
        honest: true,
        faults: BTreeMap::new(),
    }));
    let shared = Arc::clone(&mirror);
    let url = server(move |stream, request| {
        let answer = shared.lock().unwrap().answer(request);
        send(stream, &answer)
    });
    let pace = Pace {
        grace: Duration::from_millis(100),
        bytes_per_second: 1_000_000,
    };
    let transport = HttpTransport::new(url.parse().unwrap(), pace, b"").unwrap();
    let subscriber = Subscriber::new(&chain);
    subscriber.update_at(&[&transport], now()).unwrap();
    mirror.lock().unwrap().honest = false;

    let (mut done, mut refused, mut patched, mut sequence) = (0, 0, 0, 1);
    let mut released = BTreeMap::from([(1, newest.nar)]);
    let mut warm = (0, 0);
    for update in 1..=updates {
        if update % 5 == 0 {
            let next = tarball(released.len() as u64 + 1);
            chain.release_patched("unstable", &next, &[&newest]);
            newest = next;
            released.insert(released.len() as u64 + 1, newest.nar);
            let mut mirror = mirror.lock().unwrap();
            mirror.before = std::mem::replace(&mut mirror.now, chain.files.clone());
        }
        match subscriber.update_at(&[&transport], now()) {
            Ok(update) => {
                done += 1;
                patched += u32::from(matches!(update.fetched, Fetched::Patch { .. }));
                let found = update.release.verified().get().sequence;
                assert!(found >= sequence, "seed {seed}, update {update:?}: went back");
                sequence = found;
                subscriber.locked().remove_old(2, now()).unwrap();
            }
            Err(error) => {
                refused += 1;
                assert!(!error.is_local(), "seed {seed}: this machine was blamed: {error:?}");
            }
        }
        // What is installed is a release, whole, and the newest that an update ended with.
        assert_eq!(
            subscriber.installed().1,
            released[&sequence],
            "seed {seed}, update {update}"
        );
        subscriber.assert_tidy();
        assert!(subscriber.partials().len() <= 2, "seed {seed}, update {update}");
        if update == updates / 5 {
            warm = (open_descriptors(), resident_kibibytes());
        }
    }
    let (descriptors, resident) = (open_descriptors(), resident_kibibytes());
    assert!(descriptors <= warm.0 + 3, "{} descriptors became {descriptors}", warm.0);
    // The allocator keeps some; a leak of one file an update would be more than this.
    let allowed = 8 * 1024 + usize::try_from(updates).unwrap() * 8;
    assert!(resident <= warm.1 + allowed, "{} KiB became {resident}", warm.1);

    let mut served = mirror.lock().unwrap();
    eprintln!(
        "seed {seed}: {done} of {updates} updates ended well ({patched} by a patch), {refused} were refused: {:?}",
        served.faults
    );
    assert!(
        done > updates / 8 && refused > updates / 8 && patched > 0,
        "{done} {refused} {patched}"
    );
    assert!(served.faults.len() >= 14, "{:?}", served.faults);
    let resumed = FAULTS_OF_A_REST
        .iter()
        .filter(|fault| served.faults.contains_key(*fault));
    // Which of them come up depends on where downloads were cut, and with few updates on chance.
    let wanted = if updates < 1_000 { 3 } else { OF_A_REST_COUNT - 2 };
    assert!(
        resumed.count() >= wanted && served.faults.contains_key("the rest, honestly"),
        "downloads were not gone on with: {:?}",
        served.faults
    );
    served.honest = true;
    drop(served);
    let last = subscriber.update_at(&[&transport], now()).unwrap();
    assert!(matches!(
        last.outcome,
        Outcome::Installed | Outcome::Unchanged | Outcome::Switched
    ));
    assert_eq!(subscriber.installed().1, newest.nar);
    let current = subscriber.state().current().unwrap().unwrap();
    subscriber.verify(&current).unwrap();
}
