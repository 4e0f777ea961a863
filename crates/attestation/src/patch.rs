//! From one unpacked channel to another: what a patch says, apart from the contents of files. docs/formats.md, "Patches".
//!
//! A patch is a list of the paths at which the new tree differs from the old, and the contents of its new files. Both
//! are compressed elsewhere; here is the list, in its one spelling. Channels write it, subscribers read it.

use std::cmp::Ordering;

/// What a patch begins with.
pub const MAGIC: &[u8] = b"touchstone-patch-1\n";

/// The longest list, in bytes.
pub const MAX_LIST: u64 = 64 << 20;

/// The most bytes of new files, and of old ones that these are compressed against: both are held in memory.
pub const MAX_CONTENTS: u64 = 256 << 20;

/// A path below the top of an unpacked channel: names between single slashes, none of them `.` or `..`.
///
/// Paths are in the order in which a tree is walked, siblings by the bytes of their names: what is in a directory comes
/// after it, and before the next sibling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PatchPath(String);

/// What the new tree has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Nothing any more. If it was a directory, neither what was in it.
    Absent,
    /// A directory where there was none.
    Directory,
    /// A regular file with new contents or another mode.
    File {
        /// Whether it has the executable bit.
        executable: bool,
        /// The length of its contents.
        length: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Its target.
        target: Vec<u8>,
    },
}

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub path: PatchPath,
    /// What is there in the new tree.
    pub node: Node,
}

/// Every path that differs, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatchList(Vec<Entry>);

/// Why bytes are no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchListError {
    /// It ends in the middle of an entry.
    #[error("expected a whole entry at byte {at}, found the end")]
    Truncated {
        /// Where the entry begins or goes on.
        at: usize,
    },
    /// An entry of no known kind.
    #[error("expected one of the kinds -, d, f, x and l, found byte {found}")]
    Kind {
        /// The byte.
        found: u8,
    },
    /// A path that is absolute, leaves the tree, or has two spellings.
    #[error("expected a relative path without empty, . or .. components, found {found:?}")]
    Path {
        /// The bytes, as text.
        found: String,
    },
    /// An entry that does not come after the one before.
    #[error("{found:?} stands after {before:?}")]
    Order {
        /// The path before.
        before: String,
        /// The path.
        found: String,
    },
    /// Something below a path that is no directory in the new tree.
    #[error("{found:?} is below {above:?}, which is no directory any more")]
    BelowLeaf {
        /// What is no directory.
        above: String,
        /// What is below it.
        found: String,
    },
}

impl PatchPath {
    /// The path, if it is one.
    pub fn new(text: &str) -> Option<Self> {
        let plain = |name: &str| !matches!(name, "" | "." | "..") && name.len() <= 255;
        let well_formed = text.len() <= 4096 && !text.contains('\0') && text.split('/').all(plain);
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory that it is in; `None` at the top.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// Whether it is somewhere below `directory`.
    pub fn is_below(&self, directory: &Self) -> bool {
        self.0
            .strip_prefix(directory.as_str())
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Ord for PatchPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.split('/').cmp(other.0.split('/'))
    }
}

impl PartialOrd for PatchPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Node {
    /// Whether whatever was at the path and below it is gone.
    pub const fn replaces(&self) -> bool {
        !matches!(self, Self::Directory)
    }
}

impl PatchList {
    /// The list of these entries, if they are in order and none is below another that is no directory.
    pub fn new(entries: Vec<Entry>) -> Result<Self, PatchListError> {
        let mut leaf: Option<&PatchPath> = None;
        let mut before: Option<&PatchPath> = None;
        for Entry { path, node } in &entries {
            if let Some(before) = before
                && before >= path
            {
                return Err(PatchListError::Order {
                    before: before.0.clone(),
                    found: path.0.clone(),
                });
            }
            if let Some(above) = leaf
                && path.is_below(above)
            {
                return Err(PatchListError::BelowLeaf {
                    above: above.0.clone(),
                    found: path.0.clone(),
                });
            }
            before = Some(path);
            if node.replaces() {
                leaf = Some(path);
            }
        }
        Ok(Self(entries))
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// How many bytes of new files there are; `None` if no number holds them.
    pub fn contents_length(&self) -> Option<u64> {
        self.0.iter().try_fold(0_u64, |sum, entry| match entry.node {
            Node::File { length, .. } => sum.checked_add(length),
            _ => Some(sum),
        })
    }

    /// The name of the target that leads from the tree with this NAR SHA-256 (a release's `channel-nar`).
    pub fn file_name(from: nixstore::Sha256Digest) -> String {
        format!("patch-{from}.zst")
    }

    /// The list as bytes: of each entry its kind, the length of its path (4 bytes, little-endian), the path; then of a
    /// file the length of its contents (8 bytes), of a link the length of its target (4 bytes) and the target.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let text = |out: &mut Vec<u8>, text: &[u8]| {
            // Paths and link targets have at most 4096 bytes.
            out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend(text);
        };
        for Entry { path, node } in &self.0 {
            out.push(match node {
                Node::Absent => b'-',
                Node::Directory => b'd',
                Node::File { executable: false, .. } => b'f',
                Node::File { executable: true, .. } => b'x',
                Node::Symlink { .. } => b'l',
            });
            text(&mut out, path.0.as_bytes());
            match node {
                Node::File { length, .. } => out.extend(length.to_le_bytes()),
                Node::Symlink { target } => text(&mut out, target),
                Node::Absent | Node::Directory => {}
            }
        }
        out
    }

