//! Packs, read directly: many objects at once, in the order in which they lie on the disk.
//!
//! gix answers one question after the other. Who asks for a hundred thousand objects can do better: an object that git
//! stored as a difference is made once from the one before it, and not by walking its whole chain.
//!
//! What is read here is never wrong where gix would be right: every length and checksum of the format is checked, and
//! whatever is not found or does not fit is left to gix, which says what is the matter.

mod delta;
mod families;
mod reader;

use std::{cmp::Ordering, path::Path};

use gix::{
    ObjectId,
    odb::pack::{data, index},
};
use libdeflater::Decompressor;

pub(crate) use delta::Copied;
pub(crate) use families::{Families, Member, Visit};
pub(crate) use reader::Reader;

use crate::repository::{MAX_OBJECT, ObjectKind};

/// Every pack of one object directory.
pub(crate) struct Packs {
    packs: Vec<Pack>,
}

struct Pack {
    index: index::File,
    data: data::File,
    /// The number of its first object, when the objects of all packs are counted.
    first: u32,
}

/// An entry of a pack.
struct Entry {
    kind: EntryKind,
    /// Bytes after inflating: of the object, or of the instructions that make it from its base.
    size: usize,
    /// Where the deflated bytes begin.
    start: u64,
}

enum EntryKind {
    Whole(ObjectKind),
    /// Made from what lies at this offset of the same pack.
    From(u64),
}

/// Where an object lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Location {
    pack: usize,
    offset: u64,
}

impl Packs {
    /// The packs of an object directory, as far as they can be opened.
    pub(crate) fn open(objects: &Path) -> Self {
        let mut paths: Vec<_> = std::fs::read_dir(objects.join("pack"))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "idx"))
            .collect();
        paths.sort();
        let mut packs: Vec<Pack> = Vec::new();
        for path in paths {
            let first = packs.last().map_or(0, |pack| pack.first + pack.index.num_objects());
            let sha1 = gix::hash::Kind::Sha1;
            let opened = index::File::at(&path, sha1)
                .ok()
                .zip(data::File::at(path.with_extension("pack"), sha1).ok());
            let fits = |index: &index::File| {
                first
                    .checked_add(index.num_objects())
                    .is_some_and(|end| first < end && end < STRANGERS)
            };
            if let Some((index, data)) = opened.filter(|(index, _)| fits(index)) {
                packs.push(Pack { index, data, first });
            }
        }
        Self { packs }
    }

    /// Where the object lies, in the first pack that has it.
    pub(crate) fn locate(&self, id: ObjectId) -> Option<Location> {
        self.find(id).map(|(pack, position)| Location {
            pack,
            offset: self.packs[pack].index.pack_offset_at_index(position),
        })
    }

    /// The same for many objects, in the same order.
    pub(crate) fn locate_all(&self, ids: &[ObjectId]) -> Vec<Option<Location>> {
        let mut located = vec![None; ids.len()];
        if ids.is_empty() {
            return located;
        }
        for (number, pack) in self.packs.iter().enumerate() {
            for (position, located) in pack.positions(ids).into_iter().zip(&mut located) {
                *located = located.or(position.map(|position| Location {
                    pack: number,
                    offset: pack.index.pack_offset_at_index(position),
                }));
            }
        }
        self.ask_for(located.iter().flatten());
        located
    }

    /// Looks at the beginnings of objects that are read soon: the memory, which is far away, is asked for all of them at once.
    fn ask_for<'l>(&self, locations: impl Iterator<Item = &'l Location>) {
        let bytes = locations.flat_map(|location| {
            let data = &self.packs[location.pack].data;
            let lines = (0..LINES).map(|line| location.offset + line * 64);
            lines.filter_map(|at| data.entry_slice(at..at + 1)?.first())
        });
        std::hint::black_box(bytes.fold(0, |all, byte| all ^ byte));
    }

    /// The number of the object, of all in all packs. An object has one number, however many packs have it.
    pub(crate) fn number(&self, id: ObjectId) -> Option<u32> {
        self.find(id).map(|(pack, position)| self.packs[pack].first + position)
    }

    /// The id of the object with this number.
    pub(crate) fn id(&self, number: u32) -> Option<ObjectId> {
        let pack = self.packs.iter().rev().find(|pack| pack.first <= number)?;
        let position = number - pack.first;
        (position < pack.index.num_objects()).then(|| pack.index.oid_at_index(position).to_owned())
    }

    /// How many objects are numbered.
    pub(crate) fn len(&self) -> usize {
        self.packs.iter().map(|pack| pack.index.num_objects() as usize).sum()
    }

    fn find(&self, id: ObjectId) -> Option<(usize, u32)> {
        let found = self.packs.iter().enumerate();
        found.filter_map(|(pack, at)| Some((pack, at.position(id)?))).next()
    }
}

