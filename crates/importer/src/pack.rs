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
                    .is_some_and(|end| end < STRANGERS)
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

/// Numbers from here on name objects that no pack has.
pub(crate) const STRANGERS: u32 = 1 << 31;

impl Pack {
    /// Where the index has an object. Ids are as good as random, so the place of one is guessed from its first bytes, and
    /// guessed again from what is there: a few looks at memory that is far away, of which halving takes twice as many.
    fn position(&self, id: ObjectId) -> Option<u32> {
        let count = self.index.num_objects();
        let first = |id: &gix::oid| {
            id.as_bytes()
                .first_chunk()
                .map_or(0, |bytes| i64::from(u32::from_be_bytes(*bytes)))
        };
        let wanted = first(&id);
        let last = i64::from(count) - 1;
        let mut at = (wanted * i64::from(count)) >> 32;
        for _ in 0..GUESSES {
            let here = u32::try_from(at.clamp(0, last)).ok()?;
            let found = self.index.oid_at_index(here);
            let side = match found.cmp(&id) {
                Ordering::Equal => return Some(here),
                Ordering::Less => 1,
                Ordering::Greater => -1,
            };
            let step = ((wanted - first(found)) * i64::from(count)) >> 32;
            at = i64::from(here) + if step.signum() == side { step } else { side };
        }
        self.index.lookup(id)
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
