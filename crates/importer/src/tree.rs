//! Git's tree objects, read strictly.

use gix::ObjectId;

use crate::{
    FileMode,
    pack::Location,
    path::{PathError, TreePath, check_name},
    repository::{ObjectError, ObjectKind, Repository},
};

/// Levels of directories; real trees have about ten.
pub(crate) const MAX_DEPTH: usize = 128;

/// Entries of a whole tree. A few small objects can name each other into billions of files; nixpkgs has 50,000.
pub(crate) const MAX_ENTRIES: usize = 500_000;

/// Why a tree is refused.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// An object of the tree could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The bytes of a tree object are not entries.
    #[error("tree {tree} of directory {directory:?} is malformed")]
    Malformed {
        /// The tree object.
        tree: ObjectId,
        /// The directory's path; empty for the root.
        directory: String,
    },
    /// An entry with a mode that git does not write.
    #[error("expected mode 40000, 100644, 100664, 100755, 120000 or 160000 of {path}, found {found:?}")]
    Mode {
        /// The entry's path.
        path: TreePath,
        /// The mode's digits.
        found: String,
    },
    /// An entry with a name that a file must not have.
    #[error("a file in directory {directory:?} has a name that is refused")]
    Name {
        /// The directory's path; empty for the root.
        directory: String,
        /// The name, and the rule that it breaks.
        source: PathError,
    },
    /// Entries are not in git's order, so that tools may disagree about what is there.
    #[error("tree {tree} of directory {directory:?} is not sorted")]
    Unsorted {
        /// The tree object.
        tree: ObjectId,
        /// The directory's path; empty for the root.
        directory: String,
    },
    /// One name twice in a directory.
    #[error("{path} is there twice")]
    Duplicate {
        /// The path.
        path: TreePath,
    },
    /// A directory without entries: git cannot check it out, so that tools disagree about it.
    #[error("directory {path} is empty, which git cannot check out")]
    EmptyDirectory {
        /// The directory's path.
        path: TreePath,
    },
    /// Deeper than any sane tree.
    #[error("expected at most {expected} directory levels, found more at {directory:?}")]
    Depth {
        /// The limit.
        expected: usize,
        /// Where it is exceeded.
        directory: String,
    },
    /// More files than any sane tree.
    #[error("expected at most {expected} files and directories, found more")]
    Entries {
        /// The limit.
        expected: usize,
    },
}

/// One entry of a tree object. The name has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: EntryKind,
    pub(crate) id: ObjectId,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Directory,
    File(FileMode),
}

impl Repository {
    /// Reads the tree object of `directory` (empty for the root), which lies `depth` levels down, into `buffer`, and
    /// gives its entries sorted by the bytes of their names: NAR's order, not git's.
    pub(crate) fn entries<'a>(
        &self,
        tree: ObjectId,
        directory: &str,
        depth: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Vec<Entry<'a>>, TreeError> {
        self.entries_at(tree, self.packs().locate(tree), directory, depth, buffer)
    }

    /// Likewise, of a tree that was located before.
    pub(crate) fn entries_at<'a>(
        &self,
        tree: ObjectId,
        location: Option<Location>,
        directory: &str,
        depth: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Vec<Entry<'a>>, TreeError> {
        if depth > MAX_DEPTH {
            return Err(TreeError::Depth {
                expected: MAX_DEPTH,
                directory: directory.to_owned(),
            });
        }
        buffer.clear();
        self.read_onto(tree, location, ObjectKind::Tree, buffer)?;
        let entries = decode(buffer, tree, directory)?;
        if entries.is_empty() && !directory.is_empty() {
            return Err(TreeError::EmptyDirectory {
                path: TreePath::join("", directory),
            });
        }
        Ok(entries)
    }
}

/// Decodes the bytes of a tree object: `<mode> <name>\0<20 bytes>` for each entry.
fn decode<'a>(bytes: &'a [u8], tree: ObjectId, directory: &str) -> Result<Vec<Entry<'a>>, TreeError> {
    let malformed = || TreeError::Malformed {
        tree,
        directory: directory.to_owned(),
    };
    let mut entries: Vec<Entry<'a>> = Vec::with_capacity(bytes.len() / 40);
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest.iter().position(|&byte| byte == b' ').ok_or_else(malformed)?;
        let (mode, after) = rest.split_at(space);
        let end = after.iter().position(|&byte| byte == 0).ok_or_else(malformed)?;
        let name = check_name(&after[1..end]).map_err(|source| TreeError::Name {
            directory: directory.to_owned(),
            source,
        })?;
        let (id, after) = after[end + 1..].split_at_checked(20).ok_or_else(malformed)?;
        let kind = read_mode(mode).ok_or_else(|| TreeError::Mode {
            path: TreePath::join(directory, name),
            found: String::from_utf8_lossy(mode).into_owned(),
        })?;
        let entry = Entry {
            name,
            kind,
            id: ObjectId::from_bytes_or_panic(id),
        };
        if entries
            .last()
            .is_some_and(|previous| git_key(previous).ge(git_key(&entry)))
        {
            return Err(TreeError::Unsorted {
                tree,
                directory: directory.to_owned(),
            });
        }
        entries.push(entry);
        rest = after;
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(b.name));
    match entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(TreeError::Duplicate {
            path: TreePath::join(directory, pair[0].name),
        }),
        None => Ok(entries),
    }
}

