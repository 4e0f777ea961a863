//! What somebody asks to have approved, and the expression that it means.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use nixstore::{Sha256Digest, StoreDir, StorePath, StorePathError};
use serde::{Deserialize, Serialize};

use crate::client::Client;

/// The version of the file, and of the question over the socket.
const FORMAT: u32 = 1;

/// So many attributes are asked for at once.
const MOST_ATTRIBUTES: usize = 64;

/// So many sources are named at once.
const MOST_SOURCES: usize = 1024;

/// The longest path of an attribute.
const LONGEST: usize = 200;

/// The path of an attribute: `hello`, `python3Packages.requests`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Attribute(String);

/// A source by where it will be in the store, which holds its hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source(StorePath);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields,
    tag = "kind"
)]
pub enum Wanted {
    /// Attributes of the signed package set, as it is without any configuration.
    Packages {
        /// Which.
        attributes: Vec<Attribute>,
    },
    /// An expression of the owner's, or attributes of it.
    Expression {
        /// Where it is.
        file: PathBuf,
        /// Which; none means all of it.
        #[serde(default)]
        attributes: Vec<Attribute>,
    },
    /// A system by a configuration of the owner's.
    System {
        /// Where it is.
        configuration: PathBuf,
    },
}

/// A question: what is asked for, and which unlisted sources are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Question {
    format: u32,
    /// What is asked for.
    pub wanted: Wanted,
    /// Paths in the store of sources that no signed list knows, and that are taken all the same.
    #[serde(default)]
    pub sources: BTreeSet<Source>,
}

/// A question and who asked it, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    /// What was asked.
    pub question: Question,
    /// Who asked, as the kernel said.
    pub client: Client,
    /// When, in seconds since 1970.
    pub time: u64,
}

/// Why a question is not looked at.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not the path of an attribute.
    #[error("expected names of attributes joined by dots, found {found:?}")]
    Attribute {
        /// What it is.
        found: String,
    },
    /// Another version of us asks.
    #[error("expected a question in format {FORMAT}, found {found}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Too much, or nothing at all.
    #[error("expected between 1 and {MOST_ATTRIBUTES} attributes and at most {MOST_SOURCES} sources")]
    Size,
    /// A file that is named by where somebody stands.
    #[error("expected an absolute path, found {}", found.display())]
    Relative {
        /// What it is.
        found: PathBuf,
    },
}

impl TryFrom<String> for Attribute {
    type Error = RequestError;

    fn try_from(text: String) -> Result<Self, RequestError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-'+".contains(&byte);
        let named = |part: &str| !part.is_empty() && part.bytes().all(plain);
        if text.len() <= LONGEST && text.split('.').all(named) {
            return Ok(Self(text));
        }
        let found = text.chars().take(LONGEST).collect();
        Err(RequestError::Attribute { found })
    }
}

impl std::str::FromStr for Attribute {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        text.to_owned().try_into()
    }
}

impl From<Attribute> for String {
    fn from(attribute: Attribute) -> Self {
        attribute.0
    }
}

impl TryFrom<String> for Source {
    type Error = StorePathError;

    fn try_from(text: String) -> Result<Self, StorePathError> {
        text.parse()
    }
}

impl std::str::FromStr for Source {
    type Err = StorePathError;

