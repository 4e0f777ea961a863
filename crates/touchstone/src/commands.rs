//! One subcommand a file.

pub(crate) mod audit;
pub(crate) mod build;
pub(crate) mod completions;
pub(crate) mod gate;
pub(crate) mod gc;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod mirror;
pub(crate) mod pin;
pub(crate) mod rollback;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod status;
pub(crate) mod subscribe;
pub(crate) mod switch;
pub(crate) mod update;
pub(crate) mod verify;
pub(crate) mod why;
