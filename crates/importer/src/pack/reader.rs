//! One object after the other, with a memory for those that others are made from.

use std::{collections::HashMap, sync::Arc};

use libdeflater::Decompressor;

use super::{EntryKind, Location, Packs, delta};
use crate::repository::ObjectKind;

/// A reader for one thread.
pub(crate) struct Reader {
    packs: Arc<Packs>,
    inflate: Decompressor,
    known: Known,
    /// Instructions on the way from a base to the object.
    deltas: Vec<Vec<u8>>,
    /// What was made last of them.
    made: Vec<u8>,
}

impl Reader {
    /// A reader that keeps about so many bytes of objects that others were made from.
    pub(crate) fn new(packs: Arc<Packs>, keep: usize) -> Self {
        Self {
            packs,
            inflate: Decompressor::new(),
            known: Known::new(keep),
            deltas: Vec::new(),
            made: Vec::new(),
        }
    }

    /// Puts the object that lies there behind what is in `out`, and says what it is; `None` if something about it does not
    /// fit: then whatever may be there.
    pub(crate) fn read(&mut self, location: Location, out: &mut Vec<u8>) -> Option<ObjectKind> {
        let (kind, made) = self.make(location, out)?;
        if let Some(bytes) = made {
            out.extend_from_slice(&bytes);
        }
        Some(kind)
    }

    /// Likewise, without a copy of what is kept for others to be made from. What is in `buffer` is lost.
    pub(crate) fn read_shared(&mut self, location: Location, buffer: &mut Vec<u8>) -> Option<Object> {
        buffer.clear();
        let (kind, made) = self.make(location, buffer)?;
        Some((kind, made.unwrap_or_else(|| buffer.as_slice().into())))
    }

    /// Makes an object; it is behind what is in `out` unless it is given back.
    fn make(&mut self, location: Location, out: &mut Vec<u8>) -> Option<(ObjectKind, Option<Arc<[u8]>>)> {
        let packs = Arc::clone(&self.packs);
        let pack = packs.packs.get(location.pack)?;
        let mut way: Vec<Location> = Vec::new();
        let mut at = location;
        let (kind, mut base) = loop {
            if let Some(known) = self.known.get(at) {
                break known;
            }
            let entry = pack.entry(at.offset)?;
            match entry.kind {
                EntryKind::Whole(kind) if way.is_empty() => {
                    pack.inflate_onto(&entry, &mut self.inflate, out)?;
                    return Some((kind, None));
                }
                EntryKind::Whole(kind) => {
                    pack.inflate(&entry, &mut self.inflate, &mut self.made)?;
                    let bytes: Arc<[u8]> = self.made.as_slice().into();
                    self.known.put(at, kind, &bytes);
                    break (kind, bytes);
                }
                EntryKind::From(base) => {
                    // A cycle, which only a reference by id can make.
                    (!way.contains(&at)).then_some(())?;
                    if self.deltas.len() <= way.len() {
                        self.deltas.push(Vec::new());
                    }
                    pack.inflate(&entry, &mut self.inflate, &mut self.deltas[way.len()])?;
                    way.push(at);
                    at.offset = base;
                }
            }
        };
        for (step, at) in way.iter().enumerate().rev() {
            delta::apply(&base, &self.deltas[step], &mut self.made, |_| {})?;
            base = self.made.as_slice().into();
            self.known.put(*at, kind, &base);
        }
        Some((kind, Some(base)))
    }
}

/// What an object is, and its bytes.
pub(crate) type Object = (ObjectKind, Arc<[u8]>);

/// Objects read lately. When the young are too many they become the old, and the old are forgotten.
struct Known {
    limit: usize,
    young_bytes: usize,
    young: HashMap<Location, Object>,
    old: HashMap<Location, Object>,
}

impl Known {
    fn new(keep: usize) -> Self {
        Self {
            limit: keep / 2,
            young_bytes: 0,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    fn get(&mut self, at: Location) -> Option<Object> {
        if let Some(found) = self.young.get(&at) {
            return Some(found.clone());
        }
        let (kind, bytes) = self.old.remove(&at)?;
        self.put(at, kind, &bytes);
        Some((kind, bytes))
    }

    fn put(&mut self, at: Location, kind: ObjectKind, bytes: &Arc<[u8]>) {
        if self.young_bytes + bytes.len() > self.limit {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if bytes.len() <= self.limit {
            self.young_bytes += bytes.len();
            self.young.insert(at, (kind, Arc::clone(bytes)));
        }
    }
}