    /// Reads what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PatchListError> {
        let mut reader = Reader { bytes, at: 0 };
        let mut entries = Vec::new();
        while reader.at < bytes.len() {
            let [kind] = reader.array()?;
            let path = reader.text()?;
            let path = std::str::from_utf8(path)
                .ok()
                .and_then(PatchPath::new)
                .ok_or_else(|| PatchListError::Path {
                    found: String::from_utf8_lossy(path).into_owned(),
                })?;
            let node = match kind {
                b'-' => Node::Absent,
                b'd' => Node::Directory,
                b'f' | b'x' => Node::File {
                    executable: kind == b'x',
                    length: u64::from_le_bytes(reader.array()?),
                },
                b'l' => Node::Symlink {
                    target: reader.text()?.to_owned(),
                },
                found => return Err(PatchListError::Kind { found }),
            };
            entries.push(Entry { path, node });
        }
        Self::new(entries)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], PatchListError> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(PatchListError::Truncated { at: self.at })?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PatchListError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| PatchListError::Truncated { at })
    }

    fn text(&mut self) -> Result<&'a [u8], PatchListError> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, node: Node) -> Entry {
        let path = PatchPath::new(path).unwrap();
        Entry { path, node }
    }

    fn file(length: u64) -> Node {
        let executable = length % 2 == 1;
        Node::File { executable, length }
    }

    fn honest() -> PatchList {
        let target = b"../b".to_vec();
        PatchList::new(vec![
            entry("a", Node::Directory),
            entry("a/x", file(7)),
            entry("a.b", Node::Absent),
            entry("c/d", Node::Symlink { target }),
            entry("c/e", file(0)),
        ])
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let list = honest();
        assert_eq!(PatchList::from_bytes(&list.to_bytes()), Ok(list.clone()));
        assert_eq!(list.contents_length(), Some(7));
        let huge = [entry("a", file(u64::MAX - 1)), entry("b", file(2))];
        assert_eq!(PatchList::new(huge.to_vec()).unwrap().contents_length(), None);
    }

    #[test]
    fn refuses_every_truncation() {
        let bytes = honest().to_bytes();
        let whole: Vec<_> = (0..bytes.len())
            .filter(|end| PatchList::from_bytes(&bytes[..*end]).is_ok())
            .collect();
        // Nothing, and what ends between two entries, is a shorter list; lengths and digests are signed elsewhere.
        assert_eq!(whole.len(), 5, "{whole:?}");
    }

    #[test]
    fn refuses_paths_that_leave_the_tree_or_have_two_spellings() {
        for path in ["", "/a", "a/", "a//b", "a/./b", "../a", "a/..", "a\0b"] {
            assert_eq!(PatchPath::new(path), None, "{path:?}");
            let mut bytes = vec![b'd'];
            bytes.extend(u32::try_from(path.len()).unwrap().to_le_bytes());
            bytes.extend(path.as_bytes());
            let error = PatchList::from_bytes(&bytes).unwrap_err();
            assert!(matches!(error, PatchListError::Path { .. }), "{path:?}: {error:?}");
        }
    }

    #[test]
    fn refuses_a_path_twice_or_out_of_order() {
        for (first, second) in [("a", "a"), ("b", "a"), ("a.b", "a/x")] {
            let entries = vec![entry(first, Node::Directory), entry(second, Node::Directory)];
            let error = PatchList::new(entries).unwrap_err();
            assert!(matches!(error, PatchListError::Order { .. }), "{error:?}");
        }
    }

    #[test]
    fn refuses_something_below_a_leaf() {
        for leaf in [
            Node::Absent,
            file(1),
            Node::Symlink {
                target: b"/etc".to_vec(),
            },
        ] {
            let error = PatchList::new(vec![entry("a", leaf), entry("a/b", file(1))]).unwrap_err();
            assert!(matches!(error, PatchListError::BelowLeaf { .. }), "{error:?}");
        }
    }
}
