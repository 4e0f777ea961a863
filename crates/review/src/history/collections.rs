//! Collection files: of two versions only the bindings around what differs are read.

use std::{cell::OnceCell, collections::VecDeque, ops::Range, rc::Rc, sync::Arc};

use importer::{Change, FileMode, ObjectError, ObjectId, Repository, TreePath};
use nixexpr::Binding;

use super::JudgedUnit;
use crate::{
    change::judge_piece,
    collection::{self, Cut, Piece, Text},
    engine::{Context, Sides},
};

/// So many versions of a file are remembered: branches lie beside each other.
const REMEMBERED: usize = 24;

/// The versions of one collection file.
pub(super) struct Bound<'r> {
    repository: &'r Repository,
    context: &'r Context<'r>,
    /// Those read lately.
    versions: VecDeque<(ObjectId, Rc<Version>)>,
}

/// A version of the file, and where its bindings begin, and the last one ends: they lie one after the other.
struct Version {
    text: Arc<[u8]>,
    edges: Vec<usize>,
    bindings: OnceCell<Vec<Binding>>,
}

impl Version {
    fn new(text: Arc<[u8]>, edges: Vec<usize>) -> Self {
        Self {
            text,
            edges,
            bindings: OnceCell::new(),
        }
    }

    /// All bindings: read where the edges alone do not do.
    fn bindings(&self, path: &str) -> &[Binding] {
        self.bindings.get_or_init(|| {
            let file = nixexpr::parse(path, &self.text);
            file.map_or_else(|_| Vec::new(), |file| nixexpr::bindings(&file))
        })
    }
}

impl<'r> Bound<'r> {
    pub(super) fn new(repository: &'r Repository, context: &'r Context<'r>) -> Self {
        Self {
            repository,
            context,
            versions: VecDeque::new(),
        }
    }

    /// The units of the file that differ; `None` if it is one unit.
    pub(super) fn pieces(&mut self, change: &Change) -> Result<Option<Vec<JudgedUnit>>, ObjectError> {
        let plain =
            |side: Option<(FileMode, ObjectId)>| side.filter(|(mode, _)| *mode == FileMode::Regular).map(|(_, id)| id);
        let (Some(old), Some(new)) = (plain(change.old), plain(change.new)) else {
            return Ok(None);
        };
        let path = change.path.as_str();
        let Some(is) = self.version(path, new, None)? else {
            return Ok(None);
        };
        let Some(was) = self.version(path, old, Some(&is))? else {
            return Ok(None);
        };
        let window = Window::of(&was, &is).and_then(|window| {
            let part = |version: &Version, range: Range<usize>| framed(path, version.text.get(range)?);
            Some((part(&was, window.old)?, part(&is, window.new)?))
        });
        if let Some((old, new)) = window
            && let Some(found) = self.cut(&change.path, (&old.0, &old.1), (&new.0, &new.1))
        {
            return Ok(Some(found));
        }
        let sides = ((&*was.text, was.bindings(path)), (&*is.text, is.bindings(path)));
        Ok(self.cut(&change.path, sides.0, sides.1))
    }

    /// The units that differ, each judged by what it says itself.
    fn cut(&self, path: &TreePath, old: (&[u8], &[Binding]), new: (&[u8], &[Binding])) -> Option<Vec<JudgedUnit>> {
        let cut = Cut::of(old, new)?;
        let pieces = cut.pieces(path);
        let judged = pieces.iter().map(|piece| self.piece(path, piece));
        judged.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())
    }

    fn piece(&self, path: &TreePath, piece: &Piece<'_>) -> Option<JudgedUnit> {
        let name = path.as_str();
        let unit = match piece.name {
            Some(name) => collection::unit(path, name)?,
            None => name.parse().ok()?,
        };
        let alone = |text: &Option<Text<'_>>| match text {
            Some(text) if piece.name.is_some() => framed(name, &text.code),
            // The residue is a file of its own, which is read where it is judged.
            _ => Some((b"{ }".to_vec(), Vec::new())),
        };
        let ((old, old_bindings), (new, new_bindings)) = (alone(&piece.old)?, alone(&piece.new)?);
        let (old, new) = (nixexpr::parse(name, &old).ok()?, nixexpr::parse(name, &new).ok()?);
        let (old, new) = (nixexpr::analyse(&old), nixexpr::analyse(&new));
        let sides = Sides {
            old: (&old, &old_bindings),
            new: (&new, &new_bindings),
        };
        let mut piece = piece.clone();
        for text in [&mut piece.old, &mut piece.new].into_iter().flatten() {
            text.binding = text.binding.map(|_| 0);
        }
        let verdict = judge_piece(self.context, &unit, path, &piece, &sides);
        Some(JudgedUnit::new(unit, verdict))
    }

    /// A version of the file, read, or made from one that differs little; `None` if it cannot be read.
    fn version(
        &mut self,
        path: &str,
        id: ObjectId,
        like: Option<&Rc<Version>>,
    ) -> Result<Option<Rc<Version>>, ObjectError> {
        if let Some((_, version)) = self.versions.iter().find(|(known, _)| *known == id) {
            return Ok(Some(Rc::clone(version)));
        }
        let text = self.repository.shared_blob(id)?;
        let near = like.or_else(|| self.versions.back().map(|(_, version)| version));
        let edges = near.and_then(|near| spliced(path, near, &text)).or_else(|| {
            let file = nixexpr::parse(path, &text).ok()?;
            Some(edges(&nixexpr::bindings(&file)))
        });
        let Some(edges) = edges else { return Ok(None) };
        let version = Rc::new(Version::new(text, edges));
        self.versions.push_back((id, Rc::clone(&version)));
        if self.versions.len() > REMEMBERED {
            self.versions.pop_front();
        }
        Ok(Some(version))
    }
}

