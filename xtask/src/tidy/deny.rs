//! `ci/deny.toml`: the lists that reason about dependencies. It is a valid configuration of cargo-deny, so that its
//! users and `tidy` read one file. Only the few arrays used here are read, with a parser as small as they are.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use crate::failure::{Failure, Result};
use crate::metadata::Metadata;
use crate::workspace;

const PATH: &str = "ci/deny.toml";

/// The lists of `ci/deny.toml`.
#[derive(Debug)]
pub(super) struct Deny {
    /// `[licenses] allow`: SPDX identifiers, with their exception if they have one.
    pub(super) licences: BTreeSet<String>,
    /// `[licenses] exceptions`: what else one crate may have.
    pub(super) exceptions: BTreeMap<String, BTreeSet<String>>,
    /// `[bans] deny`: crates that must be nowhere.
    banned: Vec<String>,
    /// `[bans] skip`: versions (`name`, `version prefix`) that may stand beside a newer one.
    skipped: Vec<(String, String)>,
}

impl Deny {
    pub(super) fn read() -> Result<Self> {
        let path = workspace::root().join(PATH);
        let text = std::fs::read_to_string(&path).map_err(Failure::io(format_args!("read {PATH}")))?;
        Self::parse(&text).map_err(|missing| Failure::usage(format!("{PATH} has no array `{missing}`")))
    }

    fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        let licences = array(text, "licenses", "allow").ok_or("licenses.allow")?;
        let exceptions = array(text, "licenses", "exceptions").ok_or("licenses.exceptions")?;
        let banned = array(text, "bans", "deny").ok_or("bans.deny")?;
        let skipped = array(text, "bans", "skip").ok_or("bans.skip")?;
        Ok(Self {
            licences: strings(&licences).into_iter().collect(),
            exceptions: tables(&exceptions)
                .filter_map(|table| {
                    let name = value(table, "crate")?;
                    let allow = table.split_once("allow")?.1;
                    let list = allow.split_once('[')?.1.split(']').next()?;
                    Some((name, strings(list).into_iter().collect()))
                })
                .collect(),
            banned: tables(&banned).filter_map(|table| value(table, "crate")).collect(),
            skipped: tables(&skipped)
                .filter_map(|table| value(table, "crate"))
                .filter_map(|spec| spec.split_once('@').map(|(n, v)| (n.to_owned(), v.to_owned())))
                .collect(),
        })
    }

    /// What is banned is nowhere, not even in tests.
    pub(super) fn banned(&self, metadata: &Metadata) -> Vec<Problem> {
        metadata
            .packages()
            .filter(|package| self.banned.contains(&package.name))
            .map(|package| {
                let message = format!(
                    "is banned by {PATH}; `cargo tree -i {}` shows who brings it",
                    package.name
                );
                Problem::new("banned", package.name.as_str(), message)
            })
            .collect()
    }

    /// One version of each crate, except those listed; and the list holds nothing that is no longer needed.
    pub(super) fn duplicates(&self, metadata: &Metadata) -> Vec<Problem> {
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for package in metadata.packages() {
            versions.entry(&package.name).or_default().insert(&package.version);
        }
        let skips = |name: &str, version: &str| {
            self.skipped
                .iter()
                .any(|(n, prefix)| n == name && is_within(version, prefix))
        };
        let several = versions
            .iter()
            .filter(|(name, found)| found.iter().filter(|version| !skips(name, version)).count() > 1);
        let mut problems: Vec<Problem> = several
            .map(|(name, found)| {
                let found = found.iter().copied().collect::<Vec<_>>().join(", ");
                let message = format!(
                    "comes in several versions ({found}); use one, or list the older in {PATH} with the reason"
                );
                Problem::new("duplicate", *name, message)
            })
            .collect();
        let stale = self.skipped.iter().filter(|(name, prefix)| {
            let found = versions.get(name.as_str());
            !found.is_some_and(|found| found.len() > 1 && found.iter().any(|v| is_within(v, prefix)))
        });
        problems.extend(stale.map(|(name, prefix)| {
            Problem::new(
                "duplicate",
                PATH,
                format!("`{name}@{prefix}` is not a duplicate any more; remove the line"),
            )
        }));
        problems
    }
}

