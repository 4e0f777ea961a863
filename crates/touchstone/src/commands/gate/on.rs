//! `touchstone gate on`.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use gate::{
    Place, Settings,
    nixconf::{self, NixConf, NixConfError},
    substituter::Configuration,
};
use nixstore::{Sha256Digest, StorePath};
use serde::Serialize;

use super::{environment, nix, refresh, require_root, serve};
use crate::{failure::Failure, output::Output};

/// Switch the gate on: from the next start of the daemon, Nix builds only what is approved
#[derive(Debug, Args)]
#[command(after_help = "\
Writes a block at the end of nix.conf; `touchstone gate off` takes it out again, to the byte. Run it again to change a
setting. On NixOS use the module (services.touchstone.gate) instead.

Example:
  touchstone gate on --developer-group wheel && systemctl restart nix-daemon && touchstone gate check")]
pub(super) struct Arguments {
    /// Members of this group may build anything in the sandbox; nothing of it becomes approved
    #[arg(long, value_name = "GROUP")]
    developer_group: Option<String>,

    /// Members of this group may have approved what is in the signed package set and in no list; "" for root alone
    #[arg(long, value_name = "GROUP")]
    request_group: Option<String>,

    /// Take this approved derivation although MD5 or SHA-1 fixes its output
    #[arg(long = "broken-hash", value_name = "DRV")]
    broken_hashes: Vec<StorePath>,

    /// The SHA-256 of the get-env.sh of a version of Nix that is not known here
    #[arg(long = "develop-script", value_name = "SHA256")]
    develop_scripts: Vec<Sha256Digest>,

    /// How long an evaluation on request may take
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    evaluation_seconds: Option<u64>,

    /// How much memory it may use, in MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    evaluation_memory: Option<u64>,

    /// A binary cache that may be asked for outputs of approved derivations; more of them to compare
    #[arg(long = "cache", value_name = "URL", requires = "builder_keys")]
    caches: Vec<String>,

    /// The public key of a builder, as trusted-public-keys has it
    #[arg(long = "builder-key", value_name = "NAME:BASE64", requires = "caches")]
    builder_keys: Vec<String>,

    /// How many distinct builders must agree on an output
    #[arg(long, value_name = "N", default_value_t = 1, requires = "caches")]
    needed: usize,

    /// Where the substituter listens, on the loopback interface
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8412", requires = "caches", value_parser = on_loopback)]
    listen: SocketAddr,

    /// Ask no cache any more
    #[arg(long, conflicts_with = "caches")]
    no_caches: bool,

    /// Where nix.conf is
    #[arg(long, value_name = "DIR", default_value = "/etc/nix")]
    nix_conf_dir: PathBuf,

    /// Leave nix.conf alone: the system's configuration sets it (the NixOS module does), and includes the gate's
    /// substituter.conf where caches are asked
    #[arg(long)]
    without_nix_conf: bool,

    /// The hook [default: touchstone-hook beside this program]
    #[arg(long, value_name = "FILE")]
    hook: Option<PathBuf>,
}

/// How long the slowest cache is waited for, in milliseconds.
const PATIENCE: u64 = 10_000;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct On {
    /// Absent when it was left alone.
    nix_conf: Option<PathBuf>,
    settings: Vec<(String, String)>,
    chained_hook: Option<PathBuf>,
    #[serde(flatten)]
    approved: refresh::Approved,
}

