//! Tokens on a real reader service: a pcscd of one's own, with a virtual reader of two slots, and virtual cards.
//!
//! pcscd takes its socket as systemd hands it over, and its clients find it by `PCSCLITE_CSOCK_NAME`: each bench has its
//! own service, and benches run side by side. Everything has a time limit, since a reader service that hangs, hangs all
//! of its clients.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    peer,
    world::{Output, World},
};

/// The PIN of enrolled test tokens. Nothing else anywhere contains these digits.
pub const PIN: &str = "7439217";

/// Their admin PIN.
pub const ADMIN_PIN: &str = "864209753";

/// Debian's driver of virtual readers.
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How long a card may stay unseen before it is plugged in again.
const PATIENCE: Duration = Duration::from_secs(4);

/// A reader service with a virtual reader of two slots, for the people of a world.
pub struct TokenBench {
    service: Child,
    port: u16,
    place: PathBuf,
}

impl TokenBench {
    /// Starts one for a world: its commands find it from now on. `None`, and [`peer::missing`] is told, where this machine
    /// lacks what it needs.
    ///
    /// # Panics
    /// As every method here, if something that is not under test goes wrong.
    pub fn start(world: &World) -> Option<Self> {
        virtual_card()?;
        if !Path::new(DRIVER).exists() || !has_pcscd() {
            peer::missing("pcscd or vsmartcard-vpcd is not installed (cargo xtask setup installs them)");
            return None;
        }
        let place = world.path("tokens");
        fs::create_dir_all(place.join("readers")).expect("a directory");
        let port = two_free_ports();
        let configuration = format!(
            "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:0x{port:04X}\nLIBPATH {DRIVER}\nCHANNELID 0x{port:04X}\n"
        );
        fs::write(place.join("readers/virtual"), configuration).expect("a file");
        let bench = Self {
            service: start_service(&place, &world.pcscd_socket()),
            port,
            place,
        };
        Some(bench)
    }

    /// Plugs a card into a slot (0 or 1) and waits until it is seen.
    pub fn plug(&self, world: &World, slot: u16, serial: &str, options: &[&str]) -> VirtualCard {
        let log = self.place.join(format!("{serial}.log"));
        let state = self.place.join(format!("{serial}.state"));
        let mut command = Command::new(virtual_card().expect("it was there before"));
        command
            .args(["--port", &(self.port + slot).to_string(), "--serial", serial, "--trace"])
            .arg("--state")
            .arg(state)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log).expect("a log"));
        let mut card = VirtualCard {
            process: command.spawn().expect("the virtual card starts"),
            log,
        };
        let (start, mut since, mut again) = (Instant::now(), Instant::now(), 0);
        while !is_seen(world, serial) {
            // A reader that missed that the last card went shows nothing of the next one. So it is pulled out, for longer than
            // pcscd's polling takes, and plugged in again, as a person would.
            if since.elapsed() > PATIENCE || card.process.try_wait().expect("a process").is_some() {
                let _ = card.process.kill();
                card.process.wait().expect("a process");
                thread::sleep(Duration::from_secs(1));
                card.process = command.spawn().expect("the virtual card starts");
                since = Instant::now();
                again += 1;
            }
            let service = || fs::read_to_string(self.place.join("pcscd.log")).unwrap_or_default();
            assert!(
                start.elapsed() < LIMIT,
                "waited too long until token {serial} is seen; plugged in {again} more times\n{}\n{}",
                card.log(),
                service()
            );
            thread::sleep(Duration::from_millis(25));
        }
        card
    }

    /// Ends the service, as a machine without one.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for TokenBench {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

/// A card in a slot. It is pulled out when it is dropped; plugged in again, it is the same card.
pub struct VirtualCard {
    process: Child,
    log: PathBuf,
}

