//! The derivations of a package set on one kind of machine, as a release lists them for machines with a gate.
//!
//! ```text
//! touchstone derivations 1 x86_64-linux
//! <name of the .drv file> <SHA-256 of the file> <SHA-256 of its development shape> <names of its outputs…>
//! ```
//!
//! Lines are sorted by the path and end in a line break; names are those of store objects. There is one spelling.

use std::collections::BTreeMap;

use crate::{Derivation, Sha256Digest, StorePath, derivation::derivation_name};

const FIRST: &str = "touchstone derivations 1 ";

/// A list of derivations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The kind of machine, as `x86_64-linux`.
    pub system: String,
    /// The derivations, sorted by path, each once.
    pub derivations: Vec<Line>,
}

/// One derivation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The path of its file.
    pub path: StorePath,
    /// SHA-256 of its file.
    pub digest: Sha256Digest,
    /// [`Derivation::develop_shape`].
    pub develop_shape: Sha256Digest,
    /// The paths of its outputs, sorted by the outputs' names.
    pub outputs: Vec<StorePath>,
}

/// Why a text is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The first line is another one.
    #[error("expected the first line {FIRST:?} and a system, found {found:?}")]
    First {
        /// What it is.
        found: String,
    },
    /// A line that is none, or out of order.
    #[error("expected sorted lines of a derivation, two digests and outputs, found {found:?} as line {number}")]
    Line {
        /// Which line, from 1.
        number: usize,
        /// The line.
        found: String,
    },
}

impl Line {
    /// The line of the derivation at `path`.
    pub fn of(path: StorePath, derivation: &Derivation) -> Self {
        Self {
            digest: Sha256Digest::of(derivation.to_aterm()),
            develop_shape: derivation.develop_shape(),
            outputs: derivation.output_paths().cloned().collect(),
            path,
        }
    }

    /// The name of the derivation.
    pub fn name(&self) -> &str {
        derivation_name(&self.path).unwrap_or_else(|_| self.path.name())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let path: StorePath = words.next()?.parse().ok()?;
        derivation_name(&path).ok()?;
        let digest = words.next()?.parse().ok()?;
        let develop_shape = words.next()?.parse().ok()?;
        let outputs: Vec<StorePath> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        (!outputs.is_empty()).then_some(Self {
            path,
            digest,
            develop_shape,
            outputs,
        })
    }
}

impl Manifest {
    /// The manifest of these derivations.
    pub fn new(system: impl Into<String>, derivations: &BTreeMap<StorePath, Derivation>) -> Self {
        Self {
            system: system.into(),
            derivations: derivations
                .iter()
                .map(|(path, derivation)| Line::of(path.clone(), derivation))
                .collect(),
        }
    }

    /// Reads the one spelling.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let system = first.strip_prefix(FIRST).filter(|system| is_system(system));
        let system = system.ok_or_else(|| ManifestError::First {
            found: first.chars().take(80).collect(),
        })?;
        let mut derivations: Vec<Line> = Vec::new();
        for (number, text) in (2..).zip(rest.split_inclusive('\n')) {
            let last = derivations.last().map(|line| &line.path);
            let line = text
                .strip_suffix('\n')
                .and_then(Line::parse)
                .filter(|line| last.is_none_or(|last| *last < line.path));
            derivations.push(line.ok_or_else(|| ManifestError::Line {
                number,
                found: text.chars().take(200).collect(),
            })?);
        }
        Ok(Self {
            system: system.to_owned(),
            derivations,
        })
    }

    /// The text that [`Manifest::parse`] reads.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FIRST}{}\n", self.system);
        for line in &self.derivations {
            text += &format!("{} {} {}", line.path, line.digest, line.develop_shape);
            for output in &line.outputs {
                text.push(' ');
                text += output.base_name();
            }
            text.push('\n');
        }
        text
    }
}

/// Whether it is the name of a kind of machine, as it also stands in a file's name.
pub fn is_system(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    text.contains('-') && text.len() <= 40 && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn text(lines: &[&str]) -> String {
        let lines = lines
            .iter()
            .map(|path| format!("{path} {ZERO} {ZERO} rw7inc1angha9y1sq6wsxk65crllgqr6-x\n"));
        format!("touchstone derivations 1 x86_64-linux\n{}", lines.collect::<String>())
    }

    const A: &str = "r3xjz212rckvqi2j444s33h4m8864ba0-pkg.drv";
    const B: &str = "xw5w6c0dwrllq3d21c1ndaibbk5jwcpa-nixpkgs.drv";

    #[test]
    fn a_manifest_has_one_spelling() {
        let good = text(&[A, B]);
        let manifest = Manifest::parse(&good).unwrap();
        assert_eq!(manifest.derivations[0].name(), "pkg");
        assert_eq!(manifest.to_text(), good);
        assert!(Manifest::parse("touchstone derivations 1 x86_64-linux\n").is_ok());
        for bad in [
            text(&[B, A]),
            text(&[A, A]),
            text(&["rw7inc1angha9y1sq6wsxk65crllgqr6-x"]),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            good.replace(" rw7i", "  rw7i"),
            good.replacen("derivations 1", "derivations 2", 1),
            good.replacen("x86_64-linux", "../x", 1),
            good.replacen(" rw7inc1angha9y1sq6wsxk65crllgqr6-x\n", "\n", 1),
        ] {
            assert!(Manifest::parse(&bad).is_err(), "{bad}");
        }
    }
}
