//! What rules see of a change: files that differ, facts before and now.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
};

use attestation::unit::FileMode;

use super::{Analysed, Context, UnitFile};
use crate::{Fact, File, Package, Source, marks::Mark, rule::Found, text};

/// A file that differs, as rules see it that need no tree.
pub(crate) struct Changed<'a> {
    pub(crate) path: &'a str,
    pub(crate) old: Option<UnitFile<'a>>,
    pub(crate) new: Option<UnitFile<'a>>,
    pub(crate) context: Context<'a>,
}

impl<'a> Changed<'a> {
    /// The whole file.
    pub(crate) fn whole(&self, what: &str) -> Found {
        Found {
            path: self.path.to_owned(),
            line: None,
            what: what.to_owned(),
        }
    }

    /// A line of the new file.
    pub(crate) fn at(&self, line: u64, what: String) -> Found {
        Found {
            path: self.path.to_owned(),
            line: Some(line),
            what,
        }
    }

    /// The lines of the new file that the old one has not, wherever; none of a file that is no text.
    pub(crate) fn gained_bytes(&self) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        let is_text = |new: &UnitFile<'_>| new.mode != FileMode::Submodule && !text::is_binary(new.bytes);
        let new = self.new.filter(is_text);
        let old = self.old.filter(|_| new.is_some());
        let known: HashSet<&[u8]> = old.into_iter().flat_map(|old| lines(old.bytes)).collect();
        let lines = (1..).zip(new.into_iter().flat_map(|new| lines(new.bytes)));
        lines.filter(move |(_, line)| !known.contains(line))
    }

    /// Likewise, as far as they are UTF-8.
    pub(crate) fn gained_lines(&self) -> impl Iterator<Item = (u64, &'a str)> + use<'a> {
        let lines = self.gained_bytes();
        lines.filter_map(|(number, line)| Some((number, std::str::from_utf8(line).ok()?)))
    }
}

/// What stands between newlines; after the last one too.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let (line, after) = match memchr::memchr(b'\n', bytes) {
            Some(newline) => (&bytes[..newline], Some(&bytes[newline + 1..])),
            None => (bytes, None),
        };
        rest = after;
        Some(line)
    })
}

/// Two states of a file, or of a binding in it.
pub(crate) struct Comparison<'c> {
    pub(crate) old: Option<View<'c>>,
    pub(crate) new: Option<View<'c>>,
    /// Packages before and now.
    pub(crate) packages: Vec<(Option<&'c Package<'c>>, Option<&'c Package<'c>>)>,
    /// Sources before and now.
    pub(crate) sources: Vec<(Option<&'c Source<'c>>, Option<&'c Source<'c>>)>,
    pub(crate) context: Context<'c>,
}

/// A part of a file.
#[derive(Clone, Copy)]
pub(crate) struct View<'c> {
    pub(crate) analysed: &'c Analysed<'c, 'c>,
    range: (u32, u32),
}

impl<'c> View<'c> {
    pub(super) fn whole(analysed: &'c Analysed<'c, 'c>) -> Self {
        Self {
            analysed,
            range: (0, u32::MAX),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "longer texts are refused")]
    pub(super) fn part(analysed: &'c Analysed<'c, 'c>, range: &Range<usize>) -> Self {
        Self {
            analysed,
            range: (range.start as u32, range.end as u32),
        }
    }

    pub(crate) fn file(&self) -> &'c File<'c> {
        self.analysed.file
    }

    pub(crate) fn has(&self, at: u32) -> bool {
        self.range.0 <= at && at < self.range.1
    }

    /// Where it begins in its file.
    pub(crate) const fn base(&self) -> usize {
        self.range.0 as usize
    }

    pub(crate) fn text(&self) -> &'c str {
        let text = self.file().text();
        &text[self.range.0 as usize..(self.range.1 as usize).min(text.len())]
    }

    pub(crate) fn packages(self) -> impl Iterator<Item = &'c Package<'c>> {
        self.analysed
            .facts
            .packages
            .iter()
            .filter(move |package| self.has(package.at))
    }

    pub(crate) fn sources(self) -> impl Iterator<Item = &'c Source<'c>> {
        self.analysed
            .facts
            .sources
            .iter()
            .filter(move |source| self.has(source.at))
    }

    pub(super) fn marks(self) -> impl Iterator<Item = &'c Mark<'c>> {
        self.analysed.marks.iter().filter(move |mark| self.has(mark.at))
    }
}

impl Comparison<'_> {
    /// Something found in the new file.
    pub(crate) fn found(&self, at: u32, what: String) -> Found {
        let view = self.new.as_ref().or(self.old.as_ref());
        Found {
            path: view.map_or("", |view| view.file().path()).to_owned(),
            line: self.new.as_ref().map(|view| view.file().line(at)),
            what,
        }
    }

    /// Something found that is no longer in the new file.
    pub(crate) fn lost(&self, what: String) -> Found {
        let view = self.new.as_ref().or(self.old.as_ref());
        Found {
            path: view.map_or("", |view| view.file().path()).to_owned(),
            line: None,
            what,
        }
    }
}

