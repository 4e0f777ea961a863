//! What `assay git-sig sign` signs and writes: a line of git-sig 0.3's notes in `refs/notes/signatures`.
//!
//! ```text
//! sig:v0:<commit>:<tree>:<review|null>:pgp:<base64 of one binary detached signature>
//! ```
//!
//! What is signed is the line up to and including `pgp`. It names commit and tree by SHA-1, so it binds a name and
//! proves nothing about content.
//!
//! A body begins with `sig:v0:`, which no statement (`DSSEv1 `), TUF file (`{`) or git object (`tree `, `object `)
//! does: no signature over one is a signature over another.

use std::fmt;

use data_encoding::BASE64;

use crate::names::GitOid;

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
