//! A change as text, for people.
//!
//! Whatever the files say, a line of the diff is a line on the screen: control characters, characters that are
//! not seen or reorder others, and bytes that are not UTF-8 are shown as what they are.

use std::fmt;

use gix::diff::blob::{Algorithm, Diff as LineDiff, InternedInput, sources::byte_lines};
use importer::{Change, FileMode, ObjectError, ObjectId, Repository, TreePath};

use crate::{
    UnitFile,
    change::{Part, bytes},
    finding::is_binary,
    text::shown,
};

/// A file longer than this many bytes is not compared line by line.
const LONGEST: usize = 16 << 20;

/// The difference between two states of one file. `Display` writes it as a unified diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The file.
    pub path: TreePath,
    /// Its mode before; `None` for a new file.
    pub old_mode: Option<FileMode>,
    /// Its mode now; `None` for a removed file.
    pub new_mode: Option<FileMode>,
    /// What changed, or why it is not shown.
    pub body: Result<Vec<Hunk>, Unshown>,
}

/// Why a change is not shown line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unshown {
    /// One side has a NUL byte. Sizes in bytes.
    Binary {
        /// The size before.
        old: Option<usize>,
        /// The size now.
        new: Option<usize>,
    },
    /// One side is too long. Sizes in bytes.
    TooLong {
        /// The size before.
        old: Option<usize>,
        /// The size now.
        new: Option<usize>,
    },
    /// A submodule, whose content is elsewhere.
    Submodule {
        /// The commit before.
        old: Option<ObjectId>,
        /// The commit now.
        new: Option<ObjectId>,
    },
}

/// Lines that changed, with those around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// The first line in the old file, from 1 (0 if it has none).
    pub old_start: u32,
    /// The first line in the new file, from 1 (0 if it has none).
    pub new_start: u32,
    /// The lines.
    pub lines: Vec<DiffLine>,
}

/// A line of a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// Where it stands.
    pub sign: Sign,
    /// The line as it is safe to show, without its end.
    pub text: String,
    /// Whether it is the last one and does not end with a newline.
    pub unended: bool,
}

/// Where a line of a diff stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// In both files.
    Context,
    /// In the old file only.
    Removed,
    /// In the new file only.
    Added,
}

/// Why a diff could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be compared")]
pub struct DiffError {
    /// The file.
    pub path: TreePath,
    /// Why not.
    #[source]
    pub source: ObjectError,
}

impl Diff {
    /// The difference that `file` is, with `context` unchanged lines around what changed. Of a part of a file, lines
    /// are counted as in the file.
    pub fn of(repository: &Repository, file: &UnitFile, context: u32) -> Result<Self, DiffError> {
        match &file.part {
            Some(part) => Ok(Self::of_part(&file.change, part, context)),
            None => Self::of_file(repository, &file.change, context),
        }
    }

    fn of_part(change: &Change, part: &Part, context: u32) -> Self {
        let text = |side: &'_ Option<(u64, Vec<u8>)>| side.as_ref().map_or_else(Vec::new, |(_, text)| text.clone());
        let line = |side: &Option<(u64, Vec<u8>)>| {
            let before = side.as_ref().map_or(0, |(line, _)| line.saturating_sub(1));
            u32::try_from(before).unwrap_or(u32::MAX)
        };
        let mut found = hunks(&text(&part.old), &text(&part.new), context);
        for hunk in &mut found {
            hunk.old_start = hunk.old_start.saturating_add(line(&part.old));
            hunk.new_start = hunk.new_start.saturating_add(line(&part.new));
        }
        Self {
            path: change.path.clone(),
            old_mode: change.old.map(|(mode, _)| mode),
            new_mode: change.new.map(|(mode, _)| mode),
            body: Ok(found),
        }
    }

    fn of_file(repository: &Repository, change: &Change, context: u32) -> Result<Self, DiffError> {
        let read = |side| {
            bytes(repository, side).map_err(|source| DiffError {
                path: change.path.clone(),
                source,
            })
        };
        let (old, new) = (read(change.old)?, read(change.new)?);
        Ok(Self {
            path: change.path.clone(),
            old_mode: change.old.map(|(mode, _)| mode),
            new_mode: change.new.map(|(mode, _)| mode),
            body: body(change, old.as_deref(), new.as_deref(), context),
        })
    }
}

fn body(change: &Change, old: Option<&[u8]>, new: Option<&[u8]>, context: u32) -> Result<Vec<Hunk>, Unshown> {
    let commit =
        |side: Option<(FileMode, ObjectId)>| side.filter(|(mode, _)| *mode == FileMode::Submodule).map(|(_, id)| id);
    let commits = (commit(change.old), commit(change.new));
    if commits != (None, None) {
        let (old, new) = commits;
        return Err(Unshown::Submodule { old, new });
    }
    let is = |test: fn(&[u8]) -> bool| old.is_some_and(test) || new.is_some_and(test);
    let (old_size, new_size) = (old.map(<[u8]>::len), new.map(<[u8]>::len));
    if is(is_binary) {
        return Err(Unshown::Binary {
            old: old_size,
            new: new_size,
        });
    }
    if is(|bytes| bytes.len() > LONGEST) {
        return Err(Unshown::TooLong {
            old: old_size,
            new: new_size,
        });
    }
    Ok(hunks(old.unwrap_or_default(), new.unwrap_or_default(), context))
}

