//! A policy without its people, as `distro/channels/` has them, and the policy that it becomes with people put in.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use crate::failure::{Failure, Result};

/// A policy for one channel that lacks its people and its online key.
#[derive(Debug)]
pub(crate) struct ChannelFile {
    table: Table,
    /// The channel.
    pub(crate) name: String,
    /// Its upstream: a URL or an absolute path.
    pub(crate) upstream: String,
    /// Its upstream's branch.
    pub(crate) branch: String,
    /// How many people change the policy and vouch for the first tree.
    pub(crate) root_threshold: usize,
    /// How many people a release takes.
    pub(crate) release_threshold: usize,
}

/// What `assay policy person --format json` prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Person {
    person: String,
    certificate: String,
    keys: Vec<String>,
    not_after: String,
}

impl ChannelFile {
    /// Reads one; `upstream` takes the place of the file's own.
    pub(crate) fn read(path: &Path, upstream: Option<&str>) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!(
                "failed to read {}: {error}; distro/channels has examples",
                path.display()
            ))
        })?;
        Self::parse(&text, upstream).map_err(|reason| Failure::usage(format!("{}: {reason}", path.display())))
    }

    fn parse(text: &str, upstream: Option<&str>) -> std::result::Result<Self, String> {
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        for made in ["people", "online-key"] {
            if table.contains_key(made) {
                return Err(format!("has `{made}`; leave that out, it is made here"));
            }
        }
        let root_threshold = number(&table, &["roles", "root", "threshold"])?;
        let channels = table.get_mut("channels").and_then(Value::as_table_mut);
        let channels = channels.ok_or("has no table `channels`")?;
        let mut names = channels.keys().cloned();
        let (Some(name), None) = (names.next(), names.next()) else {
            return Err(format!("has {} channels, one is expected", channels.len()));
        };
        let channel = channels.get_mut(&name).and_then(Value::as_table_mut);
        let channel = channel.ok_or_else(|| format!("`channels.{name}` is no table"))?;
        if let Some(upstream) = upstream {
            channel.insert("upstream".to_owned(), upstream.into());
        }
        let word = |member: &str| {
            let value = channel.get(member).and_then(Value::as_str);
            value
                .map(str::to_owned)
                .ok_or_else(|| format!("`channels.{name}.{member}` is missing or no string"))
        };
        let (upstream, branch) = (word("upstream")?, word("branch")?);
        let release_threshold = number(channel, &["release", "threshold"])?;
        Ok(Self {
            table,
            name,
            upstream,
            branch,
            root_threshold,
            release_threshold,
        })
    }

    /// The file's meaning, without its comments.
    pub(crate) fn text(&self) -> Result<String> {
        written(&self.table)
    }

    /// The policy: every role is given these people.
    pub(crate) fn policy(&self, people: &[Person], online_key: &str) -> Result<String> {
        let mut table = self.table.clone();
        let strings =
            |words: &mut dyn Iterator<Item = &String>| Value::Array(words.cloned().map(Value::from).collect());
        let names = strings(&mut people.iter().map(|person| &person.person));
        for (_, role) in table
            .get_mut("roles")
            .and_then(Value::as_table_mut)
            .into_iter()
            .flatten()
        {
            if let Some(role) = role.as_table_mut() {
                role.insert("people".to_owned(), names.clone());
            }
        }
        let entries = people.iter().map(|person| {
            let mut entry = Table::new();
            entry.insert("certificate".to_owned(), person.certificate.clone().into());
            entry.insert("keys".to_owned(), strings(&mut person.keys.iter()));
            entry.insert("not-after".to_owned(), person.not_after.clone().into());
            (person.person.clone(), entry.into())
        });
        table.insert("people".to_owned(), Value::Table(entries.collect()));
        table.insert("online-key".to_owned(), online_key.into());
        written(&table)
    }
}

fn written(table: &Table) -> Result<String> {
    toml::to_string(table).map_err(|error| Failure::environment(format!("failed to write the policy: {error}")))
}

/// A positive number that a table has at `path`.
fn number(table: &Table, path: &[&str]) -> std::result::Result<usize, String> {
    let (last, tables) = path.split_last().unwrap_or((&"", &[]));
    let table = tables
        .iter()
        .try_fold(table, |table, name| table.get(*name).and_then(Value::as_table));
    let number = table.and_then(|table| table.get(*last)).and_then(Value::as_integer);
    number
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("`{}` is missing or no positive number", path.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    const SMALL: &str = "[roles.root]\nthreshold = 2\n[roles.reviewers]\n\
        [channels.c]\nupstream = '/u'\nbranch = 'b'\nrelease = { role = 'reviewers', threshold = 3 }\n";

    #[test]
    fn people_are_put_into_every_role() {
        let file = ChannelFile::parse(SMALL, Some("/other")).expect("it is one");
        assert_eq!((file.name.as_str(), file.upstream.as_str()), ("c", "/other"));
        assert_eq!((file.root_threshold, file.release_threshold), (2, 3));
        let person = Person {
            person: "alice".to_owned(),
            certificate: "ab".to_owned(),
            keys: vec!["cd".to_owned()],
            not_after: "2028-01-01".to_owned(),
        };
        let policy: Table = file.policy(&[person], "ef").expect("TOML").parse().expect("TOML");
        assert_eq!(policy["online-key"].as_str(), Some("ef"));
        assert_eq!(policy["roles"]["root"]["people"][0].as_str(), Some("alice"));
        assert_eq!(policy["roles"]["root"]["threshold"].as_integer(), Some(2));
        assert_eq!(policy["roles"]["reviewers"]["people"][0].as_str(), Some("alice"));
        assert_eq!(policy["people"]["alice"]["keys"][0].as_str(), Some("cd"));
        assert_eq!(policy["channels"]["c"]["upstream"].as_str(), Some("/other"));
    }

    #[test]
    fn refuses_what_is_no_policy_for_one_channel() {
        let refusal = |text: &str| ChannelFile::parse(text, None).expect_err("refused");
        assert!(refusal(&format!("online-key = 'x'\n{SMALL}")).contains("online-key"));
        assert!(refusal(&format!("{SMALL}[channels.d]\n")).contains("2 channels"));
        assert!(refusal(&SMALL.replace("threshold = 2", "")).contains("roles.root.threshold"));
        assert!(refusal(&SMALL.replace("threshold = 3", "threshold = 0")).contains("release.threshold"));
        assert!(refusal(&SMALL.replace("branch", "stem")).contains("channels.c.branch"));
    }

    #[test]
    fn the_distribution_has_one() {
        let path = workspace::root().join("distro/channels/unstable.toml");
        assert_eq!(ChannelFile::read(&path, None).expect("it is one").name, "unstable");
    }
}
