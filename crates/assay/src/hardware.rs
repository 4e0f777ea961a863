//! Evidence that people's keys live on tokens: demanded when a root is proposed, and by everybody who signs it.

use std::{fs, path::PathBuf};

use attestation::{Time, chain::PolicyDocument, statement::Statement};
use ledger::Snapshot;
use policy::{Keyring, Verified, hardware};

use crate::exit::{Exit, OrExit as _, Outcome};

/// What tokens attest, as the ledger has it.
pub(crate) fn evidence(snapshot: &Snapshot) -> Outcome<Vec<Vec<u8>>> {
    let listing = snapshot.evidence().or_exit(Exit::Environment)?;
    Ok(listing
        .files
        .into_iter()
        .map(|file| file.bytes.into_claimed())
        .collect())
}

/// What tokens attest, from files.
pub(crate) fn read(paths: &[PathBuf]) -> Outcome<Vec<Vec<u8>>> {
    let read =
        |path: &PathBuf| fs::read(path).or_exit_with(Exit::Usage, || format!("{} cannot be read", path.display()));
    paths.iter().map(read).collect()
}

/// Whether everybody whom the policy adds or changes has the hardware that it says, by statements that count now.
pub(crate) fn check(
    next: &PolicyDocument,
    before: Option<&PolicyDocument>,
    keyring: &Keyring,
    evidence: &[Vec<u8>],
    statements: &[Verified<Statement>],
    now: Time,
) -> Outcome {
    hardware::check(next, before, keyring, evidence, statements, now).or_exit(Exit::Refused)
}
