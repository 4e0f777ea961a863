//! A repository of one's own with a chain: the commands as people, hooks and CI run them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

mod company;
mod guarded;
mod imported;
mod judged;
mod noted;
