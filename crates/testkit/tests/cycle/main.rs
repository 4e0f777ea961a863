//! The whole cycle with the two commands as people run them, attacked at every joint.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

mod derivations;
mod environment;
mod from_tree;
mod interrupted;
mod machines;
mod patched;
mod peers;
mod policy_words;
mod proposed;
mod pushed;
mod rotation;
mod served;
mod violation;
