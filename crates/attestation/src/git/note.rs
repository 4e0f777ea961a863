//! A line of git-sig's notes (`refs/notes/signatures`): a detached signature over the names of a commit and its tree.
//!
//! `sig:v0:<commit>:<tree>:<review or null>:pgp:<base64 of a binary detached signature>`; what is signed is the line
//! up to and including `pgp`. It binds SHA-1 names only, so it counts beside a signature in the commit, or where SHA-1
//! is good enough for who asks; never where a digest is signed.
//!
//! A body begins with `sig:v0:`, which no statement (`DSSEv1 `), TUF file (`{`) or git object (`tree `, `object `)
//! does: no signature over one is a signature over another.

use std::fmt;

use data_encoding::BASE64;

use crate::{base64, names::GitOid};

/// The ref that holds the notes.
pub const NOTES_REF: &str = "refs/notes/signatures";

/// What a note's signature is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteBody {
    /// The commit.
    pub commit: GitOid,
    /// Its tree.
    pub tree: GitOid,
}

impl NoteBody {
    /// The exact bytes that are signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// The line that carries a signature over this, without its end.
    pub fn to_line(&self, packet: &[u8]) -> String {
        format!("{self}:{}", BASE64.encode(packet))
    }
}

impl fmt::Display for NoteBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sig:v0:{}:{}:null:pgp", self.commit, self.tree)
    }
}

/// A line of notes, not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    commit: &'a str,
    tree: &'a str,
    review: Option<&'a str>,
    payload: &'a [u8],
    packets: Vec<u8>,
}

/// Why a line is no signature note. It spoils none beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a line sig:v0:<commit>:<tree>:<review or null>:pgp:<base64>: {0}")]
pub struct NoteError(&'static str);

impl<'a> Note<'a> {
    /// Reads one line, without its end.
    pub fn parse(line: &'a [u8]) -> Result<Self, NoteError> {
        let line_text = str::from_utf8(line).map_err(|_| NoteError("not UTF-8"))?;
        let fields: Vec<&str> = line_text.split(':').collect();
        let ["sig", "v0", commit, tree, review, "pgp", text] = fields[..] else {
            return Err(NoteError("other fields"));
        };
        for id in [commit, tree] {
            id.parse::<GitOid>().map_err(|_| NoteError("not a git id"))?;
        }
        let review = (review != "null").then_some(review);
        if review.is_some_and(|review| review.parse::<GitOid>().is_err()) {
            return Err(NoteError("the review is neither a git id nor null"));
        }
        Ok(Self {
            commit,
            tree,
            review,
            payload: &line[..line.len() - text.len() - 1],
            packets: base64::decode(text.as_bytes()).ok_or(NoteError("not padded base64"))?,
        })
    }

    /// The commit that it names.
    pub fn commit(&self) -> GitOid {
        self.commit.parse().expect("checked when the line was read")
    }

    /// The tree that it names.
    pub fn tree(&self) -> GitOid {
        self.tree.parse().expect("checked when the line was read")
    }

    /// The review that it names.
    pub const fn review(&self) -> Option<&'a str> {
        self.review
    }

    /// What is signed.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Binary signature packets.
    pub fn packets(&self) -> &[u8] {
        &self.packets
    }
}
