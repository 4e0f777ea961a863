//! Where in a patch, and in the tree, something is the matter.

use std::fmt;

/// Where a patch does not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchPlace {
    /// The file of the tree.
    pub file: String,
    /// Which of the file's hunks in the patch, from 1, if it is one.
    pub hunk: Option<usize>,
    /// The line of the file at which the hunk should begin.
    pub line: Option<u64>,
}

impl fmt::Display for PatchPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(hunk) = self.hunk {
            write!(f, ", hunk {hunk}")?;
        }
        self.line.map_or(Ok(()), |line| write!(f, " (line {line})"))
    }
}

impl PatchPlace {
    /// What `git apply` says, and which hunk of the patch that is.
    pub(super) fn in_message(message: &str, patch: &[u8]) -> Option<Self> {
        let errors = || message.lines().filter_map(|line| line.strip_prefix("error: "));
        let failed = errors().find_map(|error| error.strip_prefix("patch failed: ")?.rsplit_once(':'));
        if let Some((file, line)) = failed {
            let line = line.parse().ok()?;
            return Some(Self {
                hunk: hunk(patch, file, line),
                file: file.to_owned(),
                line: Some(line),
            });
        }
        let about = [": does not exist in index", ": already exists in index", ": wrong type"];
        let file = errors().find_map(|error| about.iter().find_map(|end| error.strip_suffix(end)))?;
        Some(Self {
            file: file.to_owned(),
            hunk: None,
            line: None,
        })
    }
}

/// Whether git refused a patch for a path that is none inside of a tree.
pub(super) fn leaves(message: &str) -> bool {
    message
        .lines()
        .any(|line| line.starts_with("error: invalid path '") || line.ends_with("' is beyond a symbolic link"))
}

/// The first line, from 1, of what people cannot read: an encoded blob, the mere mention of one (git takes it from
/// wherever it finds it), or a NUL.
pub(super) fn binary_line(patch: &[u8]) -> Option<usize> {
    let mentions = |line: &[u8]| {
        line.starts_with(b"GIT binary patch")
            || (line.starts_with(b"Binary files ") || line.starts_with(b"Files ")) && line.ends_with(b" differ")
    };
    let mut lines = (1..).zip(patch.split(|byte| *byte == b'\n'));
    let found = lines.find(|(_, line)| mentions(line.strip_suffix(b"\r").unwrap_or(line)) || line.contains(&0));
    found.map(|(number, _)| number)
}

/// Which of the hunks of `file` begins at `line` of it, from 1.
fn hunk(patch: &[u8], file: &str, line: u64) -> Option<usize> {
    let text = String::from_utf8_lossy(patch);
    let (mut inside, mut number, mut old_left, mut new_left) = (false, 0, 0, 0);
    for row in text.lines() {
        if old_left > 0 || new_left > 0 {
            match row.bytes().next() {
                Some(b'-') => old_left -= 1,
                Some(b'+') => new_left -= 1,
                Some(b'\\') => {}
                _ => (old_left, new_left) = (old_left - 1, new_left - 1),
            }
        } else if row.starts_with("--- ") || row.starts_with("+++ ") {
            let named = row[4..].split('\t').next().is_some_and(|path| path.ends_with(file));
            inside = named || inside && row.starts_with("+++ ");
            number = 0;
        } else if let Some((start, old, new)) = header(row) {
            (old_left, new_left) = (old, new);
            number += 1;
            if inside && start == line {
                return Some(number);
            }
        }
    }
    None
}

/// The old file's first line, and how many lines of the old and of the new file follow.
fn header(row: &str) -> Option<(u64, i64, i64)> {
    let (old, new) = row.strip_prefix("@@ -")?.split_once(" @@")?.0.split_once(" +")?;
    let range = |text: &str| match text.split_once(',') {
        Some((start, count)) => Some((start.parse::<u64>().ok()?, count.parse::<i64>().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    let ((start, old), (_, new)) = (range(old)?, range(new)?);
    Some((start, old, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "From: x\n\ndiff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n--- b\n+++ c\n\
                         @@ -9 +9 @@ fn x\n-old\n+new\n--- a/g\n+++ b/g\n@@ -9 +9 @@\n-x\n+y\n";

    #[test]
    fn a_place_is_the_hunk_of_the_file_that_git_names() {
        let message = "error: patch failed: f:9\nerror: f: patch does not apply";
        let place = PatchPlace::in_message(message, PATCH.as_bytes()).unwrap();
        assert_eq!(place.to_string(), "f, hunk 2 (line 9)");
        let place = PatchPlace::in_message("error: patch failed: g:9", PATCH.as_bytes()).unwrap();
        assert_eq!(place.to_string(), "g, hunk 1 (line 9)");
        let place = PatchPlace::in_message("error: a/b: does not exist in index", PATCH.as_bytes()).unwrap();
        assert_eq!(place.to_string(), "a/b");
        assert_eq!(PatchPlace::in_message("error: corrupt patch at line 3", b""), None);
    }

    #[test]
    fn what_nobody_can_read_is_found_where_it_stands() {
        assert_eq!(binary_line(PATCH.as_bytes()), None);
        assert_eq!(binary_line(b"x\nGIT binary patch\nliteral 3\n"), Some(2));
        assert_eq!(binary_line(b"Binary files a/x and b/x differ\r\n"), Some(1));
        assert_eq!(binary_line(b"Files of the channel are different\n"), None);
        assert_eq!(binary_line(b" GIT binary patch\n"), None, "a line of a text file");
        assert_eq!(binary_line(b"+a\0b\n"), Some(1));
    }
}
