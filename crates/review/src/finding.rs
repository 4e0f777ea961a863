//! Findings that are git's and not Nix's.

use std::collections::HashSet;

use importer::Change;
use nixexpr::{Finding, Place};

/// Attributes that make a checkout, or a forge's tarball, something else than the bytes of the tree.
const REWRITE: [&str; 7] = [
    "export-ignore",
    "export-subst",
    "ident",
    "eol",
    "crlf",
    "filter",
    "working-tree-encoding",
];

/// What is found in a file that differs.
pub(crate) fn of_file(change: &Change, old: Option<&[u8]>, new: Option<&[u8]>) -> Vec<Finding> {
    let (Some(new), Some(rule)) = (new, nixexpr::rule("attributes-rewrite")) else {
        return Vec::new();
    };
    if change.path.name() != ".gitattributes" {
        return Vec::new();
    }
    let known: HashSet<&[u8]> = old.unwrap_or_default().split(|byte| *byte == b'\n').collect();
    let lines = (1..).zip(new.split(|byte| *byte == b'\n'));
    lines
        .filter(|(_, line)| !known.contains(line))
        .filter_map(|(number, line)| {
            Some(Finding {
                rule,
                place: Place {
                    path: change.path.to_string(),
                    line: Some(number),
                },
                what: rewrites(&String::from_utf8_lossy(line))?,
            })
        })
        .collect()
}

/// The attributes of a line that rewrite, if it has any.
fn rewrites(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    if words.next().is_none_or(|pattern| pattern.starts_with('#')) {
        return None;
    }
    let found: Vec<_> = words
        .filter(|word| {
            let name = word.split('=').next().unwrap_or_default();
            REWRITE.contains(&name.trim_start_matches(['-', '!']))
        })
        .collect();
    (!found.is_empty()).then(|| found.join(" "))
}

/// Whether nobody can read it as text: it has a NUL byte.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_rewrite_are_told_from_those_that_do_not() {
        for (line, found) in [
            ("*.nix text", None),
            ("* export-subst", Some("export-subst")),
            ("doc/** export-ignore -diff", Some("export-ignore")),
            ("*.sh text eol=lf", Some("eol=lf")),
            ("*.bin filter=lfs diff=lfs merge=lfs -text", Some("filter=lfs")),
            ("*.c -ident", Some("-ident")),
            ("[attr]hidden export-ignore", Some("export-ignore")),
            ("# export-subst", None),
            ("filter", None),
            ("", None),
        ] {
            assert_eq!(rewrites(line).as_deref(), found, "{line}");
        }
    }
}
