//! Collection files, cut into units: one for each name that they bind, and one for the rest.
//!
//! A quarter of all commits touch `pkgs/top-level`, and most of them one line of it. A binding is a unit
//! `<file>#<name>`; what is no such binding (the arguments, `let`, an `inherit` of several names, a name that is
//! computed) is the file's *residue*, and its unit is the file itself.
//!
//! Nothing may hide between the units of a file. So the cut is one of both sides together, and there is none, the file
//! being one unit, unless both sides are read to their end, and what both bind stands in the same order on both, between
//! the same parts of the residue. Then the new file follows from its units, but for where in the set a new binding stands,
//! which has no meaning in Nix (and stands in the tree's digest, that people sign with the import).

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use attestation::{UnitPath, unit::ListedFile};
use importer::{FileMode, TreePath};
use nixexpr::{Binding, BindingKind};
use nixstore::Sha256Digest;

use crate::class::{self, Sensitivity};

/// Stands in a residue where bindings stood. It occurs in no file that is cut.
const MARK: u8 = 0;

/// Both sides of a collection file, cut.
#[derive(Debug)]
pub(crate) struct Cut<'a> {
    old: Side<'a>,
    new: Side<'a>,
}

#[derive(Debug)]
struct Side<'a> {
    /// What is bound, by name.
    bindings: BTreeMap<&'a str, Part<'a>>,
    /// The names as they stand.
    order: Vec<&'a str>,
    residue: Vec<u8>,
    /// The residue with the lines of the bindings left empty: what is a Nix file of its own, with the lines of the file.
    blank: Vec<u8>,
}

/// A binding that is a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Its text, with the comments that belong to it.
    pub(crate) text: &'a [u8],
    /// The line, from 1, on which that begins.
    pub(crate) line: u64,
    /// One package, or more than that.
    pub(crate) kind: &'a BindingKind,
    /// Which binding of the file it is.
    index: usize,
    /// How many parts of the residue stand before it.
    run: usize,
}

/// A unit of a cut file that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// The name that it binds; `None` for the residue.
    pub(crate) name: Option<&'a str>,
    /// What it was.
    pub(crate) old: Option<Text<'a>>,
    /// What it is.
    pub(crate) new: Option<Text<'a>>,
    /// Its listing before; empty where it was not.
    pub(crate) was: Vec<ListedFile>,
    /// Its listing now.
    pub(crate) is: Vec<ListedFile>,
}

/// Whether a file is cut where that can be done.
pub(crate) fn is_cut(path: &TreePath) -> bool {
    path.as_str().starts_with("pkgs/") && path.name().ends_with("-packages.nix")
}

/// The unit of a binding.
pub(crate) fn unit(path: &TreePath, name: &str) -> Option<UnitPath> {
    format!("{path}#{name}").parse().ok()
}

/// Which of these names a file binds by just these texts, as units of their own. Where it cannot be cut: all.
pub(crate) fn binds(path: &TreePath, file: &[u8], asked: &[(&str, &[u8])]) -> Vec<bool> {
    let Ok(parsed) = nixexpr::parse(path.as_str(), file) else {
        return vec![true; asked.len()];
    };
    let bound = nixexpr::bindings(&parsed);
    let side = Side::of(file, &bound);
    let is_bound = |(name, text): &(&str, &[u8])| match &side {
        Some(side) => side.bindings.get(name).is_some_and(|part| part.text == *text),
        None => true,
    };
    asked.iter().map(is_bound).collect()
}

/// The text of a unit of a cut file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// As people see it.
    pub(crate) shown: Cow<'a, [u8]>,
    /// A binding as it stands; the residue as a Nix file of its own.
    pub(crate) code: Cow<'a, [u8]>,
    /// The line, from 1, on which it begins.
    pub(crate) line: u64,
    /// Which binding of the file it is.
    pub(crate) binding: Option<usize>,
    /// One package, or more than that; of the residue, more.
    pub(crate) kind: &'a BindingKind,
}

/// How far a part of a collection reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reach {
    /// Everything: it is more than one package, or packages are made with it.
    pub(crate) foundation: bool,
    /// It is, or calls, a package of tier zero.
    pub(crate) tier_zero: bool,
}

impl Reach {
    fn add(&mut self, sensitivity: Sensitivity) {
        self.foundation |= sensitivity == Sensitivity::Foundation;
        self.tier_zero |= sensitivity == Sensitivity::TierZero;
    }

