//! Reading many blobs: decoded on all cores, handed over in the order asked for, in bounded memory.

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use gix::ObjectId;
use nixstore::Sha256Digest;

use crate::{
    Repository,
    repository::{ObjectError, ObjectKind},
};

/// More readers than this would outrun the one thread that takes what they read.
pub(crate) const MAX_READERS: usize = 8;

/// So many blobs in a row are the work of one reader.
const RUN: usize = 64;

/// A reader hands over what it has when it is so many bytes: few enough that they are still near when they are taken.
const PARCEL: usize = 64 * 1024;

/// So many parcels of one reader may wait. Readers times this times [`PARCEL`], or times the largest blob, bounds the
/// memory.
const WAITING: usize = 2;

/// The SHA-256 of a blob's bytes, and how many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobDigest {
    /// The digest of the bytes alone, without git's header.
    pub sha256: Sha256Digest,
    /// Their number.
    pub size: u64,
}

/// Consecutive blobs of one run.
#[derive(Debug, Default)]
struct Parcel {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Repository {
    /// The SHA-256 of each of these blobs, in the same order. Computed from the objects on all cores; there is no
    /// cache of digests that could be wrong.
    pub fn blob_digests(&self, ids: &[ObjectId]) -> Result<Vec<BlobDigest>, ObjectError> {
        let mut digests = vec![None; ids.len()];
        let runs = Mutex::new(ids.chunks(RUN).zip(digests.chunks_mut(RUN)));
        let work = |repository: Self| {
            loop {
                let Some((ids, digests)) = runs.lock().unwrap_or_else(PoisonError::into_inner).next() else {
                    return Ok(());
                };
                repository.each_blob(ids, |number, bytes| {
                    digests[number] = Some(BlobDigest {
                        sha256: Sha256Digest::of(bytes),
                        size: bytes.len() as u64,
                    });
                    Ok::<(), ObjectError>(())
                })?;
            }
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..readers(ids.len()))
                .map(|_| {
                    let repository = self.uncached();
                    scope.spawn(|| work(repository))
                })
                .collect();
            let first = work(self.uncached());
            let others = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            others.fold(first, Result::and)
        })?;
        Ok(digests.into_iter().flatten().collect())
    }

    /// Gives each of these blobs to `take`, in the same order, while others decode those that come next.
    pub(crate) fn for_each_blob<E: From<ObjectError>>(
        &self,
        ids: &[ObjectId],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let readers = readers(ids.len());
        thread::scope(|scope| {
            let mut parcels = Vec::new();
            for reader in 0..readers {
                let (sender, receiver) = mpsc::sync_channel(WAITING);
                let (give_back, empty) = mpsc::channel();
                let repository = self.uncached();
                let runs = ids.chunks(RUN).skip(reader).step_by(readers);
                scope.spawn(move || repository.send_runs(runs, &sender, &empty));
                parcels.push((receiver, give_back));
            }
            for (run, ids) in ids.chunks(RUN).enumerate() {
                let mut missing = ids.len();
                let (parcels, give_back) = &parcels[run % readers];
                while missing > 0 {
                    let received = parcels.recv();
                    let parcel = received.expect("a reader sends every blob of its runs, or an error")?;
                    missing -= parcel.ends.len();
                    let starts = std::iter::once(0).chain(parcel.ends.iter().copied());
                    starts
                        .zip(&parcel.ends)
                        .try_for_each(|(start, &end)| take(&parcel.bytes[start..end]))?;
                    // Whether its reader still needs one does not matter.
                    drop(give_back.send(parcel));
                }
            }
            Ok(())
        })
    }

    /// Sends the blobs of each run, or the error that ends them. Stops when nobody listens any more. Memory that was handed
    /// over once and comes back empty is used again: new memory costs the kernel more than it costs us to fill it.
    fn send_runs<'a>(
        &self,
        runs: impl Iterator<Item = &'a [ObjectId]>,
        sender: &SyncSender<Result<Parcel, ObjectError>>,
        empty: &Receiver<Parcel>,
    ) {
        let mut parcel = Parcel::default();
        for run in runs {
            for (position, (&id, location)) in run.iter().zip(self.packs().locate_all(run)).enumerate() {
                if let Err(error) = self.read_onto(id, location, ObjectKind::Blob, &mut parcel.bytes) {
                    // Whether somebody still wants to know does not matter.
                    drop(sender.send(Err(error)));
                    return;
                }
                parcel.ends.push(parcel.bytes.len());
                if parcel.bytes.len() < PARCEL && position + 1 < run.len() {
                    continue;
                }
                if sender.send(Ok(parcel)).is_err() {
                    return;
                }
                parcel = empty.try_recv().unwrap_or_default();
                parcel.bytes.clear();
                parcel.ends.clear();
            }
        }
    }
}

/// How many threads are worth their start for so many blobs.
fn readers(blobs: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    blobs.div_ceil(RUN).clamp(1, cores.min(MAX_READERS))
}