/// What git sorts by: a directory as if its name ended in `/`.
fn git_key<'a>(entry: &Entry<'a>) -> impl Iterator<Item = u8> + use<'a> {
    entry
        .name
        .bytes()
        .chain((entry.kind == EntryKind::Directory).then_some(b'/'))
}

/// 100664 was written by the first versions of git, which read it as 100644 ever since.
pub(crate) fn read_mode(mode: &[u8]) -> Option<EntryKind> {
    Some(match mode {
        b"40000" => EntryKind::Directory,
        b"100644" | b"100664" => EntryKind::File(FileMode::Regular),
        b"100755" => EntryKind::File(FileMode::Executable),
        b"120000" => EntryKind::File(FileMode::Symlink),
        b"160000" => EntryKind::File(FileMode::Submodule),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &[u8])]) -> Vec<u8> {
        entries
            .iter()
            .flat_map(|(mode, name)| [mode.as_bytes(), b" ", name, b"\0", &[7; 20]].concat())
            .collect()
    }

    fn names(entries: &[(&str, &[u8])]) -> Result<Vec<String>, TreeError> {
        let bytes = tree(entries);
        let entries = decode(&bytes, ObjectId::empty_tree(gix::hash::Kind::Sha1), "dir")?;
        Ok(entries.iter().map(|entry| entry.name.to_owned()).collect())
    }

    #[test]
    fn sorts_directories_by_their_names_alone() {
        let git_order: &[(&str, &[u8])] = &[
            ("100644", b"a-b"),
            ("100644", b"a.b"),
            ("40000", b"a"),
            ("100644", b"a0"),
        ];
        assert_eq!(names(git_order).unwrap(), ["a", "a-b", "a.b", "a0"]);
    }

    #[test]
    fn refuses_trees_that_tools_read_differently() {
        let refuse = |entries: &[(&str, &[u8])]| names(entries).unwrap_err();
        assert!(matches!(
            refuse(&[("100644", b"b"), ("100644", b"a")]),
            TreeError::Unsorted { .. }
        ));
        assert!(matches!(
            refuse(&[("100644", b"a"), ("100644", b"a")]),
            TreeError::Unsorted { .. }
        ));
        assert!(matches!(
            refuse(&[("40000", b"a"), ("100644", b"a.b")]),
            TreeError::Unsorted { .. }
        ));
        // In git's order a file and a directory of one name need not be neighbours.
        let twice: &[(&str, &[u8])] = &[("100644", b"a"), ("100644", b"a.b"), ("40000", b"a")];
        assert!(matches!(refuse(twice), TreeError::Duplicate { .. }));
    }

    #[test]
    fn refuses_modes_that_git_does_not_write() {
        for mode in ["100666", "040000", "0100644", "10064", "", "140000", "1006440"] {
            let refused = names(&[(mode, b"a")]).unwrap_err();
            assert!(
                matches!(refused, TreeError::Mode { .. } | TreeError::Name { .. }),
                "{mode:?}: {refused}"
            );
        }
        names(&[("100664", b"a")]).unwrap();
    }

    #[test]
    fn refuses_names_that_cannot_be_checked_out_or_reviewed() {
        let bad: [&[u8]; 8] = [b"", b".", b"..", b"a/b", b".git", b".gIt", b"caf\xe9", b"a\x1b[2J"];
        for name in bad {
            let refused = names(&[("100644", name)]).unwrap_err();
            assert!(matches!(refused, TreeError::Name { .. }), "{name:?}: {refused}");
        }
    }

    #[test]
    fn refuses_truncated_trees() {
        let whole = tree(&[("100644", b"a")]);
        for length in 1..whole.len() {
            let refused = decode(&whole[..length], ObjectId::empty_tree(gix::hash::Kind::Sha1), "");
            assert!(matches!(refused, Err(TreeError::Malformed { .. })), "{length}");
        }
        assert_eq!(
            decode(&whole, ObjectId::empty_tree(gix::hash::Kind::Sha1), "")
                .unwrap()
                .len(),
            1
        );
    }
}
