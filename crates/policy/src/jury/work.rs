//! How the work is shared out, and what of it need not be done again.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crate::facts::{Fact, Facts};

/// On how many threads, and with which facts. Facts that are found are added.
#[derive(Debug)]
pub struct Work<'f> {
    /// How many threads; the caller knows the machine.
    pub threads: NonZeroUsize,
    /// What is known.
    pub facts: &'f mut Facts,
}

/// Few enough to share out evenly, many enough for a key's table to pay.
const PIECE: usize = 4_096;

impl Work<'_> {
    /// `job` of all items, a piece at a time; the outcomes are in the order of the items.
    pub(super) fn share<'i, T: Sync, R: Send>(
        &mut self,
        items: &'i [T],
        job: impl Fn(&'i [T], &Facts, &mut Vec<Fact>) -> Vec<R> + Sync,
    ) -> Vec<R> {
        let pieces: Vec<&'i [T]> = items.chunks(PIECE).collect();
        let threads = self.threads.get().min(pieces.len());
        let mut done = Vec::with_capacity(pieces.len());
        let mut learnt = Vec::new();
        if threads <= 1 {
            for piece in &pieces {
                done.push(job(piece, self.facts, &mut learnt));
            }
            self.facts.learn(learnt);
            return done.into_iter().flatten().collect();
        }
        let next = AtomicUsize::new(0);
        let facts = &*self.facts;
        let worker = || {
            let (mut own, mut learnt) = (Vec::new(), Vec::new());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(piece) = pieces.get(index) else {
                    return (own, learnt);
                };
                own.push((index, job(piece, facts, &mut learnt)));
            }
        };
        let mut parts = Vec::with_capacity(pieces.len());
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            for worker in workers {
                // A panic of a worker is a panic of the whole: half an answer is none.
                let (own, new) = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                parts.extend(own);
                learnt.extend(new);
            }
        });
        self.facts.learn(learnt);
        parts.sort_by_key(|(index, _)| *index);
        parts.into_iter().flat_map(|(_, part)| part).collect()
    }
}
