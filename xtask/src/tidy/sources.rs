//! Our own files, as the text rules see them.

use crate::failure::{Failure, Result};
use crate::process::{Line, Terminal};
use crate::workspace;

/// Data of others, or data that plays an attacker: not our prose and not our code.
const NOT_OURS: &[&str] = &["xtask/upstream/", "LICENSE", "Cargo.lock"];

/// One text file of ours.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root of the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// All files that git tracks or would track; binary ones are left out.
    pub(super) fn all(terminal: &Terminal) -> Result<Vec<Self>> {
        let root = workspace::root();
        let listing = Line::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .directory(&root)
            .text(terminal)?;
        let mut sources = Vec::new();
        let ours = |path: &&str| !path.is_empty() && !NOT_OURS.iter().any(|not| path.starts_with(not));
        for path in listing.split('\0').filter(ours) {
            let full = root.join(path);
            // Deleted but still tracked, or a link to a folder: nothing to read.
            if !full.is_file() {
                continue;
            }
            let bytes = std::fs::read(&full).map_err(Failure::io(format_args!("read {path}")))?;
            if let Ok(text) = String::from_utf8(bytes) {
                sources.push(Self {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        Ok(sources)
    }

    pub(super) fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    pub(super) fn has_extension(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }
}
