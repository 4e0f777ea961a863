//! Asking the user for a PIN: by a file descriptor that they name, by their pinentry, or on the terminal with echo off.
//!
//! Never on the command line, in the environment or in a log. What is read is wiped when it is dropped, and nothing
//! here remembers it.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    path::PathBuf,
    sync::Mutex,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signer::{
    CardIdent,
    pin::{PinError, PinRequest, Prompt, SecretString},
    pinentry::Pinentry,
};
use zeroize::Zeroizing;

use crate::{
    exit::{Exit, OrExit as _, Outcome},
    output,
};

/// No PIN is longer (OpenPGP card 3.4: 127 bytes).
const LONGEST: usize = 128;

const TERMINAL: &str = "/dev/tty";

/// Who asks the user.
pub(crate) enum AtDesk {
    /// Lines of this file, one for each question.
    Lines(Mutex<File>),
    /// The user's pinentry, or else the terminal.
    User,
}

impl AtDesk {
    /// Asks the user, or reads from the file descriptor of that number.
    pub(crate) fn new(pin_fd: Option<u32>) -> Outcome<Self> {
        let Some(number) = pin_fd else { return Ok(Self::User) };
        let file = File::open(format!("/proc/self/fd/{number}"));
        let file = file.or_exit_with(Exit::Usage, || {
            format!("hand an open file descriptor to it: assay … --pin-fd {number} {number}<FILE")
        })?;
        Ok(Self::Lines(Mutex::new(file)))
    }
}

impl Prompt for AtDesk {
    fn pin(&self, request: &PinRequest<'_>) -> Result<SecretString, PinError> {
        match self {
            Self::Lines(file) => {
                let mut file = file.lock().map_err(|_| PinError::Cancelled)?;
                let pin = read_line(&mut *file).map_err(|error| PinError::Failed {
                    program: "--pin-fd".to_owned(),
                    said: error.to_string(),
                })?;
                pin.ok_or(PinError::Cancelled)
            }
            Self::User => ask_user(request),
        }
    }

    fn touch(&self, token: &CardIdent, seconds: u64) {
        output::note(&format!("touch token {token} now: it waits {seconds} seconds"));
    }
}

fn ask_user(request: &PinRequest<'_>) -> Result<SecretString, PinError> {
    if let Some(program) = pinentry() {
        let pinentry = Pinentry {
            program,
            tty: OpenOptions::new()
                .read(true)
                .open(TERMINAL)
                .ok()
                .and_then(|_| terminal_name()),
            terminal: env::var("TERM").ok(),
        };
        match pinentry.ask(request) {
            Err(error @ PinError::Failed { .. }) => output::warn(&format!("{error}; asking on the terminal")),
            asked => return asked,
        }
    }
    ask_on_terminal(request)
}

/// The program that the user's gpg-agent is told to use, else `pinentry` of the `PATH`.
fn pinentry() -> Option<PathBuf> {
    let home = env::var_os("GNUPGHOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".gnupg")));
    let configured = home.and_then(|home| fs::read_to_string(home.join("gpg-agent.conf")).ok());
    let configured = configured.and_then(|text| {
        let mut lines = text.lines();
        lines.find_map(|line| Some(PathBuf::from(line.trim().strip_prefix("pinentry-program")?.trim())))
    });
    configured.or_else(|| {
        let path = env::var_os("PATH")?;
        env::split_paths(&path)
            .map(|folder| folder.join("pinentry"))
            .find(|program| program.is_file())
    })
}

/// The name of the terminal: a pinentry is another process, for which `/dev/tty` may be another one.
fn terminal_name() -> Option<PathBuf> {
    [0, 1, 2].into_iter().find_map(|number| {
        let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
        (target.starts_with("/dev/pts") || target.starts_with("/dev/tty")).then_some(target)
    })
}

fn ask_on_terminal(request: &PinRequest<'_>) -> Result<SecretString, PinError> {
    let failed = |error: io::Error| PinError::Failed {
        program: "the terminal".to_owned(),
        said: error.to_string(),
    };
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(TERMINAL)
        .map_err(|_| PinError::Nobody)?;
    for line in request.why {
        writeln!(terminal, "{}", output::printable(line)).map_err(failed)?;
    }
    write!(terminal, "{} of token {}", request.kind, request.token).map_err(failed)?;
    if let Some(tries) = request.tries {
        write!(terminal, " ({tries} tries left)").map_err(failed)?;
    }
    write!(terminal, ": ").map_err(failed)?;
    let silent = Silent::new(&terminal).map_err(failed)?;
    let pin = read_line(&mut terminal);
    drop(silent);
    writeln!(terminal).map_err(failed)?;
    pin.map_err(failed)?.ok_or(PinError::Cancelled)
}

/// A terminal without echo, until it is dropped. Ctrl-C is read as a character, so that it cannot leave it silent.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn new(terminal: &File) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// A line, byte by byte: a buffer that reads ahead would keep a copy. `None` at the end, for an empty line and for Ctrl-C.
fn read_line(from: &mut impl Read) -> io::Result<Option<SecretString>> {
    const CTRL_C: u8 = 3;
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = Zeroizing::new([0]);
    while from.read(&mut *byte)? == 1 && byte[0] != b'\n' {
        match byte[0] {
            CTRL_C => return Ok(None),
            b'\r' => {}
            _ if line.len() == LONGEST => return Err(io::Error::other("a PIN of more than 128 bytes")),
            other => line.push(other),
        }
    }
    if line.is_empty() {
        return Ok(None);
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::Error::other("a PIN that is not UTF-8"))?;
    // Boxed at its exact size: no copy is left behind.
    Ok(Some(SecretString::from(Box::<str>::from(text))))
}

#[cfg(test)]
mod tests {
    use signer::pin::ExposeSecret as _;

    use super::*;

    #[test]
    fn each_question_takes_one_line() {
        let mut lines = &b"123456\r\n87654321"[..];
        let mut next = || read_line(&mut lines).unwrap().map(|pin| pin.expose_secret().to_owned());
        assert_eq!(next().as_deref(), Some("123456"));
        assert_eq!(next().as_deref(), Some("87654321"));
        assert_eq!(next(), None);
    }

    #[test]
    fn refuses_a_pin_without_end() {
        assert!(read_line(&mut &[b'1'; 1000][..]).is_err());
    }
}
