//! The patches of a channel: from a directory into the ledger, and from there onto upstream's commit.
//!
//! A proposal or a release names each by its SHA-256; whoever derives it reads the bytes from the ledger, whose files are
//! what their names say, and applies them again.

use std::{collections::BTreeSet, fs, path::Path};

use attestation::{
    ChannelName, PatchName, Sha256Digest,
    chain::Release,
    series::{LARGEST_PATCH, MOST_PATCHES, PatchSeries, Patched, SeriesPatch},
};
use channel::release::oid;
use importer::{ObjectId, Patch, PatchError, PatchedCommit, Repository};
use ledger::Snapshot;

use crate::{
    derive::object_id,
    exit::{Exit, Failure, OrExit as _, Outcome},
};

/// The patches of a directory, in the order of their names.
pub(crate) fn of_directory(path: &Path) -> Outcome<Vec<Patch>> {
    let usage = |what: String| {
        Failure::new(Exit::Usage, what)
            .next("a directory of patches has files NAME.patch and nothing else; then: assay import --patches DIR")
    };
    let entries = fs::read_dir(path).or_exit_with(Exit::Usage, || {
        format!("{} must be a directory of files NAME.patch", path.display())
    })?;
    let mut patches = Vec::new();
    for entry in entries {
        let entry = entry.or_exit(Exit::Environment)?;
        let shown = entry.path().display().to_string();
        let name = entry.file_name().into_string().ok();
        let name: Option<PatchName> = name.and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| usage(format!("{shown} is not called as a patch is, as 01-fix.patch")))?;
        let kind = entry.metadata().or_exit(Exit::Environment)?;
        if !kind.is_file() {
            return Err(usage(format!("{shown} is no plain file")));
        }
        if kind.len() > LARGEST_PATCH as u64 {
            return Err(usage(format!(
                "{shown} has {} bytes, a patch that people review has at most {LARGEST_PATCH}",
                kind.len()
            )));
        }
        let bytes = fs::read(entry.path()).or_exit(Exit::Environment)?;
        patches.push(Patch { name, bytes });
    }
    patches.sort();
    match patches.len() {
        0 => Err(usage(format!("{} has no patch", path.display()))),
        1..=MOST_PATCHES => Ok(patches),
        found => Err(usage(format!("{found} patches, at most {MOST_PATCHES}"))),
    }
}

/// What is said of these patches on top of an upstream commit; nothing if there are none.
pub(crate) fn described(upstream: ObjectId, patches: &[Patch]) -> Outcome<Option<Patched>> {
    if patches.is_empty() {
        return Ok(None);
    }
    let list = patches.iter().map(|patch| SeriesPatch {
        name: patch.name.clone(),
        sha256: Sha256Digest::of(&patch.bytes),
    });
    Ok(Some(Patched {
        upstream: oid(upstream),
        patches: PatchSeries::new(list.collect()).or_exit(Exit::Usage)?,
    }))
}

/// The patches that something names, from the ledger; none if it names none.
pub(crate) fn of_ledger(snapshot: &Snapshot, patched: Option<&Patched>) -> Outcome<Vec<Patch>> {
    let Some(patched) = patched else { return Ok(Vec::new()) };
    let mut patches = Vec::new();
    for SeriesPatch { name, sha256 } in patched.patches.patches() {
        let file = snapshot.patch(*sha256).or_exit(Exit::Environment)?.ok_or_else(|| {
            Failure::new(
                Exit::Refused,
                format!("patch {name} ({sha256}) is missing from the ledger"),
            )
            .next("exchange the ledger with whoever proposed it: assay sync")
        })?;
        let bytes = file.or_exit(Exit::Refused)?.bytes.into_claimed();
        if bytes.len() > LARGEST_PATCH {
            let found = bytes.len();
            return Err(Failure::new(
                Exit::Refused,
                format!("patch {name} has {found} bytes, at most {LARGEST_PATCH} are read"),
            ));
        }
        let name = name.clone();
        patches.push(Patch { name, bytes });
    }
    Ok(patches)
}

/// Applies patches to upstream's commit; nothing if there are none.
pub(crate) fn applied(
    repository: &Repository,
    channel: &ChannelName,
    upstream: ObjectId,
    patches: &[Patch],
) -> Outcome<Option<PatchedCommit>> {
    if patches.is_empty() {
        return Ok(None);
    }
    repository
        .patched(upstream, patches)
        .map(Some)
        .map_err(|error| failure(channel, error))
}

/// The patched commit of a release, made again; nothing if it is upstream's.
pub(crate) fn of_release(
    repository: &Repository,
    snapshot: &Snapshot,
    release: &Release,
) -> Outcome<Option<PatchedCommit>> {
    let patches = of_ledger(snapshot, release.patched.as_ref())?;
    let upstream = object_id(release.upstream_commit())?;
    let made = applied(repository, &release.channel, upstream, &patches)?;
    match &made {
        Some(made) if (oid(made.id), oid(made.tree())) != (release.commit.clone(), release.tree.clone()) => {
            Err(Failure::new(
                Exit::Refused,
                format!(
                    "the patches of release {} of {} make {} with tree {}, signed is {} with tree {}",
                    release.sequence,
                    release.channel,
                    made.id,
                    made.tree(),
                    release.commit,
                    release.tree
                ),
            )
            .next("compare the version of git with the other signers': git --version"))
        }
        _ => Ok(made),
    }
}

/// Makes again whatever of these releases this clone lacks: their commits are in no remote.
pub(crate) fn present<'a>(
    repository: &Repository,
    snapshot: &Snapshot,
    releases: impl IntoIterator<Item = &'a Release>,
) -> Outcome {
    let mut seen = BTreeSet::new();
    for release in releases {
        let is_new = release.patched.is_some() && seen.insert(&release.commit);
        if is_new && !repository.has_patched(object_id(&release.commit)?) {
            of_release(repository, snapshot, release)?;
        }
    }
    Ok(())
}

/// What to do about patches that make no commit.
fn failure(channel: &ChannelName, error: PatchError) -> Failure {
    let again = format!("assay import --channel {channel} --patches DIR");
    let next = match &error {
        PatchError::DoesNotApply { name, commit, .. } => format!(
            "rebase it (git switch --detach {commit}; git apply --reject {name}), or leave it out if upstream has it now; \
             then {again}"
        ),
        PatchError::Idle { .. } | PatchError::Twice { .. } | PatchError::Nothing => {
            format!("take it out of the directory, then {again}; to import without patches: --no-patches")
        }
        PatchError::Binary { .. } | PatchError::Leaves { .. } => format!("write the patch anew, then {again}"),
        PatchError::Start(_) | PatchError::Git { .. } | PatchError::Keep(_) => {
            return Failure::new(Exit::Environment, error).next("check that git works here: git fsck");
        }
        PatchError::Object(_) => return Failure::new(Exit::Environment, error),
    };
    Failure::new(Exit::Refused, error).next(next)
}
