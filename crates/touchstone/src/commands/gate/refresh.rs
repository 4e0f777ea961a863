//! `touchstone gate refresh`: makes the approvals anew from the releases that are installed.

use std::{fs, io, path::Path, process::ExitCode};

use clap::Args;
use fetcher::{Resource, Transport};
use gate::{
    Place,
    approvals::Draft,
    channel::{self, Approvable, ApproveError, WantedManifest},
};
use install::{State, Subscription};
use serde::Serialize;

use super::{environment, nix, require_root};
use crate::{
    clock,
    failure::{Failure, Kind},
    mirrors::NetworkArguments,
    output::{Output, chain},
};

/// The longest list of derivations: all of Nixpkgs is some 60 MB.
const LONGEST: u64 = 512 << 20;

/// Make the approvals anew from the releases that are installed; what is no longer vouched for is gone
#[derive(Debug, Args)]
#[command(after_help = "\
Every signature is checked again; nothing is taken over from the old approvals. Run it after touchstone update.

Example:
  touchstone update && touchstone gate refresh")]
pub(super) struct Arguments {
    #[command(flatten)]
    network: NetworkArguments,
}

/// What is approved now.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Approved {
    /// The releases, oldest first.
    pub(super) releases: Vec<u64>,
    /// Those of them that list no derivations for this machine.
    pub(super) without_derivations: Vec<u64>,
    /// How many things are approved.
    pub(super) approved: usize,
}

pub(super) fn run(arguments: &Arguments, state: &Path, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    require_root("refresh")?;
    let system = nix::configuration()?.remove("system").unwrap_or_default();
    let approved = approve_with(&arguments.network, state, place, &system, output)?;
    output.result(&approved, in_words);
    Ok(ExitCode::SUCCESS)
}

/// As the command does, with the network as it is by default.
pub(super) fn approve(state: &Path, place: &Place, system: &str, output: Output) -> Result<Approved, Failure> {
    approve_with(&NetworkArguments::default(), state, place, system, output)
}

fn approve_with(
    network: &NetworkArguments,
    state: &Path,
    place: &Place,
    system: &str,
    output: Output,
) -> Result<Approved, Failure> {
    let state = State::open(state)?;
    let subscription = state.subscription()?;
    let now = clock::now(&state)?;
    place.create().map_err(|error| environment(error, "check the disk"))?;
    let mut draft = Draft::default();
    let mut approved = Approved {
        releases: Vec::new(),
        without_derivations: Vec::new(),
        approved: 0,
    };
    for generation in state.generations()? {
        let approvable = channel::approvable(&state, &subscription, &generation, system, now);
        let approvable = match approvable {
            Ok(approvable) => approvable,
            // Of another channel or chain, or damaged: it approves nothing, and the others still do.
            Err(error @ ApproveError::Generation { .. }) => {
                output.note(&format!("note: {}", chain(&error).join(": ")));
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        let manifest = match &approvable.manifest {
            Some(wanted) => Some(manifest(wanted, &subscription, network, place, system)?),
            None => None,
        };
        approve_one(&approvable, manifest.as_deref(), system, &mut draft, &mut approved)?;
    }
    approved.approved = draft.len();
    let newest = approved.releases.iter().copied().max().unwrap_or(0);
    draft
        .write(place, channel::origin(&subscription, newest, now))
        .map_err(|error| environment(error, "check the disk; the old approvals are still there"))?;
    Ok(approved)
}

fn approve_one(
    approvable: &Approvable,
    manifest: Option<&[u8]>,
    system: &str,
    draft: &mut Draft,
    approved: &mut Approved,
) -> Result<(), Failure> {
    approvable.approve(draft, manifest, system).map_err(failed)?;
    let sequence = approvable.release().get().sequence;
    approved.releases.push(sequence);
    if manifest.is_none() {
        approved.without_derivations.push(sequence);
    }
    Ok(())
}

/// The bytes of a list of derivations: kept from before, or from a mirror. Whoever uses them compares the digest.
fn manifest(
    wanted: &WantedManifest,
    subscription: &Subscription,
    network: &NetworkArguments,
    place: &Place,
    system: &str,
) -> Result<Vec<u8>, Failure> {
    let directory = place.directory().join("manifests");
    let kept = directory.join(wanted.sha256.to_string());
    if let Ok(bytes) = fs::read(&kept)
        && attestation::Sha256Digest::of(&bytes) == wanted.sha256
    {
        return Ok(bytes);
    }
    let bytes = fetch(wanted, subscription, &network.open(subscription)?, system)?;
    fs::create_dir_all(&directory).map_err(|error| environment(error, "check the disk"))?;
    place
        .replace(&kept, 0o644, |file| io::Write::write_all(file, &bytes))
        .map_err(|error| environment(error, "check the disk"))?;
    Ok(bytes)
}

fn fetch(
    wanted: &WantedManifest,
    subscription: &Subscription,
    transports: &[Box<dyn Transport>],
    system: &str,
) -> Result<Vec<u8>, Failure> {
    let resource = Resource::Derivations(subscription.channel.clone(), wanted.sha256, system.to_owned());
    let mut failed = Vec::new();
    for transport in transports {
        let mut bytes = Vec::new();
        match transport.fetch(&resource, wanted.length.min(LONGEST), &mut bytes) {
            Ok(_) if attestation::Sha256Digest::of(&bytes) == wanted.sha256 => return Ok(bytes),
            Ok(_) => failed.push(format!("{} gave other bytes than the signed ones", transport.base())),
            Err(error) => failed.push(chain(&error).join(": ")),
        }
    }
    let error = NoManifest {
        name: wanted.name.clone(),
        failed: failed.join("; "),
    };
    let next = "check the connection and try again, or add a mirror (touchstone subscribe --url); the old approvals are still there";
    Err(Failure::new(Kind::Network, "no-manifest", error, next))
}

#[derive(Debug, thiserror::Error)]
#[error("no mirror gave {name}: {failed}")]
struct NoManifest {
    name: String,
    failed: String,
}

fn failed(error: ApproveError) -> Failure {
    match error {
        ApproveError::State(error) => error.into(),
        ApproveError::Generation { .. }
        | ApproveError::OtherManifest { .. }
        | ApproveError::Manifest(_)
        | ApproveError::System { .. } => {
            let next = "touchstone update installs the newest release; if it stays so, ask the people of the channel";
            Failure::new(Kind::Refused, "approvals", error, next)
        }
        ApproveError::Path(_) => environment(error, "ask for help: this should not happen"),
    }
}

pub(super) fn in_words(approved: &Approved) -> String {
    let Approved {
        releases,
        without_derivations,
        approved,
    } = approved;
    let list = |numbers: &[u64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text = match releases.as_slice() {
        [] => "nothing is approved: no release is installed; touchstone update installs one".to_owned(),
        releases => format!("approved: {approved} things of release {}", list(releases)),
    };
    if !without_derivations.is_empty() {
        text += &format!(
            "\nrelease {} lists no derivations for this machine: its channel can be unpacked, but nothing of it can be built",
            list(without_derivations)
        );
    }
    text
}