fn edges(bindings: &[Binding]) -> Vec<usize> {
    let starts = bindings.iter().map(|binding| binding.span.start);
    starts.chain(bindings.last().map(|last| last.span.end)).collect()
}

/// Some bindings as a file of its own; `None` unless they are all that is in it.
fn framed(path: &str, bindings: &[u8]) -> Option<(Vec<u8>, Vec<Binding>)> {
    let text = [OPEN, bindings, b"}"].concat();
    let found = nixexpr::outer_bindings(&nixexpr::parse(path, &text).ok()?);
    let (first, last) = (found.first()?, found.last()?);
    let whole = first.span.start == OPEN.len() && last.span.end == text.len() - 1;
    let chained = found.windows(2).all(|pair| pair[0].span.end == pair[1].span.start);
    (whole && chained).then_some((text, found))
}

/// Begins such a file.
const OPEN: &[u8] = b"{\n";

/// The part of two versions outside which both have the same bindings.
struct Window {
    old: Range<usize>,
    new: Range<usize>,
    /// Which edge of the old version it begins and ends with.
    first: usize,
    last: usize,
}

impl Window {
    fn of(old: &Version, new: &Version) -> Option<Self> {
        let window = Self::between(old, &new.text)?;
        // What the new version's own reading says must agree.
        let last = (new.edges.len() + window.last).checked_sub(old.edges.len())?;
        let agrees =
            new.edges.get(window.first) == Some(&window.new.start) && new.edges.get(last) == Some(&window.new.end);
        agrees.then_some(window)
    }

    /// The window between a version and another text.
    fn between(old: &Version, new: &[u8]) -> Option<Self> {
        let prefix = common_prefix(&old.text, new);
        let most = old.text.len().min(new.len()) - prefix;
        let suffix = common_suffix(&old.text, new).min(most);
        // One binding more on each side: where a binding ends depends on the line after it.
        let (_, starts) = old.edges.split_last()?;
        let first = old.edges[1..].partition_point(|end| *end < prefix).checked_sub(1)?;
        let last = starts.partition_point(|start| *start <= old.text.len() - suffix) + 1;
        let (begin, end) = (*starts.get(first)?, *starts.get(last)?);
        let new_end = (new.len() + end).checked_sub(old.text.len())?;
        (begin <= new_end).then_some(Self {
            old: begin..end,
            new: begin..new_end,
            first,
            last,
        })
    }
}

/// How many bytes are compared at once.
const BLOCK: usize = 1 << 10;

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let same = blocks.take_while(|(a, b)| a == b).count() * BLOCK;
    same + a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.rchunks_exact(BLOCK).zip(b.rchunks_exact(BLOCK));
    let same = blocks.take_while(|(a, b)| a == b).count() * BLOCK;
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    same + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

/// The edges of `new`, of whose bindings all but a few stand in `near` too. `None` if that is not certain.
fn spliced(path: &str, near: &Version, new: &[u8]) -> Option<Vec<usize>> {
    let window = Window::between(near, new)?;
    // They are all that the frame holds: what follows begins where a binding begins, as it did.
    let (_, found) = framed(path, new.get(window.new.clone())?)?;
    let mut edges = near.edges[..window.first].to_vec();
    edges.extend(
        found
            .iter()
            .map(|binding| binding.span.start - OPEN.len() + window.new.start),
    );
    let after = near.edges.get(window.last..)?;
    edges.extend(after.iter().map(|edge| edge - window.old.end + window.new.end));
    Some(edges)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "pkgs/top-level/all-packages.nix";

    fn file(values: &[u8]) -> String {
        let bindings: String = values
            .iter()
            .enumerate()
            .map(|(at, value)| match value % 5 {
                0 => format!("  # about {at}\n  a{at} = callPackage ../a{value} {{ }};\n"),
                1 => format!("  a{at} = {value}; # {value}\n\n"),
                2 => format!("  a{at} = ''\n    b = {value};\n  '';\n"),
                3 => format!("  a{at} = {{ x = {value}; }};  b{at} = 2;\n"),
                _ => format!("  inherit (x{value}) c{at};\n"),
            })
            .collect();
        format!("{{ pkgs }}:\n\nwith pkgs;\n\n{{\n{bindings}}}\n")
    }

    fn version(text: &str) -> Version {
        let bindings = nixexpr::bindings(&nixexpr::parse(PATH, text.as_bytes()).unwrap());
        Version::new(text.as_bytes().into(), edges(&bindings))
    }

    proptest! {
        #[test]
        fn what_is_spliced_is_what_is_read(
            values in prop::collection::vec(any::<u8>(), 12..30),
            at in 0_usize..30,
            value: u8,
            kind in 0..3,
        ) {
            let mut changed = values.clone();
            let at = at % values.len();
            match kind {
                0 => changed[at] = value,
                1 => drop(changed.remove(at)),
                _ => changed.insert(at, value),
            }
            let (old, new) = (file(&values), file(&changed));
            if let Some(edges) = spliced(PATH, &version(&old), new.as_bytes()) {
                prop_assert_eq!(edges, version(&new).edges);
            }
        }
    }

    #[test]
    fn a_splice_is_made_where_a_binding_changed() {
        let values = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3];
        let old = file(&values);
        let new = old
            .replace("../a0 { };\n  a9", "../changed { };\n  a9")
            .replace("  a5 = 1;", "  a5 = 7;");
        assert_ne!(old, new);
        assert_eq!(
            spliced(PATH, &version(&old), new.as_bytes()).unwrap(),
            version(&new).edges
        );
    }
}