impl VirtualCard {
    /// What the card said it was asked.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// How many times it was asked for a signature (PSO: COMPUTE DIGITAL SIGNATURE).
    pub fn asked_to_sign(&self) -> usize {
        self.log().matches("[00, 2a, 9e, 9a]").count()
    }
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        // It may have been pulled out already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl World {
    /// Makes a card's PINs known to the world, and a person's keys on it: what `keys/NAME.asc` and the person's key are
    /// from now on.
    pub fn enroll(&self, name: &str, serial: &str, more: &[&str]) -> serde_json::Value {
        self.give_pins(serial);
        fs::write(self.path(format!("keys/{name}.pin")), format!("{PIN}\n")).expect("a file");
        let certificate = self.path(format!("keys/{name}.asc"));
        let _ = fs::remove_file(&certificate);
        let ident = format!("FFFE:{serial}");
        let mut arguments = vec!["token", "enroll", "--name", name, "--card", &ident, "--out", "keys"];
        arguments.extend(more);
        let made = self.assay_with_lines(&arguments, &[ADMIN_PIN, PIN]).ok();
        self.set_key(name, &format!("card:{ident}"));
        made
    }

    /// Changes a card's PINs from those of the factory to the world's.
    pub fn give_pins(&self, serial: &str) {
        let ident = format!("FFFE:{serial}");
        let change = ["token", "pin", "--card", &ident];
        self.assay_with_lines(&change, &["123456", PIN, PIN]).ok();
        let change = [&change[..], &["--admin"]].concat();
        self.assay_with_lines(&change, &["12345678", ADMIN_PIN, ADMIN_PIN]).ok();
    }

    /// Runs `assay` outside of a clone, with lines to read PINs from.
    pub fn assay_with_lines(&self, arguments: &[&str], lines: &[&str]) -> Output {
        let mut command = self.plain_command();
        command.args(["--pin-fd", "0"]).args(arguments);
        Output::with_input(&mut command, self.lines(lines).into())
    }

    /// Runs `assay` as a person in their clone, with lines to read PINs from.
    pub fn assay_as(&self, person: &str, arguments: &[&str], lines: &[&str]) -> Output {
        let mut command = self.assay_command(person, arguments);
        command.args(["--pin-fd", "0"]);
        Output::with_input(&mut command, self.lines(lines).into())
    }

    fn lines(&self, lines: &[&str]) -> File {
        let path = self.path("tmp/lines");
        fs::write(&path, lines.join("\n") + "\n").expect("a file");
        File::open(&path).expect("a file")
    }
}

/// The virtual card, as `cargo xtask setup` built it.
fn virtual_card() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/virtual-card/debug/virtual-card");
    if made.is_file() {
        return Some(made);
    }
    peer::missing(&format!(
        "no virtual card at {} (cargo xtask setup builds it)",
        made.display()
    ));
    None
}

fn has_pcscd() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join("pcscd").is_file())
}

fn is_seen(world: &World, serial: &str) -> bool {
    let list = world.assay_plain(&["token", "list"]).json;
    let mut idents = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|token| token["card"].as_str());
    idents.any(|ident| ident.ends_with(serial))
}

/// Starts pcscd on a socket that is open already, as systemd does: it has no option for it.
fn start_service(place: &Path, socket: &Path) -> Child {
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).expect("a socket");
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec pcscd --foreground --config \"$0\"",
        ])
        .arg(place.join("readers"))
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .stderr(File::create(place.join("pcscd.log")).expect("a log"));
    shell.spawn().expect("sh starts")
}

/// vpcd waits for its two slots' cards at a port and the one after it.
fn two_free_ports() -> u16 {
    let listen = |port: u16| TcpListener::bind(("0.0.0.0", port));
    for _ in 0..50 {
        let first = listen(0).expect("a free port");
        let port = first.local_addr().expect("an address").port();
        if port < u16::MAX && listen(port + 1).is_ok() {
            return port;
        }
    }
    panic!("no two free ports");
}

/// Waits until something is so.
///
/// # Panics
/// If it is not within twenty seconds.
pub fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    wait_for_else(what, is_so, String::new);
}

/// As [`wait_for`]; `else_say` is what the panic says besides.
///
/// # Panics
/// If it is not within twenty seconds.
pub fn wait_for_else(what: &str, is_so: impl Fn() -> bool, else_say: impl Fn() -> String) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "waited too long until {what}\n{}", else_say());
        thread::sleep(Duration::from_millis(25));
    }
}