impl<'c> Comparison<'c> {
    /// What a package is made of first.
    pub(crate) fn first_source(&self, view: Option<View<'c>>, package: &Package<'_>) -> Option<&'c Source<'c>> {
        let index = package.sources.known()?.first()?;
        view?.analysed.facts.sources.get(*index)
    }

    /// How people call a source.
    pub(crate) fn title(&self, source: &Source<'_>) -> String {
        if source.path.is_empty() {
            source.fetcher.to_owned()
        } else {
            source.path.clone()
        }
    }

    /// Whether what the hash of a source covers is said otherwise.
    pub(crate) fn meaning_changed(&self, old: &Source<'_>, new: &Source<'_>) -> bool {
        let algorithm = |source: &Source<'_>| source.hash.known().map(|hash| hash.algorithm);
        algorithm(old) == algorithm(new) && old.fetcher != new.fetcher
    }

    /// Whether the version of the package around a place of the old file changed.
    pub(crate) fn version_changed_at_old(&self, at: u32) -> bool {
        let mut around = self
            .packages
            .iter()
            .filter(|(old, _)| old.is_some_and(|old| old.span.start <= at && at < old.span.end));
        around.any(|(old, new)| match (old, new) {
            (Some(old), Some(new)) => old.version != new.version,
            _ => true,
        })
    }

    /// Whether the version of the package around a place of the new file changed.
    pub(crate) fn version_changed_at(&self, at: u32) -> bool {
        let around = self
            .packages
            .iter()
            .filter(|(_, new)| new.is_some_and(|new| new.span.start <= at && at < new.span.end));
        around.into_iter().any(|(old, new)| match (old, new) {
            (Some(old), Some(new)) => old.version != new.version || old.version == Fact::Unknown,
            _ => true,
        })
    }
}

pub(super) fn comparison<'c>(old: Option<View<'c>>, new: Option<View<'c>>, context: &Context<'c>) -> Comparison<'c> {
    let packages = |view: Option<View<'c>>| view.map(|view| view.packages().collect::<Vec<_>>()).unwrap_or_default();
    let sources = |view: Option<View<'c>>| view.map(|view| view.sources().collect::<Vec<_>>()).unwrap_or_default();
    Comparison {
        old,
        new,
        packages: pair(
            &packages(old),
            &packages(new),
            |package| &package.attribute,
            |old, new| old.pname == new.pname && old.version == new.version,
        ),
        sources: pair(
            &sources(old),
            &sources(new),
            |source| &source.path,
            |old, new| old.hash.is_known() && old.hash == new.hash || old.urls.is_known() && old.urls == new.urls,
        ),
        context: *context,
    }
}

type Pairs<'c, T> = Vec<(Option<&'c T>, Option<&'c T>)>;

/// Pairs things by their names; of several with one name, those that are `same` first, then in order. What is left over
/// of both sides, if it is one each, is one that was renamed.
fn pair<'c, T>(old: &[&'c T], new: &[&'c T], name: fn(&T) -> &String, same: fn(&T, &T) -> bool) -> Pairs<'c, T> {
    // All of a new file came.
    if old.is_empty() {
        let mut came = new.to_vec();
        came.sort_by(|one, other| name(one).cmp(name(other)));
        return came.into_iter().map(|new| (None, Some(new))).collect();
    }
    let mut by_name: HashMap<&str, (Vec<&'c T>, Vec<&'c T>)> = HashMap::new();
    for thing in old {
        by_name.entry(name(thing)).or_default().0.push(thing);
    }
    for thing in new {
        by_name.entry(name(thing)).or_default().1.push(thing);
    }
    let mut names = BTreeSet::new();
    names.extend(old.iter().chain(new).map(|thing| name(thing).as_str()));
    let mut pairs = Vec::new();
    let (mut gone, mut came) = (Vec::new(), Vec::new());
    for name in names {
        let Some((mut old, mut new)) = by_name.remove(name) else {
            continue;
        };
        // Lists under one name are short; of long ones only the order counts.
        if old.len() > 1 && new.len() > 1 && old.len().max(new.len()) <= 256 {
            old.retain(|one| match new.iter().position(|other| same(one, other)) {
                Some(at) => {
                    pairs.push((Some(*one), Some(new.remove(at))));
                    false
                }
                None => true,
            });
        }
        let both = old.len().min(new.len());
        pairs.extend(
            old.drain(..both)
                .zip(new.drain(..both))
                .map(|(old, new)| (Some(old), Some(new))),
        );
        gone.extend(old);
        came.extend(new);
    }
    if let ([old], [new]) = (gone.as_slice(), came.as_slice()) {
        pairs.push((Some(*old), Some(*new)));
    } else {
        pairs.extend(gone.into_iter().map(|old| (Some(old), None)));
        pairs.extend(came.into_iter().map(|new| (None, Some(new))));
    }
    pairs
}
