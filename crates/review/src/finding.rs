//! Findings that need no understanding of Nix: paths and bytes alone tell them. Their codes and levels are
//! those of docs/rules.md.

use std::collections::HashSet;

use attestation::{FindingCode, unit::FindingLevel};
use importer::{Change, FileMode, TreePath};

use crate::{class, text};

/// Something a change does that somebody must look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub code: FindingCode,
    /// How much it weighs by default.
    pub level: FindingLevel,
    /// Where, sorted; at least one place.
    pub places: Vec<Place>,
}

/// Where something was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub path: TreePath,
    /// The line in the new file, from 1; `None` where it is about the whole file.
    pub line: Option<u64>,
}

/// What the rules see of a changed file.
pub(crate) struct Evidence<'a> {
    pub(crate) change: &'a Change,
    /// The old bytes, of a file or a symlink's target.
    pub(crate) old: Option<Vec<u8>>,
    /// The new bytes.
    pub(crate) new: Option<Vec<u8>>,
}

/// A rule: its code, and the places where it fires. All of them block.
type Rule = (&'static str, fn(&Evidence<'_>) -> Vec<Place>);

const RULES: [Rule; 5] = [
    ("binary-in-tree", binary_in_tree),
    ("deceptive-text", deceptive_text),
    ("foundation", |evidence| whole_if(class::is_foundation, evidence)),
    ("merge-authority", |evidence| {
        whole_if(class::is_merge_authority, evidence)
    }),
    ("tier-zero", |evidence| whole_if(class::is_tier_zero, evidence)),
];

/// Gathers what the rules find in the files of one unit.
#[derive(Default)]
pub(crate) struct Findings {
    places: [Vec<Place>; RULES.len()],
}

impl Findings {
    pub(crate) fn look(&mut self, evidence: &Evidence<'_>) {
        for ((_, rule), places) in RULES.iter().zip(&mut self.places) {
            places.extend(rule(evidence));
        }
    }

    pub(crate) fn finish(self) -> Vec<Finding> {
        let found = RULES.iter().zip(self.places).filter(|(_, places)| !places.is_empty());
        found
            .map(|((code, _), mut places)| {
                places.sort();
                Finding {
                    code: code.parse().expect("the codes above are names"),
                    level: FindingLevel::B,
                    places,
                }
            })
            .collect()
    }
}

fn whole(evidence: &Evidence<'_>) -> Place {
    Place {
        path: evidence.change.path.clone(),
        line: None,
    }
}

fn whole_if(is: fn(&TreePath) -> bool, evidence: &Evidence<'_>) -> Vec<Place> {
    is(&evidence.change.path).then(|| whole(evidence)).into_iter().collect()
}

/// A blob that nobody can read as text was added or replaced, or a submodule, whose content is elsewhere.
fn binary_in_tree(evidence: &Evidence<'_>) -> Vec<Place> {
    let is_submodule =
        |side: Option<(FileMode, importer::ObjectId)>| side.is_some_and(|(mode, _)| mode == FileMode::Submodule);
    let same_blob = evidence.change.old.map(|(_, id)| id) == evidence.change.new.map(|(_, id)| id);
    let binary = evidence.new.as_ref().is_some_and(|bytes| is_binary(bytes));
    let unreadable = binary || is_submodule(evidence.change.new);
    (unreadable && !same_blob)
        .then(|| whole(evidence))
        .into_iter()
        .collect()
}

/// Whether nobody can read it as text: it has a NUL byte.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0)
}

