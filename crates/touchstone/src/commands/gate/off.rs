//! `touchstone gate off`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use gate::{Place, nixconf::NixConf};
use serde::Serialize;

use super::{on, require_root};
use crate::{failure::Failure, output::Output};

/// Switch the gate off: nix.conf is again what it was
#[derive(Debug, Args)]
#[command(after_help = "\
Until the daemon is started anew it goes on asking, so the gate's own files stay where they are.

Example:
  touchstone gate off && systemctl restart nix-daemon")]
pub(super) struct Arguments {
    /// Where nix.conf is
    #[arg(long, value_name = "DIR", default_value = "/etc/nix")]
    nix_conf_dir: PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Off {
    nix_conf: PathBuf,
    was_on: bool,
}

pub(super) fn run(arguments: &Arguments, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    require_root("off")?;
    let conf = NixConf::in_directory(&arguments.nix_conf_dir);
    let was_on = conf.is_on().map_err(on::next_for_conf)?;
    conf.off().map_err(on::next_for_conf)?;
    let off = Off {
        nix_conf: conf.path().to_owned(),
        was_on,
    };
    output.result(&off, |off| {
        if off.was_on {
            format!(
                "{} is as it was before\nnext: systemctl restart nix-daemon; after that {} may be removed",
                off.nix_conf.display(),
                place.directory().display()
            )
        } else {
            format!("the gate was not on: {} has no block of it", off.nix_conf.display())
        }
    });
    Ok(ExitCode::SUCCESS)
}
