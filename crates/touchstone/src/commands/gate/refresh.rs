//! `touchstone gate refresh`: makes the approvals anew from the releases that are installed.

use std::{fs, io, path::Path, process::ExitCode};

use attestation::Time;
use clap::Args;
use fetcher::{Resource, Transport};
use gate::{
    Place,
    approvals::Draft,
    approver::{kept, request::Request},
    channel::{self, Approvable, ApproveError, WantedManifest},
};
use install::{Generation, GenerationNumber, MetadataFile, State, Subscription, verify::VerifyError};
use serde::Serialize;

use super::{
    approver, environment,
    left_out::{self, LeftOut},
    nix,
    requests::{self, Outcome},
    require_root,
};
use crate::{
    clock,
    failure::{Failure, Kind},
    mirrors::NetworkArguments,
    output::{Output, WARNING, chain},
};

/// The longest list of derivations: all of Nixpkgs is some 60 MB.
const LONGEST: u64 = 512 << 20;

/// Make the approvals anew from the releases that are installed, less what people found to be bad
#[derive(Debug, Args)]
#[command(after_help = "\
Every signature is checked again, and every request evaluated for the release that is installed; nothing is taken over from
the old approvals. touchstone update does it too, also when it refused the newest release because somebody found it to be
bad: then what that release approved is taken back.

Example:
  touchstone gate refresh")]
pub(super) struct Arguments {
    /// Do nothing, and say nothing, where the gate was never switched on
    #[arg(long)]
    if_on: bool,

    #[command(flatten)]
    network: NetworkArguments,
}

/// From where lists of derivations are had.
pub(super) enum Lists<'a> {
    /// From mirrors, where they are not kept.
    Fetched(&'a NetworkArguments),
    /// Only those that are kept: whoever answers questions asks no network.
    Kept,
}

/// What is approved now.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Approved {
    /// The releases, oldest first.
    pub(super) releases: Vec<u64>,
    /// Those of them that list no derivations for this machine.
    pub(super) without_derivations: Vec<u64>,
    /// Those that approve nothing, since somebody found them to be bad.
    pub(super) left_out: Vec<LeftOut>,
    /// What became of what was asked for beside them.
    pub(super) requests: Vec<Outcome>,
    /// How many things are approved.
    pub(super) approved: usize,
}

/// What the installed generations amount to, before any list of derivations is read.
#[derive(Default)]
struct Installed {
    approvable: Vec<(GenerationNumber, Approvable)>,
    left_out: Vec<LeftOut>,
    /// Why it is not known what people found to be bad.
    unknown: Option<ApproveError>,
}

pub(super) fn run(arguments: &Arguments, state: &Path, place: &Place, output: Output) -> Result<ExitCode, Failure> {
    if arguments.if_on && !super::was_on(place) {
        return Ok(ExitCode::SUCCESS);
    }
    require_root("refresh")?;
    let system = nix::configuration()?.remove("system").unwrap_or_default();
    let lists = Lists::Fetched(&arguments.network);
    let approved = approve_with(&lists, state, place, &system, output, None)?;
    output.result(&approved, in_words);
    Ok(ExitCode::SUCCESS)
}

/// As the command does, with the network as it is by default.
pub(super) fn approve(state: &Path, place: &Place, system: &str, output: Output) -> Result<Approved, Failure> {
    let network = NetworkArguments::default();
    approve_with(&Lists::Fetched(&network), state, place, system, output, None)
}

