//! `touchstone man DIR`: writes the manual pages; for packagers.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory as _};

use crate::failure::{Failure, Kind};

/// Write the manual pages.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where to
    directory: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    clap_mangen::generate_to(crate::Arguments::command(), &arguments.directory).map_err(|source| {
        let directory = arguments.directory.clone();
        Failure::new(
            Kind::Environment,
            "io",
            Unwritten { directory, source },
            "name a directory that can be written",
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, thiserror::Error)]
#[error("cannot write manual pages to {}", directory.display())]
struct Unwritten {
    directory: PathBuf,
    source: io::Error,
}
