//! The ledger as people use it: real repositories, real git.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

mod common;
mod crowd;
mod exchange;
mod hostile;
mod local;
