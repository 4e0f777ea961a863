//! The gate with real Nix, of two versions, and its attackers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

mod approver;
mod asking;
mod clients;
mod command;
mod damage;
mod everyday;
mod formats;
mod machine;
mod modules;
mod quickstart;
mod stock;
mod substituter;
mod violation;
