//! Signed git objects, as the bytes that git names: which part is signed, and what claims to sign it.
//!
//! A commit carries its signatures in one header `gpgsig`, and what is signed is the commit without that header
//! (git's `signed commit` in gitformat-signature(5)); a tag carries them at its end, and what is signed is what stands
//! before. Reading is strict, so that git, a person who looks at the commit, and this program see one document: the
//! headers that every commit has stand once and in their order, exactly one header counts as the signature, no other
//! header may be left out of what is signed, and there is no NUL, at which git ends what it shows. A tag that a merge
//! brought (`mergetag`) is part of what is signed, signature and all.
//!
//! Git ids name: that an object is the one of a name is its reader's business.

mod armor;
mod note;

use std::fmt;

use crate::names::GitOid;

pub use armor::ArmorError;
pub use note::{NOTES_REF, Note, NoteBody, NoteError};

/// No object may carry more blocks of signatures: nobody's commit is signed by so many people.
pub const MAX_BLOCKS: usize = 64;

/// A commit, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit<'a> {
    tree: &'a str,
    parents: Vec<&'a str>,
    signed: SignedBytes<'a>,
}

/// An annotated tag, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag<'a> {
    object: &'a str,
    target: &'a str,
    name: &'a str,
    signed: SignedBytes<'a>,
}

/// What of an object is signed, and what claims to sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBytes<'a> {
    payload: [&'a [u8]; 2],
    signatures: Signatures,
}

/// What claims to sign an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signatures {
    /// Nothing.
    None,
    /// OpenPGP: blocks of binary packets, each of one or more people.
    OpenPgp(Vec<Result<Vec<u8>, ArmorError>>),
    /// Of a kind that is not counted.
    NotCounted(OtherKind),
}

/// Kinds of signatures that git makes and that count for nobody here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherKind {
    /// An SSH key's.
    Ssh,
    /// X.509 (S/MIME).
    X509,
    /// An OpenPGP message instead of a detached signature, as ancient versions made.
    PgpMessage,
}

impl fmt::Display for OtherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssh => "SSH",
            Self::X509 => "X.509",
            Self::PgpMessage => "PGP message",
        })
    }
}

/// Why bytes are not a commit or tag that is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitObjectError {
    /// Not the header that must stand here.
    #[error("expected header {expected:?}, found {found:?}")]
    Header {
        /// Which header.
        expected: &'static str,
        /// The beginning of the line.
        found: String,
    },
    /// A header twice, or at a place where it does not stand.
    #[error("header {0:?} stands twice, or out of order")]
    Repeated(String),
    /// The object ends within its headers.
    #[error("the object ends within its headers")]
    CutOff,
    /// Git would leave this header out of what is signed.
    #[error("header {0:?}: of the headers for signatures only gpgsig is taken, since nothing would sign the others")]
    OtherSignatureHeader(String),
    /// Where git ends what it shows.
    #[error("there is a NUL byte in it, at which git ends what it shows")]
    Nul,
}

const PGP_SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const MARKERS: [(&[u8], Option<OtherKind>); 4] = [
    (PGP_SIGNATURE, None),
    (b"-----BEGIN SSH SIGNATURE-----", Some(OtherKind::Ssh)),
    (b"-----BEGIN SIGNED MESSAGE-----", Some(OtherKind::X509)),
    (b"-----BEGIN PGP MESSAGE-----", Some(OtherKind::PgpMessage)),
];

impl<'a> Commit<'a> {
    /// Reads a commit object's content (without git's `commit <length>` in front).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GitObjectError> {
        refuse_nul(bytes)?;
        let mut lines = Lines { bytes, at: 0 };
        let tree = oid("tree", lines.header()?)?;
        let mut parents = Vec::new();
        let author = loop {
            let line = lines.header()?;
            match line.strip_prefix(b"parent ") {
                Some(_) => parents.push(oid("parent", line)?),
                None => break line,
            }
        };
        expect("author", author)?;
        expect("committer", lines.header()?)?;

        let mut signature = None;
        loop {
            let start = lines.at;
            let line = lines.next()?;
            if line.is_empty() {
                break;
            }
            let keyword = keyword(line)?;
            let is_signature = keyword == b"gpgsig";
            if keyword.starts_with(b"gpgsig") && !is_signature {
                return Err(GitObjectError::OtherSignatureHeader(text(keyword)));
            }
            let once: [&[u8]; 5] = [b"tree", b"parent", b"author", b"committer", b"gpgsig"];
            if once.contains(&keyword) && (!is_signature || signature.is_some()) {
                return Err(GitObjectError::Repeated(text(keyword)));
            }
            lines.skip_continuation();
            if is_signature {
                signature = Some((start, lines.at));
            }
        }
        let signed = match signature {
            None => SignedBytes {
                payload: [bytes, &[]],
                signatures: Signatures::None,
            },
            Some((start, end)) => SignedBytes {
                payload: [&bytes[..start], &bytes[end..]],
                signatures: Signatures::read(continued(&bytes[start + b"gpgsig ".len()..end])),
            },
        };
        Ok(Self { tree, parents, signed })
    }

    /// The tree that it names.
    pub fn tree(&self) -> GitOid {
        known(self.tree)
    }

    /// The parents that it names.
    pub fn parents(&self) -> impl Iterator<Item = GitOid> {
        self.parents.iter().map(|parent| known(parent))
    }

    /// What is signed, and what claims to sign it.
    pub const fn signed(&self) -> &SignedBytes<'a> {
        &self.signed
    }
}