    /// A path in the store, or its last part.
    fn from_str(text: &str) -> Result<Self, StorePathError> {
        let path = if text.starts_with('/') {
            StorePath::parse_in(&StoreDir::default(), text)
        } else {
            text.parse()
        };
        path.map(Self)
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl From<StorePath> for Source {
    fn from(path: StorePath) -> Self {
        Self(path)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", StoreDir::default(), self.0)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Attribute {
    /// `."python3Packages"."requests"`: quoted, so that no name is a word of the language.
    fn selected(&self) -> String {
        self.0.split('.').map(|part| format!(".\"{part}\"")).collect()
    }
}

impl Question {
    /// A question.
    pub const fn new(wanted: Wanted, sources: BTreeSet<Source>) -> Self {
        Self {
            format: FORMAT,
            wanted,
            sources,
        }
    }

    /// Whether it can be looked at.
    pub fn check(&self) -> Result<(), RequestError> {
        if self.format != FORMAT {
            return Err(RequestError::Format { found: self.format });
        }
        let (attributes, least) = match &self.wanted {
            Wanted::Packages { attributes } => (attributes.len(), 1),
            Wanted::Expression { attributes, .. } => (attributes.len(), 0),
            Wanted::System { .. } => (0, 0),
        };
        if !(least..=MOST_ATTRIBUTES).contains(&attributes) || self.sources.len() > MOST_SOURCES {
            return Err(RequestError::Size);
        }
        match self.wanted.file() {
            Some(found) if !found.is_absolute() => Err(RequestError::Relative {
                found: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl Wanted {
    /// Its name where it is kept: two questions for one thing are one.
    pub fn id(&self) -> String {
        let text = serde_json::to_vec(self).expect("what is wanted is JSON");
        Sha256Digest::of(text).to_string().chars().take(16).collect()
    }

    /// The file of the owner's that it is about.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Packages { .. } => None,
            Self::Expression { file, .. } => Some(file),
            Self::System { configuration } => Some(configuration),
        }
    }

    /// As a person says it.
    pub fn in_words(&self) -> String {
        let list = |attributes: &[Attribute]| {
            attributes
                .iter()
                .map(|name| name.0.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Self::Packages { attributes } => list(attributes),
            Self::Expression { file, attributes } if attributes.is_empty() => file.display().to_string(),
            Self::Expression { file, attributes } => format!("{} of {}", list(attributes), file.display()),
            Self::System { configuration } => format!("the system of {}", configuration.display()),
        }
    }

    /// The expression that it means, over the package set in `tree`.
    ///
    /// The package set is taken as the signed list has it: without a configuration or overlays of whoever evaluates. An
    /// expression of the owner's may be a function; then it is given `pkgs`, `lib`, `nixpkgs` (the path) and `system`.
    pub fn expression(&self, tree: &Path, system: &str) -> String {
        let (tree, system) = (path(tree), string(system));
        let set = format!(
            "let nixpkgs = {tree}; system = {system}; make = import nixpkgs; pkgs = make (builtins.intersectAttrs \
             (builtins.functionArgs make) {{ inherit system; config = {{ }}; overlays = [ ]; }}); in "
        );
        match self {
            Self::Packages { attributes } => set + &selected("pkgs", attributes),
            Self::Expression { file, attributes } => {
                let given = format!(
                    "let written = import {}; given = if builtins.isFunction written then written (builtins.intersectAttrs \
                     (builtins.functionArgs written) {{ inherit pkgs nixpkgs system; inherit (pkgs) lib; }}) else written; in ",
                    path(file)
                );
                let what = if attributes.is_empty() {
                    "given".to_owned()
                } else {
                    selected("given", attributes)
                };
                set + &given + &what
            }
            Self::System { configuration } => format!(
                "(import ({tree} + \"/nixos\") {{ configuration = {}; system = {system}; }}).system",
                path(configuration)
            ),
        }
    }

    /// The search path that the expression is evaluated with: what it may read, and nothing else.
    pub fn search_path(&self, tree: &Path) -> Vec<(String, PathBuf)> {
        let mut entries = vec![("nixpkgs".to_owned(), tree.to_owned())];
        if let Some(file) = self.file() {
            let directory = file.parent().unwrap_or(Path::new("/"));
            entries.push(("touchstone-owner".to_owned(), directory.to_owned()));
        }
        if let Self::System { configuration } = self {
            entries.push(("nixos-config".to_owned(), configuration.clone()));
        }
        entries
    }
}

/// Options of Nix under which an expression reads its search path and nothing else, and fetches and builds nothing.
pub fn options(search_path: &[(String, PathBuf)]) -> Vec<String> {
    let mut options: Vec<String> = ["restrict-eval", "true", "allow-import-from-derivation", "false"]
        .chunks(2)
        .flat_map(|pair| ["--option".to_owned(), pair[0].to_owned(), pair[1].to_owned()])
        .collect();
    for name in ["experimental-features", "allowed-uris"] {
        options.extend(["--option".to_owned(), name.to_owned(), String::new()]);
    }
    for (name, path) in search_path {
        options.extend(["-I".to_owned(), format!("{name}={}", path.display())]);
    }
    options
}

fn selected(of: &str, attributes: &[Attribute]) -> String {
    let each: Vec<_> = attributes
        .iter()
        .map(|attribute| format!("({of}{})", attribute.selected()))
        .collect();
    format!("[ {} ]", each.join(" "))
}

/// A path as an expression, whatever is in its name.
fn path(path: &Path) -> String {
    format!("(/. + {})", string(&path.display().to_string()))
}

fn string(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_or_a_path_cannot_become_an_expression() {
        for bad in [
            "",
            "a..b",
            ".a",
            "a.",
            "a b",
            "a\"b",
            "${x}",
            "a\\",
            "a;b",
            "a/b",
            &"a".repeat(201),
        ] {
            assert!(bad.parse::<Attribute>().is_err(), "{bad}");
        }
        let good: Attribute = "python3Packages.requests".parse().unwrap();
        assert_eq!(good.selected(), ".\"python3Packages\".\"requests\"");
        let text = path(Path::new("/x/\"${builtins.abort \"y\"}\\"));
        assert_eq!(text, r#"(/. + "/x/\"\${builtins.abort \"y\"}\\")"#);
    }

    #[test]
    fn refuses_questions_that_are_too_much_nothing_or_about_where_one_stands() {
        let packages = |count| Wanted::Packages {
            attributes: vec!["a".parse().unwrap(); count],
        };
        let check = |wanted| Question::new(wanted, BTreeSet::new()).check();
        assert!(check(packages(1)).is_ok() && check(packages(64)).is_ok());
        assert!(matches!(check(packages(0)), Err(RequestError::Size)));
        assert!(matches!(check(packages(65)), Err(RequestError::Size)));
        let system = |file: &str| Wanted::System {
            configuration: file.into(),
        };
        assert!(check(system("/etc/nixos/configuration.nix")).is_ok());
        assert!(matches!(
            check(system("configuration.nix")),
            Err(RequestError::Relative { .. })
        ));
        let text = r#"{"format":2,"wanted":{"kind":"system","configuration":"/x"}}"#;
        let other: Question = serde_json::from_str(text).unwrap();
        assert!(matches!(other.check(), Err(RequestError::Format { found: 2 })));
        for unknown in [
            r#"{"format":1,"wanted":{"kind":"system","configuration":"/x","uid":0}}"#,
            r#"{"format":1,"wanted":{"kind":"everything"}}"#,
            r#"{"format":1,"wanted":{"kind":"packages","attributes":["a b"]}}"#,
            r#"{"format":1,"wanted":{"kind":"packages","attributes":["a"]},"sources":["/etc/passwd"]}"#,
        ] {
            assert!(serde_json::from_str::<Question>(unknown).is_err(), "{unknown}");
        }
    }
}