/// Makes the approvals anew, with what is `asked` now if that may be approved; then it is kept.
pub(super) fn approve_with(
    lists: &Lists<'_>,
    state: &Path,
    place: &Place,
    system: &str,
    output: Output,
    asked: Option<Request>,
) -> Result<Approved, Failure> {
    let state = State::open(state)?;
    let subscription = state.subscription()?;
    let now = clock::now(&state)?;
    place.create().map_err(|error| environment(error, "check the disk"))?;
    let _alone = place.lock().map_err(|error| environment(error, "check the disk"))?;
    let Installed {
        approvable,
        left_out,
        unknown,
    } = installed(&state, &subscription, system, now, output)?;
    let subtracts = unknown.is_some() || !left_out.is_empty();
    let mut draft = Draft::default();
    let mut approved = Approved {
        releases: Vec::new(),
        without_derivations: Vec::new(),
        left_out,
        requests: Vec::new(),
        approved: 0,
    };
    let mut incomplete = None;
    for (_, approvable) in &approvable {
        let manifest = approvable.manifest.as_ref();
        let manifest = manifest.map(|wanted| manifest_bytes(wanted, &subscription, lists, place, system));
        let done = manifest
            .transpose()
            .and_then(|manifest| approve_one(approvable, manifest.as_deref(), system, &mut draft, &mut approved));
        match done {
            Ok(()) => {}
            // Whoever withholds the list of one release must not keep another one's approvals alive.
            Err(failure) if subtracts => incomplete = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    let current = state.current()?;
    let newest = approved.releases.iter().copied().max().unwrap_or(0);
    let write = |draft: &Draft| {
        draft
            .write(place, channel::origin(&subscription, newest, now))
            .map_err(|error| environment(error, "check the disk; the old approvals are still there"))
    };
    if subtracts {
        // What is bad is taken back at once; evaluating what was asked for takes its time.
        write(&draft)?;
    }
    approved.requests = on_request(place, current.as_ref(), &approvable, system, asked, &mut draft, output)?;
    approved.approved = draft.len();
    write(&draft)?;
    left_out::write(place, &approved.left_out)?;
    if let Lists::Fetched(_) = lists {
        super::sources::place(current.as_ref(), &approvable, output);
    }
    if let Some(error) = unknown {
        return Err(not_known(error, &state, &subscription));
    }
    if let Some(failure) = incomplete {
        let words = approved.left_out.iter().map(LeftOut::in_words);
        let next = format!(
            "what is left out approves nothing any more ({}), nor does what could not be had now: check the connection, \
             then touchstone gate refresh",
            words.collect::<Vec<_>>().join("; ")
        );
        return Err(failure.with_next(next));
    }
    Ok(approved)
}

fn installed(
    state: &State,
    subscription: &Subscription,
    system: &str,
    now: Time,
    output: Output,
) -> Result<Installed, Failure> {
    let mut installed = Installed::default();
    for generation in state.generations()? {
        match channel::approvable(state, subscription, &generation, system, now) {
            Ok(approvable) => installed.approvable.push((generation.number(), approvable)),
            Err(ApproveError::Violated { release, by, manifest }) => {
                installed.left_out.push(LeftOut::new(&release, &by, manifest.as_ref()));
            }
            Err(error @ ApproveError::Violations { .. }) => installed.unknown = Some(error),
            // Of another channel or chain, or damaged: it approves nothing, and the others still do.
            Err(error @ ApproveError::Generation { .. }) => {
                output.note(&format!("note: {}", chain(&error).join(": ")));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(installed)
}

/// Evaluates what was asked for, before and now. What is asked now is kept when it is approved.
fn on_request(
    place: &Place,
    current: Option<&Generation>,
    approvable: &[(GenerationNumber, Approvable)],
    system: &str,
    asked: Option<Request>,
    draft: &mut Draft,
    output: Output,
) -> Result<Vec<Outcome>, Failure> {
    let mut all = approver::kept_requests(place, output);
    let asked_id = asked.as_ref().map(|request| request.question.wanted.id());
    if let Some(request) = asked {
        let full = "as root: touchstone gate requests --forget ID makes room";
        all = kept::with(all, request).map_err(|error| environment(error, full))?;
    }
    let installed = current.and_then(|generation| {
        let found = approvable.iter().find(|(number, _)| *number == generation.number());
        found.map(|(_, approvable)| (generation, approvable.release()))
    });
    let outcomes = requests::approve(place, installed, system, &all, draft);
    for (request, outcome) in all.iter().zip(&outcomes) {
        if asked_id.as_ref() == Some(&outcome.id) && outcome.trouble.is_none() {
            kept::keep(place, request).map_err(|error| environment(error, "check the disk"))?;
        }
    }
    Ok(outcomes)
}

/// Nothing is approved; this says how that ends.
fn not_known(error: ApproveError, state: &State, subscription: &Subscription) -> Failure {
    let kind = match &error {
        ApproveError::Violations { source, .. } if matches!(**source, VerifyError::File(_)) => Kind::Environment,
        _ => Kind::Refused,
    };
    let kept = state
        .trusted(subscription.chain, &subscription.channel)
        .file(MetadataFile::Violations);
    let next = format!(
        "nothing is approved until this is mended: touchstone update, which fetches the list again; if that is refused too, remove \
         {} and update once more; then touchstone gate refresh",
        kept.display()
    );
    Failure::new(kind, "violations", error, next)
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
fn manifest_bytes(
    wanted: &WantedManifest,
    subscription: &Subscription,
    lists: &Lists<'_>,
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
    let transports = match lists {
        Lists::Fetched(network) => network.open(subscription)?,
        Lists::Kept => {
            let error = NoManifest {
                name: wanted.name.clone(),
                failed: "it is not here".to_owned(),
            };
            let next = "as root: touchstone gate refresh fetches it; then ask again";
            return Err(Failure::new(Kind::Environment, "no-manifest", error, next));
        }
    };
    let bytes = fetch(wanted, subscription, &transports, system)?;
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
        | ApproveError::Violated { .. }
        | ApproveError::Violations { .. }
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
        left_out,
        requests,
        approved,
    } = approved;
    let list = |numbers: &[u64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text = match releases.as_slice() {
        [] if !left_out.is_empty() => "nothing is approved".to_owned(),
        [] => "nothing is approved: no release is installed; touchstone update installs one".to_owned(),
        releases => format!("approved: {approved} things of release {}", list(releases)),
    };
    if !without_derivations.is_empty() {
        text += &format!(
            "\nrelease {} lists no derivations for this machine: its channel can be unpacked, but nothing of it can be built\n\
             next: ask the people of the channel for a list (assay release --evaluate SYSTEM); until there is one, touchstone build, as \
             root, has packages approved one by one",
            list(without_derivations)
        );
    }
    for outcome in requests {
        text += &format!("\n{}", requests::in_words(outcome));
    }
    for left_out in left_out {
        text += &format!(
            "\n{WARNING}{}{WARNING:#}\nnext: {}",
            left_out.in_words(),
            left_out.next()
        );
    }
    text
}
