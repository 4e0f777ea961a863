//! Where the state is when nobody says it.

use std::{env, path::PathBuf};

use crate::failure::{Failure, Kind};

/// Root's, which is the machine's.
pub(crate) const OF_MACHINE: &str = "/var/lib/touchstone";

/// `/var/lib/touchstone` for root, else `$XDG_STATE_HOME/touchstone` (`~/.local/state/touchstone`).
pub(crate) fn default() -> Result<PathBuf, Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from(OF_MACHINE));
    }
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|base| base.join("touchstone"))
        .ok_or_else(|| Failure::new(Kind::Usage, "no-state-directory", NoHome, "name one with --state DIR"))
}

#[derive(Debug, thiserror::Error)]
#[error("neither XDG_STATE_HOME nor HOME says where the state directory is")]
struct NoHome;