    /// The stricter of the two.
    pub(crate) const fn sensitivity(self) -> Sensitivity {
        match self {
            Self { foundation: true, .. } => Sensitivity::Foundation,
            Self { tier_zero: true, .. } => Sensitivity::TierZero,
            _ => Sensitivity::None,
        }
    }
}

impl Piece<'_> {
    /// How far it reaches. A binding that is one package, and was one if it was there, reaches as far as its name and the files
    /// that it calls: like an edit of those files. Whatever is not known to be one reaches everything, but for a name that
    /// nothing is bound to any more.
    pub(crate) fn reach(&self, collection: &TreePath) -> Reach {
        let mut reach = Reach::default();
        let Some(name) = self.name else {
            reach.foundation = true;
            return reach;
        };
        if self.new.is_none() {
            return reach;
        }
        reach.foundation = nixexpr::paths::is_foundation_name(name);
        reach.tier_zero = nixexpr::paths::is_tier_zero_name(name);
        for text in [&self.old, &self.new].into_iter().flatten() {
            match text.kind {
                BindingKind::One { paths } => paths.iter().for_each(|path| reach.add(of_called(collection, path))),
                BindingKind::Other => reach.foundation = true,
            }
        }
        reach
    }
}

/// How far a file reaches that a collection calls. What is not below the collection's repository reaches everything.
fn of_called(collection: &TreePath, path: &str) -> Sensitivity {
    let mut at: Vec<&str> = collection
        .parent()
        .map_or_else(Vec::new, |parent| parent.split('/').collect());
    if !path.starts_with("./") && !path.starts_with("../") {
        return Sensitivity::Foundation;
    }
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if at.pop().is_none() => return Sensitivity::Foundation,
            ".." => {}
            name => at.push(name),
        }
    }
    let path = at.join("/");
    // A directory is its default.nix.
    let of = |path: &str| TreePath::parse(path).map_or(Sensitivity::Foundation, |path| class::sensitivity(&path));
    of(&path).max(of(&format!("{path}/default.nix")))
}

impl<'a> From<Part<'a>> for Text<'a> {
    fn from(part: Part<'a>) -> Self {
        Self {
            shown: part.text.into(),
            code: part.text.into(),
            line: part.line,
            binding: Some(part.index),
            kind: part.kind,
        }
    }
}

impl<'a> Side<'a> {
    fn residue_text(&self) -> Text<'a> {
        let parts: Vec<&[u8]> = self.residue.split(|byte| *byte == MARK).collect();
        Text {
            shown: parts.join(&b"  # ...\n"[..]).into(),
            code: self.blank.clone().into(),
            line: 1,
            binding: None,
            kind: &BindingKind::Other,
        }
    }
}

impl<'a> Cut<'a> {
    /// Cuts a file, whose bindings on each side are given; `None` if it is one unit.
    pub(crate) fn of(old: (&'a [u8], &'a [Binding]), new: (&'a [u8], &'a [Binding])) -> Option<Self> {
        let (old, new) = (Side::of(old.0, old.1)?, Side::of(new.0, new.1)?);
        let common = |side: &Side<'a>, other: &Side<'a>| -> Vec<(&'a str, usize)> {
            let both = side.order.iter().filter(|name| other.bindings.contains_key(*name));
            both.map(|name| (*name, side.bindings[name].run)).collect()
        };
        (common(&old, &new) == common(&new, &old)).then_some(Self { old, new })
    }

    /// The units that differ. `path` is the file's.
    pub(crate) fn pieces(&self, path: &TreePath) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        if self.old.residue != self.new.residue {
            pieces.push(Piece {
                name: None,
                old: Some(self.old.residue_text()),
                new: Some(self.new.residue_text()),
                was: listing(format!("{path}#"), &self.old.residue),
                is: listing(format!("{path}#"), &self.new.residue),
            });
        }
        let names: BTreeSet<&str> = self
            .old
            .bindings
            .keys()
            .chain(self.new.bindings.keys())
            .copied()
            .collect();
        for name in names {
            let (old, new) = (
                self.old.bindings.get(name).copied(),
                self.new.bindings.get(name).copied(),
            );
            if old.map(|part| part.text) == new.map(|part| part.text) {
                continue;
            }
            let listed = |part: Option<Part<'_>>| {
                part.map_or_else(Vec::new, |part| listing(format!("{path}#{name}"), part.text))
            };
            pieces.push(Piece {
                name: Some(name),
                old: old.map(Text::from),
                new: new.map(Text::from),
                was: listed(old),
                is: listed(new),
            });
        }
        pieces
    }
}