/// Whether `version` begins with the components of `prefix`: 0.2.17 is within 0.2, 0.20.1 is not.
fn is_within(version: &str, prefix: &str) -> bool {
    version
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The text between the brackets of `key = […]` in `[section]`, comments removed.
fn array(text: &str, section: &str, key: &str) -> Option<String> {
    let header = format!("[{section}]");
    let body: String = text
        .lines()
        .map(without_comment)
        .skip_while(|line| line.trim() != header)
        .skip(1)
        .take_while(|line| !is_header(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let is_key = |line: &&str| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let start = body
        .lines()
        .find(is_key)
        .map(|line| line.as_ptr() as usize - body.as_ptr() as usize)?;
    let open = start + body[start..].find('[')?;
    let mut depth = 0_usize;
    let mut in_string = false;
    for (offset, character) in body[open..].char_indices() {
        match character {
            '"' => in_string = !in_string,
            '[' if !in_string => depth += 1,
            ']' if !in_string => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(body[open + 1..open + offset].to_owned());
        }
    }
    None
}

fn is_header(line: &str) -> bool {
    line.starts_with('[')
}

fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    let end = line.find(|character| {
        in_string ^= character == '"';
        character == '#' && !in_string
    });
    &line[..end.unwrap_or(line.len())]
}

/// Every quoted string of an array.
fn strings(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every inline table of an array, without its braces.
fn tables(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

/// The string that `key` has in an inline table.
fn value(table: &str, key: &str) -> Option<String> {
    let (_, rest) = table.split_once(&format!("{key} = \""))?;
    rest.split('"').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::graph;

    const EXAMPLE: &str = r##"
[licenses]
allow = [
    "MIT", # short
    "Apache-2.0 WITH LLVM-exception",
]
exceptions = [
    { crate = "odd", allow = ["Odd-1.0", "Odder"] },
]
[bans]
deny = [{ crate = "openssl-sys", reason = "a [C] # library" }]
skip = [
    { crate = "syn@2", reason = "old derives" },
]
"##;

    fn example() -> Deny {
        Deny::parse(EXAMPLE).expect("complete")
    }

    #[test]
    fn reads_the_arrays() {
        let deny = example();
        assert!(deny.licences.iter().eq(["Apache-2.0 WITH LLVM-exception", "MIT"]));
        assert!(deny.exceptions["odd"].iter().eq(["Odd-1.0", "Odder"]));
        assert_eq!(deny.banned, ["openssl-sys"]);
        assert_eq!(deny.skipped, [("syn".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn a_missing_array_is_named() {
        assert_eq!(
            Deny::parse("[licenses]\nallow = []\n").expect_err("incomplete"),
            "licenses.exceptions"
        );
    }

    #[test]
    fn refuses_a_banned_crate_wherever_it_is() {
        let with = |kind: &'static str| graph(&[("a", &[kind])], &[("openssl-sys", &[]), ("honest", &[])]);
        assert_eq!(example().banned(&with("dev:openssl-sys")).len(), 1);
        let without = graph(&[("a", &["honest"])], &[("honest", &[])]);
        assert_eq!(example().banned(&without), []);
    }

    #[test]
    fn refuses_a_duplicate_that_is_not_listed() {
        let graph = graph(
            &[("a", &[])],
            &[
                ("syn@2.0.9", &[]),
                ("syn@3.0.0", &[]),
                ("rand@0.8.0", &[]),
                ("rand@0.9.0", &[]),
            ],
        );
        let problems = example().duplicates(&graph);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.contains("0.8.0, 0.9.0"), "{problems:?}");
    }

    #[test]
    fn refuses_a_listed_duplicate_that_is_none() {
        let gone = graph(&[("a", &[])], &[("syn@3.0.0", &[])]);
        assert!(example().duplicates(&gone)[0].message.contains("remove the line"));
        let another = graph(&[("a", &[])], &[("syn@20.0.0", &[]), ("syn@3.0.0", &[])]);
        assert_eq!(example().duplicates(&another).len(), 2);
    }
}