/// An object that is there is found after four or five guesses.
const GUESSES: usize = 12;

/// Most objects are no longer than so many lines of the cache.
const LINES: u64 = 4;

/// So many guesses are made for all of many.
const TURNS: usize = 3;

/// Numbers from here on name objects that no pack has.
pub(crate) const STRANGERS: u32 = 1 << 31;

/// The first bytes of an id as a number.
fn first(id: &gix::oid) -> i64 {
    let bytes = id.as_bytes().first_chunk();
    bytes.map_or(0, |bytes| i64::from(u32::from_be_bytes(*bytes)))
}

impl Pack {
    /// Where the index has an object. Ids are as good as random, so the place of one is guessed from its first bytes, and
    /// guessed again from what is there: a few looks at memory that is far away, of which halving takes twice as many.
    fn position(&self, id: ObjectId) -> Option<u32> {
        self.position_near(id, self.guess(id))
    }

    /// The same for many: their guesses take turns, so that the memory is asked for all of them at once.
    fn positions(&self, ids: &[ObjectId]) -> Vec<Option<u32>> {
        let mut guesses: Vec<u32> = ids.iter().map(|id| self.guess(*id)).collect();
        for _ in 0..TURNS {
            for (id, guess) in ids.iter().zip(&mut guesses) {
                *guess = self.guess_again(*id, *guess).0;
            }
        }
        let guessed = ids.iter().zip(guesses);
        guessed.map(|(id, guess)| self.position_near(*id, guess)).collect()
    }

    fn position_near(&self, id: ObjectId, mut guess: u32) -> Option<u32> {
        for _ in 0..GUESSES {
            let side = match self.index.oid_at_index(guess).cmp(&id) {
                Ordering::Equal => return Some(guess),
                Ordering::Less => 1,
                Ordering::Greater => -1,
            };
            let (again, step) = self.guess_again(id, guess);
            guess = if step.signum() == side {
                again
            } else {
                self.moved(guess, side)
            };
        }
        self.index.lookup(id)
    }

    fn guess(&self, id: ObjectId) -> u32 {
        self.moved(0, (first(&id) * i64::from(self.index.num_objects())) >> 32)
    }

    /// A better guess than `guess`, and how far it is from it.
    fn guess_again(&self, id: ObjectId, guess: u32) -> (u32, i64) {
        let off = first(&id) - first(self.index.oid_at_index(guess));
        let step = (off * i64::from(self.index.num_objects())) >> 32;
        (self.moved(guess, step), step)
    }

    fn moved(&self, from: u32, step: i64) -> u32 {
        let last = i64::from(self.index.num_objects()) - 1;
        u32::try_from((i64::from(from) + step).clamp(0, last)).unwrap_or(0)
    }

    fn entry(&self, offset: u64) -> Option<Entry> {
        use data::entry::Header;
        let entry = self.data.entry(offset).ok()?;
        let kind = match entry.header {
            Header::Commit => EntryKind::Whole(ObjectKind::Commit),
            Header::Tree => EntryKind::Whole(ObjectKind::Tree),
            Header::Blob => EntryKind::Whole(ObjectKind::Blob),
            Header::Tag => EntryKind::Whole(ObjectKind::Tag),
            Header::OfsDelta { base_distance } => {
                EntryKind::From(offset.checked_sub(base_distance).filter(|base| *base < offset)?)
            }
            Header::RefDelta { base_id } => {
                let position = self.index.lookup(base_id)?;
                EntryKind::From(self.index.pack_offset_at_index(position))
            }
        };
        let size = usize::try_from(entry.decompressed_size).ok()?;
        (size <= MAX_OBJECT).then_some(Entry {
            kind,
            size,
            start: entry.data_offset,
        })
    }

    /// Inflates an entry; its checksum is checked.
    fn inflate(&self, entry: &Entry, inflate: &mut Decompressor, out: &mut Vec<u8>) -> Option<()> {
        out.clear();
        self.inflate_onto(entry, inflate, out)
    }

    /// Likewise, behind what is in `out` already.
    fn inflate_onto(&self, entry: &Entry, inflate: &mut Decompressor, out: &mut Vec<u8>) -> Option<()> {
        let deflated = self.data.entry_slice(entry.start..self.data.pack_end() as u64)?;
        let start = out.len();
        out.resize(start + entry.size, 0);
        let written = inflate.zlib_decompress(deflated, &mut out[start..]).ok()?;
        (written == entry.size).then_some(())
    }
}