fn listing(path: String, bytes: &[u8]) -> Vec<ListedFile> {
    vec![ListedFile {
        path,
        mode: FileMode::Regular,
        sha256: Sha256Digest::of(bytes),
    }]
}

impl<'a> Side<'a> {
    /// Cuts one side. The bindings are believed only as far as they lie one after the other in the text.
    fn of(text: &'a [u8], found: &'a [Binding]) -> Option<Self> {
        if text.contains(&MARK) {
            return None;
        }
        let mut times: BTreeMap<&str, usize> = BTreeMap::new();
        for name in found.iter().flat_map(|binding| &binding.names) {
            *times.entry(name).or_default() += 1;
        }
        let mut side = Self {
            bindings: BTreeMap::new(),
            order: Vec::new(),
            residue: Vec::new(),
            blank: Vec::new(),
        };
        let (mut end, mut run, mut line) = (0, 0, 1);
        for (index, binding) in found.iter().enumerate() {
            let between = text.get(end..binding.span.start)?;
            let own = text.get(binding.span.clone())?;
            if !between.is_empty() {
                side.residue.extend_from_slice(between);
                side.blank.extend_from_slice(between);
                run += 1;
            }
            line += newlines(between);
            match &binding.names[..] {
                [name] if is_written(name, text, binding) && times.get(name.as_str()) == Some(&1) => {
                    if side.residue.last() != Some(&MARK) {
                        side.residue.push(MARK);
                    }
                    side.blank.extend(own.iter().filter(|byte| **byte == b'\n'));
                    side.order.push(name);
                    let part = Part {
                        text: own,
                        line,
                        kind: &binding.kind,
                        index,
                        run,
                    };
                    side.bindings.insert(name, part);
                }
                _ => {
                    side.residue.extend_from_slice(own);
                    side.blank.extend_from_slice(own);
                    run += 1;
                }
            }
            line += newlines(own);
            end = binding.span.end;
        }
        side.residue.extend_from_slice(text.get(end..)?);
        side.blank.extend_from_slice(text.get(end..)?);
        (!side.order.is_empty()).then_some(side)
    }
}

fn newlines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Whether a binding begins with its name, which is plain: not one that is computed.
fn is_written(name: &str, text: &[u8], binding: &Binding) -> bool {
    is_plain(name)
        && text
            .get(binding.core.start..)
            .is_some_and(|text| text.starts_with(name.as_bytes()))
}

