//! Commits, tags, the armor in them, and notes: what is signed is the object without what signs it.

use attestation::{
    git::{Commit, Note, Signatures, SignedBytes, Tag},
    openpgp::packets,
};

fn check(bytes: &[u8], signed: &SignedBytes<'_>) {
    let [before, after] = signed.payload();
    assert!(bytes.starts_with(before) && bytes.ends_with(after));
    match signed.signatures() {
        Signatures::None => assert_eq!(before.len() + after.len(), bytes.len()),
        Signatures::OpenPgp(blocks) => {
            assert!(before.len() + after.len() < bytes.len());
            for block in blocks.iter().flatten() {
                let _ = packets(block).count();
            }
        }
        Signatures::NotCounted(_) => assert!(before.len() + after.len() < bytes.len()),
    }
}

/// Reads them.
pub(crate) fn run(bytes: &[u8]) {
    if let Ok(commit) = Commit::parse(bytes) {
        let _ = (commit.tree(), commit.parents().count());
        check(bytes, commit.signed());
        // A commit without its signature is a commit, of the same tree and parents, that nobody signed.
        let bare = commit.signed().payload().concat();
        let bare = Commit::parse(&bare).expect("a commit without its signature");
        assert_eq!(*bare.signed().signatures(), Signatures::None);
        assert!(bare.tree() == commit.tree() && bare.parents().eq(commit.parents()));
    }
    if let Ok(tag) = Tag::parse(bytes) {
        let _ = tag.object();
        check(bytes, tag.signed());
    }
    if let Ok(note) = Note::parse(bytes) {
        assert!(bytes.starts_with(note.payload()));
        let _ = (
            note.commit(),
            note.tree(),
            note.review(),
            packets(note.packets()).count(),
        );
    }
}
