//! The user's own pinentry.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    assuan::{self, Assuan, AssuanError},
    pin::{PinError, PinRequest, SecretString},
};

/// libgpg-error's number for "the user pressed cancel".
const CANCELLED: u32 = 99;

/// pinentry's window does not grow beyond a screen: of more lines than this, it says how many there are.
const LINES: usize = 12;

/// A pinentry program, and the terminal that it may use.
#[derive(Debug, Clone)]
pub struct Pinentry {
    /// The program.
    pub program: PathBuf,
    /// The user's terminal, for a pinentry that has no window.
    pub tty: Option<PathBuf>,
    /// The kind of the terminal (`TERM`).
    pub terminal: Option<String>,
}

impl Pinentry {
    /// Asks. What is shown is the request, whole.
    pub fn ask(&self, request: &PinRequest<'_>) -> Result<SecretString, PinError> {
        let failed = |said: String| PinError::Failed {
            program: self.program.display().to_string(),
            said,
        };
        let mut child = Command::new(&self.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no pipes".to_owned()));
        };
        let asked = self.converse(from, to, request);
        // The pipes are closed by now, so it ends.
        let _ = child.wait();
        asked.map_err(|error| match error.code() {
            Some(CANCELLED) => PinError::Cancelled,
            _ => failed(error.to_string()),
        })
    }

    fn converse(
        &self,
        from: impl std::io::Read,
        to: impl std::io::Write,
        request: &PinRequest<'_>,
    ) -> Result<SecretString, AssuanError> {
        let mut pinentry = Assuan::new(from, to)?;
        let option = |name: &str, value: &Path| format!("OPTION {name}={}", assuan::encode(&value.to_string_lossy()));
        if let Some(tty) = &self.tty {
            pinentry.ask(&option("ttyname", tty))?;
        }
        if let Some(terminal) = &self.terminal {
            pinentry.ask(&option("ttytype", Path::new(terminal)))?;
        }
        pinentry.ask("SETTITLE assay")?;
        pinentry.ask(&format!("SETPROMPT {}", assuan::encode(&format!("{}:", request.kind))))?;
        pinentry.ask(&format!("SETDESC {}", cut(&assuan::encode(&description(request)))))?;
        let answer = pinentry.ask("GETPIN")?;
        let text = std::str::from_utf8(&answer.data).map_err(|_| AssuanError::Protocol)?;
        // Boxed at its exact size: no copy is left behind.
        Ok(SecretString::from(Box::<str>::from(text)))
    }
}

fn description(request: &PinRequest<'_>) -> String {
    let mut text = format!("The {} of token {}", request.kind, request.token);
    if let Some(tries) = request.tries {
        let _ = write!(text, " ({tries} tries left)");
    }
    for line in request.why.iter().take(LINES) {
        let _ = write!(text, "\n{line}");
    }
    if request.why.len() > LINES {
        let _ = write!(
            text,
            "\nand {} more, all of them listed on the terminal",
            request.why.len() - LINES
        );
    }
    text
}

/// Assuan's lines have an end. An escape is not cut in two.
fn cut(encoded: &str) -> &str {
    const ROOM: usize = 900;
    if encoded.len() <= ROOM {
        return encoded;
    }
    let end = encoded[..ROOM].rfind('%').filter(|at| at + 3 > ROOM).unwrap_or(ROOM);
    &encoded[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pin::{ExposeSecret as _, PinKind};

    fn pinentry(answer: &str) -> Result<SecretString, AssuanError> {
        let token = "FFFE:00000001".parse().unwrap();
        let request = PinRequest {
            kind: PinKind::User,
            token: &token,
            tries: Some(3),
            why: &["release 3 of unstable".to_owned()],
        };
        let program = Pinentry {
            program: "pinentry".into(),
            tty: None,
            terminal: None,
        };
        let mut said = Vec::new();
        let pin = program.converse(format!("OK\nOK\nOK\nOK\n{answer}\n").as_bytes(), &mut said, &request);
        let said = String::from_utf8(said).unwrap();
        assert!(
            said.contains("release 3 of unstable") && said.contains("3 tries left"),
            "{said}"
        );
        pin
    }

    #[test]
    fn the_pin_is_what_was_typed() {
        assert_eq!(pinentry("D 12%2534\nOK").unwrap().expose_secret(), "12%34");
    }

    #[test]
    fn cancelling_is_told_apart() {
        assert_eq!(pinentry("ERR 83886179 cancelled").unwrap_err().code(), Some(CANCELLED));
    }

    #[test]
    fn a_long_description_is_cut_between_escapes() {
        let long = "ä".repeat(400);
        let cut = cut(&assuan::encode(&long)).to_owned();
        assert!(cut.len() <= 900 && cut.len().is_multiple_of(3), "{}", cut.len());
    }
}
