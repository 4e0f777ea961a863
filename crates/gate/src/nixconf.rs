//! What Nix must be set to, so that nothing goes past the hook; and the block in `nix.conf` that sets it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::place::{self, Place, PlaceError};

const BEGIN: &str = "# touchstone gate: begin (touchstone gate off takes this block out again)";
const END: &str = "# touchstone gate: end";

/// What came before the block where the file did not end in a line break.
const UNENDED: &str = "# touchstone gate: the line before had no end";

/// Features by which outputs come to be whose paths nobody knows, or builds that start builds.
pub const FORBIDDEN_FEATURES: [&str; 5] = [
    "ca-derivations",
    "dynamic-derivations",
    "external-builders",
    "impure-derivations",
    "recursive-nix",
];

/// The settings of a Nix, by name.
pub type Configuration = BTreeMap<String, String>;

/// A substituter that answers for approved outputs only, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Substituter {
    /// Its address.
    pub url: String,
    /// Its public key.
    pub key: String,
}

/// A setting that lets something past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Which.
    pub setting: String,
    /// What it must be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// Reads what `nix show-config` prints: lines of `name = value`. (Not its JSON, in which 2.8 gives features as numbers.)
pub fn read_configuration(text: &str) -> Configuration {
    let lines = text.lines().filter_map(|line| line.split_once(" ="));
    lines
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// What the settings must be on a machine with this gate, whose settings are `now`.
pub fn wanted(place: &Place, substituter: Option<&Substituter>, now: &Configuration) -> Vec<(String, String)> {
    let (url, key) = substituter.map_or(("", ""), |substituter| (&substituter.url, &substituter.key));
    let mut wanted: Vec<(&str, String)> = vec![
        ("pre-build-hook", place.hook().display().to_string()),
        ("sandbox", "true".to_owned()),
        ("sandbox-fallback", "false".to_owned()),
        ("substituters", url.to_owned()),
        ("trusted-substituters", String::new()),
        ("trusted-public-keys", key.to_owned()),
        ("require-sigs", "true".to_owned()),
        ("builders", String::new()),
        ("trusted-users", "root".to_owned()),
        ("accept-flake-config", "false".to_owned()),
    ];
    let features = now.get("experimental-features").map_or("", String::as_str);
    let (forbidden, allowed): (Vec<&str>, Vec<&str>) = features
        .split_whitespace()
        .partition(|feature| FORBIDDEN_FEATURES.contains(feature));
    if !forbidden.is_empty() {
        wanted.push(("experimental-features", allowed.join(" ")));
    }
    if now.contains_key("external-builders") {
        wanted.push(("external-builders", "[]".to_owned()));
    }
    // A version of Nix that lacks a setting warns of it at every start.
    wanted.retain(|(name, _)| now.is_empty() || now.contains_key(*name));
    wanted
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The settings that name the substituter, for a `nix.conf` that ends with `!include` of them.
pub fn to_include(substituter: Option<&Substituter>) -> String {
    let (url, key) = substituter.map_or(("", ""), |substituter| (&substituter.url, &substituter.key));
    format!("substituters = {url}\ntrusted-public-keys = {key}\n")
}

/// What of these settings lets something past the hook.
pub fn wrong(place: &Place, substituter: Option<&Substituter>, now: &Configuration) -> Vec<Wrong> {
    let mut found: Vec<Wrong> = wanted(place, substituter, now)
        .into_iter()
        .filter_map(|(setting, expected)| {
            let found = now.get(&setting).cloned().unwrap_or_default();
            (normal(&found) != normal(&expected)).then_some(Wrong {
                setting,
                expected,
                found,
            })
        })
        .collect();
    for setting in [
        "pre-build-hook",
        "sandbox",
        "sandbox-fallback",
        "require-sigs",
        "trusted-users",
        "builders",
    ] {
        if !now.contains_key(setting) {
            found.push(Wrong {
                setting: setting.to_owned(),
                expected: "a setting that Nix knows".to_owned(),
                found: "none: this is no Nix that the gate knows".to_owned(),
            });
        }
    }
    found
}

/// Lists are sets; an empty list is nothing.
fn normal(value: &str) -> Vec<&str> {
    let mut words: Vec<&str> = value.split_whitespace().filter(|word| *word != "[]").collect();
    words.sort_unstable();
    words
}

/// `nix.conf`, and the block in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NixConf {
    path: PathBuf,
}

/// Why `nix.conf` was not changed.
#[derive(Debug, thiserror::Error)]
pub enum NixConfError {
    /// It cannot be read or written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A link into the store: a system configuration makes it.
    #[error("{} is made by the system's configuration", path.display())]
    Managed {
        /// Where it is.
        path: PathBuf,
    },
    /// The block was changed by hand so that its end is not found.
    #[error("the gate's block in {} has no end", path.display())]
    Block {
        /// Where it is.
        path: PathBuf,
    },
}

impl NixConf {
    /// The `nix.conf` in that directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            path: directory.join("nix.conf"),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the block is there.
    pub fn is_on(&self) -> Result<bool, NixConfError> {
        Ok(self.read()?.contains(BEGIN))
    }

    /// Puts the settings at the end, where they have the last word; an older block goes.
    pub fn on(&self, settings: &[(String, String)]) -> Result<(), NixConfError> {
        self.refuse_managed()?;
        let mut text = self.without_block(&self.read()?)?;
        if !text.is_empty() && !text.ends_with('\n') {
            text += &format!("\n{UNENDED}\n");
        }
        text += &format!("{BEGIN}\n");
        for (name, value) in settings {
            text += format!("{name} = {value}").trim_end();
            text.push('\n');
        }
        text += &format!("{END}\n");
        self.write(&text)
    }

    /// Takes the block out: what remains is, byte for byte, what was there before, and what people added since.
    pub fn off(&self) -> Result<(), NixConfError> {
        self.refuse_managed()?;
        let text = self.read()?;
        let rest = self.without_block(&text)?;
        if rest == text {
            return Ok(());
        }
        if rest.is_empty() {
            // There was none, or an empty one, which says the same.
            return Ok(fs::remove_file(&self.path).map_err(PlaceError::at("remove", &self.path))?);
        }
        self.write(&rest)
    }

    fn without_block(&self, text: &str) -> Result<String, NixConfError> {
        let begin = format!("{BEGIN}\n");
        let Some((before, rest)) = text.split_once(&begin) else {
            return Ok(text.to_owned());
        };
        let (_, after) = rest
            .split_once(&format!("{END}\n"))
            .ok_or_else(|| NixConfError::Block {
                path: self.path.clone(),
            })?;
        let before = before.strip_suffix(&format!("\n{UNENDED}\n")).unwrap_or(before);
        Ok(format!("{before}{after}"))
    }

    fn read(&self) -> Result<String, PlaceError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(PlaceError::at("read", &self.path)(error)),
        }
    }

    fn write(&self, text: &str) -> Result<(), NixConfError> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent).map_err(PlaceError::at("make the directory", parent))?;
        }
        Ok(place::replace(&self.path, 0o644, |file| {
            file.write_all(text.as_bytes())
        })?)
    }

    fn refuse_managed(&self) -> Result<(), NixConfError> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_symlink() => Err(NixConfError::Managed {
                path: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Vec<(String, String)> {
        vec![
            ("sandbox".to_owned(), "true".to_owned()),
            ("builders".to_owned(), String::new()),
        ]
    }

    #[test]
    fn on_and_off_give_back_every_byte() {
        for original in [
            None,
            Some("a = b\n"),
            Some("a = b"),
            Some("\n\n# x\n"),
            Some("include y\n"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let conf = NixConf::in_directory(directory.path());
            if let Some(text) = original {
                fs::write(conf.path(), text).unwrap();
            }
            conf.off().unwrap();
            for _ in 0..3 {
                conf.on(&settings()).unwrap();
                assert!(conf.is_on().unwrap());
                let text = fs::read_to_string(conf.path()).unwrap();
                assert!(
                    text.contains("\nbuilders =\n") && text.matches("sandbox").count() == 1,
                    "{text}"
                );
            }
            conf.off().unwrap();
            assert!(!conf.is_on().unwrap());
            assert_eq!(fs::read_to_string(conf.path()).ok().as_deref(), original);
        }
    }

    #[test]
    fn what_people_add_stays_and_a_block_without_end_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let conf = NixConf::in_directory(directory.path());
        fs::write(conf.path(), "a = b\n").unwrap();
        conf.on(&settings()).unwrap();
        let with = fs::read_to_string(conf.path()).unwrap();
        fs::write(conf.path(), format!("{with}c = d\n")).unwrap();
        conf.off().unwrap();
        assert_eq!(fs::read_to_string(conf.path()).unwrap(), "a = b\nc = d\n");
        fs::write(conf.path(), with.replace(END, "")).unwrap();
        assert!(matches!(conf.off(), Err(NixConfError::Block { .. })));
        fs::remove_file(conf.path()).unwrap();
        std::os::unix::fs::symlink("/nix/store/x", conf.path()).unwrap();
        assert!(matches!(conf.on(&settings()), Err(NixConfError::Managed { .. })));
    }

    #[test]
    fn each_setting_that_lets_something_past_is_named() {
        let place = Place::new("/gate");
        let text = "pre-build-hook = /gate/pre-build-hook\nsandbox = true\nsandbox-fallback = false\nsubstituters = \n\
                    trusted-substituters =\ntrusted-public-keys = \nrequire-sigs = true\nbuilders = \ntrusted-users = root\n\
                    accept-flake-config = false\nexperimental-features = flakes nix-command\n";
        let good = read_configuration(text);
        assert_eq!(wrong(&place, None, &good), []);
        for (name, value) in [
            ("pre-build-hook", ""),
            ("sandbox", "relaxed"),
            ("sandbox-fallback", "true"),
            ("substituters", "https://cache.example.org"),
            ("trusted-substituters", "https://cache.example.org"),
            ("trusted-public-keys", "k:AAAA"),
            ("require-sigs", "false"),
            ("builders", "ssh://elsewhere"),
            ("trusted-users", "root @wheel"),
            ("accept-flake-config", "true"),
            ("experimental-features", "flakes recursive-nix"),
        ] {
            let mut bad = good.clone();
            bad.insert(name.to_owned(), value.to_owned());
            let names: Vec<_> = wrong(&place, None, &bad)
                .into_iter()
                .map(|wrong| wrong.setting)
                .collect();
            assert_eq!(names, [name]);
        }
        assert!(
            wrong(&place, None, &Configuration::new()).len() >= 6,
            "an empty answer proves nothing"
        );
    }
}