fn hunks(old: &[u8], new: &[u8], context: u32) -> Vec<Hunk> {
    let input = InternedInput::new(byte_lines(old), byte_lines(new));
    let mut diff = LineDiff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let old_lines: Vec<&[u8]> = input.before.iter().map(|&token| input.interner[token]).collect();
    let new_lines: Vec<&[u8]> = input.after.iter().map(|&token| input.interner[token]).collect();

    // Changes whose context would touch or overlap are shown together.
    let mut groups: Vec<Vec<gix::diff::blob::Hunk>> = Vec::new();
    for change in diff.hunks() {
        let near = |last: &gix::diff::blob::Hunk| change.before.start - last.before.end <= context.saturating_mul(2);
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(near) => group.push(change),
            _ => groups.push(vec![change]),
        }
    }
    groups
        .iter()
        .filter_map(|group| hunk(group, &old_lines, &new_lines, context))
        .collect()
}

/// Changes that are shown together, with the lines between and around them.
fn hunk(changes: &[gix::diff::blob::Hunk], old: &[&[u8]], new: &[&[u8]], context: u32) -> Option<Hunk> {
    let (first, last) = (changes.first()?, changes.last()?);
    let begin = first.before.start.saturating_sub(context);
    let mut hunk = Hunk {
        old_start: begin,
        new_start: first.after.start - (first.before.start - begin),
        lines: Vec::new(),
    };
    let mut position = begin;
    for change in changes {
        hunk.lines
            .extend(lines(Sign::Context, old, position, change.before.start));
        hunk.lines
            .extend(lines(Sign::Removed, old, change.before.start, change.before.end));
        hunk.lines
            .extend(lines(Sign::Added, new, change.after.start, change.after.end));
        position = change.before.end;
    }
    let end = last.before.end.saturating_add(context);
    hunk.lines.extend(lines(Sign::Context, old, position, end));
    // Lines count from 1; a side without lines is named by the line before it.
    hunk.old_start += u32::from(hunk.count(Sign::Removed) > 0);
    hunk.new_start += u32::from(hunk.count(Sign::Added) > 0);
    Some(hunk)
}

/// The lines from `start` to before `end`, as far as there are any.
fn lines(sign: Sign, all: &[&[u8]], start: u32, end: u32) -> Vec<DiffLine> {
    let end = (end as usize).min(all.len());
    let wanted = all.get(start as usize..end).unwrap_or_default();
    wanted
        .iter()
        .map(|line| {
            let text = line.strip_suffix(b"\n");
            DiffLine {
                sign,
                text: shown(text.unwrap_or(line)).to_string(),
                unended: text.is_none(),
            }
        })
        .collect()
}

impl Hunk {
    /// How many lines it has of the old file ([`Sign::Removed`]) or the new one ([`Sign::Added`]).
    fn count(&self, sign: Sign) -> usize {
        self.lines
            .iter()
            .filter(|line| line.sign == sign || line.sign == Sign::Context)
            .count()
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown(self.path.as_str());
        match (self.old_mode, self.new_mode) {
            (None, Some(mode)) => writeln!(f, "new {} {path}", kind(mode))?,
            (Some(mode), None) => writeln!(f, "removed {} {path}", kind(mode))?,
            (Some(old), Some(new)) if old != new => writeln!(f, "{} became {} {path}", kind(old), kind(new))?,
            _ => {}
        }
        let side = |f: &mut fmt::Formatter<'_>, sign: &str, prefix: &str, mode: Option<FileMode>| match mode {
            None => writeln!(f, "{sign} /dev/null"),
            Some(_) => writeln!(f, "{sign} {prefix}/{path}"),
        };
        side(f, "---", "a", self.old_mode)?;
        side(f, "+++", "b", self.new_mode)?;
        match &self.body {
            Err(unshown) => writeln!(f, "{unshown}"),
            Ok(hunks) => hunks.iter().try_for_each(|hunk| hunk.fmt(f)),
        }
    }
}

const fn kind(mode: FileMode) -> &'static str {
    match mode {
        FileMode::Regular => "file",
        FileMode::Executable => "executable",
        FileMode::Symlink => "symlink",
        FileMode::Submodule => "submodule",
    }
}

