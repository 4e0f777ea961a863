//! Tokens: the two commands with a real reader service and a real card application.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops, in its helpers too")]

mod announced;
mod cases;
mod common;
mod cycle;
mod doctor;
mod evidence;
mod quickstart;
mod secrets;
