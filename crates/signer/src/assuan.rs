//! The little of the Assuan protocol that pinentry and gpg-agent need: commands, data, status lines, errors.
//! (libassuan manual, "Client responses" and "Server responses".)

use std::io::{self, Read, Write};

use zeroize::Zeroizing;

/// A line is at most this long.
const LINE: usize = 1002;

/// More data than anybody sends us.
const MOST: usize = 1 << 16;

/// What the other side said to a command.
pub(crate) struct Answer {
    /// Its data, decoded. It may be a PIN, so it is wiped.
    pub(crate) data: Zeroizing<Vec<u8>>,
    /// Its status lines, without the `S`.
    pub(crate) status: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssuanError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side refused; its error code and words.
    #[error("{said}")]
    Refused {
        /// libgpg-error's number.
        code: u32,
        /// The words beside it.
        said: String,
    },
    /// Not the protocol.
    #[error("it does not speak Assuan")]
    Protocol,
}

impl AssuanError {
    /// libgpg-error's number without the part that says where it comes from.
    pub(crate) fn code(&self) -> Option<u32> {
        match self {
            Self::Refused { code, .. } => Some(code & 0xffff),
            _ => None,
        }
    }
}

/// A connection.
pub(crate) struct Assuan<R, W> {
    from: R,
    to: W,
}

impl<R: Read, W: Write> Assuan<R, W> {
    /// Reads the greeting.
    pub(crate) fn new(from: R, to: W) -> Result<Self, AssuanError> {
        let mut connection = Self { from, to };
        connection.answer()?;
        Ok(connection)
    }

    /// Sends a command and reads all of its answer. What the other side asks meanwhile is not answered.
    pub(crate) fn ask(&mut self, command: &str) -> Result<Answer, AssuanError> {
        debug_assert!(command.len() < LINE && !command.contains('\n'));
        self.to.write_all(command.as_bytes())?;
        self.to.write_all(b"\n")?;
        self.to.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer, AssuanError> {
        // Room from the start: what grows leaves copies behind.
        let mut answer = Answer {
            data: Zeroizing::new(Vec::with_capacity(MOST)),
            status: Vec::new(),
        };
        loop {
            let line = self.line()?;
            match word(&line) {
                (b"OK", _) => return Ok(answer),
                (b"ERR", rest) => return Err(refusal(rest)),
                (b"D", data) => decode(data, &mut answer.data)?,
                (b"S", status) => answer.status.push(String::from_utf8_lossy(status).into_owned()),
                (b"INQUIRE", _) => {
                    self.to.write_all(b"CAN\n")?;
                    self.to.flush()?;
                }
                (b"" | b"#", _) => {}
                _ if line.starts_with(b"#") => {}
                _ => return Err(AssuanError::Protocol),
            }
        }
    }

    /// Byte by byte: a buffer that reads ahead would keep a copy.
    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, AssuanError> {
        let mut line = Zeroizing::new(Vec::with_capacity(LINE));
        let mut byte = Zeroizing::new([0]);
        loop {
            if self.from.read(&mut *byte)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            match byte[0] {
                b'\n' => return Ok(line),
                _ if line.len() == LINE => return Err(AssuanError::Protocol),
                other => line.push(other),
            }
        }
    }
}

fn word(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, &[]),
    }
}

fn refusal(rest: &[u8]) -> AssuanError {
    let text = String::from_utf8_lossy(rest);
    let (code, said) = text.split_once(' ').unwrap_or((&text, ""));
    match code.parse() {
        Ok(code) => AssuanError::Refused {
            code,
            said: said.to_owned(),
        },
        Err(_) => AssuanError::Protocol,
    }
}

/// `%XX` is a byte.
fn decode(data: &[u8], into: &mut Vec<u8>) -> Result<(), AssuanError> {
    let mut rest = data;
    while let [first, after @ ..] = rest {
        if into.len() == MOST {
            return Err(AssuanError::Protocol);
        }
        if *first == b'%' {
            let [high, low, after @ ..] = after else {
                return Err(AssuanError::Protocol);
            };
            let digit = |byte: &u8| {
                char::from(*byte)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            };
            let (Some(high), Some(low)) = (digit(high), digit(low)) else {
                return Err(AssuanError::Protocol);
            };
            into.push(high << 4 | low);
            rest = after;
        } else {
            into.push(*first);
            rest = after;
        }
    }
    Ok(())
}

/// Text as the argument of a command.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'%' | b'\n' | b'\r' => out.push_str(&format!("%{byte:02X}")),
            byte if byte.is_ascii() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Answer, AssuanError> {
        Assuan::new(&b"OK hello\n"[..], Vec::new())?;
        Assuan {
            from: text.as_bytes(),
            to: Vec::new(),
        }
        .answer()
    }

    #[test]
    fn data_and_status_are_read_until_ok() {
        let answer = said("# a comment\nS SERIALNO 01\nD ab%25%0a\nD c\nOK\n").unwrap();
        assert_eq!(answer.data.as_slice(), b"ab%\nc");
        assert_eq!(answer.status, ["SERIALNO 01"]);
    }

    #[test]
    fn a_refusal_has_its_code() {
        let error = said("ERR 83886179 Operation cancelled <Pinentry>\n")
            .map(drop)
            .unwrap_err();
        assert_eq!(error.code(), Some(99));
    }

    #[test]
    fn refuses_what_is_not_assuan() {
        for text in ["HTTP/1.1 200 OK\n", "D %4\nOK\n", "D %zz\nOK\n"] {
            assert!(matches!(said(text).map(drop), Err(AssuanError::Protocol)), "{text}");
        }
        assert!(said("OK").map(drop).is_err(), "cut off");
        assert!(
            said(&format!("D {}\nOK\n", "a".repeat(2000))).map(drop).is_err(),
            "a long line"
        );
    }
}
