//! Every object of one kind, each made once: families of objects that are made from each other, in parallel.

use std::{
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use libdeflater::Decompressor;

use super::{Copied, EntryKind, Pack, Packs, delta};
use crate::repository::ObjectKind;

/// So many families in a row are the work of one thread.
const RUN: usize = 64;

/// The objects of a repository's packs and how they are made from each other.
pub(crate) struct Families<'a> {
    packs: &'a Packs,
    of_packs: Vec<OfPack>,
}

/// Of one pack: its entries by offset.
struct OfPack {
    /// Offset and position in the index, by offset.
    entries: Vec<(u64, u32)>,
    /// What each is in the end; `None` if that could not be told.
    kinds: Vec<Option<ObjectKind>>,
    /// Those that are made from entry `n` are `children[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    children: Vec<u32>,
    /// Those that are whole.
    whole: Vec<u32>,
}

/// An object, as a visitor sees it.
pub(crate) struct Member<'a> {
    /// Its number among all objects of all packs ([`Packs::number`]).
    pub(crate) number: u32,
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Which parts of it are parts of its base, in order.
    pub(crate) copied: &'a [Copied],
}

/// What is done with each object, in one thread.
pub(crate) trait Visit {
    /// What is known of an object while those made from it are visited.
    type State;

    /// Visits an object; `base` is what is known of the one that it is made from.
    fn visit(&mut self, member: &Member<'_>, base: Option<&Self::State>) -> Self::State;
}

impl<'a> Families<'a> {
    /// Reads the header of every entry.
    pub(crate) fn of(packs: &'a Packs) -> Self {
        Self {
            packs,
            of_packs: packs.packs.iter().map(OfPack::read).collect(),
        }
    }

    /// Visits every object of a kind, on so many threads, each with a visitor of its own. What cannot be made is passed
    /// over, and all that is made from it.
    pub(crate) fn visit<V: Visit + Send>(
        &self,
        kind: ObjectKind,
        threads: usize,
        visitor: impl Fn() -> V + Sync,
    ) -> Vec<V> {
        let runs: Vec<(&Pack, &OfPack, &[u32])> = self
            .packs
            .packs
            .iter()
            .zip(&self.of_packs)
            .flat_map(|(pack, of)| of.whole.chunks(RUN).map(move |run| (pack, of, run)))
            .collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut visitor = visitor();
            let mut hand = Hand::default();
            while let Some((pack, of, run)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                for &whole in *run {
                    if of.kinds[whole as usize] == Some(kind) {
                        hand.family(pack, of, whole, &mut visitor);
                    }
                }
            }
            visitor
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut visitors = vec![work()];
            visitors.extend(
                others
                    .into_iter()
                    .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
            );
            visitors
        })
    }
}

impl OfPack {
    fn read(pack: &Pack) -> Self {
        let count = pack.index.num_objects();
        let mut entries: Vec<(u64, u32)> = (0..count)
            .map(|position| (pack.index.pack_offset_at_index(position), position))
            .collect();
        entries.sort_unstable();
        let mut kinds = vec![None; entries.len()];
        let mut bases = vec![u32::MAX; entries.len()];
        let mut whole = Vec::new();
        let mut of_base = vec![0_u32; entries.len() + 1];
        for (number, (entry, (offset, _))) in (0_u32..).zip(entries.iter().enumerate()) {
            match pack.entry(*offset).map(|found| found.kind) {
                Some(EntryKind::Whole(kind)) => {
                    kinds[entry] = Some(kind);
                    whole.push(number);
                }
                Some(EntryKind::From(base)) => {
                    if let Ok(base) = entries.binary_search_by_key(&base, |(offset, _)| *offset) {
                        bases[entry] = u32::try_from(base).unwrap_or(u32::MAX);
                        of_base[base + 1] += 1;
                    }
                }
                None => {}
            }
        }
        for entry in 0..entries.len() {
            of_base[entry + 1] += of_base[entry];
        }
        let starts = of_base.clone();
        let mut children = vec![0; starts[entries.len()] as usize];
        for (entry, &base) in (0_u32..).zip(&bases) {
            if let Some(place) = of_base.get_mut(base as usize).filter(|_| base != u32::MAX) {
                children[*place as usize] = entry;
                *place += 1;
            }
        }
        Self {
            entries,
            kinds,
            starts,
            children,
            whole,
        }
    }

    fn children(&self, entry: u32) -> &[u32] {
        let range = self.starts[entry as usize] as usize..self.starts[entry as usize + 1] as usize;
        &self.children[range]
    }
}

/// An object whose descendants are still to be made.
struct Base<S> {
    bytes: Vec<u8>,
    state: S,
}

/// What one thread needs to make objects.
struct Hand {
    inflate: Decompressor,
    instructions: Vec<u8>,
    copied: Vec<Copied>,
}

impl Default for Hand {
    fn default() -> Self {
        Self {
            inflate: Decompressor::new(),
            instructions: Vec::new(),
            copied: Vec::new(),
        }
    }
}

impl Hand {
    /// Visits a whole object and all that are made from it, depth first, so that few are held at once.
    fn family<V: Visit>(&mut self, pack: &Pack, of: &OfPack, whole: u32, visitor: &mut V) {
        type Waiting<S> = (u32, Option<Rc<Base<S>>>);
        let mut waiting: Vec<Waiting<V::State>> = vec![(whole, None)];
        while let Some((entry, base)) = waiting.pop() {
            let (offset, position) = of.entries[entry as usize];
            let Some(bytes) = self.make(pack, offset, base.as_deref()) else {
                continue;
            };
            let member = Member {
                number: pack.first + position,
                bytes: &bytes,
                copied: &self.copied,
            };
            let state = visitor.visit(&member, base.as_deref().map(|base| &base.state));
            let children = of.children(entry);
            if !children.is_empty() {
                let made = Rc::new(Base { bytes, state });
                waiting.extend(children.iter().rev().map(|child| (*child, Some(Rc::clone(&made)))));
            }
        }
    }

    fn make<S>(&mut self, pack: &Pack, offset: u64, base: Option<&Base<S>>) -> Option<Vec<u8>> {
        let entry = pack.entry(offset)?;
        let mut bytes = Vec::new();
        self.copied.clear();
        match base {
            None => pack.inflate(&entry, &mut self.inflate, &mut bytes)?,
            Some(base) => {
                pack.inflate(&entry, &mut self.inflate, &mut self.instructions)?;
                let copied = &mut self.copied;
                delta::apply(&base.bytes, &self.instructions, &mut bytes, |part| copied.push(part))?;
            }
        }
        Some(bytes)
    }
}
