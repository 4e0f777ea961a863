//! Histories of real repositories, honest and not: who made each commit, and whether they may.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

mod graph;
mod merges;
mod notes;
mod peers;
mod people;
mod remembered;
mod roots;
mod story;
