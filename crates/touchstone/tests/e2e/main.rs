//! The real command, a real channel, a real disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod cli;
mod crash;
mod flakes;
mod mirrors;
mod nix;
mod releases;
mod violated;
mod web;
mod world;
