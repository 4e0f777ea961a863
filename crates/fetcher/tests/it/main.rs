//! What mirrors, networks and servers may do to a subscriber.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod common;
mod delivery;
mod file;
mod hostile;
mod http;
mod mirrors;
mod patches;
mod resume;
mod search;
mod shortcut;
mod trust;
mod tuf;
mod violation;