/// A line, or a name, that is new and has characters which deceive the reader.
fn deceptive_text(evidence: &Evidence<'_>) -> Vec<Place> {
    let mut places = Vec::new();
    if evidence.change.old.is_none() && text::has_deceptive(evidence.change.path.as_str().as_bytes()) {
        places.push(whole(evidence));
    }
    let Some(new) = evidence
        .new
        .as_ref()
        .filter(|new| !is_binary(new) && text::has_deceptive(new))
    else {
        return places;
    };
    let known: HashSet<&[u8]> = evidence
        .old
        .iter()
        .flat_map(|old| old.split(|byte| *byte == b'\n'))
        .collect();
    let lines = (1..).zip(new.split(|byte| *byte == b'\n'));
    places.extend(
        lines
            .filter(|(_, line)| text::has_deceptive(line) && !known.contains(line))
            .map(|(number, _)| Place {
                line: Some(number),
                ..whole(evidence)
            }),
    );
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: u8) -> importer::ObjectId {
        importer::ObjectId::from_bytes_or_panic(&[digit; 20])
    }

    fn codes(path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Vec<String> {
        found(path, old, new)
            .iter()
            .map(|finding| finding.code.to_string())
            .collect()
    }

    fn found(path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> Vec<Finding> {
        let change = Change {
            path: TreePath::parse(path).unwrap(),
            old: old.map(|_| (FileMode::Regular, id(1))),
            new: new.map(|_| (FileMode::Regular, id(if old == new { 1 } else { 2 }))),
        };
        let mut findings = Findings::default();
        findings.look(&Evidence {
            change: &change,
            old: old.map(<[u8]>::to_vec),
            new: new.map(<[u8]>::to_vec),
        });
        findings.finish()
    }

    #[test]
    fn a_binary_that_is_added_or_replaced_is_found() {
        let path = "pkgs/x/y/blob";
        assert_eq!(codes(path, None, Some(b"a\0b")), ["binary-in-tree"]);
        assert_eq!(codes(path, Some(b"a\0b"), Some(b"a\0c")), ["binary-in-tree"]);
        assert_eq!(
            codes(path, Some(b"a\0b"), Some(b"a\0b")),
            [] as [&str; 0],
            "its mode alone changed"
        );
        assert_eq!(codes(path, Some(b"a\0b"), None), [] as [&str; 0], "removed");
        assert_eq!(
            codes(path, None, Some("é \u{1f600}".as_bytes())),
            [] as [&str; 0],
            "text"
        );
    }

    #[test]
    fn a_submodule_is_content_that_is_elsewhere() {
        let change = Change {
            path: TreePath::parse("vendor").unwrap(),
            old: None,
            new: Some((FileMode::Submodule, id(1))),
        };
        let mut findings = Findings::default();
        findings.look(&Evidence {
            change: &change,
            old: None,
            new: None,
        });
        assert_eq!(findings.finish()[0].code.to_string(), "binary-in-tree");
    }

    #[test]
    fn deceptive_text_is_found_on_its_line_and_only_where_it_is_new() {
        let honest = b"one\ntwo\n".as_slice();
        let trojan = "one\nif a \u{202e} then\ntwo\n".as_bytes();
        let finding = &found("pkgs/x/y/a.nix", Some(honest), Some(trojan))[0];
        assert_eq!(finding.code.to_string(), "deceptive-text");
        assert_eq!(finding.places[0].line, Some(2));
        let longer = [b"zero\n", trojan].concat();
        assert_eq!(codes("pkgs/x/y/a.nix", Some(trojan), Some(&longer)), [] as [&str; 0]);
        assert_eq!(
            codes("pkgs/x/y/a\u{200b}.nix", None, Some(honest)),
            ["deceptive-text"],
            "in a name"
        );
    }

    #[test]
    fn places_of_one_rule_are_one_finding() {
        let trojan = "\u{202e}\n\u{202e}x\n".as_bytes();
        let findings = found("pkgs/x/y/a.nix", None, Some(trojan));
        assert_eq!((findings.len(), findings[0].places.len()), (1, 2));
    }

    #[test]
    fn paths_tell_what_is_touched() {
        let text = b"x".as_slice();
        assert_eq!(codes("pkgs/stdenv/generic/setup.sh", None, Some(text)), ["foundation"]);
        assert_eq!(codes("pkgs/by-name/xz/xz/package.nix", Some(text), None), ["tier-zero"]);
        assert_eq!(codes(".github/workflows/x.yml", None, Some(text)), ["merge-authority"]);
        assert_eq!(codes("ci/OWNERS", None, Some(text)), ["merge-authority"]);
        assert_eq!(codes("nixos/CODEOWNERS", None, Some(text)), ["merge-authority"]);
        assert_eq!(
            codes("pkgs/by-name/he/hello/package.nix", None, Some(text)),
            [] as [&str; 0]
        );
    }
}
