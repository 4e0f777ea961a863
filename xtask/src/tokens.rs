//! Virtual tokens for made-up people: each has a reader service of their own and a card in it, as on a machine of their own.
//!
//! pcscd takes its socket as systemd hands it over, and its clients find it by `PCSCLITE_CSOCK_NAME`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::failure::{Failure, Result};
use crate::setup;

/// Debian's driver of virtual readers.
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// The PIN and the admin PIN of every virtual token, and those of the factory.
const PINS: [(&str, &str, &str); 2] = [("pin", "123456", "7439217"), ("admin-pin", "12345678", "864209753")];

/// The tokens of some people.
#[derive(Debug)]
pub(crate) struct Tokens {
    people: BTreeMap<String, Token>,
}

/// Somebody's token, and the reader service of their machine. Both end with it.
#[derive(Debug)]
struct Token {
    folder: PathBuf,
    processes: Vec<Child>,
}

impl Tokens {
    /// Plugs a token in for each person, below `folder/<person>/token`.
    pub(crate) fn plug_in(folder: &Path, people: &[&str]) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (index, person) in people.iter().enumerate() {
            let serial = format!("{:08}", index + 1);
            let token = Token::plug_in(&folder.join(person).join("token"), &serial)?;
            all.insert((*person).to_owned(), token);
        }
        Ok(Self { people: all })
    }

    /// Where a person's reader service listens, if they have a token.
    pub(crate) fn socket(&self, person: &str) -> Option<PathBuf> {
        Some(self.people.get(person)?.folder.join("pcscd.comm"))
    }

    /// The file with what a person types when they are asked for a PIN.
    pub(crate) fn pin(&self, person: &str) -> Option<PathBuf> {
        Some(self.people.get(person)?.folder.join("pin.typed"))
    }

    /// The same for other questions: `change-pin`, `change-admin-pin`, `enroll`.
    pub(crate) fn typed(&self, person: &str, what: &str) -> Option<PathBuf> {
        Some(self.people.get(person)?.folder.join(format!("{what}.typed")))
    }
}

impl Token {
    fn plug_in(folder: &Path, serial: &str) -> Result<Self> {
        let failed = || Failure::io(format!("prepare a token in {}", folder.display()));
        fs::create_dir_all(folder.join("readers")).map_err(failed())?;
        let port = two_free_ports().map_err(failed())?;
        let configuration = format!(
            "FRIENDLYNAME \"Virtual reader\"\nDEVICENAME /dev/null:0x{port:04X}\nLIBPATH {DRIVER}\nCHANNELID 0x{port:04X}\n"
        );
        fs::write(folder.join("readers/virtual"), configuration).map_err(failed())?;
        let [(_, _, pin), (_, _, admin)] = PINS;
        fs::write(folder.join("pin.typed"), format!("{pin}\n")).map_err(failed())?;
        fs::write(folder.join("enroll.typed"), format!("{admin}\n{pin}\n")).map_err(failed())?;
        for (name, factory, new) in PINS {
            let typed = format!("{factory}\n{new}\n{new}\n");
            fs::write(folder.join(format!("change-{name}.typed")), typed).map_err(failed())?;
        }
        let listener = UnixListener::bind(folder.join("pcscd.comm")).map_err(failed())?;
        let mut service = Command::new("sh");
        service
            .args([
                "-c",
                "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec pcscd --foreground --config \"$0\"",
            ])
            .arg(folder.join("readers"))
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("pcscd.log")).map_err(failed())?);
        let mut card = Command::new(setup::virtual_card());
        card.args(["--port", &port.to_string(), "--serial", serial, "--state"])
            .arg(folder.join("contents"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("card.log")).map_err(failed())?);
        let mut token = Self {
            folder: folder.to_owned(),
            processes: Vec::new(),
        };
        for mut command in [service, card] {
            token.processes.push(command.spawn().map_err(failed())?);
        }
        Ok(token)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The virtual reader waits for the cards of its two slots at a port and the one after it.
fn two_free_ports() -> std::io::Result<u16> {
    let listen = |port: u16| TcpListener::bind(("0.0.0.0", port));
    for _ in 0..50 {
        let first = listen(0)?;
        let port = first.local_addr()?.port();
        if port < u16::MAX && listen(port + 1).is_ok() {
            return Ok(port);
        }
    }
    Err(std::io::ErrorKind::AddrInUse.into())
}