pub(super) fn run(arguments: &Arguments, state: &Path, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    require_root("on")?;
    let now = nix::configuration()?;
    // In this order: whatever Nix asks is there before Nix is told to ask.
    let approved = refresh::approve(state, place, now.get("system").map_or("", String::as_str), output)?;
    copy_hook(arguments, place)?;
    let mut settings = Settings::read(place).unwrap_or_default();
    change(&mut settings, arguments);
    let before = now.get("pre-build-hook").map(PathBuf::from);
    let foreign = before.filter(|hook| !hook.as_os_str().is_empty() && *hook != place.hook());
    settings.chained_hook = foreign.or(settings.chained_hook);
    settings
        .write(place)
        .map_err(|error| environment(error, "check the disk"))?;
    if !arguments.caches.is_empty() {
        serve::configure(
            place,
            &Configuration {
                listen: arguments.listen.to_string(),
                needed: arguments.needed,
                caches: arguments.caches.clone(),
                keys: arguments.builder_keys.clone(),
                patience: PATIENCE,
            },
        )?;
    }
    if arguments.no_caches {
        serve::forget(place)?;
    }
    let substituter = serve::for_nix(place)?;
    serve::write_for_nix(place, substituter.as_ref())?;
    let wanted = nixconf::wanted(place, substituter.as_ref(), &now);
    let conf = NixConf::in_directory(&arguments.nix_conf_dir);
    if !arguments.without_nix_conf {
        conf.on(&wanted).map_err(next_for_conf)?;
    }
    let on = On {
        nix_conf: (!arguments.without_nix_conf).then(|| conf.path().to_owned()),
        settings: wanted,
        chained_hook: settings.chained_hook,
        approved,
    };
    output.result(&on, |on| {
        let chained = on.chained_hook.as_ref().map_or_else(String::new, |hook| {
            format!("\nthe hook that was there before, {}, is asked after ours", hook.display())
        });
        let approved = refresh::in_words(&on.approved);
        match &on.nix_conf {
            Some(path) => format!(
                "the gate's settings are in {}\n{approved}{chained}\nnext: systemctl restart nix-daemon (or however it is started \
                 here), then touchstone gate check",
                path.display()
            ),
            None => format!("nix.conf was left alone\n{approved}{chained}\nnext: touchstone gate check"),
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// Others are not served.
fn on_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|error| format!("{error}: expected as 127.0.0.1:8412"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!("{} is not on the loopback interface", address.ip()))
    }
}

fn change(settings: &mut Settings, arguments: &Arguments) {
    if let Some(group) = &arguments.developer_group {
        settings.developer_group = Some(group.clone()).filter(|group| !group.is_empty());
    }
    if let Some(group) = &arguments.request_group {
        settings.request_group = Some(group.clone()).filter(|group| !group.is_empty());
    }
    let limits = &mut settings.evaluation;
    limits.seconds = arguments.evaluation_seconds.unwrap_or(limits.seconds);
    limits.memory = arguments.evaluation_memory.unwrap_or(limits.memory);
    for path in &arguments.broken_hashes {
        settings.broken_hashes.push(path.base_name().to_owned());
    }
    for digest in &arguments.develop_scripts {
        settings.develop_scripts.push(digest.to_string());
    }
    for list in [&mut settings.broken_hashes, &mut settings.develop_scripts] {
        list.sort();
        list.dedup();
    }
}

/// A copy, which no garbage collection and no upgrade takes away from under the daemon.
fn copy_hook(arguments: &Arguments, place: &Place) -> Result<(), Failure> {
    let beside = || env::current_exe().map(|program| program.with_file_name("touchstone-hook"));
    let source = match &arguments.hook {
        Some(file) => file.clone(),
        None => beside().map_err(|error| environment(error, "name the hook with --hook FILE"))?,
    };
    let mut from = fs::File::open(&source).map_err(|source_error| {
        let error = NoHook {
            path: source.clone(),
            source: source_error,
        };
        environment(
            error,
            "install touchstone-hook beside touchstone, or name it with --hook FILE",
        )
    })?;
    place
        .replace(&place.hook(), 0o755, |to| io::copy(&mut from, to).map(drop))
        .map_err(|error| environment(error, "check the disk"))
}

#[derive(Debug, thiserror::Error)]
#[error("cannot read the hook {}", path.display())]
struct NoHook {
    path: PathBuf,
    source: io::Error,
}

pub(super) fn next_for_conf(error: NixConfError) -> Failure {
    let next = match &error {
        NixConfError::Managed { .. } => {
            "set services.touchstone.gate.enable in the system's configuration instead (docs/quickstart-gate.md)"
        }
        NixConfError::Block { .. } => "take the block out by hand, from its first to its last line",
        NixConfError::Place(_) => "run it as root, and check the disk",
    };
    environment(error, next)
}