impl<'a> Tag<'a> {
    /// Reads a tag object's content.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GitObjectError> {
        refuse_nul(bytes)?;
        let mut lines = Lines { bytes, at: 0 };
        let object = oid("object", lines.header()?)?;
        let target = word("type", lines.header()?)?;
        let name = word("tag", lines.header()?)?;
        let line = lines.next()?;
        if !line.is_empty() {
            expect("tagger", line)?;
            let line = lines.next()?;
            if !line.is_empty() {
                let keyword = keyword(line)?;
                return Err(if keyword.starts_with(b"gpgsig") {
                    GitObjectError::OtherSignatureHeader(text(keyword))
                } else {
                    GitObjectError::Repeated(text(keyword))
                });
            }
        }
        // Git takes the last line that begins as a signature does, which leaves an earlier one in what is signed; of
        // several people's blocks each is over what stands before the first.
        let message = lines.at;
        let begins = |start: &usize| MARKERS.iter().any(|(marker, _)| bytes[*start..].starts_with(marker));
        let end = line_starts(bytes, message).find(begins);
        let signed = match end {
            None => SignedBytes {
                payload: [bytes, &[]],
                signatures: Signatures::None,
            },
            Some(end) => SignedBytes {
                payload: [&bytes[..end], &[]],
                signatures: Signatures::read(bytes[end..].split_inclusive(|byte| *byte == b'\n').map(trim_newline)),
            },
        };
        Ok(Self {
            object,
            target,
            name,
            signed,
        })
    }

    /// The object that it names.
    pub fn object(&self) -> GitOid {
        known(self.object)
    }

    /// The kind of object that it says it names: `commit`, as a rule.
    pub const fn target(&self) -> &'a str {
        self.target
    }

    /// The tag's own name: under another ref it is another's tag.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// What is signed, and what claims to sign it.
    pub const fn signed(&self) -> &SignedBytes<'a> {
        &self.signed
    }
}

impl<'a> SignedBytes<'a> {
    /// What is signed, in two pieces that follow each other.
    pub const fn payload(&self) -> [&'a [u8]; 2] {
        self.payload
    }

    /// What claims to sign it.
    pub const fn signatures(&self) -> &Signatures {
        &self.signatures
    }
}

impl Signatures {
    fn read<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let Some(first) = lines.next() else {
            return Self::OpenPgp(vec![Err(ArmorError::Malformed("empty"))]);
        };
        let kind = MARKERS.iter().find(|(marker, _)| first.starts_with(marker));
        match kind.and_then(|(_, kind)| *kind) {
            Some(other) => Self::NotCounted(other),
            None => Self::OpenPgp(armor::blocks(std::iter::once(first).chain(lines), MAX_BLOCKS)),
        }
    }
}

/// Lines of an object's head.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// The next line, without its end.
    fn next(&mut self) -> Result<&'a [u8], GitObjectError> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or(GitObjectError::CutOff)?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// The next line, which must not end the head.
    fn header(&mut self) -> Result<&'a [u8], GitObjectError> {
        match self.next()? {
            [] => Err(GitObjectError::CutOff),
            line => Ok(line),
        }
    }

    /// Passes over lines that belong to the header before.
    fn skip_continuation(&mut self) {
        while self.bytes.get(self.at) == Some(&b' ') {
            if self.next().is_err() {
                self.at = self.bytes.len();
            }
        }
    }
}

fn refuse_nul(bytes: &[u8]) -> Result<(), GitObjectError> {
    if bytes.contains(&0) {
        Err(GitObjectError::Nul)
    } else {
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned()
}

fn mismatch(expected: &'static str, line: &[u8]) -> GitObjectError {
    GitObjectError::Header {
        expected,
        found: text(line),
    }
}

/// What stands before the space.
fn keyword(line: &[u8]) -> Result<&[u8], GitObjectError> {
    let end = line.iter().position(|byte| *byte == b' ');
    match end {
        Some(end) if end > 0 => Ok(&line[..end]),
        _ => Err(mismatch("keyword and value", line)),
    }
}

fn expect(keyword: &'static str, line: &[u8]) -> Result<(), GitObjectError> {
    value(keyword, line).map(|_| ())
}

fn value<'a>(keyword: &'static str, line: &'a [u8]) -> Result<&'a [u8], GitObjectError> {
    line.strip_prefix(keyword.as_bytes())
        .and_then(|rest| rest.strip_prefix(b" "))
        .ok_or_else(|| mismatch(keyword, line))
}

fn word<'a>(keyword: &'static str, line: &'a [u8]) -> Result<&'a str, GitObjectError> {
    let word = str::from_utf8(value(keyword, line)?).ok();
    word.filter(|word| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control()))
        .ok_or_else(|| mismatch(keyword, line))
}

fn oid<'a>(keyword: &'static str, line: &'a [u8]) -> Result<&'a str, GitObjectError> {
    let text = str::from_utf8(value(keyword, line)?).ok();
    text.filter(|text| text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
        .ok_or_else(|| mismatch(keyword, line))
}

/// An id that [`oid`] has read.
fn known(text: &str) -> GitOid {
    text.parse().expect("checked when the object was read")
}

fn line_starts(bytes: &[u8], from: usize) -> impl Iterator<Item = usize> {
    let newlines = bytes[from..].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    std::iter::once(from).chain(newlines.map(move |(index, _)| from + index + 1))
}

fn trim_newline(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// The lines of a header's value: each but the first begins with a space that is not part of it.
fn continued(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = value.split_inclusive(|byte| *byte == b'\n').map(trim_newline);
    lines
        .enumerate()
        .map(|(index, line)| if index == 0 { line } else { line.get(1..).unwrap_or(&[]) })
}