/// Whether a name can stand in a unit's path as it is: identifiers joined by dots.
fn is_plain(name: &str) -> bool {
    name.split('.').all(|part| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'\''))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "pkgs/top-level/all-packages.nix";

    fn bindings(text: &str) -> Vec<Binding> {
        nixexpr::parse(PATH, text.as_bytes()).map_or_else(|_| Vec::new(), |file| nixexpr::bindings(&file))
    }

    /// Names of the units that differ; `None` if the file is one unit.
    fn differing(old: &str, new: &str) -> Option<Vec<String>> {
        let (was, is) = (bindings(old), bindings(new));
        let cut = Cut::of((old.as_bytes(), &was), (new.as_bytes(), &is))?;
        let path = TreePath::parse(PATH).unwrap();
        let pieces = cut.pieces(&path);
        Some(pieces.iter().map(|piece| piece.name.unwrap_or("").to_owned()).collect())
    }

    #[test]
    fn one_line_is_one_unit() {
        let old =
            "{ pkgs }:\n{\n  a = callPackage ../a { };\n\n  # about b\n  b = callPackage ../b { };\n  c = 1;\n}\n";
        for (from, to, units) in [
            ("../a {", "../a { x = true;", &["a"][..]),
            ("about b", "more about b", &["b"]),
            ("c = 1;", "c = 2;", &["c"]),
            ("  c = 1;\n", "", &["c"]),
            ("  c = 1;\n", "  c = 1;\n  d = 1;\n", &["d"]),
            ("{ pkgs }", "{ pkgs, lib }", &[""]),
            ("c = 1;", "inherit (a) c d;", &["", "c"]),
        ] {
            let new = old.replacen(from, to, 1);
            assert_ne!(old, new);
            assert_eq!(differing(old, &new).unwrap(), units, "{to}");
        }
    }

    #[test]
    fn what_could_hide_between_units_is_one_unit() {
        let old = "{\n  a = 1;\n  b = 2;\n  inherit (x) y z;\n  c = 3;\n}\n";
        for (new, flaw) in [
            (
                "{\n  b = 2;\n  a = 1;\n  inherit (x) y z;\n  c = 3;\n}\n",
                "another order",
            ),
            (
                "{\n  a = 1;\n  inherit (x) y z;\n  b = 2;\n  c = 3;\n}\n",
                "moved past the residue",
            ),
            ("{\n  a = 1;\n  b = 2;\n  inherit (x) y z;\n  c = 3;\n", "unreadable"),
            ("x: x\n", "no set"),
            ("{\n  a = 1;\n  b = 2;\n  inherit (x) y z;\n  c = 3;\n}\n\0", "a NUL"),
        ] {
            assert_eq!(differing(old, new), None, "{flaw}");
            assert_eq!(differing(new, old), None, "{flaw}");
        }
    }

    #[test]
    fn a_name_that_is_bound_twice_or_computed_is_residue() {
        let old = "{\n  a = 1;\n  b = 2;\n}\n";
        assert_eq!(
            differing(old, "{\n  a = 1;\n  b = 2;\n  b = 3;\n}\n").unwrap(),
            ["", "b"]
        );
        assert_eq!(
            differing(old, "{\n  a = 1;\n  b = 2;\n  \"${c}\" = 3;\n}\n").unwrap(),
            [""]
        );
        assert_eq!(
            differing(old, "{\n  a = 1;\n  b = 2;\n  \"c d\" = 3;\n}\n").unwrap(),
            [""]
        );
    }

    /// The new file, from the old one and the units that differ: every binding that stayed is where it was, new ones
    /// stand where the new file's order has them.
    fn rebuilt(old: &Side<'_>, pieces: &[Piece<'_>], new: &Side<'_>, residue: &[u8]) -> Vec<u8> {
        let changed: BTreeMap<&str, Option<&[u8]>> = pieces
            .iter()
            .filter_map(|piece| Some((piece.name?, piece.new.as_ref().map(|text| text.code.as_ref()))))
            .collect();
        let text = |name: &str| match changed.get(name) {
            Some(text) => *text,
            None => old.bindings.get(name).map(|part| part.text),
        };
        let mut names = new.order.iter().peekable();
        let mut out = Vec::new();
        for (position, segment) in residue.split(|byte| *byte == MARK).enumerate() {
            if position > 0 {
                let run = names.peek().map(|name| new.bindings[**name].run);
                while let Some(name) = names.next_if(|name| Some(new.bindings[**name].run) == run) {
                    out.extend_from_slice(text(name).unwrap_or_default());
                }
            }
            out.extend_from_slice(segment);
        }
        out
    }

    fn file() -> impl Strategy<Value = String> {
        let binding = prop::sample::select(vec![
            "  a = callPackage ../a { };\n",
            "  a = callPackage ../a { x = 1; };\n",
            "  # about b\n  b = 1;\n",
            "  b = 2; # b\n",
            "\n\n  c.d = ''\n    a = 1;\n  '';\n",
            "  c.d = 3;  c.e = 4;\n",
            "  inherit (a) x y;\n",
            "  inherit z;\n",
            "  \"q\" = 1;\n",
            "  f = { a = 1; b = 2; };\n",
            "  /* g = 1; */ g = 2;\n",
        ]);
        let head = prop::sample::select(vec!["{\n", "{ lib }:\n{\n", "let a = 1; in\n{\n", "rec {\n"]);
        let tail = prop::sample::select(vec!["}\n", "  # end\n}\n", "} // { }\n"]);
        (head, prop::collection::vec(binding, 0..8), tail)
            .prop_map(|(head, bindings, tail)| format!("{head}{}{tail}", bindings.concat()))
    }

    proptest! {
        #[test]
        fn nothing_hides_between_the_units_of_a_file(old in file(), new in file()) {
            let (was, is) = (bindings(&old), bindings(&new));
            let Some(cut) = Cut::of((old.as_bytes(), &was), (new.as_bytes(), &is)) else {
                return Ok(());
            };
            let path = TreePath::parse(PATH).unwrap();
            let pieces = cut.pieces(&path);
            prop_assert_eq!(old == new, pieces.is_empty());
            let residue_differs = pieces.iter().any(|piece| piece.name.is_none());
            let residue = if residue_differs { &cut.new.residue } else { &cut.old.residue };
            let made = rebuilt(&cut.old, &pieces, &cut.new, residue);
            prop_assert_eq!(String::from_utf8_lossy(&made), new.as_str());
        }

        #[test]
        fn a_cut_is_the_same_from_both_sides(old in file(), new in file()) {
            let forth = differing(&old, &new);
            prop_assert_eq!(forth, differing(&new, &old));
        }
    }
}
