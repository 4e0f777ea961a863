//! A tar archive with nothing in it that varies, in GNU's format: what Nix unpacks a channel or a flake's input from.
//!
//! Written by hand because crate `tar` tidies symlink targets (`a//b` becomes `a/b`), which would change the tree.
//! Source: GNU tar manual, "Basic Tar Format".

use std::io::{self, Write};

const RECORD: usize = 512;

/// The longest name or symlink target that a header holds; longer ones precede it as a file of their own.
const NAME: usize = 100;

/// Eleven octal digits.
const MAX_NUMBER: u64 = 0o777_7777_7777;

/// Writes entries; paths are relative and need no check here.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    mtime: u64,
}

impl<W: Write> Writer<W> {
    /// `mtime` in seconds since 1970, before the year 2242.
    pub fn new(out: W, mtime: u64) -> io::Result<Self> {
        octal(mtime)?;
        Ok(Self { out, mtime })
    }

    /// A directory, 0755.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(b'5', 0o755, format!("{path}/").as_bytes(), b"", 0)
    }

    /// A regular file, 0644 or 0755.
    pub fn file(&mut self, path: &str, executable: bool, contents: &[u8]) -> io::Result<()> {
        let mode = if executable { 0o755 } else { 0o644 };
        self.entry(b'0', mode, path.as_bytes(), b"", contents.len() as u64)?;
        self.padded(contents)
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, target: &[u8]) -> io::Result<()> {
        self.entry(b'2', 0o777, path.as_bytes(), target, 0)
    }

    /// Ends the archive and gives back what took it.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * RECORD])?;
        Ok(self.out)
    }

    fn entry(&mut self, kind: u8, mode: u64, path: &[u8], target: &[u8], size: u64) -> io::Result<()> {
        for (kind, name) in [(b'K', target), (b'L', path)] {
            if name.len() > NAME {
                let text = [name, b"\0"].concat();
                self.header(kind, 0o644, b"././@LongLink", b"", text.len() as u64, 0)?;
                self.padded(&text)?;
            }
        }
        self.header(kind, mode, path, target, size, self.mtime)
    }

    fn header(&mut self, kind: u8, mode: u64, path: &[u8], target: &[u8], size: u64, mtime: u64) -> io::Result<()> {
        let mut header = [0_u8; RECORD];
        put(&mut header, 0, path);
        put(&mut header, 100, &octal(mode)?[4..]);
        put(&mut header, 108, b"0000000");
        put(&mut header, 116, b"0000000");
        put(&mut header, 124, &octal(size)?);
        put(&mut header, 136, &octal(mtime)?);
        put(&mut header, 156, &[kind]);
        put(&mut header, 157, target);
        put(&mut header, 257, b"ustar  \0");
        // The sum is taken over a header whose checksum is blank.
        put(&mut header, 148, b"        ");
        let sum: u64 = header.iter().copied().map(u64::from).sum();
        put(&mut header, 148, &octal(sum)?[5..]);
        put(&mut header, 154, b"\0 ");
        self.out.write_all(&header)
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        let used = bytes.len() % RECORD;
        self.out.write_all(if used == 0 { &[] } else { &[0; RECORD][used..] })
    }
}

/// Puts a field, cut to the 100 bytes of the longest kind.
fn put(header: &mut [u8; RECORD], offset: usize, field: &[u8]) {
    let field = &field[..field.len().min(NAME)];
    header[offset..offset + field.len()].copy_from_slice(field);
}

/// Eleven octal digits.
fn octal(number: u64) -> io::Result<[u8; 11]> {
    if number > MAX_NUMBER {
        let message = format!("expected a number of at most {MAX_NUMBER} for a tar header, found {number}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut digits = [b'0'; 11];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit |= rest.to_le_bytes()[0] & 7;
        rest >>= 3;
    }
    Ok(digits)
}