impl fmt::Display for Hunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = (self.count(Sign::Removed), self.count(Sign::Added));
        writeln!(f, "@@ -{},{old} +{},{new} @@", self.old_start, self.new_start)?;
        for line in &self.lines {
            let sign = match line.sign {
                Sign::Context => ' ',
                Sign::Removed => '-',
                Sign::Added => '+',
            };
            writeln!(f, "{sign}{}", line.text)?;
            if line.unended {
                writeln!(f, "\\ No newline at end of file")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Unshown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |size: &Option<usize>| size.map_or_else(|| "none".to_owned(), |size| format!("{size} bytes"));
        let commit = |id: &Option<ObjectId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        match self {
            Self::Binary { old, new } => write!(f, "binary: {} -> {}", bytes(old), bytes(new)),
            Self::TooLong { old, new } => write!(f, "too long to show: {} -> {}", bytes(old), bytes(new)),
            Self::Submodule { old, new } => write!(f, "submodule commit: {} -> {}", commit(old), commit(new)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diff(old: &[u8], new: &[u8]) -> String {
        let id = ObjectId::empty_blob(gix::hash::Kind::Sha1);
        let change = Change {
            path: TreePath::parse("a.nix").unwrap(),
            old: Some((FileMode::Regular, id)),
            new: Some((FileMode::Regular, id)),
        };
        let diff = Diff {
            path: change.path.clone(),
            old_mode: Some(FileMode::Regular),
            new_mode: Some(FileMode::Regular),
            body: body(&change, Some(old), Some(new), 3),
        };
        diff.to_string()
    }

    #[test]
    fn a_bump_is_two_lines() {
        let old = b"{\n  a = 1;\n  version = \"1.0\";\n  b = 2;\n}\n";
        let new = b"{\n  a = 1;\n  version = \"1.1\";\n  b = 2;\n}\n";
        let expected = "--- a/a.nix\n+++ b/a.nix\n@@ -1,5 +1,5 @@\n {\n   a = 1;\n-  version = \"1.0\";\n+  version = \
                        \"1.1\";\n   b = 2;\n }\n";
        assert_eq!(diff(old, new), expected);
    }

    #[test]
    fn a_diff_cannot_deceive_the_terminal() {
        let new = "ok\n\u{1b}[1A\u{1b}[2Khidden\nif \u{202e}x\nz\u{200b}ero\nover\rwrite\n\u{9b}2J\n";
        let shown = diff(b"ok\n", new.as_bytes());
        assert!(
            shown
                .chars()
                .all(|c| c == '\n' || !c.is_control() && !crate::text::is_deceptive(c)),
            "{shown:?}"
        );
        for word in [
            "⟨U+001B⟩[2Khidden",
            "if ⟨U+202E⟩x",
            "z⟨U+200B⟩ero",
            "over⟨U+000D⟩write",
            "⟨U+009B⟩2J",
        ] {
            assert!(shown.contains(word), "{word} in {shown}");
        }
        assert!(diff(b"", b"caf\xe9\n").contains("+caf⟨byte E9⟩"));
    }

    #[test]
    fn a_missing_last_newline_is_said() {
        let shown = diff(b"a", b"a\n");
        assert!(shown.ends_with("-a\n\\ No newline at end of file\n+a\n"), "{shown}");
    }

    #[test]
    fn a_binary_file_is_said_to_be_one() {
        let shown = diff(b"a", b"a\0b");
        assert!(shown.ends_with("binary: 1 bytes -> 3 bytes\n"), "{shown}");
    }

    /// What a diff makes of `old`, if it is a diff of it.
    fn applied(old: &str, hunks: &[Hunk]) -> Option<String> {
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let (mut out, mut position, mut written) = (String::new(), 0, 0_u32);
        for hunk in hunks {
            let start = hunk.old_start as usize - usize::from(hunk.count(Sign::Removed) > 0);
            for line in old.get(position..start)? {
                out.push_str(line);
                written += 1;
            }
            position = start;
            if hunk.new_start - u32::from(hunk.count(Sign::Added) > 0) != written {
                return None;
            }
            for line in &hunk.lines {
                let text = format!("{}{}", line.text, if line.unended { "" } else { "\n" });
                if line.sign != Sign::Added {
                    (*old.get(position)? == text).then_some(())?;
                    position += 1;
                }
                if line.sign != Sign::Removed {
                    out.push_str(&text);
                    written += 1;
                }
            }
        }
        out.extend(old.get(position..)?.iter().copied());
        Some(out)
    }

    proptest! {
        #[test]
        fn a_diff_makes_the_new_file_of_the_old_one(
            old in prop::collection::vec("[ab]", 0..30),
            new in prop::collection::vec("[ab]", 0..30),
            ended in any::<(bool, bool)>(),
            context in 0_u32..5,
        ) {
            let text = |lines: Vec<String>, ended| {
                let text = lines.join("\n");
                if ended && !text.is_empty() { text + "\n" } else { text }
            };
            let (old, new) = (text(old, ended.0), text(new, ended.1));
            let hunks = hunks(old.as_bytes(), new.as_bytes(), context);
            let applied = applied(&old, &hunks);
            prop_assert_eq!(applied.as_deref(), Some(new.as_str()), "{:?}", hunks);
        }
    }
}
