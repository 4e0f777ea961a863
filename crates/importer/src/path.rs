//! Paths of files inside a tree.

use std::fmt;

/// A file's path from the root of a tree: `/` between components; no component is empty, `.`, `..` or `.git` (in any
/// case), none has a control character; valid UTF-8. Sorted by bytes.
///
/// Git can store other names. They are refused, since people could not name such a file when they review it, and
/// since one with an escape sequence would write on their terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

/// A name that a file in a tree must not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct PathError {
    /// The rule that the name breaks.
    pub expected: &'static str,
    /// The name, with what is not UTF-8 replaced.
    pub found: String,
}

impl TreePath {
    /// Reads a path.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        path.split('/')
            .try_for_each(|component| check_name(component.as_bytes()).map(drop))?;
        Ok(Self(path.to_owned()))
    }

    /// The path of `name`, which has been checked, in the directory `parent`; `""` is the root.
    pub(crate) fn join(parent: &str, name: &str) -> Self {
        let mut path = String::with_capacity(parent.len() + 1 + name.len());
        if !parent.is_empty() {
            path.push_str(parent);
            path.push('/');
        }
        path.push_str(name);
        Self(path)
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.as_str(), |(_, name)| name)
    }

    /// All but the last component; `None` for what lies in the root.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for TreePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Checks one component of a path.
pub(crate) fn check_name(name: &[u8]) -> Result<&str, PathError> {
    let refuse = |expected| {
        Err(PathError {
            expected,
            found: String::from_utf8_lossy(name).into_owned(),
        })
    };
    let Ok(text) = std::str::from_utf8(name) else {
        return refuse("a file name in UTF-8");
    };
    if matches!(text, "" | "." | "..") || text.contains('/') {
        refuse("a file name without / that is not empty, . or ..")
    } else if text.eq_ignore_ascii_case(".git") {
        refuse("a file name other than .git")
    } else if text.chars().any(char::is_control) {
        refuse("a file name without control characters")
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_mislead() {
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "./a",
            ".git/config",
            "a/.GIT/hooks",
            "a\nb",
            "a\u{1b}[2J",
        ] {
            assert!(TreePath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(check_name(b"caf\xe9").is_err());
        for good in ["default.nix", "pkgs/by-name/ca/café/…", ".gitignore", "a b", "-rf"] {
            assert_eq!(TreePath::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn splits_into_parent_and_name() {
        let path = TreePath::parse("a/b/c").unwrap();
        assert_eq!((path.parent(), path.name()), (Some("a/b"), "c"));
        let path = TreePath::parse("c").unwrap();
        assert_eq!((path.parent(), path.name()), (None, "c"));
    }
}
